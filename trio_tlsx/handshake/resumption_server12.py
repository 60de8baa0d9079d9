"""The server's half of session resumption in TLS 1.2, by tickets (RFC 5077) and session ids.

A ticket is the state that ``ServerSession`` encodes, or with a ticket store only its name there. A
client without tickets gets such a name as its session id, if there is a store. It may resume the
session any number of times, so the state goes back to the store after each resumption.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import urandom

from ..crypto.cipher_suites12 import CIPHER_SUITES_12, CipherSuite12
from ..crypto.key_schedule12 import MasterSecret
from ..errors import NegotiationError
from ..messages.extensions import ExtensionType
from ..messages.handshake import MAX_SESSION_ID_LENGTH
from ..messages.handshake12 import NewSessionTicket12
from ..pki.negotiated import Negotiated
from .authentication import PeerIdentity
from .psk import MAX_TICKET_LENGTH
from .questions import TicketIssued
from .resumption_server import (
    TICKET_NAME_LENGTH,
    ServerSession,
    open_session,
    stored_state,
    ticket_context,
)
from .server12_hello import Terms12
from .steps import Handshake, Steps

__all__ = [
    "CONTEXT_PREFIX",
    "FoundSession",
    "find_session",
    "new_session_id",
    "promises_ticket",
    "send_ticket",
    "store_again",
]

_E = ExtensionType

#: The start of the context of a TLS 1.2 ticket. No ticket of TLS 1.3 has this context.
CONTEXT_PREFIX = b"TLS 1.2"


def context_of(terms: Terms12) -> bytes:
    """Return the context that tickets are bound to; it is none of TLS 1.3's."""
    return CONTEXT_PREFIX + ticket_context(terms.config, terms.credentials, terms.hello)


@dataclass(slots=True, eq=False)
class FoundSession:
    """A session that a client offers.

    Attributes:
        sealed: its state, if it was found under the client's session id; None for a ticket.
    """

    session: ServerSession
    sealed: bytes | None


def find_session(hs: Handshake, terms: Terms12) -> Steps[FoundSession | None]:
    """Return the session that the client offers; None if there is none that can be resumed.

    Raises:
        NegotiationError: the session has an extended master secret, as all have, and the
            ClientHello does not offer it (RFC 7627 5.3).
    """
    config, hello = terms.config, terms.hello
    # RFC 5077 3.4: with a ticket, the session id is not one of a session.
    ticket: bytes | None = hello.extensions.get(_E.session_ticket)
    sealed, store = ticket, config.ticket_store
    if not config.tickets:
        return None
    if store is not None and (name := ticket or hello.legacy_session_id):
        sealed = yield from stored_state(hs, store, name)
    if not sealed:
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
    return FoundSession(session, None if ticket else sealed)


def new_session_id(terms: Terms12) -> bytes:
    """Return the id of a new session, for a client without tickets; empty for none."""
    config = terms.config
    if config.ticket_store is None or not config.tickets or not terms.extended_master_secret:
        return b""
    return b"" if _E.session_ticket in terms.hello.extensions else urandom(MAX_SESSION_ID_LENGTH)


def store_again(hs: Handshake, terms: Terms12, found: FoundSession) -> Steps[None]:
    """Put a session that was resumed by its id back into the store, until its lifetime ends."""
    config = terms.config
    if config.ticket_store is None or found.sealed is None or promises_ticket(terms):
        return
    age = config.clock() - found.session.issued_at
    lifetime = config.ticket_keys.lifetime - int(age.total_seconds())
    name = terms.hello.legacy_session_id
    yield from hs.ask(TicketIssued(config.ticket_store, name, found.sealed, lifetime))


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
    *,
    session_id: bytes = b"",
) -> Steps[None]:
    """Send a NewSessionTicket, if it was promised, or store the session under its new id.

    Args:
        session: the session that the connection resumes, if any.
        session_id: the id that the server has given to the session, if any.
    """
    if not (promises_ticket(terms) or session_id):
        return
    config, now = terms.config, terms.config.clock()
    state = ServerSession(
        suite,
        now,
        session.authenticated_at if session else now,
        client,
        secret.secret,
        terms.alpn_protocol,
        group=session.group if session else terms.group.code,
        application_data=config.ticket_application_data(negotiated),
    )
    ticket = config.ticket_keys.seal(state.encode(), context_of(terms))
    lifetime = config.ticket_keys.lifetime
    if config.ticket_store is not None:
        name = session_id or urandom(TICKET_NAME_LENGTH)
        yield from hs.ask(TicketIssued(config.ticket_store, name, ticket, lifetime))
        if session_id:
            return
        ticket = name
    # RFC 5077 3.3: a ticket that is too long after all is an empty one.
    hs.send(NewSessionTicket12(lifetime, ticket if len(ticket) <= MAX_TICKET_LENGTH else b""))
