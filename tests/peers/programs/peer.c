/* A peer on wolfSSL. tests/peers/program_peer.py has the arguments and the output. */

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TIMEOUT 60 /* seconds */
#define MAX_EXPORTED 256
#define PIECE 16384 /* bytes */

static const struct {
    const char *name;
    int id;
} GROUPS[] = {
    {"x25519", WOLFSSL_ECC_X25519},
    {"secp256r1", WOLFSSL_ECC_SECP256R1},
    {"secp384r1", WOLFSSL_ECC_SECP384R1},
};

static int argument_count;
static char **arguments;

static void must(int succeeded, const char *what)
{
    if (!succeeded) {
        fprintf(stderr, "%s failed\n", what);
        exit(1);
    }
}

/* The value of an argument "name=value"; NULL if it is not there. */
static const char *part(const char *name)
{
    size_t length = strlen(name);
    for (int i = 1; i < argument_count; i++) {
        if (strncmp(arguments[i], name, length) == 0 && arguments[i][length] == '=') {
            return arguments[i] + length + 1;
        }
    }
    return NULL;
}

static int number(const char *name, int otherwise)
{
    return part(name) ? atoi(part(name)) : otherwise;
}

static int is_client(void)
{
    return strcmp(part("role"), "client") == 0;
}

static WOLFSSL_METHOD *method(void)
{
    if (part("tls12_only")) {
        return is_client() ? wolfTLSv1_2_client_method() : wolfTLSv1_2_server_method();
    }
    return is_client() ? wolfTLS_client_method() : wolfTLS_server_method();
}

static void set_group(WOLFSSL_CTX *context, const char *name)
{
    for (size_t i = 0; i < sizeof GROUPS / sizeof *GROUPS; i++) {
        if (strcmp(name, GROUPS[i].name) == 0) {
            int id = GROUPS[i].id;
            must(wolfSSL_CTX_set_groups(context, &id, 1) == WOLFSSL_SUCCESS, "set_groups");
            return;
        }
    }
    must(0, name);
}

static WOLFSSL_CTX *make_context(void)
{
    WOLFSSL_CTX *context = wolfSSL_CTX_new(method());
    must(context != NULL, "CTX_new");
    if (part("cert")) {
        must(wolfSSL_CTX_use_certificate_chain_file(context, part("cert")) == WOLFSSL_SUCCESS,
             "use_certificate_chain_file");
        must(wolfSSL_CTX_use_PrivateKey_file(context, part("key"), WOLFSSL_FILETYPE_PEM)
             == WOLFSSL_SUCCESS, "use_PrivateKey_file");
    }
    if (part("trust")) {
        must(wolfSSL_CTX_load_verify_locations(context, part("trust"), NULL) == WOLFSSL_SUCCESS,
             "load_verify_locations");
        wolfSSL_CTX_set_verify(
            context, WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    if (part("group")) {
        set_group(context, part("group"));
    }
    if (part("tickets")) {
        must(wolfSSL_CTX_set_num_tickets(context, number("tickets", 0)) == WOLFSSL_SUCCESS,
             "set_num_tickets");
    }
    return context;
}

static WOLFSSL *make_connection(WOLFSSL_CTX *context, int socket, WOLFSSL_SESSION *session)
{
    WOLFSSL *connection = wolfSSL_new(context);
    must(connection != NULL, "new");
    must(wolfSSL_set_fd(connection, socket) == WOLFSSL_SUCCESS, "set_fd");
    wolfSSL_KeepArrays(connection); /* for the exporter */
    if (part("alpn")) {
        char *protocols = strdup(part("alpn"));
        must(wolfSSL_UseALPN(connection, protocols, strlen(protocols),
                             WOLFSSL_ALPN_FAILED_ON_MISMATCH) == WOLFSSL_SUCCESS, "UseALPN");
        free(protocols);
    }
    if (part("name")) {
        const char *name = part("name");
        must(wolfSSL_UseSNI(connection, WOLFSSL_SNI_HOST_NAME, name, strlen(name))
             == WOLFSSL_SUCCESS, "UseSNI");
        must(wolfSSL_check_domain_name(connection, name) == WOLFSSL_SUCCESS, "check_domain_name");
    }
    if (is_client() && !part("session_ids")) {
        must(wolfSSL_UseSessionTicket(connection) == WOLFSSL_SUCCESS, "UseSessionTicket");
    }
    if (session && (part("session_ids") || wolfSSL_SESSION_has_ticket(session))) {
        must(wolfSSL_set_session(connection, session) == WOLFSSL_SUCCESS, "set_session");
    }
    return connection;
}

/* Read what is to be sent back; return whether all of it came. */
static int read_all(WOLFSSL *connection, char *data, int length)
{
    for (int done = 0; done < length;) {
        int received = wolfSSL_read(connection, data + done, length - done);
        if (received <= 0) {
            return 0;
        }
        done += received;
    }
    return 1;
}

/* Send back each piece at once. */
static int stream(WOLFSSL *connection, int length)
{
    char data[PIECE];
    while (length > 0) {
        int received = wolfSSL_read(connection, data, length < PIECE ? length : PIECE);
        if (received <= 0 || wolfSSL_write(connection, data, received) != received) {
            return 0;
        }
        length -= received;
    }
    return 1;
}

static int echo(WOLFSSL *connection)
{
    int length = number("echo", 0);
    if (part("streams")) {
        return stream(connection, length);
    }
    char *data = malloc(length + 1);
    int ok = read_all(connection, data, length);
    if (ok && part("update_keys")) {
        ok = wolfSSL_update_keys(connection) == WOLFSSL_SUCCESS;
    }
    if (ok && length > 0) {
        ok = wolfSSL_write(connection, data, length) == length;
    }
    free(data);
    return ok;
}

/* Read close_notify where data would be. */
static int expect_end(WOLFSSL *connection)
{
    char data;
    int received = wolfSSL_read(connection, &data, 1);
    return received == 0 && wolfSSL_get_error(connection, received) == WOLFSSL_ERROR_ZERO_RETURN;
}

static int close_connection(WOLFSSL *connection)
{
    if (part("leaves")) {
        return 1; /* without close_notify */
    }
    if (part("closes_first")) {
        /* The first call sends close_notify, the second one reads the answer. */
        return wolfSSL_shutdown(connection) == WOLFSSL_SHUTDOWN_NOT_DONE
            && wolfSSL_shutdown(connection) == WOLFSSL_SUCCESS;
    }
    return expect_end(connection) && wolfSSL_shutdown(connection) >= 0;
}

static void export_keying_material(WOLFSSL *connection, char *hex)
{
    unsigned char exported[MAX_EXPORTED];
    const char *label = part("exports");
    int length = number("exported_length", 0);
    must(length <= MAX_EXPORTED, "exported_length");
    must(wolfSSL_export_keying_material(connection, exported, length, label, strlen(label),
                                        NULL, 0, 0) == WOLFSSL_SUCCESS, "export_keying_material");
    for (int i = 0; i < length; i++) {
        sprintf(hex + 2 * i, "%02x", exported[i]);
    }
}

/* Have one conversation: handshake, echo, close. Print what it saw; return the session. */
static WOLFSSL_SESSION *play(WOLFSSL_CTX *context, int socket, WOLFSSL_SESSION *session)
{
    WOLFSSL *connection = make_connection(context, socket, session);
    const char *resumed = "";
    char exported[2 * MAX_EXPORTED + 1] = "";
    char story[WOLFSSL_MAX_ERROR_SZ] = "";
    int status = is_client() ? wolfSSL_connect(connection) : wolfSSL_accept(connection);
    int ok = status == WOLFSSL_SUCCESS;
    if (ok) {
        resumed = wolfSSL_session_reused(connection) ? "true" : "false";
        if (part("exports")) {
            export_keying_material(connection, exported);
        }
        ok = echo(connection) && close_connection(connection);
    }
    if (!ok) {
        wolfSSL_ERR_error_string(wolfSSL_get_error(connection, -1), story);
    }
    WOLFSSL_ALERT_HISTORY alerts;
    wolfSSL_get_alert_history(connection, &alerts);
    WOLFSSL_SESSION *next = is_client() ? wolfSSL_get1_session(connection) : NULL;
    wolfSSL_free(connection);
    close(socket);
    printf("saw alert=%d resumed=%s exported=%s story=%s\n",
           alerts.last_rx.code, resumed, exported, story);
    return next;
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int with_deadline(int connected)
{
    struct timeval timeout = {.tv_sec = TIMEOUT};
    must(connected >= 0, "socket");
    setsockopt(connected, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(connected, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    return connected;
}

static void call(WOLFSSL_CTX *context)
{
    struct sockaddr_in address = loopback(number("port", 0));
    WOLFSSL_SESSION *session = NULL;
    for (int i = 0; i < number("connections", 1); i++) {
        int connected = with_deadline(socket(AF_INET, SOCK_STREAM, 0));
        must(connect(connected, (struct sockaddr *)&address, sizeof address) == 0, "connect");
        WOLFSSL_SESSION *next = play(context, connected, session);
        wolfSSL_SESSION_free(session);
        session = next;
    }
    wolfSSL_SESSION_free(session);
}

static void serve(WOLFSSL_CTX *context)
{
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    must(listen(listener, 8) == 0, "listen");
    must(getsockname(listener, (struct sockaddr *)&address, &length) == 0, "getsockname");
    printf("port %d\n", ntohs(address.sin_port));
    for (int i = 0; i < number("connections", 1); i++) {
        play(context, with_deadline(accept(listener, NULL, NULL)), NULL);
    }
    close(listener);
}

int main(int count, char **values)
{
    argument_count = count;
    arguments = values;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    must(wolfSSL_Init() == WOLFSSL_SUCCESS, "Init");
    WOLFSSL_CTX *context = make_context();
    if (is_client()) {
        call(context);
    } else {
        serve(context);
    }
    wolfSSL_CTX_free(context);
    wolfSSL_Cleanup();
    return 0;
}
