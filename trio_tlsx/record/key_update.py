"""KeyUpdate (RFC 9846 4.7.3)."""

from __future__ import annotations

import math

from ..messages.handshake import KeyUpdate, encode_message
from .deframer import MessageReader
from .receive import Incoming, unexpected
from .send import Outgoing

__all__ = ["KeyUpdates"]

#: KeyUpdates that the peer may send beyond the records of application data in either direction.
MAX_KEY_UPDATES = 32


class KeyUpdates:
    """Update the keys of either direction.

    An honest peer may update its keys for each record that it reads: a JDK at its key limit asks
    for new keys with every record until it has read ours, however many of them are under way. So
    each record of application data, sent or received, allows for one KeyUpdate of the peer.
    """

    __slots__ = (
        "_due",
        "_incoming",
        "_interval",
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
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._reader = reader
        self._interval = self._due = math.inf  # in bytes sealed
        self._request_open = False  # we asked the peer for new keys, and none came yet
        self._received = 0

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
        self._received += 1
        records = self._incoming.data_records + self._outgoing.data_records
        if self._received > MAX_KEY_UPDATES + records:
            raise unexpected(
                f"sent over {MAX_KEY_UPDATES} more KeyUpdates than there were records"
            )
        # One that has not left yet is an answer to this request too.
        if key_update.request_update and may_answer and not self._outgoing.key_update_queued:
            self.send()
