"""A listener behind a proxy that sends the client's address by the PROXY protocol."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Iterable
from typing import Any, TypeAlias

import trio

from ..errors import ConfigError
from ..pki.describe import socket_address
from .proxy_header import (
    MAX_HEADER_LENGTH,
    ProxyHeader,
    ProxyHeaderError,
    decode_header,
    header_length,
)

__all__ = ["ProxiedStream", "ProxyProtocolListener"]

_log = logging.getLogger("trio_tlsx")

#: The member of ``trusted`` for connections over Unix sockets, which have no address.
UNIX = "unix:"

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"


class ProxiedStream(trio.abc.HalfCloseableStream):
    """A connection that begins with a header of the PROXY protocol, then has the client's data.

    The first method that receives reads the header, so that a slow peer delays no other
    connection. A :class:`TLSStream` over this stream reads it in the handshake, within
    ``handshake_timeout``. A faulty header raises :exc:`trio.BrokenResourceError`.

    Attributes:
        transport_stream: the TCP connection from the proxy.
    """

    def __init__(self, transport_stream: trio.SocketStream) -> None:
        self.transport_stream = transport_stream
        self._start = bytearray()
        self._header: ProxyHeader | None = None

    @property
    def proxy_header(self) -> ProxyHeader | None:
        """The header; None until it was read."""
        return self._header

    @property
    def client_address(self) -> tuple[str, int] | None:
        """The client's address by the header; None until it was read, or if it has none."""
        return None if self._header is None else self._header.source

    async def read_header(self) -> ProxyHeader:
        """Read the header if that was not done. If cancelled, call it again: nothing is lost.

        Raises:
            trio.BrokenResourceError: the header has a fault, or the connection broke or ended.
        """
        while self._header is None:
            try:
                await self._read_more()
            except ProxyHeaderError as error:
                raise trio.BrokenResourceError(
                    f"the PROXY protocol header has a fault: {error}"
                ) from error
            except OSError as error:
                raise trio.BrokenResourceError(
                    f"the connection broke: {error.strerror or error}"
                ) from error
        return self._header

    async def _read_more(self) -> None:
        # Peek first: the data after the header must stay in the socket.
        sock = self.transport_stream.socket
        seen = await sock.recv(MAX_HEADER_LENGTH, socket.MSG_PEEK)
        if not seen:
            raise ProxyHeaderError("the connection ended within it")
        length = header_length(bytes(self._start) + seen)
        count = len(seen) if length is None else length - len(self._start)
        self._start += await sock.recv(min(count, len(seen)))
        if length == len(self._start):
            self._header = decode_header(bytes(self._start))

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive what follows the header. If cancelled, no data is lost."""
        if self._header is None:
            await self.read_header()
        return await self.transport_stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send to the client, as :meth:`trio.SocketStream.send_all`."""
        await self.transport_stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until :meth:`send_all` might not have to wait. Cancelling it changes nothing."""
        await self.transport_stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """End the sending direction, as :meth:`trio.SocketStream.send_eof`."""
        await self.transport_stream.send_eof()

    async def aclose(self) -> None:
        """Close the connection, also if cancelled."""
        await self.transport_stream.aclose()


class ProxyProtocolListener(trio.abc.Listener[ProxiedStream]):
    """Accepts connections of a proxy that sends the client's address first.

    It goes between a TCP listener and a :class:`TLSListener`. Anyone can write such a header, so
    each connection from an address that is not trusted is closed before anything of it is read,
    and logged in one line by the logger ``trio_tlsx``.

    Args:
        transport_listener: the TCP listener; it belongs to this one from now on.
        trusted: the networks of the proxies, such as ``["10.1.0.0/16", "2001:db8::7"]``, and
            ``"unix:"`` for connections over Unix sockets.

    Raises:
        ConfigError: ``trusted`` is empty, or has something that is no network.

    Attributes:
        transport_listener: the listener below.
    """

    def __init__(
        self,
        transport_listener: trio.abc.Listener[trio.SocketStream],
        *,
        trusted: Iterable[str | Network],
    ) -> None:
        self.transport_listener = transport_listener
        names = (trusted,) if isinstance(trusted, str) else tuple(trusted)
        self._trusts_unix = UNIX in names
        self._networks = tuple(_network(name) for name in names if name != UNIX)
        if not names:
            raise ConfigError("trusted is empty; pass the networks of the proxies")

    async def accept(self) -> ProxiedStream:
        """Accept the next connection of a trusted proxy. If cancelled, no connection is lost.

        Raises:
            OSError: what the listener below raises, as when there are no file descriptors left.
        """
        while True:
            stream = await self.transport_listener.accept()
            try:
                peer = stream.socket.getpeername()
            except OSError:  # reset in the queue
                peer = None
            if self._trusts(stream, peer):
                return ProxiedStream(stream)
            stream.socket.close()
            _log.warning(
                "the connection from %s is closed: it is not a trusted proxy",
                socket_address(peer),
            )

    def _trusts(self, stream: trio.SocketStream, peer: tuple[Any, ...] | None) -> bool:
        if stream.socket.family not in (socket.AF_INET, socket.AF_INET6):
            return self._trusts_unix
        if peer is None:
            return False
        address = ipaddress.ip_address(peer[0].partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)  # IPv4 on a socket of IPv6
        return any((mapped or address) in network for network in self._networks)

    async def aclose(self) -> None:
        """Close the listener below; the connections that it accepted stay open."""
        await self.transport_listener.aclose()


def _network(name: str | Network) -> Network:
    try:
        return ipaddress.ip_network(name)
    except ValueError as error:
        raise ConfigError(f"trusted has {name!r}, which is no network: {error}") from None
