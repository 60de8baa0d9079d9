"""The interface through which ciphertext moves between an engine and the stream below it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Protocol

from ..engine.interface import Engine

__all__ = ["DirectPath", "Transport", "discard_input"]

#: After an alert that ends the connection, input is discarded for so many seconds and bytes.
#: Unread input would make the kernel answer with a reset, which can overtake the alert.
LINGER_SECONDS = 1
LINGER_BYTES = 2**20
DISCARD_BYTES = 2**16  # at a time

RECEIVE_BYTES = 2**16  # at a time, where the engine's own buffer cannot be received into


class DirectPath(Protocol):
    """Moves ordinary data between a transport and the record layer, past driver and engine.

    It exists while nothing but data is expected. ``io/data_phase.py`` has one for descriptors.
    """

    def send(self, data: bytes | memoryview) -> int | None:
        """Send ``data``; return None if all of it has left, or how much of it was sealed."""
        ...

    def receive(self, max_bytes: int | None) -> bytes | None:
        """Return the next data; None if nothing has arrived.

        The result is empty if the driver must ask the engine, or read by itself.
        """
        ...

    async def wait_readable(self) -> None:
        """Wait until there may be input. Cancelling it changes nothing."""
        ...


class Transport(ABC):
    """Moves ciphertext for one engine.

    The caller tries :meth:`receive_nowait` and :meth:`send_nowait` first, and calls
    :meth:`receive` and :meth:`send` only to wait. These let other tasks run, but a cancellation
    reaches them only while they wait: the caller checks for one before it has done anything.

    Attributes:
        started: some output has left, or may have.
        resumes: after a cancelled :meth:`send`, the rest is still in the engine's output, and the
            next send continues there.
    """

    __slots__ = ("started",)

    resumes: bool

    def __init__(self) -> None:
        self.started: bool = False

    @abstractmethod
    async def receive(self, engine: Engine) -> int:
        """Wait for input, feed the engine once, and return the number of bytes.

        At the end it returns 0 and feeds nothing. If cancelled, nothing is lost.
        """

    def receive_nowait(self, engine: Engine) -> int | None:
        """Feed the engine once and return the number of bytes; None if it would have to wait.

        It raises as :meth:`receive` does. The kernel reports a reset once, and afterwards reports
        the end of the connection as if it were a clean one.
        """
        return None

    @abstractmethod
    async def send(self, engine: Engine) -> None:
        """Send all the output.

        If cancelled, the rest stays with the engine if ``resumes``; otherwise it is lost.
        """

    def send_nowait(self, engine: Engine) -> bool:
        """Send what leaves without waiting, and return whether that was everything."""
        return not engine.pending_output()

    def discard_input(self) -> None:  # noqa: B027
        """Discard the input that has come, so that closing does not answer it with a reset."""

    async def linger(self) -> None:  # noqa: B027
        """Wait until the alert may have arrived. Only close the transport after this."""


def discard_input(descriptor: int) -> None:
    """Discard the input that has come over a descriptor that does not block; -1 is closed."""
    left = LINGER_BYTES if descriptor != -1 else 0
    with suppress(OSError):
        while left > 0 and (data := os.read(descriptor, DISCARD_BYTES)):
            left -= len(data)
