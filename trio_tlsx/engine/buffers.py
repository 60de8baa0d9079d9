"""Large buffers, lent from a pool so that idle connections hold none."""

from __future__ import annotations

from .record import MAX_RECORD_LENGTH

__all__ = ["BATCH_RECORDS", "borrow", "give_back"]

#: How many full records are sealed, or received, at a time.
BATCH_RECORDS = 16
BUFFER_LENGTH = BATCH_RECORDS * MAX_RECORD_LENGTH  # bytes
MAX_POOLED = 8

_pool: list[memoryview] = []


def borrow() -> memoryview:
    """A buffer of ``BUFFER_LENGTH`` bytes; what is in it is left over from others."""
    try:
        return _pool.pop()
    except IndexError:
        return memoryview(bytearray(BUFFER_LENGTH))


def give_back(buffer: memoryview) -> None:
    """Return a buffer. Nobody may hold a view of it any more."""
    if len(_pool) < MAX_POOLED:
        _pool.append(buffer)
