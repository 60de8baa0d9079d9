"""What the shim does once it knows its flags: connect, handshake, echo, shut down."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Awaitable, Generator, Sequence
from typing import Literal

from cryptography import x509
from flags import Flags, Unimplemented

from trio_tlsx.config import ClientConfig, ServerConfig
from trio_tlsx.credentials import Credentials, PrivateKeySigner
from trio_tlsx.engine import client13, server13
from trio_tlsx.engine.connection import Connection
from trio_tlsx.engine.groups import DEFAULT_GROUPS, GROUPS
from trio_tlsx.engine.signatures import CERTIFICATE_VERIFY_SCHEMES, SignatureScheme
from trio_tlsx.engine.suites import CIPHER_SUITES
from trio_tlsx.engine.wants import Question, Want
from trio_tlsx.errors import AlertDescription, CertificateError, TLSError, Truncated
from trio_tlsx.policy import check_leaf_key
from trio_tlsx.trust import TrustStore

__all__ = ["run"]

READ_SIZE = 512
RECEIVE_SIZE = 65536
INITIAL_WRITE = b"hello"

#: An address: a client that is not told a name sends none, and none is sent for an address.
NO_NAME = "192.0.2.1"
#: Longer than any protocol of a test's: offered by no client, so that ALPN finds nothing.
NO_PROTOCOL = b"no such protocol"

VERSIONS = {"TLSv1.3": 0x0304}


class Disappointed(Exception):
    """The connection is not what the flags said to expect."""


def run(flags: dict[str, Flags]) -> int:
    """Make the connections that the flags describe; return the exit status."""
    try:
        for number in range(flags["initial"].number("-resume-count") + 1):
            connect(flags["resume" if number else "initial"])
    except Unimplemented as reason:
        print(reason)
        return 89
    except Disappointed as reason:
        print(reason, file=sys.stderr)
        return 1
    except TLSError as error:
        print(f":{token(error)}: {error}", file=sys.stderr)
        return 1
    return 0


def token(error: TLSError) -> str:
    """A name for what happened that does not change with our sentences; config.json maps to it."""
    name = type(error).__name__
    return name if error.alert is None else f"{name}.{error.alert.name}"


def connect(flags: Flags) -> None:
    """One TCP connection from beginning to end."""
    connection, messages = make_connection(flags)
    host = "::1" if "-ipv6" in flags else "127.0.0.1"
    with socket.create_connection((host, flags.number("-port"))) as sock:
        sock.sendall(flags.number("-shim-id").to_bytes(8, "little"))
        transport = Transport(connection, sock, one_by_one="-async" in flags)
        try:
            transport.handshake()
            if "-implicit-handshake" not in flags:
                check(flags, connection, messages)
            exchange(flags, connection, transport)
        finally:
            transport.close()


# What each connection is made of


def make_connection(flags: Flags) -> tuple[Connection, list[str]]:
    """The engine, and a list that fills with the names of the handshake's messages."""
    messages: list[str] = []

    def observe(_way: Literal["sent", "received"], name: str, _length: int) -> None:
        messages.append(name)

    install_verification(flags)
    if "-server" in flags:
        return Connection.server(server_config(flags), observer=observe), messages
    name = flags.text("-host-name") or NO_NAME
    return Connection.client(client_config(flags), name, observer=observe), messages


def client_config(flags: Flags) -> ClientConfig:
    return ClientConfig(
        credentials=credentials(flags),
        alpn_protocols=list(split_protocols(flags.octets("-advertise-alpn"))),
        groups=groups(flags),
        key_shares=key_shares(flags),
        signature_schemes=schemes(flags),
    )


def server_config(flags: Flags) -> ServerConfig:
    own = credentials(flags)
    if own is None:
        raise Unimplemented("a server without a certificate")
    client_auth: Literal["none", "optional", "required"] = "none"
    if "-verify-peer" in flags:
        client_auth = "optional"
    elif "-require-any-client-certificate" in flags:
        client_auth = "required"
    protocols: list[str | bytes] = []
    if "-reject-alpn" in flags:
        protocols = [NO_PROTOCOL]
    elif "-select-alpn" in flags:
        protocols = [flags.octets("-select-alpn")]
    return ServerConfig(
        credentials=own,
        alpn_protocols=protocols,
        groups=groups(flags),
        signature_schemes=schemes(flags),
        client_auth=client_auth,
        # Verification is ours, see install_verification.
        client_trust=None if client_auth == "none" else TrustStore(own.chain),
    )


def install_verification(flags: Flags) -> None:
    """Accept every certificate with a key that may sign, or none, as the test wants it.

    What RFC 5280 wants is no part of the runner's tests, and its certificates would not pass.
    """
    custom = "-use-custom-verify-callback" in flags
    enforced = "-server" in flags or "-verify-peer" in flags or custom
    # What BoringSSL's two interfaces for this send when they refuse.
    alert = AlertDescription["certificate_unknown" if custom else "handshake_failure"]

    def check(
        _: object, chain: Sequence[x509.Certificate], at: object
    ) -> tuple[x509.Certificate, ...]:
        if "-verify-fail" in flags and enforced:
            raise CertificateError("the test wants this certificate refused", alert)
        extensions = chain[0].extensions
        usage = next((e.value for e in extensions if isinstance(e.value, x509.KeyUsage)), None)
        check_leaf_key(chain[0], usage)
        return ()

    client13.check_server = check
    server13.check_client = check


def credentials(flags: Flags) -> Credentials | None:
    certificate, key = flags.text("-cert-file"), flags.text("-key-file")
    if certificate is None or key is None:
        return None
    own = Credentials.from_pem_files(certificate, key)
    if isinstance(own.signer, PrivateKeySigner):
        signer = Signer(own.signer, flags.numbers("-signing-prefs"), "-async" in flags)
        if not signer.schemes:
            raise Unimplemented("credentials that cannot sign are refused when they are made")
        return Credentials(own.chain, signer)
    return own


class Signer:
    """Signs with what ``-signing-prefs`` allows, and with ``-async`` not at once."""

    def __init__(self, signer: PrivateKeySigner, preferences: list[int], later: bool) -> None:
        self._signer = signer
        self._later = later
        self.schemes: Sequence[SignatureScheme] = signer.schemes
        if preferences:
            self.schemes = [
                SignatureScheme(code) for code in preferences if code in signer.schemes
            ]

    def sign(self, scheme: SignatureScheme, message: bytes) -> bytes | Awaitable[bytes]:
        signature = self._signer.sign(scheme, message)
        return Later(signature) if self._later else signature


class Later:
    """A signature that is awaited."""

    def __init__(self, signature: bytes) -> None:
        self._signature = signature

    def __await__(self) -> Generator[None, None, bytes]:
        yield
        return self._signature


def groups(flags: Flags) -> list[str]:
    if not (codes := flags.numbers("-curves")):
        return [group.name for group in DEFAULT_GROUPS]
    unknown = [code for code in codes if code not in GROUPS]
    if unknown:
        raise Unimplemented(f"groups {unknown}")
    return [GROUPS[code].name for code in codes]


def key_shares(flags: Flags) -> list[str] | None:
    """What a program does that knows which groups the server has, or chooses by itself."""
    known = flags.numbers("-server-supported-groups-hint")
    for name in groups(flags):
        if any(code in GROUPS and GROUPS[code].name == name for code in known):
            return [name]
    if chosen := flags.numbers("-key-shares"):
        return [GROUPS[code].name for code in chosen]
    return [] if "-no-key-shares" in flags else None


def schemes(flags: Flags) -> list[str]:
    """What the peer may sign with.

    Schemes that we would never offer are left out; a peer that uses one is refused all the same.
    """
    known = [s.name for s in CERTIFICATE_VERIFY_SCHEMES if s in flags.numbers("-verify-prefs")]
    return known or [scheme.name for scheme in CERTIFICATE_VERIFY_SCHEMES]


def split_protocols(wire: bytes) -> Generator[bytes]:
    while wire:
        length, wire = wire[0], wire[1:]
        yield wire[:length]
        wire = wire[length:]


# Ciphertext to and from a blocking socket


class Transport:
    """Moves ciphertext between the engine and a socket, a byte at a time if it is told to."""

    def __init__(self, connection: Connection, sock: socket.socket, *, one_by_one: bool) -> None:
        self._connection = connection
        self._socket = sock
        self._one_by_one = one_by_one
        self._received = memoryview(b"")

    def flush(self, at_most: int | None = None) -> None:
        """Send the output, or its first bytes."""
        step = 1 if self._one_by_one else None
        while (output := self._connection.pending_output()) and at_most != 0:
            try:
                count = self._socket.send(output[:step])
            except ConnectionError:
                count = len(output)  # what the peer made of it so far is what counts
            self._connection.bytes_sent(count)
            if at_most is not None:
                at_most -= count

    def fill(self) -> None:
        """Receive something."""
        if not self._received:
            with contextlib.suppress(ConnectionError):  # an end like any other
                self._received = memoryview(self._socket.recv(RECEIVE_SIZE))
        count = 1 if self._one_by_one else len(self._received)
        self._connection.receive_data(self._received[:count])
        self._received = self._received[count:]

    def handshake(self) -> None:
        while (want := self._connection.do_handshake()) is not Want.NOTHING:
            if want is Want.WRITE:
                self.flush()
            elif isinstance(want, Question):
                self._connection.answer(settle(want.awaitable))
            else:
                self.fill()

    def read(self, max_bytes: int) -> bytes:
        # What reading puts into the output leaves with the next write.
        while not isinstance(data := self._connection.read(max_bytes), bytes):
            self.fill()
        return data

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._connection.write(rest) :]
            self.flush()

    def close(self) -> None:
        """End the connection such that the peer gets all that was sent, an alert above all."""
        self.flush()
        try:
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv(RECEIVE_SIZE):
                pass
        except OSError:
            pass  # the peer was faster


def settle(awaitable: Awaitable[object] | None) -> object:
    """Run something that needs no event loop to its end."""
    if awaitable is None:
        raise RuntimeError("a question came without anything to await")
    steps = awaitable.__await__()
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


# What happens on a connection


def exchange(flags: Flags, connection: Connection, transport: Transport) -> None:
    """Write and echo as the flags say, then shut down."""
    initial = flags.octets("-shim-initial-write") or INITIAL_WRITE
    if length := flags.number("-export-keying-material"):
        label = flags.octets("-export-label").decode("latin-1")
        context = flags.octets("-export-context")
        transport.write(connection.export_keying_material(label, length, context))
    if "-read-with-unfinished-write" in flags:
        connection.write(memoryview(initial))
        transport.flush(at_most=1)
    elif "-shim-writes-first" in flags:
        for _ in range(flags.number("-repeat-shim-initial-write", 1)):
            transport.write(initial)
    ended_cleanly = False
    if "-shim-shuts-down" not in flags:
        ended_cleanly = echo(flags, transport)
    if "-check-close-notify" not in flags:
        return
    connection.shutdown()
    transport.flush()
    if "-shim-shuts-down" in flags:
        ended_cleanly = await_close_notify(transport)
    if not ended_cleanly:
        raise Disappointed("Unexpected SSL_shutdown result: -1 != 1")


def await_close_notify(transport: Transport) -> bool:
    """Wait for the peer's ``close_notify``, like SSL_shutdown, which wants no data before it."""
    try:
        if transport.read(READ_SIZE):
            raise Disappointed(":APPLICATION_DATA_ON_SHUTDOWN:")
    except Truncated:
        return False
    return True


def echo(flags: Flags, transport: Transport) -> bool:
    """Send everything back with its bits inverted; say whether the end was ``close_notify``."""
    size = flags.number("-read-size") or READ_SIZE
    inverted = bytes(octet ^ 0xFF for octet in range(256))
    try:
        while data := transport.read(size):
            transport.write(data.translate(inverted))
    except Truncated:
        return False
    return True


def check(flags: Flags, connection: Connection, messages: Sequence[str]) -> None:
    """Check that the handshake settled what the flags say it should have."""
    settled = connection.negotiated
    group = next((g.code for g in GROUPS.values() if g.name == settled.group), 0)
    suite = next(s.code for s in CIPHER_SUITES.values() if s.name == settled.cipher_suite)
    scheme = SignatureScheme[settled.signature_scheme] if settled.signature_scheme else 0
    expect_number(flags, "-expect-version", VERSIONS[settled.version])
    expect_number(flags, "-expect-curve-id", group)
    expect_number(flags, "-expect-cipher", suite)
    expect_number(flags, "-expect-peer-signature-algorithm", scheme)
    expect(flags, "-expect-server-name", settled.server_name)
    alpn = "-select-alpn" if "-server" in flags else "-expect-alpn"
    if (settled.alpn_protocol or "").encode("latin-1") != flags.octets(alpn):
        raise Disappointed(f"ALPN: {settled.alpn_protocol!r}")
    retried = messages.count("server_hello") == 2
    if ("-expect-no-hrr" if retried else "-expect-hrr") in flags:
        raise Disappointed(f"HelloRetryRequest: {retried}")
    chain = settled.peer_certificates
    certificate_expected = "-server" not in flags or (
        "-require-any-client-certificate" in flags and "-verify-peer" not in flags
    )
    if "-expect-no-peer-cert" in flags:
        if chain:
            raise Disappointed("a certificate came")
    elif certificate_expected and not chain:
        raise Disappointed("no certificate came")
    if (path := flags.text("-expect-peer-cert-file")) is not None:
        with open(path, "rb") as file:
            if list(chain) != x509.load_pem_x509_certificates(file.read()):
                raise Disappointed("another chain came")
    if connection.do_handshake() is not Want.NOTHING:
        raise Disappointed("a second do_handshake did something")


def expect_number(flags: Flags, name: str, actual: int) -> None:
    if name in flags and flags.number(name) != actual:
        raise Disappointed(f"{name} {flags.number(name):#06x}, but it is {actual:#06x}")


def expect(flags: Flags, name: str, actual: str | None) -> None:
    if name in flags and flags.text(name) != actual:
        raise Disappointed(f"{name} {flags.text(name)!r}, but it is {actual!r}")
