"""The client's half of session resumption (RFC 9846 2.2, 4.7.1)."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from ..clock import MILLISECOND
from ..config.client import ClientParameters
from ..crypto.cipher_suites import CipherSuite
from ..crypto.key_schedule import ticket_psk
from ..crypto.signatures import SignatureScheme
from ..messages import extensions as ext
from ..messages.certificate_types import CertificateType
from ..messages.extensions import Context, ExtensionType, check_context
from ..messages.handshake import NewSessionTicket
from ..messages.versions import TLS13
from ..pki.public_keys import RawPublicKey
from ..pki.server_name import ServerName
from ..sessions.client import Session, SessionStore
from ..sessions.ticket_keys import MAX_LIFETIME
from .authentication import PeerIdentity
from .psk import MAX_TICKET_LENGTH, Psk
from .questions import SessionReceived, SessionWanted
from .steps import Handshake, Steps

__all__ = ["TicketKeeper", "find_session", "ignore_ticket", "psk_of", "server_of"]

_E = ExtensionType


def find_session(
    hs: Handshake, config: ClientParameters, server_name: ServerName, port: int | None
) -> Steps[Session | None]:
    """Take a session for this server from the store; None if none can be offered."""
    if config.session_store is None:
        return None
    question = SessionWanted(config.session_store, server_name.host, port, config.session_context)
    session = yield from hs.ask(question)
    if session is None or not is_usable(session, config, server_name, port):
        return None
    return session


def is_usable(
    session: Session, config: ClientParameters, server_name: ServerName, port: int | None
) -> bool:
    """Return whether the session is for this server; a store may return any session."""
    return (
        (session.server_name, session.port) == (server_name.host, port)
        and session.context == config.session_context
        and any(suite.name == session.cipher_suite for suite in config.usable_suites)
        and session.received_at <= config.clock() < session.expires_at
        and len(session.ticket) <= MAX_TICKET_LENGTH
        and (session.suite.version == TLS13 or session.extended_master_secret)  # RFC 7627 5.3
        and (config.in_inner_hello or not session.name_was_hidden)
        and (
            CertificateType.X509 in config.peer_certificate_types
            if session.peer_raw_public_key is None
            else accepts(config, session.peer_raw_public_key)
        )
    )


def accepts(config: ClientParameters, key: RawPublicKey) -> bool:
    """Return whether a server may still have this raw public key."""
    if CertificateType.RawPublicKey not in config.peer_certificate_types:
        return False
    if config.insecure_skip_verification or config.verify_replaces_builtin:
        return True
    return config.trust is not None and key.digest in config.trust.pins


def server_of(session: Session) -> PeerIdentity:
    """Return the identity of the server that the session was made with."""
    return PeerIdentity(
        session.peer_certificates,
        session.peer_raw_public_key,
        SignatureScheme[session.signature_scheme],
    )


def psk_of(session: Session, now: datetime.datetime) -> Psk[Session]:
    """Return the PSK that offers this session."""
    age = (now - session.received_at) // MILLISECOND
    # RFC 9846 4.3.11.1
    obfuscated_age = (age + session.ticket_age_add) % 2**32
    return Psk(session.ticket, obfuscated_age, session.suite, session.secret, session)


def ignore_ticket(ticket: NewSessionTicket) -> None:
    """Check a ticket that is not stored."""
    check_context(ticket.extensions, Context.NST)


@dataclass(slots=True, eq=False)
class TicketKeeper:
    """Make sessions of the tickets that a client receives.

    A client has none if it stores no sessions, or if an external PSK authenticated the server: the
    PSK costs no more than a ticket, and no ticket outlives it.

    Attributes:
        verified_at: when the server's chain was verified, in this connection or an earlier one.
        resumption_secret: the secret that the PSKs of the tickets are derived from.
    """

    config: ClientParameters
    store: SessionStore
    server_name: ServerName
    port: int | None
    suite: CipherSuite
    server: PeerIdentity
    verified_at: datetime.datetime
    resumption_secret: bytes = field(repr=False)
    alpn_protocol: str | None

    def keep(self, ticket: NewSessionTicket) -> SessionReceived | None:
        """Return the question that stores the ticket; None if it is not stored."""
        check_context(ticket.extensions, Context.NST)
        early_data = ticket.extensions.get(_E.early_data)
        if not ticket.ticket_lifetime:
            return None
        if len(ticket.ticket) > MAX_TICKET_LENGTH:
            return None
        session = Session(
            server_name=self.server_name.host,
            port=self.port,
            context=self.config.session_context,
            cipher_suite=self.suite.name,
            peer_certificates=self.server.chain,
            peer_raw_public_key=self.server.raw_public_key,
            signature_scheme=self.server.signature_scheme.name,
            verified_at=self.verified_at,
            received_at=self.config.clock(),
            lifetime=min(ticket.ticket_lifetime, MAX_LIFETIME),
            ticket=ticket.ticket,
            ticket_age_add=ticket.ticket_age_add,
            secret=ticket_psk(self.suite, self.resumption_secret, ticket.ticket_nonce),
            alpn_protocol=self.alpn_protocol,
            name_was_hidden=self.config.in_inner_hello,
            max_early_data_size=(
                0 if early_data is None else ext.decode_max_early_data_size(early_data)
            ),
        )
        return SessionReceived(self.store, session)
