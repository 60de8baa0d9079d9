"""The methods of a TLS stream that are the same over each async library.

``io/stream.py`` and ``contrib/anyio.py`` add the methods whose names and results differ: those
that send and receive.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Generic, TypeVar, cast

from ..engine.interface import Engine
from ..sessions.client import Session
from .conflict import ConflictDetector
from .driver import Driver
from .library import Closable, must_not_be_interrupted
from .raised import RaisedErrors

__all__ = ["StreamMethods"]

T_Stream = TypeVar("T_Stream", bound=Closable)


class StreamMethods(Generic[T_Stream]):
    """Run the handshake, send messages that are no data, and end a TLS stream.

    Args:
        engine: the engine of the connection.
        driver: runs the engine.
        transport_stream: the stream below.
        https_compatible: do not send ``close_notify`` on :meth:`aclose`, and accept an end without
            it.
    """

    def __init__(
        self, engine: Engine, driver: Driver, transport_stream: T_Stream, https_compatible: bool
    ) -> None:
        self.transport_stream: T_Stream = transport_stream
        self._engine = engine
        self._driver = driver
        self._https_compatible = https_compatible
        self._sending = driver.library.ConflictDetector(
            "another task is currently sending data on this TLSStream"
        )
        self._closing: ConflictDetector | None = None
        self._send_cut = False  # part of the data of one send has left, or may have
        self._raised = RaisedErrors(driver.library.BrokenResourceError)

    def has_raised(self, error: BaseException) -> bool:
        """Return whether this stream raised this very ``BrokenResourceError``.

        Use it in a server to tell the end of one connection from an error of your own program.
        """
        return error in self._raised

    # The handshake

    async def do_handshake(self, *, until_replayable_early_data: bool = False) -> None:
        """Do the handshake, or wait for the task that does. Once it is complete, do nothing.

        If cancelled, another task that waits for the handshake continues it. If there is none and
        nothing was sent yet, the handshake can be started again. Otherwise the stream is broken,
        and the peer gets alerts as far as the transport takes them without waiting:
        ``user_canceled`` and ``close_notify`` (RFC 9846 6.1), or ``internal_error`` from a side
        whose Finished has left.

        Args:
            until_replayable_early_data: on a server, accept early data, and return as soon as
                :meth:`receive_replayable_early_data` has some to return.
        """
        with self._raised:
            self._driver.check_usable()
            if until_replayable_early_data:
                self._engine.accept_early_data()
            if self._driver.handshake_done:
                await self._driver.library.checkpoint()
            else:
                await self._driver.do_handshake(until_early_data=until_replayable_early_data)

    # Receiving

    @must_not_be_interrupted
    async def wait_session_ticket(self) -> Session:
        """Wait until the server has sent a session ticket; return the newest :attr:`session`.

        Other tasks may send and receive meanwhile. If no task receives, this method reads by
        itself; but another task has to receive application data that comes before the ticket. A
        server need not send any ticket, so set a timeout. If cancelled, nothing is lost. In TLS
        1.2 the server sends its ticket, or a session id, in the handshake and not later.

        Raises:
            trio.EndOfChannel: the server sent ``close_notify`` before any ticket; with anyio
                ``anyio.EndOfStream``.
            RuntimeError: this stream keeps no tickets: it is a server, or a client without
                ``resumption``, or it is over an :class:`ssl.SSLContext`.
        """
        with self._raised:
            self._driver.check_usable()
            if not self._engine.keeps_sessions:
                raise RuntimeError(
                    "this stream keeps no session tickets: only a client with resumption does"
                )
            if not self._driver.handshake_done:
                await self._driver.do_handshake()
            return await self._driver.wait_session()

    # Sending

    async def _send(
        self, data: memoryview, *, sealed_already: int = 0, waited: bool = False
    ) -> None:
        if not waited:
            await self._driver.library.checkpoint_if_cancelled()
        sealed = self._engine.bytes_sealed - sealed_already
        send = self._driver.send if self._driver.handshake_done else self._driver.send_in_handshake
        try:
            await send(data[sealed_already:], waited=waited)
        except BaseException:
            self._send_cut = self._send_cut or self._engine.bytes_sealed > sealed
            raise

    @must_not_be_interrupted
    async def update_keys(self, *, request_peer: bool = False) -> None:
        """Change to new keys for what this side sends (KeyUpdate, RFC 9846 4.7.3).

        Other tasks may send and receive meanwhile. If cancelled, as :meth:`send_all`; what is sent
        next is under the new keys in any case.

        Args:
            request_peer: ask the peer to change its keys too, unless it was asked and has not
                answered yet. The task that receives processes the answer.

        Raises:
            RuntimeError: the connection is of TLS 1.2, which has no KeyUpdate.
            NotImplementedError: with an :class:`ssl.SSLContext`; the stdlib cannot.
        """
        with self._raised:
            await self._prepare_message()
            self._engine.update_keys(request_peer=request_peer)
            await self._driver.flush()

    @must_not_be_interrupted
    async def send_session_tickets(self) -> None:
        """On a server, send the session tickets now, unless they were sent before.

        Otherwise they leave with the first data, with :meth:`send_eof`, or with :meth:`aclose` if
        the client has not closed yet. A server that sends no data can call this so that its
        clients resume. Call it only where the client reads: a client that sends, never reads and
        closes answers tickets with a reset, and loses what it has sent. In TLS 1.2 this does
        nothing: the ticket is part of the handshake.

        If cancelled, as :meth:`send_all`.

        Raises:
            RuntimeError: this is a client.
        """
        with self._raised:
            await self._prepare_message()
            self._engine.send_session_tickets()
            await self._driver.flush()

    async def _prepare_message(self) -> None:
        self._driver.check_sendable()
        if not self._driver.handshake_done:
            await self._driver.do_handshake()
            self._driver.check_sendable()
        await self._driver.library.checkpoint_if_cancelled()

    @must_not_be_interrupted
    async def send_eof(self) -> None:
        """Send ``close_notify``: nothing more will be sent. Receiving goes on.

        If cancelled over a socket, call it again. Over any other stream nothing can be sent
        afterwards.
        """
        with self._raised:
            self._driver.check_not_closing()
            with self._sending:
                self._driver.check_usable()
                if not self._driver.handshake_done:
                    await self._driver.do_handshake()
                await self._driver.library.checkpoint_if_cancelled()
                await self._send_close_notify()

    async def _send_close_notify(self, *, checkpoint: bool = True) -> None:
        if self._send_cut and self._driver.pump.send_failure is None:
            raise self._driver.library.BrokenResourceError(
                "close_notify would say that all data was sent, but a send was cut short"
            )
        await self._driver.send_close_notify(checkpoint=checkpoint)

    # The end

    @must_not_be_interrupted
    async def unwrap(self) -> tuple[T_Stream, bytes]:
        """End TLS, but not the stream below: exchange ``close_notify`` with the peer.

        If cancelled over a socket, call it again. Over any other stream that helps only if our own
        ``close_notify`` has left already; otherwise nothing can be sent afterwards.

        Returns:
            The stream below, and what was received from it after the peer's ``close_notify``.

        Raises:
            BrokenResourceError: also if the peer still sends application data; receive until
                ``b""`` first.
        """
        with self._raised:
            self._driver.check_not_closing()
            with self._driver.receiving, self._sending:
                self._driver.check_usable()
                if not self._driver.handshake_done:
                    await self._driver.do_handshake()
                await self._driver.library.checkpoint_if_cancelled()
                await self._send_close_notify()
                if await self._driver.receive():
                    error = self._driver.library.BrokenResourceError(
                        "the peer sent application data that was not received: "
                        "receive it before unwrap()"
                    )
                    self._driver.note_failure(error)
                    raise error
                self._driver.note_closed()
                transport_stream = self.transport_stream
                self.transport_stream = cast(T_Stream, None)
                return transport_stream, self._engine.unread_ciphertext()

    async def aclose(self) -> None:
        """Send ``close_notify``, and close the stream below.

        It does the handshake first if that was not done. It does not wait for the peer's
        ``close_notify``. With ``https_compatible``, after a failure, after a ``send_all`` that was
        cut, and while another task is sending, it only closes the stream below.

        If cancelled, it closes the stream below all the same, and ``close_notify`` may be missing.
        If another task is closing, it waits for that task.
        """
        if self._driver.closed:
            await self._driver.library.checkpoint()
            return
        with self._raised:
            try:
                if self._closing is not None:
                    await self._closing.over()
                    return
                self._closing = self._driver.library.ConflictDetector(
                    "another task is closing this TLSStream"
                )
                with self._closing:
                    self._driver.note_closing()
                    await self._finish()
            except BaseException:
                self._driver.note_closed()
                await self._driver.library.aclose_forcefully(self.transport_stream)
                raise
            self._driver.note_closed()
            self._driver.pump.discard_input()
            await self.transport_stream.aclose()

    async def _finish(self) -> None:
        try:
            if not self._https_compatible and self._may_send_close_notify():
                await self._try_close_notify()
        finally:
            if self._driver.alerted:
                await self._driver.pump.flush_alert()
                await self._driver.pump.linger()

    def _may_send_close_notify(self) -> bool:
        broken = self._driver.failure or self._driver.pump.send_failure
        return not (broken or self._send_cut or self._sending.taken)

    async def _try_close_notify(self) -> None:
        if not self._driver.handshake_done:
            await self._driver.do_handshake()
        await self._driver.library.checkpoint_if_cancelled()
        if self._may_send_close_notify():
            library = self._driver.library
            with self._sending, suppress(library.BrokenResourceError, library.ClosedResourceError):
                # The peer may have closed at the same time. Closing the stream below lets other
                # tasks run, so this need not.
                await self._send_close_notify(checkpoint=False)
