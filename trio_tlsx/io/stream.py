"""The trio stream: TLS over any other stream, by driving an engine.

Theory of operation
===================

There are four layers. An engine (:mod:`trio_tlsx.engine.interface`) turns application data into
ciphertext and back, and never waits. A pump (:mod:`trio_tlsx.driver.ciphertext`) moves ciphertext
between the engine and the stream below. A driver (:mod:`trio_tlsx.driver.driver`) asks the engine
what it wants, and waits for that. The stream is what a program calls. It decides which task may do
what, and what holds after a cancellation. This module has the methods that send and receive;
:mod:`trio_tlsx.driver.stream_methods` and :mod:`trio_tlsx.driver.early_data_methods` have the
others. After the handshake over a socket, ordinary data bypasses driver and engine
(:mod:`trio_tlsx.io.data_phase`).

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
from typing import Generic, TypeVar

import trio

from ..arguments import checked_max_bytes
from ..config.client import ClientConfig
from ..config.server import ServerConfig
from ..driver.connection_info import ConnectionInfo
from ..driver.early_data_methods import EarlyDataMethods
from ..driver.library import INTERRUPTIBLE, UNINTERRUPTIBLE
from ..driver.ssl_compat import SSLNames
from ..engine.select import engine_for
from ..handshake.steps import Observer
from .endpoints import Addresses
from .library import TrioDriver
from .transport import transport_over

__all__ = ["TLSStream"]

T_Stream = TypeVar("T_Stream", bound=trio.abc.Stream)


class TLSStream(
    EarlyDataMethods[T_Stream],
    ConnectionInfo,
    Addresses,
    SSLNames,
    trio.abc.HalfCloseableStream,
    Generic[T_Stream],
):
    """TLS over another stream.

    The first method that needs the handshake does it. After the handshake one task may send while
    another receives.

    Args:
        transport_stream: the stream below; it belongs to this one from now on.
        config: the configuration, which also selects the role: a :class:`ClientConfig`, a
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
        engine = engine_for(
            config,
            server_hostname,
            server_side,
            server_port,
            early_data,
            resend_early_data,
            observer,
        )
        if received:
            engine.receive_data(received)
        driver = TrioDriver(engine, transport_over(transport_stream), handshake_timeout)
        super().__init__(engine, driver, transport_stream, https_compatible)

    # Receiving

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

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until :meth:`send_all` might not have to wait. Cancelling it changes nothing."""
        with self._raised:
            self._driver.check_sendable()
            with self._sending:
                await self._driver.wait_output_might_not_block(
                    self.transport_stream.wait_send_all_might_not_block
                )
                self._driver.check_usable()


# The methods that are marked in driver/; the others have a decorator above.
for _method in UNINTERRUPTIBLE:
    trio.lowlevel.enable_ki_protection(_method)
for _method in INTERRUPTIBLE:
    trio.lowlevel.disable_ki_protection(_method)
