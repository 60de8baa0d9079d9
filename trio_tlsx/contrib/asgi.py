"""The ``tls`` extension of the ASGI scope, version 0.2; no extra needed."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypedDict

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ..config.server import ServerConfig
from ..crypto.cipher_suites import CIPHER_SUITES
from ..crypto.cipher_suites12 import CIPHER_SUITES_12
from ..driver.connection_info import ConnectionInfo
from ..messages.versions import PROTOCOL_NAMES
from ..pki.describe import socket_address
from ..pki.reloading import ReloadingCredentials

__all__ = [
    "ASGIApplication",
    "TLSApplication",
    "TLSExtension",
    "logged_failures",
    "server_certificate",
    "tls_extension",
]

#: The types of hypercorn and anycorn do not fit those of Starlette and other frameworks.
ASGIApplication: TypeAlias = "Callable[..., Awaitable[object]]"

_log = logging.getLogger("trio_tlsx")

VERSION_CODES = {name: code for code, name in PROTOCOL_NAMES.items()}

SUITE_CODES = {
    suite.name: suite.code for suite in (*CIPHER_SUITES.values(), *CIPHER_SUITES_12.values())
}


class TLSExtension(TypedDict):
    """The value of ``scope["extensions"]["tls"]``.

    Attributes:
        server_cert: the certificate of this server in PEM; None if it is not known.
        client_cert_chain: the certificates that the client sent, in PEM, its own first.
        client_cert_name: the subject of the client's own certificate (RFC 4514); None without one.
        client_cert_error: always None, since a rejected certificate ends the handshake.
        tls_version: the version, ``0x0304`` for TLS 1.3.
        cipher_suite: the number of the cipher suite; None if it is not known.
    """

    server_cert: str | None
    client_cert_chain: list[str]
    client_cert_name: str | None
    client_cert_error: str | None
    tls_version: int | None
    cipher_suite: int | None


def tls_extension(stream: ConnectionInfo, server_cert: str | None = None) -> TLSExtension:
    """Return the extension for a connection.

    Args:
        stream: a server's stream after its handshake, for trio or for anyio.
        server_cert: this server's certificate in PEM.

    Raises:
        trio.NeedHandshakeError: the handshake is not complete; with anyio :exc:`RuntimeError`.
    """
    negotiated = stream.negotiated
    identity = negotiated.peer_identity
    return {
        "server_cert": server_cert,
        "client_cert_chain": [_pem(certificate) for certificate in negotiated.peer_certificates],
        "client_cert_name": None if identity is None else identity.subject,
        "client_cert_error": None,
        "tls_version": VERSION_CODES.get(negotiated.version),
        "cipher_suite": SUITE_CODES.get(negotiated.cipher_suite),
    }


def server_certificate(config: ServerConfig | ssl.SSLContext) -> str | None:
    """Return the certificate of a server in PEM; None if it selects among several, or has none.

    With :class:`ReloadingCredentials` the result is the certificate that is in use now.
    """
    if not isinstance(config, ServerConfig):
        return None
    candidates = config.parameters.candidates
    if isinstance(config.select_credentials, ReloadingCredentials):
        candidates = (config.select_credentials.current,)
    elif config.select_credentials is not None:
        return None
    chain = candidates[0].chain if len(candidates) == 1 else ()
    return _pem(chain[0]) if chain else None


class TLSApplication:
    """An ASGI application whose scopes have the extension of one connection.

    Args:
        app: the application.
        extension: see :func:`tls_extension`.
        client: the client's address, if the server below does not know it.
    """

    def __init__(
        self,
        app: ASGIApplication,
        extension: TLSExtension,
        client: tuple[str, int] | None = None,
    ) -> None:
        self._app = app
        self._extension = extension
        self._client = client

    async def __call__(self, scope: Any, *channels: Any) -> None:
        """Call the application."""
        scope["extensions"] = {**(scope.get("extensions") or {}), "tls": {**self._extension}}
        if self._client is not None:
            scope["client"] = self._client
        await self._app(scope, *channels)


@contextmanager
def logged_failures(address: object) -> Generator[None, None, None]:
    """Log an exception of one connection's HTTP server, so that other connections continue.

    hypercorn and anycorn catch exceptions of an application, but not their own faults. A client
    can cause some of those, for example with data for an HTTP/2 stream that has ended.
    """
    try:
        yield
    except* Exception as failure:  # noqa: BLE001 - whatever it is, it concerns one connection
        _log.error("the HTTP connection with %s failed", socket_address(address), exc_info=failure)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
