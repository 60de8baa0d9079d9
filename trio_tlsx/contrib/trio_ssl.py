"""Register the streams and listeners of this library with the classes of trio; no extra needed.

Some packages, such as ``trio-websocket``, call ``isinstance(stream, trio.SSLStream)`` before they
read a connection's addresses. Call :func:`register_as_trio_ssl` once, before their first use::

    register_as_trio_ssl()
    server = trio_websocket.WebSocketServer(handler, listeners)
"""

from __future__ import annotations

import abc
from typing import cast

import trio

from ..io.listener import TLSListener
from ..io.stream import TLSStream

__all__ = ["register_as_trio_ssl"]


def register_as_trio_ssl() -> None:
    """Register :class:`~trio_tlsx.TLSStream` as a virtual subclass of :class:`trio.SSLStream`.

    :class:`~trio_tlsx.TLSListener` becomes one of :class:`trio.SSLListener`. The registration
    holds for the whole process and cannot be undone, so the program calls this function; no import
    does. Calling it again changes nothing. ``docs/from-sslstream.md`` lists the differences
    between the two classes.
    """
    for theirs, ours in ((trio.SSLStream, TLSStream), (trio.SSLListener, TLSListener)):
        cast("abc.ABCMeta", theirs).register(ours)
