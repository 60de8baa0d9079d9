"""The end of a worker: it accepts no more connections, and has a time to finish."""

from __future__ import annotations

import trio

__all__ = ["Draining"]


class Draining:
    """Whether a worker drains, and until when.

    Attributes:
        scope: what ends when the time is over.
        last: no other worker will accept what is queued in the listening sockets.
    """

    def __init__(self) -> None:
        self.scope: trio.CancelScope = trio.CancelScope()
        self.last: bool = False
        self._begun = trio.Event()

    @property
    def begun(self) -> bool:
        """Whether the worker drains."""
        return self._begun.is_set()

    def begin(self, seconds: float, *, last: bool) -> None:
        """Drain within this time. A second call can only shorten the time."""
        self.scope.deadline = min(self.scope.deadline, trio.current_time() + seconds)
        self.last = self.last or last
        self._begun.set()

    async def wait(self) -> None:
        """Wait until the worker drains. If cancelled, nothing has changed."""
        await self._begun.wait()
