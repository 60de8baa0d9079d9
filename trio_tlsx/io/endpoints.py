"""The addresses of the socket below a stream or a listener."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import trio

from .proxy_protocol import ProxiedStream

__all__ = [
    "Addresses",
    "SocketAddress",
    "local_address_of",
    "port_of",
    "remote_address_of",
    "socket_of",
]

#: An address as the ``socket`` module has it: ``(host, port)`` for IPv4, ``(host, port, flowinfo,
#: scope_id)`` for IPv6, and a path (or, in Linux's abstract namespace, bytes) for a Unix socket.
SocketAddress: TypeAlias = "tuple[str, int] | tuple[str, int, int, int] | str | bytes"

#: Layers between a stream and its socket; TLS in TLS through a proxy has two.
MAX_LAYERS = 16


class Addresses:
    """The addresses of the two ends of a connection."""

    transport_stream: Any

    @property
    def local_address(self) -> SocketAddress | None:
        """This side's address in the form of :meth:`socket.socket.getsockname`.

        None if the stream below is not over a socket, or the socket is closed.
        """
        return local_address_of(self.transport_stream)

    @property
    def remote_address(self) -> SocketAddress | None:
        """The peer's address in the form of :meth:`socket.socket.getpeername`.

        None if the stream below is not over a socket, the socket is closed, or the peer has reset
        the connection: read it early if you log it later.
        """
        return remote_address_of(self.transport_stream)


def local_address_of(layer: object) -> SocketAddress | None:
    """Return this side's address, or None if there is no open socket below."""
    sock = _socket_below(layer)
    try:
        return None if sock is None else sock.getsockname()
    except OSError:  # closed
        return None


def remote_address_of(layer: object) -> SocketAddress | None:
    """Return the peer's address, or None if there is no connected socket below.

    Behind a proxy it is the client's address by the PROXY protocol, once its header was read.
    """
    for below in _layers(layer):
        if isinstance(below, ProxiedStream) and below.client_address is not None:
            return below.client_address
    sock = _socket_below(layer)
    try:
        return None if sock is None else sock.getpeername()
    except OSError:  # closed, or reset by the peer
        return None


def port_of(layer: object) -> int:
    """Return the TCP port of the socket below.

    Raises:
        RuntimeError: the socket is closed or has no port, or there is no socket.
    """
    match local_address_of(layer):
        case (_, int(port), *_):
            return port
        case _:
            raise RuntimeError(
                f"{layer!r} has no TCP port: it is closed, or it is not over a TCP socket"
            )


def socket_of(layer: object) -> trio.socket.SocketType:
    """Return the socket below.

    Raises:
        RuntimeError: there is none.
    """
    sock = _socket_below(layer)
    if sock is None:
        raise RuntimeError(f"{layer!r} is not over a socket")
    return sock


def _socket_below(layer: object) -> trio.socket.SocketType | None:
    for below in _layers(layer):
        if isinstance(below, trio.SocketStream | trio.SocketListener):
            return below.socket
    return None


def _layers(layer: object) -> Iterator[object]:
    """Yield a stream or listener, and those below it."""
    below: Any = layer
    for _ in range(MAX_LAYERS):
        if below is None:
            break
        yield below
        below = getattr(below, "transport_stream", None) or getattr(
            below, "transport_listener", None
        )
