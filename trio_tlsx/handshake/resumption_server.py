"""The server's half of session resumption: issue and accept tickets (RFC 9846 2.2, 4.7.1)."""

from __future__ import annotations

import datetime
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import urandom

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ..clock import EPOCH, MILLISECOND
from ..config.server import ServerParameters
from ..crypto.cipher_suites import CIPHER_SUITES, CipherSuite
from ..crypto.groups import GROUPS
from ..crypto.key_schedule import ticket_psk
from ..crypto.signatures import SignatureScheme
from ..errors import ProtocolError
from ..messages import grease
from ..messages.certificate_types import CertificateType
from ..messages.codec import Reader, opaque8, opaque24, uint8, uint32
from ..messages.extensions import ExtensionType
from ..messages.handshake import ClientHello, NewSessionTicket
from ..pki.certificates import MALFORMED
from ..pki.credentials import Credentials
from ..pki.public_keys import load_raw_public_key
from ..sessions import ticket_binding
from ..sessions.client import MAX_AGE
from ..sessions.ticket_store import TicketStore
from .authentication import PeerIdentity
from .psk import MAX_TICKET_LENGTH, Psk
from .questions import TicketIssued, TicketWanted
from .steps import Handshake, Steps

__all__ = [
    "ServerSession",
    "TicketIssuer",
    "known_sessions",
    "open_session",
    "stored_state",
    "ticket_context",
]

#: The length of a ticket's name in a store, in bytes.
TICKET_NAME_LENGTH = 32

#: Parts of an encoded session: the cipher suite, two times in milliseconds, the scheme of the
#: client's signature, the type of its certificate; what is added to the age, the limit of early
#: data, and the group.
_HEAD = struct.Struct(">HQQHB")
_NUMBERS = struct.Struct(">IIH")

_E = ExtensionType


@dataclass(slots=True, eq=False)
class ServerSession:
    """A server's session: the content of its ticket.

    Attributes:
        authenticated_at: the time of the handshake with certificates, before any resumptions.
        client: the client that was authenticated in it; None if none was.
        alpn_protocol: the application protocol; None if none was negotiated.
        ticket_age_add: the number that the client adds to the ticket's age, in milliseconds.
        max_early_data_size: how much early data the client may send, in bytes; 0 for none.
        application_data: data of the application in the ticket.
        group: in TLS 1.2, the code of the group of the key exchange; 0 in TLS 1.3, where each
            resumption has a key exchange of its own.
    """

    suite: CipherSuite
    issued_at: datetime.datetime
    authenticated_at: datetime.datetime
    client: PeerIdentity | None
    secret: bytes = field(repr=False)
    alpn_protocol: bytes | None = None
    ticket_age_add: int = field(default=0, repr=False)
    max_early_data_size: int = 0
    application_data: bytes = field(default=b"", repr=False)
    group: int = 0

    def encode(self) -> bytes:
        client = self.client
        chain, scheme = (client.chain, client.signature_scheme) if client else ((), 0)
        certificates = [opaque24(c.public_bytes(Encoding.DER)) for c in chain]
        certificate_type = CertificateType.X509
        if client is not None and client.raw_public_key is not None:
            certificate_type = CertificateType.RawPublicKey
            certificates = [opaque24(client.raw_public_key.der)]
        return b"".join(
            (
                _HEAD.pack(
                    self.suite.code,
                    (self.issued_at - EPOCH) // MILLISECOND,
                    (self.authenticated_at - EPOCH) // MILLISECOND,
                    scheme,
                    certificate_type,
                ),
                opaque24(b"".join(certificates)),
                opaque8(self.secret),
                opaque8(self.alpn_protocol or b""),
                _NUMBERS.pack(self.ticket_age_add, self.max_early_data_size, self.group),
                opaque8(self.application_data),
            )
        )

    @classmethod
    def decode(
        cls, octets: bytes, suites: Mapping[int, CipherSuite] = CIPHER_SUITES
    ) -> ServerSession:
        """Decode a session that a server with the same ticket keys encoded."""
        reader = Reader(octets, "ticket")
        head = _HEAD.unpack(reader.take(_HEAD.size))
        code, issued_at, authenticated_at, scheme, certificate_type = head
        entries = Reader(reader.opaque24(), "ticket")
        chain: list[x509.Certificate] = []
        raw_public_key = None
        if certificate_type == CertificateType.RawPublicKey:
            raw_public_key = load_raw_public_key(entries.opaque24())
        while entries:
            chain.append(x509.load_der_x509_certificate(entries.opaque24()))
        client = None
        if chain or raw_public_key is not None:
            client = PeerIdentity(tuple(chain), raw_public_key, SignatureScheme(scheme))
        secret, alpn_protocol = reader.opaque8(), reader.opaque8() or None
        age_add, max_early_data_size, group = _NUMBERS.unpack(reader.take(_NUMBERS.size))
        if group and group not in GROUPS:
            raise reader.error("has an unknown group")
        return cls(
            suites[code],
            EPOCH + issued_at * MILLISECOND,
            EPOCH + authenticated_at * MILLISECOND,
            client,
            secret,
            alpn_protocol,
            age_add,
            max_early_data_size,
            reader.opaque8(),
            group,
        )

    def is_usable(self, now: datetime.datetime, lifetime: datetime.timedelta) -> bool:
        chain = self.client.chain if self.client else ()
        return (
            self.issued_at <= now < self.issued_at + lifetime
            and now < self.authenticated_at + MAX_AGE
            and all(now <= certificate.not_valid_after_utc for certificate in chain)
        )


def ticket_context(
    config: ServerParameters, credentials: Credentials, hello: ClientHello
) -> bytes:
    """Return the context that a ticket for this client is bound to."""
    server_name = hello.extensions.get(_E.server_name, b"")
    return ticket_binding.context(config.client_policy, credentials.der_chain[0], server_name)


def known_sessions(
    hs: Handshake, config: ServerParameters, context: bytes, tickets: Iterable[tuple[bytes, int]]
) -> Steps[Sequence[Psk[ServerSession]]]:
    """Return the sessions of the offered tickets that this server accepts.

    Args:
        context: the context that the tickets must have been issued for.
        tickets: the tickets, each with its obfuscated age.
    """
    known: list[Psk[ServerSession]] = []
    for ticket, age in tickets:
        sealed: bytes | None = ticket
        if config.ticket_store is not None:
            sealed = yield from stored_state(hs, config.ticket_store, ticket)
        session = None if sealed is None else open_session(config, context, sealed)
        if session is not None:
            known.append(Psk(ticket, age, session.suite, session.secret, session))
    return known


def stored_state(hs: Handshake, store: TicketStore, name: bytes) -> Steps[bytes | None]:
    """Take the state of a ticket from the store; None if there is none.

    Other identities, such as those of external PSKs, never reach the store.
    """
    if len(name) != TICKET_NAME_LENGTH:
        return None
    return (yield from hs.ask(TicketWanted(store, name)))


def open_session(
    config: ServerParameters,
    context: bytes,
    sealed: bytes,
    suites: Mapping[int, CipherSuite] = CIPHER_SUITES,
) -> ServerSession | None:
    octets = config.ticket_keys.open(sealed, context)
    if octets is None:
        return None
    try:
        session = ServerSession.decode(octets, suites)
    except (ProtocolError, LookupError, OverflowError, *MALFORMED):
        # Another version of this library issued it, with values that this one does not have.
        return None
    lifetime = datetime.timedelta(seconds=config.ticket_keys.lifetime)
    return session if session.is_usable(config.clock(), lifetime) else None


@dataclass(slots=True, eq=False)
class TicketIssuer:
    """Make the tickets that a server sends.

    Attributes:
        count: the number of tickets.
        context: the context that they are issued for.
        resumption_secret: the secret that their PSKs are derived from.
        application_data: data of the application in the tickets.
    """

    config: ServerParameters
    count: int
    context: bytes
    suite: CipherSuite
    client: PeerIdentity | None
    authenticated_at: datetime.datetime
    resumption_secret: bytes = field(repr=False)
    alpn_protocol: bytes | None
    application_data: bytes = field(repr=False)

    def issue(self) -> Iterator[NewSessionTicket]:
        """Return tickets, each with its own PSK; none if they would be too long."""
        keys = self.config.ticket_keys
        extensions: dict[int, bytes] = {}
        if self.config.max_early_data_size:
            extensions[_E.early_data] = uint32(self.config.max_early_data_size)
        greased = grease.in_ticket(extensions) if self.config.grease else extensions
        for number in range(self.count):
            nonce = uint8(number)
            secret = ticket_psk(self.suite, self.resumption_secret, nonce)
            age_add = int.from_bytes(urandom(4))
            session = ServerSession(
                self.suite,
                self.config.clock(),
                self.authenticated_at,
                self.client,
                secret,
                self.alpn_protocol,
                age_add,
                self.config.max_early_data_size,
                self.application_data,
            )
            ticket = keys.seal(session.encode(), self.context)
            if len(ticket) <= MAX_TICKET_LENGTH:
                yield NewSessionTicket(keys.lifetime, age_add, nonce, ticket, greased)

    def store_tickets(
        self, hs: Handshake, store: TicketStore
    ) -> Steps[Sequence[NewSessionTicket]]:
        """Store the tickets; return tickets that hold only their names in the store."""
        tickets: list[NewSessionTicket] = []
        for ticket in self.issue():
            name = urandom(TICKET_NAME_LENGTH)
            yield from hs.ask(TicketIssued(store, name, ticket.ticket, ticket.ticket_lifetime))
            tickets.append(replace(ticket, ticket=name))
        return tickets
