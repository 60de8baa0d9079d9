"""The time that a handshake may take."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager

import trio

__all__ = ["HandshakeTimer"]


class HandshakeTimer:
    """Bound the time that the methods of one stream spend before its handshake is complete.

    The timer runs while at least one method waits, whichever method it is. It stands still while
    the program holds the stream between two calls: a handler may take its time over early data.

    Args:
        seconds: the time for all methods together.
    """

    __slots__ = ("_deadline", "_is_over", "_left", "_scopes", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds: float = seconds
        self._left = seconds
        self._deadline = math.inf
        self._scopes: set[trio.CancelScope] = set()
        self._is_over = False

    @contextmanager
    def running(self) -> Generator[trio.CancelScope]:
        """Run the timer during the block; cancel the block when the time is over."""
        scopes = self._scopes
        if not scopes:
            self._deadline = trio.current_time() + self._left
        with trio.CancelScope(deadline=math.inf if self._is_over else self._deadline) as scope:
            scopes.add(scope)
            try:
                yield scope
            finally:
                scopes.discard(scope)
                if not scopes:
                    self._left = self._deadline - trio.current_time()

    def stop(self) -> None:
        """Stop for good: the handshake is complete. What still runs has no deadline any more."""
        self._is_over = True
        for scope in self._scopes:
            scope.deadline = math.inf
