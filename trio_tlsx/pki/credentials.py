"""Credentials: a certificate chain, and a signer for its leaf."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)

from ..clock import utc_now
from ..crypto.signatures import PrivateKey, SignatureScheme, schemes_for, sign
from ..errors import ConfigError
from .certificates import MALFORMED, extension_of, read_file
from .describe import date, issuer_of, subject_of
from .distinguished_names import issuer_name, subject_name
from .issuance import is_signed_by
from .pem import find_private_key, load_certificates

__all__ = ["Credentials", "PrivateKeySigner", "Signer"]

logger = logging.getLogger("trio_tlsx")

MAX_TIMESTAMPS_LENGTH = 2**16 - 1 - 2  # in an extension

#: A stapled OCSP response, or what gives one.
OCSPSource: TypeAlias = bytes | Callable[[], bytes | Awaitable[bytes | None] | None]


class Signer(Protocol):
    """Makes signatures with the key of one certificate, wherever that key lives."""

    @property
    def schemes(self) -> Sequence[SignatureScheme]:
        """What it can sign in, the most wanted first."""
        ...

    def sign(self, scheme: SignatureScheme, message: bytes) -> bytes | Awaitable[bytes]:
        """Sign.

        Args:
            scheme: one of ``schemes``.
            message: all that is to be signed, not its digest (RFC 9846 4.5.2).

        Returns:
            The signature as the scheme encodes it, or an awaitable of it, which is awaited in the
            task that does the handshake and cancelled with it.
        """
        ...


class PrivateKeySigner:
    """A signer whose key is in this process.

    Args:
        private_key: an ECDSA, Ed25519, Ed448, RSA or ML-DSA key of ``cryptography``.
        certificate: the certificate for it.
        schemes: what to sign in, the most wanted first; by default what :func:`schemes_for` gives.

    Raises:
        ConfigError: the certificate is for another key, or the key cannot sign in a scheme.
    """

    def __init__(
        self,
        private_key: PrivateKey,
        certificate: x509.Certificate,
        schemes: Sequence[SignatureScheme] | None = None,
    ) -> None:
        if not _fits(private_key, certificate):
            raise ConfigError(
                f"the private key is not the one of the certificate of {subject_of(certificate)}: "
                "give the key that the certificate was requested with"
            )
        self.private_key = private_key
        self.schemes = schemes_for(certificate) if schemes is None else tuple(schemes)
        if unable := set(self.schemes) - set(schemes_for(certificate, legacy=True)):
            raise ConfigError(
                f"the key of {subject_of(certificate)} cannot sign with "
                + ", ".join(scheme.name for scheme in sorted(unable))
            )

    def sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        """Sign ``message``; ValueError if the key cannot sign in that scheme."""
        return sign(scheme, self.private_key, message)

    def __repr__(self) -> str:
        names = ", ".join(scheme.name for scheme in self.schemes)
        return f"<PrivateKeySigner {names}>"


class Credentials:
    """A certificate chain, leaf first, and what signs for the leaf.

    Everything that would fail every handshake is refused when it is made. What stands after the
    leaf is put in order, each certificate before its issuer; a root at the end does no harm.

    Args:
        chain: the certificates, the leaf first.
        signer: what signs with the leaf's key.

    Attributes:
        chain: the certificates in the order in which they are sent.
        der_chain: the same, encoded.
        signer: what signs.
        ocsp: where the OCSP response about the leaf comes from, see :meth:`stapling`.
        timestamps: the leaf's signed certificate timestamps, see :meth:`with_timestamps`.
        dns_names: the DNS names that the leaf is for, in lower case, wildcards as they stand.
        authorities: who is named in the chain, as issuer or subject, in DER.

    Raises:
        ConfigError: the chain is empty or holds a certificate that has no place in it, TLS cannot
            use the leaf's key, or the signer cannot sign for it.
    """

    def __init__(self, chain: Sequence[x509.Certificate], signer: Signer) -> None:
        if not chain:
            raise ConfigError("the certificate chain is empty: it needs the leaf at least")
        leaf = chain[0]
        try:
            usable = schemes_for(leaf, legacy=True)
            usage = extension_of(leaf, x509.KeyUsage)
            self.dns_names = _dns_names(leaf)
            self.authorities = frozenset(
                name.der for c in chain for name in (issuer_name(c), subject_name(c))
            )
        except MALFORMED as error:
            raise ConfigError(
                f"the certificate of {subject_of(leaf)} or one of its chain is malformed: {error}"
            ) from error
        self.chain = _in_order(leaf, chain[1:])
        self.der_chain = tuple(c.public_bytes(Encoding.DER) for c in self.chain)
        self.signer = signer
        self.ocsp: OCSPSource | None = None
        self.timestamps: tuple[bytes, ...] = ()
        _check_leaf(leaf, usable, usage, signer)
        _warn_of_dates(self.chain)

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
        names = repr(os.fspath(cert)), repr(os.fspath(key))
        return cls._from_pem(read_file(cert), read_file(key), password, *names)

    @classmethod
    def from_pem(
        cls, cert_pem: bytes, key_pem: bytes, password: str | bytes | None = None
    ) -> Credentials:
        """Make credentials from PEM in memory.

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
        """Make credentials from DER in memory.

        Args:
            chain: the certificates, one each, in any order.
            key: the private key (PKCS#8, PKCS#1 or SEC 1).
            password: for an encrypted key.

        Raises:
            ConfigError: as ``from_pem``.
        """
        try:
            certificates = [x509.load_der_x509_certificate(der) for der in chain]
        except MALFORMED as error:
            raise ConfigError(f"a certificate of the chain is not DER: {error}") from error
        return cls._from_key(certificates, _load_key(load_der_private_key, key, password))

    @classmethod
    def from_pkcs12(cls, data: bytes, password: str | bytes | None = None) -> Credentials:
        """Make credentials from a PKCS#12 file's content (``.p12``, ``.pfx``).

        Raises:
            ConfigError: it is not PKCS#12, the password is wrong, it holds no key or no
                certificate for the key.
        """
        try:
            key, leaf, others = pkcs12.load_key_and_certificates(data, _octets(password))
        except ValueError as error:
            raise ConfigError(f"not PKCS#12, or the wrong password: {error}") from error
        if key is None:
            raise ConfigError("the PKCS#12 data holds no private key")
        return cls._from_key([leaf, *others] if leaf else others, key)

    def stapling(self, ocsp: OCSPSource) -> Credentials:
        """The same credentials, with an OCSP response for clients that ask for one.

        Args:
            ocsp: the response in DER (RFC 6960); or a function that is called for each client that
                asks, and gives one, or None where there is none, or an awaitable of that, which is
                awaited in the task that does the handshake. It should keep what it has fetched.
        """
        stapled = copy.copy(self)
        stapled.ocsp = ocsp
        return stapled

    def with_timestamps(self, timestamps: Sequence[bytes]) -> Credentials:
        """The same credentials, with what certificate logs have signed about the leaf.

        A certificate need not hold the timestamps itself: clients that ask get them beside it.

        Args:
            timestamps: signed certificate timestamps (RFC 6962 3.2), each as the log gave it.

        Raises:
            ConfigError: one is empty, or they are too long for their field of 64 KiB.
        """
        if not all(timestamps) or sum(len(one) + 2 for one in timestamps) > MAX_TIMESTAMPS_LENGTH:
            raise ConfigError(
                "signed certificate timestamps are not empty, and together no longer than "
                f"{MAX_TIMESTAMPS_LENGTH} bytes"
            )
        stamped = copy.copy(self)
        stamped.timestamps = tuple(timestamps)
        return stamped

    @classmethod
    def _from_key(cls, certificates: Sequence[x509.Certificate], key: object) -> Credentials:
        if not isinstance(key, PrivateKey):
            raise ConfigError(
                f"TLS has no use for a key of type {type(key).__name__}: "
                "make an ECDSA, Ed25519, Ed448, RSA or ML-DSA key"
            )
        if not certificates:
            raise ConfigError("the certificate chain is empty: it needs the leaf at least")
        for leaf in certificates:
            if _fits(key, leaf):
                break
        else:
            raise ConfigError(
                "the private key is not the one of any of these certificates: "
                + ", ".join(map(subject_of, certificates))
                + "; give the key that the certificate was requested with"
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
    # The errors here are cryptography's own; none of them quotes the key.
    try:
        return load(data, _octets(password))
    except TypeError as error:
        if password is None:
            raise ConfigError("the private key is encrypted: give its password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        fault = "cannot be read" if password is None else "cannot be read with this password"
        raise ConfigError(f"the private key {fault}: {error}") from error
    # A password for a key that needs none does no harm; the stdlib takes it so too.
    return _load_key(load, data, None)


def _fits(key: PrivateKey, certificate: x509.Certificate) -> bool:
    try:
        return key.public_key() == certificate.public_key()
    except MALFORMED:  # a certificate for a key of an unknown kind
        return False


def _in_order(
    leaf: x509.Certificate, others: Sequence[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """The leaf, then each certificate after one that it issued (RFC 9846 4.5.1)."""
    ordered = [leaf]
    waiting = [other for other in dict.fromkeys(others) if other != leaf]
    for child in ordered:  # grows as issuers are found
        issuer = issuer_name(child).canonical
        issuers = [other for other in waiting if subject_name(other).canonical == issuer]
        # A signature that cannot be checked here may still be one that the peer can check.
        signers = [other for other in issuers if is_signed_by(child, other) is not False]
        if issuers and not signers:
            raise ConfigError(
                f"the certificate of {subject_of(child)} was not signed with the key of the "
                f"{subject_of(issuers[0])} in the chain, though it names that as its issuer: "
                "give the issuer's certificate that was in use when it was signed"
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
            f"TLS 1.3 has no signature scheme for the key of {subject_of(leaf)}: make one for "
            "P-256, P-384, P-521, Ed25519, Ed448, RSA or ML-DSA"
        )
    if not set(usable) & set(signer.schemes):
        raise ConfigError(
            f"the signer offers {', '.join(s.name for s in signer.schemes) or 'no scheme'}, but "
            f"the key of {subject_of(leaf)} needs one of {', '.join(s.name for s in usable)}"
        )
    # RFC 9846 4.5.1.2: every peer that follows the RFC would refuse it.
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
    # A warning, not an error: a server must be able to come up so that a certificate can be
    # renewed through it (ACME), it may serve other names well, and the clock may be the one that
    # is wrong. The peer judges the dates in any case.
    now = utc_now()
    for certificate in chain:
        if now > certificate.not_valid_after_utc:
            fault = f"expired on {date(certificate.not_valid_after_utc)}"
        elif now < certificate.not_valid_before_utc:
            fault = f"is not valid before {date(certificate.not_valid_before_utc)}"
        else:
            continue
        logger.warning(
            "credentials: the certificate of %s %s (it is %s now): peers will refuse it",
            subject_of(certificate),
            fault,
            date(now),
        )
