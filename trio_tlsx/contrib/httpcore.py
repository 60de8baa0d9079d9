"""Use this library for TLS in httpcore: ``pip install trio-tlsx[httpcore]``.

::

    backend = Backend(ClientConfig(alpn_protocols=["h2", "http/1.1"]))
    async with httpcore.AsyncConnectionPool(http2=True, network_backend=backend) as pool:
        response = await pool.request("GET", "https://server.example/")
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any, TypeAlias

import httpcore
import trio

from ..config.client import ClientConfig
from ..io.stream import TLSStream

__all__ = ["Backend", "ConfigChoice"]

#: One configuration for all servers, one for each name, or httpcore's own ``ssl_context``.
ConfigChoice: TypeAlias = "ClientConfig | Callable[[str], ClientConfig] | None"


class Backend(httpcore.AsyncNetworkBackend):
    """A network backend for httpcore, on trio, with TLS of this library.

    Args:
        config: the configuration for all servers, or a function that returns the configuration for
            a server's name, for example if a proxy has another CA. ``alpn_protocols`` enables
            HTTP/2; do not offer ``h2`` to a proxy, since httpcore uses only HTTP/1.1 with proxies.
            If it is None, OpenSSL implements TLS, with the ``ssl_context`` of httpcore.
    """

    def __init__(self, config: ConfigChoice = None) -> None:
        self._config = config

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect over TCP.

        Raises:
            httpcore.ConnectTimeout: connecting took longer than ``timeout`` seconds.
            httpcore.ConnectError: connecting failed.
        """
        with _within(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
            stream = await trio.open_tcp_stream(host, port, local_address=local_address)
        return _with_options(stream, socket_options, self._config)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a Unix socket. See :meth:`connect_tcp`."""
        with _within(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
            stream = await trio.open_unix_socket(path)
        return _with_options(stream, socket_options, self._config)

    async def sleep(self, seconds: float) -> None:
        """Wait before the next attempt to connect."""
        await trio.sleep(seconds)


def _with_options(
    stream: trio.SocketStream,
    socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    config: ConfigChoice,
) -> _Stream:
    set_option: Callable[..., None] = stream.socket.setsockopt
    for option in socket_options or ():
        set_option(*option)
    return _Stream(stream, stream.socket, config)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection with any number of TLS layers."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        socket: trio.socket.SocketType,
        config: ConfigChoice,
        tls: TLSStream[Any] | None = None,
    ) -> None:
        self._stream = stream
        self._tls = tls  # has the methods of an ssl.SSLObject
        self._socket = socket
        self._config = config
        self._is_tls = isinstance(stream, TLSStream)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _within(timeout, httpcore.ReadTimeout, httpcore.ReadError):
            return bytes(await self._stream.receive_some(max_bytes))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        with _within(timeout, httpcore.WriteTimeout, httpcore.WriteError):
            await self._stream.send_all(buffer)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        config = self._config(server_hostname or "") if callable(self._config) else self._config
        try:
            stream = TLSStream(
                self._stream,
                config or ssl_context,
                server_hostname=server_hostname,
                https_compatible=True,  # HTTP messages carry their own length
            )
        except ValueError as error:  # an invalid server name
            await self.aclose()
            raise httpcore.ConnectError(str(error)) from error
        try:
            with _within(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
                await stream.do_handshake()
        except Exception:
            await stream.aclose()
            raise
        return _Stream(stream, self._socket, self._config, stream)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._tls
        if info == "client_addr":
            return self._socket.getsockname()
        if info == "server_addr":
            return self._socket.getpeername()
        if info == "socket":
            return self._socket
        if info == "is_readable":
            return self._socket.is_readable()
        return None


@contextmanager
def _within(
    timeout: float | None, too_slow: type[Exception], broken: type[Exception]
) -> Generator[None, None, None]:
    """Apply a timeout in seconds, and convert errors to those of httpcore."""
    try:
        with trio.fail_after(math.inf if timeout is None else timeout):
            yield
    except trio.TooSlowError as error:
        raise too_slow(f"the operation took longer than {timeout} seconds") from error
    except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
        raise broken(str(error)) from error
