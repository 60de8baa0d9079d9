"""The trio stream: TLS over any other stream, by driving an engine.

Theory of operation
===================

An engine (:mod:`trio_tlsx.engine.interface`) turns application data into ciphertext and back and
never waits. A driver (:mod:`trio_tlsx.io.driver`) asks it what to do next and waits for that, and
a pump (:mod:`trio_tlsx.io.ciphertext`) moves ciphertext between the engine and the stream below.
What is here is what a program may call: which task, when, and what holds when it is cancelled.

Who may do what is a matter of turns. One task at a time sends and one receives; a second one is
refused. Behind those, one task at a time moves ciphertext out, and one moves it in; who finds that
taken waits for the other task to finish and then asks the engine again. Mostly nobody does:
receiving never waits for sending, since two peers that both flushed before they read would
deadlock. What the engine queues while it reads leaves at once if the transport takes it without
waiting, and otherwise with the next send.

``close_notify`` says that everything that was given to ``send_all`` has been sent. So it is never
sent once a ``send_all`` was cut, nor by an ``aclose`` that is cancelled.

Ctrl-C comes where a cancellation may come, and nowhere else: between ``write`` and the note of how
much it took it would cost the connection its place in the stream. Only what a hook does can be
interrupted anywhere.
"""

from __future__ import annotations

import math
import operator
import ssl
from contextlib import suppress
from typing import Generic, TypeVar, cast

import trio

from ..config.client import ClientConfig
from ..config.server import ServerConfig
from ..engine.select import engine_for
from ..pki.negotiated import Negotiated
from ..sessions.client import Session
from .conflict import ConflictDetector
from .driver import Driver
from .endpoints import SocketAddress, local_address_of, remote_address_of
from .ssl_compat import SSLNames

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
        server_port: the port on which a client calls it, if it is worth telling apart: sessions
            are kept, and resumed, by name and port.
        server_side: the role, for an :class:`ssl.SSLContext`. The other two say it themselves.
        https_compatible: neither send ``close_notify`` on :meth:`aclose` nor miss it at the end.
            This is for protocols that say themselves where their messages end, as HTTP does: for
            any other, whoever is in the middle can cut the connection and it looks like its end.
        handshake_timeout: how long the handshake may take from its beginning, in seconds.
        early_data: what a client sends along with the first message of its handshake (0-RTT, RFC
            9846 2.3), if it has a session to resume whose server may take so much of it so. Give
            nothing that must not happen twice: **anyone who records it can send it to the server
            again**, and only the server can notice. Up to 131,072 bytes, of the first of the
            ``alpn_protocols``, if there are any. :attr:`negotiated` says whether the server has
            taken it (``early_data_accepted``), and then the server has all of it.
        resend_early_data: if it has not, send it as the first data behind the handshake; unless
            the server has chosen another application protocol, which ``negotiated`` says too.

    Raises:
        ConfigError: role and name do not fit the configuration, the name is none, or there can be
            no such early data.

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
        server_port: int | None = None,
        server_side: bool | None = None,
        https_compatible: bool = False,
        handshake_timeout: float = math.inf,
        early_data: bytes | bytearray | memoryview = b"",
        resend_early_data: bool = False,
    ) -> None:
        self._engine = engine_for(
            config, server_hostname, server_side, server_port, early_data, resend_early_data
        )
        self.transport_stream = transport_stream
        self._driver = Driver(self._engine, transport_stream, handshake_timeout)
        self._https_compatible = https_compatible
        self._sending = ConflictDetector(
            "another task is currently sending data on this TLSStream"
        )
        self._closing = ConflictDetector("another task is closing this TLSStream")
        self._send_cut = False  # part of what one send_all was given has left, or may have

    @property
    def server_side(self) -> bool:
        """Whether this side is the server."""
        return self._engine.server_side

    @property
    def negotiated(self) -> Negotiated:
        """What the handshake settled.

        Raises:
            trio.NeedHandshakeError: it is not over.
            CertificateError: over an ``ssl.SSLContext``, OpenSSL can read the peer's certificate,
                and ``cryptography`` cannot.
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

    @property
    def local_address(self) -> SocketAddress | None:
        """This side's address in the form of :meth:`socket.socket.getsockname`.

        None if the stream below is not over a socket, or the socket is closed.
        """
        return local_address_of(self.transport_stream)

    @property
    def remote_address(self) -> SocketAddress | None:
        """The peer's address in the form of :meth:`socket.socket.getpeername`.

        None if the stream below is not over a socket, the socket is closed, or the peer has reset
        the connection: read it early if you log it later.
        """
        return remote_address_of(self.transport_stream)

    # The handshake

    async def do_handshake(self, *, until_replayable_early_data: bool = False) -> None:
        """Do the handshake, or wait for the task that does; once done, do nothing.

        If cancelled, another task that waits for the handshake takes it over. Without one, a
        handshake from which nothing has been sent yet can be begun again; any other is given up,
        the peer is told so (``user_canceled`` and ``close_notify``, RFC 9846 6.1) as far as that
        needs no waiting, and the stream is broken.

        Args:
            until_replayable_early_data: on a server, accept early data, and go on only until there
                is some for :meth:`receive_replayable_early_data`.
        """
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
        """On a server, receive what the client sent along with its first message (0-RTT).

        **Anyone who recorded it can have sent it** (RFC 9846 8, F.5): until this has returned
        ``b""`` nobody has shown to be there. So do nothing meanwhile that must not happen twice;
        ``docs/sessions.md`` says what is safe. None of it ever comes from :meth:`receive_some`,
        which gives what comes behind it.

        Early data is accepted only if this is the first method to be called, and the
        configuration allows it (``ServerConfig.max_early_data_size``). All other is rejected, and
        then this does the handshake and returns ``b""``. With an :class:`ssl.SSLContext` there
        never is any.

        If cancelled, no data is lost; the handshake is as with :meth:`do_handshake`.

        Args:
            max_bytes: how much at most; by default what is there.

        Returns:
            At least one byte; or ``b""`` once the handshake is over: then the client is there,
            and what it sent early was its own.
        """
        max_bytes = _checked(max_bytes)
        with self._driver.receiving:
            self._driver.check_usable()
            return await self._driver.receive_early_data(max_bytes)

    @trio.lowlevel.enable_ki_protection
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive application data.

        If cancelled, nothing is lost: the next call gives it.

        Args:
            max_bytes: how much at most; by default what is there.

        Returns:
            At least one byte, or ``b""`` once the peer has said ``close_notify``.
        """
        max_bytes = _checked(max_bytes)
        with self._driver.receiving:
            try:
                self._driver.check_usable()
                if not self._driver.handshake_done:
                    await self._driver.do_handshake()
                return await self._driver.receive(max_bytes)
            except trio.BrokenResourceError:
                if not (self._https_compatible and self._driver.pump.at_eof):
                    raise
                await trio.lowlevel.checkpoint()
                return b""

    @trio.lowlevel.enable_ki_protection
    async def wait_session_ticket(self) -> Session:
        """Wait until the server has sent a session ticket; give the newest :attr:`session`.

        Other tasks may be sending and receiving meanwhile, and need not be: it reads by itself.
        Only application data that has come before any ticket has to be received by somebody. It
        waits for as long as the server sends no ticket, which it need not ever do. If cancelled,
        nothing is lost.

        Raises:
            trio.EndOfChannel: the server has said ``close_notify`` before any ticket.
            RuntimeError: no ticket would be kept: this is a server, or a client without
                ``resumption``, or with an :class:`ssl.SSLContext`.
        """
        self._driver.check_usable()
        if not self._engine.keeps_sessions:
            raise RuntimeError(
                "no session ticket is kept here: that needs resumption, on a client"
            )
        if not self._driver.handshake_done:
            await self._driver.do_handshake()
        return await self._driver.wait_session()

    def export_keying_material(self, label: str, length: int, context: bytes = b"") -> bytes:
        """Keying material that both sides can derive from this connection (RFC 9846 7.5).

        Args:
            label: what it is for, 1 to 249 ASCII characters; the registered ones begin with
                ``EXPORTER``, one's own with ``EXPERIMENTAL``.
            length: how much of it, in bytes.
            context: what else it shall depend on.

        Raises:
            trio.NeedHandshakeError: the handshake is not over.
            ValueError: there can be no such label, or not so much keying material.
            NotImplementedError: with an :class:`ssl.SSLContext`; the stdlib cannot.
        """
        if not self._engine.handshake_complete:
            raise trio.NeedHandshakeError("call do_handshake() before exporting anything")
        return self._engine.export_keying_material(label, length, context)

    def export_early_keying_material(self, label: str, length: int, context: bytes = b"") -> bytes:
        """Keying material that goes with early data, as soon as that was sent or accepted.

        Whoever replays the early data gets the same at the server: it says nothing about who is
        there now (RFC 9846 F.5.1). The arguments are those of :meth:`export_keying_material`.

        Raises:
            RuntimeError: no early data was sent, or it was not accepted.
            ValueError: there can be no such label, or not so much keying material.
            NotImplementedError: with an :class:`ssl.SSLContext`; the stdlib cannot.
        """
        return self._engine.export_early_keying_material(label, length, context)

    # Sending

    @trio.lowlevel.enable_ki_protection
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
            self._driver.check_sendable()
            if not self._driver.handshake_done:
                await self._driver.do_handshake()
            await self._send(octets)

    async def _send(self, data: memoryview) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        sealed = self._engine.bytes_sealed
        try:
            await self._driver.send(data)
        except BaseException:
            self._send_cut = self._send_cut or self._engine.bytes_sealed > sealed
            raise

    @trio.lowlevel.enable_ki_protection
    async def answer_early_data(self, data: bytes | bytearray | memoryview) -> None:
        """On a server, send application data without waiting for the end of the handshake.

        That is what early data gains: :meth:`send_all` waits for the client's last message, which
        is under way for as long as the client would have taken without. Only whom the session
        belongs to can read the answer. But **nobody has shown to be there yet**: whoever replays
        early data has it answered too. Where no early data was accepted, and once the handshake
        is over, it is :meth:`send_all`.

        If cancelled, it is as with that; where that breaks the connection for sending, the
        handshake cannot come to its end either.

        Args:
            data: what to send.
        """
        octets = memoryview(data).cast("B")
        with self._sending:
            self._driver.check_sendable()
            if not self._engine.can_write:
                await self._driver.do_handshake(until_early_data=True)
            await self._send(octets)

    @trio.lowlevel.enable_ki_protection
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
        self._driver.check_sendable()
        if not self._driver.handshake_done:
            await self._driver.do_handshake()
            self._driver.check_sendable()
        await trio.lowlevel.checkpoint_if_cancelled()
        self._engine.update_keys(request_peer=request_peer)
        await self._driver.flush()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until :meth:`send_all` might not have to wait. Cancelling it changes nothing."""
        with self._sending:
            self._driver.check_sendable()
            await self._driver.pump.wait_output_might_not_block()
            self._driver.check_usable()

    @trio.lowlevel.enable_ki_protection
    async def send_eof(self) -> None:
        """Say ``close_notify``: nothing more will be sent; receiving goes on.

        If cancelled over a socket, call it again; any other stream is broken for sending then.
        """
        with self._sending:
            self._driver.check_usable()
            if not self._driver.handshake_done:
                await self._driver.do_handshake()
            await trio.lowlevel.checkpoint_if_cancelled()
            await self._send_close_notify()

    async def _send_close_notify(self) -> None:
        if self._send_cut and self._driver.pump.send_failure is None:
            raise trio.BrokenResourceError(
                "close_notify would say that all data was sent, but a send was cut short"
            )
        await self._driver.send_close_notify()

    # The end

    @trio.lowlevel.enable_ki_protection
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
        with self._driver.receiving, self._sending:
            self._driver.check_usable()
            if not self._driver.handshake_done:
                await self._driver.do_handshake()
            await trio.lowlevel.checkpoint_if_cancelled()
            await self._send_close_notify()
            if await self._driver.receive():
                error = trio.BrokenResourceError(
                    "the peer sent application data that nobody has received: "
                    "receive it before unwrap()"
                )
                self._driver.note_failure(error)
                raise error
            self._driver.note_closed()
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
        if self._driver.closed:
            await trio.lowlevel.checkpoint()
            return
        try:
            if self._closing.taken:
                await self._closing.over()
                return
            with self._closing:
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
                # Two peers may well close at the same time.
                await self._send_close_notify()


def _checked(max_bytes: int | None) -> int | None:
    if max_bytes is None:
        return None
    max_bytes = operator.index(max_bytes)
    if max_bytes < 1:
        raise ValueError("max_bytes must be at least 1")
    return max_bytes
