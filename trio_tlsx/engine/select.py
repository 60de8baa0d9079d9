"""Select the engine for a configuration."""

from __future__ import annotations

import ssl
from typing import TypeGuard

from ..config.client import ClientConfig
from ..config.server import ServerConfig
from ..errors import ConfigError
from ..handshake.steps import Observer
from ..messages.codec import Buffer
from .connection import Connection
from .interface import Engine

__all__ = ["engine_for"]


def engine_for(
    config: ClientConfig | ServerConfig | ssl.SSLContext,
    server_hostname: str | bytes | None,
    server_side: bool | None,
    server_port: int | None = None,
    early_data: Buffer = b"",
    resend_early_data: bool = False,
    observer: Observer | None = None,
) -> Engine:
    """Return an engine for the configuration, in the role of a client or a server.

    Raises:
        ConfigError: the role, the server name, the early data or the observer does not match the
            configuration, or the server name is invalid.
        TypeError: ``config`` is not a configuration.
    """
    if isinstance(server_hostname, bytes):
        try:
            server_hostname = server_hostname.decode("ascii")
        except UnicodeDecodeError:
            raise ConfigError(f"{server_hostname!r} is no host name: it is not ASCII") from None
    if early_data and not isinstance(config, ClientConfig):
        raise ConfigError("early_data is for a client with a ClientConfig: others cannot send any")
    if _is_ssl_context(config):
        if observer is not None:
            raise ConfigError("observer is for a ClientConfig or ServerConfig: OpenSSL has none")
        from .openssl import OpenSSLConnection  # only a program with an SSLContext needs it

        return OpenSSLConnection(
            config, server_side=bool(server_side), server_hostname=server_hostname
        )
    if isinstance(config, ClientConfig):
        if server_side:
            raise ConfigError("a ClientConfig makes a client, and server_side says the opposite")
        if server_hostname is None:
            raise ConfigError(
                "a client needs server_hostname=, the name that the server's certificate must have"
            )
        return Connection.client(
            config,
            server_hostname,
            server_port=server_port,
            early_data=early_data,
            resend_early_data=resend_early_data,
            observer=observer,
        )
    if not isinstance(config, ServerConfig):
        raise TypeError(
            "config must be a ClientConfig, a ServerConfig or an ssl.SSLContext, "
            f"not {type(config).__name__}"
        )
    if server_side is False:
        raise ConfigError("a ServerConfig makes a server, and server_side says the opposite")
    if server_hostname is not None:
        raise ConfigError("server_hostname is for clients; a server learns it from them")
    return Connection.server(config, observer=observer)


def _is_ssl_context(config: object) -> TypeGuard[ssl.SSLContext]:
    """Return whether this is an ``ssl.SSLContext``, or an object with the methods of one.

    A package such as truststore replaces ``ssl.SSLContext`` in the running process. A context that
    was created before is not an instance of the new class, and the package's own context is not an
    instance of the old class.
    """
    if isinstance(config, ssl.SSLContext):
        return True
    # hasattr() on the type does not run properties of the instance, which may be slow or raise.
    kind = type(config)
    return callable(getattr(kind, "wrap_bio", None)) and hasattr(kind, "check_hostname")
