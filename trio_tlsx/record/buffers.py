"""Pools of large buffers, so that idle connections hold none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .interface import RecordSealer
from .protection import MAX_RECORD_LENGTH

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

#: The number of full-size records that are sealed, or received, at a time.
BATCH_RECORDS = 16
BUFFER_LENGTH = BATCH_RECORDS * MAX_RECORD_LENGTH  # bytes
MAX_POOLED = 8

#: A buffer keeps the slots of so many layouts: the two of TLS 1.2's suites, that of TLS 1.3, and
#: one of a peer that asks for smaller records.
MAX_LAYOUTS = 4

T = TypeVar("T")


class Batch:
    """A large buffer for sealed records.

    The slots of full-size records are views that are created once, for every borrower.
    """

    __slots__ = ("_slots", "octets")

    def __init__(self) -> None:
        self.octets: memoryview = new_buffer()
        self._slots: dict[tuple[object, int, int], list[Any]] = {}  # by layout

    def slots(self, sealer: RecordSealer, fragment_length: int, length: int) -> list[Any]:
        """Return the slots for ``length`` bytes of content, ``fragment_length`` in each record."""
        slot, step = sealer.slot, fragment_length + sealer.overhead
        layout = (slot, step, fragment_length)
        try:
            full = self._slots[layout]
        except KeyError:
            full = self._lay_out(layout)
        count, rest = divmod(length, fragment_length)
        slots = full[:count]
        if rest:
            slots.append(slot(self.octets, count * step, rest))
        return slots

    def _lay_out(self, layout: tuple[Any, int, int]) -> list[Any]:
        slot, step, fragment_length = layout
        # Peers choose their fragment lengths (RFC 8449), so old layouts are dropped.
        if len(self._slots) == MAX_LAYOUTS:
            del self._slots[next(iter(self._slots))]
        self._slots[layout] = slots = [
            slot(self.octets, number * step, fragment_length) for number in range(BATCH_RECORDS)
        ]
        return slots


def new_buffer() -> memoryview:
    """Return a new buffer of ``BUFFER_LENGTH`` bytes."""
    return memoryview(bytearray(BUFFER_LENGTH))


class Pool(Generic[T]):
    """Lend large buffers. A borrowed buffer may still contain the data of an earlier borrower.

    Args:
        new: returns a new buffer.
    """

    def __init__(self, new: Callable[[], T]) -> None:
        self._new = new
        self._idle: list[T] = []

    def borrow(self) -> T:
        """Return a buffer from the pool, or a new one."""
        # Threads share the pools: one operation checks and takes.
        try:
            return self._idle.pop()
        except IndexError:
            return self._new()

    def give_back(self, buffer: T) -> None:
        """Put a buffer back. The caller must not keep a view of it."""
        if len(self._idle) < MAX_POOLED:
            self._idle.append(buffer)


#: Separate pools: a driver's buffer of ciphertext never contains another connection's plaintext.
incoming: Pool[memoryview] = Pool(new_buffer)
outgoing: Pool[Batch] = Pool(Batch)
plaintext: Pool[memoryview] = Pool(new_buffer)
