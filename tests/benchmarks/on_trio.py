"""Contenders on trio."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

import trio

from .configurations import client_context, ours, pyopenssl, server_context
from .contenders import Contender, Facts, Handler, Program
from .settings import HOST, NAME, PKI, Setting


class OnTrio(Contender):
    """Serves and connects with trio's own streams, which a subclass wraps.

    Attributes:
        wraps: the subclass wraps a stream, and leaves all system calls to it, so that both can be
            counted over a socket pair.
    """

    module = "trio"
    wraps: ClassVar[bool] = True

    def run(self, program: Program) -> None:
        trio.run(program)

    async def together(self, programs: Sequence[Program]) -> None:
        async with trio.open_nursery() as nursery:
            for program in programs:
                nursery.start_soon(program)

    async def serve(self, handler: Handler, announce: Callable[[int], None]) -> None:
        async def handle(tcp: trio.SocketStream) -> None:
            stream = self.wrap_server(tcp)
            await handler(stream)
            await self.close(stream)

        [listener] = await trio.open_tcp_listeners(0, host=HOST, backlog=4096)
        announce(listener.socket.getsockname()[1])
        await trio.serve_listeners(handle, [listener])

    async def connect(self, port: int) -> Any:
        return self.wrap_client(await trio.open_tcp_stream(HOST, port))

    async def close(self, stream: Any) -> None:
        await stream.aclose()

    def pair(self) -> tuple[Any, Any]:
        """Return a client and a server over a socket pair, both in this process."""
        one, other = (
            trio.SocketStream(trio.socket.from_stdlib_socket(end))
            for end in socket.socketpair(socket.AF_UNIX)
        )
        return self.wrap_client(one), self.wrap_server(other)

    def wrap_client(self, tcp: trio.SocketStream) -> Any:
        raise NotImplementedError

    def wrap_server(self, tcp: trio.SocketStream) -> Any:
        raise NotImplementedError


class RawTCP(OnTrio):
    name = "raw trio TCP"
    tls = False
    resumes = False
    notes = "without TLS: a limit"

    def wrap_client(self, tcp: trio.SocketStream) -> trio.SocketStream:
        return tcp

    wrap_server = wrap_client

    def facts(self, stream: Any) -> Facts:
        return Facts(None, None)


class Ours(OnTrio):
    name = "trio_tlsx"
    module = "trio_tlsx"
    package = "trio-tlsx"

    def __init__(self, pki: PKI, setting: Setting) -> None:
        super().__init__(pki, setting)
        self._stream: Any = import_module("trio_tlsx").TLSStream
        self._client, self._server = ours(pki, setting)

    def wrap_client(self, tcp: trio.SocketStream) -> Any:
        return self._stream(tcp, self._client, server_hostname=NAME)

    def wrap_server(self, tcp: trio.SocketStream) -> Any:
        return self._stream(tcp, self._server)

    def facts(self, stream: Any) -> Facts:
        return Facts(stream.negotiated.cipher_suite, stream.negotiated.resumed)


class TrioSSL(OnTrio):
    name = "trio.SSLStream"

    def __init__(self, pki: PKI, setting: Setting) -> None:
        super().__init__(pki, setting)
        self._client = client_context(pki, setting)
        self._server = server_context(pki, setting)

    def wrap_client(self, tcp: trio.SocketStream) -> Any:
        return trio.SSLStream(tcp, self._client, server_hostname=NAME)

    def wrap_server(self, tcp: trio.SocketStream) -> Any:
        return trio.SSLStream(tcp, self._server, server_side=True)

    def facts(self, stream: Any) -> Facts:
        return Facts(stream.cipher()[0], stream.session_reused)

    def keep_session(self, stream: Any) -> None:
        self._client.session_to_resume = stream.session


class AnyIO(OnTrio):
    name = "anyio on trio"
    module = "anyio"
    wraps = False
    max_connections = 1000
    notes = "standard_compatible=False, so that closing does not wait for the peer"

    def __init__(self, pki: PKI, setting: Setting) -> None:
        super().__init__(pki, setting)
        self._anyio: Any = import_module("anyio")
        self._tls: Any = import_module("anyio.streams.tls")
        self._client = client_context(pki, setting)
        self._server = server_context(pki, setting)

    async def serve(self, handler: Handler, announce: Callable[[int], None]) -> None:
        async def handle(stream: Any) -> None:
            adapter = AnyIOStream(stream, self._anyio.EndOfStream)
            await handler(adapter)
            await self.close(adapter)

        tcp = await self._anyio.create_tcp_listener(local_host=HOST, backlog=4096)
        announce(tcp.extra(self._anyio.abc.SocketAttribute.local_port))
        await self._tls.TLSListener(tcp, self._server, standard_compatible=False).serve(handle)

    async def connect(self, port: int) -> Any:
        stream = await self._anyio.connect_tcp(
            HOST,
            port,
            ssl_context=self._client,
            tls_hostname=NAME,
            tls_standard_compatible=False,
        )
        return AnyIOStream(stream, self._anyio.EndOfStream)

    async def close(self, stream: Any) -> None:
        await stream.stream.aclose()

    def facts(self, stream: Any) -> Facts:
        tls = self._ssl_object(stream)
        return Facts(tls.cipher()[0], tls.session_reused)

    def keep_session(self, stream: Any) -> None:
        self._client.session_to_resume = self._ssl_object(stream).session

    def _ssl_object(self, stream: Any) -> Any:
        return stream.stream.extra(self._tls.TLSAttribute.ssl_object)


class AnyIOStream:
    """anyio's stream under the names of trio's."""

    __slots__ = ("_end", "send_all", "stream")

    def __init__(self, stream: Any, end: type[Exception]) -> None:
        self.stream = stream
        self.send_all = stream.send
        self._end = end

    async def receive_some(self) -> bytes:
        try:
            return await self.stream.receive()
        except self._end:
            return b""


class PyOpenSSL(OnTrio):
    name = "pyOpenSSL"
    module = "OpenSSL"
    wraps = False
    max_connections = 1000
    package = "pyopenssl"
    notes = "over wait_readable, no checkpoint if nothing has to wait; it verifies no host name"

    def __init__(self, pki: PKI, setting: Setting) -> None:
        super().__init__(pki, setting)
        self._ssl: Any = import_module("OpenSSL.SSL")
        self._session: Any = None
        self._client, self._server = pyopenssl(self._ssl, pki, setting)

    def wrap_client(self, tcp: trio.SocketStream) -> Any:
        stream = PyOpenSSLStream(self._ssl, self._client, tcp)
        stream.tls.set_connect_state()
        stream.tls.set_tlsext_host_name(NAME.encode())
        if self._session:
            stream.tls.set_session(self._session)
        return stream

    def wrap_server(self, tcp: trio.SocketStream) -> Any:
        stream = PyOpenSSLStream(self._ssl, self._server, tcp)
        stream.tls.set_accept_state()
        return stream

    def facts(self, stream: Any) -> Facts:
        return Facts(stream.tls.get_cipher_name(), None)

    def keep_session(self, stream: Any) -> None:
        self._session = stream.tls.get_session()


class PyOpenSSLStream:
    """A stream over pyOpenSSL's connection, as a program would write it."""

    def __init__(self, module: Any, context: Any, tcp: trio.SocketStream) -> None:
        self._module = module
        self._socket = socket.socket(fileno=tcp.socket.detach())
        self._socket.setblocking(False)
        self.tls: Any = module.Connection(context, self._socket)

    async def _retry(self, operation: Callable[[], Any]) -> Any:
        while True:
            try:
                return operation()
            except self._module.WantReadError:
                await trio.lowlevel.wait_readable(self._socket)
            except self._module.WantWriteError:
                await trio.lowlevel.wait_writable(self._socket)

    async def send_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[await self._retry(partial(self.tls.send, view)) :]

    async def receive_some(self) -> bytes:
        try:
            return await self._retry(partial(self.tls.recv, 2**16))
        except (self._module.ZeroReturnError, self._module.SysCallError):
            return b""

    async def aclose(self) -> None:
        with suppress(self._module.Error):
            self.tls.shutdown()
        self._socket.close()
        await trio.lowlevel.checkpoint()
