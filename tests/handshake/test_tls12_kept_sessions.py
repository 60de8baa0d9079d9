"""Which sessions of TLS 1.2 a client keeps, and how long (RFC 5077 3.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clocks import ManualClock
from engine_pairs import carry, connections, established, shake_hands
from pairs12 import CLIENT_12, SERVER_12

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.handshake import resumption_server12
from trio_tlsx.handshake.psk import MAX_TICKET_LENGTH
from trio_tlsx.handshake.resumption_client12 import UNKNOWN_LIFETIME
from trio_tlsx.messages.handshake12 import NewSessionTicket12
from trio_tlsx.sessions.client import MemorySessionStore, Session
from trio_tlsx.sessions.ticket_keys import MAX_LIFETIME


class Sessions(MemorySessionStore):
    """A store that lists what was put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Session] = []

    def put(self, session: Session) -> None:
        self.kept.append(session)
        super().put(session)


def keeping(clock: ManualClock | None = None) -> tuple[ClientConfig, Sessions]:
    store = Sessions()
    config = replace(CLIENT_12, resumption=True, session_store=store, session_context=b"test")
    return (config if clock is None else replace(config, clock=clock)), store


def send_instead(
    monkeypatch: pytest.MonkeyPatch, *, hint: int | None = None, ticket: bytes | None = None
) -> None:
    """Have the server send another lifetime hint or another ticket."""

    def changed(lifetime: int, own: bytes) -> NewSessionTicket12:
        return NewSessionTicket12(
            lifetime if hint is None else hint, own if ticket is None else ticket
        )

    monkeypatch.setattr(resumption_server12, "NewSessionTicket12", changed)


@pytest.mark.parametrize(
    ("hint", "lifetime"),
    [(0, UNKNOWN_LIFETIME), (1, 1), (MAX_LIFETIME, MAX_LIFETIME), (2**32 - 1, MAX_LIFETIME)],
)
def test_lifetime_of_a_session_follows_the_hint(
    monkeypatch: pytest.MonkeyPatch, hint: int, lifetime: int
) -> None:
    """At most seven days; two hours if the server leaves it to the client."""
    send_instead(monkeypatch, hint=hint)
    config, store = keeping()
    for _ in range(2):  # a full handshake and a resumption
        established(config, SERVER_12)
    assert [session.lifetime for session in store.kept] == [lifetime, lifetime]


@pytest.mark.parametrize(
    ("length", "is_kept"), [(MAX_TICKET_LENGTH, 1), (MAX_TICKET_LENGTH + 1, 0)]
)
def test_a_ticket_too_long_to_offer_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, length: int, is_kept: int
) -> None:
    send_instead(monkeypatch, ticket=bytes(length))
    config, store = keeping()
    established(config, SERVER_12)
    assert len(store.kept) == is_kept


def test_an_empty_ticket_keeps_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has no new one after all: the session goes back as it was."""
    config, store = keeping()
    established(config, SERVER_12)
    send_instead(monkeypatch, ticket=b"")
    for _ in range(2):
        assert established(config, SERVER_12)[0].negotiated.resumed
    assert store.kept == [store.kept[0]] * 3


def test_an_empty_ticket_of_a_new_session_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    send_instead(monkeypatch, ticket=b"")
    config, store = keeping()
    established(config, SERVER_12)
    assert store.kept == []


@pytest.mark.parametrize(("seconds", "is_kept"), [(99, 2), (100, 1)])
def test_a_session_that_ends_in_its_resumption_does_not_go_back(
    monkeypatch: pytest.MonkeyPatch, seconds: int, is_kept: int
) -> None:
    clock = ManualClock()
    config, store = keeping(clock)
    send_instead(monkeypatch, hint=100)
    established(config, SERVER_12)
    send_instead(monkeypatch, ticket=b"")
    client, server = connections(config, SERVER_12)
    client.do_handshake()
    carry(client, server)
    clock.forward(seconds)
    shake_hands(client, server)
    assert client.negotiated.resumed
    assert len(store.kept) == is_kept
