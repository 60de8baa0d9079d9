"""Resumption and authentication: a session belongs to a server, a configuration and a client."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from clocks import ManualClock
from engine_pairs import (
    SERVER_NAME,
    authority,
    connections,
    credentials,
    failure_of,
    read_all,
    send,
    shake_hands,
)
from session_scenarios import (
    WEEK,
    RecordingSessionStore,
    SessionScenario,
    more_trust,
    new_scenario,
    offered,
)

from trio_tlsx import (
    CertificateError,
    ClientConfig,
    ConfigError,
    Peer,
    ServerConfig,
    TicketKeys,
    check_stapled_ocsp,
)
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake import client13
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.testing import CA


@pytest.fixture
def scenario() -> SessionScenario:
    return new_scenario()


def test_session_is_not_offered_to_another_name(scenario: SessionScenario) -> None:
    both = authority.issue(SERVER_NAME, "other.example")
    scenario.server = replace(scenario.server, credentials=both)
    scenario.connect()
    session = scenario.session_store.sessions[-1]
    # A store that mixes them up.
    assert offered(Connection.client(scenario.client, "other.example")) is None
    # A client that does so.
    scenario.session_store.sessions.append(replace(session, server_name="other.example"))
    client = Connection.client(scenario.client, "other.example")
    server = Connection.server(scenario.server)
    shake_hands(client, server)
    assert not client.negotiated.resumed


def test_session_is_not_offered_to_another_port(scenario: SessionScenario) -> None:
    for port in (-1, 0, 2**16):
        with pytest.raises(ConfigError, match=str(port)):
            Connection.client(scenario.client, SERVER_NAME, server_port=port)
    client = Connection.client(scenario.client, SERVER_NAME, server_port=443)
    server = Connection.server(scenario.server)
    shake_hands(client, server)
    send(server, client, b"x")
    assert read_all(client) == b"x"
    assert {session.port for session in scenario.session_store.sessions} == {443}
    # A store that mixes them up.
    for port in (8443, None):
        client = Connection.client(scenario.client, SERVER_NAME, server_port=port)
        session = scenario.session_store.sessions[-1]
        assert offered(client) is None
        assert scenario.session_store.asked[-1] == (SERVER_NAME, port, b"test")
        scenario.session_store.sessions.append(session)
    assert offered(Connection.client(scenario.client, SERVER_NAME, server_port=443)) is not None


def test_ticket_of_another_server_certificate_is_rejected(scenario: SessionScenario) -> None:
    scenario.connect()
    renewed = authority.issue(SERVER_NAME)
    scenario.server = replace(
        scenario.server, credentials=renewed, ticket_keys=scenario.server.parameters.ticket_keys
    )
    assert not scenario.resumes()
    assert scenario.resumes()


def test_ticket_of_another_virtual_host_is_rejected(scenario: SessionScenario) -> None:
    keys = TicketKeys(clock=scenario.clock)
    hosts = {
        name: replace(
            scenario.server, credentials=authority.issue(SERVER_NAME, name), ticket_keys=keys
        )
        for name in ("one.example", "two.example")
    }
    chosen = "one.example"

    def choose_host(_: object) -> ServerConfig:
        return hosts[chosen]

    scenario.server = replace(scenario.server, credentials=None, select_credentials=choose_host)
    scenario.connect()
    assert scenario.resumes()
    chosen = "two.example"
    assert not scenario.resumes()


@pytest.mark.parametrize("change", ["mode", "trust"])
def test_ticket_of_another_client_auth_policy_is_rejected(
    scenario: SessionScenario, change: str
) -> None:
    keys = scenario.server.parameters.ticket_keys
    scenario.client = replace(scenario.client, credentials=authority.issue("client.example"))
    scenario.server = replace(
        scenario.server, client_auth="optional", client_trust=authority.trust, ticket_keys=keys
    )
    scenario.connect()
    assert scenario.resumes()
    if change == "mode":
        scenario.server = replace(scenario.server, client_auth="required")
    else:
        scenario.server = replace(scenario.server, client_trust=more_trust())
    assert not scenario.resumes()


def test_session_of_another_session_context_is_not_offered(scenario: SessionScenario) -> None:
    scenario.connect()
    scenario.client = replace(scenario.client, session_context=b"other")
    assert offered(Connection.client(scenario.client, SERVER_NAME)) is None
    assert scenario.session_store.asked[-1] == (SERVER_NAME, None, b"other")


def test_session_of_another_trust_is_not_offered() -> None:
    client = ClientConfig(trust=authority.trust)
    scenario = SessionScenario(
        ManualClock(), RecordingSessionStore(), client, ServerConfig(credentials=credentials())
    )
    assert [scenario.resumes() for _ in range(2)] == [False, True]
    scenario.client = replace(client, trust=more_trust())
    assert [scenario.resumes() for _ in range(2)] == [False, True]
    scenario.client = replace(client, trust=CA().trust)
    error = failure_of(scenario.resumes)
    assert error.alert == AlertDescription.unknown_ca


def test_session_ends_with_the_servers_certificate(scenario: SessionScenario) -> None:
    now = scenario.clock.now
    short = authority.issue(SERVER_NAME, not_after=now + datetime.timedelta(seconds=60))
    scenario.server = replace(scenario.server, credentials=short)
    scenario.connect()
    assert scenario.resumes()
    scenario.clock.forward(61)
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.certificate_expired


def test_resumed_client_certificate_until_it_expires(scenario: SessionScenario) -> None:
    now = scenario.clock.now
    short = authority.issue("client.example", not_after=now + datetime.timedelta(seconds=60))
    scenario.client = replace(scenario.client, credentials=short)
    scenario.server = replace(
        scenario.server, client_auth="required", client_trust=authority.trust
    )
    scenario.connect()
    _, server = scenario.connect()
    assert server.negotiated.resumed
    assert server.negotiated.peer_certificates == short.chain
    assert server.negotiated.signature_scheme == "ecdsa_secp256r1_sha256"
    scenario.clock.forward(61)
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.certificate_expired


def test_ticket_ends_with_the_clients_certificate(
    scenario: SessionScenario,
) -> None:
    now = scenario.clock.now
    short = authority.issue("client.example", not_after=now + datetime.timedelta(seconds=60))
    scenario.client = replace(scenario.client, credentials=short)
    scenario.server = replace(
        scenario.server, client_auth="required", client_trust=authority.trust
    )
    scenario.connect()
    renewed = authority.issue("client.example")
    scenario.client = replace(scenario.client, credentials=renewed)
    scenario.clock.forward(61)
    _, server = scenario.connect()
    assert not server.negotiated.resumed
    assert server.negotiated.peer_certificates == renewed.chain


def test_verify_is_called_for_a_resuming_client(scenario: SessionScenario) -> None:
    judged: list[Peer] = []

    def verify(peer: Peer) -> None:
        judged.append(peer)
        if len(judged) == 3:
            raise CertificateError("thrown out", AlertDescription.access_denied)

    scenario.client = replace(scenario.client, credentials=authority.issue("client.example"))
    scenario.server = replace(
        scenario.server, client_auth="required", client_trust=authority.trust, verify=verify
    )
    scenario.connect()
    assert scenario.resumes()
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.access_denied
    assert len({peer.certificates for peer in judged}) == 1
    assert [peer.resumed for peer in judged] == [False, True, True]


def test_verify_on_resumption_calls_verify(
    scenario: SessionScenario,
) -> None:
    judged: list[Peer] = []

    def verify(peer: Peer) -> None:
        judged.append(peer)
        if len(judged) == 3:
            raise CertificateError("thrown out", AlertDescription.access_denied)

    scenario.client = replace(scenario.client, verify=verify)
    scenario.connect()
    assert scenario.resumes()
    assert len(judged) == 1
    scenario.client = replace(scenario.client, verify_on_resumption=True)
    assert scenario.resumes()
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.access_denied
    assert [peer.resumed for peer in judged] == [False, True, True]
    assert len({(peer.certificates, peer.server_name, peer.path) for peer in judged}) == 1


def test_verify_on_resumption_verifies_the_chain(
    scenario: SessionScenario,
) -> None:
    scenario.connect()
    scenario.client = replace(scenario.client, verify_on_resumption=True, trust=CA().trust)
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.unknown_ca


def test_check_stapled_ocsp_on_resumption(scenario: SessionScenario) -> None:
    scenario.client = replace(
        scenario.client, credentials=authority.issue("client.example"), verify_on_resumption=True
    )
    scenario.server = replace(
        scenario.server,
        client_auth="required",
        client_trust=authority.trust,
        ticket_keys=TicketKeys(clock=scenario.clock),
    )
    scenario.connect()
    must = check_stapled_ocsp(must=True)
    scenario.client = replace(scenario.client, verify=must)
    scenario.server = replace(scenario.server, verify=must)
    assert scenario.resumes()


def test_resumptions_end_a_week_after_authentication(scenario: SessionScenario) -> None:
    scenario.server = replace(
        scenario.server, ticket_keys=TicketKeys(lifetime=WEEK, clock=scenario.clock)
    )
    scenario.connect()
    day = 24 * 3600
    for _ in range(6):
        scenario.clock.forward(day)
        assert scenario.resumes()
    session = scenario.session_store.sessions[-1]
    scenario.clock.forward(day)
    assert offered(Connection.client(scenario.client, SERVER_NAME)) is None
    # A client that does not care.
    scenario.session_store.sessions.append(replace(session, verified_at=scenario.clock.now))
    assert not scenario.resumes()
    assert scenario.resumes()


def test_server_name_is_not_acknowledged_on_resumption(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 6066 3."""
    answers: list[Mapping[int, bytes]] = []
    apply_extensions: Any = client13.apply_extensions

    def spy(hs: Any, config: Any, extensions: Mapping[int, bytes], *rest: Any) -> Any:
        answers.append(extensions)
        return apply_extensions(hs, config, extensions, *rest)

    monkeypatch.setattr(client13, "apply_extensions", spy)
    assert [scenario.resumes() for _ in range(2)] == [False, True]
    assert [ExtensionType.server_name in answer for answer in answers] == [True, False]
