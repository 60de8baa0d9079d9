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
    authority,
    carry,
    credentials,
    failure_of,
    read_all,
    records,
    send,
    shake_hands,
    turn,
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


class Pocket:
    """A session store that keeps what it gave."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []

    def put(self, session: Session) -> None:
        self.sessions.append(session)

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        return self.sessions[-1] if self.sessions else None


@dataclass
class World:
    """A client that has a ticket of a server which takes early data."""

    clock: Clock = field(default_factory=Clock)
    pocket: Pocket = field(default_factory=Pocket)
    client: ClientConfig = field(init=False)
    server: ServerConfig = field(init=False)

    def __post_init__(self) -> None:
        self.client = ClientConfig(
            trust=authority.trust,
            groups=["x25519", "secp256r1"],
            clock=self.clock,
            session_store=self.pocket,
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
        client, server = Connection.client(self.client, SERVER_NAME), self.accepting()
        shake_hands(client, server)
        send(server, client, b"hello")
        assert read_all(client) == b"hello"
        return self.pocket.sessions[-1]

    def calling(self, data: bytes | bytearray = EARLY, **options: Any) -> Connection:
        return Connection.client(self.client, SERVER_NAME, early_data=data, **options)

    def accepting(self) -> Connection:
        server = Connection.server(self.server)
        server.accept_early_data()
        return server

    def meet(self, data: bytes = EARLY, **options: Any) -> tuple[Connection, Connection, bytes]:
        """A whole handshake with early data, and what of it the server took."""
        client, server = self.calling(data, **options), self.accepting()
        shake_hands(client, server)
        accepted = client.negotiated.early_data_accepted
        assert server.negotiated.early_data_accepted == accepted
        assert server.negotiated.resumed or not accepted
        return client, server, server.read_early_data()


@pytest.fixture
def world() -> World:
    world = World()
    world.get_ticket()
    return world


def test_it_comes_with_the_hello(world: World) -> None:
    client, server = world.calling(), world.accepting()
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
    world = World()
    world.client = replace(world.client, cipher_suites=[suite], middlebox_compatibility=compatible)
    world.get_ticket()
    client, server, received = world.meet()
    assert received == EARLY
    assert client.negotiated.early_data_accepted
    send(server, client, b"answer")
    assert read_all(client) == b"answer"


def test_the_records_lie_as_appendix_e_4_has_them(world: World) -> None:
    client, server = world.calling(), world.accepting()
    client.do_handshake()
    flight = client.data_to_send()
    assert [record[0] for _, record in records(flight)] == [22, 20, 23]
    server.receive_data(flight)
    turn(server, client)
    assert client.do_handshake() is Want.WRITE
    second = [record for _, record in records(client.data_to_send())]
    # EndOfEarlyData alone, as keys change behind it, then Finished.
    assert [record[0] for record in second] == [23, 23]
    assert len(second[0]) == 5 + 4 + 1 + 16


def test_all_messages_are_seen_and_in_order(world: World) -> None:
    seen: list[tuple[str, str]] = []

    def observe(way: str, name: str, length: int) -> None:
        seen.append((way, name))

    client, server = world.calling(observer=observe), world.accepting()
    shake_hands(client, server)
    assert seen == [
        ("sent", "client_hello"),
        ("received", "server_hello"),
        ("received", "encrypted_extensions"),
        ("received", "finished"),
        ("sent", "end_of_early_data"),
        ("sent", "finished"),
    ]


def test_as_much_as_the_ticket_allows_and_no_more(world: World) -> None:
    _, _, received = world.meet(bytes(MAX))
    assert received == bytes(MAX)
    world.get_ticket()
    client, _, received = world.meet(bytes(MAX + 1))
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted
    assert received == b""


@pytest.mark.parametrize("limit", [64, 1000, 2**14 + 1])
def test_all_of_it_is_sent_again_however_small_the_records(world: World, limit: int) -> None:
    off(world)
    world.server = replace(world.server, record_size_limit=limit)
    data = random.Random(limit).randbytes(MAX)
    _, server, received = world.meet(data, resend_early_data=True)
    assert received == b""
    again = b""
    while isinstance(piece := server.read(), bytes):
        again += piece
    assert again == data


def test_of_the_application_protocol_that_the_session_had() -> None:
    world = World()
    world.client = replace(world.client, alpn_protocols=["h2"])
    world.server = replace(world.server, alpn_protocols=["h2"])
    assert world.get_ticket().alpn_protocol == "h2"
    _, _, received = world.meet()
    assert received == EARLY
    world.client = replace(world.client, alpn_protocols=["http/1.1"])
    world.server = replace(world.server, alpn_protocols=["http/1.1"])
    assert sent_early(world) == b""


def sent_early(world: World) -> bytes:
    """The records of early data that the client sends."""
    client = world.calling()
    client.do_handshake()
    flight = [record for _, record in records(client.data_to_send())]
    return b"".join(record for record in flight if record[0] == 23)


def test_never_without_being_asked_to(world: World) -> None:
    client, server = world.calling(b""), world.accepting()
    shake_hands(client, server)
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted


def test_only_under_a_key_that_allows_it(world: World) -> None:
    assert sent_early(world) != b""
    [*_, session] = world.pocket.sessions
    world.pocket.sessions = [replace(session, max_early_data_size=len(EARLY) - 1)]
    assert sent_early(world) == b""
    world.pocket.sessions = [replace(session, cipher_suite="TLS_CHACHA20_POLY1305_SHA256")]
    world.client = replace(world.client, cipher_suites=["TLS_AES_128_GCM_SHA256"])
    assert sent_early(world) == b""
    world.pocket.sessions = []
    assert sent_early(world) == b""


def test_never_before_the_server_is_judged_where_that_was_asked_for(world: World) -> None:
    judged: list[Peer] = []
    world.client = replace(world.client, verify_on_resumption=True, verify=judged.append)
    client = world.calling()
    assert client.do_handshake() is Want.WRITE
    assert [peer.resumed for peer in judged] == [True]
    _, _, taken = world.meet()
    assert taken == EARLY
    assert len(judged) == 2


def test_nothing_leaves_for_a_server_that_is_refused_meanwhile(world: World) -> None:
    def refuse(peer: Peer) -> None:
        raise CertificateError("revoked", AlertDescription.certificate_revoked)

    world.client = replace(world.client, verify_on_resumption=True, verify=refuse)
    client = world.calling()
    assert failure_of(client.do_handshake).alert is AlertDescription.certificate_revoked
    (alert,) = (record for _, record in records(client.data_to_send()))
    assert alert == b"\x15\3\3\0\2\2" + bytes((AlertDescription.certificate_revoked,))


def test_a_server_that_rejects_it_is_judged_again(world: World) -> None:
    judged: list[Peer] = []
    world.client = replace(world.client, verify_on_resumption=True, verify=judged.append)
    world.server = replace(world.server, max_early_data_size=0)
    client, _, taken = world.meet()
    assert client.negotiated.resumed
    assert taken == b""
    assert [peer.resumed for peer in judged] == [True, True]


def test_it_is_of_bytes(world: World) -> None:
    with pytest.raises(ConfigError, match="not str"):
        world.calling("GET / HTTP/1.1")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("length", [2**17 + 1, 2**20])
def test_too_much_for_any_server_is_refused_at_once(world: World, length: int) -> None:
    with pytest.raises(ConfigError, match="131072"):
        world.calling(bytes(length))


def test_the_most_in_the_smallest_records(world: World) -> None:
    session = world.get_ticket()
    world.pocket.sessions = [replace(session, max_early_data_size=2**17)]
    world.client = replace(world.client, max_fragment_size=64)
    client = world.calling(bytes(2**17))
    assert client.do_handshake() is Want.WRITE
    sealed = [record for _, record in records(client.data_to_send()) if record[0] == 0x17]
    assert len(sealed) == 2**17 // 64


def test_it_is_of_the_application_protocol_that_is_wanted_most(world: World) -> None:
    world.client = replace(world.client, alpn_protocols=["h2", "http/1.1"])
    world.server = replace(world.server, alpn_protocols=["h2"])
    assert world.get_ticket().alpn_protocol == "h2"
    client, _, taken = world.meet()
    assert client.negotiated.alpn_protocol == "h2"
    assert taken == EARLY
    world.get_ticket()
    world.client = replace(world.client, alpn_protocols=["http/1.1", "h2"])
    assert sent_early(world) == b""


def test_it_is_what_it_was_when_it_was_given(world: World) -> None:
    data = bytearray(EARLY)
    client, server = world.calling(data), world.accepting()
    data.clear()
    shake_hands(client, server)
    assert server.read_early_data() == EARLY


@pytest.mark.parametrize("size", [-1, MAX + 1])
def test_no_more_than_other_servers_of_ours_skip(world: World, size: int) -> None:
    with pytest.raises(ConfigError, match="14336"):
        replace(world.server, max_early_data_size=size)


def test_it_is_skipped_in_small_records_too(world: World) -> None:
    world.client = replace(world.client, max_fragment_size=64)
    client, server = world.calling(bytes(MAX)), Connection.server(world.server)
    shake_hands(client, server)
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted


def test_who_shares_ticket_keys_shares_a_register(world: World) -> None:
    with pytest.raises(ConfigError, match="anti_replay_cache"):
        replace(world.server, anti_replay_cache=None)
    own = replace(world.server, anti_replay_cache=None, ticket_keys=None)
    assert isinstance(own.early_data_register, MemoryAntiReplayCache)
    off = replace(world.server, anti_replay_cache=None, max_early_data_size=0)
    assert off.early_data_register is None


# What early data depends on


def another_suite(world: World) -> None:
    """The same hash, so that the session is resumed all the same."""
    world.server = replace(world.server, cipher_suites=["TLS_CHACHA20_POLY1305_SHA256"])


def no_protocol(world: World) -> None:
    world.server = replace(world.server, alpn_protocols=[])


def retry(world: World) -> None:
    world.server = replace(world.server, groups=["secp256r1"])


def retry_by_cookie(world: World) -> None:
    world.server = replace(world.server, require_cookie=True)


def clock_off_by(seconds: float) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.clock.forward(100)
        shift = datetime.timedelta(seconds=seconds)
        world.server = replace(world.server, clock=lambda: world.clock.now + shift)

    return change


def off(world: World) -> None:
    world.server = replace(world.server, max_early_data_size=0)


def less(world: World) -> None:
    world.server = replace(world.server, max_early_data_size=MAX - 1)


def answer_of_register(answer: Any) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.server = replace(world.server, anti_replay_cache=Register(answer))

    return change


class Register:
    """A register that gives, or raises, always the same."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def claim(self, identifier: bytes, since: object, until: object) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


REJECTIONS: dict[str, Callable[[World], None]] = {
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
    world = World()
    world.client = replace(world.client, alpn_protocols=["test"])
    world.server = replace(world.server, alpn_protocols=["test"])
    world.get_ticket()
    REJECTIONS[cause](world)
    client, server, received = world.meet(resend_early_data=resend)
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
def test_is_taken_within_the_window(world: World, seconds: int) -> None:
    clock_off_by(seconds)(world)
    assert world.meet()[2] == EARLY


def test_is_rejected_where_nobody_will_read_it(world: World) -> None:
    client, server = world.calling(), Connection.server(world.server)
    shake_hands(client, server)
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted
    assert server.read_early_data() == b""
    send(client, server, b"later")
    assert read_all(server) == b"later"


def test_is_rejected_where_somebody_wants_it_too_late(world: World) -> None:
    client, server = world.calling(), Connection.server(world.server)
    turn(client, server)
    assert server.do_handshake() is Want.WRITE
    server.accept_early_data()
    shake_hands(client, server)
    assert not server.negotiated.early_data_accepted


@pytest.mark.parametrize("ticket", ["of retired keys", "without early data", "expired"])
def test_is_rejected_with_such_a_ticket(ticket: str) -> None:
    world = World()
    if ticket == "without early data":
        world.server = replace(world.server, max_early_data_size=0)
    session = world.get_ticket()
    if ticket == "of retired keys":
        retired = world.server.ticket_sealer
        retired.use([b"1" * 32])
    elif ticket == "expired":
        world.clock.forward(7200)
        session = replace(session, lifetime=10_000)
    world.server = replace(world.server, max_early_data_size=MAX)
    world.pocket.sessions = [replace(session, max_early_data_size=MAX)]
    assert sent_early(world) != b""
    client, server, received = world.meet()
    assert received == b""
    assert client.negotiated.resumed == (ticket == "without early data")
    send(client, server, b"later")
    assert read_all(server) == b"later"


def test_is_rejected_under_a_key_that_is_not_the_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9846 4.3.10; the client's early data is under the first, whatever that is."""
    unknown: Psk[Session] = Psk(b"unknown", 0, CIPHER_SUITES[0x1301], bytes(32))
    make = client_hello.with_psks

    def behind_another(
        hello: ClientHello, psks: Sequence[Psk[Session]], messages: Sequence[bytes]
    ) -> ClientHello:
        return make(hello, [unknown, *psks], messages)

    monkeypatch.setattr(client_hello, "with_psks", behind_another)
    client, server = world.calling(), world.accepting()
    turn(client, server)
    turn(server, client)
    with pytest.raises(RuntimeError, match="early data"):
        server.export_early_keying_material("EXPERIMENTAL test", 32)
    # That the second of its keys was chosen our client does not understand.
    assert failure_of(client.do_handshake).alert == AlertDescription.illegal_parameter


def test_what_the_register_fails_with_is_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    REJECTIONS["broken"](world)
    with caplog.at_level(logging.WARNING, "trio_tlsx"):
        world.meet()
    assert "no connection to the register" in caplog.text


# Registers that answer later


class Later:
    """An answer that the test gives."""

    def __await__(self) -> Any:
        raise AssertionError("the test answers by itself")


@pytest.mark.parametrize("answer", [True, False, None])
def test_a_register_that_answers_later(world: World, answer: object) -> None:
    answer_of_register(Later())(world)
    client, server = world.calling(), world.accepting()
    turn(client, server)
    question = server.do_handshake()
    assert isinstance(question, AntiReplayWanted)
    assert isinstance(question.awaitable, Awaitable)
    question.awaitable = None
    server.answer(answer)
    shake_hands(client, server)
    assert server.negotiated.early_data_accepted == (answer is True)
    assert server.read_early_data() == (EARLY if answer is True else b"")


def test_a_register_that_fails_later(world: World) -> None:
    answer_of_register(Later())(world)
    client, server = world.calling(), world.accepting()
    turn(client, server)
    assert isinstance(server.do_handshake(), AntiReplayWanted)
    server.refuse(OSError("no connection"))
    shake_hands(client, server)
    assert server.negotiated.resumed
    assert not server.negotiated.early_data_accepted


def test_a_register_that_answers_too_late(world: World) -> None:
    """By then it may have forgotten what it was told."""
    answer_of_register(Later())(world)
    client, server = world.calling(), world.accepting()
    turn(client, server)
    question = server.do_handshake()
    assert isinstance(question, AntiReplayWanted)
    world.clock.now = question.until
    server.answer(True)
    shake_hands(client, server)
    assert not server.negotiated.early_data_accepted


def test_what_the_register_is_told(world: World) -> None:
    told: list[tuple[bytes, datetime.datetime, datetime.datetime]] = []

    class Noting:
        def claim(
            self, identifier: bytes, since: datetime.datetime, until: datetime.datetime
        ) -> bool:
            told.append((identifier, since, until))
            return True

    world.server = replace(world.server, anti_replay_cache=Noting())
    issued = world.clock.now
    world.clock.forward(3)
    world.meet()
    world.clock.forward(97)
    sent = world.clock.now
    world.meet()
    [(one, since, until), (other, later_since, later_until)] = told
    assert one != other
    assert len(one) == len(other) == 32
    second = datetime.timedelta(seconds=1)
    assert since == issued  # nobody can have sent it before there was the ticket
    assert until == issued + 23 * second
    assert later_since == sent - 10 * second
    assert later_until == sent + 20 * second


# Replays


def recorded(world: World) -> bytes:
    """The first flight of a client that a server answers, taken down on its way."""
    client = world.calling()
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


def test_a_flight_sent_a_hundred_times_is_taken_once(world: World) -> None:
    flight = recorded(world)
    servers = [world.accepting() for _ in range(100)]
    assert sum(takes(server, flight) for server in servers) == 1


def test_a_flight_sent_to_two_that_share_a_register_is_taken_once(world: World) -> None:
    flight = recorded(world)
    other = replace(world.server)
    assert other.early_data_register is world.server.early_data_register
    taken: list[bool] = []
    for _ in range(50):
        for config in (world.server, other):
            server = Connection.server(config)
            server.accept_early_data()
            taken.append(takes(server, flight))
    assert sum(taken) == 1


def test_a_flight_sent_again_and_again_until_it_is_too_old(world: World) -> None:
    flight = recorded(world)
    taken: list[bool] = []
    for _ in range(200):
        taken.append(takes(world.accepting(), flight))
        world.clock.forward(0.25)
    assert sum(taken) == 1


def test_two_flights_with_one_ticket_are_two(world: World) -> None:
    """It is the ClientHello that cannot be used twice (RFC 9846 8.2)."""
    flights = [recorded(world) for _ in range(2)]
    assert [takes(world.accepting(), flight) for flight in flights * 2] == [
        True,
        True,
        False,
        False,
    ]


def test_a_flight_from_before_the_register_began(world: World) -> None:
    flight = recorded(world)
    world.clock.forward(1)
    fresh = MemoryAntiReplayCache(clock=world.clock)
    world.server = replace(world.server, anti_replay_cache=fresh)
    assert not takes(world.accepting(), flight)
    world.get_ticket()
    assert takes(world.accepting(), recorded(world))


def test_a_ticket_from_a_store_is_gone_after_its_first_use(world: World) -> None:
    """Then a replay does not even resume, and there is nothing for the register to find."""
    world.server = replace(world.server, ticket_store=MemoryTicketStore())
    world.get_ticket()
    flight = recorded(world)
    assert [takes(world.accepting(), flight) for _ in range(3)] == [True, False, False]


def test_a_hello_whose_binder_is_wrong_leaves_no_trace(world: World) -> None:
    [*_, session] = world.pocket.sessions
    world.pocket.sessions = [replace(session, secret=bytes(32))]
    server = world.accepting()
    turn(world.calling(), server)
    assert failure_of(server.do_handshake).alert == AlertDescription.decrypt_error
    register = world.server.early_data_register
    assert isinstance(register, MemoryAntiReplayCache)
    assert len(register) == 0


# What is wrong with it


def test_more_than_the_server_allows(world: World) -> None:
    [*_, session] = world.pocket.sessions
    world.pocket.sessions = [replace(session, max_early_data_size=2**16)]
    client, server = world.calling(bytes(MAX + 1)), world.accepting()
    turn(client, server)
    error = failure_of(lambda: [turn(server, client) for _ in range(2)])
    assert isinstance(error, ProtocolError)
    assert error.alert == AlertDescription.unexpected_message
    assert server.read_early_data() == b""


@pytest.mark.parametrize("altered", [-1, -30])
def test_a_record_that_was_altered(world: World, altered: int) -> None:
    flight = bytearray(recorded(world))
    flight[altered] ^= 1
    server = world.accepting()
    server.receive_data(flight)
    assert server.do_handshake() is Want.WRITE
    server.data_to_send()
    assert failure_of(server.do_handshake).alert == AlertDescription.bad_record_mac


def test_behind_a_hello_of_which_one_octet_was_altered_nothing_is_taken(world: World) -> None:
    """Nor is the register asked about it: the flight itself is taken afterwards."""
    flight = recorded(world)
    (_, hello), *_ = records(flight)
    for position in range(RECORD_HEADER_LENGTH, len(hello)):
        altered = bytearray(flight)
        altered[position] ^= 1
        server = world.accepting()
        with suppress(TLSError):
            assert not takes(server, bytes(altered)), position
        assert server.read_early_data() == b"", position
    assert takes(world.accepting(), flight)


@pytest.mark.parametrize("what", ["suite", "protocol", "session"])
def test_a_server_that_takes_it_although_it_must_not(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    world.client = replace(world.client, alpn_protocols=["test"])
    world.server = replace(world.server, alpn_protocols=["test"])
    world.get_ticket()

    def always(*_: object) -> bool:
        return True

    monkeypatch.setattr(early_data, "is_same", always)
    if what == "suite":
        another_suite(world)
    elif what == "protocol":
        no_protocol(world)
    client, server = world.calling(), world.accepting()
    if what == "session":
        make_offer = early_data.make_offer

        def of_another_key(*args: Any) -> early_data.EarlyDataOffer | None:
            made = make_offer(*args)
            assert made is not None
            return replace(made, psk=replace(made.psk))

        monkeypatch.setattr(early_data, "make_offer", of_another_key)
    turn(client, server)
    turn(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.illegal_parameter


def test_nobody_reads_what_a_client_sent_who_may_no_longer_in(world: World) -> None:
    banned: list[str] = []

    def verify(peer: Peer) -> None:
        if banned:
            raise CertificateError("no longer", AlertDescription.access_denied)

    world.client = replace(world.client, credentials=authority.issue("client.example"))
    world.server = replace(
        world.server, client_auth="required", client_trust=authority.trust, verify=verify
    )
    world.get_ticket()
    client, server, received = world.meet()
    assert received == EARLY
    assert [len(c.negotiated.peer_certificates) > 0 for c in (client, server)] == [True, True]
    banned.append("client.example")
    client, server = world.calling(), world.accepting()
    turn(client, server)
    error = failure_of(lambda: [turn(server, client) for _ in range(3)])
    assert error.alert == AlertDescription.access_denied
    assert server.read_early_data() == b""


# Secrets


def test_exporters_of_early_data_are_equal_and_of_no_other(world: World) -> None:
    label, context = "EXPERIMENTAL test", b"context"
    client, server = world.calling(), world.accepting()
    turn(client, server)
    of_client = client.export_early_keying_material(label, 32, context)
    turn(server, client)
    assert server.export_early_keying_material(label, 32, context) == of_client
    shake_hands(client, server)
    assert client.export_early_keying_material(label, 32, context) == of_client
    assert server.export_early_keying_material(label, 32) != of_client
    assert client.export_keying_material(label, 32, context) != of_client


def test_the_key_log_has_what_opens_it(world: World) -> None:
    lines: dict[str, list[str]] = {"client": [], "server": []}
    world.client = replace(world.client, key_log=lines["client"].append)
    world.server = replace(world.server, key_log=lines["server"].append)
    world.meet()
    assert sorted(lines["client"]) == sorted(lines["server"])
    labels = [line.split()[0] for line in lines["client"]]
    assert labels[:2] == ["CLIENT_EARLY_TRAFFIC_SECRET", "EARLY_EXPORTER_SECRET"]
    assert len(set(labels)) == len(labels) == 7
