"""The trio stream: TLS over any other stream, by driving an engine.

Theory of operation
===================

There are four layers. An engine (:mod:`trio_tlsx.engine.interface`) turns application data into
ciphertext and back, and never waits. A pump (:mod:`trio_tlsx.io.ciphertext`) moves ciphertext
between the engine and the stream below. A driver (:mod:`trio_tlsx.io.driver`) asks the engine what
it wants, and waits for that. The stream, in this module, is what a program calls. It decides which
task may do what, and what holds after a cancellation. After the handshake over a socket, ordinary
data passes by driver and engine (:mod:`trio_tlsx.io.data_phase`).

**Which task may do what.** One task at a time sends, and one receives; a second task gets
``trio.BusyResourceError``. Below that, one task at a time moves ciphertext in each direction.
Another task that needs the same direction waits, and then asks the engine again: a receiver may
have to finish a handshake, and a sender may find an alert.

**Receiving never waits for sending.** Two peers that both flush before they read would deadlock.
What the engine queues while it reads leaves at once if the transport takes it without waiting, and
otherwise with the next send.

**``close_notify`` is a promise.** It says that all data that was given to ``send_all`` was sent.
So the stream never sends it after a ``send_all`` that was cut, nor from an ``aclose`` that is
cancelled.

**Ctrl-C** arrives where a cancellation may arrive, and nowhere else. If it arrived between
``write`` and the record of how much was written, the connection would lose its place in the data.
Only a hook can be interrupted anywhere.

**Errors.** The stream remembers, by identity, each ``trio.BrokenResourceError`` that it has
raised. So a server can tell the end of one connection from every other error of its handler.
"""

from __future__ import annotations

import math
import ssl
from contextlib import suppress
from typing import Generic, TypeVar, cast

import trio

from ..arguments import checked_max_bytes
from ..config.client import ClientConfig
from ..config.server import ServerConfig
from ..engine.select import engine_for
from ..handshake.steps import Observer
from ..sessions.client import Session
from .conflict import ConflictDetector
from .connection_info import ConnectionInfo
from .driver import Driver
from .raised import RaisedErrors

__all__ = ["TLSStream"]

T_Stream = TypeVar("T_Stream", bound=trio.abc.Stream)


class TLSStream(ConnectionInfo, trio.abc.HalfCloseableStream, Generic[T_Stream]):
    """TLS over another stream.

    The first method that needs the handshake does it. After the handshake one task may send while
    another receives.

    Args:
        transport_stream: the stream below; it belongs to this one from now on.
        config: what to negotiate, and in which role: a :class:`ClientConfig`, a
            :class:`ServerConfig`, or a stdlib :class:`ssl.SSLContext`, with which OpenSSL speaks
            TLS.
        server_hostname: the server that a client connects to: a DNS name or an IP address. The
            server's certificate must be for it.
        server_port: the server's port, for a client. Sessions are kept and resumed by name and
            port.
        server_side: the role, for an :class:`ssl.SSLContext`. Our own configurations fix it.
        https_compatible: do not send ``close_notify`` on :meth:`aclose`, and accept an end without
            it. Use this only for a protocol whose messages say where they end, as in HTTP.
            Otherwise anybody on the path can cut the connection, and that looks like its end.
        handshake_timeout: how long the stream's methods may wait, all together, until the
            handshake is complete, in seconds; hooks count too. The time between two calls, in
            which the program holds the stream, does not count.
        early_data: data that a client sends with the first message of its handshake (0-RTT, RFC
            9846 2.3), if it has a session to resume whose server accepts that much. **Anybody who
            records it can send it to the server again**, and only the server can notice: send
            nothing that must not happen twice. Up to 131,072 bytes, for the first of the
            ``alpn_protocols``, if there are any. ``negotiated.early_data_accepted`` says whether
            the server has accepted all of it.
        resend_early_data: if the server has rejected the early data, send it as the first data
            after the handshake; unless the server has selected another application protocol.
        received: ciphertext that was read from ``transport_stream`` already, as after STARTTLS:
            everything that a reader of lines read beyond the command. It is read as TLS, so
            plaintext in it ends the connection.
        observer: called with each handshake message: ``"sent"`` or ``"received"``, its name, and
            its length in bytes. It must not wait.

    Raises:
        ConfigError: the role or the server name does not match the configuration, the server name
            is invalid, or the early data is not allowed; or there is an ``observer`` with an
            :class:`ssl.SSLContext`.

    Attributes:
        transport_stream: the stream below.

    Every method raises:

    - :exc:`trio.BrokenResourceError` if the connection failed: its message says why, and its
      ``__cause__`` is the :exc:`TLSError` (with an :class:`ssl.SSLContext` the stdlib's
      :exc:`ssl.SSLError`);
    - :exc:`trio.ClosedResourceError` after this side has closed it, and for a send while another
      task closes it;
    - :exc:`trio.BusyResourceError` if two tasks send, or receive, at the same time.
    """

    transport_stream: T_Stream

    def __init__(
        self,
        transport_stream: T_Stream,
        config: ClientConfig | ServerConfig | ssl.SSLContext,
        *,
        server_hostname: str | bytes | None = None,
        server_port: int | None = None,
        server_side: bool | None = None,
        https_compatible: bool = False,
        handshake_timeout: float = math.inf,
        early_data: bytes | bytearray | memoryview = b"",
        resend_early_data: bool = False,
        received: bytes | bytearray | memoryview = b"",
        observer: Observer | None = None,
    ) -> None:
        self._engine = engine_for(
            config,
            server_hostname,
            server_side,
            server_port,
            early_data,
            resend_early_data,
            observer,
        )
        if received:
            self._engine.receive_data(received)
        self.transport_stream = transport_stream
        self._driver = Driver(self._engine, transport_stream, handshake_timeout)
        self._https_compatible = https_compatible
        self._sending = ConflictDetector(
            "another task is currently sending data on this TLSStream"
        )
        self._closing: ConflictDetector | None = None
        self._send_cut = False  # part of the data of one send_all has left, or may have
        self._raised = RaisedErrors()

    def has_raised(self, error: BaseException) -> bool:
        """Return whether this stream raised this very :exc:`trio.BrokenResourceError`.

        Use it in a server to tell the end of one connection from an error of your own program.
        """
        return error in self._raised

    # The handshake

    async def do_handshake(self, *, until_replayable_early_data: bool = False) -> None:
        """Do the handshake, or wait for the task that does. Once it is complete, do nothing.

        If cancelled, another task that waits for the handshake continues it. If there is none and
        nothing was sent yet, the handshake can be started again. Otherwise the stream is broken,
        and the peer gets alerts as far as the transport takes them without waiting:
        ``user_canceled`` and ``close_notify`` (RFC 9846 6.1), or ``internal_error`` from a server
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
                await trio.lowlevel.checkpoint()
            else:
                await self._driver.do_handshake(until_early_data=until_replayable_early_data)

    # Receiving

    @trio.lowlevel.enable_ki_protection
    async def receive_replayable_early_data(self, max_bytes: int | None = None) -> bytes:
        """On a server, receive the data that the client sent with its first message (0-RTT).

        **It may be a replay of what somebody recorded** (RFC 9846 8, F.5). Until this method has
        returned ``b""``, nothing shows that the client is there: do nothing before that must not
        happen twice. ``docs/sessions.md`` says what is safe. :meth:`receive_some` never returns
        early data, only what comes after it.

        Early data is accepted only if this is the first method to be called, and if
        ``ServerConfig.max_early_data_size`` allows it. Otherwise it is rejected; this method then
        does the handshake and returns ``b""``. With an :class:`ssl.SSLContext` there is never any
        early data.

        If cancelled, no data is lost. The handshake is treated as in :meth:`do_handshake`.

        Args:
            max_bytes: the most to return; by default everything that has come.

        Returns:
            At least one byte; or ``b""`` once the handshake is complete. Then the client has shown
            that it is there and that the early data was its own.
        """
        max_bytes = checked_max_bytes(max_bytes)
        with self._raised, self._driver.receiving:
            self._driver.check_usable()
            return await self._driver.receive_early_data(max_bytes)

    @trio.lowlevel.enable_ki_protection
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive application data.

        If cancelled, no data is lost: the next call returns it.

        Args:
            max_bytes: the most to return; by default everything that has come.

        Returns:
            At least one byte, or ``b""`` after the peer's ``close_notify``.
        """
        if max_bytes is not None:
            max_bytes = checked_max_bytes(max_bytes)
        with self._driver.receiving:
            try:
                waited = False
                phase = self._driver.pump.data_phase
                if phase is not None:
                    await trio.lowlevel.checkpoint_if_cancelled()
                    data = phase.receive(max_bytes)
                    if data:
                        await trio.lowlevel.cancel_shielded_checkpoint()
                        return data
                    if data is not None:
                        phase = None
                else:
                    self._driver.check_usable()
                    if not self._driver.handshake_done:
                        await self._driver.do_handshake()
                        waited = True
                return await self._driver.receive(max_bytes, idle_phase=phase, waited=waited)
            except trio.BrokenResourceError as error:
                if not (self._https_compatible and self._driver.pump.at_eof):
                    self._raised.add(error)
                    raise
                await trio.lowlevel.checkpoint()
                return b""

    @trio.lowlevel.enable_ki_protection
    async def receive_some_or_replayable_early_data(
        self, max_bytes: int | None = None
    ) -> tuple[bytes, bool]:
        """On a server, receive the next data, early or not, and whether it is early data.

        This is :meth:`receive_replayable_early_data` until that returns ``b""``, and then
        :meth:`receive_some`. A request that begins as early data may end as ordinary data.

        If cancelled, no data is lost.

        Args:
            max_bytes: the most to return; by default everything that has come.

        Returns:
            The data, ``b""`` after the peer's ``close_notify``; and True if it is early data,
            which **may be a replay**.
        """
        if data := await self.receive_replayable_early_data(max_bytes):
            return data, True
        return await self.receive_some(max_bytes), False

    @trio.lowlevel.enable_ki_protection
    async def wait_session_ticket(self) -> Session:
        """Wait until the server has sent a session ticket; return the newest :attr:`session`.

        Other tasks may send and receive meanwhile. If no task receives, this method reads by
        itself; but another task has to receive application data that comes before the ticket. A
        server need not send any ticket, so set a timeout. If cancelled, nothing is lost.

        Raises:
            trio.EndOfChannel: the server sent ``close_notify`` before any ticket.
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

    @trio.lowlevel.enable_ki_protection
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send application data.

        If cancelled over a socket, no record is cut: what was sealed (:attr:`bytes_sealed`) leaves
        first with the next send, and the connection can still be used. Over any other stream
        nothing can be sent afterwards, and receiving goes on.

        Args:
            data: the data to send.
        """
        octets = data if type(data) is bytes else memoryview(data).cast("B")
        try:
            phase = self._driver.pump.data_phase
            if phase is None:
                self._driver.check_sendable()
            with self._sending:
                sealed, waited = 0, False
                if phase is not None:
                    await trio.lowlevel.checkpoint_if_cancelled()
                    sealed = phase.send(octets)
                    if sealed is None:
                        await trio.lowlevel.cancel_shielded_checkpoint()
                        return
                elif not self._driver.handshake_done:
                    await self._driver.do_handshake(before_data=True)
                    waited = True
                await self._send(memoryview(octets), sealed_already=sealed, waited=waited)
        except trio.BrokenResourceError as error:
            self._raised.add(error)
            raise

    async def _send(
        self, data: memoryview, *, sealed_already: int = 0, waited: bool = False
    ) -> None:
        if not waited:
            await trio.lowlevel.checkpoint_if_cancelled()
        sealed = self._engine.bytes_sealed - sealed_already
        send = self._driver.send if self._driver.handshake_done else self._driver.send_in_handshake
        try:
            await send(data[sealed_already:], waited=waited)
        except BaseException:
            self._send_cut = self._send_cut or self._engine.bytes_sealed > sealed
            raise

    @trio.lowlevel.enable_ki_protection
    async def answer_early_data(self, data: bytes | bytearray | memoryview) -> None:
        """On a server, send application data without waiting for the end of the handshake.

        This is what early data gains: :meth:`send_all` waits for the client's last message. Only
        the owner of the session can decrypt the answer. But **nothing shows yet that the client is
        there**: a replay of early data is answered too. If no early data was accepted, and once
        the handshake is complete, this is :meth:`send_all`.

        If cancelled, as :meth:`send_all`; where that breaks the connection for sending, the
        handshake cannot complete either.

        Args:
            data: the data to send.
        """
        octets = memoryview(data).cast("B")
        with self._raised:
            self._driver.check_sendable()
            with self._sending:
                if not self._engine.can_write:
                    await self._driver.do_handshake(until_early_data=True)
                await self._send(octets)

    @trio.lowlevel.enable_ki_protection
    async def update_keys(self, *, request_peer: bool = False) -> None:
        """Change to new keys for what this side sends (KeyUpdate, RFC 9846 4.7.3).

        Other tasks may send and receive meanwhile. If cancelled, as :meth:`send_all`; what is sent
        next is under the new keys in any case.

        Args:
            request_peer: ask the peer to change its keys too, unless it was asked and has not
                answered yet. The task that receives processes the answer.

        Raises:
            NotImplementedError: with an :class:`ssl.SSLContext`; the stdlib cannot.
        """
        with self._raised:
            await self._prepare_message()
            self._engine.update_keys(request_peer=request_peer)
            await self._driver.flush()

    @trio.lowlevel.enable_ki_protection
    async def send_session_tickets(self) -> None:
        """On a server, send the session tickets now, unless they were sent before.

        Otherwise they leave with the first data, with :meth:`send_eof`, or with :meth:`aclose` if
        the client has not closed yet. A server that sends no data can call this so that its
        clients resume. Call it only where the client reads: a client that sends, never reads and
        closes answers tickets with a reset, and loses what it has sent.

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
        await trio.lowlevel.checkpoint_if_cancelled()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until :meth:`send_all` might not have to wait. Cancelling it changes nothing."""
        with self._raised:
            self._driver.check_sendable()
            with self._sending:
                await self._driver.wait_output_might_not_block()
                self._driver.check_usable()

    @trio.lowlevel.enable_ki_protection
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
                await trio.lowlevel.checkpoint_if_cancelled()
                await self._send_close_notify()

    async def _send_close_notify(self, *, checkpoint: bool = True) -> None:
        if self._send_cut and self._driver.pump.send_failure is None:
            raise trio.BrokenResourceError(
                "close_notify would say that all data was sent, but a send was cut short"
            )
        await self._driver.send_close_notify(checkpoint=checkpoint)

    # The end

    @trio.lowlevel.enable_ki_protection
    async def unwrap(self) -> tuple[T_Stream, bytes]:
        """End TLS, but not the stream below: exchange ``close_notify`` with the peer.

        If cancelled over a socket, call it again. Over any other stream that helps only if our own
        ``close_notify`` has left already; otherwise nothing can be sent afterwards.

        Returns:
            The stream below, and what was received from it after the peer's ``close_notify``.

        Raises:
            trio.BrokenResourceError: also if the peer still sends application data; receive until
                ``b""`` first.
        """
        with self._raised:
            self._driver.check_not_closing()
            with self._driver.receiving, self._sending:
                self._driver.check_usable()
                if not self._driver.handshake_done:
                    await self._driver.do_handshake()
                await trio.lowlevel.checkpoint_if_cancelled()
                await self._send_close_notify()
                if await self._driver.receive():
                    error = trio.BrokenResourceError(
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
            await trio.lowlevel.checkpoint()
            return
        with self._raised:
            try:
                if self._closing is not None:
                    await self._closing.over()
                    return
                self._closing = ConflictDetector("another task is closing this TLSStream")
                with self._closing:
                    self._driver.note_closing()
                    await self._finish()
            except BaseException:
                self._driver.note_closed()
                await trio.aclose_forcefully(self.transport_stream)
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
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._may_send_close_notify():
            with self._sending, suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                # The peer may have closed at the same time. Closing the stream below lets other
                # tasks run, so this need not.
                await self._send_close_notify(checkpoint=False)
