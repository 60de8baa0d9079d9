"""Conflict detection: reject or delay a second task."""

from __future__ import annotations

from types import TracebackType

import trio

__all__ = ["ConflictDetector"]


class ConflictDetector:
    """Admit one task at a time, by ``with detector:``.

    A second task gets ``trio.BusyResourceError``; or it waits with :meth:`over` and checks again.
    This costs less than a ``trio.Lock``: taking and releasing a free detector is no checkpoint.

    Args:
        complaint: the message of the ``trio.BusyResourceError`` of a second task.
    """

    __slots__ = ("_complaint", "_waiters", "taken")

    def __init__(self, complaint: str) -> None:
        self.taken: bool = False
        self._complaint = complaint
        self._waiters: trio.lowlevel.ParkingLot | None = None  # mostly there is never one

    def __enter__(self) -> None:
        if self.taken:
            raise trio.BusyResourceError(self._complaint)
        self.taken = True

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.taken = False
        if self._waiters is not None:
            self._waiters.unpark_all()

    @property
    def has_waiters(self) -> bool:
        """Whether a task waits in :meth:`over`."""
        return bool(self._waiters)

    def wake(self) -> None:
        """Wake the waiting tasks to check again, although the holder has not finished."""
        if self._waiters is not None:
            self._waiters.unpark_all()

    async def over(self) -> None:
        """Wait until the present holder has finished; another task may take it first.

        Cancelling it changes nothing.
        """
        if self._waiters is None:
            self._waiters = trio.lowlevel.ParkingLot()
        await self._waiters.park()
