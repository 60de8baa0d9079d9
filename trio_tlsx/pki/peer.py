"""The view of a peer that ``verify`` receives."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from ..errors import CertificateError
from .identity import Identity
from .public_keys import RawPublicKey

__all__ = ["Peer"]


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer that has proved that it holds the key of its certificate, and is not trusted yet.

    Attributes:
        certificates: the certificates that the peer sent, its own first. Empty only if the peer
            has a raw public key, which no peer has unless the configuration allows it.
        server_name: the name that a client wants to reach; None on a server.
        ocsp_response: the stapled OCSP response about the peer's own certificate, in DER and
            unchecked, or None.
        path: the verified path, from the peer's own certificate to a trusted one. Empty if there
            was no verification, or if it failed.
        error: the error of the verification, or None if it succeeded or did not take place.
        at: the time at which the certificates have to be valid, with its time zone.
        resumed: whether the peer proved this in an earlier connection, which this one resumes
            (RFC 9846 2.2).
        timestamps: the signed certificate timestamps (RFC 6962) that the peer sent with its own
            certificate, unchecked.
        for_public_name: whether ``server_name`` is the public name of an ECH configuration, since
            the server rejected the encrypted ClientHello (RFC 9849 6.1.7). The handshake ends
            with :class:`ECHRejected` if the peer is accepted. No pin of the real name counts.
        raw_public_key: the key of a peer without certificates (RFC 7250); otherwise None.
    """

    certificates: tuple[x509.Certificate, ...]
    server_name: str | None
    ocsp_response: bytes | None = field(repr=False)
    path: tuple[x509.Certificate, ...] = field(repr=False)
    error: CertificateError | None
    at: datetime.datetime
    resumed: bool = False
    timestamps: tuple[bytes, ...] = field(default=(), repr=False)
    for_public_name: bool = False
    raw_public_key: RawPublicKey | None = None

    @property
    def public_key(self) -> PublicKeyTypes:
        """The peer's own public key, that of its certificate or a raw one."""
        return (self.raw_public_key or self.certificates[0]).public_key()

    @property
    def identity(self) -> Identity:
        """The names in the peer's own certificate. A raw public key has no names."""
        return Identity.of(self.certificates[0]) if self.certificates else Identity.without_names()

    @property
    def issuer(self) -> x509.Certificate | None:
        """The certificate of the CA that issued the peer's own; None without a verified path."""
        return self.path[1] if len(self.path) > 1 else None
