"""However the ciphertext is cut into pieces, the plaintext is the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Literal

from engine_pairs import (
    ASKING_SERVER,
    CLIENT,
    SERVER,
    connections,
    credentials,
    established,
    outgoing,
    sealed,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs12 import CLIENT_12, SERVER_12

from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.handshake import KeyUpdate, NewSessionTicket, encode_message
from trio_tlsx.record.protection import MAX_INNER_PLAINTEXT_LENGTH, ContentType

KIB = 2**10

# What the sender does


@dataclass(frozen=True)
class Write:
    """Application data, as the engine itself makes records of it."""

    length: int


@dataclass(frozen=True)
class OneRecord:
    """A record of application data, empty perhaps, with padding."""

    length: int
    padding: int


@dataclass(frozen=True)
class Update:
    """New keys."""

    request_update: bool


@dataclass(frozen=True)
class Ticket:
    """What a server may send at any time, in several records perhaps."""

    length: int
    fragment: int


Action = Write | OneRecord | Update | Ticket

actions = st.lists(
    st.one_of(
        st.builds(Write, st.integers(1, 300)),
        st.builds(Write, st.integers(1, 300 * KIB)),
        st.builds(OneRecord, st.integers(0, 50), st.integers(0, 100)),
        st.builds(Update, st.booleans()),
        st.builds(Ticket, st.integers(1, 300), st.integers(1, 100)),
    ),
    max_size=8,
)
limits = st.sampled_from([64, 65, 300, 2**12, 2**14, MAX_INNER_PLAINTEXT_LENGTH])

#: How much comes at a time, again and again.
cuts = st.lists(
    st.one_of(st.integers(1, 40), st.integers(1, 20 * KIB), st.integers(1, 300 * KIB)),
    min_size=1,
    max_size=6,
)


def perform(sender: Connection, script: Iterable[Action], limit: int) -> tuple[bytes, bytes]:
    """The plaintext that a script sends, and the ciphertext that this is."""
    plaintext, ciphertext = bytearray(), bytearray()
    for i, action in enumerate(script):
        match action:
            case Write(length):
                data = bytes((i,)) * length
                plaintext += data
                rest = memoryview(data)
                while rest:
                    rest = rest[sender.write(rest) :]
                    ciphertext += sender.data_to_send()
            case OneRecord(length, padding):
                data = bytes((i,)) * min(length, limit - 1)
                plaintext += data
                ciphertext += sealed(sender, data, padding=min(padding, limit - 1 - len(data)))
            case Update(request_update):
                outgoing(sender).flight += encode_message(KeyUpdate(request_update))
                outgoing(sender).update_keys()
                ciphertext += sender.data_to_send()
            case Ticket(length, fragment):
                message = encode_message(NewSessionTicket(1, 2, b"", b"t" * length, {}))
                for start in range(0, len(message), min(fragment, limit - 1)):
                    piece = message[start : start + min(fragment, limit - 1)]
                    ciphertext += sealed(sender, piece, ContentType.handshake)
    return bytes(plaintext), bytes(ciphertext)


# What the receiver does

How = Literal["receive_data", "receive_buffer", "released"]


def deliver(receiver: Connection, ciphertext: bytes, how: How) -> Iterator[None]:
    """Give it to the receiver in one of the ways that drivers have; each time it is to be read."""
    rest = memoryview(ciphertext)
    while rest:
        if how == "receive_data":
            receiver.receive_data(rest)
            yield
            return
        buffer = receiver.receive_buffer()
        count = min(len(buffer), len(rest))
        buffer[:count] = rest[:count]
        receiver.bytes_received(count)
        yield
        rest = rest[count:]
        if how == "released":
            receiver.release_buffers()


def pieces(ciphertext: bytes, lengths: list[int]) -> Iterator[bytes]:
    start = 0
    for length in chain.from_iterable(repeat(lengths)):
        if start >= len(ciphertext):
            return
        yield ciphertext[start : start + length]
        start += length


@settings(deadline=None, max_examples=100)
@given(
    script=actions,
    lengths=cuts,
    ways=st.lists(st.sampled_from(["receive_data", "receive_buffer", "released"]), min_size=1),
    reads=st.lists(st.none() | st.integers(1, 100) | st.integers(1, 300 * KIB), min_size=1),
    limit=limits,
)
def test_plaintext_is_the_same_however_the_ciphertext_is_cut(
    script: list[Action],
    lengths: list[int],
    ways: list[How],
    reads: list[int | None],
    limit: int,
) -> None:
    receiver, sender = established(replace(CLIENT, record_size_limit=limit))
    check_reception(receiver, sender, script, lengths, ways, reads, limit)


def check_reception(
    receiver: Connection,
    sender: Connection,
    script: list[Action],
    lengths: list[int],
    ways: list[How],
    reads: list[int | None],
    limit: int,
) -> None:
    """Check that the receiver reads what the script sends."""
    expected, ciphertext = perform(sender, script, limit)
    sender.shutdown()
    ciphertext += sender.data_to_send()
    # Small pieces of a lot of data would take long, and would show nothing new.
    lengths = [max(length, len(ciphertext) // 500) for length in lengths]

    data = bytearray()
    max_bytes = chain.from_iterable(repeat(reads))
    next_way = chain.from_iterable(repeat(ways))
    for piece in pieces(ciphertext, lengths):
        for _ in deliver(receiver, piece, next(next_way)):
            while isinstance(read := receiver.read(at_most := next(max_bytes)), bytes) and read:
                assert at_most is None or len(read) <= at_most
                data += read
    receiver.release_buffers()
    assert bytes(data) == expected
    assert receiver.read() == b""
    assert receiver.unread_ciphertext() == b""

    # The answers to its KeyUpdates are all that the receiver has sent, and they are good.
    if output := receiver.data_to_send():
        sender.receive_data(output)
    assert sender.read() is Want.READ


@settings(deadline=None, max_examples=100)
@given(
    script=st.lists(
        st.builds(Write, st.integers(1, 300 * KIB))
        | st.builds(OneRecord, st.integers(0, 50), st.just(0)),
        max_size=8,
    ),
    lengths=cuts,
    ways=st.lists(st.sampled_from(["receive_data", "receive_buffer", "released"]), min_size=1),
    reads=st.lists(st.none() | st.integers(1, 100) | st.integers(1, 300 * KIB), min_size=1),
    limit=limits,
)
def test_plaintext_of_tls_1_2_is_the_same_however_the_ciphertext_is_cut(
    script: list[Action],
    lengths: list[int],
    ways: list[How],
    reads: list[int | None],
    limit: int,
) -> None:
    receiver, sender = established(replace(CLIENT_12, record_size_limit=limit), SERVER_12)
    check_reception(receiver, sender, script, lengths, ways, reads, limit)


@settings(deadline=None, max_examples=40)
@given(
    lengths=cuts,
    fragment=st.integers(1, 2000),
    client_auth=st.booleans(),
    version=st.sampled_from(["TLSv1.3", "TLSv1.2"]),
)
def test_handshake_is_the_same_however_the_ciphertext_is_cut(
    lengths: list[int], fragment: int, client_auth: bool, version: str
) -> None:
    """Messages in records of any length, which come in pieces of any length."""
    client, server = connections(
        replace(CLIENT_12, credentials=credentials(), versions=[version]),
        replace(ASKING_SERVER if client_auth else SERVER, versions=[version]),
    )
    outgoing(client).fragment_length = outgoing(server).fragment_length = fragment
    for _ in range(4):
        for one, other in ((client, server), (server, client)):
            one.do_handshake()
            for piece in pieces(one.data_to_send(), lengths):
                other.receive_data(piece)
                other.do_handshake()
    assert client.do_handshake() is server.do_handshake() is Want.NOTHING
    assert bool(server.negotiated.peer_certificates) == client_auth
