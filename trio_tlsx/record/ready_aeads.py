"""The AEADs that are ready for use, of all connections.

An AEAD object takes 2.4 KB, most of an idle connection, and 1.3 microseconds to make. So only the
directions that made theirs last keep it. The others make it again when they need it.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import Protocol

__all__ = ["KeepsAEAD", "ready_aeads"]

#: The AEADs that are kept ready, of all directions of all connections.
MAX_READY_AEADS = 256


class KeepsAEAD(Protocol):
    """The owner of an AEAD: one direction of a connection."""

    def drop_aead(self) -> None:
        """Drop the AEAD until it is needed again. Any thread may call this at any time."""
        ...


class ReadyAEADs:
    """Bound the number of AEADs: the one that was made first is dropped first.

    Several threads may run connections. Each step here is atomic, so they need no lock.

    Args:
        limit: the number of AEADs to keep.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._owners: deque[weakref.ref[KeepsAEAD]] = deque()

    def add(self, owner: KeepsAEAD) -> None:
        """Note that ``owner`` has made its AEAD, and drop the oldest if there are too many."""
        self._owners.append(weakref.ref(owner))
        while len(self._owners) > self._limit:
            try:
                oldest = self._owners.popleft()()
            except IndexError:
                return  # another thread was faster
            if oldest is not None and oldest is not owner:
                oldest.drop_aead()


ready_aeads: ReadyAEADs = ReadyAEADs(MAX_READY_AEADS)
