"""The endpoints of a service, as its HTTPS or SVCB records describe them (RFC 9460)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from secrets import SystemRandom
from typing import Any, cast

from ..extras import ExtraImports

with ExtraImports("dns"):
    import dns.name
    import dns.rrset
    from dns.rdtypes.svcbbase import ParamKey, SVCBBase

from ...errors import ConfigError
from ...pki.ech import candidates, decode_configs

__all__ = [
    "HTTPS",
    "MAX_ENDPOINT_ADDRESSES",
    "Endpoint",
    "ServiceBinding",
    "ServiceLookupError",
    "alias_target",
    "followed_endpoints",
    "name_text",
    "service_records",
]

HTTPS = "https"
#: RFC 9460 9: the protocol that an HTTPS record has without naming it.
HTTPS_DEFAULT_PROTOCOL = b"http/1.1"

#: The records of one name. No service needs more, and each may cost a connection attempt.
MAX_SERVICE_RECORDS = 32
#: An ECHConfigList, in bytes. A configuration takes about 100, with a post-quantum KEM 1,300.
MAX_ECH_LENGTH = 2**13
#: The addresses that are tried for one endpoint.
MAX_ENDPOINT_ADDRESSES = 16

#: The parameters that this module implements. A record with another mandatory one is ignored.
KNOWN_KEYS = frozenset(
    {
        ParamKey.MANDATORY,
        ParamKey.ALPN,
        ParamKey.NO_DEFAULT_ALPN,
        ParamKey.PORT,
        ParamKey.IPV4HINT,
        ParamKey.ECH,
        ParamKey.IPV6HINT,
    }
)

_random = SystemRandom()


class ServiceLookupError(OSError):
    """A lookup in DNS failed, so no connection was attempted.

    The lookup failed, took too long or returned a malformed record; or the service does not exist,
    has no address, or lacks the configuration for Encrypted Client Hello that the caller requires.
    """


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A name and a port at which a service can be reached (RFC 9460 1.3).

    Attributes:
        target: the DNS name to connect to. The certificate must be for the service's name instead.
        port: the TCP port to connect to.
        ech: the ECHConfigList for this endpoint; None if the record has none.
        alpn_protocols: the application protocols in the record, with the default protocol of the
            scheme; empty if the record lists none.
        hints: the IP addresses in the record, to use if DNS has no addresses of ``target``.
    """

    target: str
    port: int
    ech: bytes | None = None
    alpn_protocols: tuple[bytes, ...] = ()
    hints: tuple[str, ...] = ()

    @property
    def can_encrypt(self) -> bool:
        """Whether ``ech`` has a configuration that this library can use."""
        return self.ech is not None and any(candidates(decode_configs(self.ech)))


@dataclass(frozen=True, slots=True)
class ServiceBinding:
    """The endpoints of a service, by its records in DNS.

    Attributes:
        name: the DNS name or IP address of the service, which the certificate must be for.
        port: the port of the service.
        canonical_name: the name that DNS has for ``name`` after its CNAME records.
        endpoints: where to connect, in the order to try. Without records that apply, this is the
            service's own name and port.
        requires_ech: whether each record has ``ech``. Then the client must not fall back to
            a connection without records (RFC 9848 5.1), and ``endpoints`` has no such fallback.
    """

    name: str
    port: int
    canonical_name: str
    endpoints: tuple[Endpoint, ...]
    requires_ech: bool


def alias_target(records: Iterable[SVCBBase]) -> dns.name.Name | None:
    """Return the target of a random record in AliasMode (RFC 9460 2.4.2); None without one."""
    targets = [record.target for record in records if record.priority == 0]
    return _random.choice(targets) if targets else None


def service_records(rrset: dns.rrset.RRset) -> list[SVCBBase]:
    """Return the records of an answer.

    Raises:
        ServiceLookupError: there are too many.
    """
    if len(rrset) > MAX_SERVICE_RECORDS:
        raise ServiceLookupError(
            f"{name_text(rrset.name)} has {len(rrset)} service records in DNS; at most "
            f"{MAX_SERVICE_RECORDS} are accepted"
        )
    return cast("list[SVCBBase]", list(rrset))


def followed_endpoints(
    owner: dns.name.Name,
    port: int,
    records: Iterable[SVCBBase],
    scheme: str,
    offered: Sequence[bytes],
) -> tuple[list[Endpoint], bool]:
    """Return the endpoints of the records in ServiceMode that a client can follow, best first.

    Args:
        owner: the name that has the records.
        port: the port of the service, for records without one.
        records: the records.
        scheme: the scheme of the service.
        offered: the application protocols that the client offers; empty if it does not use ALPN.

    Returns:
        The endpoints, and whether the client may connect only to these (RFC 9848 5.1).

    Raises:
        ServiceLookupError: a record is malformed.
    """
    # RFC 9460 2.4.1: records of the same priority are shuffled, to distribute the load.
    ordered = sorted(records, key=lambda record: (record.priority, _random.random()))
    compatible: list[Endpoint] = []
    supported: list[Endpoint] = []
    for record in ordered:
        parameters = cast("Mapping[int, Any]", record.params)
        endpoint = _endpoint(owner, port, record.target, parameters, scheme)
        if _is_compatible(endpoint, parameters):
            compatible.append(endpoint)
            if _has_protocol_of(endpoint, parameters, offered):
                supported.append(endpoint)
    return supported, _all_have_ech(compatible) or _all_have_ech(supported)


def _all_have_ech(endpoints: Collection[Endpoint]) -> bool:
    return bool(endpoints) and all(endpoint.ech is not None for endpoint in endpoints)


def _endpoint(
    owner: dns.name.Name,
    port: int,
    target: dns.name.Name,
    parameters: Mapping[int, Any],
    scheme: str,
) -> Endpoint:
    """Return the endpoint of one record."""
    # RFC 9460 2.5.2: the root stands for the owner.
    name = owner if target == dns.name.root else target
    if ParamKey.PORT in parameters:
        port = parameters[ParamKey.PORT].port
    hints = [
        address
        for key in (ParamKey.IPV6HINT, ParamKey.IPV4HINT)
        if key in parameters
        for address in parameters[key].addresses
    ]
    _random.shuffle(hints)  # RFC 9460 7.3
    return Endpoint(
        name_text(name),
        port,
        _checked_ech(name, parameters),
        _protocols(parameters, scheme),
        tuple(hints[:MAX_ENDPOINT_ADDRESSES]),
    )


def _protocols(parameters: Mapping[int, Any], scheme: str) -> tuple[bytes, ...]:
    """Return the application protocols of a record, with the default one (RFC 9460 7.1.1)."""
    alpn = parameters.get(ParamKey.ALPN)
    listed: tuple[bytes, ...] = () if alpn is None else alpn.ids
    if scheme == HTTPS and ParamKey.NO_DEFAULT_ALPN not in parameters:
        listed = (*listed, HTTPS_DEFAULT_PROTOCOL)
    return tuple(dict.fromkeys(listed))


def _checked_ech(name: dns.name.Name, parameters: Mapping[int, Any]) -> bytes | None:
    """Return the ECHConfigList of a record.

    Raises:
        ServiceLookupError: it is malformed. RFC 9460 2.2 then lets the client connect without the
            records; that would send the name in the clear.
    """
    if ParamKey.ECH not in parameters:
        return None
    ech = bytes(parameters[ParamKey.ECH].ech)
    if len(ech) > MAX_ECH_LENGTH:
        raise ServiceLookupError(
            f"the ech parameter of {name_text(name)} in DNS has {len(ech)} bytes; at most "
            f"{MAX_ECH_LENGTH} are accepted"
        )
    try:
        decode_configs(ech)
    except ConfigError as error:
        raise ServiceLookupError(
            f"the ech parameter of {name_text(name)} in DNS is malformed: {error}"
        ) from error
    return ech


def _is_compatible(endpoint: Endpoint, parameters: Mapping[int, Any]) -> bool:
    """Return whether a client can follow the record (RFC 9460 8)."""
    mandatory = parameters.get(ParamKey.MANDATORY)
    keys: tuple[int, ...] = () if mandatory is None else mandatory.keys
    if not KNOWN_KEYS.issuperset(keys) or endpoint.port == 0:
        return False
    return ParamKey.ECH not in keys or endpoint.can_encrypt


def _has_protocol_of(
    endpoint: Endpoint, parameters: Mapping[int, Any], offered: Sequence[bytes]
) -> bool:
    """Return whether the endpoint supports a protocol of the client (RFC 9460 7.1.2).

    The ClientHello offers all protocols of the client in any case.
    """
    if offered:
        listed = endpoint.alpn_protocols
        return not listed or not set(listed).isdisjoint(offered)
    # A client without ALPN uses the default protocol of the scheme.
    return ParamKey.NO_DEFAULT_ALPN not in parameters


def name_text(name: dns.name.Name) -> str:
    """Return a name as text, without the final dot; unusual characters are escaped."""
    return name.to_text(omit_final_dot=True)
