"""Server-side storage of tickets, and their application data.

A ticket contains the server's state of a session. Without a store, the server keeps no state and
receives it back with the ticket. With a store, the ticket is only a random name for the stored
state.
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

#: The most application data in a ticket, in bytes. Each ClientHello that resumes carries it.
MAX_TICKET_APPLICATION_DATA = 255

#: The same bytes for every ticket, or a function that returns them for each connection.
TicketApplicationData: TypeAlias = "bytes | Callable[[Negotiated], bytes]"


def ticket_application_data_source(data: TicketApplicationData) -> Callable[[Negotiated], bytes]:
    """Return a function that returns the application data for the tickets of a connection.

    The function raises InternalError if ``data`` is a function and returns anything but up to 255
    bytes.

    Raises:
        ConfigError: ``data`` has more than 255 bytes.
    """
    if not callable(data):
        if len(data) > MAX_TICKET_APPLICATION_DATA:
            raise ConfigError(
                f"ticket_application_data has {len(data)} bytes; "
                f"pass at most {MAX_TICKET_APPLICATION_DATA}"
            )
        return lambda negotiated: data

    def checked(negotiated: Negotiated) -> bytes:
        given = data(negotiated)
        is_bytes = isinstance(given, bytes)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_bytes or len(given) > MAX_TICKET_APPLICATION_DATA:
            described = f"{len(given)} bytes" if is_bytes else f"a {type(given).__name__}"
            raise InternalError(
                f"the function ticket_application_data returned {described}; it has to return "
                f"at most {MAX_TICKET_APPLICATION_DATA} bytes"
            )
        return given

    return checked


class TicketStore(Protocol):
    """Server-side session storage. With it, each ticket can be used only once.

    A client of TLS 1.2 without tickets gets the name as its session id. After a resumption by it
    the server puts the state back, under the same name.

    Both methods may be plain or async. The task that does the handshake awaits the awaitable;
    cancelling that task cancels it. An exception fails the connection with ``internal_error``; to
    report that there is no such ticket, return None.
    """

    def put(self, name: bytes, state: bytes, lifetime: int) -> Awaitable[None] | None:
        """Store the state of a ticket.

        Args:
            name: a random name of 32 bytes. The client gets nothing else.
            state: the state, encrypted with the configuration's ``ticket_keys``.
            lifetime: the time in seconds after which the state may be discarded.
        """
        ...

    def take(self, name: bytes) -> Awaitable[bytes | None] | bytes | None:
        """Return the state that is stored under this name, and remove it; None if there is none.

        If several callers ask for the same name concurrently, only one may get the state. So use
        one atomic operation of the store, such as ``GETDEL`` of Redis.
        """
        ...


class MemoryTicketStore:
    """Store the newest tickets in the memory of one process.

    Use it in one thread.

    Args:
        max_tickets: the most tickets to store.

    Raises:
        ConfigError: ``max_tickets`` has the wrong type, or is below 1.
    """

    def __init__(self, max_tickets: int = 10_000) -> None:
        check("max_tickets", max_tickets, Expected(INT, "a number of tickets"))
        if max_tickets < 1:
            raise ConfigError(f"max_tickets is {max_tickets}; pass at least 1")
        self._max_tickets = max_tickets
        self._states: OrderedDict[bytes, bytes] = OrderedDict()

    def put(self, name: bytes, state: bytes, lifetime: int) -> None:
        """Store a state; remove the oldest one beyond the limit."""
        self._states[name] = state
        if len(self._states) > self._max_tickets:
            self._states.popitem(last=False)

    def take(self, name: bytes) -> bytes | None:
        """Return a state, and remove it; None if there is none."""
        return self._states.pop(name, None)

    def __len__(self) -> int:
        return len(self._states)

    def __repr__(self) -> str:
        return f"<MemoryTicketStore of {len(self)} tickets>"
