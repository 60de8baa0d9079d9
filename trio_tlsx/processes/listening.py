"""The listening sockets: the supervisor opens them, the workers inherit them.

The supervisor keeps every listening socket open as long as it runs. So when a worker ends, no
connection in the queue of the kernel is reset: another worker, or the successor, accepts it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

import trio

__all__ = ["accept_queued", "duplicate", "inherited_listeners", "open_sockets"]

#: The most connections that a worker takes from the queue of a listener at its end.
MAX_TAKEN_AT_END = 2**16

#: The length of the queue of a listener with SO_REUSEPORT. The kernel may have a lower limit.
DEFAULT_BACKLOG = 2**16 - 1


async def open_sockets(
    workers: int, port: int, host: str | None, backlog: int | None, *, reuse_port: bool
) -> list[list[trio.socket.SocketType]]:
    """Open the listening sockets, one for each address of the host.

    Args:
        workers: the number of workers.
        port: the TCP port; 0 for any that is free.
        host: the address to listen on; by default all.
        backlog: the length of the queue, as for :func:`trio.open_tcp_listeners`.
        reuse_port: open separate sockets for each worker, with SO_REUSEPORT.

    Returns:
        The sockets of each worker. Without ``reuse_port`` all have the same ones.

    Raises:
        OSError: the port is not available.
    """
    if reuse_port:
        return await _open_sockets_for_each(workers, port, host, backlog)
    listeners = await trio.open_tcp_listeners(port, host=host, backlog=backlog)
    return [[listener.socket for listener in listeners]] * workers


async def _open_sockets_for_each(
    workers: int, port: int, host: str | None, backlog: int | None
) -> list[list[trio.socket.SocketType]]:
    addresses = await trio.socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    opened: list[list[trio.socket.SocketType]] = [[] for _ in range(workers)]
    try:
        for family, kind, protocol, _, address in addresses:
            bound = address
            for sockets in opened:
                sock = trio.socket.socket(family, kind, protocol)
                sockets.append(sock)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                await sock.bind(bound)
                bound = sock.getsockname()  # has the real port, if ``port`` is 0
                sock.listen(DEFAULT_BACKLOG if backlog is None else backlog)
    except BaseException:
        for sockets in opened:
            for sock in sockets:
                sock.close()
        raise
    return opened


def inherited_listeners(descriptors: Sequence[int]) -> list[trio.SocketListener]:
    """Return the listeners of inherited descriptors; no child process inherits them."""
    listeners: list[trio.SocketListener] = []
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
        listeners.append(trio.SocketListener(trio.socket.from_stdlib_socket(sock)))
    return listeners


def duplicate(listener: trio.SocketListener) -> socket.socket:
    """Return another socket with the same queue, which stays open when the listener is closed."""
    return socket.socket(fileno=os.dup(listener.socket.fileno()))


def accept_queued(listener: socket.socket) -> list[trio.SocketStream]:
    """Take the connections that wait in the queue of a listener, without waiting for more."""
    streams: list[trio.SocketStream] = []
    listener.setblocking(False)
    for _ in range(MAX_TAKEN_AT_END):
        try:
            accepted, _ = listener.accept()
        except ConnectionAbortedError:  # by the client, while it waited
            continue
        except OSError:  # the queue is empty, or there are no file descriptors left
            break
        streams.append(trio.SocketStream(trio.socket.from_stdlib_socket(accepted)))
    return streams
