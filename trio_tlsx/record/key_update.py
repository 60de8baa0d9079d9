"""Send and receive KeyUpdates (RFC 9846 4.7.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ..messages.handshake import KeyUpdate, encode_message
from .message_reader import MessageReader
from .protection import MAX_PLAINTEXT_LENGTH
from .receive import Incoming, unexpected
from .send import Outgoing

__all__ = ["KeyUpdates"]

#: More bytes than any connection sends.
NEVER = 2**64

#: KeyUpdates that the peer may send beyond the records of application data in either direction.
MAX_KEY_UPDATES = 32


class KeyUpdates:
    """Update the keys of either direction.

    An honest peer may send a KeyUpdate for each record that it reads: a JDK at its key limit
    requests new keys with every record until it has read our KeyUpdate, which may be behind many
    records. So the peer may send one KeyUpdate for each record of application data in either
    direction.

    Args:
        incoming, outgoing: the record layer.
        reader: reads the peer's messages.
        on_update: called with ``"sent"`` or ``"received"`` when the keys of that direction change.
    """

    __slots__ = (
        "_due",
        "_incoming",
        "_interval",
        "_on_update",
        "_outgoing",
        "_reader",
        "_received",
        "_request_open",
    )

    def __init__(
        self,
        incoming: Incoming,
        outgoing: Outgoing,
        reader: MessageReader,
        on_update: Callable[[Literal["sent", "received"]], object] | None = None,
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._reader = reader
        self._on_update = on_update
        self._interval = self._due = NEVER  # in bytes sealed
        self._request_open = False  # the peer has not answered our request for new keys yet
        self._received = 0

    def set_interval(self, interval: int | None) -> None:
        """Update the sending keys each time about ``interval`` bytes of data were sent.

        None updates them only when the AEAD's limit requires it (RFC 9846 5.5).
        """
        self._interval = self._due = NEVER if interval is None else interval

    def send_if_due(self) -> int:
        """Update the sending keys if the interval or the AEAD's limit is reached.

        Returns how many records can be sealed before this must be called again.
        """
        bytes_sealed, sealer = self._outgoing.bytes_sealed, self._outgoing.sealer
        if sealer is None:
            return 0
        if bytes_sealed >= self._due or not sealer.records_left:
            self._due = bytes_sealed + self._interval
            self.send()
        return min(sealer.records_left, (self._due - bytes_sealed) // MAX_PLAINTEXT_LENGTH)

    def send(self, *, request_peer: bool = False) -> None:
        """Update the sending keys; request the same of the peer unless a request is open."""
        request_peer = request_peer and not self._request_open
        self._outgoing.flight += encode_message(KeyUpdate(request_peer))
        self._outgoing.update_keys()
        self._request_open = self._request_open or request_peer
        if self._on_update is not None:
            self._on_update("sent")

    def receive(self, key_update: KeyUpdate, *, may_answer: bool) -> None:
        """Process the peer's KeyUpdate: update the receiving keys, and answer a request.

        Args:
            key_update: the message.
            may_answer: whether this side may still send.

        Raises:
            ProtocolError: the peer sent too many KeyUpdates (``unexpected_message``).
        """
        self._reader.check_boundary()
        self._incoming.update_keys()
        self._request_open = False
        self._received += 1
        records = self._incoming.data_records + self._outgoing.data_records
        if self._received > MAX_KEY_UPDATES + records:
            raise unexpected(
                f"sent {self._received} KeyUpdates with only {records} records of data "
                f"in both directions; {MAX_KEY_UPDATES} more than the records are allowed"
            )
        if self._on_update is not None:
            self._on_update("received")
        # A KeyUpdate that has not left yet answers this request too.
        if key_update.request_update and may_answer and not self._outgoing.key_update_queued:
            self.send()
