"""Servers and clients over TCP.

A server must survive every client. :func:`handshake_first` does the handshake in the connection's
own task, and logs the faults of one connection instead of raising them in the server's nursery.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, NoReturn, TypeAlias, TypeVar, cast

import trio

from ..config.client import ClientConfig
from ..config.server import ServerConfig
from ..driver.containment import HANDSHAKE_TIMEOUT, handle_connection
from ..engine.select import engine_for
from ..errors import ConfigError, ECHRejected
from ..pki.describe import socket_address
from .endpoints import SocketAddress, local_address_of, port_of, socket_of
from .library import TRIO
from .proxy_protocol import ProxiedStream
from .stream import TLSStream

__all__ = [
    "HAPPY_EYEBALLS_DELAY",
    "OpenTransport",
    "TLSListener",
    "WrapTransport",
    "connect_and_wrap",
    "do_handshake_with_ech_retry",
    "handshake_first",
    "open_tls_over_tcp_listeners",
    "open_tls_over_tcp_stream",
    "serve_tls_over_tcp",
]

T_Stream = TypeVar("T_Stream", bound=trio.abc.Stream)

#: The time that trio waits between two addresses of a host, in seconds (RFC 8305 5).
HAPPY_EYEBALLS_DELAY = 0.25


class TLSListener(trio.abc.Listener[TLSStream[T_Stream]], Generic[T_Stream]):
    """Accepts connections of another listener as :class:`TLSStream`.

    :meth:`accept` does not do the handshake, so that a slow client does not delay others. The
    first method called on the stream does it, and raises if it fails. Wrap a handler in
    :func:`handshake_first` to have failures logged instead.

    Args:
        transport_listener: the listener below; it belongs to this one from now on.
        config: the configuration of every connection.
        https_compatible: as for :class:`TLSStream`.
        handshake_timeout: as for :class:`TLSStream`, in seconds; None for no limit.

    Raises:
        ConfigError: this configuration is not for servers.
        TypeError: this is no configuration.

    Attributes:
        transport_listener: the listener below.
        config: the configuration of every connection.
    """

    def __init__(
        self,
        transport_listener: trio.abc.Listener[T_Stream],
        config: ServerConfig | ssl.SSLContext,
        *,
        https_compatible: bool = False,
        handshake_timeout: float | None = None,
    ) -> None:
        engine_for(config, None, True)  # raise here, not for the first client
        self.transport_listener = transport_listener
        self.config = config
        self._https_compatible = https_compatible
        self._handshake_timeout = math.inf if handshake_timeout is None else handshake_timeout

    @property
    def local_address(self) -> SocketAddress | None:
        """The address that this listener is bound to, as :meth:`socket.socket.getsockname`.

        None if the listener below is not over a socket, or the socket is closed.
        """
        return local_address_of(self.transport_listener)

    @property
    def port(self) -> int:
        """The TCP port that this listener is bound to; for port 0, the one that was selected.

        Raises:
            RuntimeError: the listener is closed, or it is not over a TCP socket.
        """
        return port_of(self.transport_listener)

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket that this listener accepts connections from.

        Raises:
            RuntimeError: the listener is not over a socket.
        """
        return socket_of(self.transport_listener)

    async def accept(self) -> TLSStream[T_Stream]:
        """Accept the next connection. If cancelled, no connection is lost.

        Raises:
            OSError: from the listener below, for example if there are no file descriptors left.
        """
        transport_stream = await self.transport_listener.accept()
        try:
            return TLSStream(
                transport_stream,
                self.config,
                server_side=True,
                https_compatible=self._https_compatible,
                handshake_timeout=self._handshake_timeout,
            )
        except BaseException:
            await trio.aclose_forcefully(transport_stream)
            raise

    async def aclose(self) -> None:
        """Close the listener below; the connections that it accepted stay open.

        If cancelled, it is closed nevertheless.
        """
        await self.transport_listener.aclose()


def handshake_first(
    handler: Callable[[TLSStream[T_Stream]], Awaitable[object]],
    *,
    replayable_early_data: bool = False,
    raise_connection_errors: bool = False,
) -> Callable[[TLSStream[T_Stream]], Awaitable[None]]:
    """Call a handler after the handshake, and log the faults of one connection.

    Anybody on the network can make a handshake fail or reset a connection, and neither must end
    the server. Use this around the handler of :func:`trio.serve_listeners`, and of functions that
    are built on it. Each of these exceptions is logged in one line by the logger ``trio_tlsx``,
    and the connection is closed:

    - **in the handshake: every** :exc:`Exception`, with its traceback unless it is a
      :exc:`trio.BrokenResourceError`;
    - **in the handler: a** :exc:`trio.BrokenResourceError` **that this very stream raised**, alone
      or as every leaf of an exception group.

    Everything else that the handler raises reaches the server's nursery, as in trio: errors of
    your program, :exc:`trio.ClosedResourceError` and :exc:`trio.BusyResourceError`, the errors of
    other streams and channels, and groups that contain any of these. A cancellation always
    continues.

    Args:
        handler: called with each connection, in the connection's own task. It closes the stream:
            trio closes the connection after it without ``close_notify``.
        replayable_early_data: accept early data, and call the handler as soon as there is some,
            before the handshake is complete. The handler must then call
            :meth:`TLSStream.receive_replayable_early_data` until that returns ``b""``.
        raise_connection_errors: also raise the errors that are otherwise logged.

    Returns:
        A handler that does the handshake first.
    """

    async def handle(stream: TLSStream[T_Stream]) -> None:
        peer = peer_of(stream.transport_stream)
        await handle_connection(
            stream,
            handler,
            lambda: behind_proxy(stream.transport_stream, peer),
            TRIO,
            replayable_early_data=replayable_early_data,
            raise_connection_errors=raise_connection_errors,
        )

    return handle


def behind_proxy(stream: trio.abc.Stream, peer: str) -> str:
    """Return ``peer``, or the client behind it by the header of the PROXY protocol."""
    if not isinstance(stream, ProxiedStream) or stream.client_address is None:
        return peer
    return f"{socket_address(stream.client_address)} (by the proxy {peer})"


def peer_of(stream: trio.abc.Stream) -> str:
    """Return the peer of a connection for the log. Call it while the connection exists."""
    if isinstance(stream, ProxiedStream):
        stream = stream.transport_stream
    if not isinstance(stream, trio.SocketStream):
        return f"a {type(stream).__name__}"
    try:
        return socket_address(stream.socket.getpeername())
    except OSError:
        return "a peer that has gone"


async def open_tls_over_tcp_stream(
    host: str | bytes,
    port: int,
    *,
    config: ClientConfig | ssl.SSLContext | None = None,
    ssl_context: ssl.SSLContext | None = None,
    https_compatible: bool = False,
    server_hostname: str | bytes | None = None,
    local_address: str | None = None,
    handshake_timeout: float = math.inf,
    happy_eyeballs_delay: float | None = HAPPY_EYEBALLS_DELAY,
    early_data: bytes | bytearray | memoryview = b"",
    resend_early_data: bool = False,
    retry_ech: bool = False,
) -> TLSStream[trio.SocketStream]:
    """Connect to a server over TCP. The first method called on the stream does the handshake.

    If cancelled, no connection is left open.

    Args:
        host: a DNS name or an IP address to connect to.
        port: its TCP port.
        config: the configuration; by default ``ClientConfig()``.
        ssl_context: trio's name for ``config``.
        https_compatible: as for :class:`TLSStream`.
        server_hostname: the name that the server's certificate must be for; by default ``host``.
        local_address: the IP address to connect from, as for :func:`trio.open_tcp_stream`.
        handshake_timeout: as for :class:`TLSStream`, in seconds; connecting does not count.
        happy_eyeballs_delay: as for :func:`trio.open_tcp_stream`, in seconds.
        early_data: as for :class:`TLSStream`; anybody who records it can send it again.
        resend_early_data: as for :class:`TLSStream`.
        retry_ech: do the handshake too. If the server rejects Encrypted Client Hello and sends its
            current configurations, connect once more with these (RFC 9849 6.1.6). The function
            never connects without ECH.

    Raises:
        OSError: the connection could not be made.
        ConfigError: no certificate can be for the server's name, or the early data is not allowed.
        trio.BrokenResourceError: with ``retry_ech``, the handshake failed.
    """
    if config is not None and ssl_context is not None:
        raise TypeError("config and ssl_context are two names for one argument: pass one of them")
    config = config or ssl_context or ClientConfig()
    server_hostname = server_hostname or host
    # Check the arguments before connecting.
    engine_for(config, server_hostname, False, port, early_data)
    connect = partial(
        trio.open_tcp_stream,
        host,
        port,
        happy_eyeballs_delay=happy_eyeballs_delay,
        local_address=local_address,
    )
    wrap = partial(
        TLSStream[trio.SocketStream],
        server_hostname=server_hostname,
        server_port=port,
        https_compatible=https_compatible,
        handshake_timeout=handshake_timeout,
        early_data=early_data,
        resend_early_data=resend_early_data,
    )
    stream = await connect_and_wrap(connect, wrap, config)
    if retry_ech:
        stream = await do_handshake_with_ech_retry(stream, connect, wrap, config)
    return stream


#: Opens the connection.
OpenTransport: TypeAlias = Callable[[], Awaitable[trio.SocketStream]]
#: Returns the TLS stream over a connection with a configuration.
WrapTransport: TypeAlias = Callable[..., TLSStream[trio.SocketStream]]


async def connect_and_wrap(
    connect: OpenTransport, wrap: WrapTransport, config: ClientConfig | ssl.SSLContext
) -> TLSStream[trio.SocketStream]:
    """Connect, and return the stream over the connection; if that fails, close it."""
    tcp_stream = await connect()
    try:
        return wrap(tcp_stream, config)
    except BaseException:
        tcp_stream.socket.close()
        raise


async def do_handshake_with_ech_retry(
    stream: TLSStream[trio.SocketStream],
    connect: OpenTransport,
    wrap: WrapTransport,
    config: ClientConfig | ssl.SSLContext,
) -> TLSStream[trio.SocketStream]:
    """Do the handshake; if the server sends retry configurations, connect again with those."""
    try:
        await _shake_hands(stream)
    except trio.BrokenResourceError as error:
        rejection = error.__cause__
        if not isinstance(rejection, ECHRejected) or rejection.retry_configs is None:
            raise
        try:
            config = cast(ClientConfig, config).with_ech(rejection.retry_configs)
        except ConfigError:
            raise error from rejection  # the server has no configuration for this client
        stream = await connect_and_wrap(connect, wrap, config)
        await _shake_hands(stream)
    return stream


async def _shake_hands(stream: TLSStream[trio.SocketStream]) -> None:
    """Do the handshake; if it fails or is cancelled, close the connection."""
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


async def open_tls_over_tcp_listeners(
    port: int,
    config: ServerConfig | ssl.SSLContext,
    *,
    host: str | bytes | None = None,
    https_compatible: bool = False,
    backlog: int | None = None,
    handshake_timeout: float | None = None,
) -> list[TLSListener[trio.SocketStream]]:
    """Listen for TLS over TCP. If cancelled, no port is left open.

    Args:
        port: the TCP port; 0 for any that is free.
        config: the configuration of every connection.
        host: the address to listen on; by default all.
        https_compatible: as for :class:`TLSStream`.
        backlog: as for :func:`trio.open_tcp_listeners`.
        handshake_timeout: as for :class:`TLSListener`, in seconds.

    Raises:
        OSError: the port is not available.
        ConfigError: this configuration is not for servers.
    """
    engine_for(config, None, True)
    return [
        TLSListener(
            tcp_listener,
            config,
            https_compatible=https_compatible,
            handshake_timeout=handshake_timeout,
        )
        for tcp_listener in await trio.open_tcp_listeners(port, host=host, backlog=backlog)
    ]


async def serve_tls_over_tcp(
    handler: Callable[[TLSStream[trio.SocketStream]], Awaitable[object]],
    port: int,
    config: ServerConfig | ssl.SSLContext,
    *,
    host: str | bytes | None = None,
    backlog: int | None = None,
    handler_nursery: trio.Nursery | None = None,
    handshake_timeout: float | None = HANDSHAKE_TIMEOUT,
    https_compatible: bool = False,
    replayable_early_data: bool = False,
    raise_connection_errors: bool = False,
    task_status: trio.TaskStatus[list[TLSListener[trio.SocketStream]]] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Serve TLS over TCP: run ``handler(stream)`` in a task for each connection.

    Each handshake is done in its connection's own task, before ``handler`` is called. No client
    can end the server: a handshake that fails, and a connection that breaks in the handler, is
    logged in one line and closed (the exact rule is that of :func:`handshake_first`).
    :func:`trio.serve_ssl_over_tcp` raises both. All other errors of ``handler`` end the server,
    as in trio. If there are no file descriptors left, ``trio.serve_listeners`` logs that and
    continues later.

    If cancelled, it closes the listeners and cancels the handlers, except those in a
    ``handler_nursery``.

    Args:
        handler: called with each connection; when it returns, the connection is closed, without
            ``close_notify`` unless the handler has called ``aclose``. A cancelled ``aclose`` sends
            none either.
        port: the TCP port; 0 for any that is free.
        config: the configuration of every connection.
        host: the address to listen on; by default all.
        backlog: as for :func:`trio.open_tcp_listeners`.
        handler_nursery: the nursery for the handlers; by default one of this function.
        handshake_timeout: as for :class:`TLSStream`, in seconds; None for no limit.
        https_compatible: as for :class:`TLSStream`.
        replayable_early_data: as for :func:`handshake_first`.
        raise_connection_errors: as for :func:`handshake_first`.
        task_status: ``nursery.start`` returns the listeners.

    Raises:
        OSError: the port is not available.
    """
    listeners = await open_tls_over_tcp_listeners(
        port,
        config,
        host=host,
        https_compatible=https_compatible,
        backlog=backlog,
        handshake_timeout=handshake_timeout,
    )
    handle = handshake_first(
        handler,
        replayable_early_data=replayable_early_data,
        raise_connection_errors=raise_connection_errors,
    )
    await trio.serve_listeners(
        handle,
        listeners,
        handler_nursery=handler_nursery,
        task_status=task_status,
    )
