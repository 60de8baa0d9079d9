"""The trio stream: TLS over any other stream, by driving an engine.

Theory of operation
===================

An engine (:mod:`trio_tlsx.engine.wants`) turns application data into ciphertext and back and
never waits. A pump (:mod:`trio_tlsx.pump`) moves ciphertext between the engine and the stream
below. What is here is the waiting: which task waits, for what, and what holds when it is
cancelled there. There is no ``await`` between asking the engine and doing what it wanted, so that
no other task finds it half way.

Who may do what is a matter of turns. One task at a time sends and one receives; a second one is
refused. Behind those, one task at a time moves ciphertext out, and one moves it in; who finds that
taken waits for the other task to finish and then asks the engine again. Mostly nobody does:
receiving never waits for sending, since two peers that both flushed before they read would
deadlock. What the engine queues while it reads leaves at once if the transport takes it without
waiting, and otherwise with the next send.

The handshake is done by the first task that needs it, while the others queue for the same lock.
A handshaking task that is cancelled leaves the lock to the next one, which resumes where the
engine stands. Only if there is none is the handshake given up, and the peer told so.

A connection ends in one of these ways, and every method asks for them in this order:

- ``_closed``: by :meth:`TLSStream.aclose` or :meth:`TLSStream.unwrap`;
- ``_failure``: the protocol, the transport or an abandoned handshake failed it, both ways;
- ``_pump.send_failure``: sending cannot go on, but receiving can;
- ``_send_ended``: ``close_notify`` was queued; nothing can be sent behind it.

An alert that the engine produced leaves before its exception does, unless another task is sending:
then it leaves with that, and the exception does not wait. ``close_notify`` says that everything
that was given to ``send_all`` has been sent. So it is never sent once a ``send_all`` was cut,
nor by an ``aclose`` that is cancelled.
"""

from __future__ import annotations

import math
import operator
import ssl
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast

import trio

from .choice import engine_for
from .config import ClientConfig, ServerConfig
from .engine.negotiated import Negotiated
from .engine.wants import Question, Want
from .pump import Pump
from .ssl_names import SSLNames
from .turn import Turn

__all__ = ["TLSStream"]

T_Stream = TypeVar("T_Stream", bound=trio.abc.Stream)


class TLSStream(SSLNames, trio.abc.HalfCloseableStream, Generic[T_Stream]):
    """TLS over another stream.

    The handshake is done by whatever is called first: :meth:`do_handshake` or a method that needs
    it. After it, one task may send while another receives.

    Args:
        transport_stream: the stream below. It belongs to this one from now on.
        config: what to negotiate, and in which role: a :class:`ClientConfig`, a
            :class:`ServerConfig`, or a stdlib :class:`ssl.SSLContext`, with which OpenSSL speaks
            TLS.
        server_hostname: whom a client calls: a DNS name or an IP address, against which the
            server's certificate is verified.
        server_side: the role, for an :class:`ssl.SSLContext`. The other two say it themselves.
        https_compatible: neither send ``close_notify`` on :meth:`aclose` nor miss it at the end.
            This is for protocols that say themselves where their messages end, as HTTP does: for
            any other, whoever is in the middle can cut the connection and it looks like its end.
        handshake_timeout: how long the handshake may take from its beginning, in seconds.

    Raises:
        ConfigError: role and name do not fit the configuration, or the name is none.

    Attributes:
        transport_stream: the stream below.

    Every method raises:

    - :exc:`trio.BrokenResourceError` when the connection failed: its message says why, and its
      ``__cause__`` is the :exc:`TLSError` (with an :class:`ssl.SSLContext` the stdlib's
      :exc:`ssl.SSLError`);
    - :exc:`trio.ClosedResourceError` after this side closed it;
    - :exc:`trio.BusyResourceError` while another task does the same.
    """

    def __init__(
        self,
        transport_stream: T_Stream,
        config: ClientConfig | ServerConfig | ssl.SSLContext,
        *,
        server_hostname: str | bytes | None = None,
        server_side: bool | None = None,
        https_compatible: bool = False,
        handshake_timeout: float = math.inf,
    ) -> None:
        self._engine = engine_for(config, server_hostname, server_side)
        self.transport_stream = transport_stream
        self._pump = Pump(self._engine, transport_stream)
        self._https_compatible = https_compatible
        self._handshake_lock = trio.Lock()
        self._handshake_timeout = handshake_timeout
        self._handshake_deadline: float | None = None
        self._handshake_done = False  # and flushed
        self._sending = Turn("another task is currently sending data on this TLSStream")
        self._receiving = Turn("another task is currently receiving data on this TLSStream")
        self._closing = Turn("another task is closing this TLSStream")
        self._closed = False
        self._failure: Exception | None = None
        self._send_ended = False
        self._send_cut = False  # part of what one send_all was given has left, or may have
        self._alerted = False  # the last thing that we sent says why we end it

    @property
    def server_side(self) -> bool:
        """Whether this side is the server."""
        return self._engine.server_side

    @property
    def negotiated(self) -> Negotiated:
        """What the handshake settled.

        Raises:
            trio.NeedHandshakeError: it is not over.
        """
        if not self._engine.handshake_complete:
            raise trio.NeedHandshakeError("call do_handshake() before asking what it settled")
        return self._engine.negotiated

    @property
    def bytes_sealed(self) -> int:
        """How much application data has become records since the connection began, in bytes.

        All of it has left or will leave with the next send: what this grew by during a
        ``send_all`` that was cancelled is how much of its data belongs to the stream.
        """
        return self._engine.bytes_sealed

    # The handshake

    async def do_handshake(self) -> None:
        """Do the handshake, or wait for the task that does; once done, do nothing.

        If cancelled, another task that waits for the handshake takes it over. Without one, a
        handshake from which nothing has been sent yet can be begun again; any other is given up,
        the peer is told so (``user_canceled`` and ``close_notify``, RFC 9846 6.1) as far as that
        needs no waiting, and the stream is broken.
        """
        self._check_usable()
        if self._handshake_done:
            await trio.lowlevel.checkpoint()
        else:
            await self._handshake()

    async def _handshake(self) -> None:
        async with self._handshake_lock:
            if self._handshake_done:
                return
            self._check_usable()
            if self._handshake_deadline is None:
                self._handshake_deadline = trio.current_time() + self._handshake_timeout
            try:
                with trio.CancelScope(deadline=self._handshake_deadline):
                    await self._drive_handshake()
                    self._handshake_done = True
            except BaseException as error:
                # If it is no Exception: a cancellation, which may come in a group, or Ctrl-C.
                if not (isinstance(error, Exception) or self._handshake_can_resume()):
                    self._give_handshake_up(
                        trio.BrokenResourceError("the handshake was cancelled half way")
                    )
                raise
            if not self._handshake_done:
                error = trio.TooSlowError(
                    f"the handshake was not over within {self._handshake_timeout} seconds"
                )
                self._give_handshake_up(error)
                raise await self._fail(error) from error

    async def _drive_handshake(self) -> None:
        engine = self._engine
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            while (want := engine.do_handshake()) is not Want.NOTHING:
                if want is Want.READ:
                    await self._pump.move_input()
                elif want is Want.WRITE:
                    await self._move_output()
                else:
                    await self._answer(want)
                # Moving may never have waited, and a peer that floods keeps it so.
                await trio.lowlevel.checkpoint_if_cancelled()
        except engine.error_types as error:
            raise await self._fail(error) from error
        except Exception as error:
            self._failure = self._failure or error
            raise

    async def _answer(self, question: Question[Any]) -> None:
        awaitable, question.awaitable = question.awaitable, None
        if awaitable is None:
            raise RuntimeError(f"{question!r} has nothing to wait for")
        try:
            answer = await awaitable
        except Exception as error:  # noqa: BLE001 - whatever a hook raises is its refusal
            self._engine.refuse(error)
        else:
            self._engine.answer(answer)

    def _handshake_can_resume(self) -> bool:
        """Whether someone can still finish it after the task that did it was cancelled."""
        if self._pump.send_failure is not None:
            return False
        return (
            not self._pump.started
            or self._engine.handshake_complete
            or self._handshake_lock.statistics().tasks_waiting > 0
        )

    def _give_handshake_up(self, error: Exception) -> None:
        self._failure = error
        self._engine.cancel_handshake()
        self._alerted = bool(self._engine.pending_output())
        self._pump.move_output_nowait()

    # Receiving

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive application data.

        If cancelled, nothing is lost: the next call gives it.

        Args:
            max_bytes: how much at most; by default what is there.

        Returns:
            At least one byte, or ``b""`` once the peer has said ``close_notify``.
        """
        if max_bytes is not None:
            max_bytes = operator.index(max_bytes)
            if max_bytes < 1:
                raise ValueError("max_bytes must be at least 1")
        with self._receiving:
            try:
                self._check_usable()
                if not self._handshake_done:
                    await self._handshake()
                return await self._receive(max_bytes)
            except trio.BrokenResourceError:
                if not (self._https_compatible and self._pump.at_eof):
                    raise
                await trio.lowlevel.checkpoint()
                return b""

    async def _receive(self, max_bytes: int | None = None) -> bytes:
        engine = self._engine
        await trio.lowlevel.checkpoint_if_cancelled()
        waited = False
        try:
            while not isinstance(data := engine.read(max_bytes), bytes):
                if isinstance(data, Question):
                    await self._answer(data)
                    continue
                if data is Want.WRITE:
                    await self._move_output()
                else:
                    await self._pump.move_input()
                await trio.lowlevel.checkpoint_if_cancelled()
                waited = True
        except engine.error_types as error:
            raise await self._fail(error) from error
        except Exception as error:
            self._failure = self._failure or error
            raise
        engine.release_buffers()  # it may be long until the next call
        self._pump.move_output_nowait()
        if not waited:
            await trio.lowlevel.cancel_shielded_checkpoint()
        return data

    # Sending

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send application data.

        If cancelled over a socket, no record is cut: what was sealed (:attr:`bytes_sealed`) leaves
        first with the next send, and the connection can be used on. Over any other stream it is
        broken for sending, and receiving goes on.

        Args:
            data: what to send.
        """
        octets = memoryview(data).cast("B")
        with self._sending:
            self._check_sendable()
            if not self._handshake_done:
                await self._handshake()
            await trio.lowlevel.checkpoint_if_cancelled()
            await self._send(octets)

    async def _send(self, data: memoryview) -> None:
        engine = self._engine
        sealed = engine.bytes_sealed
        try:
            if engine.pending_output() or not data:
                await self._move_output()
                self._check_sendable()
            while data:
                count = engine.write(data)
                await self._move_output()
                if isinstance(count, Want):
                    await self._pump.move_input()
                else:
                    data = data[count:]
                self._check_sendable()
                if data:
                    await trio.lowlevel.checkpoint_if_cancelled()
        except engine.error_types as error:
            raise await self._fail(error) from error
        except BaseException:
            self._send_cut = self._send_cut or engine.bytes_sealed > sealed
            raise

    async def update_keys(self, *, request_peer: bool = False) -> None:
        """Go on to new keys for what this side sends (KeyUpdate, RFC 9846 4.7.3).

        Other tasks may be sending and receiving meanwhile. If cancelled, it is as with
        :meth:`send_all`, and what is sent next is under the new keys all the same.

        Args:
            request_peer: ask the peer to do so too, unless it was asked and has not answered yet.
                Its answer is taken in by whoever receives.

        Raises:
            NotImplementedError: with an :class:`ssl.SSLContext`; the stdlib cannot.
        """
        self._check_sendable()
        if not self._handshake_done:
            await self._handshake()
            self._check_sendable()
        await trio.lowlevel.checkpoint_if_cancelled()
        self._engine.update_keys(request_peer=request_peer)
        await self._move_output()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until :meth:`send_all` might not have to wait. Cancelling it changes nothing."""
        with self._sending:
            self._check_sendable()
            await self._pump.wait_output_might_not_block()
            self._check_usable()

    async def send_eof(self) -> None:
        """Say ``close_notify``: nothing more will be sent; receiving goes on.

        If cancelled over a socket, call it again; any other stream is broken for sending then.
        """
        with self._sending:
            self._check_usable()
            if not self._handshake_done:
                await self._handshake()
            await trio.lowlevel.checkpoint_if_cancelled()
            await self._send_close_notify()

    async def _send_close_notify(self) -> None:
        self._check_unbroken_sending()
        if self._send_cut:
            raise trio.BrokenResourceError(
                "close_notify would say that all data was sent, but a send was cut short"
            )
        self._engine.shutdown()
        self._send_ended = True
        await self._move_output()

    # The end

    async def unwrap(self) -> tuple[T_Stream, bytes]:
        """End TLS, but not the stream below: exchange ``close_notify`` with the peer.

        If cancelled over a socket, call it again. Over any other stream that helps only if our
        own ``close_notify`` has left by then; otherwise the connection is broken for sending.

        Returns:
            The stream below, and what was received from it after the peer's ``close_notify``.

        Raises:
            trio.BrokenResourceError: also when the peer still sends application data; receive
                until ``b""`` before.
        """
        with self._receiving, self._sending:
            self._check_usable()
            if not self._handshake_done:
                await self._handshake()
            await trio.lowlevel.checkpoint_if_cancelled()
            await self._send_close_notify()
            if await self._receive():
                error = trio.BrokenResourceError(
                    "the peer sent application data that nobody has received: "
                    "receive it before unwrap()"
                )
                self._failure = error
                raise error
            self._closed = True
            transport_stream = self.transport_stream
            self.transport_stream = cast(T_Stream, None)
            return transport_stream, self._engine.unread_ciphertext()

    async def aclose(self) -> None:
        """Say ``close_notify``, and close the stream below.

        It does the handshake first if that has not been done. It does not wait for the peer's
        ``close_notify``. With ``https_compatible``, after a failure, after a ``send_all`` that was
        cut and while another task is sending, it only closes the stream below.

        If cancelled, it closes all the same, and ``close_notify`` may be missing. While another
        task is closing, it waits for that.
        """
        if self._closed:
            await trio.lowlevel.checkpoint()
            return
        try:
            if self._closing.taken:
                await self._closing.over()
                return
            with self._closing:
                await self._say_last_words()
        except BaseException:
            self._closed = True
            await trio.aclose_forcefully(self.transport_stream)
            raise
        self._closed = True
        self._pump.discard_input()
        await self.transport_stream.aclose()

    async def _say_last_words(self) -> None:
        try:
            if not self._https_compatible and self._can_say_goodbye():
                await self._say_goodbye()
        finally:
            if self._alerted:
                await self._pump.send_last_words()
                await self._pump.linger()

    def _can_say_goodbye(self) -> bool:
        return not (
            self._failure or self._pump.send_failure or self._send_cut or self._sending.taken
        )

    async def _say_goodbye(self) -> None:
        if not self._handshake_done:
            await self._handshake()
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._can_say_goodbye():
            with self._sending, suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                # Two peers may well close at the same time.
                await self._send_close_notify()

    async def _move_output(self) -> None:
        try:
            await self._pump.move_output()
        except trio.BrokenResourceError:
            try:
                self._pump.hear_why()
            except self._engine.error_types as error:
                raise await self._fail(error) from error
            raise

    # What has ended

    def _check_usable(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this TLSStream was closed")
        if self._failure is not None:
            raise _broken(self._failure) from self._failure

    def _check_sendable(self) -> None:
        self._check_usable()
        self._check_unbroken_sending()
        if self._send_ended:
            raise trio.ClosedResourceError("can't send data after sending EOF")

    def _check_unbroken_sending(self) -> None:
        if (error := self._pump.send_failure) is not None:
            raise _broken(error) from error

    async def _fail(self, error: Exception) -> trio.BrokenResourceError:
        """Note why the connection failed, let the alert leave, and give what to raise."""
        self._failure = self._failure or error
        self._alerted = self._alerted or bool(self._engine.pending_output())
        await self._pump.send_last_words()
        return _broken(error)


def _broken(error: BaseException) -> trio.BrokenResourceError:
    return trio.BrokenResourceError(str(error) or type(error).__name__)
