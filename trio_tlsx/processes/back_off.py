"""The wait before a worker that died is started again."""

from __future__ import annotations

__all__ = ["BackOff"]

#: The first wait and the longest one, in seconds. Each is twice the one before.
FIRST_DELAY = 0.1
MAX_DELAY = 30.0

#: After a worker has run this long, in seconds, the next wait is the first one again.
STABLE_SECONDS = 60.0


class BackOff:
    """The waits before the restarts of one worker."""

    def __init__(self) -> None:
        self._next = FIRST_DELAY

    def delay_after(self, uptime: float) -> float:
        """Return the time to wait after a worker that ran for ``uptime``, both in seconds."""
        if uptime >= STABLE_SECONDS:
            self._next = FIRST_DELAY
        delay = self._next
        self._next = min(2 * delay, MAX_DELAY)
        return delay
