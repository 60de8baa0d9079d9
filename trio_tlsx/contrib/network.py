"""The code that the adapters for httpcore, httpcore2, httpx and httpx2 share."""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TypeAlias

from ..config.client import ClientConfig
from ..errors import ConfigError
from ..pki.describe import in_seconds
from .http_network import HTTPNetwork
from .networks import current_network

__all__ = [
    "ConfigChoice",
    "NetworkBackend",
    "NetworkErrors",
    "NetworkStream",
    "make_mounts",
    "make_transport",
]

#: One configuration for all servers, one for each name, or the client's own ``ssl_context``.
ConfigChoice: TypeAlias = "ClientConfig | Callable[[str], ClientConfig] | None"

SocketOption: TypeAlias = (
    "tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]"
)

MAX_PORT_DIGITS = 5

#: How the request for a tunnel begins in SOCKS 5 (RFC 1928 4); the port is at its end.
SOCKS_CONNECT = b"\x05\x01\x00"


@dataclass(frozen=True)
class NetworkErrors:
    """The exceptions that a package expects from its backend."""

    connect: type[Exception]
    connect_timeout: type[Exception]
    read: type[Exception]
    read_timeout: type[Exception]
    write: type[Exception]
    write_timeout: type[Exception]

    @classmethod
    def of(cls, package: Any) -> NetworkErrors:
        """Return those of ``httpcore`` or ``httpcore2``."""
        return cls(
            package.ConnectError,
            package.ConnectTimeout,
            package.ReadError,
            package.ReadTimeout,
            package.WriteError,
            package.WriteTimeout,
        )


class NetworkBackend:
    """The base of the backends; a subclass adds the classes of its package.

    Attributes:
        errors: the package's exceptions.
        stream_class: the class of the connections.
    """

    errors: NetworkErrors
    stream_class: type[NetworkStream]

    def __init__(self, config: ConfigChoice = None) -> None:
        check_options(config, {})
        self._config = config

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> Any:
        """Connect over TCP.

        Raises:
            ConnectTimeout: the package's own; connecting took longer than ``timeout`` seconds.
            ConnectError: the package's own; connecting failed.
        """
        network = current_network()
        with _within(network, timeout, self.errors.connect_timeout, self.errors.connect):
            stream = await network.open_tcp(host, port, local_address)
        return self._over(network, stream, port, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> Any:
        """Connect to a Unix socket. See :meth:`connect_tcp`."""
        network = current_network()
        with _within(network, timeout, self.errors.connect_timeout, self.errors.connect):
            stream = await network.open_unix(path)
        return self._over(network, stream, None, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait before the next attempt to connect."""
        await current_network().sleep(seconds)

    def _over(
        self,
        network: HTTPNetwork,
        stream: Any,
        port: int | None,
        socket_options: Iterable[SocketOption] | None,
    ) -> NetworkStream:
        sock = network.socket_of(stream)
        set_option: Callable[..., None] = sock.setsockopt
        for option in socket_options or ():
            set_option(*option)
        return self.stream_class(network, stream, sock, port, self._config, self.errors)


class NetworkStream:
    """A connection with any number of TLS layers.

    Args:
        network: the network of ``stream``.
        stream: the uppermost layer.
        socket: the socket below all layers.
        port: the port of the server that ``stream`` leads to.
        config: as for the backend.
        errors: the package's exceptions.
    """

    def __init__(
        self,
        network: HTTPNetwork,
        stream: Any,
        socket: Any,
        port: int | None,
        config: ConfigChoice,
        errors: NetworkErrors,
    ) -> None:
        self._network = network
        self._stream = stream
        self._socket = socket
        self._port = port
        self._config = config
        self._errors = errors

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Receive data, or ``b""`` at the end."""
        with _within(self._network, timeout, self._errors.read_timeout, self._errors.read):
            return await self._network.receive(self._stream, max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send data."""
        if not buffer:
            return
        with _within(self._network, timeout, self._errors.write_timeout, self._errors.write):
            await self._network.send(self._stream, buffer)
        # The request for a tunnel is the only sign of the server's port behind a proxy.
        if buffer.startswith(b"CONNECT "):
            self._port = _port_of_target(buffer.split(b" ", 2)[1])
        elif buffer.startswith(SOCKS_CONNECT) and len(buffer) > len(SOCKS_CONNECT):
            self._port = int.from_bytes(buffer[-2:])

    async def aclose(self) -> None:
        """Close all layers."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Return the connection with one more layer of TLS."""
        config = self._config(server_hostname or "") if callable(self._config) else self._config
        try:
            stream = self._network.tls(
                self._stream, config or ssl_context, server_hostname, self._port
            )
        except ValueError as error:  # an invalid server name
            await self.aclose()
            raise self._errors.connect(str(error)) from error
        try:
            with _within(
                self._network, timeout, self._errors.connect_timeout, self._errors.connect
            ):
                await stream.do_handshake()
        except Exception:
            await stream.aclose()
            raise
        return type(self)(
            self._network, stream, self._socket, self._port, self._config, self._errors
        )

    def get_extra_info(self, info: str) -> Any:
        """Return a property of the connection by httpcore's name; None for an unknown name."""
        match info:
            case "ssl_object":  # a TLSStream has the methods of an ssl.SSLObject
                return self._stream if self._network.is_tls(self._stream) else None
            case "client_addr":
                return self._socket.getsockname()
            case "server_addr":
                return self._socket.getpeername()
            case "socket":
                return self._socket
            case "is_readable":
                return self._network.is_readable(self._socket)
            case _:
                return None


def _port_of_target(target: bytes) -> int | None:
    """Return the port of ``host:port``."""
    _, _, port = target.rpartition(b":")
    return int(port) if port.isdigit() and len(port) <= MAX_PORT_DIGITS else None


@contextmanager
def _within(
    network: HTTPNetwork, timeout: float | None, too_slow: type[Exception], broken: type[Exception]
) -> Generator[None, None, None]:
    """Apply a timeout in seconds, and convert errors to those of the package."""
    library = network.library
    try:
        with library.fail_after(math.inf if timeout is None else timeout):
            yield
    except library.TooSlowError as error:
        raise too_slow(f"the operation took longer than {in_seconds(timeout or 0)}") from error
    except (library.BrokenResourceError, library.ClosedResourceError, OSError) as error:
        raise broken(str(error)) from error


def make_transport(
    package: Any, backend: type[NetworkBackend], config: ConfigChoice, options: dict[str, Any]
) -> Any:
    """Return a transport of a package with the interface of httpx.

    Args:
        package: the module.
        backend: the backend for its network.
        config: see the backend.
        options: the options of the package's ``AsyncHTTPTransport``.

    Raises:
        ConfigError: an option contradicts the configuration, this is no configuration, or
            ``http2`` is true and the package ``h2`` is not installed.
    """
    check_options(config, {"http2": False, **options})
    if options.get("http2") and find_spec("h2") is None:
        raise ConfigError(
            "http2=True needs the package h2, which is not installed: "
            f"run pip install '{package.__name__}[http2]'"
        )
    transport = package.AsyncHTTPTransport(**options)
    # The package has no argument for the backend; its pool has one.
    transport._pool._network_backend = backend(config)
    return transport


def make_mounts(
    package: Any, backend: type[NetworkBackend], config: ConfigChoice, options: dict[str, Any]
) -> dict[str, Any]:
    """Return a transport for each proxy of the environment; see :func:`make_transport`."""
    # The client's own rules for NO_PROXY; they have no public name.
    proxies: dict[str, str | None] = package._utils.get_environment_proxies()
    return {
        pattern: None
        if url is None
        else make_transport(package, backend, config, {**options, "proxy": url})
        for pattern, url in proxies.items()
    }


def check_options(config: object, options: dict[str, Any]) -> None:
    """Check the configuration, and the client's options that contradict it.

    Raises:
        ConfigError: an option has no effect, or ``config`` is something else.
    """
    if config is None:
        return
    if not (isinstance(config, ClientConfig) or callable(config)):
        raise ConfigError(f"config is {_kind(config)}; {_instead_of(config)}")
    for name, instead in INSTEAD_OF_OPTIONS.items():
        if name in options:
            raise ConfigError(f"{name}= has no effect beside a configuration; {instead}")
    if isinstance(config, ClientConfig):
        offers = b"h2" in config.parameters.alpn_protocols
        if offers and not options.get("http2", True):
            raise ConfigError(
                "alpn_protocols of the configuration offers 'h2', and http2= is false: "
                "pass http2=True, or do not offer it"
            )
        if options.get("http2") and not offers:
            raise ConfigError(
                "http2=True has no effect: pass alpn_protocols=['h2', 'http/1.1'] to the "
                "configuration"
            )


#: The options of httpx that the configuration replaces, and what to pass to it.
INSTEAD_OF_OPTIONS = {
    "verify": "pass ClientConfig(trust=...) for another CA, "
    "or ClientConfig(insecure_skip_verification=True)",
    "cert": "pass ClientConfig(credentials=Credentials.from_pem_files(...))",
}


def _kind(value: object) -> str:
    return repr(value) if isinstance(value, bool) else f"of the type {type(value).__name__}"


def _instead_of(value: object) -> str:
    if isinstance(value, ssl.SSLContext) or hasattr(type(value), "wrap_bio"):
        return "pass verify=CONTEXT and no configuration: OpenSSL implements TLS then"
    if isinstance(value, bool):
        return "pass a ClientConfig; insecure_skip_verification=True turns verification off"
    if isinstance(value, str | bytes):
        return "pass ClientConfig(trust=PATH)"
    return "pass a ClientConfig, or a function that returns one for a server's name"
