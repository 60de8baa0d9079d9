"""Format certificates, dates and addresses for messages."""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509

from .certificates import MALFORMED, extension_of
from .distinguished_names import issuer_name, subject_name

__all__ = [
    "date",
    "in_seconds",
    "issuer_of",
    "kind_of",
    "name_of",
    "names_of",
    "one_line",
    "printable",
    "quoted",
    "socket_address",
    "subject_of",
]

#: Names come from the peer; a sentence is to stay one that can be read.
MAX_NAME_SHOWN = 120
MAX_NAMES_SHOWN = 5


def quoted(text: str) -> str:
    """Return a name in quotes, in one line whatever it holds, and cut if it is long."""
    if len(text) > MAX_NAME_SHOWN:
        text = text[:MAX_NAME_SHOWN] + "..."
    return repr(text)


def name_of(name: x509.Name) -> str:
    """Return a distinguished name in quotes."""
    return quoted(name.rfc4514_string())


def subject_of(certificate: x509.Certificate) -> str:
    """Return the subject of a certificate, or else its alternative names or serial number."""
    subject = subject_name(certificate).text
    if subject:
        return quoted(subject)
    return names_of(certificate) or f"serial number {certificate.serial_number:x}"


def issuer_of(certificate: x509.Certificate) -> str:
    """Return the name of a certificate's issuer, as the certificate has it."""
    return quoted(issuer_name(certificate).text)


def names_of(certificate: x509.Certificate) -> str:
    """Return the DNS names and IP addresses of a certificate; ``""`` if it has none to show."""
    try:
        names = extension_of(certificate, x509.SubjectAlternativeName)
    except MALFORMED:
        names = None
    if names is None:
        return ""
    hosts = [*names.get_values_for_type(x509.DNSName)]
    hosts += map(str, names.get_values_for_type(x509.IPAddress))
    shown = ", ".join(repr(host[:MAX_NAME_SHOWN]) for host in hosts[:MAX_NAMES_SHOWN])
    left = len(hosts) - MAX_NAMES_SHOWN
    return f"{shown} and {left} more" if left > 0 else shown


def kind_of(key: object) -> str:
    """Return the kind of a public key, such as ``Ed25519`` or ``ML-DSA-44``."""
    return type(key).__name__.removesuffix("PublicKey").replace("MLDSA", "ML-DSA-")


def date(moment: datetime.datetime) -> str:
    """Return a moment as text, to the second, in UTC."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def in_seconds(duration: float) -> str:
    """Return a duration as text, such as ``1 second`` or ``0.5 seconds``."""
    return f"{duration:g} second{'' if duration == 1 else 's'}"


def socket_address(address: Any) -> str:
    """Return the result of ``getpeername`` or ``getsockname`` as text, IPv6 in brackets."""
    match address:
        case (str(host), int(port)):
            return f"{host}:{port}"
        case (str(host), int(port), *_):
            return f"[{host}]:{port}"
        case _:
            return "a local socket"


def printable(text: str) -> str:
    """Escape control characters of a text from the peer, so that it cannot steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str) -> str:
    """Return a text in one line, with control characters escaped."""
    return printable(" ".join(text.split()))
