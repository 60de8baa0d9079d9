"""The network under an HTTP client."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from typing import Any

from ..config.client import ClientConfig
from ..driver.library import AsyncLibrary

__all__ = ["HTTPNetwork"]


class HTTPNetwork(ABC):
    """Opens and uses the streams of one async library.

    Attributes:
        library: the exceptions and functions of that library.
    """

    library: AsyncLibrary

    @abstractmethod
    async def open_tcp(self, host: str, port: int, local_address: str | None) -> Any:
        """Return a stream over TCP."""

    @abstractmethod
    async def open_unix(self, path: str) -> Any:
        """Return a stream over a Unix socket."""

    @abstractmethod
    def socket_of(self, stream: Any) -> Any:
        """Return the socket of a stream that was opened here."""

    @abstractmethod
    def is_readable(self, sock: Any) -> bool:
        """Return whether data, or the end, has arrived."""

    @abstractmethod
    def tls(
        self,
        stream: Any,
        config: ClientConfig | ssl.SSLContext,
        server_hostname: str | None,
        port: int | None,
    ) -> Any:
        """Return TLS over a stream. HTTP messages carry their own length: any end is accepted."""

    @abstractmethod
    def is_tls(self, stream: Any) -> bool:
        """Return whether a stream is one of :meth:`tls`."""

    @abstractmethod
    async def receive(self, stream: Any, max_bytes: int) -> bytes:
        """Receive from a stream; ``b""`` at the end."""

    @abstractmethod
    async def send(self, stream: Any, data: bytes) -> None:
        """Send all of ``data``."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait."""
