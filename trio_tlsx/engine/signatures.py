"""The signature schemes of CertificateVerify and of certificates (RFC 9846 4.3.3)."""

from __future__ import annotations

import enum
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.x509.oid import PublicKeyAlgorithmOID

__all__ = [
    "CERTIFICATE_ONLY_SCHEMES",
    "CERTIFICATE_VERIFY_SCHEMES",
    "PrivateKey",
    "SignatureScheme",
    "schemes_for",
    "sign",
    "verify",
]

PrivateKey: TypeAlias = (
    ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | rsa.RSAPrivateKey
)


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
    # For the signatures of certificates only, never for CertificateVerify (RFC 9846 4.3.3).
    rsa_pkcs1_sha256 = 0x0401
    rsa_pkcs1_sha384 = 0x0501
    rsa_pkcs1_sha512 = 0x0601


_Scheme = SignatureScheme

# TLS 1.3 binds the curve to the hash (RFC 9846 4.3.3), so the curve alone names the scheme.
_ECDSA: dict[str, tuple[SignatureScheme, HashAlgorithm]] = {
    "secp256r1": (_Scheme.ecdsa_secp256r1_sha256, SHA256()),
    "secp384r1": (_Scheme.ecdsa_secp384r1_sha384, SHA384()),
    "secp521r1": (_Scheme.ecdsa_secp521r1_sha512, SHA512()),
}

_RSA_PSS: dict[SignatureScheme, HashAlgorithm] = {
    _Scheme.rsa_pss_rsae_sha256: SHA256(),
    _Scheme.rsa_pss_rsae_sha384: SHA384(),
    _Scheme.rsa_pss_rsae_sha512: SHA512(),
    _Scheme.rsa_pss_pss_sha256: SHA256(),
    _Scheme.rsa_pss_pss_sha384: SHA384(),
    _Scheme.rsa_pss_pss_sha512: SHA512(),
}
_RSAE = tuple(scheme for scheme in _RSA_PSS if "_rsae_" in scheme.name)
_PSS = tuple(scheme for scheme in _RSA_PSS if "_pss_pss_" in scheme.name)

#: The schemes that a CertificateVerify of TLS 1.3 may use, in order of preference.
CERTIFICATE_VERIFY_SCHEMES = tuple(
    scheme for scheme in SignatureScheme if not scheme.name.startswith("rsa_pkcs1_")
)

#: What certificates, but not CertificateVerify, may still be signed with.
CERTIFICATE_ONLY_SCHEMES = tuple(
    scheme for scheme in SignatureScheme if scheme not in CERTIFICATE_VERIFY_SCHEMES
)


def schemes_for(certificate: x509.Certificate) -> tuple[SignatureScheme, ...]:
    """The schemes in which the holder of this certificate's key can sign a CertificateVerify.

    Empty where TLS 1.3 has no scheme for such a key.
    """
    if certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS:
        return _PSS
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        known = _ECDSA.get(key.curve.name)
        return (known[0],) if known else ()
    if isinstance(key, ed25519.Ed25519PublicKey):
        return (_Scheme.ed25519,)
    if isinstance(key, ed448.Ed448PublicKey):
        return (_Scheme.ed448,)
    if isinstance(key, rsa.RSAPublicKey):
        # A PSS signature with SHA-512 needs 130 bytes of modulus (RFC 8017 9.1.1).
        return tuple(s for s in _RSAE if key.key_size >= 16 * _RSA_PSS[s].digest_size + 16)
    return ()


def sign(scheme: SignatureScheme, key: PrivateKey, message: bytes) -> bytes:
    """Sign ``message``.

    Raises:
        ValueError: ``key`` cannot sign in this scheme.
    """
    if isinstance(key, ec.EllipticCurvePrivateKey):
        expected, digest = _ECDSA.get(key.curve.name, (None, None))
        if scheme is expected and digest is not None:
            return key.sign(message, ec.ECDSA(digest))
    elif isinstance(key, rsa.RSAPrivateKey):
        if scheme in _RSA_PSS:
            digest = _RSA_PSS[scheme]
            pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
            return key.sign(message, pss, digest)
    elif (scheme is _Scheme.ed25519 and isinstance(key, ed25519.Ed25519PrivateKey)) or (
        scheme is _Scheme.ed448 and isinstance(key, ed448.Ed448PrivateKey)
    ):
        return key.sign(message)
    raise ValueError(f"this key cannot sign with {scheme.name}")


def verify(
    scheme: SignatureScheme, certificate: x509.Certificate, signature: bytes, message: bytes
) -> None:
    """Check a signature made with the key of ``certificate``, which must fit the scheme.

    The caller has checked that ``scheme`` is one of ``schemes_for(certificate)``.

    Raises:
        InvalidSignature: it is not a signature of ``message`` by that key.
    """
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, message, ec.ECDSA(_ECDSA[key.curve.name][1]))
    elif isinstance(key, rsa.RSAPublicKey):
        digest = _RSA_PSS[scheme]
        # RFC 9846 4.3.3: the salt is as long as the digest, and the mask uses the same hash.
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        key.verify(signature, message, pss, digest)
    elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        key.verify(signature, message)
    else:
        raise ValueError(f"no signature scheme of TLS 1.3 fits a {type(key).__name__}")
