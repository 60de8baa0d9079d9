"""The identity in a certificate."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

from cryptography import x509

from .certificates import MALFORMED, extension_of
from .distinguished_names import subject_name

__all__ = ["Identity"]

#: SPIFFE-ID 2.3.
MAX_SPIFFE_ID_LENGTH = 2048

# SPIFFE-ID 2: a trust domain and a path, neither with percent-encoding; no port, user or query.
SPIFFE_ID = re.compile(r"spiffe://[a-z0-9._-]{1,255}(/[a-zA-Z0-9._-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Identity:
    """The names in a certificate: its subject alternative names (RFC 5280 4.2.1.6) and subject.

    Attributes:
        dns_names: such as ``"www.example"`` or ``"*.example"``.
        ip_addresses: the addresses.
        email_addresses: the mailboxes.
        uris: the URIs, unchanged.
        spiffe_id: the URI, if it is the only one and a valid SPIFFE ID; otherwise None.
        subject: the distinguished name (RFC 4514). Its meaning is up to the CA.
    """

    dns_names: tuple[str, ...]
    ip_addresses: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]
    email_addresses: tuple[str, ...]
    uris: tuple[str, ...]
    spiffe_id: str | None
    subject: str

    @classmethod
    def without_names(cls) -> Self:
        """Return the identity of a peer that has only a public key."""
        return cls((), (), (), (), None, "")

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Self:
        """Read the names of a certificate.

        A malformed ``subjectAltName`` counts as none. This method never raises for a certificate
        that ``cryptography`` loads.
        """
        try:
            extension = extension_of(certificate, x509.SubjectAlternativeName)
        except MALFORMED:
            extension = None
        names = extension or x509.SubjectAlternativeName([])
        uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
        addresses = names.get_values_for_type(x509.IPAddress)
        return cls(
            dns_names=tuple(names.get_values_for_type(x509.DNSName)),
            ip_addresses=tuple(
                address
                for address in addresses
                if isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address)
            ),
            email_addresses=tuple(names.get_values_for_type(x509.RFC822Name)),
            uris=uris,
            spiffe_id=uris[0] if len(uris) == 1 and _is_spiffe_id(uris[0]) else None,
            subject=subject_name(certificate).text,
        )


def _is_spiffe_id(uri: str) -> bool:
    if len(uri) > MAX_SPIFFE_ID_LENGTH or not SPIFFE_ID.fullmatch(uri):
        return False
    return not {".", ".."} & set(uri.split("/"))
