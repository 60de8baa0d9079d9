"""Contenders that block, with a thread for each connection."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from typing import Any

from .configurations import (
    client_context,
    server_context,
    tlslite_credentials,
    tlslite_settings,
)
from .contenders import Contender, Facts, Handler, Program
from .settings import HOST, NAME, PKI, Setting

READ_BYTES = 2**18
STACK_BYTES = 2**18


def complete(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine whose every step blocks, so that it never suspends."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError(f"{coroutine!r} suspended, but there is no event loop")


class OnThreads(Contender):
    """Serves each connection in a thread of its own."""

    max_connections = 1000

    def run(self, program: Program) -> None:
        threading.stack_size(STACK_BYTES)
        complete(program())

    async def together(self, programs: Sequence[Program]) -> None:
        threads = [threading.Thread(target=complete, args=(program(),)) for program in programs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    async def serve(self, handler: Handler, announce: Callable[[int], None]) -> None:
        async def handle(tcp: socket.socket) -> None:
            stream = self.wrap_server(tcp)
            await handler(stream)
            await self.close(stream)

        with socket.create_server((HOST, 0), backlog=4096) as listener:
            announce(listener.getsockname()[1])
            while True:
                tcp, _ = listener.accept()
                tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=complete, args=(handle(tcp),), daemon=True).start()

    async def connect(self, port: int) -> Any:
        tcp = socket.create_connection((HOST, port))
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.wrap_client(tcp)

    def wrap_client(self, tcp: socket.socket) -> Any:
        raise NotImplementedError

    def wrap_server(self, tcp: socket.socket) -> Any:
        raise NotImplementedError


class BlockingStream:
    """A blocking socket under the names of trio's stream."""

    __slots__ = ("tls",)

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self.tls = tls

    async def send_all(self, data: bytes) -> None:
        self.tls.sendall(data)

    async def receive_some(self) -> bytes:
        return self.tls.recv(READ_BYTES)


class BlockingSSL(OnThreads):
    name = "blocking ssl"
    module = "ssl"
    full_duplex = False  # an SSLSocket is not safe in two threads at once
    notes = "a thread for each connection"

    def __init__(self, pki: PKI, setting: Setting) -> None:
        super().__init__(pki, setting)
        self._client = client_context(pki, setting)
        self._server = server_context(pki, setting)

    def wrap_client(self, tcp: socket.socket) -> Any:
        return BlockingStream(self._client.wrap_socket(tcp, server_hostname=NAME))

    def wrap_server(self, tcp: socket.socket) -> Any:
        return BlockingStream(self._server.wrap_socket(tcp, server_side=True))

    async def close(self, stream: Any) -> None:
        stream.tls.close()

    def facts(self, stream: Any) -> Facts:
        return Facts(stream.tls.cipher()[0], stream.tls.session_reused)

    def keep_session(self, stream: Any) -> None:
        self._client.session_to_resume = stream.tls.session


class TLSLiteStream:
    """tlslite's connection under the names of trio's stream."""

    __slots__ = ("tls",)

    def __init__(self, tls: Any) -> None:
        self.tls = tls

    async def send_all(self, data: bytes) -> None:
        self.tls.sendall(data)

    async def receive_some(self) -> bytes:
        return bytes(self.tls.recv(READ_BYTES))


class TLSLite(OnThreads):
    name = "tlslite-ng"
    module = "tlslite"
    package = "tlslite-ng"
    slowness = 1024
    plain_only = True
    full_duplex = False
    max_connections = 10
    notes = "pure Python; it verifies no certificate chain"

    def __init__(self, pki: PKI, setting: Setting) -> None:
        super().__init__(pki, setting)
        self._api: Any = import_module("tlslite.api")
        self._names: Any = import_module("tlslite.constants").CipherSuite.ietfNames
        self._settings = tlslite_settings(self._api, setting)
        self._session: Any = None
        self._chain, self._key = tlslite_credentials(self._api, pki, setting)

    def wrap_client(self, tcp: socket.socket) -> Any:
        tls = self._api.TLSConnection(tcp)
        tls.handshakeClientCert(settings=self._settings, serverName=NAME, session=self._session)
        return TLSLiteStream(tls)

    def wrap_server(self, tcp: socket.socket) -> Any:
        tls = self._api.TLSConnection(tcp)
        tls.handshakeServer(certChain=self._chain, privateKey=self._key, settings=self._settings)
        return TLSLiteStream(tls)

    async def close(self, stream: Any) -> None:
        stream.tls.close()
        stream.tls.sock.close()

    def facts(self, stream: Any) -> Facts:
        return Facts(self._names.get(stream.tls.session.cipherSuite), stream.tls.resumed)

    def keep_session(self, stream: Any) -> None:
        self._session = stream.tls.session
