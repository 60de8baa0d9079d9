"""The result of a handshake, which is all that a connection keeps of it.

The generator of a handshake returns a :class:`Completed`. The connection then drops the
generator, and with it the transcript, the key exchange and all secrets except these: the exporter
secret in :class:`Established`, the traffic keys, the exporter secret of accepted early data, and
on a server the resumption secret in ``new_tickets`` until the tickets are sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography import x509

from ..crypto.cipher_suites import CipherSuite
from ..crypto.exporter import Exporter
from ..crypto.signatures import SignatureScheme
from ..messages.handshake import NewSessionTicket
from ..pki.negotiated import Negotiated
from .questions import SessionReceived

__all__ = ["Completed", "Established"]


@dataclass(slots=True, eq=False)
class Established:
    """The results of a handshake that a connection keeps until it ends.

    Attributes:
        server_certificate: the server's certificate, on both sides; None if an external PSK
            authenticated the server.
        exporter: exports keying material (RFC 9846 7.5).
        shared_suites: on a server, its cipher suites that the client offered, in the client's
            order.
        own_signature_scheme: the scheme of this side's CertificateVerify; None if it sent none.
    """

    suite: CipherSuite
    negotiated: Negotiated
    server_certificate: x509.Certificate | None
    exporter: Exporter
    shared_suites: tuple[CipherSuite, ...] | None
    own_signature_scheme: SignatureScheme | None = None


@dataclass(slots=True, eq=False)
class Completed:
    """The result of a handshake: the part that the connection keeps, and the part it needs next.

    Attributes:
        key_update_bytes: the amount of sent data after which to update the keys, in bytes.
        new_tickets: returns the tickets that a server sends; None if it sends none. It holds the
            resumption secret, so drop it after use.
        tickets_at_once: whether to send them now, without waiting for the first data.
        keep_ticket: returns the question that stores a received ticket; None on a server.
        tickets_sent: how many tickets a server has sent in the handshake, as in TLS 1.2.
    """

    established: Established
    key_update_bytes: int | None
    new_tickets: Callable[[], Iterable[NewSessionTicket]] | None = None
    keep_ticket: Callable[[NewSessionTicket], SessionReceived | None] | None = None
    tickets_at_once: bool = False
    tickets_sent: int = 0
