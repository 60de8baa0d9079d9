"""Large buffers, lent from a pool so that idle connections hold none."""

from __future__ import annotations

from .record import MAX_RECORD_LENGTH

__all__ = ["BATCH_RECORDS", "BUFFER_LENGTH", "Pool", "ciphertext", "plaintext"]

#: How many full records are sealed, or received, at a time.
BATCH_RECORDS = 16
BUFFER_LENGTH = BATCH_RECORDS * MAX_RECORD_LENGTH  # bytes
MAX_POOLED = 8


class Pool:
    """Lends buffers of ``BUFFER_LENGTH`` bytes; what is in one is left over from others."""

    def __init__(self) -> None:
        self._idle: list[memoryview] = []

    def borrow(self) -> memoryview:
        # Pools are shared by threads: there is nothing between asking and taking.
        try:
            return self._idle.pop()
        except IndexError:
            return memoryview(bytearray(BUFFER_LENGTH))

    def give_back(self, buffer: memoryview) -> None:
        """Return a buffer. Nobody may hold a view of it any more."""
        if len(self._idle) < MAX_POOLED:
            self._idle.append(buffer)


#: What drivers see into is never what was opened for somebody else.
ciphertext = Pool()
plaintext = Pool()
