"""KeyUpdate through the stream, beside sends and receives, and against OpenSSL."""

from __future__ import annotations

from typing import cast

import pytest
import trio
import trio.testing
from tls_pairs import MEMORY, SOCKET, UNIX, AnyStream, Engine, clog, connected, handshake

from trio_tlsx.engine.connection import Connection
from trio_tlsx.messages.handshake import KeyUpdate, encode_message

CHUNK = bytes(range(256)) * 64
ROUNDS = 20


async def test_key_updates_while_both_directions_transfer(native13: Engine) -> None:
    async with connected(native13, SOCKET) as (client, server):

        async def send(stream: trio.abc.SendStream) -> None:
            for _ in range(ROUNDS):
                await stream.send_all(CHUNK)

        async def receive(stream: trio.abc.ReceiveStream) -> None:
            received = bytearray()
            while len(received) < ROUNDS * len(CHUNK):
                received += await stream.receive_some()
            assert received == ROUNDS * CHUNK

        async with trio.open_nursery() as nursery:
            for stream in (client, server):
                nursery.start_soon(send, stream)
                nursery.start_soon(receive, stream)
            for _ in range(ROUNDS):
                await client.update_keys(request_peer=True)
                await server.update_keys()


async def test_update_keys_does_the_handshake_first(native13: Engine) -> None:
    client, server = native13.pair(await MEMORY.connect())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.do_handshake)
        await client.update_keys()
    await client.send_all(b"x")
    assert await server.receive_some() == b"x"


async def test_receiver_is_not_blocked_by_a_peer_that_does_not_read(native13: Engine) -> None:
    async with connected(native13, SOCKET) as (client, server):
        await clog(client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.update_keys)
            await trio.testing.wait_all_tasks_blocked()
            await server.send_all(b"x")
            assert await client.receive_some() == b"x"
            nursery.cancel_scope.cancel()


async def test_key_update_answer_to_a_peer_that_does_not_read(native13: Engine) -> None:
    """It waits behind the data that is stuck, and there is one for all that is asked meanwhile."""
    async with connected(native13, UNIX) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, bytes(2**21))
            await trio.testing.wait_all_tasks_blocked()
            for word in (b"one", b"two", b"three"):
                await server.update_keys(request_peer=True)
                await server.send_all(word)
                assert await client.receive_some() == word
            received = 0
            while received < 2**21:
                received += len(await server.receive_some())
        await client.send_all(b"under new keys")
        assert await server.receive_some() == b"under new keys"


async def test_update_keys_after_send_eof_raises(native13: Engine) -> None:
    async with connected(native13, MEMORY) as (client, _):
        await client.send_eof()
        with pytest.raises(trio.ClosedResourceError):
            await client.update_keys()
        await trio.aclose_forcefully(client)
        with pytest.raises(trio.ClosedResourceError):
            await client.update_keys()


async def test_update_keys_is_a_checkpoint(native13: Engine) -> None:
    async with connected(native13, SOCKET) as (client, server):
        with trio.testing.assert_checkpoints():
            await client.update_keys()
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.update_keys()
        assert scope.cancelled_caught
        await client.send_all(b"x")
        assert await server.receive_some() == b"x"


@pytest.mark.parametrize("native_side", ["client", "server"])
async def test_update_keys_with_openssl_as_peer(
    native13: Engine, openssl: Engine, native_side: str
) -> None:
    transports = await SOCKET.connect()
    if native_side == "client":
        ours, peer = native13.client(transports[0]), openssl.server(transports[1])
    else:
        peer, ours = openssl.client(transports[0]), native13.server(transports[1])
    async with ours, peer:
        await handshake(ours, peer)
        for _ in range(3):
            await ours.update_keys(request_peer=True)
            await ours.send_all(b"ping")
            assert await peer.receive_some() == b"ping"
            await peer.send_all(b"pong")
            assert await ours.receive_some() == b"pong"
        # OpenSSL's keys are new each time: one record was opened under the last ones.
        engine = cast("Connection", ours._engine)  # pyright: ignore[reportPrivateUsage]
        opener = engine._incoming._opener  # pyright: ignore[reportPrivateUsage]
        assert opener is not None
        assert opener.sequence_number == 1


async def test_update_keys_over_openssl_raises(openssl: Engine) -> None:
    async with connected(openssl, MEMORY) as (client, _):
        with pytest.raises(NotImplementedError, match="KeyUpdate"):
            await client.update_keys()


def queue_requests(stream: AnyStream, count: int) -> None:
    """Queue KeyUpdates that each ask the peer for new keys, for the next send."""
    connection = cast(Connection, stream._engine)  # pyright: ignore[reportPrivateUsage]
    for _ in range(count):
        message = encode_message(KeyUpdate(request_update=True))
        connection._outgoing.flight += message  # pyright: ignore[reportPrivateUsage]
        connection._outgoing.update_keys()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("method", ["receive_some", "wait_session_ticket"])
@pytest.mark.parametrize("requests", [1, 5])
async def test_key_update_answer_is_sent_while_the_receiver_waits(
    native13: Engine, method: str, requests: int
) -> None:
    """One answer for all requests that were read together, and it needs no send."""
    async with connected(native13, UNIX) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(getattr(client, method))
        await trio.testing.wait_all_tasks_blocked()
        queue_requests(server, requests)
        await server.transport_stream.send_all(server._engine.data_to_send())  # pyright: ignore[reportPrivateUsage]
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(5):
            answer = await server.transport_stream.receive_some()
        length = 5 + int.from_bytes(answer[3:5])
        assert len(answer) == length, "one record"
        nursery.cancel_scope.cancel()
