"""A TLS server whose key is in another process, which signs over a Unix socket.

Usage: python remote_signer.py keep CERT_FILE KEY_FILE SOCKET_FILE
       python remote_signer.py serve CERT_FILE SOCKET_FILE PORT
"""

import os
import sys
from pathlib import Path
from typing import cast

import trio
from cryptography import x509

import trio_tlsx
from trio_tlsx import SignatureScheme

MAX_LENGTH = 4096  # bytes; a handshake signs far less

#: The start of every message that a TLS server signs (RFC 9846 4.5.2). Nothing else is signed, so
#: an attacker who controls the server cannot have other data signed with its key.
SERVER_HANDSHAKE = b" " * 64 + b"TLS 1.3, server CertificateVerify\0"

# A request is the scheme, in two bytes, and the message. The answer is the signature, or empty if
# the request is rejected. Each ends with the end of its direction.


async def receive_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Receive up to the end. Raise ValueError if the data is too long."""
    data = b""
    async for part in stream:
        data += part
        if len(data) > MAX_LENGTH:
            raise ValueError("too long")
    return data


async def keep(cert_file: str, key_file: str, socket_file: str) -> None:
    """Sign for every process that may open the socket. Run this as another user."""
    credentials = trio_tlsx.Credentials.from_pem_files(cert_file, key_file)
    signer = cast("trio_tlsx.PrivateKeySigner", credentials.signer)

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                request = await receive_all(stream)
                scheme, message = SignatureScheme(int.from_bytes(request[:2])), request[2:]
                if not message.startswith(SERVER_HANDSHAKE):
                    raise ValueError("not a TLS server's handshake")
                await stream.send_all(signer.sign(scheme, message))
            except (ValueError, trio.BrokenResourceError) as error:
                print("refused:", error, file=sys.stderr)

    listening = trio.socket.socket(trio.socket.AF_UNIX)
    umask = os.umask(0o117)  # only the owner and the group of the socket may use it
    try:
        await listening.bind(socket_file)
    finally:
        os.umask(umask)
    listening.listen()
    print("signing on port", 0, flush=True)
    await trio.serve_listeners(answer, [trio.SocketListener(listening)])


class RemoteSigner:
    """A signer whose key is in the other process."""

    def __init__(self, certificate: x509.Certificate, socket_file: str) -> None:
        self.schemes = trio_tlsx.schemes_for(certificate)
        self._socket_file = socket_file

    async def sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        """Send the message to the other process, and return its signature."""
        async with await trio.open_unix_socket(self._socket_file) as stream:
            await stream.send_all(scheme.to_bytes(2) + message)
            await stream.send_eof()
            return await receive_all(stream)


async def greet(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    """Serve one connection."""
    async with stream:
        await stream.send_all(b"hello\n")


async def serve(cert_file: str, socket_file: str, port: int) -> None:
    """Serve until Ctrl-C. If a signature fails, only that handshake fails."""
    chain = x509.load_pem_x509_certificates(Path(cert_file).read_bytes())  # noqa: ASYNC240
    credentials = trio_tlsx.Credentials(chain, RemoteSigner(chain[0], socket_file))
    # In TLS 1.2 a signature has no such start, so the signer could not tell what it signs.
    config = trio_tlsx.ServerConfig(credentials=credentials, versions=["TLSv1.3"])
    tcp_listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    print("listening on port", tcp_listeners[0].socket.getsockname()[1], flush=True)
    tls_listeners = [trio_tlsx.TLSListener(listener, config) for listener in tcp_listeners]
    await trio.serve_listeners(trio_tlsx.handshake_first(greet), tls_listeners)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    command, *arguments = sys.argv[1:]
    try:
        if command == "keep":
            trio.run(keep, arguments[0], arguments[1], arguments[2])
        else:
            trio.run(serve, arguments[0], arguments[1], int(arguments[2]))
    except* KeyboardInterrupt:
        pass
