"""Session tickets: when a server sends them, and when it accepts one (RFC 9846 4.7.1)."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography import x509
from engine_pairs import (
    SERVER_NAME,
    authority,
    connections,
    failure_of,
    read_all,
    records,
    send,
    shake_hands,
)
from session_scenarios import (
    WEEK,
    SessionScenario,
    deliver,
    new_scenario,
    offered,
)

from trio_tlsx import ClientConfig, ExternalPSK, TicketKeys
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake import psk, resumption_server
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import NewSessionTicket
from trio_tlsx.sessions import ticket_binding


@pytest.fixture
def scenario() -> SessionScenario:
    return new_scenario()


def test_tickets_are_sent_with_the_first_data(scenario: SessionScenario) -> None:
    client, server = connections(scenario.client, scenario.server)
    shake_hands(client, server)
    assert not server.pending_output()
    send(client, server, b"x")
    assert read_all(server) == b"x"
    assert not server.pending_output()
    send(server, client, b"x")
    assert read_all(client) == b"x"
    assert len(scenario.session_store.sessions) == 2
    send(server, client, b"x")
    assert read_all(client) == b"x"
    assert len(scenario.session_store.sessions) == 2


@pytest.mark.parametrize("count", [0, 1, 2, 16])
def test_tickets_argument_and_a_psk_for_each(scenario: SessionScenario, count: int) -> None:
    scenario.server = replace(scenario.server, tickets=count)
    scenario.connect()
    assert len(scenario.session_store.sessions) == count
    assert len({session.secret for session in scenario.session_store.sessions}) == count
    assert len({session.ticket for session in scenario.session_store.sessions}) == count
    assert len({session.ticket_age_add for session in scenario.session_store.sessions}) == count


@pytest.mark.parametrize("count", [None, 0, 1, 2, 3])
def test_number_of_tickets_of_a_resumed_connection(
    scenario: SessionScenario, count: int | None
) -> None:
    """By default one for the one that it has used; else what the argument says."""
    scenario.connect()
    scenario.server = replace(
        scenario.server, tickets=count, ticket_keys=scenario.server.parameters.ticket_keys
    )
    assert len(scenario.session_store.sessions) == 2
    client, _ = scenario.connect()
    assert client.negotiated.resumed
    left = 1  # which the connection did not use
    assert len(scenario.session_store.sessions) == left + (1 if count is None else count)


@pytest.mark.parametrize("count", [-1, 17])
def test_tickets_argument_out_of_range_is_rejected(scenario: SessionScenario, count: int) -> None:
    with pytest.raises(ValueError, match="tickets"):
        replace(scenario.server, tickets=count)


def test_no_tickets_for_a_client_without_psk_dhe_ke(scenario: SessionScenario) -> None:
    scenario.client = ClientConfig(trust=authority.trust, resumption=False)
    client, server = connections(scenario.client, scenario.server)
    shake_hands(client, server)
    server.write(memoryview(b"x"))
    [(_, record)] = records(bytes(server.pending_output()))
    assert len(record) == 5 + 1 + 1 + 16


def test_no_ticket_longer_than_its_field(scenario: SessionScenario) -> None:
    huge = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(2**16))
    client = authority.issue("client.example", extensions=[(huge, False)])
    scenario.client = replace(scenario.client, credentials=client)
    scenario.server = replace(
        scenario.server, client_auth="required", client_trust=authority.trust
    )
    scenario.connect()
    assert scenario.session_store.sessions == []


@pytest.mark.parametrize(("over", "is_offered"), [(0, True), (1, False)])
def test_ticket_without_room_in_the_client_hello_is_not_offered(
    scenario: SessionScenario, over: int, is_offered: bool
) -> None:
    """Beside it there is room for as many keys from outside as there can be, however long."""
    scenario.connect()
    ticket = bytes(psk.MAX_TICKET_LENGTH + over)
    scenario.session_store.sessions.append(
        replace(scenario.session_store.sessions[-1], ticket=ticket)
    )
    longest = [ExternalPSK(bytes((i,)) * 1024, bytes(32), context=bytes(1024)) for i in range(4)]
    client = replace(scenario.client, psks=longest)
    psks = offered(Connection.client(client, SERVER_NAME))
    assert psks is not None
    assert len(psks.identities) == 2 * 4 + is_offered


def test_ticket_is_used_once(scenario: SessionScenario) -> None:
    scenario.connect()
    used = {scenario.session_store.sessions[-1].ticket}
    scenario.connect()
    assert used.isdisjoint(session.ticket for session in scenario.session_store.sessions)


def test_obfuscated_ticket_age(scenario: SessionScenario) -> None:
    scenario.connect()
    session = scenario.session_store.sessions[-1]
    scenario.clock.forward(1.5)
    psks = offered(Connection.client(scenario.client, SERVER_NAME))
    assert psks is not None
    [(identity, age)] = psks.identities
    assert identity == session.ticket
    assert (age - session.ticket_age_add) % 2**32 == 1500


def test_ticket_lifetime_of_zero_and_beyond_a_week(scenario: SessionScenario) -> None:
    client, server = scenario.connect()
    scenario.session_store.sessions.clear()
    deliver(client, server, NewSessionTicket(0, 0, b"", b"ticket", {}))
    assert client.read() is Want.READ
    assert scenario.session_store.sessions == []
    deliver(client, server, NewSessionTicket(2**32 - 1, 0, b"", b"ticket", {}))
    assert client.read() is Want.READ
    assert [session.lifetime for session in scenario.session_store.sessions] == [WEEK]


def test_ticket_with_a_forbidden_extension_is_rejected(scenario: SessionScenario) -> None:
    client, server = scenario.connect()
    wrong: dict[int, bytes] = {ExtensionType.key_share: b""}
    deliver(client, server, NewSessionTicket(1, 0, b"", b"ticket", wrong))
    assert failure_of(client.read).alert == AlertDescription.illegal_parameter


def test_ticket_with_an_unknown_extension_is_accepted(scenario: SessionScenario) -> None:
    client, server = scenario.connect()
    deliver(client, server, NewSessionTicket(1, 0, b"", b"ticket", {0xFAFA: b"grease"}))
    assert client.read() is Want.READ


def test_altered_ticket_is_rejected(scenario: SessionScenario) -> None:
    scenario.connect()
    [*_, session] = scenario.session_store.sessions
    for ticket in (
        session.ticket[:-1],
        session.ticket[:8],
        b"x",
        session.ticket[:-1] + bytes((session.ticket[-1] ^ 1,)),
        bytes((session.ticket[0] ^ 1,)) + session.ticket[1:],
        session.ticket + b"\0",
    ):
        scenario.session_store.sessions.append(replace(session, ticket=ticket))
        assert not scenario.resumes()
    scenario.session_store.sessions.append(session)
    assert scenario.resumes()


def test_ticket_under_removed_keys_is_rejected(scenario: SessionScenario) -> None:
    scenario.connect()
    scenario.server = replace(scenario.server, ticket_keys=TicketKeys(clock=scenario.clock))
    assert not scenario.resumes()
    assert scenario.resumes()


encode = resumption_server.ServerSession.encode


def in_a_new_form(session: resumption_server.ServerSession) -> bytes:
    """A form that can be read as the present one, but means another secret."""
    return encode(replace(session, secret=bytes(len(session.secret))))


def with_a_new_suite(session: resumption_server.ServerSession) -> bytes:
    return b"\xff\xff" + encode(session)[2:]


def with_a_new_group(session: resumption_server.ServerSession) -> bytes:
    return encode(replace(session, group=0xFFFF))


def test_ticket_of_another_form_version_is_rejected(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed under keys that are shared, but in a form that this version does not know."""
    keys = scenario.server.parameters.ticket_keys
    scenario.server = replace(scenario.server, ticket_keys=keys)
    with monkeypatch.context() as other_version:
        other_version.setattr(ticket_binding, "FORM_VERSION", ticket_binding.FORM_VERSION + 1)
        other_version.setattr(resumption_server.ServerSession, "encode", in_a_new_form)
        scenario.connect()
    assert not scenario.resumes()
    assert scenario.resumes()


@pytest.mark.parametrize("encoded", [with_a_new_suite, with_a_new_group])
def test_ticket_with_an_unknown_algorithm_is_rejected(
    scenario: SessionScenario,
    encoded: Callable[[resumption_server.ServerSession], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sealed under keys that are shared, by a version with algorithms that this one lacks."""
    with monkeypatch.context() as other_version:
        other_version.setattr(resumption_server.ServerSession, "encode", encoded)
        scenario.connect()
    assert not scenario.resumes()
    assert scenario.resumes()


def test_ticket_under_rotated_keys(scenario: SessionScenario) -> None:
    keys = TicketKeys([bytes(32)], clock=scenario.clock)
    scenario.server = replace(scenario.server, ticket_keys=keys)
    scenario.connect()
    keys.use([b"1" * 32, bytes(32)])
    assert scenario.resumes()
    keys.use([b"2" * 32])
    assert not scenario.resumes()


def test_expired_ticket_is_rejected_by_the_server(scenario: SessionScenario) -> None:
    keys = TicketKeys([bytes(32)], lifetime=100, clock=scenario.clock)
    scenario.server = replace(scenario.server, ticket_keys=keys)
    scenario.connect()
    scenario.session_store.sessions = [
        replace(session, lifetime=WEEK) for session in scenario.session_store.sessions
    ]
    scenario.clock.forward(99)
    session = scenario.session_store.sessions[-1]
    assert scenario.resumes()
    scenario.clock.forward(1)
    scenario.session_store.sessions.append(session)
    assert not scenario.resumes()


def test_expired_ticket_is_not_offered_by_the_client(
    scenario: SessionScenario,
) -> None:
    scenario.server = replace(
        scenario.server, ticket_keys=TicketKeys(lifetime=100, clock=scenario.clock)
    )
    scenario.connect()
    scenario.clock.forward(100)
    assert offered(Connection.client(scenario.client, SERVER_NAME)) is None


def test_ticket_from_the_future(scenario: SessionScenario) -> None:
    scenario.connect()
    session = scenario.session_store.sessions[-1]
    scenario.server = replace(
        scenario.server,
        clock=lambda: scenario.clock.now - datetime.timedelta(seconds=1),
        ticket_keys=scenario.server.parameters.ticket_keys,
    )
    assert not scenario.resumes()
    scenario.session_store.sessions.append(session)
    scenario.clock.forward(-1)
    assert offered(Connection.client(scenario.client, SERVER_NAME)) is None
