// A peer on Java's JSSE. tests/peers/program_peer.py has the arguments and the output.

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.ExtendedSSLSession;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public class Peer {
    static final int TIMEOUT = 60_000; // milliseconds
    static final int PIECE = 1 << 14; // bytes
    static final char[] NO_PASSWORD = {};
    static final Pattern ALERT = Pattern.compile("Received fatal alert: (\\w+)");

    final Map<String, String> part = new HashMap<>();
    final boolean isClient;
    final SSLContext context;

    public static void main(String[] arguments) throws Exception {
        new Peer(arguments).run();
    }

    Peer(String[] arguments) throws Exception {
        for (String argument : arguments) {
            String[] pair = argument.split("=", 2);
            part.put(pair[0], pair[1]);
        }
        isClient = part.get("role").equals("client");
        if (part.containsKey("group")) {
            System.setProperty("jdk.tls.namedGroups", part.get("group"));
        }
        if (part.containsKey("update_keys")) {
            // The only way to begin a KeyUpdate: a limit that the first record reaches.
            Security.setProperty("jdk.tls.keyLimits", "AES/GCM/NoPadding KeyUpdate 2^7");
        }
        if (part.containsKey("key_limit")) {
            String limit = "AES/GCM/NoPadding KeyUpdate " + part.get("key_limit");
            Security.setProperty("jdk.tls.keyLimits", limit);
        }
        if (part.containsKey("session_ids")) {
            System.setProperty("jdk.tls.client.enableSessionTicketExtension", "false");
            System.setProperty("jdk.tls.server.enableSessionTicketExtension", "false");
        }
        context = makeContext();
    }

    SSLContext makeContext() throws Exception {
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(ownKeys(), NO_PASSWORD);
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted());
        SSLContext made = SSLContext.getInstance("TLS");
        made.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return made;
    }

    KeyStore ownKeys() throws Exception {
        KeyStore store = emptyStore();
        if (part.containsKey("cert")) {
            Certificate[] chain = certificates(part.get("cert")).toArray(new Certificate[0]);
            store.setKeyEntry("own", privateKey(part.get("key")), NO_PASSWORD, chain);
        }
        return store;
    }

    KeyStore trusted() throws Exception {
        KeyStore store = emptyStore();
        if (part.containsKey("trust")) {
            for (Certificate certificate : certificates(part.get("trust"))) {
                store.setCertificateEntry("trusted", certificate);
            }
        }
        return store;
    }

    static KeyStore emptyStore() throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        return store;
    }

    static List<Certificate> certificates(String file) throws Exception {
        byte[] pem = Files.readAllBytes(Path.of(file));
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        return new ArrayList<>(factory.generateCertificates(new ByteArrayInputStream(pem)));
    }

    static PrivateKey privateKey(String file) throws Exception {
        String base64 = Files.readString(Path.of(file)).replaceAll("-----[^-]+-----|\\s", "");
        PKCS8EncodedKeySpec key = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(base64));
        for (String algorithm : List.of("EC", "EdDSA", "RSA", "RSASSA-PSS")) {
            try {
                return KeyFactory.getInstance(algorithm).generatePrivate(key);
            } catch (InvalidKeySpecException ignored) {
                // It is a key of another algorithm.
            }
        }
        throw new GeneralSecurityException("unknown kind of key in " + file);
    }

    void run() throws Exception {
        int connections = number("connections", 1);
        if (isClient) {
            for (int i = 0; i < connections; i++) {
                int port = number("port", 0);
                play(new Socket(InetAddress.getLoopbackAddress(), port), port);
            }
            return;
        }
        try (ServerSocket listener = new ServerSocket(0, 8, InetAddress.getLoopbackAddress())) {
            System.out.println("port " + listener.getLocalPort());
            for (int i = 0; i < connections; i++) {
                play(listener.accept(), listener.getLocalPort());
            }
        }
    }

    /** Has one conversation: handshake, echo, close. Prints what it saw. */
    void play(Socket transport, int port) throws Exception {
        transport.setSoTimeout(TIMEOUT);
        long before = System.currentTimeMillis();
        SSLSocket socket = (SSLSocket) context.getSocketFactory()
            .createSocket(transport, part.getOrDefault("name", "localhost"), port, true);
        configure(socket);
        String resumed = "";
        try {
            socket.startHandshake();
            // JSSE does not tell. A session that is older than the connection is an earlier one's.
            resumed = String.valueOf(socket.getSession().getCreationTime() < before);
            checkStaple((ExtendedSSLSession) socket.getSession());
            converse(socket, transport);
            report(0, resumed, "");
        } catch (IOException error) {
            report(alertOf(error), resumed, error.toString());
        } finally {
            transport.close();
        }
    }

    void checkStaple(ExtendedSSLSession session) throws IOException {
        if (part.containsKey("staple")) {
            byte[] expected = Files.readAllBytes(Path.of(part.get("staple")));
            List<byte[]> received = session.getStatusResponses();
            if (received.isEmpty() || !Arrays.equals(received.get(0), expected)) {
                throw new SSLException("got another OCSP response");
            }
        }
    }

    void configure(SSLSocket socket) {
        SSLParameters parameters = socket.getSSLParameters();
        socket.setUseClientMode(isClient);
        if (isClient) {
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
        } else {
            parameters.setNeedClientAuth(part.containsKey("trust"));
        }
        if (part.containsKey("alpn")) {
            parameters.setApplicationProtocols(part.get("alpn").split(","));
        }
        if (part.containsKey("tls12_only")) {
            parameters.setProtocols(new String[] {"TLSv1.2"});
        }
        socket.setSSLParameters(parameters);
    }

    void converse(SSLSocket socket, Socket transport) throws IOException {
        InputStream input = socket.getInputStream();
        int size = part.containsKey("streams") ? PIECE : number("echo", 0);
        for (int left = number("echo", 0); left > 0; ) {
            byte[] data = input.readNBytes(Math.min(left, size));
            if (data.length < Math.min(left, size)) {
                throw new SSLException("the end came before the data");
            }
            left -= data.length;
            socket.getOutputStream().write(data);
        }
        if (part.containsKey("leaves")) {
            transport.close(); // without close_notify
        } else if (part.containsKey("cancels")) {
            socket.close(); // JSSE sends user_canceled before close_notify if input is open
        } else if (part.containsKey("closes_first")) {
            socket.shutdownOutput();
            expectEnd(input);
        } else {
            expectEnd(input);
            socket.close();
        }
    }

    static void expectEnd(InputStream input) throws IOException {
        if (input.read() >= 0) {
            throw new SSLException("got data instead of the end");
        }
    }

    /** The alert that the other side sent, or -1. */
    static int alertOf(IOException error) {
        Matcher matcher = ALERT.matcher(String.valueOf(error.getMessage()));
        return matcher.find() ? Alert.valueOf(matcher.group(1)).code : -1;
    }

    enum Alert {
        unexpected_message(10), bad_record_mac(20), record_overflow(22), handshake_failure(40),
        bad_certificate(42), unsupported_certificate(43), certificate_revoked(44),
        certificate_expired(45), certificate_unknown(46), illegal_parameter(47), unknown_ca(48),
        access_denied(49), decode_error(50), decrypt_error(51), protocol_version(70),
        insufficient_security(71), internal_error(80), missing_extension(109),
        unsupported_extension(110), unrecognized_name(112), unknown_psk_identity(115),
        certificate_required(116), no_application_protocol(120);

        final int code;

        Alert(int code) {
            this.code = code;
        }
    }

    static void report(int alert, String resumed, String story) {
        System.out.printf("saw alert=%d resumed=%s exported= story=%s%n", alert, resumed, story);
    }

    int number(String name, int otherwise) {
        return part.containsKey(name) ? Integer.parseInt(part.get(name)) : otherwise;
    }
}
