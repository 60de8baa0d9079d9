"""Record protection and the limits of the record layer (RFC 9846 5)."""

from __future__ import annotations

import enum

from cryptography.exceptions import InvalidTag

from ..errors import AlertDescription, ProtocolError
from .key_schedule import next_traffic_secret, traffic_keys
from .suites import CipherSuite
from .wire import uint16

__all__ = ["ContentType", "Opener", "Sealer", "record_header"]

HEADER_LENGTH = 5
TAG_LENGTH = 16  # of every AEAD in suites.py
MAX_PLAINTEXT_LENGTH = 2**14  # RFC 9846 5.1
MAX_INNER_PLAINTEXT_LENGTH = MAX_PLAINTEXT_LENGTH + 1  # with the content type, RFC 9846 5.4
MIN_RECORD_SIZE_LIMIT = 64  # RFC 8449 4
MAX_CIPHERTEXT_LENGTH = MAX_PLAINTEXT_LENGTH + 256  # RFC 9846 5.2
MAX_RECORD_LENGTH = HEADER_LENGTH + MAX_CIPHERTEXT_LENGTH

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
        self.sequence_number = 0

    def update(self) -> None:
        """Go on to the keys of the next generation (RFC 9846 7.2)."""
        self._install(next_traffic_secret(self.suite, self._secret))

    def _nonce(self) -> bytes:
        # RFC 9846 5.3; a sequence number is used once, whatever becomes of the record.
        sequence_number = self.sequence_number
        self.sequence_number = sequence_number + 1
        return (self._iv ^ sequence_number).to_bytes(12)


class Sealer(_Protection):
    """Protects what this side sends."""

    __slots__ = ()

    @property
    def is_worn_out(self) -> bool:
        """Whether the keys are to be updated before the next batch of records (RFC 9846 5.5)."""
        return self.sequence_number >= self.suite.records_per_key - KEY_UPDATE_MARGIN

    def seal(self, content_type: int, content: bytes | memoryview) -> bytes:
        """One whole TLSCiphertext."""
        inner = b"".join((content, bytes((content_type,))))
        header = record_header(ContentType.application_data, len(inner) + TAG_LENGTH)
        return header + self._aead.encrypt(self._nonce(), inner, header)

    def seal_into(self, content: memoryview, output: memoryview) -> int:
        """One whole TLSCiphertext of application data, at the start of ``output``.

        It is encrypted in place: the input and the output of the AEAD are the same octets, which
        a test holds ``cryptography`` to. Returns its length.
        """
        length = len(content)
        end = HEADER_LENGTH + length + 1
        header = record_header(ContentType.application_data, length + 1 + TAG_LENGTH)
        output[:HEADER_LENGTH] = header
        output[HEADER_LENGTH : end - 1] = content
        output[end - 1] = ContentType.application_data
        sealed = output[HEADER_LENGTH : end + TAG_LENGTH]
        self._aead.encrypt_into(self._nonce(), output[HEADER_LENGTH:end], header, sealed)
        return end + TAG_LENGTH


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

    def open_into(self, header: memoryview, ciphertext: memoryview, output: memoryview) -> None:
        """The same, into ``output``, whose length must be exact."""
        try:
            self._aead.decrypt_into(self._nonce(), ciphertext, header, output)
        except InvalidTag:
            # What was decrypted is there although it is not authentic.
            output[:] = bytes(len(output))
            raise bad_record_mac() from None


def bad_record_mac() -> ProtocolError:
    return ProtocolError(
        "a record from the peer could not be opened: it was altered, or sealed under other keys",
        AlertDescription.bad_record_mac,
    )
