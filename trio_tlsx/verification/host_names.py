"""Comparison of a server's name with the names in its certificate (RFC 9525 6)."""

from __future__ import annotations

from cryptography import x509

from ..pki.certificates import extension_of
from ..pki.server_name import ServerName

__all__ = ["is_named"]

WILDCARD = "*."


def is_named(certificate: x509.Certificate, name: ServerName) -> bool:
    """Return whether ``subjectAltName`` has this name; the common name does not count.

    An IP address is compared with ``iPAddress`` entries only. A wildcard stands for exactly one
    label, the leftmost one. A name that no host can have (:attr:`ServerName.is_host_name`) is
    compared without wildcards.

    Raises:
        ValueError: ``subjectAltName`` is malformed (or one of ``MALFORMED``).
    """
    names = extension_of(certificate, x509.SubjectAlternativeName)
    if names is None:
        return False
    if name.address is not None:
        return name.address in names.get_values_for_type(x509.IPAddress)
    return any(_matches(entry, name) for entry in names.get_values_for_type(x509.DNSName))


def _matches(entry: str, name: ServerName) -> bool:
    entry = entry.lower()
    if not entry.startswith(WILDCARD) or not name.is_host_name:
        return entry == name.host
    _, dot, parent = name.host.partition(".")
    return bool(dot) and parent == entry.removeprefix(WILDCARD)
