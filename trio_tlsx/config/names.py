"""Convert names in a configuration to values of the protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from ..errors import ConfigError

__all__ = ["GROUP_ALIASES", "encode_protocol_names", "look_up"]

#: Other common names of the groups, in lower case, with the name in the IANA registry.
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
    """Return the rows of the table with these names, in the order of the names, each once.

    Args:
        what: the kind of the rows, in the singular, for errors.
        names: the names, in upper or lower case.
        table: the known rows.
        aliases: other names of rows, in lower case.

    Raises:
        ConfigError: a name is unknown, or there is no name.
    """
    rows = {row.name.lower(): row for row in table}
    found: dict[str, _T] = {}
    for name in names:
        key = name.lower()
        key = (aliases or {}).get(key, key)
        if key not in rows:
            known = ", ".join(row.name for row in rows.values())
            raise ConfigError(f"unknown {what} {name!r}; pass one of {known}")
        found[key] = rows[key]
    if not found:
        raise ConfigError(f"there is no {what}, so every handshake would fail: pass at least one")
    return tuple(found.values())


def encode_protocol_names(protocols: Sequence[str | bytes]) -> tuple[bytes, ...]:
    """Encode the names of application protocols (RFC 7301 3.1).

    Raises:
        ConfigError: a name is not ASCII, is empty or too long, or all together are too long.
    """
    for protocol in protocols:
        if isinstance(protocol, str) and not protocol.isascii():
            raise ConfigError(f"ALPN protocol {protocol!r} is not ASCII: pass it as bytes")
    encoded = tuple(p.encode("ascii") if isinstance(p, str) else p for p in protocols)
    for protocol in encoded:
        if not 1 <= len(protocol) <= MAX_ALPN_PROTOCOL_LENGTH:
            raise ConfigError(
                f"ALPN protocol {protocol[:20]!r} has {len(protocol)} bytes; "
                f"pass 1 to {MAX_ALPN_PROTOCOL_LENGTH} (RFC 7301)"
            )
    if sum(len(protocol) + 1 for protocol in encoded) > MAX_ALPN_LIST_LENGTH:
        raise ConfigError(
            f"the list of ALPN protocols exceeds {MAX_ALPN_LIST_LENGTH} bytes: pass fewer"
        )
    return encoded
