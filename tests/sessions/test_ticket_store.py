"""The content of tickets, and single-use tickets whose content is in a ticket store."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import (
    authority,
    carry,
    connections,
    failure_of,
    outgoing,
    read_all,
    send,
    shake_hands,
)
from session_scenarios import SessionScenario, new_scenario

from trio_tlsx import ConfigError, InternalError, MemoryTicketStore, Negotiated, TicketKeys
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake.psk import MAX_TICKET_LENGTH
from trio_tlsx.handshake.questions import TicketIssued, TicketWanted
from trio_tlsx.handshake.resumption_server import TICKET_NAME_LENGTH
from trio_tlsx.handshake.wants import Question, Want
from trio_tlsx.messages.handshake import NewSessionTicket, encode_message
from trio_tlsx.sessions.ticket_store import MAX_TICKET_APPLICATION_DATA

RIDER = b"what the application wants back"


@pytest.fixture
def scenario() -> SessionScenario:
    return new_scenario()


# What rides in tickets


@pytest.mark.parametrize("stored", [False, True])
def test_ticket_application_data_comes_back(scenario: SessionScenario, stored: bool) -> None:
    store = MemoryTicketStore() if stored else None
    scenario.server = replace(scenario.server, ticket_application_data=RIDER, ticket_store=store)
    for resumed in (False, True, True):
        client, server = scenario.connect()
        assert client.negotiated.resumed is resumed
        assert server.negotiated.ticket_application_data == (RIDER if resumed else b"")
        assert client.negotiated.ticket_application_data == b""
    for session in scenario.session_store.sessions:
        assert RIDER not in session.ticket
    assert RIDER.decode() not in repr(server.negotiated)


def test_ticket_application_data_made_for_each_connection(scenario: SessionScenario) -> None:
    def count(negotiated: Negotiated) -> bytes:
        assert negotiated.cipher_suite
        return negotiated.ticket_application_data + b"."

    scenario.server = replace(scenario.server, ticket_application_data=count)
    seen = [scenario.connect()[1].negotiated.ticket_application_data for _ in range(4)]
    assert seen == [b"", b".", b"..", b"..."]


def test_oversized_ticket_is_not_sent(scenario: SessionScenario) -> None:
    names = [f"one-of-many-names-{number:04}.test.example" for number in range(2000)]
    scenario.client = replace(scenario.client, credentials=authority.issue(*names))
    scenario.server = replace(
        scenario.server, client_auth="required", client_trust=authority.trust
    )
    for _ in range(2):
        assert not scenario.resumes()
    assert not scenario.session_store.sessions


@pytest.mark.parametrize(("length", "kept"), [(MAX_TICKET_LENGTH, True), (65_000, False)])
def test_oversized_ticket_is_not_stored_by_the_client(
    scenario: SessionScenario, length: int, kept: bool
) -> None:
    scenario.server = replace(scenario.server, tickets=0)
    client, server = scenario.connect()
    ticket = NewSessionTicket(3600, 0, b"", bytes(length), {})
    outgoing(server).flight += encode_message(ticket)
    carry(server, client)
    assert client.read() is Want.READ
    assert len(scenario.session_store.sessions) == kept
    assert not scenario.resumes()


def test_ticket_application_data_not_called_without_tickets(scenario: SessionScenario) -> None:
    asked: list[Negotiated] = []

    def ask(negotiated: Negotiated) -> bytes:
        asked.append(negotiated)
        return RIDER

    for tickets, times in [(0, 0), (1, 1)]:
        scenario.server = replace(scenario.server, ticket_application_data=ask, tickets=tickets)
        scenario.connect()
        assert len(asked) == times


def test_ticket_application_data_must_be_bytes(scenario: SessionScenario) -> None:
    with pytest.raises(ConfigError, match="of type str"):
        replace(scenario.server, ticket_application_data="rider")
    assert RIDER.decode() not in repr(replace(scenario.server, ticket_application_data=RIDER))


def test_ticket_application_data_longer_than_the_limit_is_rejected(
    scenario: SessionScenario,
) -> None:
    most = bytes(MAX_TICKET_APPLICATION_DATA)
    with pytest.raises(ConfigError, match="256 bytes"):
        replace(scenario.server, ticket_application_data=most + b"x")
    scenario.server = replace(scenario.server, ticket_application_data=most)
    scenario.connect()
    assert scenario.connect()[1].negotiated.ticket_application_data == most


@pytest.mark.parametrize("given", [bytes(MAX_TICKET_APPLICATION_DATA + 1), "text", None])
def test_ticket_application_data_function_with_a_wrong_result(
    scenario: SessionScenario, given: Any
) -> None:
    def give(negotiated: Negotiated) -> Any:
        return given

    scenario.server = replace(scenario.server, ticket_application_data=give)
    error = failure_of(lambda: shake_hands(*connections(scenario.client, scenario.server)))
    assert isinstance(error, InternalError)
    assert error.alert == AlertDescription.internal_error


# Tickets in a store


@pytest.fixture
def store(scenario: SessionScenario) -> MemoryTicketStore:
    store = MemoryTicketStore()
    scenario.server = replace(scenario.server, ticket_store=store)
    return store


def test_stored_tickets_are_only_names(
    scenario: SessionScenario, store: MemoryTicketStore
) -> None:
    assert [scenario.resumes() for _ in range(3)] == [False, True, True]
    lengths = {len(session.ticket) for session in scenario.session_store.sessions}
    assert lengths == {TICKET_NAME_LENGTH}
    assert len(store) == len(scenario.session_store.sessions) == 2


def test_stored_ticket_is_accepted_once(
    scenario: SessionScenario, store: MemoryTicketStore
) -> None:
    scenario.connect()
    session = scenario.session_store.sessions[-1]
    assert scenario.resumes()
    scenario.session_store.sessions.append(session)
    assert not scenario.resumes()


def test_unknown_stored_ticket_is_rejected(
    scenario: SessionScenario, store: MemoryTicketStore
) -> None:
    scenario.connect()
    [*_, session] = scenario.session_store.sessions
    for ticket in (b"x", bytes(TICKET_NAME_LENGTH), session.ticket[:-1], session.ticket + b"x"):
        scenario.session_store.sessions.append(replace(session, ticket=ticket))
        assert not scenario.resumes()
    scenario.session_store.sessions.append(session)
    assert scenario.resumes()


def test_stored_state_is_sealed_and_bound_to_its_server(
    scenario: SessionScenario, store: MemoryTicketStore
) -> None:
    scenario.connect()
    assert all(
        session.secret not in state
        for session in scenario.session_store.sessions
        for state in store._states.values()  # pyright: ignore[reportPrivateUsage]
    )
    scenario.server = replace(
        scenario.server,
        credentials=authority.issue("test.example"),
        ticket_keys=scenario.server.parameters.ticket_keys,
    )
    assert not scenario.resumes()
    assert scenario.resumes()


def test_stored_state_under_removed_keys_is_rejected(
    scenario: SessionScenario, store: MemoryTicketStore
) -> None:
    scenario.connect()
    scenario.server = replace(scenario.server, ticket_keys=TicketKeys(clock=scenario.clock))
    assert not scenario.resumes()
    assert scenario.resumes()


def test_expired_stored_ticket_is_rejected(
    scenario: SessionScenario, store: MemoryTicketStore
) -> None:
    keys = TicketKeys([bytes(32)], lifetime=100, clock=scenario.clock)
    scenario.server = replace(scenario.server, ticket_keys=keys)
    scenario.connect()
    for lasting in scenario.session_store.sessions:
        assert lasting.lifetime == 100
    scenario.session_store.sessions = [
        replace(session, lifetime=200) for session in scenario.session_store.sessions
    ]
    scenario.clock.forward(100)
    assert not scenario.resumes()


def test_stored_ticket_after_hello_retry_request(
    scenario: SessionScenario, store: MemoryTicketStore
) -> None:
    scenario.server = replace(scenario.server, groups=["secp256r1"], require_cookie=True)
    assert [scenario.resumes() for _ in range(3)] == [False, True, True]


def test_memory_ticket_store_is_bounded(scenario: SessionScenario) -> None:
    store = MemoryTicketStore(max_tickets=3)
    for number in range(10):
        store.put(bytes((number,)), b"state", 60)
    assert len(store) == 3
    assert store.take(b"\x00") is None
    assert store.take(b"\x09") == b"state"
    assert store.take(b"\x09") is None
    assert repr(store) == "<MemoryTicketStore of 2 tickets>"
    with pytest.raises(ConfigError, match="max_tickets is 0"):
        MemoryTicketStore(max_tickets=0)


class Later:
    """A store whose answers come later."""

    def __init__(self) -> None:
        self.store = MemoryTicketStore()

    async def put(self, name: bytes, state: bytes, lifetime: int) -> None:
        self.store.put(name, state, lifetime)

    async def take(self, name: bytes) -> bytes | None:
        return self.store.take(name)


def run(awaitable: Awaitable[Any] | None) -> Any:
    """The result of a coroutine that waits for nothing."""
    assert awaitable is not None
    try:
        awaitable.__await__().send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def shake_hands_slowly(client: Connection, server: Connection) -> list[type[Question[Any]]]:
    """The same as ``shake_hands`` with a server that asks; what it asked."""
    asked: list[type[Question[Any]]] = []
    for _ in range(20):
        for one, other in ((client, server), (server, client)):
            want = one.do_handshake()
            if isinstance(want, Question):
                asked.append(type(want))
                awaitable, want.awaitable = want.awaitable, None
                one.answer(run(awaitable))
            if output := one.data_to_send():
                other.receive_data(output)
        if client.handshake_complete and server.do_handshake() is Want.NOTHING:
            return asked
    raise AssertionError("the handshake does not end")


def test_async_ticket_store(scenario: SessionScenario) -> None:
    scenario.server = replace(scenario.server, ticket_store=Later())
    for resumed in (False, True):
        client, server = connections(scenario.client, scenario.server)
        asked = shake_hands_slowly(client, server)
        assert asked == [TicketWanted] * resumed + [TicketIssued] * (1 if resumed else 2)
        assert client.negotiated.resumed is server.negotiated.resumed is resumed
        send(server, client, b"tickets")
        assert read_all(client) == b"tickets"


class WrongStore(MemoryTicketStore):
    def take(self, name: bytes) -> Any:
        super().take(name)
        return "no state"


class BrokenStore(MemoryTicketStore):
    def take(self, name: bytes) -> bytes | None:
        raise OSError("out of reach")


@pytest.mark.parametrize("store_type", [WrongStore, BrokenStore])
def test_failing_ticket_store(
    scenario: SessionScenario, store_type: type[MemoryTicketStore]
) -> None:
    scenario.server = replace(scenario.server, ticket_store=store_type())
    scenario.connect()
    error = failure_of(lambda: shake_hands(*connections(scenario.client, scenario.server)))
    assert isinstance(error, InternalError)
    assert error.alert == AlertDescription.internal_error


class NothingIsForged(MemoryTicketStore):
    """Whoever can write to the store cannot make sessions."""

    def take(self, name: bytes) -> bytes | None:
        return bytes(500)


def test_forged_state_of_a_ticket_store_is_rejected(scenario: SessionScenario) -> None:
    scenario.server = replace(scenario.server, ticket_store=NothingIsForged())
    scenario.connect()
    assert not scenario.resumes()


class NothingIsAsked(MemoryTicketStore):
    def take(self, name: bytes) -> bytes | None:
        raise AssertionError(f"the server asked for {name!r}")


@pytest.mark.parametrize("version", ["TLSv1.3", "TLSv1.2"])
def test_ticket_store_is_asked_for_names_alone(scenario: SessionScenario, version: str) -> None:
    """Not for the tickets of a server without a store, and not for identities of external PSKs."""
    scenario.client = replace(scenario.client, versions=[version])
    scenario.server = replace(scenario.server, versions=[version])
    scenario.connect()
    assert len(scenario.session_store.sessions[-1].ticket) > TICKET_NAME_LENGTH
    scenario.server = replace(scenario.server, ticket_store=NothingIsAsked())
    assert not scenario.resumes()
