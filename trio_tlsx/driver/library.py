"""The names that the driver needs of an async library: trio, or anyio over trio or asyncio.

This folder imports neither. An adapter, such as ``io/library.py``, passes its
:class:`AsyncLibrary` in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

from .conflict import ConflictDetector

__all__ = [
    "AsyncLibrary",
    "CancelScope",
    "Closable",
    "may_be_interrupted",
    "must_not_be_interrupted",
]

F = TypeVar("F", bound=Callable[..., Any])


class CancelScope(Protocol):
    """A cancel scope with a deadline on the library's clock."""

    deadline: float

    @property
    def cancelled_caught(self) -> bool:
        """Whether the scope ended because of its own cancellation."""
        ...


class Closable(Protocol):
    """The stream below, as the driver uses it."""

    async def aclose(self) -> None:
        """Close the stream."""
        ...


class AsyncLibrary(NamedTuple):
    """The exceptions and functions of an async library, by trio's names."""

    BrokenResourceError: type[Exception]
    ClosedResourceError: type[Exception]
    #: Raised by :meth:`Driver.wait_session` if no session will come.
    EndOfChannel: type[Exception]
    #: Raised by properties that need a complete handshake.
    NeedHandshakeError: type[Exception]
    TooSlowError: type[Exception]
    ConflictDetector: type[ConflictDetector]
    CancelScope: Callable[..., AbstractContextManager[Any]]
    Lock: Callable[[], Any]
    #: Returns the class of the exception that a cancellation raises.
    cancelled_class: Callable[[], type[BaseException]]
    checkpoint: Callable[[], Awaitable[None]]
    checkpoint_if_cancelled: Callable[[], Awaitable[None]]
    cancel_shielded_checkpoint: Callable[[], Awaitable[None]]
    current_time: Callable[[], float]
    fail_after: Callable[[float], AbstractContextManager[Any]]
    move_on_after: Callable[[float], AbstractContextManager[Any]]
    aclose_forcefully: Callable[[Any], Awaitable[object]]


#: The functions that Ctrl-C must not interrupt, and those within them that it may. Only trio
#: delivers Ctrl-C as an exception at any line, so ``io/stream.py`` protects them.
UNINTERRUPTIBLE: list[Callable[..., Any]] = []
INTERRUPTIBLE: list[Callable[..., Any]] = []


def must_not_be_interrupted(function: F) -> F:
    """Mark a function that Ctrl-C must reach only where a cancellation may."""
    UNINTERRUPTIBLE.append(function)
    return function


def may_be_interrupted(function: F) -> F:
    """Mark a function that Ctrl-C may reach anywhere, since the program's hooks run in it."""
    INTERRUPTIBLE.append(function)
    return function
