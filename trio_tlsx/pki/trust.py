"""Trust stores: the trusted certificate authorities."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.x509.verification import Store

from ..arguments import (
    BOOL,
    BYTES,
    PATH,
    STR,
    Expected,
    any_of,
    check,
    instance_of,
    listed,
    sequence_of,
)
from ..crypto.signatures import PublicKey
from ..errors import CertificateError, ConfigError
from .certificates import MALFORMED, read_file
from .distinguished_names import Canonical, subject_name
from .pem import CERTIFICATES, has_certificates, load_certificates, pem_blocks
from .public_keys import RawPublicKey, decode_pin
from .rsa_keys import check_rsa_strength
from .verified_paths import VerifiedPaths

__all__ = ["TrustStore", "Verifier"]

#: The code that builds paths from a peer's certificate to a trusted one, and checks signatures.
Verifier: TypeAlias = Literal["cryptography", "openssl"]
VERIFIERS = ("cryptography", "openssl")

logger: logging.Logger = logging.getLogger("trio_tlsx")

#: How OpenSSL names the files of a directory that it looks certificates up in: their subject's
#: hash and a number (openssl-rehash(1)).
HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")

SERVER_AUTH = "1.3.6.1.5.5.7.3.1"

DIRECTORY = Expected(PATH, "the path of a directory, a str or a Path")
CACHE_PATHS = Expected(BOOL, "True or False")
TRUST_ANCHORS = Expected(
    sequence_of(instance_of(x509.Certificate)),
    "x509.Certificate objects, or call TrustStore.from_pem_file(path) or TrustStore.from_pem(pem)",
)
PUBLIC_KEYS = Expected(
    sequence_of(
        any_of(instance_of(RawPublicKey), lambda key: isinstance(key, PublicKey), BYTES, STR)
    ),
    "a list of public keys of cryptography, RawPublicKeys, SubjectPublicKeyInfos as bytes in DER "
    "or PEM, or pins as spki_pin() returns them",
)

#: A trusted public key, or its pin.
TrustedKey: TypeAlias = RawPublicKey | PublicKey | bytes | str


class TrustStore:
    """The certificates at which a chain may end: CAs, or single servers' own; and public keys.

    Create it once and share it: the slow work is done at creation.

    The public keys are those of peers without certificates (RFC 7250). A configuration whose trust
    store has public keys lets its peer send a raw public key. The key has to be one of them. It is
    not bound to a name.

    The verifier is the code that builds the path from the peer's certificate to a trusted one and
    checks its signatures. Both verifiers check names, purposes, keys and dates in the same way.

    - ``"cryptography"``, the default, has the profile of the web, opened up for private CAs.
    - ``"openssl"`` accepts more of what old and private PKIs issue: CAs with Ed25519 and Ed448
      keys, issuer names that differ in case, white space or string type, RSA-PSS with other salts,
      GeneralizedTime before 2050, serial numbers of any size and sign, critical certificate
      policies. It needs the extra: ``pip install 'trio-tlsx[openssl]'``.

    Args:
        certificates: the trusted certificates.
        verifier: ``"cryptography"`` or ``"openssl"``.
        cache_paths: keep the last 128 verified paths, so that a peer with the same chain and name
            is not verified anew as long as all certificates of its path are valid. ``verify``
            hooks are called for each connection in any case.
        public_keys: the trusted public keys, or their pins; see :meth:`from_public_keys`.

    Attributes:
        pins: the SHA-256 of each trusted public key.

    Raises:
        ConfigError: there is no certificate and no public key, the verifier is unknown, or its
            package is missing.
    """

    def __init__(
        self,
        certificates: Iterable[x509.Certificate],
        *,
        verifier: Verifier = "cryptography",
        cache_paths: bool = True,
        public_keys: Iterable[TrustedKey] = (),
    ) -> None:
        if verifier not in VERIFIERS:
            raise ConfigError(
                f"verifier={verifier!r} is unknown: pass " + " or ".join(map(repr, VERIFIERS))
            )
        anchors = listed(certificates)
        check("certificates", anchors, TRUST_ANCHORS)
        keys = listed(public_keys)
        check("public_keys", keys, PUBLIC_KEYS)
        self.pins: frozenset[bytes] = frozenset(map(_pin, keys))
        self._certificates = tuple(dict.fromkeys(anchors))
        if not self._certificates and not self.pins:
            raise ConfigError(
                "the trust store is empty: pass at least one certificate or public key"
            )
        check("cache_paths", cache_paths, CACHE_PATHS)
        self._verifier: Verifier = verifier
        #: The paths that were verified with these certificates; None without a cache.
        self.verified_paths: VerifiedPaths | None = VerifiedPaths() if cache_paths else None
        #: For the verifier of ``cryptography``; None if there are only public keys.
        self.store: Store | None = Store(list(self._certificates)) if self._certificates else None
        #: For OpenSSL's; None if the other one verifies.
        self.openssl_store: OpenSSLStore | None = None
        if verifier == "openssl":
            from .openssl_store import OpenSSLStore  # only this verifier needs it

            self.openssl_store = OpenSSLStore(self._certificates)

    @classmethod
    def platform(
        cls, *, verifier: Verifier = "cryptography", cache_paths: bool = True
    ) -> TrustStore:
        """Return the CAs that this machine trusts, loaded once per process.

        On Unix these are OpenSSL's defaults, including the environment variables
        ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``; on Windows the system's ``ROOT`` store; on macOS
        the same as on Unix or, if that has none, those of the package ``certifi`` if it is
        installed. Certificates that cannot be parsed are skipped.

        Args:
            verifier: as for :class:`TrustStore`.
            cache_paths: as for :class:`TrustStore`.

        Raises:
            ConfigError: there is none, or as :class:`TrustStore`.
        """
        if verifier == "cryptography" and cache_paths is True:
            return _platform()
        return _platform_with(verifier, cache_paths)

    @classmethod
    def from_pem_file(
        cls,
        path: str | os.PathLike[str],
        *,
        verifier: Verifier = "cryptography",
        cache_paths: bool = True,
    ) -> TrustStore:
        """Trust the certificates of a file in PEM.

        Args:
            path: the file. Blocks of other kinds in it are an error; see :meth:`from_pem`.
            verifier: as for :class:`TrustStore`.
            cache_paths: as for :class:`TrustStore`.

        Raises:
            ConfigError: the file cannot be read, or as :meth:`from_pem`.
        """
        pem = read_file(path)
        return cls(
            load_certificates(pem, repr(os.fspath(path))),
            verifier=verifier,
            cache_paths=cache_paths,
        )

    @classmethod
    def from_directory(
        cls,
        path: str | os.PathLike[str],
        *,
        verifier: Verifier = "cryptography",
        cache_paths: bool = True,
    ) -> TrustStore:
        """Trust the certificates of all the PEM files in a directory, whatever their names.

        Files without a certificate and subdirectories are skipped.

        Args:
            path: the directory.
            verifier: as for :class:`TrustStore`.
            cache_paths: as for :class:`TrustStore`.

        Raises:
            ConfigError: the directory cannot be read, holds no certificate, or a broken one.
        """
        certificates: list[x509.Certificate] = []
        for file in _files(path):
            pem = read_file(file)
            if has_certificates(pem):
                certificates += load_certificates(pem, repr(os.fspath(file)))
        if not certificates:
            raise ConfigError(f"no file in {os.fspath(path)!r} holds a certificate in PEM")
        return cls(certificates, verifier=verifier, cache_paths=cache_paths)

    @classmethod
    def from_pem(
        cls, pem: bytes, *, verifier: Verifier = "cryptography", cache_paths: bool = True
    ) -> TrustStore:
        """Trust the certificates of PEM in memory.

        Args:
            pem: the certificates, and text between them.
            verifier: as for :class:`TrustStore`.
            cache_paths: as for :class:`TrustStore`.

        Raises:
            ConfigError: there is no certificate, or a broken one; or as :class:`TrustStore`.
        """
        certificates = load_certificates(pem, "the trust store")
        return cls(certificates, verifier=verifier, cache_paths=cache_paths)

    @classmethod
    def from_certificates(
        cls,
        certificates: Iterable[x509.Certificate],
        *,
        verifier: Verifier = "cryptography",
        cache_paths: bool = True,
    ) -> TrustStore:
        """Trust these certificates.

        Args:
            certificates: the trusted certificates.
            verifier: as for :class:`TrustStore`.
            cache_paths: as for :class:`TrustStore`.

        Raises:
            ConfigError: as :class:`TrustStore`.
        """
        return cls(certificates, verifier=verifier, cache_paths=cache_paths)

    @classmethod
    def from_public_keys(cls, public_keys: Iterable[TrustedKey]) -> TrustStore:
        """Trust these raw public keys (RFC 7250), and no certificate.

        Args:
            public_keys: each one a public key of ``cryptography``, a :class:`RawPublicKey`, a
                SubjectPublicKeyInfo as bytes in DER or PEM, or a pin as :func:`spki_pin` returns
                it.

        Raises:
            ConfigError: there is none, or one has the wrong type or cannot be decoded.
        """
        return cls((), public_keys=public_keys)

    @property
    def verifier(self) -> Verifier:
        """The code that builds paths and checks signatures."""
        return self._verifier

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The trusted certificates, each once."""
        return self._certificates

    def load_certificate(self, der: bytes) -> x509.Certificate:
        """Load a peer's certificate, or return it if it was on a verified path.

        Raises:
            ValueError: it cannot be parsed (or one of ``MALFORMED``).
        """
        known = None if self.verified_paths is None else self.verified_paths.certificate(der)
        return x509.load_der_x509_certificate(der) if known is None else known

    def with_subject(self, name: Canonical) -> Sequence[x509.Certificate]:
        """Return the trusted certificates of this name, as RFC 5280 7.1 compares names."""
        return self._by_subject.get(name, ())

    @functools.cached_property
    def _by_subject(self) -> dict[Canonical, list[x509.Certificate]]:
        # Only the explanation of a refusal needs it. Parsing the names of a platform's store
        # takes milliseconds.
        found: dict[Canonical, list[x509.Certificate]] = {}
        for certificate in self._certificates:
            found.setdefault(subject_name(certificate).canonical, []).append(certificate)
        return found

    def __contains__(self, certificate: x509.Certificate) -> bool:
        return certificate in self._certificates

    def __len__(self) -> int:
        return len(self._certificates)

    def __repr__(self) -> str:
        keys = f", {len(self.pins)} public keys" if self.pins else ""
        verifier = ", verified by OpenSSL" if self.openssl_store else ""
        return f"<TrustStore of {len(self)} certificates{keys}{verifier}>"


def _pin(key: TrustedKey) -> bytes:
    """Return the SHA-256 of a trusted key."""
    if isinstance(key, str):
        return decode_pin(key)
    raw = key if isinstance(key, RawPublicKey) else RawPublicKey.of(key)
    try:
        check_rsa_strength(raw)
    except CertificateError as error:
        raise ConfigError(f"a trusted public key could never be accepted: {error}") from error
    return raw.digest


def _files(path: str | os.PathLike[str]) -> list[Path]:
    check("path", path, DIRECTORY)
    try:
        return sorted(file for file in Path(path).iterdir() if file.is_file())
    except OSError as error:
        raise ConfigError(f"cannot read {os.fspath(path)!r}: {error.strerror}") from error


def load_platform() -> TrustStore:
    """Read the CAs that this machine trusts; ConfigError if there is none."""
    # Imported here because nothing else needs OpenSSL's own TLS in the process.
    import ssl

    if sys.platform == "win32":
        roots = _windows_roots(ssl.enum_certificates("ROOT"))
        return _trust(
            "Windows' certificate store ROOT", _readable(roots, x509.load_der_x509_certificate)
        )
    paths = ssl.get_default_verify_paths()
    file = os.environ.get(paths.openssl_cafile_env) or paths.openssl_cafile
    directories = os.environ.get(paths.openssl_capath_env) or paths.openssl_capath
    sources = f"{file!r} and {directories!r}"
    load_pem = x509.load_pem_x509_certificate
    certificates = [*_readable(_unix_blocks(file, directories), load_pem)]
    chosen = {paths.openssl_cafile_env, paths.openssl_capath_env} & os.environ.keys()
    # A variable selects these CAs alone: a typing error in it must not widen trust.
    if not certificates and not chosen and sys.platform == "darwin":
        sources += " (nor is the package certifi installed, which would be used instead)"
        certificates = [*_readable(_certifi_blocks(), load_pem)]
    return _trust(sources, certificates)


_platform = functools.cache(load_platform)


@functools.cache
def _platform_with(verifier: Verifier, cache_paths: bool) -> TrustStore:
    return TrustStore(_platform().certificates, verifier=verifier, cache_paths=cache_paths)


def _trust(sources: str, certificates: Iterable[x509.Certificate]) -> TrustStore:
    found = [*certificates]
    if not found:
        raise ConfigError(
            f"this machine's trust store is empty: no certificate in {sources}; install the "
            "system's CA certificates (Debian: package ca-certificates) or pass trust="
        )
    return TrustStore(found)


def _unix_blocks(file: str, directories: str) -> Iterator[bytes]:
    if os.path.isfile(file):
        yield from _certificate_blocks(Path(file))
    for directory in directories.split(os.pathsep):
        if os.path.isdir(directory):
            for path in _files(directory):
                if HASHED_NAME.fullmatch(path.name):
                    yield from _certificate_blocks(path)


def _certificate_blocks(path: Path) -> Iterator[bytes]:
    skipped: set[str] = set()
    for block in pem_blocks(path.read_bytes()):
        if block.label in CERTIFICATES and block.pem is not None:
            yield block.pem
        else:
            skipped.add(block.label)
    if skipped:
        logger.warning(
            "the platform's trust store: %r has blocks that are not read: %s",
            str(path),
            ", ".join(sorted(skipped)),
        )


def _certifi_blocks() -> Iterator[bytes]:
    try:
        certifi = importlib.import_module("certifi")
    except ImportError:
        return
    yield from _certificate_blocks(Path(certifi.where()))


def _windows_roots(
    entries: Iterable[tuple[bytes, str, Collection[str] | bool]],
) -> Iterator[bytes]:
    for octets, encoding, purposes in entries:
        # True means every purpose. A PKCS#7 bundle is not a single certificate.
        trusted = purposes if isinstance(purposes, bool) else SERVER_AUTH in purposes
        if encoding == "x509_asn" and trusted:
            yield octets


def _readable(
    encoded: Iterable[bytes], load: Callable[[bytes], x509.Certificate]
) -> Iterator[x509.Certificate]:
    # The platform chose these CAs. One that cannot be read must not stop the program, and a
    # warning about it would not help the user.
    for block in encoded:
        try:
            with warnings.catch_warnings(action="ignore"):
                certificate = load(block)
        except MALFORMED as error:
            logger.debug("a certificate of the platform's trust store is skipped: %s", error)
        else:
            yield certificate
