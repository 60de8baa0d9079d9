"""Use this library for TLS in httpcore2: ``pip install trio-tlsx[httpcore2]``.

::

    backend = Backend(ClientConfig(alpn_protocols=["h2", "http/1.1"]))
    async with httpcore2.AsyncConnectionPool(http2=True, network_backend=backend) as pool:
        response = await pool.request("GET", "https://server.example/")
"""

from __future__ import annotations

from .extras import ExtraImports

with ExtraImports("httpcore2"):
    import httpcore2

from .network import ConfigChoice, NetworkBackend, NetworkErrors, NetworkStream

__all__ = ["Backend", "ConfigChoice"]


class _Stream(NetworkStream, httpcore2.AsyncNetworkStream):
    pass


class Backend(NetworkBackend, httpcore2.AsyncNetworkBackend):
    """A network backend for httpcore2 with TLS of this library, on trio and on asyncio.

    On asyncio it needs the extra ``anyio``.

    Sessions are kept by the server's name and port, also behind a proxy.

    Args:
        config: the configuration for all servers, or a function that returns the configuration for
            a server's name, for example if a proxy has another CA. ``alpn_protocols`` enables
            HTTP/2. Do not offer ``h2`` to a proxy: httpcore2 uses only HTTP/1.1 with proxies.
            If it is None, OpenSSL implements TLS, with the ``ssl_context`` of httpcore2.

    Raises:
        ConfigError: this is neither a configuration nor a function.
    """

    errors: NetworkErrors = NetworkErrors.of(httpcore2)
    stream_class: type[NetworkStream] = _Stream
