"""TLS in programs over anyio, and through it over asyncio.

:class:`TLSStream` is an :class:`anyio.abc.ByteStream` over any other one. It raises anyio's
exceptions and has anyio's typed attributes. It runs the same engine and the same driver as the
stream for trio. No function of trio is called, and trio is not imported, unless the program itself
runs anyio over trio.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

from .extras import ExtraImports

with ExtraImports("anyio"):
    import anyio
    import anyio.abc
    import anyio.lowlevel
    from anyio.abc import SocketAttribute
    from anyio.streams.tls import TLSAttribute

from ..arguments import checked_max_bytes
from ..config.client import ClientConfig
from ..config.server import ServerConfig
from ..driver.connection_info import ConnectionInfo
from ..driver.containment import HANDSHAKE_TIMEOUT, handle_connection
from ..driver.early_data_methods import EarlyDataMethods
from ..driver.ssl_compat import SSLNames
from ..driver.stapling import StapleFetcher
from ..driver.transport import RECEIVE_BYTES
from ..engine.select import engine_for
from ..handshake.steps import Observer
from ..pki.describe import socket_address
from ..pki.negotiated import Negotiated
from .anyio_driver import ANYIO, AnyioDriver, ByteStreamTransport

__all__ = ["ConnectionAttribute", "RefreshingStaple", "TLSListener", "TLSStream", "connect_tls"]

T_Stream = TypeVar("T_Stream", bound=anyio.abc.ByteStream)

#: The time that anyio waits between two addresses of a host, in seconds (RFC 8305 5).
HAPPY_EYEBALLS_DELAY = 0.25

#: To a type checker its attributes have the types of their values; at run time they are keys.
_TLS: Any = TLSAttribute

#: The attributes of the TLS connection itself. Those of a transport that is TLS too are hidden.
_OF_TLS: frozenset[Any] = frozenset(getattr(_TLS, name) for name in _TLS.__annotations__)


class ConnectionAttribute(anyio.TypedAttributeSet):
    """The typed attribute that our streams have beside :class:`anyio.streams.tls.TLSAttribute`."""

    #: The result of the handshake.
    negotiated: Negotiated = anyio.typed_attribute()


class TLSStream(
    EarlyDataMethods[T_Stream],
    ConnectionInfo,
    SSLNames,
    anyio.abc.ByteStream,
    Generic[T_Stream],
):
    """TLS over another byte stream of anyio.

    The first method that needs the handshake does it. After the handshake one task may send while
    another receives.

    Args:
        transport_stream: the stream below; it belongs to this one from now on.
        config: as for :class:`trio_tlsx.TLSStream`.
        server_hostname: as for :class:`trio_tlsx.TLSStream`.
        server_port: as for :class:`trio_tlsx.TLSStream`.
        server_side: as for :class:`trio_tlsx.TLSStream`.
        standard_compatible: send ``close_notify`` on :meth:`aclose`, and require the peer's. Pass
            False only if the protocol marks the end of each message, as HTTP does. Otherwise an
            attacker on the path can truncate the data unnoticed.
        handshake_timeout: as for :class:`trio_tlsx.TLSStream`, in seconds.
        early_data: as for :class:`trio_tlsx.TLSStream`; anybody who records it can send it again.
        resend_early_data: as for :class:`trio_tlsx.TLSStream`.
        received: as for :class:`trio_tlsx.TLSStream`.
        observer: as for :class:`trio_tlsx.TLSStream`.

    Raises:
        ConfigError: the role or the server name does not match the configuration, the server name
            is invalid, or the early data is not allowed; or there is an ``observer`` with an
            :class:`ssl.SSLContext`.

    Attributes:
        transport_stream: the stream below.
        standard_compatible: as the argument.

    Every method raises:

    - :exc:`anyio.BrokenResourceError` if the connection failed: its message has the reason, and
      its ``__cause__`` is the :exc:`TLSError` (with an :class:`ssl.SSLContext` the stdlib's
      :exc:`ssl.SSLError`), or a :exc:`TimeoutError` after ``handshake_timeout``;
    - :exc:`anyio.ClosedResourceError` after this side has closed it, and for a send while another
      task closes it;
    - :exc:`anyio.BusyResourceError` if two tasks send, or receive, at the same time.

    A byte stream of anyio cannot send without waiting. So if a handshake is cancelled,
    :meth:`aclose` sends the alerts. If a send is cancelled, nothing can be sent afterwards.
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
        standard_compatible: bool = True,
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
        driver = AnyioDriver(engine, ByteStreamTransport(transport_stream), handshake_timeout)
        super().__init__(engine, driver, transport_stream, not standard_compatible)
        self.standard_compatible = standard_compatible

    async def receive(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """Receive application data. If cancelled, no data is lost: the next call returns it.

        Args:
            max_bytes: the most to return.

        Returns:
            At least one byte.

        Raises:
            anyio.EndOfStream: the peer has sent ``close_notify``.
        """
        limit = checked_max_bytes(max_bytes)
        driver = self._driver
        with driver.receiving:
            try:
                driver.check_usable()
                waited = not driver.handshake_done
                if waited:
                    await driver.do_handshake()
                data = await driver.receive(limit, waited=waited)
            except anyio.BrokenResourceError as error:
                if self.standard_compatible or not driver.pump.at_eof:
                    self._raised.add(error)
                    raise
                await anyio.lowlevel.checkpoint()
                data = b""
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes | bytearray | memoryview) -> None:
        """Send application data. If cancelled, nothing can be sent afterwards.

        Args:
            item: the data to send.
        """
        octets = memoryview(item).cast("B")
        with self._raised:
            self._driver.check_sendable()
            with self._sending:
                waited = not self._driver.handshake_done
                if waited:
                    await self._driver.do_handshake(before_data=True)
                await self._send(octets, waited=waited)

    async def abandon(self) -> None:
        """Close at once: send only the alerts that explain the end, within one second.

        The method is shielded from cancellation.
        """
        with anyio.CancelScope(shield=True):
            await self._driver.pump.flush_alert()
        self._driver.note_closed()
        await anyio.aclose_forcefully(self.transport_stream)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The attributes of the stream below, those of TLS, and :class:`ConnectionAttribute`.

        Before the handshake is complete, only ``server_side`` and ``standard_compatible`` of
        :class:`anyio.streams.tls.TLSAttribute` are available. ``ssl_object`` and
        ``channel_binding_tls_unique`` need OpenSSL: they are available only with an
        :class:`ssl.SSLContext`. Any other attribute raises
        :exc:`anyio.TypedAttributeLookupError`.
        """
        below: Mapping[Any, Callable[[], Any]] = cast(
            "Any", self.transport_stream
        ).extra_attributes
        return {
            **{attribute: value for attribute, value in below.items() if attribute not in _OF_TLS},
            _TLS.server_side: lambda: self._engine.server_side,
            _TLS.standard_compatible: lambda: self.standard_compatible,
            **(self._results() if self._engine.handshake_complete else {}),
        }

    def _results(self) -> Mapping[Any, Callable[[], Any]]:
        names = self._engine.ssl_object
        results: dict[Any, Callable[[], Any]] = {
            cast("Any", ConnectionAttribute.negotiated): lambda: self.negotiated,
            _TLS.alpn_protocol: self.selected_alpn_protocol,
            _TLS.cipher: self.cipher,
            _TLS.peer_certificate: self.getpeercert,
            _TLS.peer_certificate_binary: lambda: self.getpeercert(True),
            _TLS.shared_ciphers: self.shared_ciphers,
            _TLS.tls_version: self.version,
        }
        if isinstance(names, ssl.SSLObject):
            results[_TLS.ssl_object] = lambda: names
            results[_TLS.channel_binding_tls_unique] = names.get_channel_binding
        return results


async def connect_tls(
    remote_host: str,
    remote_port: int,
    *,
    config: ClientConfig | ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    local_host: str | None = None,
    standard_compatible: bool = True,
    handshake_timeout: float = math.inf,
    happy_eyeballs_delay: float = HAPPY_EYEBALLS_DELAY,
    early_data: bytes | bytearray | memoryview = b"",
    resend_early_data: bool = False,
) -> TLSStream[anyio.abc.SocketStream]:
    """Connect to a server over TCP, and do the handshake, as :func:`anyio.connect_tcp` does.

    If cancelled, no connection is left open, and the server gets ``user_canceled`` and
    ``close_notify`` (RFC 9846 6.1).

    Args:
        remote_host: a DNS name or an IP address to connect to.
        remote_port: its TCP port.
        config: the configuration; by default ``ClientConfig()``.
        server_hostname: the name that the server's certificate must be for; by default
            ``remote_host``.
        local_host: the IP address to connect from, as for :func:`anyio.connect_tcp`.
        standard_compatible: as for :class:`TLSStream`.
        handshake_timeout: as for :class:`TLSStream`, in seconds; connecting does not count.
        happy_eyeballs_delay: as for :func:`anyio.connect_tcp`, in seconds.
        early_data: as for :class:`TLSStream`; anybody who records it can send it again.
        resend_early_data: as for :class:`TLSStream`.

    Raises:
        OSError: the connection could not be made.
        anyio.BrokenResourceError: the handshake failed; the message and ``__cause__`` say why.
        ConfigError: no certificate can be for the server's name, or the early data is not allowed.
    """
    config = config or ClientConfig()
    server_hostname = server_hostname or remote_host
    # Check the arguments before connecting.
    engine_for(config, server_hostname, False, remote_port, early_data)
    tcp_stream = await anyio.connect_tcp(
        remote_host,
        remote_port,
        local_host=local_host,
        happy_eyeballs_delay=happy_eyeballs_delay,
    )
    stream = TLSStream(
        tcp_stream,
        config,
        server_hostname=server_hostname,
        server_port=remote_port,
        standard_compatible=standard_compatible,
        handshake_timeout=handshake_timeout,
        early_data=early_data,
        resend_early_data=resend_early_data,
    )
    try:
        await stream.do_handshake()
    except BaseException:
        await stream.abandon()
        raise
    return stream


class TLSListener(anyio.abc.Listener[TLSStream[anyio.abc.ByteStream]]):
    """Accepts connections of another listener as :class:`TLSStream`.

    Args:
        listener: the listener below, such as :func:`anyio.create_tcp_listener` returns; it belongs
            to this one from now on.
        config: the configuration of every connection.
        standard_compatible: as for :class:`TLSStream`.
        handshake_timeout: as for :class:`TLSStream`, in seconds; None for no limit.
        replayable_early_data: accept early data, and call the handler as soon as there is some,
            before the handshake is complete. The handler must then call
            :meth:`TLSStream.receive_replayable_early_data` until that returns ``b""``.

    Raises:
        ConfigError: this configuration is not for servers.
        TypeError: this is no configuration.

    Attributes:
        listener: the listener below.
        config: the configuration of every connection.
    """

    def __init__(
        self,
        listener: anyio.abc.Listener[Any],
        config: ServerConfig | ssl.SSLContext,
        *,
        standard_compatible: bool = True,
        handshake_timeout: float | None = HANDSHAKE_TIMEOUT,
        replayable_early_data: bool = False,
    ) -> None:
        engine_for(config, None, True)  # raise here, not for the first client
        self.listener = listener
        self.config = config
        self._standard_compatible = standard_compatible
        self._handshake_timeout = math.inf if handshake_timeout is None else handshake_timeout
        self._replayable_early_data = replayable_early_data

    async def serve(
        self,
        handler: Callable[[TLSStream[anyio.abc.ByteStream]], Any],
        task_group: anyio.abc.TaskGroup | None = None,
    ) -> None:
        """Accept connections until cancelled; call ``handler(stream)`` in a task for each.

        Each handshake is done in its connection's own task, before ``handler`` is called. No
        client can end the server: a handshake that fails, and a connection that breaks in the
        handler (an :exc:`anyio.BrokenResourceError` that this very stream raised), is logged in
        one line by the logger ``trio_tlsx``, and the connection is closed. All other errors of
        ``handler`` go to the task group.

        Args:
            handler: called with each connection; it closes the connection.
            task_group: the task group for the handlers; by default one of this method.
        """

        async def handle(stream: TLSStream[anyio.abc.ByteStream]) -> None:
            try:
                await handler(stream)
            except BaseException:
                await stream.abandon()
                raise

        async def accept(transport_stream: anyio.abc.ByteStream) -> None:
            peer = _peer_of(transport_stream)
            stream = TLSStream(
                transport_stream,
                self.config,
                server_side=True,
                standard_compatible=self._standard_compatible,
                handshake_timeout=self._handshake_timeout,
            )
            try:
                await handle_connection(
                    stream,
                    handle,
                    lambda: peer,
                    ANYIO,
                    replayable_early_data=self._replayable_early_data,
                )
            except BaseException:
                await stream.abandon()
                raise

        await self.listener.serve(accept, task_group)

    async def aclose(self) -> None:
        """Close the listener below; the connections that it accepted stay open."""
        await self.listener.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The attributes of the listener below, and ``TLSAttribute.standard_compatible``."""
        below: Mapping[Any, Callable[[], Any]] = cast("Any", self.listener).extra_attributes
        return {
            **below,
            _TLS.standard_compatible: lambda: self._standard_compatible,
        }


def _peer_of(stream: anyio.abc.ByteStream) -> str:
    """Return the peer of a connection, for the log."""
    address = stream.extra(SocketAttribute.remote_address, None)
    return f"a {type(stream).__name__}" if address is None else socket_address(address)


class RefreshingStaple(StapleFetcher):
    """As :class:`trio_tlsx.RefreshingStaple`, in a program over anyio."""

    library = ANYIO
