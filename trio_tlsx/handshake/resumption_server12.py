"""The server's half of session resumption in TLS 1.2, by tickets (RFC 5077)."""

from __future__ import annotations

from os import urandom

from ..crypto.cipher_suites12 import CIPHER_SUITES_12, CipherSuite12
from ..crypto.key_schedule12 import MasterSecret
from ..errors import NegotiationError
from ..messages.extensions import ExtensionType
from ..messages.handshake12 import NewSessionTicket12
from ..pki.negotiated import Negotiated
from .authentication import PeerIdentity
from .psk import MAX_TICKET_LENGTH
from .questions import TicketIssued, TicketWanted
from .resumption_server import (
    TICKET_NAME_LENGTH,
    ServerSession,
    open_session,
    ticket_context,
)
from .server12_hello import Terms12
from .steps import Handshake, Steps

__all__ = ["find_session", "promises_ticket", "send_ticket"]

_E = ExtensionType


def context_of(terms: Terms12) -> bytes:
    """Return the context that tickets are bound to; it is none of TLS 1.3's."""
    return b"TLS 1.2" + ticket_context(terms.config, terms.credentials, terms.hello)


def find_session(hs: Handshake, terms: Terms12) -> Steps[ServerSession | None]:
    """Return the session that the client offers; None if there is none that can be resumed.

    Raises:
        NegotiationError: the session has an extended master secret, as all have, and the
            ClientHello does not offer it (RFC 7627 5.3).
    """
    config, hello = terms.config, terms.hello
    sealed: bytes | None = hello.extensions.get(_E.session_ticket)
    if not sealed or not config.tickets:
        return None
    if config.ticket_store is not None:
        sealed = yield from hs.ask(TicketWanted(config.ticket_store, sealed))
    if sealed is None:
        return None
    session = open_session(config, context_of(terms), sealed, CIPHER_SUITES_12)
    if session is None:
        return None
    if not terms.extended_master_secret:
        raise NegotiationError(
            "the peer resumes a session without its extended master secret",
        )
    code = session.suite.code
    if code not in config.tls12.suite_table or code not in hello.cipher_suites:
        return None
    return session


def promises_ticket(terms: Terms12) -> bool:
    """Return whether the server sends a ticket; a session without EMS cannot be resumed."""
    offered = _E.session_ticket in terms.hello.extensions
    return offered and bool(terms.config.tickets) and terms.extended_master_secret


def send_ticket(
    hs: Handshake,
    terms: Terms12,
    suite: CipherSuite12,
    secret: MasterSecret,
    client: PeerIdentity | None,
    session: ServerSession | None,
    negotiated: Negotiated,
) -> Steps[None]:
    """Send a NewSessionTicket, if it was promised.

    Args:
        session: the session that the connection resumes, if any.
    """
    if not promises_ticket(terms):
        return
    config, now = terms.config, terms.config.clock()
    state = ServerSession(
        suite,
        now,
        session.authenticated_at if session else now,
        client,
        secret.secret,
        terms.alpn_protocol,
        application_data=config.ticket_application_data(negotiated),
    )
    ticket = config.ticket_keys.seal(state.encode(), context_of(terms))
    lifetime = config.ticket_keys.lifetime
    if config.ticket_store is not None:
        name = urandom(TICKET_NAME_LENGTH)
        yield from hs.ask(TicketIssued(config.ticket_store, name, ticket, lifetime))
        ticket = name
    # RFC 5077 3.3: a ticket that is too long after all is an empty one.
    hs.send(NewSessionTicket12(lifetime, ticket if len(ticket) <= MAX_TICKET_LENGTH else b""))
