"""Send records: fragment, encrypt and queue them."""

from __future__ import annotations

from . import buffers
from .buffers import BATCH_RECORDS, BUFFER_LENGTH, Batch
from .interface import RecordSealer
from .protection import (
    APPLICATION_DATA,
    LEGACY_RECORD_VERSION,
    MAX_PLAINTEXT_LENGTH,
    ContentType,
    record_header,
)

__all__ = ["Outgoing"]

NOTHING = memoryview(b"")

#: No more application data is encrypted while this many bytes are queued.
MAX_QUEUED = BUFFER_LENGTH

#: If the length of a flight's encrypted messages could disclose the server's name, they are padded
#: to a multiple of this many bytes.
FLIGHT_UNIT = 512


class Outgoing:
    """The sending half of the record layer.

    Attributes:
        sealer: encrypts the records; None before there are keys.
        finished: whether our Finished was queued, so that the peer's handshake may be complete.
        flight: handshake messages that are not in records yet; those of one flight share records.
        queued: the length of the records in the queue, in bytes.
        fragment_length: the most bytes of content in one record, by our configuration and the
            peer's ``record_size_limit`` (RFC 8449).
        record_version: the version in the headers of unencrypted records.
        data_records: the number of records of application data encrypted so far.
        bytes_sealed: how much of their content was sealed after early data, in bytes.
        hides_lengths: whether handshake messages are padded, so that the length of the server's
            certificate does not disclose its name (RFC 9849 6.1.3).
        direct_limit: the value of ``data_records`` at which :meth:`seal_data` stops, because a
            message may be due before more data.
    """

    __slots__ = (
        "_batch",
        "_key_update_left",
        "_queue",
        "bytes_sealed",
        "data_records",
        "direct_limit",
        "finished",
        "flight",
        "fragment_length",
        "hides_lengths",
        "queued",
        "record_version",
        "sealer",
    )

    def __init__(self) -> None:
        self.sealer: RecordSealer | None = None
        self.finished: bool = False
        self.fragment_length: int = MAX_PLAINTEXT_LENGTH
        self.record_version: int = LEGACY_RECORD_VERSION
        self.data_records: int = 0
        self.bytes_sealed: int = 0
        self.direct_limit: int = 0
        self.flight: bytes = b""
        # Records, in order; None if there are none. An empty list would take 88 octets.
        self._queue: list[bytes | memoryview] | None = None
        self.queued: int = 0
        self.hides_lengths: bool = False
        self._key_update_left = 0  # bytes to send until the last KeyUpdate has left; 0 for none
        self._batch: Batch | None = None  # a borrowed buffer with a part of the queue

    # Content in

    def alert(self, level: int, description: int) -> None:
        """Queue an alert."""
        self.finish_flight()
        self._append(ContentType.alert, bytes((level, description)))

    def change_cipher_spec(self) -> None:
        """Queue a dummy change_cipher_spec, which is never encrypted (RFC 9846 E.4)."""
        if self.flight:
            self.finish_flight()
        self._enqueue(record_header(ContentType.change_cipher_spec, 1) + b"\x01")

    def application_data(self, data: memoryview) -> int:
        """Encrypt and queue the start of ``data``, at most one batch of records.

        Returns the number of bytes, 0 if enough data is queued already.
        """
        sealer = self._sealer()
        if self.queued >= MAX_QUEUED:
            return 0
        if self.flight:
            self.finish_flight()  # such as the Finished of a server of TLS 1.2
        fragment_length = self.fragment_length
        if len(data) <= fragment_length or self._batch is not None:
            head = data[:fragment_length]
            self._append(ContentType.application_data, head)
            self.data_records += 1
            return len(head)
        data = data[: BATCH_RECORDS * fragment_length]
        self._enqueue(self._seal_batch(sealer, data))
        return len(data)

    def seal_data(self, data: bytes | memoryview) -> bytes:
        """Return ``data`` as one record that does not pass the queue.

        The result is empty, and nothing has changed, if ``data`` is empty or too long for one
        record, if something is queued before it, or if a message may be due before it. The caller
        passes what the transport does not take to :meth:`keep_unsent`.
        """
        length = len(data)
        sealer = self._direct_sealer()
        if sealer is None or not 0 < length <= self.fragment_length:
            return b""
        self.bytes_sealed += length
        self.data_records += 1
        return sealer.seal(APPLICATION_DATA, data)

    def seal_batch(self, data: memoryview) -> memoryview:
        """Return records with the start of ``data``, a batch at most, as :meth:`seal_data` does.

        They are in a borrowed buffer, which :meth:`keep_unsent` gives back.
        """
        sealer = self._direct_sealer()
        if sealer is None or not data:
            return NOTHING
        data = data[: BATCH_RECORDS * self.fragment_length]
        self.bytes_sealed += len(data)
        return self._seal_batch(sealer, data)

    def _direct_sealer(self) -> RecordSealer | None:
        """Return the sealer; None if something is queued before more data, or may be due."""
        if self._queue or self.flight or self.data_records >= self.direct_limit:
            return None
        return self.sealer

    def _seal_batch(self, sealer: RecordSealer, data: memoryview) -> memoryview:
        self._batch = batch = buffers.outgoing.borrow()
        slots = batch.slots(sealer, self.fragment_length, len(data))
        sealer.seal_records(data, slots)
        self.data_records += len(slots)
        return batch.octets[: len(data) + len(slots) * sealer.overhead]

    def keep_unsent(self, records: bytes | memoryview) -> None:
        """Queue what the transport did not take of directly sealed records."""
        if records:
            self._enqueue(records)
        else:
            self._give_batch_back()

    def install(self, sealer: RecordSealer) -> None:
        """Encrypt with these keys from now on."""
        if self.flight:
            self.finish_flight()
        self.sealer = sealer

    def unprotect(self) -> None:
        """Stop encrypting: the second ClientHello, after a HelloRetryRequest, is not encrypted."""
        self.finish_flight()
        self.sealer = None

    def update_keys(self) -> None:
        """Switch to the next keys, after the KeyUpdate that was just queued."""
        self.finish_flight()
        self._sealer().update()
        self._key_update_left = self.queued

    @property
    def key_update_queued(self) -> bool:
        """Whether a queued KeyUpdate has not left yet."""
        return self._key_update_left > 0

    def _sealer(self) -> RecordSealer:
        if self.sealer is None:
            raise RuntimeError("there are no keys yet")
        return self.sealer

    def finish_flight(self) -> None:
        """Put the handshake messages so far into records, and queue them."""
        if self.flight:
            flight, self.flight = self.flight, b""
            for start in range(0, len(flight), self.fragment_length):
                fragment = flight[start : start + self.fragment_length]
                padding = self._padding(len(fragment)) if self.hides_lengths else 0
                self._append(ContentType.handshake, fragment, padding)

    def _padding(self, length: int) -> int:
        return min(-length % FLIGHT_UNIT, self.fragment_length - length)

    def _append(self, content_type: int, content: bytes | memoryview, padding: int = 0) -> None:
        if self.sealer is None:
            header = record_header(content_type, len(content), self.record_version)
            self._enqueue(b"".join((header, content)))
        else:
            self._enqueue(self.sealer.seal(content_type, content, padding))

    def _enqueue(self, records: bytes | memoryview) -> None:
        if self._queue is None:
            self._queue = [records]
        else:
            self._queue.append(records)
        self.queued += len(records)

    # Ciphertext out

    def pending(self) -> memoryview:
        """Return the ciphertext to send next; empty if there is none."""
        if self.flight:
            self.finish_flight()
        queue = self._queue
        if queue is None:
            return NOTHING
        if len(queue) > 1:
            joined = b"".join(queue)
            queue.clear()
            self._give_batch_back()
            queue.append(joined)
        return memoryview(queue[0])

    def sent(self, count: int) -> None:
        """Remove the first ``count`` bytes of the ciphertext that :meth:`pending` returned."""
        queue = self._queue
        if not count or queue is None:
            return
        self.queued -= count
        if self._key_update_left:
            self._key_update_left = max(0, self._key_update_left - count)
        if not self.queued:
            self._queue = None
            if self._batch is not None:
                self._give_batch_back()
            return
        first = queue[0]
        if count < len(first):
            queue[0] = memoryview(first)[count:]
        else:
            del queue[0]

    def drop(self) -> None:
        """Discard everything that has not left: the peer does not read it any more."""
        self.flight = b""
        self._queue = None
        self.queued = 0
        self._give_batch_back()

    def __bool__(self) -> bool:
        return bool(self._queue or self.flight)

    def _give_batch_back(self) -> None:
        if self._batch is not None:
            buffers.outgoing.give_back(self._batch)
            self._batch = None
