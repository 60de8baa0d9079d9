"""The values that a handshake yields: to read, to write, or a question to a hook."""

from __future__ import annotations

import enum
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Any, ClassVar, Generic, TypeVar

__all__ = ["Question", "Want"]

T = TypeVar("T")


class Want(enum.Enum):
    """The condition that the engine waits for before it can continue."""

    NOTHING = "nothing"  #: the handshake has finished
    READ = "read"  #: pass received ciphertext in, then call again
    WRITE = "write"  #: take ciphertext out, then call again
    #: Only after ``accept_early_data``: early data has arrived. Call ``read_early_data``, now or
    #: later, and then call the same method again.
    EARLY_DATA = "early data"
    #: Only for a driver that has set ``pauses``: many small messages or records were processed;
    #: let other tasks run, then call again.
    PAUSE = "pause"


class Question(ABC, Generic[T]):
    """A question to the program, which a hook answers.

    The engine itself calls :meth:`ask`. If the result is not awaitable, it is the answer, and the
    driver is not involved. If it is awaitable, ``do_handshake`` or ``read`` returns the question,
    with the result in ``awaitable``. The driver sets ``awaitable`` to None, awaits the result,
    passes the outcome to ``Engine.answer`` or ``Engine.refuse``, and calls the same method again.
    If ``timeout`` has passed, it calls ``refuse``. A driver that is cancelled meanwhile calls
    neither; the next call of the method then asks the question again.
    """

    #: The time that the answer may take, in seconds. After that time, or if the hook fails, the
    #: engine continues as if the answer were None. If ``timeout`` is None, the answer is required.
    timeout: ClassVar[float | None] = None

    awaitable: Awaitable[Any] | None

    @abstractmethod
    def ask(self) -> object:
        """Call the hook; return its result, or an awaitable of it."""

    @abstractmethod
    def accept(self, answer: object) -> T:
        """Return the checked answer; raise InternalError if it is not a possible answer."""

    def drop(self) -> None:
        """Close ``awaitable``, so that a coroutine does not warn that it was never awaited."""
        if inspect.iscoroutine(self.awaitable):
            self.awaitable.close()
