"""Look up services and addresses in DNS.

A lookup that fails is an error, never an answer without records: an attacker who drops the answers
could turn Encrypted Client Hello off otherwise (RFC 9460 3.1, RFC 9848 8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, cast

import trio

from ..extras import ExtraImports

with ExtraImports("dns"):
    import dns.asyncbackend
    import dns.asyncresolver
    import dns.exception
    import dns.name
    import dns.rdatatype
    import dns.resolver
    from dns.rdtypes.svcbbase import SVCBBase

from ...config.names import encode_protocol_names
from ...errors import ConfigError
from ...pki.server_name import ServerName
from .records import (
    HTTPS,
    MAX_ENDPOINT_ADDRESSES,
    Endpoint,
    ServiceBinding,
    ServiceLookupError,
    alias_target,
    followed_endpoints,
    name_text,
    service_records,
)

__all__ = ["lookup_addresses", "lookup_ech", "lookup_service", "resolver_at", "system_resolver"]

DEFAULT_PORT = 443

#: The records in AliasMode that are followed (RFC 9460 2.4.2, 10.2).
MAX_ALIASES = 8
#: The time for a service with all its aliases, and for the addresses of an endpoint, in seconds.
LOOKUP_TIMEOUT = 10

#: Schemes whose services have the HTTPS records of https (RFC 9460 9, 9.6).
_LIKE_HTTPS = frozenset({"http", "ws", "wss"})
_SCHEME = re.compile(r"[a-z][a-z0-9-]{0,61}", re.ASCII)


async def lookup_service(
    name: str,
    port: int = DEFAULT_PORT,
    *,
    scheme: str = HTTPS,
    alpn_protocols: Sequence[str | bytes] = (),
    resolver: dns.asyncresolver.Resolver | None = None,
) -> ServiceBinding:
    """Look up where to reach a service (RFC 9460 3).

    For ``https`` the records have the type HTTPS. Their name is that of the service, or
    ``_8443._https.NAME`` for another port than 443. For other schemes the type is SVCB, and the
    name is ``_PORT._SCHEME.NAME``.

    If cancelled, nothing is left open.

    Args:
        name: the DNS name of the service. An IP address is its own endpoint, without a lookup.
        port: its TCP port.
        scheme: the scheme of its URIs.
        alpn_protocols: the application protocols that the client supports. Endpoints with none of
            them are left out.
        resolver: sends the queries; by default to the DNS servers of the system.

    Raises:
        ServiceLookupError: the lookup failed, a record is malformed, the service does not exist,
            or it has no endpoint that the client can use.
        ConfigError: the name, the scheme or a protocol is invalid.
    """
    offered = encode_protocol_names(alpn_protocols)
    server_name = ServerName.parse(name)
    host = server_name.host
    authority = Endpoint(host, port, hints=() if server_name.address is None else (host,))
    if server_name.address is not None:
        await trio.lowlevel.checkpoint()
        return ServiceBinding(host, port, host, (authority,), False)
    query_name = _query_name(host, port, scheme)
    resolver = resolver or system_resolver()
    with trio.move_on_after(LOOKUP_TIMEOUT):
        return await _resolve(resolver, query_name, authority, scheme, offered)
    raise ServiceLookupError(
        f"DNS did not answer completely about the service {host} within {LOOKUP_TIMEOUT} s"
    )


async def _resolve(
    resolver: dns.asyncresolver.Resolver,
    query_name: dns.name.Name,
    authority: Endpoint,
    scheme: str,
    offered: Sequence[bytes],
) -> ServiceBinding:
    """Follow the aliases to the endpoints (RFC 9460 3)."""
    host, port = authority.target, authority.port
    rdtype = dns.rdatatype.HTTPS if scheme == HTTPS else dns.rdatatype.SVCB
    found = await _query_records(resolver, query_name, rdtype)
    is_at_host = scheme == HTTPS and port == DEFAULT_PORT  # else the names have a prefix
    canonical_name = name_text(found.owner) if is_at_host else host
    aliases: list[dns.name.Name] = []
    while (target := alias_target(found.records)) is not None:
        if target == dns.name.root:  # RFC 9460 2.5.1
            raise ServiceLookupError(f"DNS says that the service {host}:{port} does not exist")
        if len(aliases) == MAX_ALIASES:
            # RFC 9460 3.1: as if there were no records.
            return ServiceBinding(host, port, canonical_name, (authority,), False)
        aliases.append(target)
        found = await _query_records(resolver, target, rdtype)
    endpoints, requires_ech = followed_endpoints(found.owner, port, found.records, scheme, offered)
    if not requires_ech:
        # RFC 9460 3: the target of the aliases, and then the service as if it had no records.
        fallbacks = [*(Endpoint(name_text(alias), port) for alias in aliases[-1:]), authority]
        known = {(endpoint.target, endpoint.port) for endpoint in endpoints}
        endpoints += [e for e in fallbacks if (e.target, e.port) not in known]
    if not endpoints:
        raise ServiceLookupError(
            f"DNS has no endpoint of {host}:{port} with an application protocol of this client, "
            f"and Encrypted Client Hello for all others: pass the protocols of the service"
        )
    return ServiceBinding(host, port, canonical_name, tuple(endpoints), requires_ech)


class _Found(NamedTuple):
    """The records of a name, and the name that has them after its CNAME records."""

    owner: dns.name.Name
    records: list[SVCBBase]


async def _query_records(
    resolver: dns.asyncresolver.Resolver, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
) -> _Found:
    answer = await _query(resolver, name, rdtype)
    if answer is None:
        return _Found(name, [])
    records = [] if answer.rrset is None else service_records(answer.rrset)
    return _Found(answer.canonical_name, records)


def _query_name(host: str, port: int, scheme: str) -> dns.name.Name:
    """Return the name that has the records of a service (RFC 9460 2.3, 9.1)."""
    if scheme in _LIKE_HTTPS:
        raise ConfigError(f"scheme {scheme!r} has no records of its own: pass scheme='https'")
    if not _SCHEME.fullmatch(scheme):
        raise ConfigError(f"scheme {scheme!r} is not a URI scheme: pass one such as 'https'")
    has_no_prefix = scheme == HTTPS and port == DEFAULT_PORT
    prefix = "" if has_no_prefix else f"_{port}._{scheme}."
    try:
        return dns.name.from_text(f"{prefix}{host}.")
    except dns.name.NameTooLong:
        raise ConfigError(
            f"server name {host[:40]!r}... is too long for the prefix {prefix}"
        ) from None


async def lookup_addresses(
    endpoint: Endpoint, *, resolver: dns.asyncresolver.Resolver | None = None
) -> tuple[str, ...]:
    """Look up the IP addresses of an endpoint, in the order to try (RFC 8305 4).

    If cancelled, nothing is left open.

    Args:
        endpoint: the endpoint. Its ``hints`` are used if DNS has no addresses of its target.
        resolver: sends the queries; by default to the DNS servers of the system.

    Raises:
        ServiceLookupError: there are no addresses.
    """
    if endpoint.hints and endpoint.target in endpoint.hints:
        await trio.lowlevel.checkpoint()
        return endpoint.hints
    lookup = _AddressLookup(resolver or system_resolver(), dns.name.from_text(endpoint.target))
    with trio.move_on_after(LOOKUP_TIMEOUT):
        async with trio.open_nursery() as nursery:
            for rdtype in (dns.rdatatype.AAAA, dns.rdatatype.A):
                nursery.start_soon(lookup.run, rdtype)
    if addresses := lookup.interleaved() or endpoint.hints:
        return addresses[:MAX_ENDPOINT_ADDRESSES]
    reason = f": {lookup.error}" if lookup.error is not None else ""
    raise ServiceLookupError(f"DNS has no address of {endpoint.target}{reason}")


class _AddressLookup:
    """The lookups of both address families of a name, at the same time."""

    def __init__(self, resolver: dns.asyncresolver.Resolver, name: dns.name.Name) -> None:
        self._resolver = resolver
        self._name = name
        self._found: dict[dns.rdatatype.RdataType, list[str]] = {}
        self.error: ServiceLookupError | None = None

    async def run(self, rdtype: dns.rdatatype.RdataType) -> None:
        try:
            answer = await _query(self._resolver, self._name, rdtype)
        except ServiceLookupError as error:
            self.error = error
            return
        if answer is not None and answer.rrset is not None:
            records = cast("Iterable[Any]", answer.rrset)
            self._found[rdtype] = [str(record.address) for record in records]

    def interleaved(self) -> tuple[str, ...]:
        """Return the addresses, with IPv6 and IPv4 alternating (RFC 8305 4)."""
        v6 = self._found.get(dns.rdatatype.AAAA, [])
        v4 = self._found.get(dns.rdatatype.A, [])
        pairs = zip_longest(v6, v4)
        return tuple(address for pair in pairs for address in pair if address is not None)


async def lookup_ech(
    name: str,
    *,
    port: int = DEFAULT_PORT,
    resolver: dns.asyncresolver.Resolver | None = None,
) -> bytes | None:
    """Look up the ECHConfigList of an HTTPS service, for a connection to its own name and port.

    ``ClientConfig(ech=lookup_ech)`` looks it up in each handshake. Use it if other code opens the
    connections, such as an HTTP client. :func:`open_tls_to_service` also connects to the endpoints
    that the records name.

    If cancelled, nothing is left open.

    Args:
        name: the DNS name of the service.
        port: its TCP port.
        resolver: sends the queries; by default to the DNS servers of the system.

    Returns:
        The ECHConfigList; None if DNS has none.

    Raises:
        ServiceLookupError: the lookup failed, or only other endpoints have configurations.
        ConfigError: the name is invalid.
    """
    binding = await lookup_service(name, port, resolver=resolver)
    own = {(host, port) for host in (binding.name, binding.canonical_name)}
    encrypting = [endpoint for endpoint in binding.endpoints if endpoint.ech is not None]
    for endpoint in encrypting:
        if (endpoint.target, endpoint.port) in own:
            return endpoint.ech
    if encrypting:
        elsewhere = f"{encrypting[0].target}:{encrypting[0].port}"
        raise ServiceLookupError(
            f"DNS has ECH configurations of {name}:{port} for {elsewhere} only: use "
            "open_tls_to_service, which connects there"
        )
    return None


def system_resolver() -> dns.asyncresolver.Resolver:
    """Return a resolver that asks the DNS servers of the system.

    Raises:
        ServiceLookupError: the system has no DNS server configured.
    """
    try:
        return dns.asyncresolver.Resolver()
    except dns.resolver.NoResolverConfiguration as error:
        raise ServiceLookupError(
            "the system has no DNS server configured, for example in /etc/resolv.conf: pass a "
            "resolver"
        ) from error


def resolver_at(address: str, port: int) -> dns.asyncresolver.Resolver:
    """Return a resolver that asks the DNS server at an address and port, over UDP and TCP."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [address]
    resolver.port = port
    return resolver


async def _query(
    resolver: dns.asyncresolver.Resolver, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
) -> dns.resolver.Answer | None:
    """Return the answer, which may have no records; None if the name does not exist.

    Raises:
        ServiceLookupError: the query failed, or the answer is malformed.
    """
    # dnspython detects the backend once for the whole process, and may have detected asyncio.
    backend = dns.asyncbackend.get_backend("trio")
    try:
        return await resolver.resolve(
            name, rdtype, raise_on_no_answer=False, search=False, backend=backend
        )
    except dns.resolver.NXDOMAIN:
        return None
    except (dns.exception.DNSException, OSError) as error:
        kind = dns.rdatatype.to_text(rdtype)
        raise ServiceLookupError(
            f"DNS lookup of the {kind} records of {name_text(name)} failed: {error}"
        ) from error
