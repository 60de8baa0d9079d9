"""Session stores that are async, return wrong objects, or fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import (
    SERVER_NAME,
    carry,
    connections,
    failure_of,
    read_all,
    send,
    shake_hands,
)
from session_scenarios import (
    RecordingSessionStore,
    SessionScenario,
    new_scenario,
)

from trio_tlsx import Session, SessionStore
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, InternalError
from trio_tlsx.handshake.questions import SessionReceived, SessionWanted
from trio_tlsx.handshake.wants import Question


@pytest.fixture
def scenario() -> SessionScenario:
    return new_scenario()


class SlowStore:
    """A store whose answers come later."""

    def __init__(self, session_store: RecordingSessionStore) -> None:
        self._store = session_store

    async def put(self, session: Session) -> None:
        self._store.put(session)

    async def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        return self._store.take(server_name, port, context)


def run(awaitable: Awaitable[Any] | None) -> Any:
    """The result of a coroutine that waits for nothing."""
    assert awaitable is not None
    try:
        awaitable.__await__().send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def answered(engine: Connection, question: object) -> None:
    assert isinstance(question, Question)
    awaitable, question.awaitable = question.awaitable, None
    engine.answer(run(awaitable))


def test_async_session_store_of_the_engine(scenario: SessionScenario) -> None:
    scenario.client = replace(scenario.client, session_store=SlowStore(scenario.session_store))
    for resumed in (False, True):
        client, server = connections(scenario.client, scenario.server)
        question = client.do_handshake()
        assert isinstance(question, SessionWanted)
        answered(client, question)
        shake_hands(client, server)
        assert client.negotiated.resumed is resumed
        send(server, client, b"hello")
        for _ in range(1 if resumed else 2):
            question = client.read()
            assert isinstance(question, SessionReceived)
            answered(client, question)
        assert read_all(client) == b"hello"
    assert len(scenario.session_store.sessions) == 2


def test_session_store_is_asked_again_after_a_cancelled_question(
    scenario: SessionScenario,
) -> None:
    scenario.client = replace(scenario.client, session_store=SlowStore(scenario.session_store))
    client, server = connections(scenario.client, scenario.server)
    for _ in range(2):
        question = client.do_handshake()
        assert isinstance(question, SessionWanted)
        given_up(question)
    answered(client, client.do_handshake())
    shake_hands(client, server)
    send(server, client, b"hello")
    for _ in range(2):
        question = client.read()
        assert isinstance(question, SessionReceived)
        given_up(question)
    for _ in range(2):
        answered(client, client.read())
    assert read_all(client) == b"hello"
    assert len(scenario.session_store.sessions) == 2


def given_up(question: Question[Any]) -> None:
    """What a driver leaves behind that was cancelled while it waited."""
    awaitable, question.awaitable = question.awaitable, None
    close: Callable[[], None] = getattr(awaitable, "close", lambda: None)
    close()


class BadStore(RecordingSessionStore):
    """A store that does not do what it should."""

    def take(self, server_name: str, port: int | None, context: bytes) -> Any:
        return "not a session"


class BrokenStore(RecordingSessionStore):
    """A store that fails."""

    def put(self, session: Session) -> None:
        raise OSError("disk full")


def test_session_store_with_a_wrong_result(scenario: SessionScenario) -> None:
    scenario.client = replace(scenario.client, session_store=BadStore())
    error = failure_of(Connection.client(scenario.client, SERVER_NAME).do_handshake)
    assert isinstance(error, InternalError)
    assert "not a session" not in str(error)


def test_failing_session_store_ends_the_connection(scenario: SessionScenario) -> None:
    store: SessionStore = BrokenStore()
    scenario.client = replace(scenario.client, session_store=store)
    client, server = connections(scenario.client, scenario.server)
    shake_hands(client, server)
    send(server, client, b"hello")
    error = failure_of(client.read)
    assert error.alert == AlertDescription.internal_error
    assert isinstance(error.__cause__, OSError)
    assert failure_of(client.read) is error
    carry(client, server)
    assert failure_of(server.read).alert == AlertDescription.internal_error
