"""The time that a handshake may take."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager

from .library import AsyncLibrary, CancelScope

__all__ = ["HandshakeTimer"]


class HandshakeTimer:
    """Bound the time that the methods of one stream spend before its handshake is complete.

    The timer runs while at least one method waits, whichever method it is. It stands still while
    the program holds the stream between two calls: a handler may take its time over early data.

    Args:
        seconds: the time for all methods together.
        library: the async library whose clock counts.
    """

    __slots__ = ("_deadline", "_is_over", "_left", "_library", "_scopes", "seconds")

    def __init__(self, seconds: float, library: AsyncLibrary) -> None:
        self.seconds: float = seconds
        self._left = seconds
        self._deadline = math.inf
        self._library = library
        self._scopes: set[CancelScope] = set()
        self._is_over = False

    @contextmanager
    def running(self) -> Generator[CancelScope]:
        """Run the timer during the block; cancel the block when the time is over."""
        library, scopes = self._library, self._scopes
        if not scopes:
            self._deadline = library.current_time() + self._left
        deadline = math.inf if self._is_over else self._deadline
        with library.CancelScope(deadline=deadline) as scope:
            scopes.add(scope)
            try:
                yield scope
            finally:
                scopes.discard(scope)
                if not scopes:
                    self._left = self._deadline - library.current_time()

    def stop(self) -> None:
        """Stop for good: the handshake is complete. What still runs has no deadline any more."""
        self._is_over = True
        for scope in self._scopes:
            scope.deadline = math.inf
