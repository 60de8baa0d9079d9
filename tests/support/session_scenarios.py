"""A client and a server that meet again and again, at times that the test says."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from engine_pairs import authority, connections, credentials, read_all, send, shake_hands

from trio_tlsx import ClientConfig, ServerConfig, Session
from trio_tlsx.engine.connection import Connection


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.datetime.now(datetime.UTC)

    def __call__(self) -> datetime.datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)


class Pocket:
    """A session store that can be looked into, and that gives what the test has put there."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.asked: list[tuple[str, int | None, bytes]] = []

    def put(self, session: Session) -> None:
        self.sessions.append(session)

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        self.asked.append((server_name, port, context))
        return self.sessions.pop() if self.sessions else None


@dataclass
class World:
    """A client and a server that meet again and again."""

    clock: Clock
    pocket: Pocket
    client: ClientConfig
    server: ServerConfig

    def meet(self) -> tuple[Connection, Connection]:
        """One whole handshake, after which the client has the tickets."""
        pair = connections(self.client, self.server)
        shake_hands(*pair)
        assert pair[0].negotiated.resumed == pair[1].negotiated.resumed
        send(pair[1], pair[0], b"hello")
        assert read_all(pair[0]) == b"hello"
        send(pair[0], pair[1], b"hello back")
        assert read_all(pair[1]) == b"hello back"
        return pair

    def resumes(self) -> bool:
        return self.meet()[0].negotiated.resumed


def new_world() -> World:
    """One in which nobody has met yet; key exchanges are what costs least."""
    clock, pocket = Clock(), Pocket()
    return World(
        clock,
        pocket,
        ClientConfig(
            trust=authority.trust,
            groups=["x25519", "secp256r1"],
            clock=clock,
            session_store=pocket,
            session_context=b"test",
        ),
        ServerConfig(credentials=credentials(), groups=["x25519"], clock=clock),
    )
