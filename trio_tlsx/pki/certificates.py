"""Certificates from octets and files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning

from ..errors import ConfigError
from .structure import read_extension

__all__ = [
    "MALFORMED",
    "UNREADABLE",
    "certificate_blocks",
    "extension_of",
    "load_certificates",
    "read_file",
]

_T = TypeVar("_T", bound=x509.ExtensionType)

#: What ``cryptography`` raises where a certificate is malformed: some when it is loaded, some
#: when the part in question is first looked at.
UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    # Where a program has warnings raised: of a serial number that is not positive, for example.
    CryptographyDeprecationWarning,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

#: The same, with what only ``x509.Certificate.subject`` and the like raise.
MALFORMED = (
    *UNREADABLE,
    TypeError,
    KeyError,  # cryptography 49, for a string of a type that names do not have
)

CERTIFICATE_BEGIN = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----")
CERTIFICATE_BLOCK = re.compile(
    rb"-----BEGIN (X509 )?CERTIFICATE-----.+?-----END (X509 )?CERTIFICATE-----", re.DOTALL
)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """A file's content; ConfigError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {os.fspath(path)!r}: {error.strerror}") from error


def certificate_blocks(pem: bytes) -> Iterator[bytes]:
    """The certificates' PEM blocks, without what stands around them (RFC 7468 2)."""
    return (block[0] for block in CERTIFICATE_BLOCK.finditer(pem))


def load_certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    """All the certificates.

    Args:
        pem: the certificates, with whatever stands around them.
        what: names the PEM's origin in errors.

    Raises:
        ConfigError: there is none, or one cannot be parsed.
    """
    certificates: list[x509.Certificate] = []
    for block in certificate_blocks(pem):
        try:
            certificates.append(x509.load_pem_x509_certificate(block))
        except MALFORMED as error:
            raise ConfigError(
                f"certificate {len(certificates) + 1} of {what} is broken: {error}"
            ) from error
    if len(certificates) < len(CERTIFICATE_BEGIN.findall(pem)):
        raise ConfigError(
            f"certificate {len(certificates) + 1} of {what} is cut short: "
            "it has no '-----END CERTIFICATE-----'"
        )
    if certificates:
        return certificates
    if pem.startswith(b"\x30"):
        raise ConfigError(
            f"{what} is in DER, not in PEM: convert it with 'openssl x509 -inform der'"
        )
    raise ConfigError(f"{what} holds no certificate in PEM (no '-----BEGIN CERTIFICATE-----')")


def extension_of(certificate: x509.Certificate, kind: type[_T]) -> _T | None:
    """Return a certificate's extension of this type, or None, whatever its others are like.

    Raises:
        ValueError: this extension is malformed (or one of ``MALFORMED``).
        cryptography.x509.DuplicateExtension: the certificate has it twice.
    """
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except MALFORMED:
        return read_extension(certificate, kind)
