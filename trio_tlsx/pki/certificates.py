"""Files, and the extensions of certificates."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning

from ..arguments import PATH, Expected, check
from ..errors import ConfigError
from .structure import read_extension

__all__ = ["MALFORMED", "UNREADABLE", "extension_of", "read_file"]

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


def read_file(path: str | os.PathLike[str]) -> bytes:
    """A file's content; ConfigError if it cannot be read."""
    check("path", path, Expected(PATH, "the path of a file, a str or a Path"))
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", "no file can have this name")
        raise ConfigError(f"cannot read {os.fspath(path)!r}: {reason}") from error


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
