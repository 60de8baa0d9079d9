"""Record protection and the limits of the record layer (RFC 9846 5)."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag

from ..crypto.cipher_suites import CipherSuite
from ..crypto.key_schedule import IV_LENGTH, next_traffic_secret, traffic_keys
from ..errors import AlertDescription, ProtocolError
from ..messages.codec import uint16

__all__ = ["ContentType", "Opener", "RecordSlot", "Sealer", "record_header"]

RECORD_HEADER_LENGTH = 5
TAG_LENGTH = 16  # of every AEAD in suites.py
MAX_PLAINTEXT_LENGTH = 2**14  # RFC 9846 5.1
MAX_INNER_PLAINTEXT_LENGTH = MAX_PLAINTEXT_LENGTH + 1  # with the content type, RFC 9846 5.4
MIN_RECORD_SIZE_LIMIT = 64  # RFC 8449 4
MAX_CIPHERTEXT_LENGTH = MAX_PLAINTEXT_LENGTH + 256  # RFC 9846 5.2
MAX_RECORD_LENGTH = RECORD_HEADER_LENGTH + MAX_CIPHERTEXT_LENGTH

#: What a record of application data without padding adds to its content.
RECORD_OVERHEAD = RECORD_HEADER_LENGTH + 1 + TAG_LENGTH

#: RFC 9846 5.1: what records claim, but for those of a first ClientHello.
LEGACY_RECORD_VERSION = 0x0303
INITIAL_RECORD_VERSION = 0x0301

#: A key is given up this many records before its limit, so that what is under way still fits.
KEY_UPDATE_MARGIN = 2**16


class ContentType(enum.IntEnum):
    """RFC 9846 5.1."""

    change_cipher_spec = 20
    alert = 21
    handshake = 22
    application_data = 23


APPLICATION_DATA = int(ContentType.application_data)  # a plain int compares twice as fast


class RecordSlot(NamedTuple):
    """Where one TLSCiphertext is to lie, as views of a buffer."""

    header: bytes
    header_view: memoryview
    content: memoryview
    inner: memoryview  #: the TLSInnerPlaintext: ``content``, and its type in the last octet
    sealed: memoryview  #: that, encrypted, and the tag

    @classmethod
    def at(cls, octets: memoryview, start: int, length: int) -> RecordSlot:
        """From ``start`` on, for ``length`` bytes of content."""
        inner_length = length + 1
        body = start + RECORD_HEADER_LENGTH
        return cls(
            record_header(ContentType.application_data, inner_length + TAG_LENGTH),
            octets[start:body],
            octets[body : body + length],
            octets[body : body + inner_length],
            octets[body : body + inner_length + TAG_LENGTH],
        )


def record_header(content_type: int, length: int, version: int = LEGACY_RECORD_VERSION) -> bytes:
    return bytes((content_type,)) + uint16(version) + uint16(length)


class _Protection:
    """One direction's keys: an AEAD, its IV, and the sequence number of the next record."""

    __slots__ = ("_aead", "_iv", "_secret", "sequence_number", "suite")

    def __init__(self, suite: CipherSuite, secret: bytes) -> None:
        self.suite = suite
        self._install(secret)

    def _install(self, secret: bytes) -> None:
        key, iv = traffic_keys(self.suite, secret)
        self._secret = secret
        self._aead = self.suite.aead(key)
        self._iv = int.from_bytes(iv)
        self.sequence_number: int = 0

    def update(self) -> None:
        """Go on to the keys of the next generation (RFC 9846 7.2)."""
        self._install(next_traffic_secret(self.suite, self._secret))

    def _nonce(self) -> bytes:
        # RFC 9846 5.3; a sequence number is used once, whatever becomes of the record.
        sequence_number = self.sequence_number
        self.sequence_number = sequence_number + 1
        return (self._iv ^ sequence_number).to_bytes(IV_LENGTH)


class Sealer(_Protection):
    """Protects what this side sends."""

    __slots__ = ()

    @property
    def needs_key_update(self) -> bool:
        """Whether the keys are to be updated before the next batch of records (RFC 9846 5.5)."""
        return self.sequence_number >= self.suite.records_per_key - KEY_UPDATE_MARGIN

    def seal(self, content_type: int, content: bytes | memoryview) -> bytes:
        """One whole TLSCiphertext."""
        inner = b"".join((content, bytes((content_type,))))
        header = record_header(ContentType.application_data, len(inner) + TAG_LENGTH)
        return header + self._aead.encrypt(self._nonce(), inner, header)

    def seal_records(self, data: memoryview, slots: Sequence[RecordSlot]) -> None:
        """Application data as a run of TLSCiphertexts that take these slots.

        Each is encrypted in place: the input and the output of the AEAD are the same octets,
        which a test holds ``cryptography`` to.

        This is where bulk data goes through: what can be outside the loop is.
        """
        encrypt_into, iv, sequence_number = self._aead.encrypt_into, self._iv, self.sequence_number
        # All numbers are used up front, so that none can be used again whatever happens.
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
    """Opens what the peer protected."""

    __slots__ = ()

    def open(self, header: memoryview, ciphertext: memoryview) -> bytes:
        """The TLSInnerPlaintext, padding and all.

        Raises:
            ProtocolError: ``bad_record_mac``, it is not what the peer sealed.
        """
        try:
            return self._aead.decrypt(self._nonce(), ciphertext, header)
        except InvalidTag:
            raise bad_record_mac() from None

    def open_records(
        self, records: memoryview, output: memoryview, plaintext_limit: int
    ) -> tuple[int, int]:
        """Open a run of records of application data, from the start of ``records``.

        The content of one comes to lie over the content type of the one before it. The run ends
        before the first record that is not complete, cannot be opened, is not plainly application
        data, or is larger than ``plaintext_limit`` with its content type; what is wrong with it
        is for :meth:`open` to find. ``output`` has room for all of ``records``.

        Returns how many octets of ``records`` were opened, and how many of ``output`` are content.

        This is where bulk data goes through: what can be outside the loop is.
        """
        decrypt_into, iv, sequence_number = self._aead.decrypt_into, self._iv, self.sequence_number
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
                # What was decrypted is there, even where it is not authentic.
                inner[:] = bytes(inner_length)
                break
            sequence_number += 1
            start, end = stop, end + inner_length - 1
        self.sequence_number = sequence_number
        return start, end


def bad_record_mac() -> ProtocolError:
    return ProtocolError(
        "a record from the peer could not be opened: it was altered, or sealed under other keys",
        AlertDescription.bad_record_mac,
    )
