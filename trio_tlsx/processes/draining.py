"""The end of a worker, which accepts no more connections and has a limited time to finish."""

from __future__ import annotations

import trio

__all__ = ["Draining"]


class Draining:
    """Whether a worker drains, and until when.

    Attributes:
        scope: the cancel scope of the worker's function; its deadline is the end of the time.
        last: whether no other worker will accept the connections in the listening sockets' queues.
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
