"""The driver: runs an engine over the stream below.

Theory of operation
===================

The driver asks the engine what it wants, does that, and asks again. There is no ``await`` between
the engine's answer and the action, so that no other task sees a half-finished step. The stream
decides which task may call which method, and when.

**The handshake.** The first task that needs the handshake takes its turn. Other tasks wait for
their turn. If the first task is cancelled, the next one continues where the engine stands. If no
task waits, the driver gives up the handshake and sends the alerts that say so. One timer bounds
all methods that wait before the handshake is complete.

**The client's Finished** leaves before a method waits or returns. A ``send_all`` that does the
handshake itself sends Finished and data in one piece. Any other method sends Finished at once:
otherwise the server waits for Finished, and the client for the server.

**Questions.** The engine may ask the program something by a :class:`Question`. The task that
called the engine awaits the answer, under its own cancel scope. Meanwhile the task holds
``pump.answering``, and no other task asks the engine to go on, because the engine would ask the
same question again.

**Failures.** The driver sends the alert of an error before it raises the error. If another task is
sending, the alert leaves with that task's data, and the error does not wait. The driver remembers
the first failure, and every later call raises it again.

**Fairness.** A peer that sends without a pause never makes a call wait. The driver lets other
tasks run after each piece of input, and between many small messages, where the engine asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

from ..engine.interface import Engine
from ..handshake.wants import Question, Want
from ..pki.describe import in_seconds
from ..sessions.client import Session
from .conflict import ConflictDetector
from .ending import Ending
from .handshake_timer import HandshakeTimer
from .library import may_be_interrupted
from .transport import DirectPath, Transport

__all__ = ["Driver"]


class Driver(Ending):
    """Runs one engine through its connection.

    A subclass is for one async library. It may override :meth:`start_data_phase`.

    Args:
        engine: the engine to run.
        transport: moves ciphertext in and out of the stream below.
        handshake_timeout: how long methods may wait before the handshake is complete, in seconds.

    Attributes:
        handshake_done: the handshake is complete, and its last message has left. Nothing of
            what only the handshake needs is kept then.
    """

    __slots__ = ("_timer", "_turn", "handshake_done")

    failure: Exception | None
    alerted: bool

    def __init__(self, engine: Engine, transport: Transport, handshake_timeout: float) -> None:
        super().__init__(engine, transport)
        library = self.library
        engine.pauses = True
        self.handshake_done: bool = False
        self._turn: ConflictDetector | None = library.ConflictDetector(
            "another task does the handshake"
        )
        self._timer: HandshakeTimer | None = None
        if handshake_timeout != math.inf:  # a cancel scope costs more than all else here
            self._timer = HandshakeTimer(handshake_timeout, library)

    # The handshake

    @may_be_interrupted  # hooks run in it, and Ctrl-C ends the handshake
    async def do_handshake(
        self, *, until_early_data: bool = False, before_data: bool = False
    ) -> None:
        """Do the handshake, or wait for the task that does. It lets other tasks run.

        If cancelled, the next task that waits continues it; without one it is given up, unless
        nothing was sent yet.

        Args:
            until_early_data: stop as soon as there is early data to read; the next call goes on.
            before_data: stop before the last message leaves, because the caller sends it at once,
                by :meth:`send_in_handshake`. ``handshake_done`` is still False then.
        """
        turn = self._turn
        while turn is not None and turn.taken:
            await turn.over()
            turn = self._turn
        if turn is None:
            return
        self.check_usable()
        self.check_unbroken_sending()
        with turn:
            try:
                if self._timer is None:
                    await self._drive_handshake(until_early_data, before_data)
                else:
                    await self._drive_in_time(self._timer, until_early_data, before_data)
            except BaseException as error:
                # If it is no Exception: a cancellation, which may come in a group, or Ctrl-C.
                if not (isinstance(error, Exception) or self._handshake_can_resume(turn)):
                    self._give_handshake_up(
                        self.library.BrokenResourceError("the handshake was cancelled half way")
                    )
                raise

    async def _drive_in_time(
        self, timer: HandshakeTimer, until_early_data: bool, before_data: bool
    ) -> None:
        with timer.running() as scope:
            await self._drive_handshake(until_early_data, before_data)
        if scope.cancelled_caught:
            error = self._timed_out(timer)
            await self.pump.flush_alert()
            raise error

    async def _drive_handshake(self, until_early_data: bool, before_data: bool) -> None:
        engine, pump = self._engine, self.pump
        waited = just_sent = False
        try:
            await self.library.checkpoint_if_cancelled()
            while (want := engine.do_handshake()) is not Want.NOTHING:
                if want is Want.WRITE:
                    if before_data and engine.handshake_complete:
                        break
                    waited |= await pump.move_output(checkpoint=False)
                elif want is Want.READ:
                    if just_sent:
                        await pump.wait_for_input()  # the answer has hardly come yet
                    else:
                        await pump.move_input()
                    waited = True
                elif want is Want.PAUSE:
                    await self.library.cancel_shielded_checkpoint()
                elif want is not Want.EARLY_DATA:
                    await self._answer(want)
                elif until_early_data:
                    break
                just_sent = want is Want.WRITE
                # If the input never ends, nothing above waits: check for a cancellation.
                await self.library.checkpoint_if_cancelled()
            else:
                self._note_handshake_done()
            if not waited:
                await self.library.cancel_shielded_checkpoint()
        except engine.error_types as error:
            raise await self.fail(error) from error
        except Exception as error:
            self.note_failure(error)
            raise

    def _note_handshake_done(self) -> None:
        """Start the data phase, and drop what only the handshake needs."""
        self.pump.move_output_nowait()  # session tickets, behind an answer to early data
        self.handshake_done = True
        if self._timer is not None:
            self._timer.stop()
        self._timer = self._turn = None
        self.start_data_phase()

    def start_data_phase(self) -> None:
        """Let ordinary data bypass the engine from here on, where the transport can do that."""

    @may_be_interrupted
    async def _answer(self, question: Question[Any]) -> None:
        awaitable, question.awaitable = question.awaitable, None
        if awaitable is None:
            raise RuntimeError(f"{question!r} has nothing to wait for")
        self._engine.release_buffers()  # a hook may take long
        timeout = math.inf if question.timeout is None else question.timeout
        if self.pump.answering is None:
            self.pump.answering = self.library.ConflictDetector(
                "another task is answering a question"
            )
        with self.pump.answering:
            try:
                with self.library.fail_after(timeout):
                    answer = await awaitable
            except Exception as error:  # noqa: BLE001 - whatever a hook raises is its refusal
                self._engine.refuse(error)
            else:
                self._engine.answer(answer)

    async def receive_early_data(self, max_bytes: int | None) -> bytes:
        """Return early data; ``b""`` once the handshake is complete and all was returned.

        If cancelled, no data is lost.
        """
        engine = self._engine
        engine.accept_early_data()
        waited = False
        await self.library.checkpoint_if_cancelled()
        while not (data := engine.read_early_data(max_bytes)) and not self.handshake_done:
            await self.do_handshake(until_early_data=True)
            waited = True
        if not waited:
            await self.library.cancel_shielded_checkpoint()
        return data

    def _handshake_can_resume(self, turn: ConflictDetector) -> bool:
        """Whether another task can still finish it after the task that did it was cancelled."""
        if self.pump.send_failure is not None:
            return False
        return not self.pump.started or self._engine.handshake_complete or turn.has_waiters

    def _give_handshake_up(self, error: Exception) -> None:
        self.failure = self.failure or error
        self.pump.data_phase = None
        self._engine.cancel_handshake(str(error))
        self.alerted = self.alerted or bool(self._engine.pending_output())
        self.pump.move_output_nowait()

    def _timed_out(self, timer: HandshakeTimer) -> Exception:
        """Give the handshake up because its time is over, and return the exception to raise."""
        error = self.library.TooSlowError(
            f"the handshake was not complete within {in_seconds(timer.seconds)}"
        )
        self._give_handshake_up(error)
        self.note_failure(error)
        raised = self.broken(error)
        raised.__cause__ = error
        return raised

    # Application data

    async def receive(
        self,
        max_bytes: int | None = None,
        *,
        idle_phase: DirectPath | None = None,
        waited: bool = False,
    ) -> bytes:
        """Return what the peer has sent; ``b""`` after its ``close_notify``.

        If cancelled, no data is lost.

        Args:
            max_bytes: the most to return; by default everything that has come.
            idle_phase: the data phase, if it has just found that nothing has come.
            waited: the caller has let other tasks run, so that this need not.
        """
        try:
            while idle_phase is not None:
                await idle_phase.wait_readable()
                waited = True
                idle_phase = self.pump.data_phase
                if idle_phase is not None:
                    data = idle_phase.receive(max_bytes)
                    if data:
                        return data
                    if data is not None:
                        break
            return await self._receive_from_engine(max_bytes, waited)
        except self._engine.error_types as error:
            raise await self.fail(error) from error
        except Exception as error:
            self.note_failure(error)
            raise

    async def _receive_from_engine(self, max_bytes: int | None, waited: bool) -> bytes:
        engine, pump = self._engine, self.pump
        moved = False
        await self.library.checkpoint_if_cancelled()
        while True:
            while (answering := pump.answering) is not None and answering.taken:
                await answering.over()
            data = engine.read(max_bytes)
            if isinstance(data, bytes):
                break
            if isinstance(data, Question):
                await self._answer(data)
                continue
            if data is Want.WRITE:
                await pump.move_output()
            elif data is Want.PAUSE:
                await self.library.cancel_shielded_checkpoint()
            elif not pump.move_input_nowait():
                pump.move_output_nowait()  # the answer to a KeyUpdate, if there is one
                await pump.wait_for_input()
            elif not moved:
                moved = True
                continue
            else:
                # The peer sends much that is no data: let other tasks run.
                await self.library.cancel_shielded_checkpoint()
            await self.library.checkpoint_if_cancelled()
            waited = True
        engine.release_buffers()  # it may be long until the next call
        pump.move_output_nowait()
        if not waited:
            await self.library.cancel_shielded_checkpoint()
        return data

    async def wait_session(self) -> Session:
        """Wait until a ticket has made a session, whether or not another task receives.

        If cancelled, nothing is lost.
        """
        engine = self._engine
        await self.library.checkpoint_if_cancelled()
        while (session := engine.session) is None:
            self.check_usable()
            if await self._process_messages():
                continue
            if not engine.pending():
                raise self.library.EndOfChannel("the server has ended without a session ticket")
            await self.receiving.over()  # data is before the ticket: another task has to take it
        engine.release_buffers()
        self.pump.move_output_nowait()
        await self.library.cancel_shielded_checkpoint()
        return session

    async def _process_messages(self) -> bool:
        """Process what comes before data; return False where data, or its end, is next."""
        engine, pump = self._engine, self.pump
        try:
            if (answering := pump.answering) is not None and answering.taken:
                await answering.over()
                return True
            step = engine.read(0)
            if isinstance(step, Question):
                await self._answer(step)
            elif step is Want.PAUSE:
                await self.library.cancel_shielded_checkpoint()
            elif engine.session is None:
                if isinstance(step, bytes):
                    return False
                pump.move_output_nowait()  # the answer to a KeyUpdate, if there is one
                await pump.move_input()
            await self.library.checkpoint_if_cancelled()
        except engine.error_types as error:
            raise await self.fail(error) from error
        except Exception as error:
            self.note_failure(error)
            raise
        return True

    async def send(self, data: memoryview, *, waited: bool = False) -> None:
        """Send ``data`` behind everything that is queued already; return when it has left.

        If cancelled over a socket, what was sealed stays queued. Over any other stream nothing
        can be sent afterwards.

        Args:
            data: the data to send.
            waited: the caller has let other tasks run, so that this need not.
        """
        engine, pump = self._engine, self.pump
        try:
            if not data or (not waited and engine.pending_output()):
                await pump.move_output(checkpoint=not waited)
                self.check_sendable()
            while data:
                count = engine.write(data)
                await pump.move_output(checkpoint=not waited)
                waited = False
                if isinstance(count, Want):
                    await pump.move_input()
                else:
                    data = data[count:]
                self.check_sendable()
                if data:
                    await self.library.checkpoint_if_cancelled()
        except engine.error_types as error:
            raise await self.fail(error) from error

    async def send_in_handshake(self, data: memoryview, *, waited: bool = False) -> None:
        """Do the same before the handshake is done, within the handshake's time.

        If only its last message was missing, the handshake is done then.
        """
        timer = self._timer
        if timer is None:
            await self.send(data, waited=waited)
        else:
            with timer.running() as scope:
                await self.send(data, waited=waited)
            if scope.cancelled_caught:
                raise self._timed_out(timer)
        complete = self._engine.handshake_complete and not self.handshake_done
        if complete and self._engine.do_handshake() is Want.NOTHING:
            self._note_handshake_done()

    async def wait_output_might_not_block(self, wait: Callable[[], Awaitable[object]]) -> None:
        """Wait until a send might not have to wait. Cancelling it changes nothing.

        Args:
            wait: waits until the stream below might accept something.
        """
        timer = self._timer
        if timer is None:
            await self.pump.wait_output_might_not_block(wait)
            return
        with timer.running() as scope:
            await self.pump.wait_output_might_not_block(wait)
        if scope.cancelled_caught:
            raise self._timed_out(timer)

    async def send_close_notify(self, *, checkpoint: bool = True) -> None:
        """Send ``close_notify``: nothing can be sent behind it.

        If cancelled over a socket, it stays queued and can be sent by another call.

        Args:
            checkpoint: let other tasks run even where it need not wait.
        """
        self.check_unbroken_sending()
        self._engine.shutdown()
        self.send_ended = True
        self.pump.data_phase = None
        await self.flush(checkpoint=checkpoint)

    async def flush(self, *, checkpoint: bool = True) -> None:
        """Send what is queued. If cancelled, as :meth:`send`."""
        try:
            await self.pump.move_output(checkpoint=checkpoint)
        except self._engine.error_types as error:
            raise await self.fail(error) from error
