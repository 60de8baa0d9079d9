"""The protection of records in TLS 1.3, and the limits of the record layer (RFC 9846 5).

:mod:`.interface` says what another version must provide.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag

from ..crypto.cipher_suites import AEAD, CipherSuite
from ..crypto.key_schedule import IV_LENGTH, next_traffic_secret, traffic_keys
from ..errors import AlertDescription, ProtocolError
from ..messages.codec import uint16
from .ready_aeads import ready_aeads

__all__ = ["ContentType", "Opener", "RecordSlot", "Sealer", "record_header"]

RECORD_HEADER_LENGTH = 5
TAG_LENGTH = 16  # of every AEAD in crypto/cipher_suites.py
MAX_PLAINTEXT_LENGTH = 2**14  # RFC 9846 5.1
MAX_INNER_PLAINTEXT_LENGTH = MAX_PLAINTEXT_LENGTH + 1  # with the content type, RFC 9846 5.4
MIN_RECORD_SIZE_LIMIT = 64  # RFC 8449 4
MAX_CIPHERTEXT_LENGTH = MAX_PLAINTEXT_LENGTH + 256  # RFC 9846 5.2
MAX_RECORD_LENGTH = RECORD_HEADER_LENGTH + MAX_CIPHERTEXT_LENGTH

#: The bytes that a record of application data without padding adds to its content.
RECORD_OVERHEAD = RECORD_HEADER_LENGTH + 1 + TAG_LENGTH

#: RFC 9846 5.1: the version in record headers; those of a first ClientHello have another.
LEGACY_RECORD_VERSION = 0x0303
INITIAL_RECORD_VERSION = 0x0301

#: A key is replaced this many records before its limit, so that queued records stay below it.
KEY_UPDATE_MARGIN = 2**16


class ContentType(enum.IntEnum):
    """The content types of records (RFC 9846 5.1)."""

    change_cipher_spec = 20
    alert = 21
    handshake = 22
    application_data = 23


APPLICATION_DATA = int(ContentType.application_data)  # a plain int compares twice as fast

#: The header of each protected record, up to its length.
PROTECTED_HEADER = bytes((APPLICATION_DATA,)) + uint16(LEGACY_RECORD_VERSION)


#: Each octet as bytes.
OCTETS = tuple(bytes((value,)) for value in range(256))


class RecordSlot(NamedTuple):
    """The slot of one TLSCiphertext in a buffer: its header's value, and views of its parts."""

    header: bytes
    header_view: memoryview
    content: memoryview
    inner: memoryview  #: the TLSInnerPlaintext: ``content``, then the content type
    sealed: memoryview  #: the encrypted ``inner``, then the tag

    @classmethod
    def at(cls, octets: memoryview, start: int, length: int) -> RecordSlot:
        """Return the slot at ``start`` in a buffer, for ``length`` bytes of content."""
        inner_length = length + 1
        body = start + RECORD_HEADER_LENGTH
        return cls(
            record_header(ContentType.application_data, inner_length + TAG_LENGTH),
            octets[start:body],
            octets[body : body + length],
            octets[body : body + inner_length],
            octets[body : body + inner_length + TAG_LENGTH],
        )


_RECORD_HEADER = struct.Struct(">BHH")  # content type, version, length


def record_header(content_type: int, length: int, version: int = LEGACY_RECORD_VERSION) -> bytes:
    """Encode the header of a record with ``length`` bytes."""
    return _RECORD_HEADER.pack(content_type, version, length)


class AEADProtection:
    """The keys of one direction, and the sequence number of the next record.

    A subclass sets the attributes.
    """

    __slots__ = ("__weakref__", "_key_and_iv", "_ready", "sequence_number", "suite")

    suite: CipherSuite
    sequence_number: int
    _key_and_iv: bytes
    _ready: tuple[AEAD, int] | None  # the AEAD and the IV, while it is kept

    def _prepare(self) -> tuple[AEAD, int]:
        """Make the AEAD, and return it with the IV."""
        key_length = self.suite.key_length
        key, iv = self._key_and_iv[:key_length], self._key_and_iv[key_length:]
        self._ready = ready = self.suite.aead(key), int.from_bytes(iv)
        ready_aeads.add(self)
        return ready

    def drop_aead(self) -> None:
        """Drop the AEAD until it is needed again. A record in progress keeps its own reference."""
        self._ready = None


class _Protection(AEADProtection):
    """The keys of one direction in TLS 1.3, which a traffic secret gives."""

    __slots__ = ("_secret",)

    def __init__(self, suite: CipherSuite, secret: bytes) -> None:
        self.suite: CipherSuite = suite
        self._install(secret)

    def _install(self, secret: bytes) -> None:
        key, iv = traffic_keys(self.suite, secret)
        self._secret = secret
        self._key_and_iv: bytes = key + iv
        self._ready: tuple[AEAD, int] | None = None
        self.sequence_number: int = 0

    def update(self) -> None:
        """Derive and install the next keys (RFC 9846 7.2)."""
        self._install(next_traffic_secret(self.suite, self._secret))


class Sealer(_Protection):
    """Encrypt the records that this side sends; fulfils :class:`~.interface.RecordSealer`."""

    __slots__ = ()

    sequence_number: int

    overhead = RECORD_OVERHEAD
    slot: staticmethod[[memoryview, int, int], RecordSlot] = staticmethod(RecordSlot.at)

    @property
    def records_left(self) -> int:
        """How many records to seal before the keys must be updated (RFC 9846 5.5); 0 if now."""
        return max(0, self.suite.records_per_key - KEY_UPDATE_MARGIN - self.sequence_number)

    def seal(self, content_type: int, content: bytes | memoryview, padding: int = 0) -> bytes:
        """Return one TLSCiphertext, with its header and this much padding (RFC 9846 5.4)."""
        aead, iv = self._ready or self._prepare()
        # The sequence number is consumed first, so that an exception cannot lead to its reuse.
        nonce = (iv ^ self.sequence_number).to_bytes(IV_LENGTH)
        self.sequence_number += 1
        inner = b"".join((content, OCTETS[content_type]))
        if padding:
            inner += bytes(padding)
        header = PROTECTED_HEADER + (len(inner) + TAG_LENGTH).to_bytes(2)
        return header + aead.encrypt(nonce, inner, header)

    def seal_records(self, data: memoryview, slots: Sequence[RecordSlot]) -> None:
        """Encrypt application data into consecutive TLSCiphertexts, in these slots.

        Each is encrypted in place: the AEAD's input and output are the same octets. A test checks
        that ``cryptography`` supports this.

        All bulk data passes this loop, so it contains only the necessary work.
        """
        aead, iv = self._ready or self._prepare()
        encrypt_into, sequence_number = aead.encrypt_into, self.sequence_number
        # All sequence numbers are consumed first, so that an exception cannot lead to their reuse.
        self.sequence_number += len(slots)
        start = 0
        for header, header_view, content, inner, sealed in slots:
            stop = start + len(content)
            header_view[:] = header
            content[:] = data[start:stop]
            inner[-1] = APPLICATION_DATA
            encrypt_into((iv ^ sequence_number).to_bytes(IV_LENGTH), inner, header, sealed)
            sequence_number += 1
            start = stop


class Opener(_Protection):
    """Decrypt the records that the peer sends; fulfils :class:`~.interface.RecordOpener`.

    What is particular to TLS 1.3 in a protected record is here: the type in the header is always
    the same, and the real type is at the end of the plaintext (RFC 9846 5.2, 5.4).
    """

    __slots__ = ()

    sequence_number: int

    #: The types in the headers of protected records.
    header_types: frozenset[int] = frozenset({APPLICATION_DATA})
    max_ciphertext_length = MAX_CIPHERTEXT_LENGTH
    type_length = 1

    def open(self, header: memoryview, ciphertext: memoryview) -> bytes:
        """Decrypt a record, and return its plaintext: a TLSInnerPlaintext with the padding.

        Raises:
            ProtocolError: the record is not authentic (``bad_record_mac``).
        """
        aead, iv = self._ready or self._prepare()
        # RFC 9846 5.3: each sequence number is used once, even if the record is discarded.
        sequence_number = self.sequence_number
        self.sequence_number = sequence_number + 1
        try:
            nonce = (iv ^ sequence_number).to_bytes(IV_LENGTH)
            return aead.decrypt(nonce, ciphertext, header)
        except InvalidTag:
            raise bad_record_mac() from None

    def split(self, header_type: int, plaintext: bytes) -> tuple[int, bytes]:
        """Split the plaintext of a record into its content type and its content.

        Raises:
            ProtocolError: there is only padding, and no content type (``unexpected_message``).
        """
        unpadded = plaintext.rstrip(b"\0")
        if not unpadded:
            raise ProtocolError(
                "the peer sent a record with only padding, and no content type",
                AlertDescription.unexpected_message,
            )
        return unpadded[-1], unpadded[:-1]

    def open_data(self, record: bytes, plaintext_limit: int) -> bytes:
        """Return the content of one record of application data.

        The result is empty, and no sequence number is used, if ``record`` is not exactly one
        record, is not authentic, is not application data without padding, is empty, or is larger
        than ``plaintext_limit`` with its content type; :meth:`open` then reports the fault.
        """
        inner_length = len(record) - RECORD_HEADER_LENGTH - TAG_LENGTH
        if (
            not 1 < inner_length <= plaintext_limit
            or record[0] != APPLICATION_DATA
            or record[3] << 8 | record[4] != inner_length + TAG_LENGTH
        ):
            return b""
        aead, iv = self._ready or self._prepare()
        header, ciphertext = record[:RECORD_HEADER_LENGTH], record[RECORD_HEADER_LENGTH:]
        nonce = (iv ^ self.sequence_number).to_bytes(IV_LENGTH)
        try:
            inner = aead.decrypt(nonce, ciphertext, header)
        except InvalidTag:
            return b""
        if inner[-1] != APPLICATION_DATA:
            return b""
        self.sequence_number += 1
        return inner[:-1]

    def open_records(
        self, records: memoryview, output: memoryview, plaintext_limit: int
    ) -> tuple[int, int]:
        """Decrypt consecutive records of application data, from the start of ``records``.

        The content of each record overwrites the content type of the previous one. The method
        stops before the first record that is not complete, is not authentic, is not application
        data without padding, or is larger than ``plaintext_limit`` with its content type;
        :meth:`open` then reports the fault. ``output`` must be at least as long as ``records``.

        Returns the number of octets of ``records`` that were decrypted, and the number of octets
        of ``output`` that are content.

        All bulk data passes this loop, so it contains only the necessary work.
        """
        aead, iv = self._ready or self._prepare()
        decrypt_into, sequence_number = aead.decrypt_into, self.sequence_number
        available = len(records)
        start = end = 0
        while available - start > RECORD_HEADER_LENGTH:
            body = start + RECORD_HEADER_LENGTH
            inner_length = (records[start + 3] << 8 | records[start + 4]) - TAG_LENGTH
            stop = body + inner_length + TAG_LENGTH
            if (
                records[start] != APPLICATION_DATA
                or stop > available
                or not 1 < inner_length <= plaintext_limit
            ):
                break
            inner = output[end : end + inner_length]
            nonce = (iv ^ sequence_number).to_bytes(IV_LENGTH)
            try:
                decrypt_into(nonce, records[body:stop], records[start:body], inner)
                is_plain = inner[-1] == APPLICATION_DATA
            except InvalidTag:
                is_plain = False
            if not is_plain:
                # Erase the output: the AEAD writes plaintext even if it is not authentic.
                inner[:] = bytes(inner_length)
                break
            sequence_number += 1
            start, end = stop, end + inner_length - 1
        self.sequence_number = sequence_number
        return start, end


def bad_record_mac() -> ProtocolError:
    """Return the error for a record that is not authentic."""
    return ProtocolError(
        "the peer's record could not be decrypted: it was altered, or encrypted with other keys",
        AlertDescription.bad_record_mac,
    )
