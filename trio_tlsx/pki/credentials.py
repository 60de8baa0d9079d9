"""Credentials: a certificate chain, and a signer for its leaf."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Protocol, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)

from ..arguments import (
    BYTES,
    CALLABLE,
    STR,
    Expected,
    any_of,
    check,
    has_methods,
    instance_of,
    optional,
    sequence_of,
)
from ..clock import utc_now
from ..crypto.signatures import PrivateKey, SignatureScheme, schemes_for, sign
from ..crypto.signatures12 import schemes_for_12
from ..errors import ConfigError
from ..messages.handshake import Certificate, CertificateEntry, encode_message
from .certificates import MALFORMED, extension_of, read_file
from .describe import date, issuer_of, subject_of
from .distinguished_names import issuer_name, subject_name
from .issuance import is_signed_by
from .pem import find_private_key, load_certificates

__all__ = ["Credentials", "PrivateKeySigner", "Signer"]

logger: logging.Logger = logging.getLogger("trio_tlsx")

CHAIN = Expected(
    sequence_of(instance_of(x509.Certificate)),
    "x509.Certificate objects in a list, or call Credentials.from_pem_files(cert, key)",
)
SIGNER = Expected(has_methods("sign"), "an object with the methods of Signer")
SIGNING_KEY = Expected(
    lambda value: isinstance(value, PrivateKey),
    "an ECDSA, Ed25519, Ed448, RSA or ML-DSA private key of cryptography",
)
LEAF = Expected(instance_of(x509.Certificate), "an x509.Certificate of cryptography")
SCHEMES = Expected(
    optional(sequence_of(instance_of(SignatureScheme))), "SignatureScheme members in a list"
)
DER_CHAIN = Expected(sequence_of(BYTES), "certificates in DER, each as bytes, in a list")
KEY_BYTES = Expected(BYTES, "the content of a key file, as bytes")
PASSWORD = Expected(optional(any_of(STR, BYTES)), "a str, bytes or None")
PKCS12 = Expected(BYTES, "the content of a PKCS#12 file, as bytes")
OCSP_SOURCE = Expected(
    any_of(BYTES, CALLABLE), "an OCSP response in DER, or a function that returns it"
)
TIMESTAMPS = Expected(
    sequence_of(BYTES), "signed certificate timestamps, each as bytes, in a list"
)

MAX_TIMESTAMPS_LENGTH = 2**16 - 1 - 2  # in an extension

#: A stapled OCSP response, or a function that returns one.
OCSPSource: TypeAlias = bytes | Callable[[], bytes | Awaitable[bytes | None] | None]


class Signer(Protocol):
    """Signs with the key of one certificate, wherever that key is kept.

    A signer that can sign more in TLS 1.2 may have an attribute ``tls12_schemes``, which is like
    ``schemes``. Without it, TLS 1.2 uses what it has of ``schemes``.
    """

    @property
    def schemes(self) -> Sequence[SignatureScheme]:
        """The signature schemes, the preferred one first."""
        ...

    def sign(self, scheme: SignatureScheme, message: bytes) -> bytes | Awaitable[bytes]:
        """Sign a message.

        Args:
            scheme: one of ``schemes``.
            message: the whole message, not its digest (RFC 9846 4.5.2).

        Returns:
            The signature in the scheme's encoding, or an awaitable of it. The task that does the
            handshake awaits it; cancelling that task cancels it.
        """
        ...


class PrivateKeySigner:
    """A signer whose key is in this process.

    Args:
        private_key: an ECDSA, Ed25519, Ed448, RSA or ML-DSA key of ``cryptography``.
        certificate: the certificate for this key.
        schemes: the signature schemes, the preferred one first; by default those that
            :func:`schemes_for` returns.

    Raises:
        ConfigError: an argument has the wrong type, the certificate is for another key, or the
            key cannot sign in a scheme.
    """

    def __init__(
        self,
        private_key: PrivateKey,
        certificate: x509.Certificate,
        schemes: Sequence[SignatureScheme] | None = None,
    ) -> None:
        check("private_key", private_key, SIGNING_KEY)
        check("certificate", certificate, LEAF)
        check("schemes", schemes, SCHEMES)
        if not _fits(private_key, certificate):
            raise ConfigError(
                f"the private key does not match the certificate of {subject_of(certificate)}: "
                "pass the key that the certificate was requested with"
            )
        self.private_key = private_key
        self.schemes: tuple[SignatureScheme, ...] = (
            schemes_for(certificate) if schemes is None else tuple(schemes)
        )
        of_12 = schemes_for_12(certificate)
        self.tls12_schemes: tuple[SignatureScheme, ...] = (
            of_12 if schemes is None else tuple(scheme for scheme in schemes if scheme in of_12)
        )
        able = schemes_for(certificate, legacy=True)
        self._able = frozenset((*able, *of_12))
        if unable := set(self.schemes).difference(able):
            raise ConfigError(
                f"the key of {subject_of(certificate)} cannot sign with "
                + ", ".join(scheme.name for scheme in sorted(unable))
            )

    def sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        """Sign ``message``; ValueError if the key cannot sign in that scheme."""
        if scheme not in self._able:
            raise ValueError(f"this key cannot sign with {scheme.name}")
        return sign(scheme, self.private_key, message)

    def __repr__(self) -> str:
        names = ", ".join(scheme.name for scheme in self.schemes)
        return f"<PrivateKeySigner {names}>"


class Credentials:
    """A certificate chain, the leaf first, and a signer with the leaf's key.

    A mistake that would fail every handshake raises here. The certificates after the leaf are
    sorted, each before its issuer. The chain may end with a root.

    Args:
        chain: the certificates, the leaf first.
        signer: signs with the leaf's key.

    Attributes:
        chain: the certificates in the order in which they are sent.
        der_chain: the same in DER.
        signer: signs with the leaf's key.
        ocsp: the source of the OCSP response for the leaf, see :meth:`stapling`.
        timestamps: the leaf's signed certificate timestamps, see :meth:`with_timestamps`.
        dns_names: the DNS names of the leaf in lower case, with wildcards.
        authorities: the issuers and subjects of the chain, in DER.

    Raises:
        ConfigError: the chain is empty or has a certificate that does not belong to it, TLS
            cannot use the leaf's key, or the signer cannot sign with it.
    """

    def __init__(self, chain: Sequence[x509.Certificate], signer: Signer) -> None:
        check("chain", chain, CHAIN)
        check("signer", signer, SIGNER)
        if not chain:
            raise ConfigError("the certificate chain is empty: it needs the leaf at least")
        leaf = chain[0]
        try:
            usable = schemes_for(leaf, legacy=True)
            usage = extension_of(leaf, x509.KeyUsage)
            self.dns_names: frozenset[str] = _dns_names(leaf)
            self.authorities: frozenset[bytes] = frozenset(
                name.der for c in chain for name in (issuer_name(c), subject_name(c))
            )
        except MALFORMED as error:
            raise ConfigError(
                f"the certificate of {subject_of(leaf)} or one of its chain is malformed: {error}"
            ) from error
        self.chain: tuple[x509.Certificate, ...] = _in_order(leaf, chain[1:])
        self.der_chain: tuple[bytes, ...] = tuple(c.public_bytes(Encoding.DER) for c in self.chain)
        self.signer = signer
        self.ocsp: OCSPSource | None = None
        self.timestamps: tuple[bytes, ...] = ()
        _check_leaf(leaf, usable, usage, signer)
        _warn_of_dates(self.chain)

    @cached_property
    def certificate_message(self) -> bytes:
        """The chain as a Certificate message without extensions (RFC 9846 4.5.1), encoded once."""
        entries = tuple(CertificateEntry(der, {}) for der in self.der_chain)
        return encode_message(Certificate(b"", entries))

    @classmethod
    def from_pem_files(
        cls,
        cert: str | os.PathLike[str],
        key: str | os.PathLike[str],
        password: str | bytes | None = None,
    ) -> Credentials:
        """Read a certificate chain and its private key from files, which may be the same.

        Args:
            cert: the certificates, in PEM.
            key: the private key, in PEM (PKCS#8, PKCS#1, SEC 1, OpenSSL's own encryption).
            password: for an encrypted key.

        Raises:
            ConfigError: a file cannot be read, or as ``from_pem``.
        """
        pems = read_file(cert), read_file(key)
        return cls._from_pem(*pems, password, repr(os.fspath(cert)), repr(os.fspath(key)))

    @classmethod
    def from_pem(
        cls, cert_pem: bytes, key_pem: bytes, password: str | bytes | None = None
    ) -> Credentials:
        """Load credentials from PEM in memory.

        Args:
            cert_pem: the certificates, in any order. Private keys and parameters beside them are
                skipped.
            key_pem: the private key. Certificates, requests and parameters beside it are skipped.
            password: for an encrypted key.

        Raises:
            ConfigError: there is no certificate or no key, or a PEM block of a kind that does not
                belong there; the password is missing or wrong; no certificate is for this key.
        """
        return cls._from_pem(cert_pem, key_pem, password, "the certificate chain", "key_pem")

    @classmethod
    def _from_pem(
        cls,
        cert_pem: bytes,
        key_pem: bytes,
        password: str | bytes | None,
        cert_name: str,
        key_name: str,
    ) -> Credentials:
        chain = load_certificates(cert_pem, cert_name)
        block = find_private_key(key_pem, key_name)
        return cls._from_key(chain, _load_key(load_pem_private_key, block, password))

    @classmethod
    def from_der(
        cls, chain: Sequence[bytes], key: bytes, password: str | bytes | None = None
    ) -> Credentials:
        """Load credentials from DER in memory.

        Args:
            chain: the certificates, one in each element, in any order.
            key: the private key (PKCS#8, PKCS#1 or SEC 1).
            password: for an encrypted key.

        Raises:
            ConfigError: an argument has the wrong type, or as ``from_pem``.
        """
        check("chain", chain, DER_CHAIN)
        check("key", key, KEY_BYTES)
        try:
            certificates = [x509.load_der_x509_certificate(der) for der in chain]
        except MALFORMED as error:
            raise ConfigError(f"a certificate of the chain is not DER: {error}") from error
        return cls._from_key(certificates, _load_key(load_der_private_key, key, password))

    @classmethod
    def from_pkcs12(cls, data: bytes, password: str | bytes | None = None) -> Credentials:
        """Load credentials from the content of a PKCS#12 file (``.p12``, ``.pfx``).

        Args:
            data: the content of the file.
            password: of the file.

        Raises:
            ConfigError: an argument has the wrong type, the data is not PKCS#12, the password is
                wrong, or there is no key or no certificate for the key.
        """
        check("data", data, PKCS12)
        check("password", password, PASSWORD)
        try:
            key, leaf, others = pkcs12.load_key_and_certificates(data, _octets(password))
        except ValueError as error:
            raise ConfigError(f"not PKCS#12, or the wrong password: {error}") from error
        if key is None:
            raise ConfigError("the PKCS#12 data holds no private key")
        return cls._from_key([leaf, *others] if leaf else others, key)

    def stapling(self, ocsp: OCSPSource) -> Credentials:
        """Return the same credentials with an OCSP response for clients that request one.

        Args:
            ocsp: the response in DER (RFC 6960), or a function that returns it. The function is
                called for each client that requests a response. It returns the response, None if
                there is none, or an awaitable of either, which the task that does the handshake
                awaits. The function should cache the response.

        Raises:
            ConfigError: ``ocsp`` has the wrong type.
        """
        check("ocsp", ocsp, OCSP_SOURCE)
        stapled = copy.copy(self)
        stapled.ocsp = ocsp
        return stapled

    def with_timestamps(self, timestamps: Sequence[bytes]) -> Credentials:
        """Return the same credentials with signed certificate timestamps for the leaf.

        Clients that request timestamps get them beside the certificate, which need not contain
        them.

        Args:
            timestamps: signed certificate timestamps (RFC 6962 3.2), each as the log returned it.

        Raises:
            ConfigError: ``timestamps`` has the wrong type, a timestamp is empty, or all together
                exceed their field of 64 KiB.
        """
        check("timestamps", timestamps, TIMESTAMPS)
        if not all(timestamps) or sum(len(one) + 2 for one in timestamps) > MAX_TIMESTAMPS_LENGTH:
            raise ConfigError(
                "a signed certificate timestamp is empty, or all together are longer than "
                f"{MAX_TIMESTAMPS_LENGTH} bytes"
            )
        stamped = copy.copy(self)
        stamped.timestamps = tuple(timestamps)
        return stamped

    @classmethod
    def _from_key(cls, certificates: Sequence[x509.Certificate], key: object) -> Credentials:
        if not isinstance(key, PrivateKey):
            raise ConfigError(
                f"TLS cannot use a key of type {type(key).__name__}: "
                "create an ECDSA, Ed25519, Ed448, RSA or ML-DSA key"
            )
        if not certificates:
            raise ConfigError("the certificate chain is empty: it needs the leaf at least")
        for leaf in certificates:
            if _fits(key, leaf):
                break
        else:
            raise ConfigError(
                "the private key does not match any of these certificates: "
                + ", ".join(map(subject_of, certificates))
                + "; pass the key that the certificate was requested with"
            )
        others = [certificate for certificate in certificates if certificate is not leaf]
        return cls([leaf, *others], PrivateKeySigner(key, leaf))

    def __repr__(self) -> str:
        return f"<Credentials for {subject_of(self.chain[0])}, {self.signer!r}>"


def _octets(password: str | bytes | None) -> bytes | None:
    return password.encode() if isinstance(password, str) else password


class _Loader(Protocol):
    def __call__(self, data: bytes, password: bytes | None) -> object: ...


def _load_key(load: _Loader, data: bytes, password: str | bytes | None) -> object:
    check("password", password, PASSWORD)
    # The errors here are cryptography's own; none of them quotes the key.
    try:
        return load(data, _octets(password))
    except TypeError as error:
        if password is None:
            raise ConfigError("the private key is encrypted: pass its password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        fault = "cannot be read" if password is None else "cannot be read with this password"
        raise ConfigError(f"the private key {fault}: {error}") from error
    # A password for a key that is not encrypted is ignored, as in the stdlib.
    return _load_key(load, data, None)


def _fits(key: PrivateKey, certificate: x509.Certificate) -> bool:
    try:
        return key.public_key() == certificate.public_key()
    except MALFORMED:  # a certificate for a key of an unknown kind
        return False


def _in_order(
    leaf: x509.Certificate, others: Sequence[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """Sort the chain: the leaf, then each certificate after one that it issued (4.5.1)."""
    ordered = [leaf]
    waiting = [other for other in dict.fromkeys(others) if other != leaf]
    for child in ordered:  # grows as issuers are found
        issuer = issuer_name(child).canonical
        issuers = [other for other in waiting if subject_name(other).canonical == issuer]
        # A signature that cannot be checked here may still be one that the peer can check.
        signers = [other for other in issuers if is_signed_by(child, other) is not False]
        if issuers and not signers:
            raise ConfigError(
                f"the certificate of {subject_of(child)} was not signed with the key of "
                f"{subject_of(issuers[0])} in the chain, though it names that as its issuer: "
                "pass the issuer's certificate that was in use when it was signed"
            )
        ordered += signers
        waiting = [other for other in waiting if other not in signers]
    if waiting:
        raise ConfigError(
            f"the certificate of {subject_of(waiting[0])} does not belong to the chain of "
            f"{subject_of(leaf)}: it issued none of its certificates; leave it out, or add the "
            f"one that is missing between them ({issuer_of(ordered[-1])})"
        )
    return tuple(ordered)


def _check_leaf(
    leaf: x509.Certificate,
    usable: Sequence[SignatureScheme],
    usage: x509.KeyUsage | None,
    signer: Signer,
) -> None:
    if not usable:
        raise ConfigError(
            f"TLS 1.3 has no signature scheme for the key of {subject_of(leaf)}: create one for "
            "P-256, P-384, P-521, Ed25519, Ed448, RSA or ML-DSA"
        )
    if not set(usable) & set(signer.schemes):
        raise ConfigError(
            f"the signer offers {', '.join(s.name for s in signer.schemes) or 'no scheme'}, but "
            f"the key of {subject_of(leaf)} needs one of {', '.join(s.name for s in usable)}"
        )
    # RFC 9846 4.5.1.2: every peer that follows the RFC rejects such a certificate.
    if usage and not usage.digital_signature:
        raise ConfigError(
            f"the key usage of the certificate of {subject_of(leaf)} does not allow "
            "digitalSignature, without which TLS 1.3 cannot use it: have it issued with that"
        )


def _dns_names(leaf: x509.Certificate) -> frozenset[str]:
    san = extension_of(leaf, x509.SubjectAlternativeName)
    names = san.get_values_for_type(x509.DNSName) if san else ()
    return frozenset(name.lower().removesuffix(".") for name in names)


def _warn_of_dates(chain: Sequence[x509.Certificate]) -> None:
    # A warning, not an error: a server must be able to start so that a certificate can be
    # renewed through it (ACME), its other names may be fine, and this clock may be wrong. The
    # peer verifies the dates in any case.
    now = utc_now()
    for certificate in chain:
        if now > certificate.not_valid_after_utc:
            fault = f"expired on {date(certificate.not_valid_after_utc)}"
        elif now < certificate.not_valid_before_utc:
            fault = f"is not valid before {date(certificate.not_valid_before_utc)}"
        else:
            continue
        logger.warning(
            "credentials: the certificate of %s %s (it is %s now): peers will reject it",
            subject_of(certificate),
            fault,
            date(now),
        )
