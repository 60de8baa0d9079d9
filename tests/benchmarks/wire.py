"""Read the ServerHello of a connection on the wire, because libraries report too little.

The stdlib does not report the group before Python 3.15. pyOpenSSL does not report whether a
handshake resumed. A relay between client and server reads both, and the suite, from the
ServerHello (RFC 9846 4.2.3), in TLS 1.2 also from the messages after it (RFC 5246 7.3).
"""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from dataclasses import dataclass

from .settings import AES_128, AES_128_12, AES_256, CHACHA20, HOST

SUITES = {0x1301: AES_128, 0x1302: AES_256, 0x1303: CHACHA20, 0xC02B: AES_128_12}
GROUPS = {0x001D: "x25519", 0x0017: "secp256r1", 0x0018: "secp384r1", 0x11EC: "X25519MLKEM768"}

EXTENSION_HEADER = struct.Struct(">HH")
CHANGE_CIPHER_SPEC, HANDSHAKE = 20, 22
SERVER_HELLO, SERVER_KEY_EXCHANGE = 2, 12
KEY_SHARE, PRE_SHARED_KEY = 51, 41
HELLO_RETRY_REQUEST = hashlib.sha256(b"HelloRetryRequest").digest()  # RFC 9846 4.2.3


@dataclass(frozen=True)
class OnTheWire:
    suite: str
    group: str
    resumed: bool
    hello_retry_request: bool


def read_server_hello(data: bytes) -> OnTheWire | None:
    """Read what a server sent; None if the messages that are needed are not complete."""
    messages, retried = b"", False
    suite = ""
    while len(data) >= 5:
        content_type, length = data[0], int.from_bytes(data[3:5])
        fragment, data = data[5 : 5 + length], data[5 + length :]
        if len(fragment) < length:
            return None
        if content_type == CHANGE_CIPHER_SPEC and suite:
            return OnTheWire(suite, "", True, retried)  # TLS 1.2, without a key exchange
        if content_type != HANDSHAKE:
            continue
        messages += fragment
        while len(messages) >= 4 and len(messages) >= (end := 4 + int.from_bytes(messages[1:4])):
            message, messages = messages[:end], messages[end:]
            if message[0] == SERVER_KEY_EXCHANGE:
                group = int.from_bytes(message[5:7])
                return OnTheWire(suite, GROUPS.get(group, hex(group)), False, retried)
            if message[0] != SERVER_HELLO:
                continue
            if message[6:38] == HELLO_RETRY_REQUEST:
                retried = True
                continue
            suite, extensions = _read_message(message)
            if KEY_SHARE in extensions:
                group = int.from_bytes(extensions[KEY_SHARE][:2])
                resumed = PRE_SHARED_KEY in extensions
                return OnTheWire(suite, GROUPS.get(group, hex(group)), resumed, retried)
    return None


def _read_message(message: bytes) -> tuple[str, dict[int, bytes]]:
    """Return the suite and the extensions of a ServerHello."""
    at = 39 + message[38]  # header, version, random, legacy_session_id_echo
    suite = int.from_bytes(message[at : at + 2])
    at += 5  # the suite, the compression method, the length of the extensions
    extensions: dict[int, bytes] = {}
    while at < 4 + int.from_bytes(message[1:4]):
        kind, length = EXTENSION_HEADER.unpack_from(message, at)
        extensions[kind] = message[at + 4 : at + 4 + length]
        at += 4 + length
    return SUITES.get(suite, hex(suite)), extensions


class Relay:
    """A relay for one connection to a port."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._from_server = b""
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        self._listener.close()
        with client, socket.create_connection((HOST, self._to)) as server:
            back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
            back.start()
            self._pump(client, server)
            back.join()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        from_server = source.getpeername()[1] == self._to
        try:
            while data := source.recv(65536):
                if from_server:
                    self._from_server += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # a peer that closes at once resets the connection
            return

    def result(self) -> OnTheWire | None:
        return read_server_hello(self._from_server)
