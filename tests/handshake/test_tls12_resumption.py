"""Resumption in TLS 1.2 by tickets (RFC 5077), between our own two roles and with OpenSSL."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clocks import ManualClock
from engine_pairs import (
    SERVER_NAME,
    authority,
    carry,
    connections,
    credentials,
    established,
    failure_of,
    shake_hands,
)
from hellos import exchange
from openssl_pairs import (
    client_context,
    exchange_with,
    openssl_client,
    openssl_server,
    server_context,
    shake_hands_with,
)
from pairs12 import BOTH, CLIENT_12, SERVER_12, changed_hello, stored

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.handshake import resumption_server12, server12
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.pki.peer import Peer
from trio_tlsx.sessions.client import Session
from trio_tlsx.sessions.ticket_keys import MAX_LIFETIME, TicketKeys
from trio_tlsx.sessions.ticket_store import MemoryTicketStore

LABEL = "EXPERIMENTAL trio-tlsx test"


def client_config(**options: Any) -> ClientConfig:
    return replace(CLIENT_12, resumption=True, **options)


def always(_: object) -> bool:
    return True


def test_a_ticket_resumes_the_session() -> None:
    config = client_config()
    first, _ = established(config, SERVER_12)
    client, server = established(config, SERVER_12)
    assert client.negotiated.resumed
    assert server.negotiated.resumed
    assert client.negotiated.peer_certificates == first.negotiated.peer_certificates
    assert client.negotiated.group == server.negotiated.group == first.negotiated.group
    exchange(client, server)
    exported = client.export_keying_material(LABEL, 32)
    assert exported == server.export_keying_material(LABEL, 32)
    assert exported != first.export_keying_material(LABEL, 32)
    assert client.channel_binding("tls-unique") == server.channel_binding("tls-unique")
    assert established(config, SERVER_12)[0].negotiated.resumed  # with the renewed ticket


@pytest.mark.parametrize("versions", [BOTH, BOTH[:1]])
def test_a_session_of_tls_1_2_is_none_of_tls_1_3(versions: tuple[str, ...]) -> None:
    keys = TicketKeys([bytes(32)])
    config = client_config(versions=BOTH)
    old = replace(SERVER_12, ticket_keys=keys)
    assert established(config, old)[0].negotiated.version == "TLSv1.2"
    newer = replace(SERVER_12, versions=versions, ticket_keys=keys)
    client, server = established(config, newer)
    assert client.negotiated.version == "TLSv1.3"
    assert not client.negotiated.resumed
    exchange(client, server)


def test_a_session_of_tls_1_3_is_none_of_tls_1_2() -> None:
    keys = TicketKeys([bytes(32)])
    config = client_config(versions=BOTH)
    newer = replace(SERVER_12, versions=BOTH, ticket_keys=keys)
    client, server = established(config, newer)
    server.send_session_tickets()
    client.receive_data(server.data_to_send())
    client.read()
    client, _ = established(config, replace(SERVER_12, ticket_keys=keys))
    assert client.negotiated.version == "TLSv1.2"
    assert not client.negotiated.resumed


def test_without_an_extended_master_secret_nothing_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RFC 7627 5.3: not even if the server sends a ticket."""
    for module in (server12, resumption_server12):
        monkeypatch.setattr(module, "promises_ticket", always)
    config, store = stored()
    with changed_hello({E.extended_master_secret: None}):
        client, _ = established(config, SERVER_12)
    assert client.negotiated.version == "TLSv1.2"
    assert len(store) == 0


def test_a_hello_without_the_extended_master_secret_cannot_resume() -> None:
    """RFC 7627 5.3: the session has it, so the server aborts."""
    config = client_config()
    established(config, SERVER_12)
    with changed_hello({E.extended_master_secret: None}):
        client, server = connections(config, SERVER_12)
        client.do_handshake()
        carry(client, server)
        assert failure_of(server.do_handshake).alert is A.handshake_failure


def test_a_ticket_of_one_version_never_opens_the_other() -> None:
    keys = TicketKeys([bytes(32)])
    config, store = stored(versions=BOTH)
    client, server = established(config, replace(SERVER_12, versions=BOTH, ticket_keys=keys))
    server.send_session_tickets()
    client.receive_data(server.data_to_send())
    client.read()
    session = store.take(SERVER_NAME, None, b"test")
    assert session is not None
    suite = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    # A session without it would not be offered.
    store.put(replace(session, cipher_suite=suite, extended_master_secret=True))
    client, _ = established(config, replace(SERVER_12, ticket_keys=keys))
    assert client.negotiated.version == "TLSv1.2"
    assert not client.negotiated.resumed


def test_a_ticket_is_bound_to_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    config, _ = stored()
    server = replace(SERVER_12, ticket_keys=TicketKeys([bytes(32)]))
    with monkeypatch.context() as of_another_version:
        of_another_version.setattr(resumption_server12, "CONTEXT_PREFIX", b"")
        established(config, server)
    assert not established(config, server)[0].negotiated.resumed
    assert established(config, server)[0].negotiated.resumed


def test_a_client_identity_is_resumed_and_authorized_again() -> None:
    seen: list[Peer] = []
    server = replace(
        SERVER_12, client_auth="required", client_trust=authority.trust, verify=seen.append
    )
    config = client_config(credentials=credentials("P-256"))
    established(config, server)
    client, accepting = established(config, server)
    assert client.negotiated.resumed
    assert accepting.negotiated.peer_certificates == credentials("P-256").chain
    assert [peer.resumed for peer in seen] == [False, True]


def test_a_client_verifies_again_if_configured() -> None:
    seen: list[Peer] = []
    config = client_config(verify_on_resumption=True, verify=seen.append)
    established(config, SERVER_12)
    established(config, SERVER_12)
    assert [peer.resumed for peer in seen] == [False, True]


def test_a_ticket_store_gives_each_ticket_once() -> None:
    store = MemoryTicketStore()
    server = replace(SERVER_12, ticket_store=store)
    config, sessions = stored()
    established(config, server)
    used = sessions.take(SERVER_NAME, None, b"test")
    assert used is not None
    assert len(used.ticket) == 32
    sessions.put(used)
    assert established(config, server)[0].negotiated.resumed
    sessions.put(used)
    assert not established(config, server)[0].negotiated.resumed


@pytest.mark.parametrize(
    "changes",
    [
        {"credentials": credentials("RSA-2048")},
        {"client_auth": "optional", "client_trust": authority.trust},
        {"cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]},
        {"tickets": 0},
        {"ticket_keys": TicketKeys([b"k" * 32])},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_ticket_of_another_configuration_leads_to_a_full_handshake(changes: Any) -> None:
    config = client_config()
    keys = TicketKeys([bytes(32)])
    established(config, replace(SERVER_12, ticket_keys=keys))
    client, _ = established(config, replace(SERVER_12, **{"ticket_keys": keys, **changes}))
    assert not client.negotiated.resumed


def test_an_expired_ticket_leads_to_a_full_handshake() -> None:
    now = datetime.datetime.now(datetime.UTC)
    keys = TicketKeys([bytes(32)], lifetime=60)
    config = client_config()
    established(config, replace(SERVER_12, ticket_keys=keys))
    late = replace(SERVER_12, ticket_keys=keys, clock=lambda: now + datetime.timedelta(seconds=90))
    assert not established(config, late)[0].negotiated.resumed


def test_a_server_without_tickets_sends_none() -> None:
    config, store = stored()
    established(config, replace(SERVER_12, tickets=0))
    assert len(store) == 0


def test_a_session_survives_its_byte_form() -> None:
    config, store = stored()
    established(config, SERVER_12)
    session = store.take(SERVER_NAME, None, b"test")
    assert session is not None
    restored = Session.from_bytes(session.to_bytes(bytes(32)), bytes(32))
    assert replace(restored, received_at=session.received_at, verified_at=session.verified_at) == (
        session
    )
    store.put(restored)
    assert established(config, SERVER_12)[0].negotiated.resumed


def test_ticket_application_data_comes_back() -> None:
    config = client_config()
    server = replace(SERVER_12, ticket_application_data=b"the application's")
    established(config, server)
    _, resumed = established(config, server)
    assert resumed.negotiated.ticket_application_data == b"the application's"


def test_a_session_with_openssl_is_resumed(tmp_path: Path) -> None:
    context = server_context(tmp_path)
    config, store = stored()
    for resumed in (False, True, True):
        client = Connection.client(config, SERVER_NAME)
        server = openssl_server(context)
        shake_hands_with(client, server)
        assert client.negotiated.resumed is resumed
        assert server.ssl_object.session_reused is resumed
        assert client.channel_binding("tls-unique") == server.ssl_object.get_channel_binding()
        exchange_with(client, server)
        assert len(store) == 1  # the ticket was renewed, or the old one is kept


def test_openssl_resumes_a_session_with_us() -> None:
    context, session = client_context(), None
    config: ServerConfig = SERVER_12
    for resumed in (False, True):
        server, client = Connection.server(config), openssl_client(context)
        if session is not None:
            client.ssl_object.session = session
        shake_hands_with(server, client)
        assert server.negotiated.resumed is resumed
        assert client.ssl_object.session_reused is resumed
        exchange_with(server, client)
        session = client.ssl_object.session


def test_a_wrong_secret_is_found_by_finished() -> None:
    config, store = stored()
    established(config, SERVER_12)
    session = store.take(SERVER_NAME, None, b"test")
    assert session is not None
    store.put(replace(session, secret=bytes(48)))
    client, server = connections(config, SERVER_12)
    assert failure_of(lambda: shake_hands(client, server)).alert is A.bad_record_mac


def test_renewed_tickets_do_not_extend_the_authentication() -> None:
    """A server lets a client resume for a week after the full handshake, whatever it renews."""
    clock = ManualClock()
    config, store = stored(clock=clock)
    keys = TicketKeys([bytes(32)], lifetime=MAX_LIFETIME, clock=clock)
    server = replace(SERVER_12, clock=clock, ticket_keys=keys)
    established(config, server)
    for day in range(1, 8):
        clock.forward(24 * 3600)
        session = store.take(SERVER_NAME, None, b"test")
        assert session is not None
        store.put(replace(session, verified_at=clock.now))  # a client that does not care
        assert established(config, server)[0].negotiated.resumed is (day < 7)


def test_a_ticket_too_long_to_send_is_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 5077 3.3: the ServerHello has promised one."""
    monkeypatch.setattr(resumption_server12, "MAX_TICKET_LENGTH", 10)
    config, store = stored()
    exchange(*established(config, SERVER_12))
    assert len(store) == 0
