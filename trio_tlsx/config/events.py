"""Events: what ``on_event`` of a configuration is called with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import AlertDescription, TLSError
from ..pki.negotiated import Negotiated

__all__ = [
    "ConnectionClosed",
    "ConnectionEvent",
    "HandshakeCompleted",
    "HandshakeFailed",
    "KeysUpdated",
    "OnEvent",
    "TicketReceived",
    "TicketsSent",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionEvent:
    """An event of a connection.

    Attributes:
        server_side: whether this side is the server.
        server_hostname: on a client, the name that it connects to; None on a server, which finds
            the client's choice in ``negotiated.server_name``.
    """

    server_side: bool
    server_hostname: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeCompleted(ConnectionEvent):
    """A handshake completed. No other event of a connection that succeeds comes before it.

    Attributes:
        duration: from the first call of the handshake until it was complete, in seconds. It
            contains the waits for the peer, for the program, and for hooks.
        negotiated: the result. ``negotiated.peer_certificates`` is not empty on a server if the
            client sent a certificate.
    """

    duration: float
    negotiated: Negotiated


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeFailed(ConnectionEvent):
    """A handshake failed, or the stream was closed before it was complete.

    Attributes:
        duration: from the first call of the handshake until now, in seconds.
        error: the reason. It is a :exc:`TLSError` unless the transport failed.
    """

    duration: float
    error: BaseException

    @property
    def alert(self) -> AlertDescription | None:
        """The alert that was sent or received; None if there was none."""
        return self.error.alert if isinstance(self.error, TLSError) else None

    @property
    def refused_by(self) -> Literal["us", "peer"] | None:
        """The side that refused; None if the connection was lost."""
        return self.error.refused_by if isinstance(self.error, TLSError) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysUpdated(ConnectionEvent):
    """A KeyUpdate replaced the keys of one direction (RFC 9846 4.7.3).

    Attributes:
        direction: ``"sent"`` if the keys that this side sends with changed, else ``"received"``.
    """

    direction: Literal["sent", "received"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketsSent(ConnectionEvent):
    """A server queued session tickets.

    Attributes:
        count: how many.
    """

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketReceived(ConnectionEvent):
    """A client received a session ticket that it can resume with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionClosed(ConnectionEvent):
    """This side closed a connection whose handshake was complete.

    Attributes:
        reason: ``"clean"`` after a ``close_notify`` in either direction; ``"truncated"`` if the
            transport ended without one; ``"reset"`` if the transport failed; ``"failed"`` if one
            side refused what the other sent; ``"abandoned"`` if this side closed without
            ``close_notify``.
        error: what broke the connection, if anything did.
        duration: from the end of the handshake until now, in seconds.
        bytes_sent, bytes_received: application data, early data excluded.
    """

    reason: Literal["clean", "truncated", "reset", "failed", "abandoned"]
    error: BaseException | None
    duration: float
    bytes_sent: int
    bytes_received: int


#: Called with each event, in the task that caused it. It must not wait.
OnEvent: TypeAlias = Callable[[ConnectionEvent], object]
