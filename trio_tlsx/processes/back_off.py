"""The wait before a worker that died is started again."""

from __future__ import annotations

__all__ = ["BackOff"]

#: The first wait and the longest one, in seconds. Each is twice the one before.
FIRST_DELAY = 0.1
MAX_DELAY = 30.0

#: A worker that lived this long, in seconds, was sound: the next wait is the first again.
SOUND_SECONDS = 60.0


class BackOff:
    """The waits between the lives of one worker."""

    def __init__(self) -> None:
        self._next = FIRST_DELAY

    def delay_after(self, lived: float) -> float:
        """Return the time to wait after a worker lived so long, both in seconds."""
        if lived >= SOUND_SECONDS:
            self._next = FIRST_DELAY
        delay = self._next
        self._next = min(2 * delay, MAX_DELAY)
        return delay
