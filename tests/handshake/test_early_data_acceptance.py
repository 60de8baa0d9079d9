"""Early data that a server accepts or rejects (RFC 9846 4.3.10, 8.2, 8.3)."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from early_data_scenarios import (
    EARLY,
    MAX,
    EarlyDataScenario,
    another_suite,
    no_protocol,
    off,
    sent_early,
)
from engine_pairs import (
    advance,
    failure_of,
    read_all,
    send,
    shake_hands,
)

from trio_tlsx import AntiReplayWanted, Session
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake import client_hello
from trio_tlsx.handshake.psk import Psk
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.handshake import ClientHello


@pytest.fixture
def scenario() -> EarlyDataScenario:
    scenario = EarlyDataScenario()
    scenario.get_ticket()
    return scenario


def retry(scenario: EarlyDataScenario) -> None:
    scenario.server = replace(scenario.server, groups=["secp256r1"])


def retry_by_cookie(scenario: EarlyDataScenario) -> None:
    scenario.server = replace(scenario.server, require_cookie=True)


def clock_off_by(seconds: float) -> Callable[[EarlyDataScenario], None]:
    def change(scenario: EarlyDataScenario) -> None:
        scenario.clock.forward(100)
        shift = datetime.timedelta(seconds=seconds)
        scenario.server = replace(scenario.server, clock=lambda: scenario.clock.now + shift)

    return change


def less(scenario: EarlyDataScenario) -> None:
    scenario.server = replace(scenario.server, max_early_data_size=MAX - 1)


def answer_of_cache(answer: Any) -> Callable[[EarlyDataScenario], None]:
    def change(scenario: EarlyDataScenario) -> None:
        scenario.server = replace(scenario.server, anti_replay_cache=SameAnswerCache(answer))

    return change


class SameAnswerCache:
    """An anti-replay cache that always returns, or raises, the same."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def claim(self, identifier: bytes, since: object, until: object) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


REJECTIONS: dict[str, Callable[[EarlyDataScenario], None]] = {
    "switched off": off,
    "less than the ticket allows": less,
    "another suite": another_suite,
    "no application protocol": no_protocol,
    "another key share": retry,
    "a cookie": retry_by_cookie,
    "too old": clock_off_by(10.001),
    "too young": clock_off_by(-10.001),
    "claimed before": answer_of_cache(False),
    "no answer": answer_of_cache(None),
    "no bool": answer_of_cache(1),
    "broken": answer_of_cache(OSError("no connection to the cache")),
}


@pytest.mark.parametrize("resend", [False, True])
@pytest.mark.parametrize("cause", REJECTIONS)
def test_rejected_early_data_leaves_the_connection_usable(cause: str, resend: bool) -> None:
    scenario = EarlyDataScenario()
    scenario.client = replace(scenario.client, alpn_protocols=["test"])
    scenario.server = replace(scenario.server, alpn_protocols=["test"])
    scenario.get_ticket()
    REJECTIONS[cause](scenario)
    client, server, received = scenario.connect(resend_early_data=resend)
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted
    assert received == b""
    # RFC 9846 4.3.10: never of another application protocol than it was meant for.
    again = EARLY if resend and client.negotiated.alpn_protocol == "test" else b""
    send(client, server, b"and on")
    assert read_all(server) == again + b"and on"
    send(server, client, b"answer")
    assert read_all(client) == b"answer"
    for connection in (client, server):
        with pytest.raises(RuntimeError, match="no early data that the server has accepted"):
            connection.export_early_keying_material("EXPERIMENTAL test", 32)


@pytest.mark.parametrize("seconds", [-10, 0, 10])
def test_early_data_within_the_freshness_window_is_accepted(
    scenario: EarlyDataScenario, seconds: int
) -> None:
    clock_off_by(seconds)(scenario)
    assert scenario.connect()[2] == EARLY


def test_early_data_is_rejected_if_accept_early_data_was_not_called(
    scenario: EarlyDataScenario,
) -> None:
    client, server = scenario.new_client(), Connection.server(scenario.server)
    shake_hands(client, server)
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted
    assert server.read_early_data() == b""
    send(client, server, b"later")
    assert read_all(server) == b"later"


def test_early_data_is_rejected_if_accept_early_data_comes_too_late(
    scenario: EarlyDataScenario,
) -> None:
    client, server = scenario.new_client(), Connection.server(scenario.server)
    advance(client, server)
    assert server.do_handshake() is Want.WRITE
    server.accept_early_data()
    shake_hands(client, server)
    assert not server.negotiated.early_data_accepted


@pytest.mark.parametrize("ticket", ["of retired keys", "without early data", "expired"])
def test_early_data_is_rejected_with_an_unsuitable_ticket(ticket: str) -> None:
    scenario = EarlyDataScenario()
    if ticket == "without early data":
        scenario.server = replace(scenario.server, max_early_data_size=0)
    session = scenario.get_ticket()
    if ticket == "of retired keys":
        retired = scenario.server.parameters.ticket_keys
        retired.use([b"1" * 32])
    elif ticket == "expired":
        scenario.clock.forward(7200)
        session = replace(session, lifetime=10_000)
    scenario.server = replace(scenario.server, max_early_data_size=MAX)
    scenario.session_store.sessions = [replace(session, max_early_data_size=MAX)]
    assert sent_early(scenario) != b""
    client, server, received = scenario.connect()
    assert received == b""
    assert client.negotiated.resumed == (ticket == "without early data")
    send(client, server, b"later")
    assert read_all(server) == b"later"


def test_early_data_is_rejected_if_its_psk_is_not_the_first(
    scenario: EarlyDataScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9846 4.3.10; the client's early data is under the first, whatever that is."""
    unknown: Psk[Session] = Psk(b"unknown", 0, CIPHER_SUITES[0x1301], bytes(32))
    make = client_hello.with_psks

    def behind_another(
        hello: ClientHello, psks: Sequence[Psk[Session]], messages: Sequence[bytes]
    ) -> ClientHello:
        return make(hello, [unknown, *psks], messages)

    monkeypatch.setattr(client_hello, "with_psks", behind_another)
    client, server = scenario.new_client(), scenario.new_server()
    advance(client, server)
    advance(server, client)
    with pytest.raises(RuntimeError, match="early data"):
        server.export_early_keying_material("EXPERIMENTAL test", 32)
    # That the second of its keys was chosen our client does not understand.
    assert failure_of(client.do_handshake).alert == AlertDescription.illegal_parameter


def test_failing_anti_replay_cache_is_logged(
    scenario: EarlyDataScenario, caplog: pytest.LogCaptureFixture
) -> None:
    REJECTIONS["broken"](scenario)
    with caplog.at_level(logging.WARNING, "trio_tlsx"):
        scenario.connect()
    assert "no connection to the cache" in caplog.text


class Later:
    """An answer that the test gives."""

    def __await__(self) -> Any:
        raise AssertionError("the test answers by itself")


@pytest.mark.parametrize("answer", [True, False, None])
def test_async_anti_replay_cache(scenario: EarlyDataScenario, answer: object) -> None:
    answer_of_cache(Later())(scenario)
    client, server = scenario.new_client(), scenario.new_server()
    advance(client, server)
    question = server.do_handshake()
    assert isinstance(question, AntiReplayWanted)
    assert isinstance(question.awaitable, Awaitable)
    question.awaitable = None
    server.answer(answer)
    shake_hands(client, server)
    assert server.negotiated.early_data_accepted == (answer is True)
    assert server.read_early_data() == (EARLY if answer is True else b"")


def test_async_anti_replay_cache_that_fails(scenario: EarlyDataScenario) -> None:
    answer_of_cache(Later())(scenario)
    client, server = scenario.new_client(), scenario.new_server()
    advance(client, server)
    assert isinstance(server.do_handshake(), AntiReplayWanted)
    server.refuse(OSError("no connection"))
    shake_hands(client, server)
    assert server.negotiated.resumed
    assert not server.negotiated.early_data_accepted


def test_async_anti_replay_cache_that_answers_too_late(scenario: EarlyDataScenario) -> None:
    """By then it may have forgotten what it was told."""
    answer_of_cache(Later())(scenario)
    client, server = scenario.new_client(), scenario.new_server()
    advance(client, server)
    question = server.do_handshake()
    assert isinstance(question, AntiReplayWanted)
    scenario.clock.now = question.until
    server.answer(True)
    shake_hands(client, server)
    assert not server.negotiated.early_data_accepted


def test_anti_replay_cache_arguments(scenario: EarlyDataScenario) -> None:
    told: list[tuple[bytes, datetime.datetime, datetime.datetime]] = []

    class Noting:
        def claim(
            self, identifier: bytes, since: datetime.datetime, until: datetime.datetime
        ) -> bool:
            told.append((identifier, since, until))
            return True

    scenario.server = replace(scenario.server, anti_replay_cache=Noting())
    issued = scenario.clock.now
    scenario.clock.forward(3)
    scenario.connect()
    scenario.clock.forward(97)
    sent = scenario.clock.now
    scenario.connect()
    [(one, since, until), (other, later_since, later_until)] = told
    assert one != other
    assert len(one) == len(other) == 32
    second = datetime.timedelta(seconds=1)
    assert since == issued  # nobody can have sent it before there was the ticket
    assert until == issued + 23 * second
    assert later_since == sent - 10 * second
    assert later_until == sent + 20 * second
