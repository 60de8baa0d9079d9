"""The protection of records in TLS 1.2 with an AEAD (RFC 5246 6.2.3.3, RFC 5288, RFC 7905).

The type in a record's header is the content's. AES-GCM's nonce has an explicit half, which is the
sequence number here; ChaCha20-Poly1305's nonce has none. There is no KeyUpdate.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, NoReturn

from cryptography.exceptions import InvalidTag

from ..crypto.cipher_suites import AEAD, CipherSuite
from ..crypto.cipher_suites12 import CipherSuite12
from ..crypto.key_schedule import IV_LENGTH
from ..crypto.key_schedule12 import DirectionKeys
from .protection import (
    APPLICATION_DATA,
    KEY_UPDATE_MARGIN,
    MAX_PLAINTEXT_LENGTH,
    RECORD_HEADER_LENGTH,
    TAG_LENGTH,
    AEADProtection,
    ContentType,
    bad_record_mac,
    record_header,
)

__all__ = ["Opener12", "Sealer12"]

MAX_CIPHERTEXT_LENGTH_12 = MAX_PLAINTEXT_LENGTH + 2048  # RFC 5246 6.2.3


class RecordSlot12(NamedTuple):
    """The slot of one TLSCiphertext in a buffer: its header's value, and views of its parts."""

    header: bytes
    additional_data: bytes  #: without the sequence number before it
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
            record_header(APPLICATION_DATA, length),
            octets[start:body],
            octets[body:first],
            octets[first : first + length],
            octets[first : first + length + TAG_LENGTH],
        )


#: By the length of the explicit nonce. There is one function for each, so that buffers whose
#: slots it made serve other connections.
_SLOTS = {length: partial(RecordSlot12.at, explicit_nonce_length=length) for length in (0, 8)}


#: The first octets of a record's header, by its content type: the type, and the version.
_PREFIXES = tuple(bytes((content_type, 3, 3)) for content_type in range(256))


class _Protection12(AEADProtection):
    """The keys of one direction, and the sequence number of the next record.

    RFC 5288 3: AES-GCM's nonce is the IV of four bytes and an explicit half, which is the sequence
    number here, so that no nonce is used twice. RFC 7905 2: ChaCha20-Poly1305's nonce is the IV
    XOR the sequence number.
    """

    __slots__ = ("_explicit_nonce_length", "_implicit_nonce")

    def __init__(self, suite: CipherSuite12, keys: DirectionKeys) -> None:
        self.suite: CipherSuite = suite
        self._key_and_iv: bytes = keys.key + keys.iv
        self._ready: tuple[AEAD, int] | None = None
        self._explicit_nonce_length = suite.explicit_nonce_length
        self._implicit_nonce = keys.iv if suite.explicit_nonce_length else b""
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

    def seal(self, content_type: int, content: bytes | memoryview, padding: int = 0) -> bytes:
        """Return one TLSCiphertext, with its header; TLS 1.2 has no padding."""
        aead, iv = self._ready or self._prepare()
        # The sequence number is consumed first, so that an exception cannot lead to its reuse.
        sequence_number, length = self.sequence_number, len(content)
        self.sequence_number = sequence_number + 1
        prefix, counter = _PREFIXES[content_type], sequence_number.to_bytes(8)
        additional_data = counter + prefix + length.to_bytes(2)
        head = prefix + (self._explicit_nonce_length + length + TAG_LENGTH).to_bytes(2)
        if self._implicit_nonce:
            head += counter
            nonce = self._implicit_nonce + counter
        else:
            nonce = (iv ^ sequence_number).to_bytes(IV_LENGTH)
        return head + aead.encrypt(nonce, content, additional_data)

    def seal_records(self, data: memoryview, slots: Sequence[RecordSlot12]) -> None:
        """Encrypt application data into consecutive TLSCiphertexts, in these slots.

        All bulk data passes this loop, so it contains only the necessary work.
        """
        aead, iv = self._ready or self._prepare()
        encrypt_into, sequence_number = aead.encrypt_into, self.sequence_number
        implicit_nonce = self._implicit_nonce
        # All sequence numbers are consumed first, so that an exception cannot lead to their reuse.
        self.sequence_number += len(slots)
        start = 0
        for header, additional_data, header_view, explicit_nonce, content, sealed in slots:
            stop = start + len(content)
            header_view[:] = header
            content[:] = data[start:stop]
            counter = sequence_number.to_bytes(8)
            if implicit_nonce:
                explicit_nonce[:] = counter
                nonce = implicit_nonce + counter
            else:
                nonce = (iv ^ sequence_number).to_bytes(IV_LENGTH)
            encrypt_into(nonce, content, counter + additional_data, sealed)
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

    def open(self, header: memoryview | bytes, ciphertext: memoryview | bytes) -> bytes:
        """Decrypt a record, and return its content.

        Raises:
            ProtocolError: the record is not authentic (``bad_record_mac``).
        """
        length = len(ciphertext) - self._overhead
        if length < 0:
            raise bad_record_mac()
        aead, iv = self._ready or self._prepare()
        additional_data = self.sequence_number.to_bytes(8) + header[:3] + length.to_bytes(2)
        if self._implicit_nonce:
            # The peer chooses the explicit half (RFC 5288 3).
            nonce = self._implicit_nonce + ciphertext[: self._explicit_nonce_length]
        else:
            nonce = (iv ^ self.sequence_number).to_bytes(IV_LENGTH)
        self.sequence_number += 1
        sealed = ciphertext[self._explicit_nonce_length :]
        try:
            return aead.decrypt(nonce, sealed, additional_data)
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
        aead, iv = self._ready or self._prepare()
        body = RECORD_HEADER_LENGTH + self._explicit_nonce_length
        additional_data = self.sequence_number.to_bytes(8) + record[:3] + length.to_bytes(2)
        if self._implicit_nonce:
            nonce = self._implicit_nonce + record[RECORD_HEADER_LENGTH:body]
        else:
            nonce = (iv ^ self.sequence_number).to_bytes(IV_LENGTH)
        try:
            content = aead.decrypt(nonce, record[body:], additional_data)
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
        aead, iv = self._ready or self._prepare()
        decrypt_into, sequence_number = aead.decrypt_into, self.sequence_number
        explicit, overhead = self._explicit_nonce_length, self._overhead
        implicit_nonce = self._implicit_nonce
        available = len(records)
        start = end = 0
        encoded, encoded_length = b"", 0  # of the last record's content; most are equally long
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
            if implicit_nonce:
                nonce = implicit_nonce + records[body:first]
            else:
                nonce = (iv ^ sequence_number).to_bytes(IV_LENGTH)
            if length != encoded_length:
                encoded, encoded_length = length.to_bytes(2), length
            additional_data = sequence_number.to_bytes(8) + records[start : start + 3] + encoded
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
