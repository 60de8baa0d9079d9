"""The errors that one stream has raised, by identity."""

from __future__ import annotations

from types import TracebackType
from weakref import WeakSet

import trio

__all__ = ["RaisedErrors"]


class RaisedErrors:
    """Remember which :exc:`trio.BrokenResourceError` one stream has raised.

    ``with raised:`` adds the error that leaves the block. A server uses this to tell the end of
    one connection from any other error of its handler.
    """

    __slots__ = ("_errors",)

    def __init__(self) -> None:
        self._errors: WeakSet[trio.BrokenResourceError] | None = None  # most streams raise none

    def add(self, error: trio.BrokenResourceError) -> None:
        """Remember the error for as long as it exists."""
        if self._errors is None:
            self._errors = WeakSet()
        self._errors.add(error)

    def __contains__(self, error: object) -> bool:
        return self._errors is not None and error in self._errors

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(exc, trio.BrokenResourceError):
            self.add(exc)
