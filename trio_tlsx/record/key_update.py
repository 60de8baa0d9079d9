"""New keys after the handshake (RFC 9846 4.7.3)."""

from __future__ import annotations

import math

from ..messages.handshake import KeyUpdate, encode_message
from .deframer import MessageReader
from .receive import Incoming, unexpected
from .send import Outgoing

__all__ = ["KeyUpdates"]

#: KeyUpdates in a row, without any application data between them.
MAX_KEY_UPDATES = 32


class KeyUpdates:
    """Updates the keys of either direction when it is time to.

    Attributes:
        received_in_a_row: how many came since the last application data.
    """

    __slots__ = (
        "_due",
        "_incoming",
        "_interval",
        "_outgoing",
        "_reader",
        "_request_open",
        "received_in_a_row",
    )

    def __init__(
        self,
        incoming: Incoming,
        outgoing: Outgoing,
        reader: MessageReader,
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._reader = reader
        self._interval = self._due = math.inf  # in bytes sealed
        self._request_open = False  # we asked the peer for new keys, and none came yet
        self.received_in_a_row = 0

    def set_interval(self, interval: int | None) -> None:
        """Update our keys after so many bytes of application data.

        None leaves it at what the AEAD can take (RFC 9846 5.5).
        """
        self._interval = self._due = math.inf if interval is None else interval

    def send_if_due(self, bytes_sealed: int) -> None:
        """Update ours, if so much application data was sealed that they have to be."""
        sealer = self._outgoing.sealer
        if bytes_sealed >= self._due or (sealer is not None and sealer.needs_key_update):
            self._due = bytes_sealed + self._interval
            self.send()

    def send(self, *, request_peer: bool = False) -> None:
        """Update ours, and ask the peer to do so too unless it was asked already."""
        request_peer = request_peer and not self._request_open
        self._outgoing.handshake(encode_message(KeyUpdate(request_peer)))
        self._outgoing.update_keys()
        self._request_open = self._request_open or request_peer

    def receive(self, key_update: KeyUpdate, *, may_answer: bool) -> None:
        """The peer has updated its own, and may want ours to be."""
        self._reader.check_boundary()
        self._incoming.update_keys()
        self._request_open = False
        self.received_in_a_row += 1
        if self.received_in_a_row > MAX_KEY_UPDATES:
            raise unexpected(f"sent more than {MAX_KEY_UPDATES} KeyUpdates without any data")
        # One that has not left yet is an answer to this request too.
        if key_update.request_update and may_answer and not self._outgoing.key_update_queued:
            self.send()
