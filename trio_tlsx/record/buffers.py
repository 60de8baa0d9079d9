"""A pool of large buffers, so that idle connections hold none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from .protection import MAX_PLAINTEXT_LENGTH, MAX_RECORD_LENGTH, RECORD_OVERHEAD, RecordSlot

__all__ = [
    "BATCH_RECORDS",
    "BUFFER_LENGTH",
    "Batch",
    "Pool",
    "incoming",
    "new_buffer",
    "outgoing",
    "plaintext",
]

#: How many full records are sealed, or received, at a time.
BATCH_RECORDS = 16
BUFFER_LENGTH = BATCH_RECORDS * MAX_RECORD_LENGTH  # bytes
MAX_POOLED = 8

T = TypeVar("T")


class Batch:
    """A large buffer for sealed records.

    The slots of full-size records are views that were made once, for all who borrow it.
    """

    __slots__ = ("_fragment_length", "_slots", "octets")

    def __init__(self) -> None:
        self.octets = new_buffer()
        self._divide(MAX_PLAINTEXT_LENGTH)

    def _divide(self, fragment_length: int) -> None:
        self._fragment_length = fragment_length
        step = fragment_length + RECORD_OVERHEAD
        self._slots = [
            RecordSlot.at(self.octets, number * step, fragment_length)
            for number in range(BATCH_RECORDS)
        ]

    def slots(self, fragment_length: int, length: int) -> list[RecordSlot]:
        """Where ``length`` bytes of content come to lie, ``fragment_length`` in each record."""
        if fragment_length != self._fragment_length:
            self._divide(fragment_length)
        count, rest = divmod(length, fragment_length)
        slots = self._slots[:count]
        if rest:
            start = count * (fragment_length + RECORD_OVERHEAD)
            slots.append(RecordSlot.at(self.octets, start, rest))
        return slots


def new_buffer() -> memoryview:
    return memoryview(bytearray(BUFFER_LENGTH))


class Pool(Generic[T]):
    """Lends large buffers; what is in one is left over from others.

    Args:
        new: makes one.
    """

    def __init__(self, new: Callable[[], T]) -> None:
        self._new = new
        self._idle: list[T] = []

    def borrow(self) -> T:
        # Pools are shared by threads: there is nothing between asking and taking.
        try:
            return self._idle.pop()
        except IndexError:
            return self._new()

    def give_back(self, buffer: T) -> None:
        """Return a buffer. Nobody may hold a view of it any more."""
        if len(self._idle) < MAX_POOLED:
            self._idle.append(buffer)


#: What drivers see into is never what was opened for somebody else.
incoming = Pool(new_buffer)
outgoing = Pool(Batch)
plaintext = Pool(new_buffer)
