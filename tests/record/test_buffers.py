"""Pooled buffers are returned and never used twice; AEADs write only into their own part."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from engine_pairs import (
    authority,
    carry,
    connections,
    established,
    failure_of,
    outgoing,
    read_all,
    sealed,
    send,
)

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.crypto.cipher_suites import AEAD, CIPHER_SUITES, CipherSuite
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake.wants import Want
from trio_tlsx.record import buffers
from trio_tlsx.record.buffers import BATCH_RECORDS, BUFFER_LENGTH, Pool
from trio_tlsx.record.protection import (
    MAX_PLAINTEXT_LENGTH,
    RECORD_OVERHEAD,
    TAG_LENGTH,
    Opener,
    RecordSlot,
    Sealer,
)
from trio_tlsx.record.send import MAX_QUEUED

T = TypeVar("T")

LARGE = bytes(range(256)) * 1024  # 16 full records


class Ledger:
    """Who has borrowed what."""

    def __init__(self) -> None:
        self.lent: dict[int, object] = {}
        self.most = 0
        self._borrow: Callable[[Pool[Any]], Any] = Pool[Any].borrow
        self._give_back: Callable[[Pool[Any], Any], None] = Pool[Any].give_back

    def borrow(self, pool: Pool[T]) -> T:
        buffer: T = self._borrow(pool)
        assert id(buffer) not in self.lent
        self.lent[id(buffer)] = buffer
        self.most = max(self.most, len(self.lent))
        return buffer

    def give_back(self, pool: Pool[T], buffer: T) -> None:
        assert self.lent.pop(id(buffer)) is buffer
        self._give_back(pool, buffer)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    ledger = Ledger()

    def borrow(pool: Pool[T]) -> T:
        return ledger.borrow(pool)

    def give_back(pool: Pool[T], buffer: T) -> None:
        ledger.give_back(pool, buffer)

    monkeypatch.setattr(Pool, "borrow", borrow)
    monkeypatch.setattr(Pool, "give_back", give_back)
    return ledger


def deliver(one: Connection, other: Connection) -> bytes:
    """Carry over as a driver over a socket does; give what the other side read."""
    data = bytearray()
    while output := one.pending_output():
        room = other.receive_buffer()
        count = min(len(output), len(room))
        room[:count] = output[:count]
        one.bytes_sent(count)
        other.bytes_received(count)
        if other.handshake_complete:
            data += read_all(other)
        else:
            other.do_handshake()
        other.release_buffers()
    return bytes(data)


# The pool


def test_idle_connection_holds_no_pool_buffer(ledger: Ledger) -> None:
    client, server = connections()
    for _ in range(3):
        for one, other in ((client, server), (server, client)):
            one.do_handshake()
            deliver(one, other)
            assert not ledger.lent
    assert client.do_handshake() is server.do_handshake() is Want.NOTHING
    for one, other in ((client, server), (server, client)):
        one.write(memoryview(LARGE))
        assert len(ledger.lent) == 1  # what is sealed waits to leave
        assert deliver(one, other) == LARGE
        assert not ledger.lent
    assert ledger.most >= 2


def test_partial_record_is_kept_outside_the_pool(ledger: Ledger) -> None:
    client, server = established()
    record = sealed(client, b"data" * 1000)
    room = server.receive_buffer()
    room[:1000] = record[:1000]
    server.bytes_received(1000)
    assert server.read() is Want.READ
    server.release_buffers()
    assert not ledger.lent
    server.receive_data(record[1000:])
    assert read_all(server) == b"data" * 1000
    assert not ledger.lent


def test_output_is_kept_until_all_of_it_is_sent(ledger: Ledger) -> None:
    client, server = established()
    client.write(memoryview(LARGE))
    client.release_buffers()
    while output := client.pending_output():
        assert len(ledger.lent) == 1
        head = bytes(output[:50_000])
        client.bytes_sent(len(head))
        server.receive_data(head)
    assert not ledger.lent
    assert read_all(server) == LARGE


def test_connections_never_share_a_pool_buffer(ledger: Ledger) -> None:
    """Each side of many connections has one in use at once, and all data stays what it was."""
    pairs = [established() for _ in range(buffers.MAX_POOLED + 2)]
    for i, (client, server) in enumerate(pairs):
        client.write(memoryview(bytes((i,)) * len(LARGE)))
        server.write(memoryview(bytes((100 + i,)) * len(LARGE)))
    assert len(ledger.lent) == 2 * len(pairs)
    for client, server in pairs:
        # Both sides now hold a receive buffer, with half of what is on its way.
        for one, other in ((client, server), (server, client)):
            room = other.receive_buffer()
            half = bytes(one.pending_output()[: len(LARGE) // 2])
            room[: len(half)] = half
            other.bytes_received(len(half))
            one.bytes_sent(len(half))
    assert len(ledger.lent) == 4 * len(pairs)
    for i, (client, server) in enumerate(pairs):
        for one, other, octet in ((client, server, i), (server, client, 100 + i)):
            data = read_all(other)
            carry(one, other)
            assert data + read_all(other) == bytes((octet,)) * len(LARGE)
            other.release_buffers()
    assert not ledger.lent


def test_failed_connection_returns_its_buffers(ledger: Ledger) -> None:
    client, server = established()
    client.write(memoryview(LARGE))
    stream = bytearray(client.data_to_send())
    stream[-1] ^= 1
    room = server.receive_buffer()
    room[: len(stream)] = stream
    server.bytes_received(len(stream))
    data = server.read()
    assert isinstance(data, bytes)
    assert LARGE.startswith(data)
    failure_of(server.read)
    server.release_buffers()
    assert not ledger.lent


def test_buffer_pool_is_bounded() -> None:
    pool = Pool(bytearray)
    lent = [pool.borrow() for _ in range(2 * buffers.MAX_POOLED)]
    assert len(set(map(id, lent))) == len(lent)
    for buffer in lent:
        pool.give_back(buffer)
    again = [pool.borrow() for _ in range(2 * buffers.MAX_POOLED)]
    assert len(set(map(id, lent)) & set(map(id, again))) == buffers.MAX_POOLED


def test_receive_buffer_never_shows_plaintext_of_another_connection() -> None:
    secret = b"for your eyes only! " * 2**10
    client, server = established()
    send(client, server, secret)
    assert read_all(server) == secret
    others = [established() for _ in range(2 * buffers.MAX_POOLED)]
    assert not any(secret[:20] in bytes(one.receive_buffer()) for one, _ in others)


def test_receive_buffer_has_room_for_the_rest_of_a_record() -> None:
    """Whatever is unread, and however little is received at a time."""
    client, server = established()
    client.write(memoryview(LARGE))
    rest = memoryview(client.data_to_send())
    data = bytearray()
    while rest:
        room = server.receive_buffer()
        assert len(room) >= min(len(rest), 2**14 + 256 + 5)
        count = min(len(rest), 40_000)
        room[:count] = rest[:count]
        server.bytes_received(count)
        rest = rest[count:]
        # One small read: most of what came stays where it is.
        piece = server.read(1000)
        data += piece if isinstance(piece, bytes) else b""
    assert bytes(data) + read_all(server) == LARGE


# AEADs in place, which cryptography does not document but allows


def keyed(suite: CipherSuite) -> AEAD:
    return suite.aead(os.urandom(suite.key_length))


suites = pytest.mark.parametrize("suite", CIPHER_SUITES.values(), ids=lambda suite: suite.name)
LENGTHS = [0, 1, 15, 16, 17, 255, 1000, 4096, 2**14, 2**14 + 1]


@suites
def test_aead_decrypts_in_place(suite: CipherSuite) -> None:
    """What the record layer seals stands where the sealed record is to be."""
    aead, nonce, header = keyed(suite), os.urandom(12), b"header"
    for length in LENGTHS:
        plaintext = os.urandom(length)
        ciphertext = aead.encrypt(nonce, plaintext, header)
        buffer = memoryview(bytearray(b"<" + plaintext + bytes(TAG_LENGTH) + b">"))
        aead.encrypt_into(nonce, buffer[1 : 1 + length], header, buffer[1:-1])
        assert bytes(buffer) == b"<" + ciphertext + b">"


@suites
def test_plaintext_is_wiped_if_the_tag_is_wrong(suite: CipherSuite) -> None:
    """After InvalidTag the plaintext is in the output all the same."""
    secret = bytes(suite.hash_length)
    run = memoryview(bytearray(1500 + 2 * RECORD_OVERHEAD))
    places = [RecordSlot.at(run, 0, 1000), RecordSlot.at(run, 1000 + RECORD_OVERHEAD, 500)]
    Sealer(suite, secret).seal_records(memoryview(b"\x55" * 1500), places)
    run[-1] ^= 1  # the tag of the second
    output = memoryview(bytearray(b"\xee" * 3000))
    consumed, length = Opener(suite, secret).open_records(run, output, 2**14)
    assert (consumed, length) == (1000 + 1 + 5 + TAG_LENGTH, 1000)
    assert bytes(output[:1000]) == b"\x55" * 1000
    assert b"\x55" not in bytes(output[1000:])


def test_failed_connection_decrypts_nothing_more() -> None:
    client, server = established()
    bad = bytearray(sealed(client, b"bad"))
    bad[-1] ^= 1
    server.receive_data(bad)
    error = failure_of(server.read)
    server.receive_data(sealed(client, b"good"))
    assert failure_of(server.read) is error


def test_queued_output_is_bounded() -> None:
    client, server = established()
    data = memoryview(bytes(3 * MAX_QUEUED))
    assert client.write(data) == BATCH_RECORDS * MAX_PLAINTEXT_LENGTH
    sealed_so_far = client.bytes_sealed
    while client.write(data):
        assert client.bytes_sealed <= 2 * MAX_QUEUED
    assert client.bytes_sealed >= sealed_so_far
    queued = len(client.pending_output())
    assert MAX_QUEUED <= queued <= 2 * MAX_QUEUED
    assert client.write(data) == 0
    # Once that has left it goes on.
    server.receive_data(client.data_to_send())
    assert client.write(data)


def test_one_write_seals_at_most_a_batch() -> None:
    client, _ = established(ClientConfig(trust=authority.trust, groups=["x25519"]))
    outgoing(client).fragment_length = 100
    assert client.write(memoryview(bytes(10**6))) == BATCH_RECORDS * 100


@pytest.mark.parametrize("borrowed", [False, True])
def test_input_beyond_the_receive_buffer_is_rejected(borrowed: bool) -> None:
    client, server = established()
    record = sealed(server, b"first")
    if borrowed:
        room = client.receive_buffer()
        room[: len(record)] = record
        client.bytes_received(len(record))
        while len(room := client.receive_buffer()) > BUFFER_LENGTH // 8:
            client.bytes_received(len(room) // 2)
        client.bytes_received(len(room))
    else:
        client.receive_data(record + bytes(2 * BUFFER_LENGTH))
    with pytest.raises(RuntimeError, match=r"call read\(\) first"):
        client.receive_buffer()
    assert client.read() == b"first"
