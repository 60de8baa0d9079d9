"""Resumption of sessions, and the conditions that prevent it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from clocks import ManualClock
from engine_pairs import (
    SERVER_NAME,
    advance,
    authority,
    connections,
    credentials,
    failure_of,
    shake_hands,
)
from session_scenarios import (
    SHA256,
    SHA384,
    RecordingSessionStore,
    SessionScenario,
    always,
    new_scenario,
    offered,
    resumes_with,
)

from trio_tlsx import ClientConfig, ServerConfig, Session
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, ProtocolError
from trio_tlsx.handshake import client_hello
from trio_tlsx.handshake.psk import Psk
from trio_tlsx.handshake.server13_hello import MAX_IDENTITIES
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ClientHello


@pytest.fixture
def scenario() -> SessionScenario:
    return new_scenario()


# What resumption is


def test_second_connection_resumes_the_first(scenario: SessionScenario) -> None:
    first, _ = scenario.connect()
    assert not first.negotiated.resumed
    client, server = scenario.connect()
    assert client.negotiated.resumed
    assert client.negotiated.peer_certificates == first.negotiated.peer_certificates
    assert client.negotiated.signature_scheme == first.negotiated.signature_scheme
    assert client.negotiated.server_name == server.negotiated.server_name == SERVER_NAME
    label = "EXPERIMENTAL test"
    exported = client.export_keying_material(label, 32)
    assert exported == server.export_keying_material(label, 32)
    assert exported != first.export_keying_material(label, 32)
    binding = client.channel_binding("tls-server-end-point")
    assert binding == server.channel_binding("tls-server-end-point")
    assert binding == first.channel_binding("tls-server-end-point")


def test_resumed_connection_can_be_resumed(scenario: SessionScenario) -> None:
    scenario.connect()
    assert [scenario.resumes() for _ in range(5)] == [True] * 5


def test_resumption_by_default() -> None:
    client = ClientConfig(trust=authority.trust)
    server = ServerConfig(credentials=credentials())
    scenario = SessionScenario(ManualClock(), RecordingSessionStore(), client, server)
    assert [scenario.resumes() for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize("suite", [suite.name for suite in CIPHER_SUITES.values()])
def test_resumption_with_each_suite(scenario: SessionScenario, suite: str) -> None:
    scenario.client = replace(scenario.client, cipher_suites=[suite])
    assert [scenario.resumes() for _ in range(2)] == [False, True]


@pytest.mark.parametrize("cookie", [False, True])
def test_resumption_after_hello_retry_request(scenario: SessionScenario, cookie: bool) -> None:
    scenario.server = replace(
        scenario.server,
        groups=["secp256r1"],
        require_cookie=cookie,
        ticket_keys=scenario.server.parameters.ticket_keys,
    )
    assert [scenario.resumes() for _ in range(2)] == [False, True]


def test_resumption_sends_no_certificates(scenario: SessionScenario) -> None:
    scenario.server = replace(
        scenario.server, client_auth="optional", client_trust=authority.trust
    )
    scenario.connect()
    seen: list[str] = []
    client = Connection.client(
        scenario.client, SERVER_NAME, observer=lambda way, name, length: seen.append(name)
    )
    shake_hands(client, Connection.server(scenario.server))
    assert seen == [
        "client_hello",
        "server_hello",
        "encrypted_extensions",
        "finished",
        "finished",
    ]


def test_resumption_with_another_suite_of_the_same_hash(scenario: SessionScenario) -> None:
    scenario.server = replace(scenario.server, cipher_suites=[SHA256])
    keys = scenario.server.parameters.ticket_keys
    scenario.connect()
    chacha = "TLS_CHACHA20_POLY1305_SHA256"
    scenario.server = replace(scenario.server, cipher_suites=[chacha], ticket_keys=keys)
    client, _ = scenario.connect()
    assert client.negotiated.resumed
    assert client.negotiated.cipher_suite == chacha


# What keeps a session from being resumed: always a full handshake, never an error


def test_no_resumption_with_a_suite_of_another_hash(scenario: SessionScenario) -> None:
    scenario.server = replace(scenario.server, cipher_suites=[SHA256])
    keys = scenario.server.parameters.ticket_keys
    scenario.connect()
    scenario.server = replace(scenario.server, cipher_suites=[SHA384], ticket_keys=keys)
    client, _ = scenario.connect()
    assert not client.negotiated.resumed
    assert client.negotiated.cipher_suite == SHA384


def test_session_of_another_hash_is_dropped_after_a_retry(
    scenario: SessionScenario,
) -> None:
    scenario.server = replace(scenario.server, cipher_suites=[SHA256])
    scenario.connect()
    scenario.server = replace(scenario.server, cipher_suites=[SHA384], groups=["secp256r1"])
    client, server = connections(scenario.client, scenario.server)
    assert advance(client, server) is Want.WRITE
    assert advance(server, client) is Want.WRITE
    assert offered(client) is None


def test_session_of_a_suite_that_is_no_longer_allowed_is_not_offered(
    scenario: SessionScenario,
) -> None:
    scenario.server = replace(scenario.server, cipher_suites=[SHA256])
    scenario.connect()
    scenario.client = replace(scenario.client, cipher_suites=[SHA384])
    assert offered(Connection.client(scenario.client, SERVER_NAME)) is None


def test_no_resumption_for_a_client_with_psk_ke_only(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.connect()
    monkeypatch.setattr(client_hello, "encode_psk_key_exchange_modes", always(b"\x01\x00"))
    assert not scenario.resumes()


@pytest.mark.parametrize(
    ("before", "resumed"), [(MAX_IDENTITIES - 1, True), (MAX_IDENTITIES, False)]
)
def test_session_identities_looked_at_are_limited(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch, before: int, resumed: bool
) -> None:
    current_psks = client_hello.current_psks

    def behind_others(*args: Any) -> Sequence[Psk[Session]]:
        """The real key behind some that nobody knows."""
        [real] = current_psks(*args)
        return [*(replace(real, identity=bytes((i,)) * 60) for i in range(before)), real]

    scenario.connect()
    monkeypatch.setattr(client_hello, "current_psks", behind_others)
    assert scenario.resumes() is resumed


# What is refused


def test_wrong_binder_ends_the_handshake(scenario: SessionScenario) -> None:
    scenario.connect()
    session = scenario.session_store.sessions[-1]
    scenario.session_store.sessions.append(replace(session, secret=bytes(32)))
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert isinstance(error, ProtocolError)
    assert error.alert == AlertDescription.decrypt_error


def test_malformed_session_offer_ends_the_handshake(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.connect()

    def malformed(plain: ClientHello, *_: object) -> ClientHello:
        body = {**plain.extensions, ExtensionType.pre_shared_key: b"\0"}
        return replace(plain, extensions=body)

    monkeypatch.setattr(client_hello, "with_psks", malformed)
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.decode_error


@pytest.mark.parametrize(
    ("instead", "alert"), [("nothing", "missing_extension"), ("another", "illegal_parameter")]
)
def test_selected_session_missing_from_the_second_client_hello(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch, instead: str, alert: str
) -> None:
    scenario.connect()
    scenario.server = replace(
        scenario.server, require_cookie=True, ticket_keys=scenario.server.parameters.ticket_keys
    )
    client, server = connections(scenario.client, scenario.server)
    advance(client, server)
    advance(server, client)
    [psk] = client_hello.current_psks(
        scenario.client.parameters, scenario.session_store.sessions[-1]
    )
    others = [replace(psk, identity=b"another")] if instead == "another" else []
    monkeypatch.setattr(client_hello, "current_psks", always(others))
    advance(client, server)
    assert failure_of(server.do_handshake).alert == AlertDescription[alert]


@pytest.mark.parametrize("index", [1, 2**16 - 1])
def test_server_that_selects_an_index_that_was_not_offered(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch, index: int
) -> None:
    scenario.connect()
    resumes_with(monkeypatch, 0x1301, index)
    client, server = connections(scenario.client, scenario.server)
    advance(client, server)
    advance(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.illegal_parameter


def test_server_that_resumes_with_another_hash_is_rejected(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.server = replace(scenario.server, cipher_suites=[SHA256])
    scenario.connect()
    scenario.server = replace(
        scenario.server,
        cipher_suites=[SHA384],
        ticket_keys=scenario.server.parameters.ticket_keys,
    )
    resumes_with(monkeypatch, 0x1302)
    client, server = connections(scenario.client, scenario.server)
    advance(client, server)
    advance(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.illegal_parameter


def test_server_that_resumes_without_an_offer_is_rejected(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumes_with(monkeypatch, 0x1301)
    client, server = connections(scenario.client, scenario.server)
    advance(client, server)
    advance(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.unsupported_extension


# Stores


def test_resumption_secrets_are_in_no_repr(scenario: SessionScenario) -> None:
    scenario.connect()
    session = scenario.session_store.sessions[-1]
    client, server = scenario.connect()
    for connection in (client, server):
        done = connection._complete()  # pyright: ignore[reportPrivateUsage]
        text = repr(done)
        assert "secret=" not in text
        assert repr(session.secret)[2:20] not in text
