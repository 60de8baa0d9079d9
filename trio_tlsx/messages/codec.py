"""Decode and encode the presentation language of TLS (RFC 9846 3)."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from typing import TypeAlias

from ..errors import AlertDescription, ProtocolError

__all__ = [
    "Buffer",
    "Reader",
    "opaque8",
    "opaque16",
    "opaque24",
    "take_bytes",
    "uint8",
    "uint16",
    "uint16s",
    "uint24",
    "uint32",
    "uint64",
]

Buffer: TypeAlias = bytes | bytearray | memoryview


class Reader:
    """Decode a structure from its start.

    Every method raises ProtocolError with ``decode_error`` if the octets do not match. The error
    names the structure.

    Args:
        data: the encoded structure.
        what: the name of the structure, for errors.
    """

    __slots__ = ("_data", "_position", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._position = 0
        self._what = what

    def take(self, length: int) -> bytes:
        start = self._position
        end = start + length
        if end > len(self._data):
            raise self.error("is cut short")
        self._position = end
        return self._data[start:end]

    def uint8(self) -> int:
        position = self._position
        if position >= len(self._data):
            raise self.error("is cut short")
        self._position = position + 1
        return self._data[position]

    def uint16(self) -> int:
        position = self._position
        end = position + 2
        if end > len(self._data):
            raise self.error("is cut short")
        self._position = end
        return self._data[position] << 8 | self._data[position + 1]

    def uint24(self) -> int:
        return self._integer(3)

    def uint32(self) -> int:
        return self._integer(4)

    def uint64(self) -> int:
        return self._integer(8)

    def _integer(self, width: int) -> int:
        start = self._position
        end = start + width
        if end > len(self._data):
            raise self.error("is cut short")
        self._position = end
        return int.from_bytes(self._data[start:end])

    def opaque8(self, minimum: int = 0) -> bytes:
        return self._vector(1, minimum)

    def opaque16(self, minimum: int = 0) -> bytes:
        return self._vector(2, minimum)

    def opaque24(self, minimum: int = 0) -> bytes:
        return self._vector(3, minimum)

    def _vector(self, width: int, minimum: int) -> bytes:
        """Read a length of ``width`` octets, and then that many octets."""
        data = self._data
        start = self._position + width
        if start > len(data):
            raise self.error("is cut short")
        length = int.from_bytes(data[self._position : start])
        if length < minimum:
            raise self.error(f"has a vector of length {length}, less than the minimum {minimum}")
        end = start + length
        if end > len(data):
            raise self.error("is cut short")
        self._position = end
        return data[start:end]

    def uint16s(self, octets: bytes) -> tuple[int, ...]:
        """Split a vector into its two-octet values."""
        if len(octets) % 2:
            raise self.error(f"has a vector of the odd length {len(octets)}")
        return struct.unpack(f">{len(octets) // 2}H", octets)

    def __bool__(self) -> bool:
        return self._position < len(self._data)

    def finish(self) -> None:
        """Check that nothing is left."""
        if self._position < len(self._data):
            raise self.error("has trailing octets")

    def error(self, fault: str) -> ProtocolError:
        return ProtocolError(f"the peer's {self._what} {fault}", AlertDescription.decode_error)


def take_bytes(buffer: bytearray, count: int | None = None) -> bytes:
    """Remove the first ``count`` octets of a buffer, or all of them, and return them."""
    if sys.version_info >= (3, 15):
        return buffer.take_bytes(count if count is None else min(count, len(buffer)))
    taken = bytes(buffer[:count])
    del buffer[:count]
    return taken


def uint8(value: int) -> bytes:
    return value.to_bytes(1)


def uint16(value: int) -> bytes:
    return value.to_bytes(2)


def uint24(value: int) -> bytes:
    return value.to_bytes(3)


def uint32(value: int) -> bytes:
    return value.to_bytes(4)


def uint64(value: int) -> bytes:
    return value.to_bytes(8)


def uint16s(values: Iterable[int]) -> bytes:
    values = tuple(values)
    return struct.pack(f">{len(values)}H", *values)


def opaque8(octets: bytes) -> bytes:
    """Encode a vector with a one-octet length; OverflowError if it is too long."""
    return len(octets).to_bytes(1) + octets


def opaque16(octets: bytes) -> bytes:
    return len(octets).to_bytes(2) + octets


def opaque24(octets: bytes) -> bytes:
    return len(octets).to_bytes(3) + octets
