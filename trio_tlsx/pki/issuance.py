"""Whether one certificate was signed with the key of another, checked here and not by a search."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ..crypto.signatures import PurePublicKey
from .certificates import MALFORMED
from .rsa_keys import is_rsa_work_bounded

__all__ = ["SignatureChecks", "is_signed_by"]

#: Signatures with other hashes, such as MD5, prove nothing and are not checked.
SIGNATURE_HASHES = ("sha256", "sha384", "sha512")

#: A rejected peer must not make this side check signatures for long.
MAX_SIGNATURE_CHECKS = 20


def is_signed_by(child: x509.Certificate, issuer: x509.Certificate) -> bool | None:
    """Check a signature; the names of the two are not compared.

    Returns:
        Whether the signature is the issuer's; None if the key or the algorithm is one that
        cannot be checked here.
    """
    if not is_rsa_work_bounded(issuer):
        return None
    signature, content = child.signature, child.tbs_certificate_bytes
    try:
        key = issuer.public_key()
        digest = child.signature_hash_algorithm
        if digest is not None and digest.name not in SIGNATURE_HASHES:
            return None
        parameters = child.signature_algorithm_parameters
        if isinstance(key, PurePublicKey):
            key.verify(signature, content)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            if not isinstance(parameters, ec.ECDSA):
                return False
            key.verify(signature, content, parameters)
        elif isinstance(key, rsa.RSAPublicKey):
            if parameters is None or isinstance(parameters, ec.ECDSA) or digest is None:
                return False
            key.verify(signature, content, parameters, digest)
        else:
            return None
    except InvalidSignature:
        return False
    except MALFORMED:
        return None
    return True


class SignatureChecks:
    """The signatures that one handshake may have checked outside of the verifier."""

    def __init__(self) -> None:
        self._left = MAX_SIGNATURE_CHECKS

    def __bool__(self) -> bool:
        return self._left > 0

    def is_signed_by(self, child: x509.Certificate, issuer: x509.Certificate) -> bool | None:
        """Check a signature, as :func:`is_signed_by`. Look first whether a check is left."""
        self._left -= 1
        return is_signed_by(child, issuer)
