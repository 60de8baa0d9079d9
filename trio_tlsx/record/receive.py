"""Receive records: collect, check and decrypt them."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import AlertDescription, ProtocolError
from ..messages.codec import Buffer
from . import buffers
from .buffers import BUFFER_LENGTH
from .protection import (
    MAX_CIPHERTEXT_LENGTH,
    MAX_INNER_PLAINTEXT_LENGTH,
    MAX_PLAINTEXT_LENGTH,
    MAX_RECORD_LENGTH,
    RECORD_HEADER_LENGTH,
    RECORD_OVERHEAD,
    ContentType,
    Opener,
)

__all__ = ["Incoming", "Record"]

#: Records in a row that carry nothing forward: empty ones, and dummy change_cipher_spec.
MAX_EMPTY_RECORDS = 32

#: The most early data that a server skips, in bytes of content, whatever records carry it. It is
#: what one record with 2^14 octets of ciphertext carries; BoringSSL's runner allows no more.
MAX_SKIPPED_EARLY_DATA = 2**14 - (RECORD_OVERHEAD - RECORD_HEADER_LENGTH)

#: Bytes of ciphertext from which on opening several records at once pays.
MIN_RUN_LENGTH = 2**12

CONTENT_TYPES = frozenset(ContentType)
EMPTY = memoryview(b"")


class Record(NamedTuple):
    """The content of one record, opened."""

    content_type: int
    content: bytes


class Frame(NamedTuple):
    """One record as it came; views of the input, good until more comes."""

    content_type: int
    header: memoryview
    payload: memoryview


class Incoming:
    """The receiving half of the record layer.

    Attributes:
        at_eof: the transport is at its end.
        received_anything: some ciphertext came.
        plaintext_limit: the largest TLSInnerPlaintext that the peer may send, in bytes: what our
            ``record_size_limit`` said (RFC 8449).
        accept_change_cipher_spec: one may be dropped here (RFC 9846 5).
        accept_plaintext_alert: the peer may not have keys yet, so that its alert may come in the
            clear although we have them.
        early_data_to_skip: how many bytes in records that cannot be opened are to be dropped:
            0-RTT data that this server did not accept (RFC 9846 4.3.10). What the records add to
            it does not count: a client may cut it into small ones.
        data_records: how many records of application data that hold any were received so far.
    """

    __slots__ = (
        "_empty_records",
        "_end",
        "_is_borrowed",
        "_opener",
        "_pending",
        "_start",
        "_view",
        "accept_change_cipher_spec",
        "accept_plaintext_alert",
        "at_eof",
        "data_records",
        "early_data_to_skip",
        "plaintext_limit",
        "received_anything",
    )

    def __init__(self) -> None:
        self._view = EMPTY  # unread input is at _start:_end
        self._start = 0
        self._end = 0
        self._is_borrowed = False  # whether _view is from the pool
        self._opener: Opener | None = None
        self._pending: Record | None = None  # opened already, and the next to be given
        self._empty_records = 0
        self.at_eof = False
        self.received_anything = False
        self.plaintext_limit = MAX_INNER_PLAINTEXT_LENGTH
        self.accept_change_cipher_spec = False
        self.accept_plaintext_alert = False
        self.early_data_to_skip = 0
        self.data_records = 0

    # Ciphertext in

    def room(self) -> memoryview:
        """Where ciphertext can be received into; enough for what the next record still lacks."""
        if not self._is_borrowed or self._end > len(self._view) - MAX_RECORD_LENGTH:
            if self._end - self._start > BUFFER_LENGTH - MAX_RECORD_LENGTH:
                raise RuntimeError("there is more input than fits: read() it first")
            unread = bytes(self._view[self._start : self._end])
            if not self._is_borrowed:
                self._view = buffers.incoming.borrow()
                self._is_borrowed = True
            self._view[: len(unread)] = unread
            self._start, self._end = 0, len(unread)
        return self._view[self._end :]

    def filled(self, count: int) -> None:
        """So much of :meth:`room` is ciphertext now; 0 is the end of the transport."""
        self._end += count
        self._note_arrival(count)

    def feed(self, data: Buffer) -> None:
        """Take ciphertext in; none is the end of the transport."""
        self._keep(b"".join((self._view[self._start : self._end], data)))
        self._note_arrival(len(data))

    def _note_arrival(self, count: int) -> None:
        if count:
            self.received_anything = True
        else:
            self.at_eof = True

    def _keep(self, unread: bytes) -> None:
        if self._is_borrowed:
            buffers.incoming.give_back(self._view)
            self._is_borrowed = False
        self._view = memoryview(unread)
        self._start, self._end = 0, len(unread)

    def release(self) -> None:
        """Give the borrowed buffer back."""
        if self._is_borrowed:
            self._keep(bytes(self._view[self._start : self._end]))

    def take_rest(self) -> bytes:
        """Give up the unread input."""
        rest = bytes(self._view[self._start : self._end])
        self._keep(b"")
        return rest

    # Content out

    @property
    def is_protected(self) -> bool:
        """Whether records come under keys."""
        return self._opener is not None

    def install(self, opener: Opener) -> None:
        """Expect protected records from now on."""
        self._opener = opener

    def update_keys(self) -> None:
        if self._opener is not None:
            self._opener.update()

    def next_record(self) -> Record | None:
        """The content of the next record, or None where it is not complete.

        Raises:
            ProtocolError: no peer may send this record here.
        """
        if self._pending is not None:
            record, self._pending = self._pending, None
            return record
        while (frame := self._next_frame()) is not None:
            if (record := self._open(frame)) is not None:
                return record
        return None

    def _next_frame(self) -> Frame | None:
        view, start = self._view, self._start
        available = self._end - start
        if not available:
            return None
        content_type = view[start]
        if content_type not in CONTENT_TYPES:
            raise self._not_a_record()
        if available < RECORD_HEADER_LENGTH:
            return None
        # legacy_record_version says nothing (RFC 9846 5.1).
        length = view[start + 3] << 8 | view[start + 4]
        may_be_sealed = self._opener is not None or self.early_data_to_skip
        protected = may_be_sealed and content_type == ContentType.application_data
        if length > (MAX_CIPHERTEXT_LENGTH if protected else MAX_PLAINTEXT_LENGTH):
            raise record_overflow(length)
        body = start + RECORD_HEADER_LENGTH
        if available < RECORD_HEADER_LENGTH + length:
            return None
        self._start = body + length
        return Frame(content_type, view[start:body], view[body : body + length])

    def _open(self, frame: Frame) -> Record | None:
        """What is in the record; None where it is to be dropped."""
        content_type, header, payload = frame
        if content_type == ContentType.change_cipher_spec:
            self._check_change_cipher_spec(payload)
            return None
        if self._opener is None:
            return self._unprotected(content_type, payload)
        if content_type == ContentType.alert and self.accept_plaintext_alert:
            return Record(content_type, bytes(payload))
        if content_type != ContentType.application_data:
            raise unexpected_record(content_type)
        try:
            inner = self._opener.open(header, payload)
        except ProtocolError:
            if not self.early_data_to_skip:
                raise
            self._skip_early_data(len(payload))
            return None
        self._note_opened()
        return self._inner_record(inner)

    def _unprotected(self, content_type: int, payload: memoryview) -> Record | None:
        if content_type == ContentType.application_data:
            if self.early_data_to_skip:
                self._skip_early_data(len(payload))
                return None
            raise unexpected_record(content_type)
        if not payload:
            # RFC 9846 5.1: only application data may come in empty records.
            raise unexpected("sent an empty record")
        if content_type == ContentType.handshake:
            self.early_data_to_skip = 0  # the second ClientHello, behind which none may come
        return Record(content_type, bytes(payload))

    def _inner_record(self, inner: bytes) -> Record | None:
        """Take a TLSInnerPlaintext apart (RFC 9846 5.4)."""
        if len(inner) > self.plaintext_limit:
            raise record_overflow(len(inner))
        unpadded = inner.rstrip(b"\0")
        if not unpadded:
            raise unexpected("sent a record that is nothing but padding")
        content_type, content = unpadded[-1], unpadded[:-1]
        if content_type == ContentType.application_data:
            if not content:
                # Where there is data, it may be of no octets (RFC 9846 5.1): the caller knows.
                self._count_empty_record()
                return Record(content_type, content)
        elif content_type not in (ContentType.alert, ContentType.handshake):
            raise unexpected_record(content_type)
        elif not content:
            raise unexpected("sent an empty record")
        self._empty_records = 0
        return Record(content_type, content)

    def take_application_data(self, limit: int) -> bytes:
        """Application data from as many records as are there, up to about ``limit`` bytes.

        Empty where the next record is of another type, or not complete. What is returned may
        exceed ``limit`` by the length of a record.

        Raises:
            ProtocolError: as :meth:`next_record`.
        """
        if self._pending is not None or self._start == self._end:
            return b""
        if data := self._open_run(limit):
            return data
        while (record := self.next_record()) is not None:
            if record.content_type != ContentType.application_data:
                self._pending = record
                break
            if record.content:
                self.data_records += 1
                return record.content
        return b""

    def _open_run(self, limit: int) -> bytes:
        """The content of the next records, if they are several and nothing but plain data."""
        opener = self._opener
        unread = self._view[self._start : self._end]
        if opener is None or self.early_data_to_skip or len(unread) <= MIN_RUN_LENGTH:
            return b""
        output = buffers.plaintext.borrow()
        records = unread[: min(limit, len(output))]
        first = opener.sequence_number
        consumed, end = opener.open_records(records, output, self.plaintext_limit)
        self.data_records += opener.sequence_number - first
        data = bytes(output[:end])
        buffers.plaintext.give_back(output)
        if data:
            self._start += consumed
            self._empty_records = 0
            self.accept_plaintext_alert = False
        return data

    # What is not as it should be

    def _check_change_cipher_spec(self, payload: memoryview) -> None:
        if not self.accept_change_cipher_spec or bytes(payload) != b"\x01":
            raise unexpected_record(ContentType.change_cipher_spec)
        self._count_empty_record()

    def _count_empty_record(self) -> None:
        self._empty_records += 1
        if self._empty_records > MAX_EMPTY_RECORDS:
            raise unexpected(f"sent more than {MAX_EMPTY_RECORDS} empty records in a row")

    def _note_opened(self) -> None:
        """A record was opened: from here on the peer has its keys and uses them."""
        self.accept_plaintext_alert = False
        self.early_data_to_skip = 0

    def _skip_early_data(self, length: int) -> None:
        """Drop a record of early data that was not accepted."""
        if self._opener is not None:
            self._opener.sequence_number = 0  # nothing was opened with it yet
        # No record goes for nothing; padding cannot be told from data.
        content_length = max(1, RECORD_HEADER_LENGTH + length - RECORD_OVERHEAD)
        if content_length > self.early_data_to_skip:
            raise unexpected("sent more early data than any server would have allowed")
        self.early_data_to_skip -= content_length

    def _not_a_record(self) -> ProtocolError:
        start = bytes(self._view[self._start : min(self._end, self._start + 40)])
        if self._opener is None:
            return unexpected(f"does not speak TLS: it sent {first_line(start)}")
        return unexpected(f"sent a record of the unknown type {start[0]}")


def first_line(octets: bytes) -> str:
    """The first line of what a peer sent that speaks another protocol."""
    line = octets.split(b"\r\n")[0].split(b"\n")[0]
    return repr(line.decode("ascii", "backslashreplace"))


def unexpected(fault: str) -> ProtocolError:
    return ProtocolError(f"the other side {fault}", AlertDescription.unexpected_message)


def unexpected_record(content_type: int) -> ProtocolError:
    name = ContentType(content_type).name if content_type in CONTENT_TYPES else content_type
    return unexpected(f"sent a record of type {name} where none may be")


def record_overflow(length: int) -> ProtocolError:
    return ProtocolError(
        f"the other side sent a record of {length} bytes, more than is allowed here",
        AlertDescription.record_overflow,
    )
