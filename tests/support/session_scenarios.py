"""A client and a server that connect several times, at times that the test sets."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from engine_pairs import authority, connections, credentials, read_all, send, shake_hands

from trio_tlsx import ClientConfig, ServerConfig, Session
from trio_tlsx.engine.connection import Connection


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = datetime.datetime.now(datetime.UTC)

    def __call__(self) -> datetime.datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)


class RecordingSessionStore:
    """A session store that records its calls and returns the session that was stored last."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.asked: list[tuple[str, int | None, bytes]] = []

    def put(self, session: Session) -> None:
        self.sessions.append(session)

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        self.asked.append((server_name, port, context))
        return self.sessions.pop() if self.sessions else None


@dataclass
class SessionScenario:
    """A client and a server that connect several times."""

    clock: Clock
    session_store: RecordingSessionStore
    client: ClientConfig
    server: ServerConfig

    def connect(self) -> tuple[Connection, Connection]:
        """Do a whole handshake, after which the client has its tickets."""
        pair = connections(self.client, self.server)
        shake_hands(*pair)
        assert pair[0].negotiated.resumed == pair[1].negotiated.resumed
        send(pair[1], pair[0], b"hello")
        assert read_all(pair[0]) == b"hello"
        send(pair[0], pair[1], b"hello back")
        assert read_all(pair[1]) == b"hello back"
        return pair

    def resumes(self) -> bool:
        return self.connect()[0].negotiated.resumed


def new_scenario() -> SessionScenario:
    """Return a scenario before the first connection, with the cheapest key exchange."""
    clock, session_store = Clock(), RecordingSessionStore()
    return SessionScenario(
        clock,
        session_store,
        ClientConfig(
            trust=authority.trust,
            groups=["x25519", "secp256r1"],
            clock=clock,
            session_store=session_store,
            session_context=b"test",
        ),
        ServerConfig(credentials=credentials(), groups=["x25519"], clock=clock),
    )
