"""Use this library for TLS in httpx: ``pip install trio-tlsx[httpx]``.

::

    transport = http_transport(ClientConfig(alpn_protocols=["h2", "http/1.1"]), http2=True)
    async with httpx.AsyncClient(transport=transport) as client:
        response = await client.get("https://server.example/")
"""

from __future__ import annotations

from typing import Any

import httpx

from .httpcore import Backend, ConfigChoice

__all__ = ["http_transport"]


def http_transport(config: ConfigChoice = None, **options: Any) -> httpx.AsyncHTTPTransport:
    """Return a transport for httpx that uses :class:`~trio_tlsx.contrib.httpcore.Backend`.

    Args:
        config: see the backend.
        options: the options of :class:`httpx.AsyncHTTPTransport`: ``http2``, ``proxy``,
            ``retries`` and others.
    """
    transport = httpx.AsyncHTTPTransport(**options)
    # httpx has no argument for the backend; its pool, which is httpcore's, has one.
    pool: Any = transport._pool  # pyright: ignore[reportPrivateUsage]
    pool._network_backend = Backend(config)
    return transport
