"""Messages after the handshake (RFC 9846 4.7): session tickets and KeyUpdate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..errors import AlertDescription, HandshakeShutdown, TLSError
from ..handshake.established import Completed
from ..handshake.questions import SessionReceived
from ..handshake.wants import Question
from ..messages.handshake import (
    MESSAGE_HEADER_LENGTH,
    HandshakeType,
    KeyUpdate,
    NewSessionTicket,
    encode_message,
)
from ..record.key_update import KeyUpdates
from ..record.message_reader import MessageReader
from ..record.receive import Incoming, unexpected
from ..record.send import Outgoing
from .reporter import Reporter

__all__ = ["PostHandshake", "PostHandshakeMessages", "handshake_shutdown"]

#: The number of session tickets of one connection that a client processes. It ignores the others.
MAX_TICKETS_RECEIVED = 64

#: The number of tickets that a client ignores in a row, without application data between them.
MAX_DROPPED_TICKETS = 32


class PostHandshakeMessages(Protocol):
    """The messages that may come between application data, in a version of TLS."""

    def start(self, completed: Completed) -> None: ...
    def send_before_data(self) -> TLSError | None: ...
    def update_keys(self, *, request_peer: bool) -> None: ...
    def send_tickets(self) -> None: ...
    def receive(self, message: bytes, *, may_answer: bool) -> Question[Any] | None: ...


class PostHandshake:
    """Send and receive the messages that may come between application data in TLS 1.3."""

    __slots__ = (
        "_incoming",
        "_keep_ticket",
        "_new_tickets",
        "_outgoing",
        "_records_at_dropped_ticket",
        "_reporter",
        "_tickets_dropped",
        "_tickets_received",
        "key_updates",
    )

    def __init__(
        self,
        incoming: Incoming,
        outgoing: Outgoing,
        reader: MessageReader,
        reporter: Reporter | None,
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._reporter = reporter
        self.key_updates: KeyUpdates = KeyUpdates(
            incoming, outgoing, reader, None if reporter is None else reporter.keys_updated
        )
        self._new_tickets: Callable[[], Iterable[NewSessionTicket]] | None = None
        self._keep_ticket: Callable[[NewSessionTicket], SessionReceived | None] | None = None
        self._tickets_received = 0
        self._tickets_dropped = 0  # in a row
        self._records_at_dropped_ticket = 0

    def start(self, completed: Completed) -> None:
        """Accept messages from now on. The handshake is complete."""
        self.key_updates.set_interval(completed.key_update_bytes)
        self._new_tickets = completed.new_tickets
        self._keep_ticket = completed.keep_ticket
        self._outgoing.direct_limit = 0  # an answer to early data allowed some; tickets are due
        if completed.tickets_at_once:
            self.send_tickets()

    def send_before_data(self) -> TLSError | None:
        """Queue the messages that are due before more application data."""
        records_left = self.key_updates.send_if_due()
        self.send_tickets()
        self._outgoing.direct_limit = self._outgoing.data_records + records_left
        return None  # nothing keeps TLS 1.3 from sending

    def update_keys(self, *, request_peer: bool) -> None:
        """Update the sending keys, and request the same of the peer if ``request_peer``."""
        self.key_updates.send(request_peer=request_peer)

    def send_tickets(self) -> None:
        """Queue this server's session tickets, unless that was done before.

        The server sends them with its first data, or with ``close_notify`` if the client has not
        closed yet. It sends them earlier only on request: if a client writes, never reads and
        closes, unread tickets cause a reset, and data that it sent may be lost.
        """
        if self._new_tickets is not None:
            new_tickets, self._new_tickets = self._new_tickets, None
            tickets = tuple(new_tickets())
            for ticket in tickets:
                self._outgoing.flight += encode_message(ticket)
            if self._reporter is not None and tickets:
                self._reporter.tickets_sent(len(tickets))
            self._outgoing.finish_flight()

    def receive(self, message: bytes, *, may_answer: bool) -> Question[Any] | None:
        """Process a message from the peer. Return the question to the program, if there is one.

        Args:
            message: the message, with its header.
            may_answer: whether this side may still send a KeyUpdate of its own.

        Raises:
            ProtocolError: the peer must not send this message, or has sent too many.
        """
        if message[0] == HandshakeType.key_update:
            self.key_updates.receive(
                KeyUpdate.decode(message[MESSAGE_HEADER_LENGTH:]), may_answer=may_answer
            )
            return None
        if message[0] == HandshakeType.new_session_ticket and self._keep_ticket:
            self._tickets_received += 1
            if self._tickets_received > MAX_TICKETS_RECEIVED:
                self._drop_ticket()
                return None
            return self._keep_ticket(NewSessionTicket.decode(message[MESSAGE_HEADER_LENGTH:]))
        raise unexpected("sent a handshake message after the handshake")

    def _drop_ticket(self) -> None:
        records = self._incoming.data_records
        in_a_row = records == self._records_at_dropped_ticket
        self._tickets_dropped = self._tickets_dropped + 1 if in_a_row else 1
        self._records_at_dropped_ticket = records
        if self._tickets_dropped > MAX_DROPPED_TICKETS:
            raise unexpected(f"sent more than {MAX_TICKETS_RECEIVED} session tickets, and no data")


def handshake_shutdown() -> HandshakeShutdown:
    """Return the error for a peer that closes in the middle of its handshake."""
    return HandshakeShutdown(
        "the peer ended the handshake with close_notify",
        AlertDescription.close_notify,
    )
