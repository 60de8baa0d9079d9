"""After a send has failed, a stream reads the peer's alert, and a limited amount of input."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from early_data_streams import EarlyDataStreams
from tls_pairs import SERVER_NAME, UNIX, AnyStream, Engine, connected

from trio_tlsx import Connection, MemoryTicketStore, Peer, ServerConfig, TLSStream
from trio_tlsx.handshake.wants import Want
from trio_tlsx.testing import CA

#: The header of a record that is never complete, and octets for it.
JUNK = b"\x17\x03\x03\x40\x00" + bytes(2**16)


class SlowCache:
    """An anti-replay cache that is asked, and answers later."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self.may_answer = trio.Event()

    async def claim(self, *_: object) -> bool:
        self.asked.set()
        await self.may_answer.wait()
        return True


def flood(transport: trio.abc.Stream, data: bytes) -> None:
    """Write until the kernel takes no more."""
    assert isinstance(transport, trio.SocketStream)
    descriptor = transport.socket.fileno()
    plain = socket.socket(fileno=descriptor)
    try:
        while True:
            plain.send(data)
    except BlockingIOError:
        pass
    finally:
        plain.detach()


async def test_reset_during_a_flood_of_early_data(ca: CA) -> None:
    """The server asks its cache while the client fills every buffer, and then goes away."""
    cache = SlowCache()
    scenario = EarlyDataStreams(ca, anti_replay_cache=cache)
    client, transport = await UNIX.connect()
    server = TLSStream(transport, scenario.server)
    async with client, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await server.receive_replayable_early_data()
            with pytest.raises(trio.BrokenResourceError):
                await server.send_all(b"x")
            await server.aclose()

        await client.send_all(scenario.recorded())
        flood(client, JUNK)
        await cache.asked.wait()
        flood(client, JUNK)
        await client.aclose()
        cache.may_answer.set()


async def test_flood_of_data_after_a_broken_send(native: Engine) -> None:
    """It is left for the reader, and is not taken in without bound."""
    async with connected(native, UNIX) as (client, server):
        records = records_of_data(server, 20)
        flood(server.transport_stream, records)
        assert await client.receive_some(1) == b"\0"
        flood(server.transport_stream, records)
        await server.transport_stream.aclose()
        with pytest.raises(trio.BrokenResourceError, match="Broken pipe"):
            await client.send_all(b"x")
        assert await client.receive_some(10) == bytes(10)


def records_of_data(stream: AnyStream, count: int) -> bytes:
    """Sealed records of 16 KiB, which the stream did not send."""
    connection = stream._engine  # pyright: ignore[reportPrivateUsage]
    connection.write(memoryview(bytes(count * 2**14)))
    return connection.data_to_send()


@asynccontextmanager
async def client_whose_server_closes(engine: Engine) -> AsyncGenerator[AnyStream]:
    """A client that has sent its ClientHello; at the end the server answers, and is gone."""
    client_transport, server_transport = await UNIX.connect()
    client = engine.client(client_transport)
    assert isinstance(engine.server_config, ServerConfig)
    async with client_transport, server_transport, trio.open_nursery() as nursery:
        server = Connection.server(engine.server_config)

        @nursery.start_soon
        async def _() -> None:
            while server.do_handshake() is not Want.WRITE:
                server.receive_data(await server_transport.receive_some())
            await trio.testing.wait_all_tasks_blocked()
            await server_transport.send_all(server.data_to_send())
            await server_transport.aclose()

        yield client


async def test_pending_alert_leaves_no_hook_unawaited(native: Engine) -> None:
    """A send that fails while the question is open must not leave a coroutine behind."""
    calls = 0

    async def verify(peer: Peer) -> None:
        nonlocal calls
        calls += 1
        await trio.lowlevel.checkpoint()

    async with client_whose_server_closes(native.with_client(verify=verify)) as client:
        with pytest.raises(trio.BrokenResourceError):
            await client.do_handshake()
    gc.collect()  # a coroutine that was never awaited would warn here, and fail the test
    assert calls <= 1


class SlowTicketStore(MemoryTicketStore):
    """A ticket store that can be told to answer later."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[bytes] = []
        self.asked = trio.Event()
        self.may_answer = trio.Event()
        self.is_slow = False

    def put(self, name: bytes, state: bytes, lifetime: int) -> Any:
        self.names.append(name)
        super().put(name, state, lifetime)
        return self._wait() if self.is_slow else None

    async def _wait(self) -> None:
        self.asked.set()
        await self.may_answer.wait()


async def test_no_ticket_is_stored_twice(ca: CA) -> None:
    """One task waits for the ticket store; a send of another task fails meanwhile."""
    store = SlowTicketStore()
    scenario = EarlyDataStreams(ca, ticket_store=store, tickets=2)
    store.is_slow = True
    store.names.clear()
    client_transport, transport = await UNIX.connect()
    client = Connection.client(scenario.client, SERVER_NAME, early_data=b"early")
    server = TLSStream(transport, scenario.server)
    async with client_transport, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            while await server.receive_replayable_early_data():
                pass

        while (want := client.do_handshake()) is not Want.NOTHING:
            if want is Want.WRITE:
                await client_transport.send_all(client.data_to_send())
            else:
                client.receive_data(await client_transport.receive_some())
        await store.asked.wait()
        await client_transport.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await server.answer_early_data(bytes(100_000))
        assert len(store.names) == 1, "the question is still open"
        store.may_answer.set()
    assert len(store.names) == len(set(store.names)) == scenario.server.tickets
    await trio.aclose_forcefully(server)
