"""Connections cut short at every byte, and with every byte altered.

Whole connections are recorded once, from the first ClientHello to both ``close_notify``, with the
same random values and keys each time. Each side then receives the other side's recorded octets,
truncated or altered. It must reject them or wait for more.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from engine_pairs import (
    CLIENT,
    MAX_TURNS,
    SERVER,
    SERVER_NAME,
    advance,
    authority,
    carry,
    connections,
    credentials,
    fixed_group,
    outgoing,
    read_all,
    records,
    shake_hands,
    with_groups,
)

from trio_tlsx.clock import utc_now
from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.groups import ECDHKey, Group, X25519Key
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import HandshakeShutdown, InternalError, TLSError, Truncated
from trio_tlsx.handshake import client_hello, server12_hello, server13_hello
from trio_tlsx.handshake.wants import Want
from trio_tlsx.record.protection import ContentType
from trio_tlsx.record.send import Outgoing
from trio_tlsx.sessions import sealing
from trio_tlsx.sessions.client import Session
from trio_tlsx.sessions.ticket_keys import TicketKeys

#: The modules that draw random octets in a handshake.
RANDOM_MODULES = (client_hello, server12_hello, server13_hello, sealing)

SAID = {"client": b"said by the client", "server": b"said by the server"}
OTHER = {"client": "server", "server": "client"}

MASKS = (0x01, 0xFF)
#: In plaintext every bit counts for itself; of what is sealed the AEAD sees any change alike.
EVERY_BIT = (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF)


def fixed_x25519(octet: int) -> Group:
    private_key = x25519.X25519PrivateKey.from_private_bytes(bytes((octet,)) * 32)
    return fixed_group(0x001D, lambda: X25519Key(private_key))


def fixed_p256(number: int) -> Group:
    private_key = ec.derive_private_key(number, ec.SECP256R1())
    return fixed_group(0x0017, lambda: ECDHKey(ec.SECP256R1(), private_key))


class SameSession:
    """A session store that keeps its first session, and gives it again and again."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.is_full = False

    def put(self, session: Session) -> None:
        if not self.is_full:
            self.session = session

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        return self.session


# Ed25519 signs the same each time.
SIGNING_CLIENT = replace(CLIENT, alpn_protocols=["one", "two"], credentials=credentials("ed25519"))
SIGNING_SERVER = replace(SERVER, alpn_protocols=["two"], credentials=credentials("ed25519"))
RETRYING_CLIENT = with_groups(SIGNING_CLIENT, fixed_x25519(1), fixed_p256(2))
RETRYING_SERVER = with_groups(replace(SIGNING_SERVER, require_cookie=True), fixed_p256(3))
CLIENT_AUTH = replace(SIGNING_SERVER, client_auth="required", client_trust=authority.trust)

CLIENT_12 = replace(SIGNING_CLIENT, versions=["TLSv1.2"])
SERVER_12 = replace(SIGNING_SERVER, versions=["TLSv1.2"])


def resuming() -> tuple[ClientConfig, ServerConfig]:
    """Configurations of TLS 1.2 that resume the same session each time."""
    store = SameSession()
    client = replace(
        CLIENT_12, resumption=True, session_store=store, session_context=b"test", credentials=None
    )
    now = utc_now()
    server = replace(
        SERVER_12,
        ticket_keys=TicketKeys([bytes(32)], clock=lambda: now),
        clock=lambda: now,
    )
    pair = with_groups(client, fixed_x25519(1)), with_groups(server, fixed_x25519(2))
    shake_hands(Connection.client(pair[0], SERVER_NAME), Connection.server(pair[1]))
    store.is_full = True
    return pair


SCENARIOS: dict[str, tuple[ClientConfig, ServerConfig]] = {
    "1-rtt": (
        with_groups(SIGNING_CLIENT, fixed_x25519(1)),
        with_groups(SIGNING_SERVER, fixed_x25519(2)),
    ),
    "retry": (RETRYING_CLIENT, RETRYING_SERVER),
    "client-auth": (
        with_groups(
            replace(SIGNING_CLIENT, middlebox_compatibility=False, record_size_limit=200),
            fixed_x25519(1),
        ),
        with_groups(CLIENT_AUTH, fixed_x25519(2)),
    ),
    "tls12": (with_groups(CLIENT_12, fixed_x25519(1)), with_groups(SERVER_12, fixed_x25519(2))),
    "tls12-client-auth": (
        with_groups(
            replace(
                CLIENT_12,
                record_size_limit=200,
                cipher_suites=["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"],
            ),
            fixed_x25519(1),
        ),
        with_groups(replace(CLIENT_AUTH, versions=["TLSv1.2"]), fixed_x25519(2)),
    ),
    "tls12-resumed": resuming(),
}

SIDES = [(scenario, role) for scenario in SCENARIOS for role in ("client", "server")]


@pytest.fixture(autouse=True)
def randomness(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in RANDOM_MODULES:
        monkeypatch.setattr(module, "urandom", same_random)


def same_random(length: int) -> bytes:
    return b"\x5a" * length


def new_connection(scenario: str, role: str) -> Connection:
    client, server = SCENARIOS[scenario]
    if role == "client":
        return Connection.client(client, SERVER_NAME)
    return Connection.server(server)


@dataclass(frozen=True)
class Recording:
    """What one side said, and how much of that is the handshake."""

    stream: bytes
    handshake_length: int
    is_tls12: bool

    @functools.cached_property
    def records(self) -> tuple[tuple[int, bytes, bool], ...]:
        """The records: the offset of each, its octets, and whether it is sealed.

        In TLS 1.2 those behind ChangeCipherSpec are.
        """
        found: list[tuple[int, bytes, bool]] = []
        changed = False
        for offset, record in records(self.stream):
            is_sealed = changed or record[0] == ContentType.application_data
            found.append((offset, record, is_sealed))
            changed |= self.is_tls12 and record[0] == ContentType.change_cipher_spec
        return tuple(found)

    @functools.cached_property
    def ignored(self) -> frozenset[int]:
        """The bytes that RFC 9846 5.1 has a receiver ignore: legacy_record_version.

        That of a sealed record is authenticated with it, so it may not be altered either.
        """
        return frozenset(
            offset + i for offset, _, is_sealed in self.records if not is_sealed for i in (1, 2)
        )

    @functools.cached_property
    def sealed(self) -> frozenset[int]:
        return frozenset(
            offset + i
            for offset, record, is_sealed in self.records
            if is_sealed
            for i in range(5, len(record))
        )

    def alterations(self, plaintext_masks: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        for position in range(len(self.stream)):
            masks = MASKS if position in self.sealed else plaintext_masks
            yield from ((position, mask) for mask in masks)


@functools.cache
def recording(scenario: str, role: str) -> Recording:
    """What ``role`` says to the other side."""
    with pytest.MonkeyPatch.context() as patch:
        for module in RANDOM_MODULES:
            patch.setattr(module, "urandom", same_random)
        one = new_connection(scenario, role)
        other = new_connection(scenario, OTHER[role])
        stream = bytearray()
        receive = Connection.receive_data

        def noted_receive_data(side: Connection, data: bytes | bytearray | memoryview) -> None:
            if side is other:
                stream.extend(data)
            receive(side, data)

        patch.setattr(Connection, "receive_data", noted_receive_data)
        shake_hands(one, other) if role == "client" else shake_hands(other, one)
        handshake_length = len(stream)
        one.write(memoryview(SAID[role]))
        one.shutdown()
        carry(one, other)
    return Recording(bytes(stream), handshake_length, one.negotiated.version == "TLSv1.2")


@dataclass
class Outcome:
    """How a connection went that was played a stream, and then its end."""

    finished: bool = False
    data: bytes = b""
    closed: bool = False
    error: TLSError | None = None

    @property
    def is_good(self) -> bool:
        return self.finished and self.closed


def play(connection: Connection, stream: bytes) -> Outcome:
    """Play a stream to a connection, and end it; only a TLSError may come out."""
    outcome = Outcome()
    connection.receive_data(stream)
    try:
        if not go_on(connection):
            connection.receive_data(b"")
            go_on(connection)
            raise AssertionError("the end of the input went unnoticed")
        outcome.finished = True
        connection.receive_data(b"")
        outcome.data = read_all(connection)
        outcome.closed = True
    except InternalError as error:  # the engine's way to say that it was not prepared for this
        raise AssertionError from error
    except TLSError as error:
        outcome.error = error
    return outcome


def go_on(connection: Connection) -> bool:
    """Go on with the handshake as far as it comes; whether it is over."""
    while (want := connection.do_handshake()) is Want.WRITE:
        connection.data_to_send()
    return want is Want.NOTHING


def altered(stream: bytes, position: int, mask: int) -> bytes:
    copy = bytearray(stream)
    copy[position] ^= mask
    return bytes(copy)


@pytest.mark.parametrize(("scenario", "role"), SIDES)
def test_unaltered_recording_is_accepted(scenario: str, role: str) -> None:
    """Unaltered they give a good connection, so that what is tested below is the alteration."""
    recorded, connection = recording(scenario, role), new_connection(scenario, OTHER[role])
    outcome = play(connection, recorded.stream)
    assert outcome == Outcome(finished=True, data=SAID[role], closed=True)
    assert recorded.is_tls12 == scenario.startswith("tls12")
    assert connection.negotiated.resumed == scenario.endswith("resumed")


@pytest.mark.parametrize(("scenario", "role"), SIDES)
def test_every_altered_octet_is_rejected(scenario: str, role: str) -> None:
    recorded = recording(scenario, role)
    for position, mask in recorded.alterations(
        EVERY_BIT if scenario in ("1-rtt", "tls12") else MASKS
    ):
        stream = altered(recorded.stream, position, mask)
        outcome = play(new_connection(scenario, OTHER[role]), stream)
        where = f"byte {position} ^ {mask:#04x}: {outcome}"
        if position in recorded.ignored:
            assert outcome.is_good, where
            assert outcome.data == SAID[role]
            continue
        assert outcome.error is not None, where
        assert outcome.finished == (position >= recorded.handshake_length), where


@pytest.mark.parametrize(("scenario", "role"), SIDES)
def test_truncation_at_every_octet_is_reported(scenario: str, role: str) -> None:
    recorded = recording(scenario, role)
    for length in range(len(recorded.stream)):
        outcome = play(new_connection(scenario, OTHER[role]), recorded.stream[:length])
        where = f"{length} bytes: {outcome}"
        assert outcome.finished == (length >= recorded.handshake_length), where
        expected = Truncated if length else HandshakeShutdown
        assert type(outcome.error) is expected, where


@pytest.mark.parametrize(("scenario", "role"), SIDES)
def test_recording_delivered_octet_by_octet_is_accepted(scenario: str, role: str) -> None:
    """Until the transport ends, what is missing is waited for; once it is there, all is well."""
    recorded = recording(scenario, role)
    connection = new_connection(scenario, OTHER[role])
    data = b""
    for length in range(len(recorded.stream)):
        finished = go_on(connection)
        assert finished == (length >= recorded.handshake_length)
        if finished:
            data += read_all(connection)
        connection.receive_data(recorded.stream[length : length + 1])
    assert data == SAID[role]
    assert connection.read() == b""


# Below the seal: what a peer could send that has the keys


def alter_message(sender: Connection, position: int, mask: int, patch: pytest.MonkeyPatch) -> None:
    """Have ``sender`` alter the octet at ``position`` of its handshake messages, then seal."""
    target = outgoing(sender)
    real = Outgoing.finish_flight
    sent = 0

    def finish_flight(self: Outgoing) -> None:
        nonlocal sent
        if self is target:
            length = len(self.flight)
            if 0 <= position - sent < length:
                self.flight = altered(self.flight, position - sent, mask)
            sent += length
        real(self)

    patch.setattr(Outgoing, "finish_flight", finish_flight)


# Of a certificate with a serial number that is not positive cryptography says that it will refuse
# it one day.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("scenario", ["client-auth", "tls12-client-auth"])
def test_every_altered_octet_inside_a_record_is_rejected(scenario: str, role: str) -> None:
    """The AEAD has nothing to say against these: signatures and Finished have to."""
    config = SCENARIOS[scenario]
    length = 0

    def count(direction: str, name: str, octets: int) -> None:
        nonlocal length
        length += octets if direction == "sent" else 0

    observed = {role: count}
    shake_hands(
        Connection.client(config[0], SERVER_NAME, observer=observed.get("client")),
        Connection.server(config[1], observer=observed.get("server")),
    )
    for position in range(length):
        for mask in MASKS:
            pair = connections(*config)
            sender, receiver = pair if role == "client" else pair[::-1]
            with pytest.MonkeyPatch.context() as patch:
                alter_message(sender, position, mask, patch)
                error = error_of_handshake(pair)
            assert not receiver.handshake_complete, position
            assert not isinstance(error, InternalError), (position, error.__cause__)


def error_of_handshake(pair: tuple[Connection, Connection]) -> TLSError | None:
    """What ends it; None where both wait for ever."""
    try:
        for _ in range(MAX_TURNS):
            advance(*pair)
            advance(pair[1], pair[0])
    except TLSError as error:
        return error
    return None
