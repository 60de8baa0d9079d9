"""Replayed early data: a server accepts each flight at most once (RFC 9846 8)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from early_data_scenarios import (
    EarlyDataScenario,
    recorded,
    takes,
)
from engine_pairs import (
    advance,
    failure_of,
    records,
)

from trio_tlsx import MemoryAntiReplayCache, MemoryTicketStore
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, TLSError
from trio_tlsx.record.protection import RECORD_HEADER_LENGTH


@pytest.fixture
def scenario() -> EarlyDataScenario:
    scenario = EarlyDataScenario()
    scenario.get_ticket()
    return scenario


def test_replayed_early_data_is_accepted_once(scenario: EarlyDataScenario) -> None:
    flight = recorded(scenario)
    servers = [scenario.new_server() for _ in range(100)]
    assert sum(takes(server, flight) for server in servers) == 1


def test_replayed_early_data_is_accepted_once_by_two_servers(
    scenario: EarlyDataScenario,
) -> None:
    flight = recorded(scenario)
    other = replace(scenario.server)
    assert other.parameters.anti_replay_cache is scenario.server.parameters.anti_replay_cache
    taken: list[bool] = []
    for _ in range(50):
        for config in (scenario.server, other):
            server = Connection.server(config)
            server.accept_early_data()
            taken.append(takes(server, flight))
    assert sum(taken) == 1


def test_replayed_early_data_until_it_is_too_old(scenario: EarlyDataScenario) -> None:
    flight = recorded(scenario)
    taken: list[bool] = []
    for _ in range(200):
        taken.append(takes(scenario.new_server(), flight))
        scenario.clock.forward(0.25)
    assert sum(taken) == 1


def test_two_client_hellos_with_one_ticket_are_not_a_replay(scenario: EarlyDataScenario) -> None:
    """It is the ClientHello that cannot be used twice (RFC 9846 8.2)."""
    flights = [recorded(scenario) for _ in range(2)]
    assert [takes(scenario.new_server(), flight) for flight in flights * 2] == [
        True,
        True,
        False,
        False,
    ]


def test_early_data_from_before_the_anti_replay_cache_is_rejected(
    scenario: EarlyDataScenario,
) -> None:
    flight = recorded(scenario)
    scenario.clock.forward(1)
    fresh = MemoryAntiReplayCache(clock=scenario.clock)
    scenario.server = replace(scenario.server, anti_replay_cache=fresh)
    assert not takes(scenario.new_server(), flight)
    scenario.get_ticket()
    assert takes(scenario.new_server(), recorded(scenario))


def test_stored_ticket_stops_replayed_early_data(scenario: EarlyDataScenario) -> None:
    """Then a replay does not even resume, and there is nothing for the cache to find."""
    scenario.server = replace(scenario.server, ticket_store=MemoryTicketStore())
    scenario.get_ticket()
    flight = recorded(scenario)
    assert [takes(scenario.new_server(), flight) for _ in range(3)] == [True, False, False]


def test_wrong_binder_leaves_no_anti_replay_entry(scenario: EarlyDataScenario) -> None:
    [*_, session] = scenario.session_store.sessions
    scenario.session_store.sessions = [replace(session, secret=bytes(32))]
    server = scenario.new_server()
    advance(scenario.new_client(), server)
    assert failure_of(server.do_handshake).alert == AlertDescription.decrypt_error
    cache = scenario.server.parameters.anti_replay_cache
    assert isinstance(cache, MemoryAntiReplayCache)
    assert len(cache) == 0


def test_early_data_behind_an_altered_client_hello_is_not_accepted(
    scenario: EarlyDataScenario,
) -> None:
    """Nor is the cache asked about it: the flight itself is taken afterwards."""
    flight = recorded(scenario)
    (_, hello), *_ = records(flight)
    for position in range(RECORD_HEADER_LENGTH, len(hello)):
        altered = bytearray(flight)
        altered[position] ^= 1
        server = scenario.new_server()
        with suppress(TLSError):
            assert not takes(server, bytes(altered)), position
        assert server.read_early_data() == b"", position
    assert takes(scenario.new_server(), flight)
