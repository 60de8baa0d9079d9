"""Decide which task moves ciphertext: one at a time in each direction."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import trio

from ..engine.interface import Engine
from ..handshake.wants import Want
from .conflict import ConflictDetector
from .transport import transport_over

__all__ = ["Pump"]

#: How long an exception waits for its alert to leave, in seconds.
ALERT_SECONDS = 1


class Pump:
    """Moves ciphertext between an engine and the stream below, for any number of tasks.

    Args:
        engine: whose ciphertext it is.
        stream: the stream below.

    Attributes:
        send_failure: why nothing can be sent any more.
        at_eof: the stream below is at its end.
        answering: a task has this turn while it waits for the answer to a question of the
            engine's, which would ask anew if it were read from meanwhile.
    """

    def __init__(self, engine: Engine, stream: trio.abc.Stream) -> None:
        self.send_failure: BaseException | None = None
        self.at_eof = False
        self.answering = ConflictDetector("another task is answering a question")
        self._engine = engine
        self._stream = stream
        self._transport = transport_over(stream)
        self._sending = ConflictDetector("another task is moving ciphertext out")
        self._receiving = ConflictDetector("another task is moving ciphertext in")

    @property
    def started(self) -> bool:
        """Whether some output has gone out, or may have."""
        return self._transport.started

    async def move_output(self) -> None:
        """Send all that the engine has queued; wait only where that is needed.

        Raises:
            Exception: also what the engine makes of the alert by which the peer said why it broke
                the connection.
        """
        if self.move_output_nowait():
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        while self._sending.taken:
            await self._sending.over()
        with self._sending:
            try:
                await self._transport.send(self._engine)
            except Exception as error:
                self.send_failure = error
                if isinstance(error, trio.BrokenResourceError):
                    self._read_pending_alert()
                raise
            except BaseException:
                # A cancellation, which may come in a group, or Ctrl-C.
                if not self._transport.resumes:
                    self.send_failure = trio.BrokenResourceError(
                        "a send was cancelled half way: nothing can be sent behind it"
                    )
                raise

    def move_output_nowait(self) -> bool:
        """Send what leaves without waiting, and say whether that was all.

        Errors are left to :meth:`move_output`.
        """
        return self._transport.send_nowait(self._engine)

    async def move_input(self) -> None:
        """Feed the engine once, or wait for the task that does."""
        if self.move_input_nowait():
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            await self.wait_for_input()

    async def wait_for_input(self) -> None:
        """Wait for input and feed the engine once, or wait for the task that does."""
        if self._receiving.taken:
            await self._receiving.over()
            return
        with self._receiving:
            self._note_end(await self._transport.receive(self._engine))

    def move_input_nowait(self) -> bool:
        """Feed the engine once, if that is possible without waiting."""
        if self._receiving.taken:
            return False
        count = self._transport.receive_nowait(self._engine)
        if count is None:
            return False
        self._note_end(count)
        return True

    def _note_end(self, count: int) -> None:
        if not count:
            self.at_eof = True
            self._engine.receive_data(b"")

    def _read_pending_alert(self) -> None:
        """Read what the peer said before the stream below broke, as far as that needs no waiting.

        Who refuses us closes, perhaps before we have sent all. What breaks our send says no more
        than that, but the alert may be there to be read.

        Raises:
            Exception: what the engine makes of the alert.
        """
        engine = self._engine
        if self.answering.taken:
            return
        step = partial(engine.read, 0) if engine.handshake_complete else engine.do_handshake
        # That the stream below broke we know already.
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while isinstance(step(), Want):
                if self._receiving.taken or not self._transport.receive_nowait(engine):
                    return

    async def wait_output_might_not_block(self) -> None:
        """Wait until the stream below might take something without waiting."""
        while self._sending.taken:
            await self._sending.over()
        with self._sending:
            await self._stream.wait_send_all_might_not_block()

    async def flush_alert(self) -> None:
        """Send what says why we end it, unless a task is sending, which takes it along."""
        possible = self._engine.pending_output() and self.send_failure is None
        if possible and not self._sending.taken:
            with trio.move_on_after(ALERT_SECONDS), suppress(Exception):
                await self.move_output()

    async def linger(self) -> None:
        """Give the last words time to arrive. The stream below is only to be closed then."""
        await self._transport.linger()

    def discard_input(self) -> None:
        """Throw away what has come, so that closing does not answer it with a reset."""
        self._transport.discard_input()
