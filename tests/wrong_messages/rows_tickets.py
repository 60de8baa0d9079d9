"""Sessions and tickets that are offered, resumed or issued wrongly."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from deviations import Row, altered, before, body, extension, rows, without_extension
from early_peers import SECRET, early_client_config
from rows_psks import offering, with_binders
from scripted_clients import ClientPeer, RetriedClientPeer
from scripted_peer import SUITE, AnyMessage, Deviation, Peer, credentials
from scripted_servers import RetryingServerPeer, ServerPeer

from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.handshake.psk import Psk, with_psks
from trio_tlsx.handshake.resumption_server import ServerSession, ticket_context
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import Certificate, CertificateRequest, ClientHello, ServerHello
from trio_tlsx.sessions.external_psk import ExternalPSK

SHA384 = 0x1302


class ResumingServerPeer(ServerPeer):
    """One that resumes the session that our client has."""

    places: ClassVar = (
        "server_hello",
        "encrypted_extensions",
        "finished",
        "new_session_ticket",
        "key_update",
    )
    psk: ClassVar[Psk[Any] | None] = Psk(b"ticket", 0, SUITE, SECRET)

    def __init__(
        self, deviations: Mapping[str, Deviation], *, octet_by_octet: bool = False
    ) -> None:
        config = early_client_config()
        super().__init__(deviations, config=config, octet_by_octet=octet_by_octet)


class RetryingResumingServerPeer(RetryingServerPeer, ResumingServerPeer):
    """One that wants another key share first."""

    places: ClassVar = ("hello_retry_request", *ResumingServerPeer.places)


class ResumedClientPeer(ClientPeer):
    """One that has a ticket of our server's."""

    def __init__(
        self, deviations: Mapping[str, Deviation], *, octet_by_octet: bool = False
    ) -> None:
        super().__init__(deviations, octet_by_octet=octet_by_octet)
        config, now = self.engine_config.parameters, datetime.datetime.now(datetime.UTC)
        session = ServerSession(SUITE, now, now, None, SECRET)
        context = ticket_context(config, credentials, self.first_hello())
        ticket = config.ticket_keys.seal(session.encode(), context)
        psk: Psk[None] = Psk(ticket, 0, SUITE, SECRET)
        self.psk = psk  # pyright: ignore[reportAttributeAccessIssue] - one for each, here


class RetriedResumedClientPeer(RetriedClientPeer, ResumedClientPeer):
    """One that is asked for another key share."""


def offered_as(**changes: Any) -> Deviation:
    """Offer the ticket with another key, or as another kind of key."""

    def deviation(peer: Peer, message: AnyMessage) -> None:
        assert isinstance(message, ClientHello)
        assert isinstance(peer, ClientPeer)
        assert peer.psk is not None
        peer.send(with_psks(message, [replace(peer.psk, **changes)], peer.before))

    return deviation


def with_suite(message: Any) -> ServerHello:
    return replace(message, cipher_suite=SHA384)


WRONG_KEYS: Mapping[str, Deviation] = {
    "another-key-of-a-ticket": offered_as(secret=bytes(32)),
    "a-ticket-as-a-key-from-outside": offered_as(
        external=ExternalPSK(b"ticket", SECRET, imported=False)
    ),
    "a-ticket-as-an-imported-key": offered_as(external=ExternalPSK(b"ticket", SECRET)),
    "a-binder-of-zeros-for-a-ticket": with_binders(lambda binders: (bytes(32),)),
    "a-binder-cut-short": with_binders(lambda binders: (binders[0][:-1],)),
    "a-binder-with-an-octet-more": with_binders(lambda binders: (binders[0] + b"\0",)),
}
TOO_SHORT = "a-binder-cut-short"

ROWS: list[Row] = [
    # The offer of a client
    *rows(
        "4.3.11",
        [ResumedClientPeer],
        ["client_hello"],
        {what: deviation for what, deviation in WRONG_KEYS.items() if what != TOO_SHORT},
        A.decrypt_error,
    ),
    *rows(
        "4.3.11",
        [RetriedResumedClientPeer],
        ["second_client_hello"],
        {what: deviation for what, deviation in WRONG_KEYS.items() if what != TOO_SHORT},
        A.decrypt_error,
    ),
    *rows(
        "4.3.11",
        [ResumedClientPeer, RetriedResumedClientPeer],
        ["client_hello"],
        {TOO_SHORT: WRONG_KEYS[TOO_SHORT]},
        A.decode_error,
    ),
    *rows(
        "4.3.11",
        [ResumedClientPeer],
        ["client_hello"],
        {
            "two-binders-for-a-ticket": with_binders(lambda binders: binders * 2),
            "an-extension-behind-a-ticket": extension(E.padding, b"\0"),
        },
        A.illegal_parameter,
    ),
    *rows(
        "4.3.9",
        [ResumedClientPeer],
        ["client_hello"],
        {"a-ticket-without-modes": without_extension(E.psk_key_exchange_modes)},
        A.missing_extension,
    ),
    *rows(
        "4.2.2",
        [RetriedResumedClientPeer],
        ["second_client_hello"],
        {"without-the-ticket": offering()},
        A.missing_extension,
    ),
    *rows(
        "4.2.2",
        [RetriedResumedClientPeer],
        ["second_client_hello"],
        {"with-another-ticket": offered_as(identity=b"another")},
        A.illegal_parameter,
    ),
    # What a server resumes
    *rows(
        "4.3.11",
        [ResumingServerPeer, RetryingResumingServerPeer],
        ["server_hello"],
        {
            f"resumes-session-{index}": extension(E.pre_shared_key, index.to_bytes(2))
            for index in (1, 2**16 - 1)
        },
        A.illegal_parameter,
    ),
    *rows(
        "4.3.11",
        [ResumingServerPeer],
        ["server_hello"],
        {
            "resumes-with-a-suite-of-another-hash": altered(with_suite),
            "resumes-without-a-key-exchange": without_extension(E.key_share),
        },
        A.illegal_parameter,
    ),
    *rows(
        "4.3.11",
        [ResumingServerPeer],
        ["server_hello"],
        {"resumes-with-half-an-index": extension(E.pre_shared_key, b"\0")},
        A.decode_error,
    ),
    *rows(
        "4.3.11",
        [ServerPeer],
        ["server_hello"],
        {"resumes-what-was-not-offered": extension(E.pre_shared_key, b"\0\0")},
        A.unsupported_extension,
    ),
    *rows(
        "2.2",
        [ResumingServerPeer],
        ["finished"],
        {
            "a-request-in-a-resumption": before(
                CertificateRequest(b"", {E.signature_algorithms: b"\0\2\4\3"})
            ),
            "a-certificate-in-a-resumption": before(Certificate(b"", ())),
        },
        A.unexpected_message,
    ),
    # What a server hands out
    *rows(
        "4.7.1",
        [ServerPeer, ResumingServerPeer],
        ["new_session_ticket"],
        {
            "a-ticket-of-no-octets": body(lambda _: bytes(8) + b"\0" + b"\0\0" + b"\0\0"),
            "a-ticket-cut-short": body(lambda octets: octets[:-1]),
            "a-nonce-cut-short": body(lambda _: bytes(8) + b"\2x"),
            "a-ticket-with-early_data-of-three-octets": extension(E.early_data, bytes(3)),
        },
        A.decode_error,
    ),
    *rows(
        "4.3",
        [ResumingServerPeer],
        ["new_session_ticket"],
        {"a-ticket-with-a-key_share": extension(E.key_share, b"")},
        A.illegal_parameter,
    ),
]
