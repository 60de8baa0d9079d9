"""Server-side storage of tickets, and their application data.

A ticket holds the server's part of a session. So a server that keeps nothing itself gets it back
with the ticket; one that has a store gives the client no more than a name for what is there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from ..arguments import INT, Expected, check
from ..errors import ConfigError, InternalError
from ..pki.negotiated import Negotiated

__all__ = [
    "MAX_TICKET_APPLICATION_DATA",
    "MemoryTicketStore",
    "TicketApplicationData",
    "TicketStore",
    "ticket_application_data_source",
]

#: What of the application's own may ride in a ticket, in bytes: each ClientHello that resumes
#: carries it.
MAX_TICKET_APPLICATION_DATA = 255

#: The same for every ticket, or made for each connection.
TicketApplicationData: TypeAlias = "bytes | Callable[[Negotiated], bytes]"


def ticket_application_data_source(data: TicketApplicationData) -> Callable[[Negotiated], bytes]:
    """A function that gives what rides in the tickets of a connection.

    Raises:
        ConfigError: it is more than tickets hold. Of what a function gives, it is this side's
            fault then, InternalError.
    """
    if not callable(data):
        if len(data) > MAX_TICKET_APPLICATION_DATA:
            raise ConfigError(
                f"ticket_application_data has {len(data)} bytes; "
                f"up to {MAX_TICKET_APPLICATION_DATA} are allowed"
            )
        return lambda negotiated: data

    def checked(negotiated: Negotiated) -> bytes:
        given = data(negotiated)
        is_bytes = isinstance(given, bytes)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_bytes or len(given) > MAX_TICKET_APPLICATION_DATA:
            raise InternalError(
                "ticket_application_data gave something else than up to "
                f"{MAX_TICKET_APPLICATION_DATA} bytes"
            )
        return given

    return checked


class TicketStore(Protocol):
    """Where a server keeps what is in its tickets, so that each is good for one use.

    Both methods may be plain or async: whatever awaitable they return is awaited in the task that
    does the handshake, and cancelled with it. What they raise fails the connection with
    ``internal_error``; a store that knows nothing returns None.
    """

    def put(self, name: bytes, state: bytes, lifetime: int) -> Awaitable[None] | None:
        """Keep what is in a ticket.

        Args:
            name: random, and all that the client gets.
            state: what is kept, sealed with the configuration's ``ticket_keys``.
            lifetime: for how many seconds it is of use.
        """
        ...

    def take(self, name: bytes) -> Awaitable[bytes | None] | bytes | None:
        """Give what is kept under this name, and forget it.

        Of those who ask at the same time, one gets it: it takes a single step of the store, such
        as ``GETDEL`` of Redis.
        """
        ...


class MemoryTicketStore:
    """Tickets in the memory of one process: the newest so many.

    It is for one thread, as trio is.

    Args:
        max_tickets: how many.
    """

    def __init__(self, max_tickets: int = 10_000) -> None:
        check("max_tickets", max_tickets, Expected(INT, "a number of tickets"))
        if max_tickets < 1:
            raise ConfigError("a ticket store needs room for one ticket at least")
        self._max_tickets = max_tickets
        self._states: OrderedDict[bytes, bytes] = OrderedDict()

    def put(self, name: bytes, state: bytes, lifetime: int) -> None:
        """Keep it; the oldest that there is no more room for goes."""
        self._states[name] = state
        if len(self._states) > self._max_tickets:
            self._states.popitem(last=False)

    def take(self, name: bytes) -> bytes | None:
        """Give it, and forget it."""
        return self._states.pop(name, None)

    def __len__(self) -> int:
        return len(self._states)

    def __repr__(self) -> str:
        return f"<MemoryTicketStore of {len(self)} tickets>"
