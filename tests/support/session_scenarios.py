"""A client and a server that connect several times, at times that the test sets."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from clocks import ManualClock
from engine_pairs import (
    authority,
    connections,
    credentials,
    read_all,
    records,
    sealed,
    send,
    shake_hands,
)

from trio_tlsx import ClientConfig, ServerConfig, Session, TrustStore
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake import resumption_server, server13_hello
from trio_tlsx.handshake.psk import OfferedPsks, Psk
from trio_tlsx.handshake.steps import Steps
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ClientHello, NewSessionTicket, encode_message
from trio_tlsx.record.protection import ContentType
from trio_tlsx.testing import CA


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

    clock: ManualClock
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
    clock, session_store = ManualClock(), RecordingSessionStore()
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


SHA256, SHA384 = "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"


WEEK = 7 * 24 * 3600


def offered(client: Connection) -> OfferedPsks | None:
    """What the next ClientHello offers to resume."""
    client.do_handshake()
    octets = b"".join(
        record[5:] for _, record in records(client.data_to_send()) if record[0] == 22
    )
    body = ClientHello.decode(octets[4:]).extensions.get(ExtensionType.pre_shared_key)
    return None if body is None else OfferedPsks.decode(body)


def deliver(client: Connection, server: Connection, ticket: NewSessionTicket) -> None:
    client.receive_data(sealed(server, encode_message(ticket), ContentType.handshake))


def more_trust() -> TrustStore:
    return TrustStore([*authority.trust.certificates, CA().certificate])


def always(answer: object) -> Callable[..., object]:
    """What gives this, whatever it is asked."""

    def give(*_: object) -> object:
        return answer

    return give


def resumes_with(monkeypatch: pytest.MonkeyPatch, suite_code: int, index: int = 0) -> None:
    """A server that resumes with this suite, whatever it is offered."""
    suite, now = CIPHER_SUITES[suite_code], datetime.datetime.now(datetime.UTC)
    secret = bytes(suite.hash_length)
    session = resumption_server.ServerSession(suite, now, now, None, secret)

    def known_psks(
        *_: object, needed: bool
    ) -> Steps[Sequence[Psk[resumption_server.ServerSession]]]:
        yield from ()
        return [Psk(b"identity", 0, suite, secret, session)]

    monkeypatch.setattr(server13_hello, "known_psks", known_psks)
    monkeypatch.setattr(server13_hello, "check_psk", always(index))
