"""The signature schemes of CertificateVerify and of certificates (RFC 9846 4.3.3)."""

from __future__ import annotations

import enum
from typing import Any, Protocol, TypeAlias, cast

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.x509.oid import ObjectIdentifier, PublicKeyAlgorithmOID

from .availability import is_available

__all__ = [
    "CERTIFICATE_ONLY_SCHEMES",
    "CERTIFICATE_VERIFY_SCHEMES",
    "CLIENT_ONLY_SCHEMES",
    "DEFAULT_SCHEMES",
    "KeyHolder",
    "PrivateKey",
    "PublicKey",
    "PurePrivateKey",
    "PurePublicKey",
    "SignatureScheme",
    "schemes_for",
    "sign",
    "verify",
]

#: Keys that sign a message as it is: they have one scheme, with its hash function within.
PurePrivateKey: TypeAlias = (
    ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)
PurePublicKey: TypeAlias = (
    ed25519.Ed25519PublicKey
    | ed448.Ed448PublicKey
    | mldsa.MLDSA44PublicKey
    | mldsa.MLDSA65PublicKey
    | mldsa.MLDSA87PublicKey
)
PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | PurePrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | PurePublicKey


class KeyHolder(Protocol):
    """An object with a public key: an ``x509.Certificate`` or a :class:`RawPublicKey`."""

    @property
    def public_key_algorithm_oid(self) -> ObjectIdentifier:
        """The algorithm of the key."""
        ...

    def public_key(self) -> object:
        """Return the key; ValueError if it cannot be loaded."""
        ...


class SignatureScheme(enum.IntEnum):
    """Code points under the RFC's names, in order of preference."""

    ecdsa_secp256r1_sha256 = 0x0403
    ed25519 = 0x0807
    ecdsa_secp384r1_sha384 = 0x0503
    ecdsa_secp521r1_sha512 = 0x0603
    ed448 = 0x0808
    rsa_pss_rsae_sha256 = 0x0804
    rsa_pss_rsae_sha384 = 0x0805
    rsa_pss_rsae_sha512 = 0x0806
    rsa_pss_pss_sha256 = 0x0809
    rsa_pss_pss_sha384 = 0x080A
    rsa_pss_pss_sha512 = 0x080B
    # draft-ietf-tls-mldsa
    mldsa44 = 0x0904
    mldsa65 = 0x0905
    mldsa87 = 0x0906
    # For a client's CertificateVerify only (RFC 9963): old hardware knows nothing better.
    rsa_pkcs1_sha256_legacy = 0x0420
    rsa_pkcs1_sha384_legacy = 0x0520
    rsa_pkcs1_sha512_legacy = 0x0620
    # For the signatures of certificates only, never for CertificateVerify (RFC 9846 4.3.3).
    rsa_pkcs1_sha256 = 0x0401
    rsa_pkcs1_sha384 = 0x0501
    rsa_pkcs1_sha512 = 0x0601


_Scheme = SignatureScheme

# TLS 1.3 binds the curve to the hash (RFC 9846 4.3.3), so the curve alone names the scheme.
_ECDSA: dict[str, tuple[SignatureScheme, ec.ECDSA]] = {
    "secp256r1": (_Scheme.ecdsa_secp256r1_sha256, ec.ECDSA(SHA256())),
    "secp384r1": (_Scheme.ecdsa_secp384r1_sha384, ec.ECDSA(SHA384())),
    "secp521r1": (_Scheme.ecdsa_secp521r1_sha512, ec.ECDSA(SHA512())),
}


def _pss(digest: HashAlgorithm) -> tuple[AsymmetricPadding, HashAlgorithm]:
    # RFC 9846 4.3.3: the salt is as long as the digest, and the mask uses the same hash.
    return padding.PSS(padding.MGF1(digest), digest.digest_size), digest


_RSA: dict[SignatureScheme, tuple[AsymmetricPadding, HashAlgorithm]] = {
    _Scheme.rsa_pss_rsae_sha256: _pss(SHA256()),
    _Scheme.rsa_pss_rsae_sha384: _pss(SHA384()),
    _Scheme.rsa_pss_rsae_sha512: _pss(SHA512()),
    _Scheme.rsa_pss_pss_sha256: _pss(SHA256()),
    _Scheme.rsa_pss_pss_sha384: _pss(SHA384()),
    _Scheme.rsa_pss_pss_sha512: _pss(SHA512()),
    _Scheme.rsa_pkcs1_sha256_legacy: (padding.PKCS1v15(), SHA256()),
    _Scheme.rsa_pkcs1_sha384_legacy: (padding.PKCS1v15(), SHA384()),
    _Scheme.rsa_pkcs1_sha512_legacy: (padding.PKCS1v15(), SHA512()),
    _Scheme.rsa_pkcs1_sha256: (padding.PKCS1v15(), SHA256()),
    _Scheme.rsa_pkcs1_sha384: (padding.PKCS1v15(), SHA384()),
    _Scheme.rsa_pkcs1_sha512: (padding.PKCS1v15(), SHA512()),
}
_RSAE = tuple(scheme for scheme in _RSA if "_rsae_" in scheme.name)
_PSS = tuple(scheme for scheme in _RSA if "_pss_pss_" in scheme.name)

_PURE: tuple[tuple[SignatureScheme, type[PurePublicKey], type[PurePrivateKey]], ...] = (
    (_Scheme.ed25519, ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey),
    (_Scheme.ed448, ed448.Ed448PublicKey, ed448.Ed448PrivateKey),
    (_Scheme.mldsa44, mldsa.MLDSA44PublicKey, mldsa.MLDSA44PrivateKey),
    (_Scheme.mldsa65, mldsa.MLDSA65PublicKey, mldsa.MLDSA65PrivateKey),
    (_Scheme.mldsa87, mldsa.MLDSA87PublicKey, mldsa.MLDSA87PrivateKey),
)


#: The arguments of a key's ``sign`` and ``verify`` besides the message, by scheme.
_PARAMETERS: dict[SignatureScheme, tuple[Any, ...]] = {
    **{scheme: (algorithm,) for scheme, algorithm in _ECDSA.values()},
    **_RSA,
    **{scheme: () for scheme, _, _ in _PURE},
}

_MLDSA = (_Scheme.mldsa44, _Scheme.mldsa65, _Scheme.mldsa87)

#: The schemes of a CertificateVerify that only clients may use (RFC 9963 2).
CLIENT_ONLY_SCHEMES = tuple(scheme for scheme in _RSA if scheme.name.endswith("_legacy"))

#: The schemes of signatures in certificates that CertificateVerify may not use.
CERTIFICATE_ONLY_SCHEMES = (
    _Scheme.rsa_pkcs1_sha256,
    _Scheme.rsa_pkcs1_sha384,
    _Scheme.rsa_pkcs1_sha512,
)

#: The default schemes of CertificateVerify, most preferred first.
DEFAULT_SCHEMES = tuple(
    scheme
    for scheme in SignatureScheme
    if scheme not in {*_MLDSA, *CLIENT_ONLY_SCHEMES, *CERTIFICATE_ONLY_SCHEMES}
)

#: All that a CertificateVerify of TLS 1.3 may be signed with.
CERTIFICATE_VERIFY_SCHEMES = (
    *DEFAULT_SCHEMES,
    *(_MLDSA if is_available(mldsa.MLDSA44PublicKey.from_public_bytes) else ()),
    *CLIENT_ONLY_SCHEMES,
)


def schemes_for(certificate: KeyHolder, *, legacy: bool = False) -> tuple[SignatureScheme, ...]:
    """The schemes in which the holder of this certificate's key can sign a CertificateVerify.

    Empty where TLS 1.3 has no scheme for such a key.

    Args:
        certificate: an ``x509.Certificate`` or a :class:`RawPublicKey`.
        legacy: name also, behind the others, what RFC 9963 allows for clients alone.
    """
    algorithm = certificate.public_key_algorithm_oid
    if algorithm == PublicKeyAlgorithmOID.RSASSA_PSS:
        return _PSS
    key = certificate.public_key()
    # The classes of keys are abstract: isinstance would take three times as long.
    if algorithm == PublicKeyAlgorithmOID.EC_PUBLIC_KEY:
        known = _ECDSA.get(cast("ec.EllipticCurvePublicKey", key).curve.name)
        return (known[0],) if known else ()
    if isinstance(key, rsa.RSAPublicKey):
        # A PSS signature with SHA-512 needs 130 bytes of modulus (RFC 8017 9.1.1).
        modern = (s for s in _RSAE if key.key_size >= 16 * _RSA[s][1].digest_size + 16)
        return (*modern, *(CLIENT_ONLY_SCHEMES if legacy else ()))
    return tuple(scheme for scheme, public, _ in _PURE if isinstance(key, public))


def sign(scheme: SignatureScheme, key: PrivateKey, message: bytes) -> bytes:
    """Sign ``message``. The caller has checked that ``key`` can sign in this scheme."""
    return key.sign(message, *_PARAMETERS[scheme])


def verify(
    scheme: SignatureScheme, certificate: KeyHolder, signature: bytes, message: bytes
) -> None:
    """Check a signature made with the key of ``certificate``, which must fit the scheme.

    The caller has checked that ``scheme`` is one of ``schemes_for(certificate, legacy=True)``, or
    of ``schemes_for_12(certificate)``.

    Raises:
        InvalidSignature: it is not a signature of ``message`` by that key.
    """
    key = cast("PublicKey", certificate.public_key())
    key.verify(signature, message, *_PARAMETERS[scheme])
