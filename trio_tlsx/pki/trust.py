"""The certificate authorities that one trusts."""

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

from cryptography import x509
from cryptography.x509.verification import Store

from ..errors import ConfigError
from .certificates import MALFORMED, certificate_blocks, load_certificates, read_file

__all__ = ["TrustStore"]

logger = logging.getLogger("trio_tlsx")

#: How OpenSSL names the files of a directory that it looks certificates up in: their subject's
#: hash and a number (openssl-rehash(1)).
HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")

SERVER_AUTH = "1.3.6.1.5.5.7.3.1"


class TrustStore:
    """The certificates at which a chain may end: CAs, or single servers' own.

    Make it once and share it: what takes time is done when it is made.
    """

    def __init__(self, certificates: Iterable[x509.Certificate]) -> None:
        self._certificates = tuple(dict.fromkeys(certificates))
        if not self._certificates:
            raise ConfigError("the trust store is empty: nobody would be trusted")
        #: For the verifier of ``cryptography``.
        self.store = Store(list(self._certificates))

    @classmethod
    def platform(cls) -> TrustStore:
        """The CAs that this machine trusts, loaded once per process.

        On Unix what OpenSSL takes by default, the environment variables ``SSL_CERT_FILE`` and
        ``SSL_CERT_DIR`` included; on Windows the system's ``ROOT`` store; on macOS as on Unix or,
        where that finds nothing, the package ``certifi`` if it is installed. Certificates that
        cannot be parsed are skipped.

        Raises:
            ConfigError: there is none.
        """
        return _platform()

    @classmethod
    def from_pem_file(cls, path: str | os.PathLike[str]) -> TrustStore:
        """Trust the certificates of a file in PEM.

        Raises:
            ConfigError: it cannot be read, holds no certificate, or a broken one.
        """
        return cls(load_certificates(read_file(path), repr(os.fspath(path))))

    @classmethod
    def from_directory(cls, path: str | os.PathLike[str]) -> TrustStore:
        """Trust the certificates of all the PEM files in a directory, whatever their names.

        Files without a certificate and subdirectories are skipped.

        Raises:
            ConfigError: it cannot be read, holds no certificate, or a broken one.
        """
        certificates: list[x509.Certificate] = []
        for file in _files(path):
            pem = read_file(file)
            if any(certificate_blocks(pem)):
                certificates += load_certificates(pem, repr(os.fspath(file)))
        if not certificates:
            raise ConfigError(f"no file in {os.fspath(path)!r} holds a certificate in PEM")
        return cls(certificates)

    @classmethod
    def from_pem(cls, pem: bytes) -> TrustStore:
        """Trust the certificates of PEM in memory.

        Raises:
            ConfigError: there is no certificate, or a broken one.
        """
        return cls(load_certificates(pem, "the trust store"))

    @classmethod
    def from_certificates(cls, certificates: Iterable[x509.Certificate]) -> TrustStore:
        """Trust these certificates.

        Raises:
            ConfigError: there is none.
        """
        return cls(certificates)

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The trusted certificates, each once."""
        return self._certificates

    def with_subject(self, name: x509.Name) -> Sequence[x509.Certificate]:
        """The trusted certificates of this name."""
        return self._by_subject.get(name, ())

    @functools.cached_property
    def _by_subject(self) -> dict[x509.Name, list[x509.Certificate]]:
        # Only explaining a refusal needs it: parsing the names of a platform's store takes a
        # millisecond.
        found: dict[x509.Name, list[x509.Certificate]] = {}
        for certificate in self._certificates:
            found.setdefault(certificate.subject, []).append(certificate)
        return found

    def __contains__(self, certificate: x509.Certificate) -> bool:
        return certificate in self._certificates

    def __len__(self) -> int:
        return len(self._certificates)

    def __repr__(self) -> str:
        return f"<TrustStore of {len(self)} certificates>"


def _files(path: str | os.PathLike[str]) -> list[Path]:
    try:
        return sorted(file for file in Path(path).iterdir() if file.is_file())
    except OSError as error:
        raise ConfigError(f"cannot read {os.fspath(path)!r}: {error.strerror}") from error


def load_platform() -> TrustStore:
    """Read what this machine trusts; ConfigError if that is nothing."""
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
    # Whoever sets a variable wants those CAs alone: a typing error there must not widen trust.
    if not certificates and not chosen and sys.platform == "darwin":
        sources += " (nor is certifi installed, which would do instead)"
        certificates = [*_readable(_certifi_blocks(), load_pem)]
    return _trust(sources, certificates)


_platform = functools.cache(load_platform)


def _trust(sources: str, certificates: Iterable[x509.Certificate]) -> TrustStore:
    found = [*certificates]
    if not found:
        raise ConfigError(
            f"this machine's trust store is empty: no certificate in {sources}; install the "
            "system's CA certificates (Debian: package ca-certificates) or give trust="
        )
    return TrustStore(found)


def _unix_blocks(file: str, directories: str) -> Iterator[bytes]:
    if os.path.isfile(file):
        yield from certificate_blocks(Path(file).read_bytes())
    for directory in directories.split(os.pathsep):
        if os.path.isdir(directory):
            for path in _files(directory):
                if HASHED_NAME.fullmatch(path.name):
                    yield from certificate_blocks(path.read_bytes())


def _certifi_blocks() -> Iterator[bytes]:
    try:
        certifi = importlib.import_module("certifi")
    except ImportError:
        return
    yield from certificate_blocks(Path(certifi.where()).read_bytes())


def _windows_roots(
    entries: Iterable[tuple[bytes, str, Collection[str] | bool]],
) -> Iterator[bytes]:
    for octets, encoding, purposes in entries:
        # True stands for every purpose; a PKCS#7 bundle is not a single certificate.
        trusted = purposes if isinstance(purposes, bool) else SERVER_AUTH in purposes
        if encoding == "x509_asn" and trusted:
            yield octets


def _readable(
    encoded: Iterable[bytes], load: Callable[[bytes], x509.Certificate]
) -> Iterator[x509.Certificate]:
    # One oddity among a hundred CAs that somebody else chose must not stop the program, nor
    # make it warn of what its user cannot mend.
    for block in encoded:
        try:
            with warnings.catch_warnings(action="ignore"):
                certificate = load(block)
        except MALFORMED as error:
            logger.debug("a certificate of the platform's trust store is skipped: %s", error)
        else:
            yield certificate
