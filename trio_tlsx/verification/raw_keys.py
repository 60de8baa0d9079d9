"""Verify a peer's raw public key (RFC 7250 4.4)."""

from __future__ import annotations

import hmac

from ..errors import AlertDescription, CertificateError
from ..pki.public_keys import RawPublicKey
from ..pki.rsa_keys import check_rsa_strength
from ..pki.trust import TrustStore

__all__ = ["verify_raw_public_key"]


def verify_raw_public_key(key: RawPublicKey, trust: TrustStore | None) -> None:
    """Verify that a peer's key is trusted. The peer has already proven that it holds the key.

    Args:
        key: the peer's key.
        trust: the trusted keys; None if nothing is trusted.

    Raises:
        CertificateError: the key is not trusted, or is too weak.
    """
    check_rsa_strength(key)
    pins = frozenset[bytes]() if trust is None else trust.pins
    digest = key.digest
    if not sum(hmac.compare_digest(digest, pin) for pin in pins):  # all, each in constant time
        raise CertificateError(
            f"the raw public key {key.pin} is not trusted; pass "
            f"trust=TrustStore.from_public_keys([{key.pin!r}]) if it is the peer's",
            AlertDescription.certificate_unknown,
        )
