"""The view of a peer that ``verify`` receives."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from cryptography import x509

from ..errors import CertificateError
from .identity import Identity

__all__ = ["Peer"]


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer that has shown that it holds the key of its certificate, and is not trusted yet.

    Attributes:
        certificates: what it sent, its own certificate first. Not empty.
        server_name: whom a client wanted to reach; None on a server.
        ocsp_response: the OCSP response about its own certificate that it stapled to it, in DER
            as it came, or None.
        path: what the verification found: from its own certificate to a trusted one. Empty where
            there was no verification, or none that ended well.
        error: why the verification refuses it, or None if it does not.
        at: the time by which all is judged, with its time zone.
        resumed: whether it showed all this in an earlier connection, which this one resumes
            (RFC 9846 2.2).
        timestamps: the signed certificate timestamps (RFC 6962) that it sent with its own
            certificate, each as it came. Nobody has looked at them.
    """

    certificates: tuple[x509.Certificate, ...]
    server_name: str | None
    ocsp_response: bytes | None = field(repr=False)
    path: tuple[x509.Certificate, ...] = field(repr=False)
    error: CertificateError | None
    at: datetime.datetime
    resumed: bool = False
    timestamps: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def identity(self) -> Identity:
        """Whom its certificate is for."""
        return Identity.of(self.certificates[0])

    @property
    def issuer(self) -> x509.Certificate | None:
        """The certificate of who issued the peer's own; None if that is not verified."""
        return self.path[1] if len(self.path) > 1 else None
