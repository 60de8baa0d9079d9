"""The signature schemes of TLS 1.2 (RFC 5246 7.4.1.4.1, RFC 8422 5.10, RFC 9846 4.3.3).

They have the code points of TLS 1.3. But an ECDSA scheme names only the hash function here: any
curve goes with any hash. And PKCS #1 v1.5 may sign handshake messages.
"""

from __future__ import annotations

from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from .signatures import CERTIFICATE_ONLY_SCHEMES, KeyHolder, SignatureScheme, schemes_for

__all__ = ["AUTHENTICATION_BY", "authentication_of", "schemes_for_12", "schemes_of_12"]

_S = SignatureScheme

_ECDSA = (_S.ecdsa_secp256r1_sha256, _S.ecdsa_secp384r1_sha384, _S.ecdsa_secp521r1_sha512)
_PKCS1 = CERTIFICATE_ONLY_SCHEMES
_EDDSA = (_S.ed25519, _S.ed448)
_RSAE = tuple(scheme for scheme in SignatureScheme if "_rsae_" in scheme.name)
_PSS = tuple(scheme for scheme in SignatureScheme if "_pss_pss_" in scheme.name)

#: All that can sign a handshake message of TLS 1.2, in order of preference.
SCHEMES_12 = tuple(s for s in SignatureScheme if s in {*_ECDSA, *_EDDSA, *_RSAE, *_PSS, *_PKCS1})

#: The kind of cipher suite, and of certificate, that each scheme goes with.
AUTHENTICATION_BY: dict[int, Literal["ECDSA", "RSA"]] = {
    scheme: "ECDSA" if scheme in {*_ECDSA, *_EDDSA} else "RSA" for scheme in SCHEMES_12
}


def schemes_of_12(schemes: tuple[SignatureScheme, ...]) -> tuple[SignatureScheme, ...]:
    """Return the schemes that TLS 1.2 may use where ``schemes`` are allowed in TLS 1.3.

    With an RSA scheme for certificates of ordinary RSA keys this includes PKCS #1 v1.5: many
    servers of TLS 1.2 have nothing else.
    """
    chosen = tuple(scheme for scheme in schemes if scheme in SCHEMES_12)
    return (*chosen, *CERTIFICATE_ONLY_SCHEMES) if set(chosen) & set(_RSAE) else chosen


def schemes_for_12(certificate: KeyHolder) -> tuple[SignatureScheme, ...]:
    """Return the schemes in which the holder of this certificate's key can sign.

    Those of TLS 1.3 come first. The result is empty if TLS 1.2 has no scheme for such a key.
    """
    common = tuple(s for s in schemes_for(certificate) if s in SCHEMES_12)
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return common and (*common, *(s for s in _ECDSA if s not in common))
    if isinstance(key, rsa.RSAPublicKey) and not set(common) & set(_PSS):
        return (*common, *_PKCS1)
    return common


def authentication_of(certificate: KeyHolder) -> Literal["ECDSA", "RSA"] | None:
    """Return the kind of cipher suite that this certificate's key fits; None if there is none."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA"
    ecdsa = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
    return "ECDSA" if isinstance(key, ecdsa) else None
