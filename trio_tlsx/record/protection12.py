"""The protection of records in TLS 1.2 with an AEAD (RFC 5246 6.2.3.3, RFC 5288, RFC 7905).

The type in a record's header is the content's. AES-GCM's nonce has an explicit half, which is the
sequence number here; ChaCha20-Poly1305's nonce has none. There is no KeyUpdate.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, NoReturn

from cryptography.exceptions import InvalidTag

from ..crypto.cipher_suites12 import CipherSuite12
from ..crypto.key_schedule import IV_LENGTH
from ..crypto.key_schedule12 import DirectionKeys
from ..messages.codec import uint64
from .protection import (
    APPLICATION_DATA,
    KEY_UPDATE_MARGIN,
    MAX_PLAINTEXT_LENGTH,
    PROTECTED_HEADER,
    RECORD_HEADER_LENGTH,
    TAG_LENGTH,
    ContentType,
    bad_record_mac,
    record_header,
)

__all__ = ["Opener12", "Sealer12"]

MAX_CIPHERTEXT_LENGTH_12 = MAX_PLAINTEXT_LENGTH + 2048  # RFC 5246 6.2.3


class RecordSlot12(NamedTuple):
    """The slot of one TLSCiphertext in a buffer: its header's value, and views of its parts."""

    header: bytes
    header_view: memoryview
    explicit_nonce: memoryview
    content: memoryview
    sealed: memoryview  #: the encrypted ``content``, then the tag

    @classmethod
    def at(
        cls, octets: memoryview, start: int, length: int, *, explicit_nonce_length: int
    ) -> RecordSlot12:
        """Return the slot at ``start`` in a buffer, for ``length`` bytes of content."""
        body = start + RECORD_HEADER_LENGTH
        first = body + explicit_nonce_length
        return cls(
            record_header(APPLICATION_DATA, explicit_nonce_length + length + TAG_LENGTH),
            octets[start:body],
            octets[body:first],
            octets[first : first + length],
            octets[first : first + length + TAG_LENGTH],
        )


#: By the length of the explicit nonce. There is one function for each, so that buffers whose
#: slots it made serve other connections.
_SLOTS = {length: partial(RecordSlot12.at, explicit_nonce_length=length) for length in (0, 8)}


class _Protection12:
    """The keys of one direction: an AEAD, its IV, and the sequence number of the next record."""

    __slots__ = ("_aead", "_explicit_nonce_length", "_iv", "sequence_number", "suite")

    def __init__(self, suite: CipherSuite12, keys: DirectionKeys) -> None:
        self.suite: CipherSuite12 = suite
        self._aead = suite.aead(keys.key)
        self._explicit_nonce_length = suite.explicit_nonce_length
        # RFC 7905 2: the sequence number is XORed into the IV. With AES-GCM it fills the explicit
        # half, which is zero in the IV; so no nonce is used twice (RFC 5288 3).
        self._iv = int.from_bytes(keys.iv + bytes(suite.explicit_nonce_length))
        self.sequence_number: int = 0

    def update(self) -> NoReturn:
        """Raise an error: TLS 1.2 cannot update keys."""
        raise RuntimeError("TLS 1.2 has no KeyUpdate")


class Sealer12(_Protection12):
    """Encrypt the records that this side sends; fulfils :class:`~.interface.RecordSealer`."""

    __slots__ = ("overhead", "slot")

    sequence_number: int

    def __init__(self, suite: CipherSuite12, keys: DirectionKeys) -> None:
        super().__init__(suite, keys)
        self.overhead: int = RECORD_HEADER_LENGTH + suite.explicit_nonce_length + TAG_LENGTH
        self.slot: partial[RecordSlot12] = _SLOTS[suite.explicit_nonce_length]

    @property
    def records_left(self) -> int:
        """How many records to seal before the connection must end (RFC 9846 5.5); 0 if now."""
        return max(0, self.suite.records_per_key - KEY_UPDATE_MARGIN - self.sequence_number)

    def seal(self, content_type: int, content: bytes | memoryview) -> bytes:
        """Return one TLSCiphertext, with its header."""
        sequence_number, length = self.sequence_number, len(content)
        self.sequence_number = sequence_number + 1
        nonce = (self._iv ^ sequence_number).to_bytes(IV_LENGTH)
        explicit_nonce = nonce[IV_LENGTH - self._explicit_nonce_length :]
        header = record_header(content_type, len(explicit_nonce) + length + TAG_LENGTH)
        additional_data = uint64(sequence_number) + header[:3] + length.to_bytes(2)
        return header + explicit_nonce + self._aead.encrypt(nonce, content, additional_data)

    def seal_records(self, data: memoryview, slots: Sequence[RecordSlot12]) -> None:
        """Encrypt application data into consecutive TLSCiphertexts, in these slots.

        All bulk data passes this loop, so it contains only the necessary work.
        """
        encrypt_into, iv, sequence_number = self._aead.encrypt_into, self._iv, self.sequence_number
        # All sequence numbers are consumed first, so that an exception cannot lead to their reuse.
        self.sequence_number += len(slots)
        implicit = IV_LENGTH - self._explicit_nonce_length
        start = 0
        for header, header_view, explicit_nonce, content, sealed in slots:
            length = len(content)
            stop = start + length
            nonce = (iv ^ sequence_number).to_bytes(IV_LENGTH)
            header_view[:] = header
            explicit_nonce[:] = nonce[implicit:]
            content[:] = data[start:stop]
            additional_data = sequence_number.to_bytes(8) + PROTECTED_HEADER + length.to_bytes(2)
            encrypt_into(nonce, content, additional_data, sealed)
            sequence_number += 1
            start = stop


class Opener12(_Protection12):
    """Decrypt the records that the peer sends; fulfils :class:`~.interface.RecordOpener`."""

    __slots__ = ("_overhead",)

    sequence_number: int

    #: The types in the headers of protected records.
    header_types: frozenset[int] = frozenset[int](
        {ContentType.alert, ContentType.handshake, ContentType.application_data}
    )
    max_ciphertext_length = MAX_CIPHERTEXT_LENGTH_12
    type_length = 0  # the type is in the header alone

    def __init__(self, suite: CipherSuite12, keys: DirectionKeys) -> None:
        super().__init__(suite, keys)
        self._overhead = suite.explicit_nonce_length + TAG_LENGTH

    def _nonce(self, explicit_nonce: bytes) -> bytes:
        # The peer chooses the explicit nonce (RFC 5288 3); its own are its own affair.
        if explicit_nonce:
            return self._iv.to_bytes(IV_LENGTH)[: -len(explicit_nonce)] + explicit_nonce
        return (self._iv ^ self.sequence_number).to_bytes(IV_LENGTH)

    def open(self, header: memoryview | bytes, ciphertext: memoryview | bytes) -> bytes:
        """Decrypt a record, and return its content.

        Raises:
            ProtocolError: the record is not authentic (``bad_record_mac``).
        """
        length = len(ciphertext) - self._overhead
        if length < 0:
            raise bad_record_mac()
        nonce = self._nonce(bytes(ciphertext[: self._explicit_nonce_length]))
        additional_data = uint64(self.sequence_number) + header[:3] + length.to_bytes(2)
        self.sequence_number += 1
        sealed = ciphertext[self._explicit_nonce_length :]
        try:
            return self._aead.decrypt(nonce, sealed, additional_data)
        except InvalidTag:
            raise bad_record_mac() from None

    def split(self, header_type: int, plaintext: bytes) -> tuple[int, bytes]:
        """Return both: the type in the header is the content's, and there is no padding."""
        return header_type, plaintext

    def open_data(self, record: bytes, plaintext_limit: int) -> bytes:
        """Return the content of one record of application data.

        The result is empty, and no sequence number is used, if ``record`` is not exactly one
        record, is not authentic, is not application data, is empty, or is larger than
        ``plaintext_limit``; :meth:`open` then reports the fault.
        """
        length = len(record) - RECORD_HEADER_LENGTH - self._overhead
        if (
            not 0 < length <= plaintext_limit
            or record[0] != APPLICATION_DATA
            or record[3] << 8 | record[4] != length + self._overhead
        ):
            return b""
        body = RECORD_HEADER_LENGTH + self._explicit_nonce_length
        nonce = self._nonce(record[RECORD_HEADER_LENGTH:body])
        additional_data = uint64(self.sequence_number) + record[:3] + length.to_bytes(2)
        try:
            content = self._aead.decrypt(nonce, record[body:], additional_data)
        except InvalidTag:
            return b""
        self.sequence_number += 1
        return content

    def open_records(
        self, records: memoryview, output: memoryview, plaintext_limit: int
    ) -> tuple[int, int]:
        """Decrypt consecutive records of application data, from the start of ``records``.

        The method stops before the first record that is not complete, is not authentic, is not
        application data, is empty, or is larger than ``plaintext_limit``; :meth:`open` then
        reports the fault. ``output`` must be at least as long as ``records``.

        Returns the number of octets of ``records`` that were decrypted, and the number of octets
        of ``output`` that are content.

        All bulk data passes this loop, so it contains only the necessary work.
        """
        decrypt_into, iv, sequence_number = self._aead.decrypt_into, self._iv, self.sequence_number
        explicit, overhead = self._explicit_nonce_length, self._overhead
        implicit_nonce = iv.to_bytes(IV_LENGTH)[: IV_LENGTH - explicit]
        available = len(records)
        start = end = 0
        while available - start > RECORD_HEADER_LENGTH:
            body = start + RECORD_HEADER_LENGTH
            length = (records[start + 3] << 8 | records[start + 4]) - overhead
            stop = body + length + overhead
            if (
                records[start] != APPLICATION_DATA
                or stop > available
                or not 0 < length <= plaintext_limit
            ):
                break
            first = body + explicit
            nonce = (
                implicit_nonce + records[body:first]
                if explicit
                else (iv ^ sequence_number).to_bytes(IV_LENGTH)
            )
            additional_data = (
                sequence_number.to_bytes(8) + records[start : start + 3] + length.to_bytes(2)
            )
            content = output[end : end + length]
            try:
                decrypt_into(nonce, records[first:stop], additional_data, content)
            except InvalidTag:
                # Erase the output: the AEAD writes plaintext even if it is not authentic.
                content[:] = bytes(length)
                break
            sequence_number += 1
            start, end = stop, end + length
        self.sequence_number = sequence_number
        return start, end
