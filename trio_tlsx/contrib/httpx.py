"""Use this library for TLS in httpx: ``pip install trio-tlsx[httpx]``.

::

    config = ClientConfig(alpn_protocols=["h2", "http/1.1"])
    async with httpx.AsyncClient(
        transport=http_transport(config, http2=True), mounts=mounts(config, http2=True)
    ) as client:
        response = await client.get("https://server.example/")
"""

from __future__ import annotations

from typing import Any

from .extras import ExtraImports

with ExtraImports("httpx"):
    import httpx

from .httpcore import Backend
from .network import ConfigChoice, make_mounts, make_transport

__all__ = ["http_transport", "mounts"]


def http_transport(config: ConfigChoice = None, **options: Any) -> httpx.AsyncHTTPTransport:
    """Return a transport for httpx that uses :class:`~trio_tlsx.contrib.httpcore.Backend`.

    Args:
        config: see the backend.
        options: the options of :class:`httpx.AsyncHTTPTransport`: ``http2``, ``proxy``,
            ``retries`` and others. A configuration replaces ``verify`` and ``cert``.

    Raises:
        ConfigError: an option contradicts the configuration, this is no configuration, or
            ``http2`` is true and the package ``h2`` is not installed.
    """
    return make_transport(httpx, Backend, config, options)


def mounts(
    config: ConfigChoice = None, **options: Any
) -> dict[str, httpx.AsyncHTTPTransport | None]:
    """Return transports for the proxies of the environment: ``HTTPS_PROXY``, ``NO_PROXY`` etc.

    A client that has a ``transport`` ignores these variables. Pass the result as its ``mounts``.

    Args:
        config: as for :func:`http_transport`.
        options: the same, except ``proxy``.

    Raises:
        ConfigError: as :func:`http_transport`.
    """
    return make_mounts(httpx, Backend, config, options)
