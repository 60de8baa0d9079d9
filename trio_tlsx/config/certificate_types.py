"""The types of certificates of a configuration (RFC 7250)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import ConfigError
from ..messages.certificate_types import DEFAULT_TYPES, CertificateType
from ..pki.credentials import Credentials
from ..pki.trust import TrustStore

__all__ = ["accepted_types", "offered_types"]


def accepted_types(
    names: Sequence[str] | None, trust: TrustStore | None, *, verified: bool
) -> tuple[CertificateType, ...]:
    """Return the types that the peer may send, most preferred first.

    Args:
        names: the names in the configuration; None for the types that ``trust`` contains.
        trust: the configuration's trust store; None for the platform's.
        verified: whether the built-in verification is used.

    Raises:
        ConfigError: a name is unknown, the list is empty, or nothing of a type is trusted.
    """
    has_keys = trust is not None and bool(trust.pins)
    has_certificates = trust is None or bool(trust.certificates)
    if names is None:
        trusted = {CertificateType.X509: has_certificates, CertificateType.RawPublicKey: has_keys}
        return tuple(each for each, is_trusted in trusted.items() if is_trusted)
    types = _look_up("peer_certificate_types", names)
    if verified and CertificateType.RawPublicKey in types and not has_keys:
        raise ConfigError(
            "peer_certificate_types has 'RawPublicKey', but no public key is trusted: pass "
            "TrustStore.from_public_keys(keys), or verify with verify_replaces_builtin=True"
        )
    if verified and CertificateType.X509 in types and not has_certificates:
        raise ConfigError(
            "peer_certificate_types has 'X509', but no CA is trusted: pass the CAs to the "
            "TrustStore too, or leave out 'X509'"
        )
    return types


def offered_types(
    names: Sequence[str] | None, candidates: Iterable[Credentials]
) -> tuple[CertificateType, ...]:
    """Return the types that a client has credentials of, most preferred first.

    Args:
        names: the names in the configuration; None for the types of ``candidates``.
        candidates: the client's credentials.

    Raises:
        ConfigError: a name is unknown, or the list is empty.
    """
    if names is not None:
        return _look_up("own_certificate_types", names)
    return tuple(dict.fromkeys(each.certificate_type for each in candidates)) or DEFAULT_TYPES


def _look_up(argument: str, names: Sequence[str]) -> tuple[CertificateType, ...]:
    known = CertificateType.__members__
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(
            f"{argument} has the unknown type {unknown[0]!r}; pass {' or '.join(map(repr, known))}"
        )
    if not names:
        raise ConfigError(f"{argument} is empty; pass {' or '.join(map(repr, known))}, or both")
    return tuple(dict.fromkeys(known[name] for name in names))
