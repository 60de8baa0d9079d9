"""Convert names in a configuration to values of the protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from ..errors import ConfigError

__all__ = ["GROUP_ALIASES", "encode_protocol_names", "look_up"]

#: What people call the groups beside the names of the IANA registry.
GROUP_ALIASES = {
    "p-256": "secp256r1",
    "p-384": "secp384r1",
    "p-521": "secp521r1",
    "prime256v1": "secp256r1",
}

MAX_ALPN_PROTOCOL_LENGTH = 255  # RFC 7301 3.1: a one-byte length
MAX_ALPN_LIST_LENGTH = 2**16 - 1


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_T = TypeVar("_T", bound=_Named)


def look_up(
    what: str, names: Iterable[str], table: Iterable[_T], aliases: Mapping[str, str] | None = None
) -> tuple[_T, ...]:
    """The table's rows with these names, in this order, each once.

    Args:
        what: they are, in the singular.
        names: whether capital or not makes no difference.
        table: what there is.
        aliases: other names, in small letters.

    Raises:
        ConfigError: there is no row of such a name, or no name at all.
    """
    rows = {row.name.lower(): row for row in table}
    found: dict[str, _T] = {}
    for name in names:
        key = name.lower()
        key = (aliases or {}).get(key, key)
        if key not in rows:
            known = ", ".join(row.name for row in rows.values())
            raise ConfigError(f"unknown {what} {name!r}; known are {known}")
        found[key] = rows[key]
    if not found:
        raise ConfigError(f"no {what} at all: nothing could be negotiated")
    return tuple(found.values())


def encode_protocol_names(protocols: Sequence[str | bytes]) -> tuple[bytes, ...]:
    """Application protocols as they are sent (RFC 7301 3.1).

    Raises:
        ConfigError: there can be no such protocol, or not so many.
    """
    for protocol in protocols:
        if isinstance(protocol, str) and not protocol.isascii():
            raise ConfigError(f"ALPN protocol {protocol!r} is not ASCII: give it as bytes")
    encoded = tuple(p.encode("ascii") if isinstance(p, str) else p for p in protocols)
    for protocol in encoded:
        if not 1 <= len(protocol) <= MAX_ALPN_PROTOCOL_LENGTH:
            raise ConfigError(
                f"ALPN protocol {protocol[:20]!r} has {len(protocol)} bytes; "
                f"RFC 7301 allows 1 to {MAX_ALPN_PROTOCOL_LENGTH}"
            )
    if sum(len(protocol) + 1 for protocol in encoded) > MAX_ALPN_LIST_LENGTH:
        raise ConfigError(f"the ALPN protocols together exceed {MAX_ALPN_LIST_LENGTH} bytes")
    return encoded
