"""Bounds on RSA keys: the peer chooses the key, and the key decides how long a check takes."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import PublicKeyAlgorithmOID

from ..errors import CertificateError
from .certificates import MALFORMED
from .public_keys import RawPublicKey, certificate_of, owner_of

__all__ = [
    "MAX_EXPONENT_BITS",
    "MAX_RSA_BITS",
    "MIN_RSA_BITS",
    "RSA_ALGORITHMS",
    "check_rsa_strength",
    "check_rsa_work",
    "is_rsa_work_bounded",
]

#: The limit of OpenSSL's security level 2 (112 bits).
MIN_RSA_BITS = 2048
#: The work of a signature check grows with the square of the modulus' length.
MAX_RSA_BITS = 8192
#: The work grows with the exponent's length, too. Nearly all keys have 65,537; NSS and Windows
#: accept exponents of 32 bits or a little more, and 2**32 + 1 is the largest that was ever common.
MAX_EXPONENT_BITS = 33

#: The algorithms of RSA keys. A key with another algorithm need not be read.
RSA_ALGORITHMS = frozenset(
    {PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5, PublicKeyAlgorithmOID.RSASSA_PSS}
)


def check_rsa_work(certificate: x509.Certificate | RawPublicKey) -> None:
    """Refuse an RSA key with which checking a signature would take long.

    Call it before any signature is checked with a key that a peer sent.

    Raises:
        CertificateError: the modulus or the public exponent is too long.
    """
    if certificate.public_key_algorithm_oid not in RSA_ALGORITHMS:
        return
    try:
        key = certificate.public_key()
    except MALFORMED:
        return  # no signature can be checked with a key that cannot be read
    if not isinstance(key, rsa.RSAPublicKey):
        return
    exponent_bits = key.public_numbers().e.bit_length()
    if key.key_size > MAX_RSA_BITS:
        fault = f"an RSA key of {key.key_size} bits; at most {MAX_RSA_BITS} are accepted"
    elif exponent_bits > MAX_EXPONENT_BITS:
        fault = (
            f"an RSA public exponent of {exponent_bits} bits; "
            f"at most {MAX_EXPONENT_BITS} are accepted"
        )
    else:
        return
    raise CertificateError(
        f"{owner_of(certificate)} has {fault}: make a new key with the usual exponent, 65537",
        certificate=certificate_of(certificate),
    )


def check_rsa_strength(certificate: x509.Certificate | RawPublicKey) -> None:
    """Refuse an RSA key that is too weak to be trusted, or too costly to check signatures with.

    Raises:
        CertificateError: the modulus is too short or too long, or the exponent is too long.
    """
    check_rsa_work(certificate)
    if certificate.public_key_algorithm_oid not in RSA_ALGORITHMS:
        return
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise CertificateError(
            f"{owner_of(certificate)} has an RSA key of {key.key_size} bits; "
            f"{MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted",
            certificate=certificate_of(certificate),
        )


def is_rsa_work_bounded(certificate: x509.Certificate) -> bool:
    """Return whether a signature may be checked with the key of this certificate."""
    try:
        check_rsa_work(certificate)
    except CertificateError:
        return False
    return True
