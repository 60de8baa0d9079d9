"""What credentials can sign in TLS 1.2 (RFC 5246 7.4.2, 7.4.4)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cryptography.hazmat.primitives.asymmetric import ec

from ..config.names import GROUP_ALIASES
from ..crypto.signatures import SignatureScheme
from ..crypto.signatures12 import SCHEMES_12, authentication_of
from ..messages.handshake12 import ECDSA_SIGN, RSA_SIGN
from ..pki.credentials import Credentials

__all__ = ["curve_of", "kinds_of", "schemes_of_12"]

_KINDS = {RSA_SIGN: "RSA", ECDSA_SIGN: "ECDSA"}


def kinds_of(certificate_types: bytes) -> frozenset[str]:
    """Return the kinds of keys that a CertificateRequest allows."""
    return frozenset(_KINDS[code] for code in certificate_types if code in _KINDS)


def schemes_of_12(credentials: Credentials, kinds: Collection[str]) -> Sequence[SignatureScheme]:
    """Return the schemes that the credentials can sign in; none if their key is of another kind.

    Args:
        kinds: the kinds of keys that the peer's suites, or its request, allow.
    """
    if authentication_of(credentials.chain[0]) not in kinds:
        return ()
    schemes: Sequence[SignatureScheme] = getattr(
        credentials.signer, "tls12_schemes", credentials.signer.schemes
    )
    return [scheme for scheme in schemes if scheme in SCHEMES_12]


def curve_of(credentials: Credentials) -> str | None:
    """Return the name of the group that the key of an ECDSA certificate is in; None for others."""
    key = credentials.chain[0].public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return None
    return GROUP_ALIASES.get(key.curve.name, key.curve.name)
