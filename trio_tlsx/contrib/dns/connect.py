"""Open a TLS connection to a service."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import trio

from ..extras import ExtraImports

with ExtraImports("dns"):
    import dns.asyncresolver

from ...arguments import Expected, check, instance_of
from ...config.client import ClientConfig
from ...engine.select import engine_for
from ...errors import ConfigError
from ...io.listener import (
    HAPPY_EYEBALLS_DELAY,
    OpenTransport,
    WrapTransport,
    connect_and_wrap,
    do_handshake_with_ech_retry,
)
from ...io.stream import TLSStream
from ...pki.server_name import ServerName
from .lookup import DEFAULT_PORT, lookup_addresses, lookup_service, system_resolver
from .records import HTTPS, Endpoint, ServiceBinding, ServiceLookupError

__all__ = ["open_tcp_to_any", "open_tls_to_service"]


async def open_tls_to_service(
    name: str,
    port: int = DEFAULT_PORT,
    *,
    config: ClientConfig | None = None,
    scheme: str = HTTPS,
    resolver: dns.asyncresolver.Resolver | None = None,
    require_ech: bool = False,
    https_compatible: bool = False,
    handshake_timeout: float = math.inf,
    happy_eyeballs_delay: float = HAPPY_EYEBALLS_DELAY,
    early_data: bytes | bytearray | memoryview = b"",
    resend_early_data: bool = False,
) -> TLSStream[trio.SocketStream]:
    """Connect to a service by its records in DNS, and do the handshake (RFC 9460, RFC 9848).

    The endpoints are tried in the order of their priorities, each at all of its addresses, until
    a TCP connection is made. The ClientHello is encrypted with the configurations of that
    endpoint. The server's certificate must be for ``name``, whatever DNS contains. If the server
    rejects Encrypted Client Hello and sends its current configurations, the function connects once
    more with these (RFC 9849 6.1.6). If a handshake fails, no other endpoint is tried.

    If all records have configurations, the client connects to these endpoints only (RFC 9848 5.1).

    If cancelled, no connection is left open.

    Args:
        name: the DNS name of the service, or an IP address.
        port: its TCP port. Sessions are kept and resumed by ``name`` and this port.
        config: the configuration; by default ``ClientConfig()``. Its ``ech`` must be None or
            ``"grease"``, and its versions must have TLS 1.3.
        scheme: the scheme of the service, as for :func:`lookup_service`.
        resolver: sends the queries; by default to the DNS servers of the system.
        require_ech: connect only with Encrypted Client Hello, and fail if DNS has no configuration
            that this library can use.
        https_compatible: as for :class:`~trio_tlsx.TLSStream`.
        handshake_timeout: as for :class:`~trio_tlsx.TLSStream`, in seconds.
        happy_eyeballs_delay: how long to wait for one address before the next is tried too, in
            seconds (RFC 8305 5).
        early_data: as for :class:`~trio_tlsx.TLSStream`; anybody who records it can send it again.
        resend_early_data: as for :class:`~trio_tlsx.TLSStream`.

    Raises:
        ServiceLookupError: the lookup failed, or there is no endpoint to connect to. It is an
            :exc:`OSError`.
        OSError: the connection could not be made.
        ConfigError: an argument is invalid.
        trio.BrokenResourceError: the handshake failed.
    """
    config = _checked_config(config)
    engine_for(config, name, False, port, early_data)  # check the arguments before the lookup
    resolver = resolver or system_resolver()
    look_up = partial(
        lookup_service,
        name,
        port,
        scheme=scheme,
        alpn_protocols=config.alpn_protocols,
        resolver=resolver,
    )
    binding, known_addresses = await _look_up_with_addresses(name, look_up, resolver)
    endpoints = [e for e in binding.endpoints if e.can_encrypt or not require_ech]
    if not endpoints:
        raise ServiceLookupError(
            f"DNS has no ECH configuration of {name}:{port} that can be used; pass "
            "require_ech=False to send the name in the clear"
        )
    wrap = partial(
        TLSStream[trio.SocketStream],
        server_hostname=name,
        server_port=port,
        https_compatible=https_compatible,
        handshake_timeout=handshake_timeout,
        early_data=early_data,
        resend_early_data=resend_early_data,
    )
    connect = partial(_connect_to_endpoint, known_addresses, resolver, happy_eyeballs_delay)
    routes = [_Route(partial(connect, e), config.with_ech(partial(_ech_of, e))) for e in endpoints]
    stream, route = await _connect_to_first(f"{name}:{port}", routes, wrap)
    return await do_handshake_with_ech_retry(stream, route.connect, wrap, route.config)


class _Route(NamedTuple):
    """How to connect to an endpoint, and the configuration for it."""

    connect: OpenTransport
    config: ClientConfig


async def _connect_to_first(
    service: str, routes: Iterable[_Route], wrap: WrapTransport
) -> tuple[TLSStream[trio.SocketStream], _Route]:
    """Connect to the first endpoint that accepts a connection; return the stream and the route.

    Raises:
        OSError: no endpoint accepts a connection.
    """
    errors: list[OSError] = []
    for route in routes:
        try:
            return await connect_and_wrap(route.connect, wrap, route.config), route
        except OSError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    message = f"all attempts to connect to {service} failed"
    raise OSError(message) from ExceptionGroup(message, errors)


def _checked_config(config: ClientConfig | None) -> ClientConfig:
    """Return the configuration, or the default one.

    Raises:
        ConfigError: the configuration cannot be used with ECH configurations from DNS.
    """
    config = ClientConfig() if config is None else config
    check("config", config, Expected(instance_of(ClientConfig), "a ClientConfig"))
    if config.ech not in (None, "grease"):
        raise ConfigError(
            "the configuration has ech=, but the ECH configurations come from DNS: leave out ech="
        )
    if "TLSv1.3" not in config.versions:
        raise ConfigError(
            "the records in DNS can have ECH configurations, and Encrypted Client Hello needs TLS "
            "1.3 (RFC 9849 6.1): add 'TLSv1.3' to versions"
        )
    return config


def _ech_of(endpoint: Endpoint, name: str) -> bytes | None:
    # ClientConfig(ech=BYTES) rejects configurations that this library cannot use. A function may
    # return them: the name is then sent in the clear.
    return endpoint.ech


async def _look_up_with_addresses(
    name: str,
    look_up: Callable[[], Awaitable[ServiceBinding]],
    resolver: dns.asyncresolver.Resolver,
) -> tuple[ServiceBinding, Mapping[str, Sequence[str]]]:
    """Look up a service, and the addresses of its own name at the same time (RFC 9460 3).

    Returns:
        The endpoints of the service, and the addresses that are known, by their names.
    """
    known_addresses: dict[str, Sequence[str]] = {}
    own = ServerName.parse(name)
    result: ServiceBinding | OSError | ConfigError
    async with trio.open_nursery() as nursery:
        if own.address is None:
            nursery.start_soon(_prefetch_addresses, own.host, resolver, known_addresses)
        try:
            result = await look_up()
        except (OSError, ConfigError) as error:  # raised below, not in a group
            result = error
        if not isinstance(result, ServiceBinding) or result.endpoints[0].target != own.host:
            nursery.cancel_scope.cancel()
    if not isinstance(result, ServiceBinding):
        raise result
    return result, known_addresses


async def _prefetch_addresses(
    host: str, resolver: dns.asyncresolver.Resolver, known_addresses: dict[str, Sequence[str]]
) -> None:
    endpoint = Endpoint(host, DEFAULT_PORT)
    # A failure matters only if the endpoint is tried, and then the lookup is repeated.
    with contextlib.suppress(ServiceLookupError):
        known_addresses[host] = await lookup_addresses(endpoint, resolver=resolver)


async def _connect_to_endpoint(
    known_addresses: Mapping[str, Sequence[str]],
    resolver: dns.asyncresolver.Resolver,
    happy_eyeballs_delay: float,
    endpoint: Endpoint,
) -> trio.SocketStream:
    addresses = known_addresses.get(endpoint.target)
    if not addresses:
        addresses = await lookup_addresses(endpoint, resolver=resolver)
    return await open_tcp_to_any(addresses, endpoint.port, happy_eyeballs_delay)


async def open_tcp_to_any(
    addresses: Sequence[str], port: int, happy_eyeballs_delay: float
) -> trio.SocketStream:
    """Connect to the first address that accepts the connection (RFC 8305 5).

    :func:`trio.open_tcp_stream` does the same for a name, whose addresses the system looks up.

    Raises:
        OSError: no address accepts the connection.
    """
    attempts = _Attempts(port)
    try:
        async with trio.open_nursery() as nursery:
            for address in addresses:
                failed = trio.Event()
                nursery.start_soon(attempts.run, address, failed, nursery.cancel_scope)
                with trio.move_on_after(happy_eyeballs_delay):
                    await failed.wait()
        if attempts.stream is not None:
            return attempts.stream
    except BaseException:
        if attempts.stream is not None:
            attempts.stream.socket.close()
        raise
    message = f"all attempts to connect to {', '.join(addresses)} at port {port} failed"
    raise OSError(message) from ExceptionGroup(message, attempts.errors)


class _Attempts:
    """Attempts to connect that run at the same time. The first success ends the others."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.stream: trio.SocketStream | None = None
        self.errors: list[OSError] = []

    async def run(self, address: str, failed: trio.Event, others: trio.CancelScope) -> None:
        try:
            stream = await trio.open_tcp_stream(address, self._port)
        except OSError as error:
            self.errors.append(error)
            failed.set()
            return
        if self.stream is None:
            self.stream = stream
            others.cancel()
        else:  # two succeeded before one of them could be cancelled
            stream.socket.close()
