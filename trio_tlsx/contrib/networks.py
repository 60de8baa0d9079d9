"""The network of trio under an HTTP client, or that of anyio for a program on asyncio."""

from __future__ import annotations

import ssl
from typing import Any

import trio

from ..config.client import ClientConfig
from ..io.library import TRIO
from ..io.stream import TLSStream
from .http_network import HTTPNetwork

__all__ = ["current_network"]


class TrioNetwork(HTTPNetwork):
    """The network of trio."""

    library = TRIO

    async def open_tcp(self, host: str, port: int, local_address: str | None) -> Any:
        return await trio.open_tcp_stream(host, port, local_address=local_address)

    async def open_unix(self, path: str) -> Any:
        return await trio.open_unix_socket(path)

    def socket_of(self, stream: Any) -> Any:
        return stream.socket

    def is_readable(self, sock: Any) -> bool:
        return sock.is_readable()

    def tls(
        self,
        stream: Any,
        config: ClientConfig | ssl.SSLContext,
        server_hostname: str | None,
        port: int | None,
    ) -> Any:
        return TLSStream(
            stream,
            config,
            server_hostname=server_hostname,
            server_port=port,
            https_compatible=True,
        )

    def is_tls(self, stream: Any) -> bool:
        return isinstance(stream, TLSStream)

    async def receive(self, stream: Any, max_bytes: int) -> bytes:
        return bytes(await stream.receive_some(max_bytes))

    async def send(self, stream: Any, data: bytes) -> None:
        await stream.send_all(data)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


TRIO_NETWORK = TrioNetwork()


def current_network() -> HTTPNetwork:
    """Return the network of the async library that runs the caller's task."""
    if trio.lowlevel.in_trio_task():
        return TRIO_NETWORK
    from .anyio_network import ANYIO_NETWORK  # only a program on asyncio needs anyio

    return ANYIO_NETWORK
