"""A client with a ticket of a server that accepts early data, and changes that cause rejection."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from clocks import ManualClock
from engine_pairs import (
    SERVER_NAME,
    authority,
    credentials,
    read_all,
    records,
    send,
    shake_hands,
)

from trio_tlsx import ClientConfig, MemoryAntiReplayCache, ServerConfig, Session, TicketKeys
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake.wants import Want

MAX = 14_336
EARLY = b"GET / HTTP/1.1\r\n\r\n"


class ReusingSessionStore:
    """A session store that returns the newest session again and again."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []

    def put(self, session: Session) -> None:
        self.sessions.append(session)

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        return self.sessions[-1] if self.sessions else None


@dataclass
class EarlyDataScenario:
    """A client that has a ticket of a server which takes early data."""

    clock: ManualClock = field(default_factory=ManualClock)
    session_store: ReusingSessionStore = field(default_factory=ReusingSessionStore)
    client: ClientConfig = field(init=False)
    server: ServerConfig = field(init=False)

    def __post_init__(self) -> None:
        self.client = ClientConfig(
            trust=authority.trust,
            groups=["x25519", "secp256r1"],
            clock=self.clock,
            session_store=self.session_store,
            session_context=b"test",
        )
        self.server = ServerConfig(
            credentials=credentials(),
            groups=["x25519"],
            clock=self.clock,
            ticket_keys=TicketKeys([bytes(32)], clock=self.clock),
            max_early_data_size=MAX,
            anti_replay_cache=MemoryAntiReplayCache(clock=self.clock),
        )

    def get_ticket(self) -> Session:
        client, server = Connection.client(self.client, SERVER_NAME), self.new_server()
        shake_hands(client, server)
        send(server, client, b"hello")
        assert read_all(client) == b"hello"
        return self.session_store.sessions[-1]

    def new_client(self, data: bytes | bytearray = EARLY, **options: Any) -> Connection:
        return Connection.client(self.client, SERVER_NAME, early_data=data, **options)

    def new_server(self) -> Connection:
        server = Connection.server(self.server)
        server.accept_early_data()
        return server

    def connect(self, data: bytes = EARLY, **options: Any) -> tuple[Connection, Connection, bytes]:
        """A whole handshake with early data, and what of it the server took."""
        client, server = self.new_client(data, **options), self.new_server()
        shake_hands(client, server)
        accepted = client.negotiated.early_data_accepted
        assert server.negotiated.early_data_accepted == accepted
        assert server.negotiated.resumed or not accepted
        return client, server, server.read_early_data()


def sent_early(scenario: EarlyDataScenario) -> bytes:
    """The records of early data that the client sends."""
    client = scenario.new_client()
    client.do_handshake()
    flight = [record for _, record in records(client.data_to_send())]
    return b"".join(record for record in flight if record[0] == 23)


def another_suite(scenario: EarlyDataScenario) -> None:
    """The same hash, so that the session is resumed all the same."""
    scenario.server = replace(scenario.server, cipher_suites=["TLS_CHACHA20_POLY1305_SHA256"])


def no_protocol(scenario: EarlyDataScenario) -> None:
    scenario.server = replace(scenario.server, alpn_protocols=[])


def off(scenario: EarlyDataScenario) -> None:
    scenario.server = replace(scenario.server, max_early_data_size=0)


def recorded(scenario: EarlyDataScenario) -> bytes:
    """The first flight of a client that a server answers, taken down on its way."""
    client = scenario.new_client()
    client.do_handshake()
    return client.data_to_send()


def takes(server: Connection, flight: bytes) -> bool:
    """Whether a server takes the early data of this flight."""
    server.receive_data(flight)
    while server.do_handshake() is not Want.READ:
        server.data_to_send()
    early = server.read_early_data()
    assert early in (b"", EARLY)
    return early == EARLY
