"""Servers and clients over TCP."""

from __future__ import annotations

import logging
import math
import ssl
from collections.abc import Awaitable, Callable
from typing import Generic, NoReturn, TypeVar

import trio

from ..config.client import ClientConfig
from ..config.server import ServerConfig
from ..engine.select import engine_for
from ..errors import TLSError
from ..pki.describe import socket_address
from .endpoints import SocketAddress, local_address_of, port_of
from .stream import TLSStream

__all__ = [
    "TLSListener",
    "handshake_first",
    "open_tls_over_tcp_listeners",
    "open_tls_over_tcp_stream",
    "serve_tls_over_tcp",
]

T_Stream = TypeVar("T_Stream", bound=trio.abc.Stream)

#: How long a client may take over its handshake with ``serve_tls_over_tcp``, in seconds.
HANDSHAKE_TIMEOUT = 10

#: How much is logged of why a handshake failed: what a peer sent may be told there at length.
MAX_REASON_LENGTH = 500

#: What trio waits between two addresses of a host, in seconds (RFC 8305 5).
HAPPY_EYEBALLS_DELAY = 0.25

_log = logging.getLogger("trio_tlsx")


class TLSListener(trio.abc.Listener[TLSStream[T_Stream]], Generic[T_Stream]):
    """Accepts connections of another listener as :class:`TLSStream`.

    The handshake is not done by :meth:`accept`, so that a slow client delays nobody, but by
    whoever uses the stream first. There its failure is an exception like any other; wrap a handler
    in :func:`handshake_first` to have it logged instead.

    Args:
        transport_listener: the listener below. It belongs to this one from now on.
        config: what every connection negotiates.
        https_compatible: as for :class:`TLSStream`.
        handshake_timeout: how long each handshake may take from its beginning, in seconds; by
            default as long as it likes.

    Raises:
        ConfigError: this configuration is not for servers.
        TypeError: it is no configuration.

    Attributes:
        transport_listener: the listener below.
    """

    def __init__(
        self,
        transport_listener: trio.abc.Listener[T_Stream],
        config: ServerConfig | ssl.SSLContext,
        *,
        https_compatible: bool = False,
        handshake_timeout: float | None = None,
    ) -> None:
        engine_for(config, None, True)  # what is wrong is to be said here, not to the first client
        self.transport_listener = transport_listener
        self._config = config
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
        """The TCP port that this listener is bound to: the one that port 0 became.

        Raises:
            RuntimeError: the listener is closed, or it is not over a TCP socket.
        """
        return port_of(self.transport_listener)

    async def accept(self) -> TLSStream[T_Stream]:
        """Accept the next connection. If cancelled, none is lost.

        Raises:
            OSError: what the listener below raises, such as for want of file descriptors.
        """
        transport_stream = await self.transport_listener.accept()
        try:
            return TLSStream(
                transport_stream,
                self._config,
                server_side=True,
                https_compatible=self._https_compatible,
                handshake_timeout=self._handshake_timeout,
            )
        except BaseException:
            await trio.aclose_forcefully(transport_stream)
            raise

    async def aclose(self) -> None:
        """Close the listener below; connections that it accepted go on."""
        await self.transport_listener.aclose()


def handshake_first(
    handler: Callable[[TLSStream[T_Stream]], Awaitable[object]],
    *,
    replayable_early_data: bool = False,
) -> Callable[[TLSStream[T_Stream]], Awaitable[None]]:
    """Give a handler only connections whose handshake has succeeded.

    A failed one is closed and logged in one line by the logger ``trio_tlsx``. Use it around the
    handler of :func:`trio.serve_listeners` and of what is built on it: anyone on the network can
    make a handshake fail, which must not reach the nursery of the server.

    Args:
        handler: what is to be called with each connection, in its own task.
        replayable_early_data: accept early data, and call the handler as soon as there is some,
            before the handshake is over. It must call
            :meth:`TLSStream.receive_replayable_early_data` then, until that returns ``b""``.

    Returns:
        A handler that does the handshake first.
    """

    async def handle(stream: TLSStream[T_Stream]) -> None:
        peer = peer_of(stream.transport_stream)
        try:
            await stream.do_handshake(until_replayable_early_data=replayable_early_data)
        except trio.BrokenResourceError as error:
            _log.warning("TLS handshake with %s failed: %s", peer, _explained(error))
            await stream.aclose()
        else:
            await handler(stream)

    return handle


def peer_of(stream: trio.abc.Stream) -> str:
    """Where a connection comes from; to be asked while it is there."""
    if not isinstance(stream, trio.SocketStream):
        return f"a {type(stream).__name__}"
    try:
        return socket_address(stream.socket.getpeername())
    except OSError:
        return "a peer that has gone"


def _explained(error: trio.BrokenResourceError) -> str:
    """Which side refused with which alert, and why, in one line."""
    why = " ".join(str(error).split()).encode("ascii", "backslashreplace").decode()
    if len(why) > MAX_REASON_LENGTH:
        why = why[:MAX_REASON_LENGTH] + "..."
    cause = error.__cause__
    if not isinstance(cause, TLSError) or cause.alert is None:
        return why
    if cause.refused_by == "us":
        return f"we sent the alert {cause.alert.name}: {why}"
    return f"the peer sent the alert {cause.alert.name}: {why}"


async def open_tls_over_tcp_stream(
    host: str | bytes,
    port: int,
    *,
    config: ClientConfig | ssl.SSLContext | None = None,
    ssl_context: ssl.SSLContext | None = None,
    https_compatible: bool = False,
    happy_eyeballs_delay: float | None = HAPPY_EYEBALLS_DELAY,
    early_data: bytes | bytearray | memoryview = b"",
    resend_early_data: bool = False,
) -> TLSStream[trio.SocketStream]:
    """Connect to a server over TCP. The handshake is left to the stream's first use.

    Args:
        host: a DNS name or an IP address, which the server's certificate is to name.
        port: its TCP port.
        config: what to negotiate; by default ``ClientConfig()``.
        ssl_context: trio's name for ``config``.
        https_compatible: as for :class:`TLSStream`.
        happy_eyeballs_delay: as for :func:`trio.open_tcp_stream`, in seconds.
        early_data: as for :class:`TLSStream`: what anyone who records it can send again.
        resend_early_data: as for :class:`TLSStream`.

    Raises:
        OSError: no connection.
        ConfigError: ``host`` is no name that a certificate could have, or there can be no such
            early data.
    """
    if config is not None and ssl_context is not None:
        raise TypeError("config and ssl_context are two names for one argument: give one of them")
    config = config or ssl_context or ClientConfig()
    # What is wrong is to be said before anybody is called.
    engine_for(config, host, False, port, early_data)
    tcp_stream = await trio.open_tcp_stream(host, port, happy_eyeballs_delay=happy_eyeballs_delay)
    try:
        return TLSStream(
            tcp_stream,
            config,
            server_hostname=host,
            server_port=port,
            https_compatible=https_compatible,
            early_data=early_data,
            resend_early_data=resend_early_data,
        )
    except BaseException:
        tcp_stream.socket.close()
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
    """Listen for TLS over TCP.

    Args:
        port: the TCP port; 0 for any that is free.
        config: what every connection negotiates.
        host: the address to listen on; by default all.
        https_compatible: as for :class:`TLSStream`.
        backlog: as for :func:`trio.open_tcp_listeners`.
        handshake_timeout: as for :class:`TLSListener`, in seconds.

    Raises:
        OSError: the port cannot be had.
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
    task_status: trio.TaskStatus[list[TLSListener[trio.SocketStream]]] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Serve TLS over TCP: run ``handler(stream)`` in a task for each connection.

    Each handshake is done in its connection's own task, before ``handler`` is called. A failed one
    is closed and logged in one line by the logger ``trio_tlsx``. Running out of file descriptors
    is logged by ``trio.serve_listeners``, which goes on when there are some again. What
    ``handler`` raises is not caught.

    Args:
        handler: is given each connection; when it returns, the connection is closed, without
            ``close_notify`` unless the handler has called ``aclose``.
        port: the TCP port; 0 for any that is free.
        config: what every connection negotiates.
        host: the address to listen on; by default all.
        backlog: as for :func:`trio.open_tcp_listeners`.
        handler_nursery: where handlers run; by default in a nursery of this function.
        handshake_timeout: how long each handshake may take from its beginning, in seconds; None
            for as long as it likes.
        https_compatible: as for :class:`TLSStream`.
        replayable_early_data: as for :func:`handshake_first`.
        task_status: ``nursery.start`` gives the listeners.

    Raises:
        OSError: the port cannot be had.
    """
    listeners = await open_tls_over_tcp_listeners(
        port,
        config,
        host=host,
        https_compatible=https_compatible,
        backlog=backlog,
        handshake_timeout=handshake_timeout,
    )
    await trio.serve_listeners(
        handshake_first(handler, replayable_early_data=replayable_early_data),
        listeners,
        handler_nursery=handler_nursery,
        task_status=task_status,
    )
