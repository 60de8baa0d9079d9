"""The client's half of session resumption in TLS 1.2, by tickets (RFC 5077) and session ids."""

from __future__ import annotations

from dataclasses import replace

from ..crypto.key_schedule12 import MasterSecret
from ..messages.handshake12 import NewSessionTicket12
from ..sessions.client import Session
from ..sessions.ticket_keys import MAX_LIFETIME
from . import authentication, steps12
from .authentication import PeerIdentity
from .client12_hello import Selection12
from .client13 import reverify_on_resumption
from .client13_hello import Offer
from .psk import MAX_TICKET_LENGTH
from .questions import SessionReceived
from .steps import Handshake, Steps

__all__ = ["read_ticket", "resume", "store_session"]

#: The lifetime of a session if the server sends none (RFC 5077 3.3), in seconds.
UNKNOWN_LIFETIME = 2 * 60 * 60


def resume(
    hs: Handshake, offer: Offer, selection: Selection12, session: Session
) -> Steps[tuple[MasterSecret, bytes]]:
    """Perform an abbreviated handshake (RFC 5246 7.3).

    ::

        Client                                        Server

        ClientHello        -------->
                                                 ServerHello
                                           NewSessionTicket*
                                          [ChangeCipherSpec]
                           <--------              {Finished}
        [ChangeCipherSpec]
        {Finished}         -------->

    Returns:
        The master secret, and the verify_data of the first Finished.
    """
    suite = selection.suite
    secret = MasterSecret(suite, session.secret, selection.randoms)
    secret.log(hs.key_log)
    hs.transcript.start(suite)
    ticket = yield from read_ticket(hs, selection)
    client_keys, server_keys = secret.traffic_keys()
    steps12.expect_change_of_keys(hs, suite, server_keys)
    tls_unique = secret.server_finished(hs.transcript.digest())
    yield from authentication.expect_finished(hs, tls_unique)
    hs.check_end_of_flight()
    yield from reverify_on_resumption(hs, offer.config, offer.server_name, session)
    verify_data = secret.client_finished(hs.transcript.digest())
    steps12.send_finished(hs, suite, client_keys, verify_data)
    yield from store_again(hs, offer, selection, session, ticket)
    return secret, tls_unique


def read_ticket(hs: Handshake, selection: Selection12) -> Steps[NewSessionTicket12 | None]:
    """Read NewSessionTicket if and only if the server promised it; None if it is empty."""
    if not selection.ticket_promised:
        return None
    ticket = yield from hs.expect(NewSessionTicket12)
    return ticket if ticket.ticket else None


def store_session(
    hs: Handshake,
    offer: Offer,
    selection: Selection12,
    server: PeerIdentity,
    group: str,
    secret: MasterSecret,
    ticket: NewSessionTicket12 | None,
) -> Steps[None]:
    """Store the session of a full handshake, if it can be resumed.

    One without an extended master secret is never resumed (RFC 7627 5.3). With a ticket, the
    session id is discarded (RFC 5077 3.4).
    """
    config = offer.config
    session_id = selection.session_id if ticket is None else b""
    if not (ticket or session_id) or not selection.extended_master_secret:
        return
    now = config.clock()
    yield from store(
        hs,
        offer,
        Session(
            server_name=offer.server_name.host,
            port=offer.port,
            context=config.session_context,
            cipher_suite=selection.suite.name,
            peer_certificates=server.chain,
            peer_raw_public_key=server.raw_public_key,
            signature_scheme=server.signature_scheme.name,
            verified_at=now,
            received_at=now,
            lifetime=lifetime_of(ticket),
            ticket=b"" if ticket is None else ticket.ticket,
            ticket_age_add=0,
            secret=secret.secret,
            alpn_protocol=selection.alpn_protocol,
            session_id=session_id,
            extended_master_secret=True,
            group=group,
        ),
    )


def store_again(
    hs: Handshake,
    offer: Offer,
    selection: Selection12,
    session: Session,
    ticket: NewSessionTicket12 | None,
) -> Steps[None]:
    """Store a resumed session, with the new ticket if there is one."""
    if ticket is not None:
        session = replace(
            session,
            received_at=offer.config.clock(),
            lifetime=lifetime_of(ticket),
            ticket=ticket.ticket,
            session_id=b"",
        )
    session = replace(session, alpn_protocol=selection.alpn_protocol)
    yield from store(hs, offer, session)


def store(hs: Handshake, offer: Offer, session: Session) -> Steps[None]:
    config = offer.config
    expired = config.clock() >= session.expires_at
    if config.session_store is None or expired or len(session.ticket) > MAX_TICKET_LENGTH:
        return
    yield from hs.ask(SessionReceived(config.session_store, session))


def lifetime_of(ticket: NewSessionTicket12 | None) -> int:
    """Return how long the client uses the ticket, or a session id, in seconds."""
    hint = 0 if ticket is None else ticket.lifetime_hint
    return min(hint or UNKNOWN_LIFETIME, MAX_LIFETIME)
