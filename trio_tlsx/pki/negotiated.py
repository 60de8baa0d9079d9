"""The result of a handshake."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from .identity import Identity
from .public_keys import RawPublicKey

__all__ = ["Negotiated"]


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The result of a handshake.

    Names are those of the IANA registries. Over an ``ssl.SSLContext`` some attributes are None,
    because the stdlib does not return them: ``signature_scheme``, ``hello_retry_request``,
    ``group`` before Python 3.15, and ``server_name`` on a server. Before Python 3.13
    ``peer_certificates`` holds only the peer's own certificate.

    Attributes:
        version: ``"TLSv1.3"`` or ``"TLSv1.2"``; over an ``ssl.SSLContext`` perhaps an older one.
        cipher_suite: such as ``"TLS_AES_128_GCM_SHA256"``.
        group: the key exchange, such as ``"X25519MLKEM768"``; None if there was none
            (``psk_without_key_exchange``). A resumption in TLS 1.2 has the group of the session.
        alpn_protocol: the application protocol (RFC 7301), None if none was negotiated.
        server_name: the name that the client sent, None if it sent none.
        peer_certificates: the chain as the peer sent it, its own certificate first.
        signature_scheme: the scheme of the peer's signature of the handshake, such as
            ``"ecdsa_secp256r1_sha256"``; None if it sent no certificate.
        resumed: whether the handshake resumed an earlier session.
        hello_retry_request: whether the server asked for a second ClientHello, which costs a round
            trip (RFC 9846 4.2.4).
        early_data_accepted: whether the server accepted the client's early data (0-RTT).
        psk_identity: the identity of the :class:`ExternalPSK` that authenticated both sides, in
            place of certificates, or together with them (``certificate_with_psk``); None without
            one.
        ech_accepted: whether the server accepted an encrypted ClientHello (RFC 9849), so that
            nobody on the path could read the server's name.
        ticket_application_data: on a server, the application data in the ticket that this
            connection resumes (``ServerConfig.ticket_application_data``); empty otherwise.
        peer_raw_public_key: the public key of a peer that sent it in place of certificates (RFC
            7250); otherwise None.
    """

    version: str
    cipher_suite: str
    group: str | None
    alpn_protocol: str | None
    server_name: str | None
    peer_certificates: tuple[x509.Certificate, ...]
    signature_scheme: str | None
    resumed: bool
    early_data_accepted: bool
    hello_retry_request: bool | None = False
    psk_identity: bytes | None = None
    ech_accepted: bool = False
    ticket_application_data: bytes = field(default=b"", repr=False)
    peer_raw_public_key: RawPublicKey | None = None

    @property
    def peer_public_key(self) -> PublicKeyTypes | None:
        """The peer's public key, that of its certificate or a raw one; None if it sent none."""
        if self.peer_raw_public_key is not None:
            return self.peer_raw_public_key.public_key()
        return self.peer_certificates[0].public_key() if self.peer_certificates else None

    @property
    def peer_identity(self) -> Identity | None:
        """The names in the peer's certificate; None if it sent none."""
        return Identity.of(self.peer_certificates[0]) if self.peer_certificates else None
