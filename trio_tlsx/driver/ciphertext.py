"""The pump: moves ciphertext between an engine and the stream below, for any number of tasks.

In each direction one task at a time moves ciphertext. A task that finds the direction taken waits
until the other task has finished, and then asks the engine again what it wants.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from ..engine.interface import Engine
from .conflict import ConflictDetector
from .library import AsyncLibrary
from .raised import to_keep
from .transport import DirectPath, Transport

__all__ = ["Pump"]

#: How long an exception waits for its alert to leave, in seconds.
ALERT_SECONDS = 1


class Pump:
    """Moves ciphertext between an engine and the stream below.

    Args:
        engine: the engine that makes and reads the ciphertext.
        transport: moves ciphertext in and out of the stream below.
        library: the async library that the transport waits with.

    Attributes:
        send_failure: why nothing can be sent any more; None while sending is possible.
        at_eof: the stream below is at its end.
        answering: taken by the task that waits for the answer to a question of the engine; None
            before the first question. The engine must not be asked to go on meanwhile: it would
            ask the question again.
        data_phase: moves ordinary data without the engine; None while that is not possible.
        receiving: taken by the task that moves ciphertext in.
        transport: moves ciphertext in and out of the stream below.
    """

    __slots__ = (
        "_engine",
        "_library",
        "_sending",
        "answering",
        "at_eof",
        "data_phase",
        "receiving",
        "send_failure",
        "transport",
    )

    def __init__(self, engine: Engine, transport: Transport, library: AsyncLibrary) -> None:
        self.send_failure: Exception | None = None
        self.at_eof: bool = False
        self.answering: ConflictDetector | None = None
        self.data_phase: DirectPath | None = None
        self._engine = engine
        self.transport: Transport = transport
        self._library = library
        self._sending = library.ConflictDetector("another task is moving ciphertext out")
        self.receiving: ConflictDetector = library.ConflictDetector(
            "another task is moving ciphertext in"
        )

    @property
    def started(self) -> bool:
        """Whether some output has left, or may have."""
        return self.transport.started

    async def move_output(self, *, checkpoint: bool = True) -> bool:
        """Send everything that the engine has queued, and wait only where that is necessary.

        If cancelled over a socket, the rest stays queued and leaves with the next send. Over any
        other stream nothing can be sent afterwards.

        Args:
            checkpoint: let other tasks run even where it need not wait.

        Returns:
            Whether other tasks have run.

        Raises:
            Exception: what the stream below raises; or, if the peer broke the connection and sent
                an alert before, what the engine raises for that alert.
        """
        if self.move_output_nowait():
            if checkpoint:
                await self._library.cancel_shielded_checkpoint()
            return checkpoint
        while self._sending.taken:
            await self._sending.over()
        with self._sending:
            try:
                await self.transport.send(self._engine)
            except Exception as error:
                self._end_sending(error)
                if isinstance(error, self._library.BrokenResourceError):
                    self._read_pending_alert()
                raise
            except BaseException:
                # A cancellation, which may come in a group, or Ctrl-C.
                if not self.transport.resumes:
                    self._end_sending(
                        self._library.BrokenResourceError(
                            "a send was cancelled half way: nothing can be sent behind it"
                        )
                    )
                raise
        return True

    def _end_sending(self, error: Exception) -> None:
        self.send_failure = to_keep(error, self._library)
        self.data_phase = None

    def move_output_nowait(self) -> bool:
        """Send what leaves without waiting, and return whether that was everything.

        Errors are left to :meth:`move_output`.
        """
        return self.transport.send_nowait(self._engine)

    async def move_input(self) -> None:
        """Feed the engine once, or wait for the task that does. If cancelled, nothing is lost."""
        if self.move_input_nowait():
            await self._library.cancel_shielded_checkpoint()
        else:
            await self.wait_for_input()

    async def wait_for_input(self) -> None:
        """Wait for input and feed the engine once, or wait for the task that does.

        If cancelled, nothing is lost.
        """
        if self.receiving.taken:
            await self.receiving.over()
            return
        with self.receiving:
            self._note_end(await self.transport.receive(self._engine))

    def move_input_nowait(self) -> bool:
        """Feed the engine once if that needs no waiting, and return whether it was fed."""
        if self.receiving.taken:
            return False
        count = self.transport.receive_nowait(self._engine)
        if count is None:
            return False
        self._note_end(count)
        return True

    def _note_end(self, count: int) -> None:
        if not count:
            self.at_eof = True
            self._engine.receive_data(b"")

    def _read_pending_alert(self) -> None:
        """Read the alert that the peer may have sent before the stream below broke.

        A peer that rejects us may close before we finish sending. The broken send shows only that
        it closed; its alert may still be readable. This neither waits nor asks the program
        anything. It ends at the first input that the engine leaves unread.

        Raises:
            Exception: what the engine raises for the alert.
        """
        # The stream below is broken; the caller raises that.
        with suppress(self._library.BrokenResourceError, self._library.ClosedResourceError):
            while self._engine.read_alert():
                if self.receiving.taken or not self.transport.receive_nowait(self._engine):
                    return

    async def wait_output_might_not_block(self, wait: Callable[[], Awaitable[object]]) -> None:
        """Wait until the stream below might accept something without waiting.

        Cancelling it changes nothing.

        Args:
            wait: waits for that, if no other task is sending.
        """
        while self._sending.taken:
            await self._sending.over()
        with self._sending:
            await wait()

    async def flush_alert(self) -> None:
        """Send the alert that is queued, for a second at most.

        If another task is sending, the alert leaves with that, and this does not wait.
        """
        possible = self._engine.pending_output() and self.send_failure is None
        if possible and not self._sending.taken:
            with self._library.move_on_after(ALERT_SECONDS), suppress(Exception):
                await self.move_output()

    async def linger(self) -> None:
        """Wait until the alert may have arrived. Only close the stream below after this."""
        await self.transport.linger()

    def discard_input(self) -> None:
        """Discard the input that has come, so that closing does not answer it with a reset."""
        self.transport.discard_input()
