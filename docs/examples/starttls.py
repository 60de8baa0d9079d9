"""Plaintext that becomes TLS: SMTP, IMAP and PostgreSQL, as client and as server.

Usage: python starttls.py client smtp|imap|postgres HOST PORT CA_FILE
       python starttls.py server smtp|imap|postgres CERT_FILE KEY_FILE PORT
"""

import sys
from collections.abc import Awaitable, Callable
from functools import partial

import trio

import trio_tlsx
from trio_tlsx import ClientConfig, ServerConfig, TLSStream

TIMEOUT = 30  # seconds, for the plaintext and for the handshake
MAX_LINE = 4096  # bytes; a longer line, or message of PostgreSQL, ends the connection

SSL_REQUEST = bytes.fromhex("00000008 04d2162f")
GSS_REQUEST = bytes.fromhex("00000008 04d21630")


class ConversationEnded(Exception):
    """The peer does not start TLS, or has ended the conversation."""


class Reader:
    """Reads lines and messages from a stream.

    Attributes:
        unread: what was read beyond them. At the upgrade it is the first ciphertext. If it is
            plaintext that an attacker added, it must not be used after the handshake.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.unread = b""

    async def read_more(self) -> None:
        """Read what has come."""
        if len(self.unread) > MAX_LINE:
            raise ConversationEnded(f"a line or message of more than {MAX_LINE} bytes")
        data = await self.stream.receive_some(MAX_LINE)
        if not data:
            raise ConversationEnded("the peer has closed the connection")
        self.unread += data

    async def line(self) -> str:
        """Return a line without its end."""
        while b"\n" not in self.unread:
            await self.read_more()
        line, _, self.unread = self.unread.partition(b"\n")
        return line.decode("latin-1").rstrip("\r")

    async def exactly(self, count: int) -> bytes:
        """Return so many bytes."""
        while len(self.unread) < count:
            await self.read_more()
        data, self.unread = self.unread[:count], self.unread[count:]
        return data

    async def send(self, *lines: str) -> None:
        """Send lines."""
        await self.stream.send_all("".join(f"{line}\r\n" for line in lines).encode())


# Clients


async def smtp_reply(reader: Reader, code: str) -> list[str]:
    """Return a reply, which may have several lines (RFC 5321 4.2)."""
    lines = [await reader.line()]
    while lines[-1][3:4] == "-":
        lines.append(await reader.line())
    if not lines[-1].startswith(code):
        raise ConversationEnded(lines[-1])
    return lines


async def request_smtp(reader: Reader) -> None:
    """Ask an SMTP server to start TLS (RFC 3207)."""
    await smtp_reply(reader, "220")
    await reader.send("EHLO client.example")
    await smtp_reply(reader, "250")
    await reader.send("STARTTLS")
    await smtp_reply(reader, "220")


async def request_imap(reader: Reader) -> None:
    """Ask an IMAP server to start TLS (RFC 9051 6.2.1)."""
    await reader.line()  # the greeting
    await reader.send("a STARTTLS")
    while not (line := await reader.line()).startswith("a "):
        pass
    if not line.upper().startswith("A OK"):
        raise ConversationEnded(line)


async def request_postgres(reader: Reader) -> None:
    """Ask PostgreSQL to start TLS ("SSL Session Encryption" in its manual)."""
    await reader.stream.send_all(SSL_REQUEST)
    if (answer := await reader.exactly(1)) != b"S":
        raise ConversationEnded(f"answered {answer!r} to SSLRequest")


async def use_smtp(reader: Reader) -> str:
    """Begin anew: the server has forgotten what it was told before TLS."""
    await reader.send("EHLO client.example")
    return (await smtp_reply(reader, "250"))[0]


async def use_imap(reader: Reader) -> str:
    """Ask again what the server can do: its earlier answers were not protected."""
    await reader.send("b CAPABILITY")
    return await reader.line()


async def use_postgres(reader: Reader) -> str:
    """Log in, and return the type of the first answer: ``R`` asks for authentication."""
    parameters = (3 << 16).to_bytes(4) + b"user\0postgres\0database\0postgres\0\0"
    await reader.stream.send_all((len(parameters) + 4).to_bytes(4) + parameters)
    return (await reader.exactly(1)).decode("latin-1")


Request = Callable[[Reader], Awaitable[None]]
REQUESTS: dict[str, Request] = {
    "smtp": request_smtp,
    "imap": request_imap,
    "postgres": request_postgres,
}
USES = {"smtp": use_smtp, "imap": use_imap, "postgres": use_postgres}


async def connect(
    protocol: str, host: str, port: int, config: ClientConfig
) -> TLSStream[trio.SocketStream]:
    """Connect, and upgrade the connection to TLS."""
    stream = await trio.open_tcp_stream(host, port)
    reader = Reader(stream)
    try:
        with trio.fail_after(TIMEOUT):
            await REQUESTS[protocol](reader)
        return TLSStream(
            stream,
            config,
            server_hostname=host,
            handshake_timeout=TIMEOUT,
            received=reader.unread,
        )
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


async def run_client(protocol: str, host: str, port: int, ca_file: str) -> None:
    """Upgrade a connection, and use it once."""
    config = ClientConfig(trust=ca_file)
    async with await connect(protocol, host, port, config) as stream:
        answer = await USES[protocol](Reader(stream))
        print(stream.negotiated.version, answer)


# Servers


async def accept_smtp(reader: Reader, *, secure: bool = False) -> None:
    """Serve SMTP until STARTTLS; over TLS until QUIT."""
    if not secure:
        await reader.send("220 mail.example ESMTP")
    while True:
        match (await reader.line()).upper().split():
            case ["EHLO", *_]:
                offer = ["250 8BITMIME"] if secure else ["250 STARTTLS"]
                await reader.send("250-mail.example", *offer)
            case ["STARTTLS"] if not secure:
                await reader.send("220 Go ahead")
                return
            case ["QUIT"]:
                await reader.send("221 Bye")
                raise ConversationEnded("the client has quit")
            case ["NOOP", *_]:
                await reader.send("250 OK")
            case _:
                await reader.send("502 Unknown command" if secure else "530 STARTTLS first")


async def accept_imap(reader: Reader, *, secure: bool = False) -> None:
    """Serve IMAP until STARTTLS; over TLS until LOGOUT."""
    capabilities = "IMAP4rev1" if secure else "IMAP4rev1 STARTTLS LOGINDISABLED"
    if not secure:
        await reader.send(f"* OK [CAPABILITY {capabilities}] ready")
    while True:
        tag, _, command = (await reader.line()).partition(" ")
        match command.upper():
            case "CAPABILITY":
                await reader.send(f"* CAPABILITY {capabilities}", f"{tag} OK done")
            case "STARTTLS" if not secure:
                await reader.send(f"{tag} OK go ahead")
                return
            case "LOGOUT":
                await reader.send("* BYE", f"{tag} OK bye")
                raise ConversationEnded("the client has logged out")
            case "NOOP":
                await reader.send(f"{tag} OK done")
            case _:
                await reader.send(f"{tag} BAD unknown command")


async def accept_postgres(reader: Reader, *, secure: bool = False) -> None:
    """Serve PostgreSQL's protocol until SSLRequest; over TLS until the client terminates."""
    while not secure:
        request = await reader.exactly(8)
        if request == SSL_REQUEST:
            await reader.stream.send_all(b"S")
            return
        if request != GSS_REQUEST:
            raise ConversationEnded("the client did not ask for TLS")
        await reader.stream.send_all(b"N")
    await reader.exactly(int.from_bytes(await reader.exactly(4)) - 4)  # who logs in, and where
    await reader.stream.send_all(message(b"R", bytes(4)) + message(b"Z", b"I"))
    while await reader.exactly(1) == b"Q":
        await reader.exactly(int.from_bytes(await reader.exactly(4)) - 4)
        await reader.stream.send_all(message(b"C", b"HELLO\0") + message(b"Z", b"I"))
    raise ConversationEnded("the client has terminated")


def message(kind: bytes, content: bytes) -> bytes:
    """Return a message of PostgreSQL's protocol."""
    return kind + (len(content) + 4).to_bytes(4) + content


ACCEPT = {"smtp": accept_smtp, "imap": accept_imap, "postgres": accept_postgres}


async def serve(protocol: str, config: ServerConfig, stream: trio.SocketStream) -> None:
    """Serve one connection: plaintext until the client asks for TLS, then TLS."""
    reader = Reader(stream)
    async with stream:
        try:
            with trio.fail_after(TIMEOUT):
                await ACCEPT[protocol](reader)
        except (ConversationEnded, trio.TooSlowError, trio.BrokenResourceError) as error:
            print("no TLS:", error or "too slow", flush=True)
            return
        tls = TLSStream(stream, config, handshake_timeout=TIMEOUT, received=reader.unread)
        await trio_tlsx.handshake_first(partial(serve_tls, protocol))(tls)


async def serve_tls(protocol: str, stream: TLSStream[trio.SocketStream]) -> None:
    """Serve the protocol anew: nothing that was said before TLS counts."""
    async with stream:
        try:
            await ACCEPT[protocol](Reader(stream), secure=True)
        except ConversationEnded as error:
            print("over TLS:", error, flush=True)


async def run_server(protocol: str, cert_file: str, key_file: str, port: int) -> None:
    """Serve until Ctrl-C."""
    config = ServerConfig(credentials=trio_tlsx.Credentials.from_pem_files(cert_file, key_file))
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    print("listening on port", listeners[0].socket.getsockname()[1], flush=True)
    await trio.serve_listeners(partial(serve, protocol, config), listeners)


if __name__ == "__main__":
    try:
        match sys.argv[1:]:
            case ["client", ("smtp" | "imap" | "postgres") as name, host, port, ca]:
                trio.run(run_client, name, host, int(port), ca)
            case ["server", ("smtp" | "imap" | "postgres") as name, cert, key, port]:
                trio.run(run_server, name, cert, key, int(port))
            case _:
                sys.exit(__doc__)
    except* KeyboardInterrupt:
        pass
