"""What an engine can want: to read, to write, or the answer of a hook."""

from __future__ import annotations

import enum
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Any, ClassVar, Generic, TypeVar

__all__ = ["Question", "Want"]

T = TypeVar("T")


class Want(enum.Enum):
    """What the engine needs before it can continue."""

    NOTHING = "nothing"  #: the handshake has finished
    READ = "read"  #: feed ciphertext in, then call again
    WRITE = "write"  #: take ciphertext out, then call again
    #: Only after ``accept_early_data``: early data has come. Call ``read_early_data``, now or
    #: later, and then call again.
    EARLY_DATA = "early data"
    #: Only for a driver that has set ``pauses``: many small messages or records were processed;
    #: let other tasks run, then call again.
    PAUSE = "pause"


class Question(ABC, Generic[T]):
    """A want that asks a question of the application.

    The engine asks by itself, by calling :meth:`ask`. A plain result is the answer, and the
    driver never hears of it. Where the result is awaitable, ``do_handshake`` or ``read`` returns
    the question with ``awaitable`` set: the driver takes it, leaving None, awaits it and hands the
    outcome to ``Engine.answer`` or ``Engine.refuse``, then calls the same method again. That
    ``timeout`` has ended is such an outcome, for ``refuse``. A driver that was cancelled
    meanwhile calls neither; the next call then asks anew.
    """

    #: How long an answer may take, in seconds, until the engine goes on without, as if it were
    #: None; it does the same should the hook fail. None: there is no going on without an answer.
    timeout: ClassVar[float | None] = None

    awaitable: Awaitable[Any] | None

    @abstractmethod
    def ask(self) -> object:
        """Call the hook; return its result, or an awaitable of it."""

    @abstractmethod
    def accept(self, answer: object) -> T:
        """Take the answer; InternalError where it is none that the question could have."""

    def drop(self) -> None:
        """Close ``awaitable``, which nothing will await; a coroutine would warn about that."""
        if inspect.iscoroutine(self.awaitable):
            self.awaitable.close()
