"""Early data (0-RTT): taken once, and only where everything speaks for it (RFC 9846 2.3, 8)."""

from __future__ import annotations

import datetime
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from engine_pairs import (
    SERVER_NAME,
    advance,
    authority,
    carry,
    credentials,
    failure_of,
    read_all,
    records,
    send,
    shake_hands,
)

from trio_tlsx import (
    AntiReplayWanted,
    CertificateError,
    ClientConfig,
    ConfigError,
    MemoryAntiReplayCache,
    MemoryTicketStore,
    Peer,
    ServerConfig,
    Session,
    TicketKeys,
)
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, ProtocolError, TLSError
from trio_tlsx.handshake import client as client_hello
from trio_tlsx.handshake import early_data
from trio_tlsx.handshake.psk import Psk
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.handshake import ClientHello
from trio_tlsx.record.protection import HEADER_LENGTH as RECORD_HEADER_LENGTH

MAX = 14_336
EARLY = b"GET / HTTP/1.1\r\n\r\n"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        # In whole seconds, so that what is told in milliseconds is what it was.
        self.now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)

    def __call__(self) -> datetime.datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)


class ReusingSessionStore:
    """A session store that keeps what it gave."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []

    def put(self, session: Session) -> None:
        self.sessions.append(session)

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        return self.sessions[-1] if self.sessions else None


@dataclass
class EarlyDataScenario:
    """A client that has a ticket of a server which takes early data."""

    clock: Clock = field(default_factory=Clock)
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


@pytest.fixture
def scenario() -> EarlyDataScenario:
    scenario = EarlyDataScenario()
    scenario.get_ticket()
    return scenario


def test_it_comes_with_the_hello(scenario: EarlyDataScenario) -> None:
    client, server = scenario.new_client(), scenario.new_server()
    assert client.do_handshake() is Want.WRITE
    carry(client, server)
    assert server.do_handshake() is Want.WRITE
    output = server.data_to_send()
    assert server.do_handshake() is Want.EARLY_DATA
    assert server.read_early_data(5) == EARLY[:5]
    assert server.read_early_data(1) == EARLY[5:6]
    assert server.read_early_data() == EARLY[6:]
    assert server.read_early_data() == b""
    assert server.do_handshake() is Want.READ
    assert not server.handshake_complete
    client.receive_data(output)
    shake_hands(client, server)
    assert client.negotiated.early_data_accepted
    assert server.negotiated.early_data_accepted
    send(client, server, b"later")
    assert read_all(server) == b"later"
    assert server.read_early_data() == b""


@pytest.mark.parametrize("suite", [suite.name for suite in CIPHER_SUITES.values()])
@pytest.mark.parametrize("compatible", [False, True])
def test_each_suite_and_with_nobody_in_between(suite: str, compatible: bool) -> None:
    scenario = EarlyDataScenario()
    scenario.client = replace(
        scenario.client, cipher_suites=[suite], middlebox_compatibility=compatible
    )
    scenario.get_ticket()
    client, server, received = scenario.connect()
    assert received == EARLY
    assert client.negotiated.early_data_accepted
    send(server, client, b"answer")
    assert read_all(client) == b"answer"


def test_the_records_lie_as_appendix_e_4_has_them(scenario: EarlyDataScenario) -> None:
    client, server = scenario.new_client(), scenario.new_server()
    client.do_handshake()
    flight = client.data_to_send()
    assert [record[0] for _, record in records(flight)] == [22, 20, 23]
    server.receive_data(flight)
    advance(server, client)
    assert client.do_handshake() is Want.WRITE
    second = [record for _, record in records(client.data_to_send())]
    # EndOfEarlyData alone, as keys change behind it, then Finished.
    assert [record[0] for record in second] == [23, 23]
    assert len(second[0]) == 5 + 4 + 1 + 16


def test_all_messages_are_seen_and_in_order(scenario: EarlyDataScenario) -> None:
    seen: list[tuple[str, str]] = []

    def observe(way: str, name: str, length: int) -> None:
        seen.append((way, name))

    client, server = scenario.new_client(observer=observe), scenario.new_server()
    shake_hands(client, server)
    assert seen == [
        ("sent", "client_hello"),
        ("received", "server_hello"),
        ("received", "encrypted_extensions"),
        ("received", "finished"),
        ("sent", "end_of_early_data"),
        ("sent", "finished"),
    ]


def test_as_much_as_the_ticket_allows_and_no_more(scenario: EarlyDataScenario) -> None:
    _, _, received = scenario.connect(bytes(MAX))
    assert received == bytes(MAX)
    scenario.get_ticket()
    client, _, received = scenario.connect(bytes(MAX + 1))
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted
    assert received == b""


@pytest.mark.parametrize("limit", [64, 1000, 2**14 + 1])
def test_all_of_it_is_sent_again_however_small_the_records(
    scenario: EarlyDataScenario, limit: int
) -> None:
    off(scenario)
    scenario.server = replace(scenario.server, record_size_limit=limit)
    data = random.Random(limit).randbytes(MAX)
    _, server, received = scenario.connect(data, resend_early_data=True)
    assert received == b""
    again = b""
    while isinstance(piece := server.read(), bytes):
        again += piece
    assert again == data


def test_of_the_application_protocol_that_the_session_had() -> None:
    scenario = EarlyDataScenario()
    scenario.client = replace(scenario.client, alpn_protocols=["h2"])
    scenario.server = replace(scenario.server, alpn_protocols=["h2"])
    assert scenario.get_ticket().alpn_protocol == "h2"
    _, _, received = scenario.connect()
    assert received == EARLY
    scenario.client = replace(scenario.client, alpn_protocols=["http/1.1"])
    scenario.server = replace(scenario.server, alpn_protocols=["http/1.1"])
    assert sent_early(scenario) == b""


def sent_early(scenario: EarlyDataScenario) -> bytes:
    """The records of early data that the client sends."""
    client = scenario.new_client()
    client.do_handshake()
    flight = [record for _, record in records(client.data_to_send())]
    return b"".join(record for record in flight if record[0] == 23)


def test_never_without_being_asked_to(scenario: EarlyDataScenario) -> None:
    client, server = scenario.new_client(b""), scenario.new_server()
    shake_hands(client, server)
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted


def test_only_under_a_key_that_allows_it(scenario: EarlyDataScenario) -> None:
    assert sent_early(scenario) != b""
    [*_, session] = scenario.session_store.sessions
    scenario.session_store.sessions = [replace(session, max_early_data_size=len(EARLY) - 1)]
    assert sent_early(scenario) == b""
    scenario.session_store.sessions = [
        replace(session, cipher_suite="TLS_CHACHA20_POLY1305_SHA256")
    ]
    scenario.client = replace(scenario.client, cipher_suites=["TLS_AES_128_GCM_SHA256"])
    assert sent_early(scenario) == b""
    scenario.session_store.sessions = []
    assert sent_early(scenario) == b""


def test_never_before_the_server_is_judged_where_that_was_asked_for(
    scenario: EarlyDataScenario,
) -> None:
    judged: list[Peer] = []
    scenario.client = replace(scenario.client, verify_on_resumption=True, verify=judged.append)
    client = scenario.new_client()
    assert client.do_handshake() is Want.WRITE
    assert [peer.resumed for peer in judged] == [True]
    _, _, taken = scenario.connect()
    assert taken == EARLY
    assert len(judged) == 2


def test_nothing_leaves_for_a_server_that_is_refused_meanwhile(
    scenario: EarlyDataScenario,
) -> None:
    def refuse(peer: Peer) -> None:
        raise CertificateError("revoked", AlertDescription.certificate_revoked)

    scenario.client = replace(scenario.client, verify_on_resumption=True, verify=refuse)
    client = scenario.new_client()
    assert failure_of(client.do_handshake).alert is AlertDescription.certificate_revoked
    (alert,) = (record for _, record in records(client.data_to_send()))
    assert alert == b"\x15\3\3\0\2\2" + bytes((AlertDescription.certificate_revoked,))


def test_a_server_that_rejects_it_is_judged_again(scenario: EarlyDataScenario) -> None:
    judged: list[Peer] = []
    scenario.client = replace(scenario.client, verify_on_resumption=True, verify=judged.append)
    scenario.server = replace(scenario.server, max_early_data_size=0)
    client, _, taken = scenario.connect()
    assert client.negotiated.resumed
    assert taken == b""
    assert [peer.resumed for peer in judged] == [True, True]


def test_it_is_of_bytes(scenario: EarlyDataScenario) -> None:
    with pytest.raises(ConfigError, match="not str"):
        scenario.new_client("GET / HTTP/1.1")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("length", [2**17 + 1, 2**20])
def test_too_much_for_any_server_is_refused_at_once(
    scenario: EarlyDataScenario, length: int
) -> None:
    with pytest.raises(ConfigError, match="131072"):
        scenario.new_client(bytes(length))


def test_the_most_in_the_smallest_records(scenario: EarlyDataScenario) -> None:
    session = scenario.get_ticket()
    scenario.session_store.sessions = [replace(session, max_early_data_size=2**17)]
    scenario.client = replace(scenario.client, max_fragment_size=64)
    client = scenario.new_client(bytes(2**17))
    assert client.do_handshake() is Want.WRITE
    sealed = [record for _, record in records(client.data_to_send()) if record[0] == 0x17]
    assert len(sealed) == 2**17 // 64


def test_it_is_of_the_application_protocol_that_is_wanted_most(
    scenario: EarlyDataScenario,
) -> None:
    scenario.client = replace(scenario.client, alpn_protocols=["h2", "http/1.1"])
    scenario.server = replace(scenario.server, alpn_protocols=["h2"])
    assert scenario.get_ticket().alpn_protocol == "h2"
    client, _, taken = scenario.connect()
    assert client.negotiated.alpn_protocol == "h2"
    assert taken == EARLY
    scenario.get_ticket()
    scenario.client = replace(scenario.client, alpn_protocols=["http/1.1", "h2"])
    assert sent_early(scenario) == b""


def test_it_is_what_it_was_when_it_was_given(scenario: EarlyDataScenario) -> None:
    data = bytearray(EARLY)
    client, server = scenario.new_client(data), scenario.new_server()
    data.clear()
    shake_hands(client, server)
    assert server.read_early_data() == EARLY


@pytest.mark.parametrize("size", [-1, MAX + 1])
def test_no_more_than_other_servers_of_ours_skip(scenario: EarlyDataScenario, size: int) -> None:
    with pytest.raises(ConfigError, match="14336"):
        replace(scenario.server, max_early_data_size=size)


def test_it_is_skipped_in_small_records_too(scenario: EarlyDataScenario) -> None:
    scenario.client = replace(scenario.client, max_fragment_size=64)
    client, server = scenario.new_client(bytes(MAX)), Connection.server(scenario.server)
    shake_hands(client, server)
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted


def test_who_shares_ticket_keys_shares_a_register(scenario: EarlyDataScenario) -> None:
    with pytest.raises(ConfigError, match="anti_replay_cache"):
        replace(scenario.server, anti_replay_cache=None)
    own = replace(scenario.server, anti_replay_cache=None, ticket_keys=None)
    assert isinstance(own.parameters.early_data_register, MemoryAntiReplayCache)
    off = replace(scenario.server, anti_replay_cache=None, max_early_data_size=0)
    assert off.parameters.early_data_register is None


# What early data depends on


def another_suite(scenario: EarlyDataScenario) -> None:
    """The same hash, so that the session is resumed all the same."""
    scenario.server = replace(scenario.server, cipher_suites=["TLS_CHACHA20_POLY1305_SHA256"])


def no_protocol(scenario: EarlyDataScenario) -> None:
    scenario.server = replace(scenario.server, alpn_protocols=[])


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


def off(scenario: EarlyDataScenario) -> None:
    scenario.server = replace(scenario.server, max_early_data_size=0)


def less(scenario: EarlyDataScenario) -> None:
    scenario.server = replace(scenario.server, max_early_data_size=MAX - 1)


def answer_of_register(answer: Any) -> Callable[[EarlyDataScenario], None]:
    def change(scenario: EarlyDataScenario) -> None:
        scenario.server = replace(scenario.server, anti_replay_cache=Register(answer))

    return change


class Register:
    """A register that gives, or raises, always the same."""

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
    "claimed before": answer_of_register(False),
    "no answer": answer_of_register(None),
    "no bool": answer_of_register(1),
    "broken": answer_of_register(OSError("no connection to the register")),
}


@pytest.mark.parametrize("resend", [False, True])
@pytest.mark.parametrize("cause", REJECTIONS)
def test_is_rejected_and_the_connection_goes_on(cause: str, resend: bool) -> None:
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
        with pytest.raises(RuntimeError):
            connection.export_early_keying_material("EXPERIMENTAL test", 32)


@pytest.mark.parametrize("seconds", [-10, 0, 10])
def test_is_taken_within_the_window(scenario: EarlyDataScenario, seconds: int) -> None:
    clock_off_by(seconds)(scenario)
    assert scenario.connect()[2] == EARLY


def test_is_rejected_where_nobody_will_read_it(scenario: EarlyDataScenario) -> None:
    client, server = scenario.new_client(), Connection.server(scenario.server)
    shake_hands(client, server)
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted
    assert server.read_early_data() == b""
    send(client, server, b"later")
    assert read_all(server) == b"later"


def test_is_rejected_where_somebody_wants_it_too_late(scenario: EarlyDataScenario) -> None:
    client, server = scenario.new_client(), Connection.server(scenario.server)
    advance(client, server)
    assert server.do_handshake() is Want.WRITE
    server.accept_early_data()
    shake_hands(client, server)
    assert not server.negotiated.early_data_accepted


@pytest.mark.parametrize("ticket", ["of retired keys", "without early data", "expired"])
def test_is_rejected_with_such_a_ticket(ticket: str) -> None:
    scenario = EarlyDataScenario()
    if ticket == "without early data":
        scenario.server = replace(scenario.server, max_early_data_size=0)
    session = scenario.get_ticket()
    if ticket == "of retired keys":
        retired = scenario.server.parameters.ticket_sealer
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


def test_is_rejected_under_a_key_that_is_not_the_first(
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


def test_what_the_register_fails_with_is_logged(
    scenario: EarlyDataScenario, caplog: pytest.LogCaptureFixture
) -> None:
    REJECTIONS["broken"](scenario)
    with caplog.at_level(logging.WARNING, "trio_tlsx"):
        scenario.connect()
    assert "no connection to the register" in caplog.text


# Registers that answer later


class Later:
    """An answer that the test gives."""

    def __await__(self) -> Any:
        raise AssertionError("the test answers by itself")


@pytest.mark.parametrize("answer", [True, False, None])
def test_a_register_that_answers_later(scenario: EarlyDataScenario, answer: object) -> None:
    answer_of_register(Later())(scenario)
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


def test_a_register_that_fails_later(scenario: EarlyDataScenario) -> None:
    answer_of_register(Later())(scenario)
    client, server = scenario.new_client(), scenario.new_server()
    advance(client, server)
    assert isinstance(server.do_handshake(), AntiReplayWanted)
    server.refuse(OSError("no connection"))
    shake_hands(client, server)
    assert server.negotiated.resumed
    assert not server.negotiated.early_data_accepted


def test_a_register_that_answers_too_late(scenario: EarlyDataScenario) -> None:
    """By then it may have forgotten what it was told."""
    answer_of_register(Later())(scenario)
    client, server = scenario.new_client(), scenario.new_server()
    advance(client, server)
    question = server.do_handshake()
    assert isinstance(question, AntiReplayWanted)
    scenario.clock.now = question.until
    server.answer(True)
    shake_hands(client, server)
    assert not server.negotiated.early_data_accepted


def test_what_the_register_is_told(scenario: EarlyDataScenario) -> None:
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


# Replays


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


def test_a_flight_sent_a_hundred_times_is_taken_once(scenario: EarlyDataScenario) -> None:
    flight = recorded(scenario)
    servers = [scenario.new_server() for _ in range(100)]
    assert sum(takes(server, flight) for server in servers) == 1


def test_a_flight_sent_to_two_that_share_a_register_is_taken_once(
    scenario: EarlyDataScenario,
) -> None:
    flight = recorded(scenario)
    other = replace(scenario.server)
    assert other.parameters.early_data_register is scenario.server.parameters.early_data_register
    taken: list[bool] = []
    for _ in range(50):
        for config in (scenario.server, other):
            server = Connection.server(config)
            server.accept_early_data()
            taken.append(takes(server, flight))
    assert sum(taken) == 1


def test_a_flight_sent_again_and_again_until_it_is_too_old(scenario: EarlyDataScenario) -> None:
    flight = recorded(scenario)
    taken: list[bool] = []
    for _ in range(200):
        taken.append(takes(scenario.new_server(), flight))
        scenario.clock.forward(0.25)
    assert sum(taken) == 1


def test_two_flights_with_one_ticket_are_two(scenario: EarlyDataScenario) -> None:
    """It is the ClientHello that cannot be used twice (RFC 9846 8.2)."""
    flights = [recorded(scenario) for _ in range(2)]
    assert [takes(scenario.new_server(), flight) for flight in flights * 2] == [
        True,
        True,
        False,
        False,
    ]


def test_a_flight_from_before_the_register_began(scenario: EarlyDataScenario) -> None:
    flight = recorded(scenario)
    scenario.clock.forward(1)
    fresh = MemoryAntiReplayCache(clock=scenario.clock)
    scenario.server = replace(scenario.server, anti_replay_cache=fresh)
    assert not takes(scenario.new_server(), flight)
    scenario.get_ticket()
    assert takes(scenario.new_server(), recorded(scenario))


def test_a_ticket_from_a_store_is_gone_after_its_first_use(scenario: EarlyDataScenario) -> None:
    """Then a replay does not even resume, and there is nothing for the register to find."""
    scenario.server = replace(scenario.server, ticket_store=MemoryTicketStore())
    scenario.get_ticket()
    flight = recorded(scenario)
    assert [takes(scenario.new_server(), flight) for _ in range(3)] == [True, False, False]


def test_a_hello_whose_binder_is_wrong_leaves_no_trace(scenario: EarlyDataScenario) -> None:
    [*_, session] = scenario.session_store.sessions
    scenario.session_store.sessions = [replace(session, secret=bytes(32))]
    server = scenario.new_server()
    advance(scenario.new_client(), server)
    assert failure_of(server.do_handshake).alert == AlertDescription.decrypt_error
    register = scenario.server.parameters.early_data_register
    assert isinstance(register, MemoryAntiReplayCache)
    assert len(register) == 0


# What is wrong with it


def test_more_than_the_server_allows(scenario: EarlyDataScenario) -> None:
    [*_, session] = scenario.session_store.sessions
    scenario.session_store.sessions = [replace(session, max_early_data_size=2**16)]
    client, server = scenario.new_client(bytes(MAX + 1)), scenario.new_server()
    advance(client, server)
    error = failure_of(lambda: [advance(server, client) for _ in range(2)])
    assert isinstance(error, ProtocolError)
    assert error.alert == AlertDescription.unexpected_message
    assert server.read_early_data() == b""


@pytest.mark.parametrize("altered", [-1, -30])
def test_a_record_that_was_altered(scenario: EarlyDataScenario, altered: int) -> None:
    flight = bytearray(recorded(scenario))
    flight[altered] ^= 1
    server = scenario.new_server()
    server.receive_data(flight)
    assert server.do_handshake() is Want.WRITE
    server.data_to_send()
    assert failure_of(server.do_handshake).alert == AlertDescription.bad_record_mac


def test_behind_a_hello_of_which_one_octet_was_altered_nothing_is_taken(
    scenario: EarlyDataScenario,
) -> None:
    """Nor is the register asked about it: the flight itself is taken afterwards."""
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


@pytest.mark.parametrize("what", ["suite", "protocol", "session"])
def test_a_server_that_takes_it_although_it_must_not(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = EarlyDataScenario()
    scenario.client = replace(scenario.client, alpn_protocols=["test"])
    scenario.server = replace(scenario.server, alpn_protocols=["test"])
    scenario.get_ticket()

    def always(*_: object) -> bool:
        return True

    monkeypatch.setattr(early_data, "is_same", always)
    if what == "suite":
        another_suite(scenario)
    elif what == "protocol":
        no_protocol(scenario)
    client, server = scenario.new_client(), scenario.new_server()
    if what == "session":
        make_offer = early_data.make_offer

        def of_another_key(*args: Any) -> early_data.EarlyDataOffer | None:
            made = make_offer(*args)
            assert made is not None
            return replace(made, psk=replace(made.psk))

        monkeypatch.setattr(early_data, "make_offer", of_another_key)
    advance(client, server)
    advance(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.illegal_parameter


def test_nobody_reads_what_a_client_sent_who_may_no_longer_in(scenario: EarlyDataScenario) -> None:
    banned: list[str] = []

    def verify(peer: Peer) -> None:
        if banned:
            raise CertificateError("no longer", AlertDescription.access_denied)

    scenario.client = replace(scenario.client, credentials=authority.issue("client.example"))
    scenario.server = replace(
        scenario.server, client_auth="required", client_trust=authority.trust, verify=verify
    )
    scenario.get_ticket()
    client, server, received = scenario.connect()
    assert received == EARLY
    assert [len(c.negotiated.peer_certificates) > 0 for c in (client, server)] == [True, True]
    banned.append("client.example")
    client, server = scenario.new_client(), scenario.new_server()
    advance(client, server)
    error = failure_of(lambda: [advance(server, client) for _ in range(3)])
    assert error.alert == AlertDescription.access_denied
    assert server.read_early_data() == b""


# Secrets


def test_exporters_of_early_data_are_equal_and_of_no_other(scenario: EarlyDataScenario) -> None:
    label, context = "EXPERIMENTAL test", b"context"
    client, server = scenario.new_client(), scenario.new_server()
    advance(client, server)
    of_client = client.export_early_keying_material(label, 32, context)
    advance(server, client)
    assert server.export_early_keying_material(label, 32, context) == of_client
    shake_hands(client, server)
    assert client.export_early_keying_material(label, 32, context) == of_client
    assert server.export_early_keying_material(label, 32) != of_client
    assert client.export_keying_material(label, 32, context) != of_client


def test_the_key_log_has_what_opens_it(scenario: EarlyDataScenario) -> None:
    lines: dict[str, list[str]] = {"client": [], "server": []}
    scenario.client = replace(scenario.client, key_log=lines["client"].append)
    scenario.server = replace(scenario.server, key_log=lines["server"].append)
    scenario.connect()
    assert sorted(lines["client"]) == sorted(lines["server"])
    labels = [line.split()[0] for line in lines["client"]]
    assert labels[:2] == ["CLIENT_EARLY_TRAFFIC_SECRET", "EARLY_EXPORTER_SECRET"]
    assert len(set(labels)) == len(labels) == 7
