"""Conflict detection: reject or delay a second task."""

from __future__ import annotations

from abc import ABC
from types import TracebackType
from typing import ClassVar, Protocol

__all__ = ["ConflictDetector", "ParkingLot"]


class ParkingLot(Protocol):
    """A place where tasks wait until another task wakes all of them; true while a task waits."""

    def __bool__(self) -> bool: ...

    async def park(self) -> None:
        """Wait for :meth:`unpark_all`."""
        ...

    def unpark_all(self) -> object:
        """Wake all tasks that wait."""
        ...


class ConflictDetector(ABC):
    """Admit one task at a time, by ``with detector:``.

    A second task gets a ``BusyResourceError``; or it waits with :meth:`over` and checks again.
    This costs less than a lock: taking and releasing a free detector is no checkpoint.

    Args:
        complaint: the message of the ``BusyResourceError`` of a second task.

    Attributes:
        busy_error: the ``BusyResourceError`` of the async library.
        parking_lot: makes a :class:`ParkingLot`.
    """

    __slots__ = ("_complaint", "_waiters", "taken")

    busy_error: ClassVar[type[Exception]]
    parking_lot: ClassVar[type[ParkingLot]]

    def __init__(self, complaint: str) -> None:
        self.taken: bool = False
        self._complaint = complaint
        self._waiters: ParkingLot | None = None  # mostly there is never one

    def __enter__(self) -> None:
        if self.taken:
            raise self.busy_error(self._complaint)
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
            self._waiters = self.parking_lot()
        await self._waiters.park()
