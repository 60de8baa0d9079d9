"""Receive records: collect, check and decrypt them."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from ..errors import AlertDescription, ProtocolError
from ..messages.codec import Buffer
from . import buffers
from .buffers import BUFFER_LENGTH
from .interface import RecordOpener
from .protection import (
    MAX_CIPHERTEXT_LENGTH,
    MAX_INNER_PLAINTEXT_LENGTH,
    MAX_PLAINTEXT_LENGTH,
    MAX_RECORD_LENGTH,
    RECORD_HEADER_LENGTH,
    RECORD_OVERHEAD,
    ContentType,
)

__all__ = ["Incoming", "Record"]

#: The most consecutive records without data: empty ones, and dummy change_cipher_spec.
MAX_EMPTY_RECORDS = 32

#: The most early data that a server skips, in bytes of content, in any number of records. It is
#: the content of one record with 2^14 octets of ciphertext; BoringSSL's runner allows no more.
MAX_SKIPPED_EARLY_DATA = 2**14 - (RECORD_OVERHEAD - RECORD_HEADER_LENGTH)

#: The least ciphertext for which opening several records at once is faster, in bytes.
MIN_RUN_LENGTH = 2**12

#: A HelloRequest (RFC 5246 7.4.1.1), which a server may send at any time; a client ignores it.
HELLO_REQUEST = bytes(4)

CONTENT_TYPES = frozenset(ContentType)
EMPTY = memoryview(b"")  # shared: a view takes 300 bytes


class Record(NamedTuple):
    """The content of one decrypted record."""

    content_type: int
    content: bytes


#: What :meth:`Incoming.next_record` returns for a record of rejected early data. It looks like an
#: empty record of application data.
SKIPPED = Record(ContentType.application_data, b"")

#: One received record: its type, and views of its header and its payload in the input, which more
#: input invalidates.
Frame: TypeAlias = tuple[int, memoryview, memoryview]


class Incoming:
    """The receiving half of the record layer.

    Attributes:
        is_protected: whether the peer's records are encrypted.
        at_eof: whether the transport has ended.
        received_anything: whether any ciphertext was received.
        plaintext_limit: the largest TLSInnerPlaintext that the peer may send, in bytes: our
            ``record_size_limit`` (RFC 8449).
        accept_change_cipher_spec: whether to ignore a change_cipher_spec record (RFC 9846 5).
        accept_plaintext_alert: whether to accept an unencrypted alert although we have keys: the
            peer may not have them yet.
        early_data_to_skip: how many bytes of records that cannot be decrypted to ignore: early
            data that this server rejected (RFC 9846 4.3.10). The overhead of the records does not
            count, because a client may send small records.
        empty_records: how many of the last records, in a row, had no content or were an ignored
            change_cipher_spec.
        data_records: the number of non-empty records of application data received so far.
        bytes_opened: how much of their content was decrypted, in bytes.
        partial_length: how many bytes of the next record have arrived, if everything before it is
            processed. So :meth:`open_data` (if it is 0) or :meth:`open_run` can open more input.
            None if there is more to process.
    """

    __slots__ = (
        "_end",
        "_is_borrowed",
        "_next_opener",
        "_opener",
        "_pending",
        "_start",
        "_view",
        "accept_change_cipher_spec",
        "accept_plaintext_alert",
        "at_eof",
        "bytes_opened",
        "data_records",
        "early_data_to_skip",
        "empty_records",
        "is_protected",
        "partial_length",
        "plaintext_limit",
        "received_anything",
    )

    def __init__(self) -> None:
        self._view = EMPTY  # unread input is at _start:_end
        self._start = 0
        self._end = 0
        self._is_borrowed = False  # whether _view is from the pool
        self._opener: RecordOpener | None = None
        self._next_opener: RecordOpener | None = None  # from a change_cipher_spec on
        self._pending: Record | None = None  # decrypted already, and returned next
        self.empty_records: int = 0
        self.is_protected: bool = False
        self.at_eof: bool = False
        self.received_anything: bool = False
        self.plaintext_limit: int = MAX_INNER_PLAINTEXT_LENGTH
        self.accept_change_cipher_spec: bool = False
        self.accept_plaintext_alert: bool = False
        self.early_data_to_skip: int = 0
        self.data_records: int = 0
        self.bytes_opened: int = 0
        self.partial_length: int | None = None

    # Ciphertext in

    def room(self) -> memoryview:
        """Return a buffer to receive ciphertext into, with room for the rest of the next record.

        Raises:
            RuntimeError: there is too much unread input.
        """
        if not self._is_borrowed or self._end > len(self._view) - MAX_RECORD_LENGTH:
            if self._end - self._start > BUFFER_LENGTH - MAX_RECORD_LENGTH:
                raise RuntimeError("the buffer is full of unread input: call read() first")
            unread = bytes(self._view[self._start : self._end])
            if not self._is_borrowed:
                self._view = buffers.incoming.borrow()
                self._is_borrowed = True
            self._view[: len(unread)] = unread
            self._start, self._end = 0, len(unread)
        return self._view[self._end :]

    def filled(self, count: int) -> None:
        """Note that :meth:`room` now starts with ``count`` bytes of ciphertext; 0 means EOF."""
        self._end += count
        self._note_arrival(count)

    def feed(self, data: Buffer) -> None:
        """Append ciphertext; empty ``data`` means EOF."""
        if self._start < self._end or self._is_borrowed:
            self._keep(b"".join((self._view[self._start : self._end], data)))
        else:
            self._view = memoryview(bytes(data)) if data else EMPTY
            self._start, self._end = 0, len(data)
        self._note_arrival(len(data))

    def _note_arrival(self, count: int) -> None:
        self.partial_length = None
        if count:
            self.received_anything = True
        else:
            self.at_eof = True

    def _keep(self, unread: bytes) -> None:
        if self._is_borrowed:
            buffers.incoming.give_back(self._view)
            self._is_borrowed = False
        self._view = memoryview(unread) if unread else EMPTY
        self._start, self._end = 0, len(unread)

    def release(self) -> None:
        """Return the borrowed buffer to its pool."""
        if self._is_borrowed:
            self._keep(bytes(self._view[self._start : self._end]))

    def take_rest(self) -> bytes:
        """Remove the unread input, and return it."""
        rest = bytes(self._view[self._start : self._end])
        self._keep(b"")
        return rest

    def note_drained(self) -> None:
        """Note that everything before the next record is processed."""
        view, start = self._view, self._start
        length = self._end - start
        is_whole = length >= RECORD_HEADER_LENGTH and (
            length >= RECORD_HEADER_LENGTH + (view[start + 3] << 8 | view[start + 4])
        )
        self.partial_length = None if is_whole or self._pending is not None else length

    # Content out

    def install(self, opener: RecordOpener) -> None:
        """Expect encrypted records from now on."""
        self._opener = opener
        self.is_protected = True

    def install_at_change_cipher_spec(self, opener: RecordOpener) -> None:
        """Expect a change_cipher_spec, and encrypted records after it (RFC 5246 7.1)."""
        self._next_opener = opener

    def update_keys(self) -> None:
        """Expect the next records under the peer's next keys."""
        if self._opener is not None:
            self._opener.update()

    def next_record(self) -> Record | None:
        """Return the next record; None if it is not complete, ``SKIPPED`` for skipped early data.

        Raises:
            ProtocolError: the record is not authentic, or is not allowed here.
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
        # legacy_record_version must be ignored (RFC 9846 5.1).
        length = view[start + 3] << 8 | view[start + 4]
        if self._opener is not None and content_type in self._opener.header_types:
            max_length = self._opener.max_ciphertext_length
        elif self.early_data_to_skip and content_type == ContentType.application_data:
            max_length = MAX_CIPHERTEXT_LENGTH
        else:
            max_length = MAX_PLAINTEXT_LENGTH
        if length > max_length:
            raise record_overflow(length)
        body = start + RECORD_HEADER_LENGTH
        if available < RECORD_HEADER_LENGTH + length:
            return None
        self._start = body + length
        return content_type, view[start:body], view[body : body + length]

    def _open(self, frame: Frame) -> Record | None:
        """Decrypt a record; return None if the record is to be ignored."""
        content_type, header, payload = frame
        if content_type == ContentType.change_cipher_spec:
            self._receive_change_cipher_spec(payload)
            return None
        if self._opener is None:
            return self._unprotected(content_type, payload)
        if content_type == ContentType.alert and self.accept_plaintext_alert:
            return Record(content_type, bytes(payload))
        if content_type not in self._opener.header_types:
            raise unexpected_record(content_type)
        try:
            plaintext = self._opener.open(header, payload)
        except ProtocolError:
            if not self.early_data_to_skip:
                raise
            return self._skip_early_data(len(payload))
        self._note_opened()
        if len(plaintext) > self.plaintext_limit:
            raise record_overflow(len(plaintext))
        return self._content(*self._opener.split(content_type, plaintext))

    def _unprotected(self, content_type: int, payload: memoryview) -> Record | None:
        if content_type == ContentType.application_data:
            if self.early_data_to_skip:
                return self._skip_early_data(len(payload))
            raise unexpected_record(content_type)
        if not payload:
            # RFC 9846 5.1: only records of application data may be empty.
            raise unexpected("sent an empty record")
        if content_type == ContentType.handshake:
            if self._next_opener is not None and bytes(payload) != HELLO_REQUEST:
                raise unexpected("sent a handshake message where change_cipher_spec must come")
            self.early_data_to_skip = 0  # early data cannot follow the second ClientHello
        return Record(content_type, bytes(payload))

    def _content(self, content_type: int, content: bytes) -> Record:
        """Check the content of a decrypted record (RFC 9846 5.1, 5.4)."""
        if content_type == ContentType.application_data:
            if not content:
                # RFC 9846 5.1 allows empty application data; the caller checks its place.
                self._count_empty_record()
                return Record(content_type, content)
        elif content_type not in (ContentType.alert, ContentType.handshake):
            raise unexpected_record(content_type)
        elif not content:
            raise unexpected("sent an empty record")
        if content_type != ContentType.alert:  # a warning of TLS 1.2 is no progress
            self.empty_records = 0
        return Record(content_type, content)

    def take_application_data(self, limit: int) -> bytes:
        """Return the application data of the next records, up to about ``limit`` bytes.

        The result is empty if the next record has another type, or is not complete. It may exceed
        ``limit`` by the length of a record.

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
                self.bytes_opened += len(record.content)
                return record.content
        return b""

    def open_data(self, record: bytes, limit: int | None) -> bytes:
        """Return the content of a record that comes directly from the transport.

        The result is empty if this is no whole, ordinary record of application data, or has more
        than ``limit`` bytes of content. Pass it to :meth:`feed` then.
        """
        opener, plaintext_limit = self._opener, self.plaintext_limit
        if opener is None:
            return b""
        if limit is not None and limit < plaintext_limit:
            plaintext_limit = limit + opener.type_length
        if data := opener.open_data(record, plaintext_limit):
            self.data_records += 1
            self.bytes_opened += len(data)
            self.empty_records = 0
        return data

    def open_run(self, count: int, limit: int | None) -> bytes:
        """Return the content of the records in :meth:`room`, after ``count`` bytes of input.

        The result is empty if the next record is not ordinary application data, or not complete.
        """
        self._end += count
        self.partial_length = None
        if data := self._open_run(BUFFER_LENGTH if limit is None else limit):
            self.note_drained()
        return data

    def _open_run(self, limit: int) -> bytes:
        """Decrypt several records of application data at once; return nothing if there are few."""
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
            self.bytes_opened += end
            self._start += consumed
            self.empty_records = 0
            self.accept_plaintext_alert = False
        return data

    # Faults

    def _receive_change_cipher_spec(self, payload: memoryview) -> None:
        if self._next_opener is not None and bytes(payload) == b"\x01":
            self.install(self._next_opener)
            self._next_opener = None
            return
        if not self.accept_change_cipher_spec or bytes(payload) != b"\x01":
            raise unexpected_record(ContentType.change_cipher_spec)
        self._count_empty_record()

    def _count_empty_record(self) -> None:
        self.empty_records += 1
        if self.empty_records > MAX_EMPTY_RECORDS:
            raise unexpected(f"sent more than {MAX_EMPTY_RECORDS} empty records in a row")

    def _note_opened(self) -> None:
        """Note that a record was decrypted: the peer has its keys from here on."""
        self.accept_plaintext_alert = False
        self.early_data_to_skip = 0

    def _skip_early_data(self, length: int) -> Record:
        """Ignore a record of rejected early data; ProtocolError if there was too much of it."""
        if self._opener is not None:
            self._opener.sequence_number = 0  # no record was decrypted with these keys yet
        # Each record counts at least one byte; padding looks like data.
        content_length = max(1, RECORD_HEADER_LENGTH + length - RECORD_OVERHEAD)
        if content_length > self.early_data_to_skip:
            raise unexpected(f"sent more rejected early data than {MAX_SKIPPED_EARLY_DATA} bytes")
        self.early_data_to_skip -= content_length
        return SKIPPED

    def _not_a_record(self) -> ProtocolError:
        start = bytes(self._view[self._start : min(self._end, self._start + 40)])
        if self._opener is None:
            return unexpected(f"does not speak TLS: it sent {first_line(start)}")
        return unexpected(f"sent a record of the unknown type {start[0]}")


def first_line(octets: bytes) -> str:
    """Return the first line that a peer with another protocol sent, for an error."""
    line = octets.split(b"\r\n")[0].split(b"\n")[0]
    return repr(line.decode("ascii", "backslashreplace"))


def unexpected(fault: str) -> ProtocolError:
    """Return the error for a record or message that is not allowed here."""
    return ProtocolError(f"the peer {fault}", AlertDescription.unexpected_message)


def unexpected_record(content_type: int) -> ProtocolError:
    """Return the error for a record whose type is not allowed here."""
    name = ContentType(content_type).name if content_type in CONTENT_TYPES else content_type
    return unexpected(f"sent a record of type {name}, which is not allowed here")


def record_overflow(length: int) -> ProtocolError:
    """Return the error for a record that is too long."""
    return ProtocolError(
        f"the peer sent a record of {length} bytes, which is longer than allowed",
        AlertDescription.record_overflow,
    )
