"""The errors that one stream has raised, and those that it keeps.

The traceback of an error refers to the frames that it passed, and the frames to the stream. If the
stream kept such an error, only the garbage collector could free the two.
"""

from __future__ import annotations

from types import TracebackType
from weakref import WeakSet

from .library import AsyncLibrary

__all__ = ["RaisedErrors", "drop_tracebacks", "to_keep"]


def to_keep(error: Exception, library: AsyncLibrary) -> Exception:
    """Return what a stream keeps of an error that it raises: the same without a traceback."""
    if type(error) is not library.BrokenResourceError:
        return error
    kept = library.BrokenResourceError(*error.args)
    kept.__cause__ = error.__cause__
    return kept


def drop_tracebacks(error: BaseException) -> None:
    """Drop the tracebacks of an engine's error, which says by itself what is wrong.

    The traceback of its cause stays: it shows the fault of a hook.
    """
    context: BaseException | None = error
    while context is not None and context is not error.__cause__:
        context.__traceback__ = None
        context = context.__context__


class RaisedErrors:
    """Remember which ``BrokenResourceError`` one stream has raised.

    ``with raised:`` adds the error that leaves the block. A server uses this to tell the end of
    one connection from any other error of its handler.

    Args:
        kind: the ``BrokenResourceError`` of the async library.
    """

    __slots__ = ("_errors", "_kind")

    def __init__(self, kind: type[Exception]) -> None:
        self._kind = kind
        self._errors: WeakSet[Exception] | None = None  # most streams raise none

    def add(self, error: Exception) -> None:
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
        if isinstance(exc, self._kind):
            self.add(exc)
