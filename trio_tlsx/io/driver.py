"""Drive an engine over a stream: the handshake, its questions, reading and writing.

There is no ``await`` between asking the engine and doing what it wanted, so that no other task
finds it half way. Who may ask for what, and when, is the stream's affair.

The handshake is done by the first task that needs it, while the others queue for the same lock.
A handshaking task that is cancelled leaves the lock to the next one, which resumes where the
engine stands. Only if there is none is the handshake given up, and the peer told so.

An alert that the engine produced leaves before its exception does, unless another task is sending:
then it leaves with that, and the exception does not wait.
"""

from __future__ import annotations

import math
from typing import Any

import trio

from ..engine.interface import Engine
from ..handshake.wants import Question, Want
from ..sessions.client import Session
from .ciphertext import Pump
from .conflict import ConflictDetector

__all__ = ["Driver"]


class Driver:
    """An engine on its way through a connection.

    Args:
        engine: what to drive.
        transport_stream: the stream below.
        handshake_timeout: how long the handshake may take from its beginning, in seconds.

    Attributes:
        pump: what moves the ciphertext. Once its ``send_failure`` is set, sending cannot go on,
            but receiving can.
        receiving: the turn of who takes data.
        handshake_done: the handshake is over, and its last message has left.
        closed: this side has closed the stream.
        failure: the protocol, the transport or an abandoned handshake failed it, both ways.
        send_ended: ``close_notify`` was queued; nothing can be sent behind it.
        alerted: the last thing that was sent says why it ended.
    """

    def __init__(
        self, engine: Engine, transport_stream: trio.abc.Stream, handshake_timeout: float
    ) -> None:
        self.pump = Pump(engine, transport_stream)
        self.receiving = ConflictDetector(
            "another task is currently receiving data on this TLSStream"
        )
        self.handshake_done = False
        self.closed = False
        self.failure: Exception | None = None
        self.send_ended = False
        self.alerted = False
        self._engine = engine
        self._handshake_lock = trio.Lock()
        self._handshake_timeout = handshake_timeout
        self._handshake_deadline: float | None = None

    # What has ended

    def check_usable(self) -> None:
        """Raise what every method raises once the connection is closed or broken."""
        if self.closed:
            raise trio.ClosedResourceError("this TLSStream was closed")
        if self.failure is not None:
            raise _broken(self.failure) from self.failure

    def check_sendable(self) -> None:
        """Raise what sending raises where it is not possible, or not any more."""
        if self.closed or self.failure or self.pump.send_failure or self.send_ended:
            self.check_usable()
            self.check_unbroken_sending()
            raise trio.ClosedResourceError("can't send data after sending EOF")

    def check_unbroken_sending(self) -> None:
        """Raise why nothing can be sent any more, if that is so."""
        if (error := self.pump.send_failure) is not None:
            raise _broken(error) from error

    def note_failure(self, error: Exception) -> None:
        """Have every method say from now on that the connection failed, both ways."""
        self.failure = self.failure or error
        self.receiving.wake()

    def note_closed(self) -> None:
        """Have every method say from now on that this side has closed the stream."""
        self.closed = True
        self.receiving.wake()

    async def _fail(self, error: Exception) -> trio.BrokenResourceError:
        """Note why the connection failed, let the alert leave, and give what to raise."""
        self.note_failure(error)
        self.alerted = self.alerted or bool(self._engine.pending_output())
        await self.pump.flush_alert()
        return _broken(error)

    # The handshake

    @trio.lowlevel.disable_ki_protection  # there are hooks in it, and it gives up by itself
    async def do_handshake(self, *, until_early_data: bool = False) -> None:
        """Do the handshake, or wait for the task that does.

        Args:
            until_early_data: stop as soon as there is some to be read; call it again to go on.
        """
        async with self._handshake_lock:
            if self.handshake_done:
                return
            self.check_usable()
            self.check_unbroken_sending()
            if self._handshake_deadline is None:
                self._handshake_deadline = trio.current_time() + self._handshake_timeout
            try:
                with trio.CancelScope(deadline=self._handshake_deadline) as scope:
                    await self._drive_handshake(until_early_data)
            except BaseException as error:
                # If it is no Exception: a cancellation, which may come in a group, or Ctrl-C.
                if not (isinstance(error, Exception) or self._handshake_can_resume()):
                    self._give_handshake_up(
                        trio.BrokenResourceError("the handshake was cancelled half way")
                    )
                raise
            if scope.cancelled_caught:
                error = trio.TooSlowError(
                    f"the handshake was not over within {self._handshake_timeout} seconds"
                )
                self._give_handshake_up(error)
                raise await self._fail(error) from error

    async def _drive_handshake(self, until_early_data: bool) -> None:
        engine, pump = self._engine, self.pump
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            while (want := engine.do_handshake()) is not Want.NOTHING:
                if want is Want.READ:
                    await pump.move_input()
                elif want is Want.WRITE:
                    await pump.move_output()
                elif want is not Want.EARLY_DATA:
                    await self._answer(want)
                elif until_early_data:
                    return
                # Moving may never have waited, and a peer that floods keeps it so.
                await trio.lowlevel.checkpoint_if_cancelled()
            self.handshake_done = True
        except engine.error_types as error:
            raise await self._fail(error) from error
        except Exception as error:
            self.note_failure(error)
            raise

    @trio.lowlevel.disable_ki_protection
    async def _answer(self, question: Question[Any]) -> None:
        awaitable, question.awaitable = question.awaitable, None
        if awaitable is None:
            raise RuntimeError(f"{question!r} has nothing to wait for")
        self._engine.release_buffers()  # a hook may take long
        timeout = math.inf if question.timeout is None else question.timeout
        try:
            with trio.fail_after(timeout):
                answer = await awaitable
        except Exception as error:  # noqa: BLE001 - whatever a hook raises is its refusal
            self._engine.refuse(error)
        else:
            self._engine.answer(answer)

    async def receive_early_data(self, max_bytes: int | None) -> bytes:
        """Give early data; ``b""`` once the handshake is over and there is no more."""
        engine = self._engine
        engine.accept_early_data()
        waited = False
        await trio.lowlevel.checkpoint_if_cancelled()
        while not (data := engine.read_early_data(max_bytes)) and not self.handshake_done:
            await self.do_handshake(until_early_data=True)
            waited = True
        if not waited:
            await trio.lowlevel.cancel_shielded_checkpoint()
        return data

    def _handshake_can_resume(self) -> bool:
        """Whether someone can still finish it after the task that did it was cancelled."""
        if self.pump.send_failure is not None:
            return False
        return (
            not self.pump.started
            or self._engine.handshake_complete
            or self._handshake_lock.statistics().tasks_waiting > 0
        )

    def _give_handshake_up(self, error: Exception) -> None:
        self.failure = error
        self._engine.cancel_handshake()
        self.alerted = bool(self._engine.pending_output())
        self.pump.move_output_nowait()

    # After it

    async def receive(self, max_bytes: int | None = None) -> bytes:
        """Give what the peer has sent; ``b""`` once that was ``close_notify``."""
        engine, pump = self._engine, self.pump
        await trio.lowlevel.checkpoint_if_cancelled()
        moved = waited = False
        try:
            while True:
                while pump.answering.taken:
                    await pump.answering.over()
                data = engine.read(max_bytes)
                if isinstance(data, bytes):
                    break
                if isinstance(data, Question):
                    with pump.answering:
                        await self._answer(data)
                    continue
                if data is Want.WRITE:
                    await pump.move_output()
                elif not pump.move_input_nowait():
                    await pump.wait_for_input()
                elif not moved:
                    moved = True
                    continue
                else:
                    # A peer that floods with what is no data is not to keep others from running.
                    await trio.lowlevel.cancel_shielded_checkpoint()
                await trio.lowlevel.checkpoint_if_cancelled()
                waited = True
        except engine.error_types as error:
            raise await self._fail(error) from error
        except Exception as error:
            self.note_failure(error)
            raise
        engine.release_buffers()  # it may be long until the next call
        pump.move_output_nowait()
        if not waited:
            await trio.lowlevel.cancel_shielded_checkpoint()
        return data

    async def wait_session(self) -> Session:
        """Wait until a ticket has made a session, beside a task that receives or without one."""
        engine = self._engine
        await trio.lowlevel.checkpoint_if_cancelled()
        while (session := engine.session) is None:
            self.check_usable()
            if await self._look_on():
                continue
            if not engine.pending():
                raise trio.EndOfChannel("the server has ended without a session ticket")
            await self.receiving.over()  # data is before it, and somebody has to take that
        engine.release_buffers()
        self.pump.move_output_nowait()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return session

    async def _look_on(self) -> bool:
        """Take in what comes before data; False where data, or the end of it, is next."""
        engine, pump = self._engine, self.pump
        try:
            if pump.answering.taken:
                await pump.answering.over()
                return True
            step = engine.read(0)
            if isinstance(step, Question):
                with pump.answering:
                    await self._answer(step)
            elif engine.session is None:
                if isinstance(step, bytes):
                    return False
                await pump.move_input()
            await trio.lowlevel.checkpoint_if_cancelled()
        except engine.error_types as error:
            raise await self._fail(error) from error
        except Exception as error:
            self.note_failure(error)
            raise
        return True

    async def send(self, data: memoryview) -> None:
        """Send ``data``, behind all that is queued already; return when it has left."""
        engine, pump = self._engine, self.pump
        try:
            if not data or engine.pending_output():
                await pump.move_output()
                self.check_sendable()
            while data:
                count = engine.write(data)
                await pump.move_output()
                if isinstance(count, Want):
                    await pump.move_input()
                else:
                    data = data[count:]
                self.check_sendable()
                if data:
                    await trio.lowlevel.checkpoint_if_cancelled()
        except engine.error_types as error:
            raise await self._fail(error) from error

    async def send_close_notify(self) -> None:
        """Say that nothing more will be sent."""
        self.check_unbroken_sending()
        self._engine.shutdown()
        self.send_ended = True
        await self.flush()

    async def flush(self) -> None:
        """Send what is queued."""
        try:
            await self.pump.move_output()
        except self._engine.error_types as error:
            raise await self._fail(error) from error


def _broken(error: BaseException) -> trio.BrokenResourceError:
    return trio.BrokenResourceError(str(error) or type(error).__name__)
