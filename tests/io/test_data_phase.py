"""The data phase: ordinary records bypass the engine, and the engine processes all others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from engine_pairs import outgoing, sealed, sealer
from tls_pairs import UNIX, AnyStream, Engine, connected, socket_of, stays_blocked

from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.errors import TLSError
from trio_tlsx.messages.handshake import KeyUpdate, NewSessionTicket, encode_message
from trio_tlsx.record.protection import (
    MAX_PLAINTEXT_LENGTH,
    RECORD_HEADER_LENGTH,
    RECORD_OVERHEAD,
    TAG_LENGTH,
    ContentType,
    Sealer,
    record_header,
)
from trio_tlsx.record.protection12 import Sealer12
from trio_tlsx.record.receive import MAX_EMPTY_RECORDS

LIMIT = 200  # our record_size_limit in some tests


def engine_of(stream: AnyStream) -> Connection:
    engine = stream._engine  # pyright: ignore[reportPrivateUsage]
    assert isinstance(engine, Connection)
    return engine


def end_data_phase(stream: AnyStream) -> None:
    """Let driver and engine do everything."""
    stream._driver.pump.data_phase = None  # pyright: ignore[reportPrivateUsage]


def secret(stream: AnyStream) -> bytes:
    return sealer(engine_of(stream))._secret  # pyright: ignore[reportPrivateUsage]


async def ping_pong(client: AnyStream, server: AnyStream) -> None:
    """Bring both sides to where the next record is all that there is."""
    for one, other in ((client, server), (server, client)):
        await one.send_all(b"ping")
        assert await other.receive_some() == b"ping"


async def test_ordinary_records_do_not_pass_the_engine(
    native: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the engine was asked")

    async with connected(native, UNIX) as (client, server):
        await ping_pong(client, server)
        monkeypatch.setattr(Connection, "read", refuse)
        monkeypatch.setattr(Connection, "write", refuse)
        await ping_pong(client, server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.receive_some)
            await trio.testing.wait_all_tasks_blocked()
            await client.send_all(b"to a task that waits")
        for _ in range(3):
            data = bytes(4 * MAX_PLAINTEXT_LENGTH)
            await client.send_all(data)
            received = await server.receive_some()
            while len(received) < len(data):
                received += await server.receive_some()
            assert received == data


# What is not ordinary


def altered(engine: Connection) -> bytes:
    record = bytearray(sealed(engine, b"data"))
    record[-1] ^= 1
    return bytes(record)


def with_header(engine: Connection, content_type: int, surplus: int) -> bytes:
    """A record whose header is not that of its ciphertext; in TLS 1.3 it is authentic."""
    if not isinstance(outgoing(engine).sealer, Sealer):
        record = sealed(engine, b"data")
        return (
            record_header(content_type, len(record) - RECORD_HEADER_LENGTH + surplus)
            + record[RECORD_HEADER_LENGTH:]
        )
    inner = b"data" + bytes((ContentType.application_data,))
    ours = sealer(engine)
    header = record_header(content_type, len(inner) + TAG_LENGTH + surplus)
    aead, iv = ours._prepare()  # pyright: ignore[reportPrivateUsage]
    return header + aead.encrypt((iv ^ ours.sequence_number).to_bytes(12), inner, header)


def key_update_in_pieces(engine: Connection) -> bytes:
    message = encode_message(KeyUpdate(False))
    first = sealed(engine, message[:2], ContentType.handshake)
    return first + sealed(engine, b"data-inside-of-a-message")


#: What the peer sends, and the alert for it in TLS 1.3.
DEVIATIONS: dict[str, tuple[Callable[[Connection], bytes], A]] = {
    "altered": (altered, A.bad_record_mac),
    "of-another-type-in-its-header": (
        lambda engine: with_header(engine, ContentType.handshake, 0),
        A.unexpected_message,
    ),
    "shorter-than-its-header-says": (
        lambda engine: with_header(engine, ContentType.application_data, 1) + b"\0",
        A.bad_record_mac,
    ),
    "longer-than-its-header-says": (
        lambda engine: with_header(engine, ContentType.application_data, -1),
        A.bad_record_mac,
    ),
    "too-large": (lambda engine: sealed(engine, bytes(LIMIT + 1)), A.record_overflow),
    "of-a-handshake-message": (
        lambda engine: sealed(engine, b"\x02\0\0\0", ContentType.handshake),
        A.unexpected_message,
    ),
    "of-an-unknown-type": (lambda engine: sealed(engine, b"data", 99), A.unexpected_message),
    "only-padding": (lambda engine: sealed(engine, bytes(10), 0), A.unexpected_message),
    "too-short-for-a-tag": (
        lambda _: record_header(ContentType.application_data, TAG_LENGTH) + bytes(TAG_LENGTH),
        A.bad_record_mac,
    ),
    "empty-and-too-many": (
        lambda engine: b"".join(sealed(engine, b"") for _ in range(MAX_EMPTY_RECORDS + 1)),
        A.unexpected_message,
    ),
    "data-inside-of-a-message": (key_update_in_pieces, A.unexpected_message),
}

#: In TLS 1.2 the type in the header is the only one, and it is authenticated.
ALERTS_12 = {"of-another-type-in-its-header": A.bad_record_mac}


@pytest.mark.parametrize("by_engine", [False, True], ids=["data-phase", "engine"])
@pytest.mark.parametrize("deviation", DEVIATIONS)
async def test_faults_have_the_same_alert_in_the_data_phase(
    native: Engine, deviation: str, by_engine: bool
) -> None:
    """The engine alone decides what is wrong, and it sends the alert."""
    limited = native.with_server(record_size_limit=LIMIT)
    async with connected(limited, UNIX) as (client, server):
        await ping_pong(client, server)
        if by_engine:
            end_data_phase(server)
        make, alert = DEVIATIONS[deviation]
        if native.version == "TLSv1.2":
            alert = ALERTS_12.get(deviation, alert)
        await socket_of(client).send(make(engine_of(client)))
        with pytest.raises(trio.BrokenResourceError) as caught:
            await server.receive_some()
        cause = caught.value.__cause__
        assert isinstance(cause, TLSError)
        assert (cause.alert, cause.refused_by) == (alert, "us")
        with pytest.raises(trio.BrokenResourceError):
            await server.send_all(b"more")
        with pytest.raises(trio.BrokenResourceError) as caught:
            await client.receive_some()
        cause = caught.value.__cause__
        assert isinstance(cause, TLSError)
        assert (cause.alert, cause.refused_by) == (alert, "peer")


async def test_what_is_not_ordinary_uses_no_sequence_number(native: Engine) -> None:
    """The engine opens the record again, with the same sequence number."""
    async with connected(native, UNIX) as (client, server):
        await ping_pong(client, server)
        await socket_of(client).send(sealed(engine_of(client), b""))
        assert await stays_blocked(server.receive_some)
        await ping_pong(client, server)


async def test_padded_records_use_no_sequence_number(native13: Engine) -> None:
    """And nor does a KeyUpdate."""
    async with connected(native13, UNIX) as (client, server):
        await ping_pong(client, server)
        await socket_of(client).send(sealed(engine_of(client), b"padded", padding=7))
        assert await server.receive_some() == b"padded"
        await socket_of(client).send(sealed(engine_of(client), b"", padding=7))
        assert await stays_blocked(server.receive_some)
        await ping_pong(client, server)
        await client.update_keys(request_peer=True)
        await ping_pong(client, server)


async def test_record_in_pieces_in_the_data_phase(native: Engine) -> None:
    async with connected(native, UNIX) as (client, server):
        await ping_pong(client, server)
        record = sealed(engine_of(client), b"in pieces")
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                assert await server.receive_some() == b"in pieces"

            nursery.start_soon(receive)
            for start in range(len(record)):
                await trio.testing.wait_all_tasks_blocked()
                await socket_of(client).send(record[start : start + 1])
        await ping_pong(client, server)


@pytest.mark.parametrize("size", [1, 99, 101, 2 * MAX_PLAINTEXT_LENGTH])
async def test_max_bytes_in_the_data_phase(native: Engine, size: int) -> None:
    data = bytes(range(100)) + bytes(3 * MAX_PLAINTEXT_LENGTH)
    async with connected(native, UNIX) as (client, server):
        await ping_pong(client, server)
        for piece in (data[:100], data):
            received = b""
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send_all, piece)
                while len(received) < len(piece):
                    some = await server.receive_some(size)
                    assert 1 <= len(some) <= size
                    received += some
            assert received == piece


async def test_ticket_received_beside_a_task_that_waits_for_it(native13: Engine) -> None:
    """A task that reads for itself gets what it waits for, whoever receives meanwhile."""
    async with connected(native13.with_server(tickets=0), UNIX) as (client, server):
        await ping_pong(client, server)
        ticket = NewSessionTicket(60, 0, b"nonce", b"ticket", {})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.wait_session_ticket)
            await trio.testing.wait_all_tasks_blocked()
            record = sealed(engine_of(server), encode_message(ticket), ContentType.handshake)
            await socket_of(server).send(record)
            assert await stays_blocked(client.receive_some)
        assert client.session is not None


# Sending


@pytest.mark.parametrize("by_engine", [False, True], ids=["data-phase", "engine"])
async def test_messages_that_are_due_leave_before_data(native13: Engine, by_engine: bool) -> None:
    """The tickets of a server, and a KeyUpdate each time that many bytes were sent."""
    interval = 3 * MAX_PLAINTEXT_LENGTH
    updating = native13.with_client(key_update_bytes=interval)
    async with connected(updating, UNIX) as (client, server):
        assert client.session is None
        await ping_pong(client, server)
        assert client.session is not None
        if by_engine:
            end_data_phase(client)
        updated_before: list[int] = []
        for number in range(24):
            before = secret(client)
            await client.send_all(bytes(MAX_PLAINTEXT_LENGTH // 2))
            await server.receive_some()
            if secret(client) != before:
                updated_before.append(number)
        assert updated_before == [6, 12, 18]


async def test_key_limit_in_the_data_phase(
    native13: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(native13, UNIX) as (client, server):
        monkeypatch.setattr(Sealer, "records_left", property(lambda _: 2))
        await ping_pong(client, server)
        await client.send_all(b"the second record")
        await server.receive_some()
        monkeypatch.setattr(Sealer, "records_left", property(lambda _: 0))
        before = secret(client)
        await client.send_all(b"under the next keys")
        assert secret(client) != before
        assert await server.receive_some() == b"under the next keys"


async def test_key_limit_of_tls_1_2_in_the_data_phase(
    native12: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS 1.2 cannot update keys: the connection ends in an orderly way before the limit."""
    async with connected(native12, UNIX) as (client, server):
        monkeypatch.setattr(Sealer12, "records_left", property(lambda _: 2))
        await ping_pong(client, server)
        monkeypatch.setattr(Sealer12, "records_left", property(lambda _: 0))
        await client.send_all(b"the second record")
        assert await server.receive_some() == b"the second record"
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError, match="make a new connection"):
                await client.send_all(b"under the next keys")
        assert await server.receive_some() == b""


async def test_data_leaves_behind_what_is_queued(native13: Engine) -> None:
    async with connected(native13, UNIX) as (client, server):
        await ping_pong(client, server)
        before = secret(client)
        engine_of(client).update_keys()
        assert engine_of(client).pending_output()
        await ping_pong(client, server)  # the peer reads the data under the new keys
        assert secret(client) != before


async def test_nothing_is_sent_after_close_notify(native: Engine) -> None:
    async with connected(native, UNIX) as (client, server):
        await ping_pong(client, server)
        await client.send_eof()
        with pytest.raises(trio.ClosedResourceError, match="after sending EOF"):
            await client.send_all(b"late")
        assert await server.receive_some() == b""
        await server.send_all(b"the other direction")
        assert await client.receive_some() == b"the other direction"


async def test_nothing_moves_after_unwrap(native: Engine) -> None:
    async with connected(native, UNIX) as (client, server):
        await ping_pong(client, server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.unwrap)
            nursery.start_soon(server.unwrap)
        with pytest.raises(trio.ClosedResourceError):
            await client.send_all(b"late")
        with pytest.raises(trio.ClosedResourceError):
            await client.receive_some()


async def test_empty_send_all_sends_no_record(native: Engine) -> None:
    async with connected(native, UNIX) as (client, server):
        await ping_pong(client, server)
        await client.send_all(b"")
        assert await stays_blocked(lambda: socket_of(server).recv(RECORD_OVERHEAD))
