"""Credentials: a certificate chain, and a signer for its leaf."""

from __future__ import annotations

import copy
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
from ..crypto.signatures import PrivateKey, SignatureScheme, schemes_for, sign
from ..crypto.signatures12 import schemes_for_12
from ..errors import ConfigError
from ..messages.certificate_types import CertificateType
from ..messages.handshake import Certificate, CertificateEntry, encode_message
from .certificates import MALFORMED, extension_of, read_file
from .chains import check_dates, check_key_usage, check_schemes, dns_names_of, fits, in_order
from .describe import subject_of
from .distinguished_names import issuer_name, subject_name
from .pem import find_private_key, load_certificates
from .public_keys import RawPublicKey, label_of, owner_of

__all__ = ["Credentials", "PrivateKeySigner", "Signer"]

CHAIN = Expected(
    sequence_of(instance_of(x509.Certificate)),
    "x509.Certificate objects in a list, or call Credentials.from_pem_files(cert, key)",
)
SIGNER = Expected(has_methods("sign"), "an object with the methods of Signer")
SIGNING_KEY = Expected(
    lambda value: isinstance(value, PrivateKey),
    "an ECDSA, Ed25519, Ed448, RSA or ML-DSA private key of cryptography",
)
RAW_PRIVATE_KEY = Expected(
    any_of(lambda value: isinstance(value, PrivateKey), BYTES),
    "an ECDSA, Ed25519, Ed448, RSA or ML-DSA private key of cryptography, or one in PEM as bytes",
)
LEAF = Expected(
    instance_of(x509.Certificate, RawPublicKey),
    "an x509.Certificate of cryptography, or a RawPublicKey",
)
RAW_KEY = Expected(instance_of(RawPublicKey), "a RawPublicKey, as RawPublicKey.of(key) returns it")
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
        certificate: the certificate for this key, or its :class:`RawPublicKey`.
        schemes: the signature schemes, the preferred one first; by default those that
            :func:`schemes_for` returns.

    Raises:
        ConfigError: an argument has the wrong type, the certificate is for another key, or the
            key cannot sign in a scheme.
    """

    def __init__(
        self,
        private_key: PrivateKey,
        certificate: x509.Certificate | RawPublicKey,
        schemes: Sequence[SignatureScheme] | None = None,
    ) -> None:
        check("private_key", private_key, SIGNING_KEY)
        check("certificate", certificate, LEAF)
        check("schemes", schemes, SCHEMES)
        if not fits(private_key, certificate):
            raise ConfigError(
                f"the private key does not match {owner_of(certificate)}: pass the key that it "
                "was made with"
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
                f"the key of {label_of(certificate)} cannot sign with "
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

    :meth:`from_raw_key` and :meth:`for_raw_public_key` return credentials without a certificate:
    a raw public key (RFC 7250).

    Args:
        chain: the certificates, the leaf first.
        signer: signs with the leaf's key.

    Attributes:
        chain: the certificates in the order in which they are sent. Empty for a raw public key.
        der_chain: the same in DER; or the raw public key.
        signer: signs with the leaf's key.
        ocsp: the source of the OCSP response for the leaf, see :meth:`stapling`.
        timestamps: the leaf's signed certificate timestamps, see :meth:`with_timestamps`.
        dns_names: the DNS names of the leaf in lower case, with wildcards.
        authorities: the issuers and subjects of the chain, in DER.
        raw_public_key: the public key that is sent in place of certificates; None if there are
            certificates.
        certificate_type: the type of what is sent.

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
            self.dns_names: frozenset[str] = dns_names_of(leaf)
            self.authorities: frozenset[bytes] = frozenset(
                name.der for c in chain for name in (issuer_name(c), subject_name(c))
            )
        except MALFORMED as error:
            raise ConfigError(
                f"the certificate of {subject_of(leaf)} or one of its chain is malformed: {error}"
            ) from error
        self.chain: tuple[x509.Certificate, ...] = in_order(leaf, chain[1:])
        self.der_chain: tuple[bytes, ...] = tuple(c.public_bytes(Encoding.DER) for c in self.chain)
        self.signer = signer
        self.ocsp: OCSPSource | None = None
        self.timestamps: tuple[bytes, ...] = ()
        self.raw_public_key: RawPublicKey | None = None
        self.certificate_type: CertificateType = CertificateType.X509
        check_schemes(leaf, usable, signer.schemes)
        check_key_usage(leaf, usage)
        check_dates(self.chain)

    @property
    def leaf(self) -> x509.Certificate | RawPublicKey:
        """The certificate or the raw public key that the signer has the key of."""
        return self.raw_public_key or self.chain[0]

    @cached_property
    def certificate_message(self) -> bytes:
        """The chain as a Certificate message without extensions (RFC 9846 4.5.1), encoded once."""
        entries = tuple(CertificateEntry(der, {}) for der in self.der_chain)
        return encode_message(Certificate(b"", entries))

    @classmethod
    def for_raw_public_key(cls, public_key: RawPublicKey, signer: Signer) -> Credentials:
        """Return credentials that are a raw public key (RFC 7250), without a certificate.

        Only a peer that accepts raw public keys gets it.

        Args:
            public_key: the key.
            signer: signs with it.

        Raises:
            ConfigError: an argument has the wrong type, or the signer cannot sign with the key.
        """
        check("public_key", public_key, RAW_KEY)
        check("signer", signer, SIGNER)
        check_schemes(public_key, schemes_for(public_key, legacy=True), signer.schemes)
        made = cls.__new__(cls)
        made.chain, made.der_chain = (), (public_key.der,)
        made.signer, made.raw_public_key = signer, public_key
        made.certificate_type = CertificateType.RawPublicKey
        made.ocsp, made.timestamps = None, ()
        made.dns_names, made.authorities = frozenset(), frozenset()
        return made

    @classmethod
    def from_raw_key(
        cls, key: PrivateKey | bytes, password: str | bytes | None = None
    ) -> Credentials:
        """Return credentials that are the raw public key (RFC 7250) of a private key.

        Args:
            key: a private key of ``cryptography``, or one in PEM.
            password: for an encrypted key in PEM.

        Raises:
            ConfigError: ``key`` has the wrong type, the PEM has no key, TLS cannot use the key, or
                the password is missing or wrong.
        """
        check("key", key, RAW_PRIVATE_KEY)
        if isinstance(key, bytes):
            block = find_private_key(key, "key")
            key = _usable(_load_key(load_pem_private_key, block, password))
        public_key = RawPublicKey.of(key.public_key())
        return cls.for_raw_public_key(public_key, PrivateKeySigner(key, public_key))

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
        names = repr(os.fspath(cert)), repr(os.fspath(key))
        return cls._from_pem(*pems, password, *names, files=f" ({names[0]} and {names[1]})")

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
        files: str = "",
    ) -> Credentials:
        chain = load_certificates(cert_pem, cert_name)
        block = find_private_key(key_pem, key_name)
        return cls._from_key(chain, _load_key(load_pem_private_key, block, password), files)

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
            ConfigError: ``ocsp`` has the wrong type, or there is only a raw public key.
        """
        check("ocsp", ocsp, OCSP_SOURCE)
        self._check_certified("OCSP response")
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
            ConfigError: ``timestamps`` has the wrong type, a timestamp is empty, all together
                exceed their field of 64 KiB, or there is only a raw public key.
        """
        check("timestamps", timestamps, TIMESTAMPS)
        self._check_certified("signed certificate timestamp")
        if not all(timestamps) or sum(len(one) + 2 for one in timestamps) > MAX_TIMESTAMPS_LENGTH:
            raise ConfigError(
                "a signed certificate timestamp is empty, or all together are longer than "
                f"{MAX_TIMESTAMPS_LENGTH} bytes"
            )
        stamped = copy.copy(self)
        stamped.timestamps = tuple(timestamps)
        return stamped

    def _check_certified(self, statement: str) -> None:
        if self.raw_public_key is not None:
            raise ConfigError(
                f"these credentials are a raw public key, and no {statement} is about one: leave "
                "it out"
            )

    @classmethod
    def _from_key(
        cls, certificates: Sequence[x509.Certificate], loaded: object, files: str = ""
    ) -> Credentials:
        key = _usable(loaded)
        if not certificates:
            raise ConfigError("the certificate chain is empty: it needs the leaf at least")
        for leaf in certificates:
            if fits(key, leaf):
                break
        else:
            raise ConfigError(
                "the private key does not match any of these certificates: "
                + ", ".join(map(subject_of, certificates))
                + f"{files}; pass the key that the certificate was requested with"
            )
        others = [certificate for certificate in certificates if certificate is not leaf]
        return cls([leaf, *others], PrivateKeySigner(key, leaf))

    def __repr__(self) -> str:
        return f"<Credentials for {label_of(self.leaf)}, {self.signer!r}>"


def _usable(key: object) -> PrivateKey:
    if isinstance(key, PrivateKey):
        return key
    raise ConfigError(
        f"TLS cannot use a key of type {type(key).__name__}: "
        "create an ECDSA, Ed25519, Ed448, RSA or ML-DSA key"
    )


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
