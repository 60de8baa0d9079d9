"""Resumption in TLS 1.2 by session ids (RFC 5246 7.3), of our own roles and with OpenSSL."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
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
from hellos import exchange, first_hello
from openssl_pairs import (
    client_context,
    exchange_with,
    openssl_client,
    openssl_server,
    server_context,
    shake_hands_with,
)
from pairs12 import BOTH, SERVER_12, changed_hello, stored

from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.sessions.client import MemorySessionStore, Session
from trio_tlsx.sessions.ticket_keys import TicketKeys
from trio_tlsx.sessions.ticket_store import MemoryTicketStore

NO_TICKETS: Mapping[int, None] = {E.session_ticket: None}


def taken(store: MemorySessionStore) -> Session:
    session = store.take(SERVER_NAME, None, b"test")
    assert session is not None
    return session


@pytest.mark.parametrize("versions", [BOTH, BOTH[1:]])
def test_a_session_id_resumes_the_session_again_and_again(versions: tuple[str, ...]) -> None:
    config, store = stored(versions=versions)
    states = MemoryTicketStore()
    server = replace(SERVER_12, ticket_store=states)
    with changed_hello(NO_TICKETS):
        for resumed in (False, True, True):
            client, accepting = established(config, server)
            assert client.negotiated.resumed is resumed
            assert accepting.negotiated.resumed is resumed
            exchange(client, accepting)
            assert (len(store), len(states)) == (1, 1)
    session = taken(store)
    assert (len(session.session_id), session.ticket) == (32, b"")


def test_a_hello_offers_the_session_id() -> None:
    config, store = stored(versions=BOTH)
    with changed_hello(NO_TICKETS):
        established(config, replace(SERVER_12, ticket_store=MemoryTicketStore()))
    session = taken(store)
    store.put(session)
    hello = first_hello(config)
    assert hello.legacy_session_id == session.session_id
    assert hello.extensions[E.session_ticket] == b""


def test_a_ticket_replaces_the_session_id() -> None:
    """RFC 5077 3.4: the client discards the id."""
    config, store = stored()
    server = replace(SERVER_12, ticket_store=MemoryTicketStore())
    with changed_hello(NO_TICKETS):
        established(config, server)
    assert established(config, server)[0].negotiated.resumed
    session = taken(store)
    assert (session.session_id, len(session.ticket)) == (b"", 32)


def test_a_ticket_excludes_the_session_id() -> None:
    """RFC 5077 3.4: a server does not look for the id of a hello with a ticket."""
    config, store = stored()
    server = replace(SERVER_12, ticket_store=MemoryTicketStore())
    with changed_hello(NO_TICKETS):
        established(config, server)
    store.put(replace(taken(store), ticket=b"unknown"))
    assert not established(config, server)[0].negotiated.resumed


@pytest.mark.parametrize(
    "options", [{}, {"tickets": 0, "ticket_store": MemoryTicketStore()}], ids=["store", "tickets"]
)
def test_without_a_store_there_are_no_session_ids(options: Any) -> None:
    config, store = stored()
    with changed_hello(NO_TICKETS):
        established(config, replace(SERVER_12, **options))
    assert len(store) == 0


def test_a_full_handshake_never_echoes_the_session_id() -> None:
    config, store = stored()
    with changed_hello(NO_TICKETS):
        established(config, replace(SERVER_12, ticket_store=MemoryTicketStore()))
        session = taken(store)
        store.put(session)
        for states in (None, MemoryTicketStore()):
            store.put(session)
            client, _ = established(config, replace(SERVER_12, ticket_store=states))
            assert not client.negotiated.resumed


@pytest.mark.parametrize(
    "changes",
    [
        {"credentials": credentials("RSA-2048")},
        {"client_auth": "optional", "client_trust": authority.trust},
        {"cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]},
        {"ticket_keys": TicketKeys([b"k" * 32])},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_session_id_of_another_configuration_leads_to_a_full_handshake(changes: Any) -> None:
    config, _ = stored()
    first: Any = {"ticket_keys": TicketKeys([bytes(32)]), "ticket_store": MemoryTicketStore()}
    with changed_hello(NO_TICKETS):
        established(config, replace(SERVER_12, **first))
        client, _ = established(config, replace(SERVER_12, **{**first, **changes}))
    assert not client.negotiated.resumed


def test_a_session_id_ends_with_its_lifetime() -> None:
    """Going back to the store does not extend it."""
    lifetimes: list[int] = []

    class Store(MemoryTicketStore):
        def put(self, name: bytes, state: bytes, lifetime: int) -> None:
            lifetimes.append(lifetime)
            super().put(name, state, lifetime)

    config, _ = stored()
    now = datetime.datetime.now(datetime.UTC)
    keys, states = TicketKeys([bytes(32)], lifetime=60), Store()
    with changed_hello(NO_TICKETS):
        for age, resumed in ((0, False), (20, True), (50, True), (61, False)):
            moment = now + datetime.timedelta(seconds=age)
            server = replace(
                SERVER_12, ticket_keys=keys, ticket_store=states, clock=lambda at=moment: at
            )
            assert established(config, server)[0].negotiated.resumed is resumed
    assert lifetimes == [60, 40, 10, 60]


def test_a_failed_handshake_forgets_the_session_id() -> None:
    """RFC 5246 7.2.2."""
    config, store = stored()
    states = MemoryTicketStore()
    server = replace(SERVER_12, ticket_store=states)
    with changed_hello(NO_TICKETS):
        established(config, server)
        session = taken(store)
        store.put(replace(session, secret=bytes(48)))
        client, accepting = connections(config, server)
        assert failure_of(lambda: shake_hands(client, accepting)).alert is A.bad_record_mac
        assert len(states) == 0
        store.put(session)
        assert not established(config, server)[0].negotiated.resumed


def test_a_hello_without_the_extended_master_secret_cannot_resume() -> None:
    """RFC 7627 5.3: the session has it, so the server aborts."""
    config, _ = stored()
    server = replace(SERVER_12, ticket_store=MemoryTicketStore())
    with changed_hello(NO_TICKETS):
        established(config, server)
    with changed_hello({**NO_TICKETS, E.extended_master_secret: None}):
        client, accepting = connections(config, server)
        client.do_handshake()
        carry(client, accepting)
        assert failure_of(accepting.do_handshake).alert is A.handshake_failure


def test_without_an_extended_master_secret_there_is_no_session_id() -> None:
    config, store = stored()
    states = MemoryTicketStore()
    with changed_hello({**NO_TICKETS, E.extended_master_secret: None}):
        established(config, replace(SERVER_12, ticket_store=states))
    assert (len(store), len(states)) == (0, 0)


def test_a_session_without_an_extended_master_secret_is_not_offered() -> None:
    """RFC 7627 5.3; a store may return any session."""
    config, store = stored()
    established(config, SERVER_12)
    store.put(replace(taken(store), extended_master_secret=False))
    assert first_hello(config).extensions[E.session_ticket] == b""


def test_a_session_with_openssl_is_resumed(tmp_path: Path) -> None:
    context = server_context(tmp_path)
    context.options |= ssl.OP_NO_TICKET
    config, store = stored()
    for resumed in (False, True, True):
        client = Connection.client(config, SERVER_NAME)
        server = openssl_server(context)
        shake_hands_with(client, server)
        assert client.negotiated.resumed is resumed
        assert server.ssl_object.session_reused is resumed
        exchange_with(client, server)
        assert len(store) == 1
    assert taken(store).ticket == b""


def test_openssl_resumes_a_session_with_us() -> None:
    context, session = client_context(), None
    context.options |= ssl.OP_NO_TICKET
    config = replace(SERVER_12, ticket_store=MemoryTicketStore())
    for resumed in (False, True, True):
        server, client = Connection.server(config), openssl_client(context)
        if session is not None:
            client.ssl_object.session = session
        shake_hands_with(server, client)
        assert server.negotiated.resumed is resumed
        assert client.ssl_object.session_reused is resumed
        exchange_with(server, client)
        session = client.ssl_object.session
