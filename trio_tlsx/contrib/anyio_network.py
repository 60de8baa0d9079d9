"""The network of anyio under an HTTP client, for a program on asyncio."""

from __future__ import annotations

import selectors
import ssl
from typing import Any

from .extras import ExtraImports

with ExtraImports("anyio"):
    import anyio
    import anyio.abc
    from anyio.abc import SocketAttribute

from ..config.client import ClientConfig
from .anyio import TLSStream
from .anyio_driver import ANYIO
from .http_network import HTTPNetwork

__all__ = ["ANYIO_NETWORK"]


class AnyioNetwork(HTTPNetwork):
    """The network of anyio."""

    library = ANYIO

    async def open_tcp(self, host: str, port: int, local_address: str | None) -> Any:
        return await anyio.connect_tcp(host, port, local_host=local_address)

    async def open_unix(self, path: str) -> Any:
        return await anyio.connect_unix(path)

    def socket_of(self, stream: Any) -> Any:
        return stream.extra(SocketAttribute.raw_socket)

    def is_readable(self, sock: Any) -> bool:
        descriptor = sock.fileno()
        if descriptor == -1:
            return True
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            return bool(selector.select(0))

    def tls(
        self,
        stream: Any,
        config: ClientConfig | ssl.SSLContext,
        server_hostname: str | None,
        port: int | None,
    ) -> Any:
        return TLSStream[anyio.abc.ByteStream](
            stream,
            config,
            server_hostname=server_hostname,
            server_port=port,
            standard_compatible=False,
        )

    def is_tls(self, stream: Any) -> bool:
        return isinstance(stream, TLSStream)

    async def receive(self, stream: Any, max_bytes: int) -> bytes:
        try:
            return await stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""

    async def send(self, stream: Any, data: bytes) -> None:
        await stream.send(data)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


ANYIO_NETWORK = AnyioNetwork()
