"""Sending and receiving, concurrently, alone, and cancelled."""

from __future__ import annotations

import array
import hashlib
import random
import ssl
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from tls_pairs import (
    LOCKSTEP,
    SERVER_NAME,
    SOCKET,
    UNIX,
    AnyStream,
    Cutter,
    Engine,
    Transports,
    clog,
    connected,
    paired,
    stays_blocked,
)


async def receive_exactly(stream: AnyStream, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        chunk = await stream.receive_some()
        assert chunk, "the stream ended early"
        received += chunk
    assert len(received) == count
    return bytes(received)


@pytest.mark.parametrize("size", [1, 2**14, 2**14 + 1, 2**20])
async def test_send_and_receive_at_once(engine: Engine, transports: Transports, size: int) -> None:
    data = random.Random(size).randbytes(size)
    async with connected(engine, transports) as (client, server):

        async def check(stream: AnyStream) -> None:
            assert await receive_exactly(stream, size) == data

        async with trio.open_nursery() as nursery:
            for stream in (client, server):
                nursery.start_soon(stream.send_all, data)
                nursery.start_soon(check, stream)
        assert client.bytes_sealed == server.bytes_sealed == size


async def test_receive_some_max_bytes(engine: Engine, transports: Transports) -> None:
    async with connected(engine, transports) as (client, server):
        await client.send_all(b"abcdef")
        assert await server.receive_some(1) == b"a"
        with trio.testing.assert_checkpoints():
            assert await server.receive_some(2) == b"bc"
        with trio.testing.assert_checkpoints():
            assert await server.receive_some() == b"def"


async def test_send_all_accepts_views_of_any_format(
    engine: Engine, transports: Transports
) -> None:
    async with connected(engine, transports) as (client, server):
        await client.send_all(memoryview(array.array("I", range(100))))
        received = await receive_exactly(server, 400)
        assert received == array.array("I", range(100)).tobytes()
        for nothing in (b"", bytearray(), memoryview(b"")):
            with trio.testing.assert_checkpoints():
                await client.send_all(nothing)
        buffer = bytearray(b"can be resized afterwards")
        await client.send_all(buffer)
        buffer.clear()


async def test_second_task_in_a_direction_raises_busy(engine: Engine) -> None:
    async with connected(engine, LOCKSTEP) as (client, _server):

        async def clash(
            first: Callable[..., Awaitable[object]], second: Callable[..., Awaitable[object]]
        ) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(first)
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(trio.BusyResourceError, match="another task"):
                    await second()
                nursery.cancel_scope.cancel()

        async def send() -> None:
            await client.send_all(b"x")

        await clash(client.receive_some, client.receive_some)
        await clash(client.receive_some, client.unwrap)
        for second in (
            send,
            client.send_eof,
            client.unwrap,
            client.wait_send_all_might_not_block,
        ):
            await clash(client.wait_send_all_might_not_block, second)
        await clash(send, client.wait_send_all_might_not_block)


async def test_busy_error_leaves_the_first_task_alone(engine: Engine) -> None:
    async with connected(engine, UNIX) as (client, server):
        data = bytes(2_000_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, data)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await client.send_all(b"y")
            assert await receive_exactly(server, len(data)) == data


async def test_cancelled_receive_loses_nothing(engine: Engine, transports: Transports) -> None:
    async with connected(engine, transports) as (client, server):
        for _ in range(3):
            assert await stays_blocked(server.receive_some)
        await client.send_all(b"all of it")
        with trio.CancelScope() as scope:
            scope.cancel()
            await server.receive_some()
        assert scope.cancelled_caught
        assert await server.receive_some() == b"all of it"


async def test_cancelled_send_over_a_socket_can_continue(engine: Engine) -> None:
    async with connected(engine, UNIX) as (client, server):
        data = random.Random(1).randbytes(3_000_000)
        assert await stays_blocked(client.send_all, data)
        sealed = client.bytes_sealed
        assert 0 < sealed < len(data)
        await server.send_all(b"the other direction works")
        assert await client.receive_some() == b"the other direction works"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, data[sealed:])
            assert await receive_exactly(server, len(data)) == data
        # It all arrived in the end, but nobody promised so when the first send was cut.
        with pytest.raises(trio.BrokenResourceError, match="cut short"):
            await client.send_eof()
        await client.aclose()
        with pytest.raises(trio.BrokenResourceError, match="close_notify"):
            await server.receive_some()


async def test_send_cancelled_before_it_began_changes_nothing(
    engine: Engine, transports: Transports
) -> None:
    async with connected(engine, transports) as (client, server):
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.send_all(b"never")
        assert scope.cancelled_caught
        assert client.bytes_sealed == 0
        await client.send_all(b"but this")
        await client.aclose()
        assert [chunk async for chunk in server] == [b"but this"]


async def test_cancelled_send_over_a_stream_breaks_only_sending(engine: Engine) -> None:
    async with connected(engine, LOCKSTEP) as (client, server):
        assert await stays_blocked(client.send_all, b"cut")
        with pytest.raises(trio.BrokenResourceError, match="cancelled half way"):
            await client.send_all(b"more")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.send_all, b"hello")
            assert await client.receive_some() == b"hello"
        await client.aclose()


async def test_cancelled_send_breaks_receiving_in_trio(openssl: Engine) -> None:
    """What this library is measured against."""
    async with paired(openssl, UNIX) as (client, server):
        assert isinstance(openssl.client_config, ssl.SSLContext)
        theirs = trio.SSLStream(
            client.transport_stream, openssl.client_config, server_hostname=SERVER_NAME
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.do_handshake)
            await theirs.do_handshake()
        assert await stays_blocked(theirs.send_all, bytes(3_000_000))
        await server.send_all(b"hello")
        with pytest.raises(trio.BrokenResourceError):
            await theirs.receive_some()


async def test_send_all_to_a_stalled_peer(engine: Engine) -> None:
    async with connected(engine, UNIX) as (client, server):
        await clog(client)
        assert await stays_blocked(client.wait_send_all_might_not_block)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.wait_send_all_might_not_block)
            await receive_exactly(server, client.bytes_sealed - 2**18)
            nursery.cancel_scope.cancel()


RECORD = 1024


def numbered_record(number: int) -> bytes:
    """A record that says which one it is, and holds a checksum of that."""
    checksum = hashlib.sha256(number.to_bytes(8)).digest()
    return number.to_bytes(len(checksum)) + checksum * (RECORD // len(checksum) - 1)


@pytest.mark.parametrize("transports", [SOCKET, UNIX], ids=lambda transports: transports.name)
async def test_randomly_cancelled_sends_keep_the_framing(
    engine: Engine, transports: Transports
) -> None:
    """Two thousand sends are cut against a slow reader, while both directions run."""
    rng = random.Random(2026)
    cut = 0

    async def send_and_cut(stream: AnyStream) -> None:
        nonlocal cut
        number = sealed = 0  # the first record that is not sealed whole, and how much of it is
        while cut < 2000:
            batch = b"".join(numbered_record(number + i) for i in range(rng.randint(1, 40)))
            before = stream.bytes_sealed
            with trio.CancelScope() as scope:
                cutter = Cutter(scope, rng.randint(0, 2))
                trio.lowlevel.add_instrument(cutter)
                try:
                    await stream.send_all(batch[sealed:])
                finally:
                    trio.lowlevel.remove_instrument(cutter)
            cut += scope.cancelled_caught
            sealed += stream.bytes_sealed - before
            number, sealed = number + sealed // RECORD, sealed % RECORD
        await stream.send_all(numbered_record(number)[sealed:] + bytes(RECORD))

    async def check(stream: AnyStream) -> None:
        buffer = bytearray()
        number = 0
        while True:
            buffer += await stream.receive_some(rng.randint(1, 20_000))
            while len(buffer) >= RECORD:
                record = bytes(buffer[:RECORD])
                del buffer[:RECORD]
                if record == bytes(RECORD):
                    assert not buffer
                    return
                assert record == numbered_record(number)
                number += 1

    async def chatter(stream: AnyStream) -> None:
        while True:
            await stream.send_all(bytes(rng.randint(1, 30_000)))

    async def listen(stream: AnyStream) -> None:
        async for _ in stream:
            pass

    async with connected(engine, transports) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(chatter, server)
        nursery.start_soon(listen, client)
        nursery.start_soon(send_and_cut, client)
        await check(server)
        nursery.cancel_scope.cancel()
