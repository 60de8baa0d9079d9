"""The interface between the record layer and the protection of one version of TLS.

:mod:`.protection` implements it for TLS 1.3. The record layer knows no version: the layout of a
protected record, its types and its limits belong to the objects that seal and open it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["RecordOpener", "RecordSealer"]


class RecordSealer(Protocol):
    """Encrypts the records that this side sends.

    Attributes:
        overhead: the bytes that a record adds to its content.
        sequence_number: the number of the next record.
    """

    overhead: int
    sequence_number: int

    @property
    def records_left(self) -> int:
        """How many records to seal before the keys must be updated; 0 if now."""
        ...

    @staticmethod
    def slot(octets: memoryview, start: int, length: int, /) -> Any:
        """Return the slot of a record with ``length`` bytes of content, at ``start``."""
        ...

    def seal(self, content_type: int, content: bytes | memoryview, padding: int = 0) -> bytes:
        """Return one protected record, with its header.

        Args:
            padding: the zeros that hide the content's length, in bytes; only TLS 1.3 has them.
        """
        ...

    def seal_records(self, data: memoryview, slots: Sequence[Any]) -> None:
        """Encrypt application data into consecutive records, in slots that :meth:`slot` made."""
        ...

    def update(self) -> None:
        """Derive and install the next keys."""
        ...


class RecordOpener(Protocol):
    """Decrypts the records that the peer sends.

    Attributes:
        header_types: the types in the headers of protected records.
        max_ciphertext_length: the longest protected record without its header, in bytes.
        type_length: the bytes of a plaintext that are its content type.
        sequence_number: the number of the next record.
    """

    header_types: frozenset[int]
    max_ciphertext_length: int
    type_length: int
    sequence_number: int

    def open(self, header: memoryview, ciphertext: memoryview) -> bytes:
        """Return the plaintext of a record; ProtocolError if the record is not authentic."""
        ...

    def split(self, header_type: int, plaintext: bytes) -> tuple[int, bytes]:
        """Split what :meth:`open` returned into the content type and the content."""
        ...

    def open_data(self, record: bytes, plaintext_limit: int) -> bytes:
        """Return the content of an ordinary record of application data; empty for any other."""
        ...

    def open_records(
        self, records: memoryview, output: memoryview, plaintext_limit: int
    ) -> tuple[int, int]:
        """Decrypt consecutive ordinary records of application data into ``output``."""
        ...

    def update(self) -> None:
        """Derive and install the next keys."""
        ...
