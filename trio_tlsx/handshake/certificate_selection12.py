"""The signature schemes that credentials support in TLS 1.2 (RFC 5246 7.4.2, 7.4.4)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import ec

from ..config.names import GROUP_ALIASES
from ..crypto.signatures import KeyHolder, SignatureScheme
from ..crypto.signatures12 import AUTHENTICATION_BY, SCHEMES_12
from ..messages.handshake12 import ECDSA_SIGN, RSA_SIGN, CertificateRequest12
from ..pki.credentials import Credentials

__all__ = ["curve_of", "schemes_of_12", "schemes_of_request"]

_AUTHENTICATION = {RSA_SIGN: "RSA", ECDSA_SIGN: "ECDSA"}


def schemes_of_request(request: CertificateRequest12) -> tuple[int, ...]:
    """Return the schemes that a client may sign in (RFC 5246 7.4.4).

    They are those of the request whose keys the certificate types of the request allow.
    """
    allowed = {_AUTHENTICATION.get(code, "") for code in request.certificate_types}
    return tuple(s for s in request.signature_schemes if AUTHENTICATION_BY.get(s) in allowed)


def schemes_of_12(credentials: Credentials) -> Sequence[SignatureScheme]:
    """Return the schemes that the credentials can sign in."""
    schemes: Sequence[SignatureScheme] = getattr(
        credentials.signer, "tls12_schemes", credentials.signer.schemes
    )
    return [scheme for scheme in schemes if scheme in SCHEMES_12]


def curve_of(certificate: KeyHolder) -> str | None:
    """Return the name of the group that the key of an ECDSA certificate is in; None for others."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return None
    return GROUP_ALIASES.get(key.curve.name, key.curve.name)
