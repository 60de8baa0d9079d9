"""A server survives many connections that flood, reset and close at random moments."""

from __future__ import annotations

import os
import random
import socket
import struct
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest
import trio
from early_data_streams import EarlyDataStreams
from tls_pairs import SERVER_NAME

from trio_tlsx import Connection, TLSError, TLSStream, serve_tls_over_tcp
from trio_tlsx.handshake.wants import Want
from trio_tlsx.testing import CA

#: ``TRIO_TLSX_STORM`` sets another number.
CONNECTIONS = int(os.environ.get("TRIO_TLSX_STORM", "1200"))
AT_ONCE = 50
HANDSHAKE_TIMEOUT = 1  # seconds
SEED = 9846

RESET = struct.pack("ii", 1, 0)  # for SO_LINGER
TIME_LIMIT = 100  # seconds, for all of them
FLOOD = 400_000  # bytes, at most, of each connection

DESCRIPTORS = "/proc/self/fd"


class RandomClient:
    """A client that ends its connection somewhere, and somehow."""

    def __init__(self, scenario: EarlyDataStreams, port: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._port = port
        early = self._random.choice([b"", b"early data"])
        self._engine = Connection.client(scenario.client, SERVER_NAME, early_data=early)

    async def run(self) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", self._port)
        async with stream:
            with suppress(trio.BrokenResourceError, TLSError):
                await self._talk(stream)
            if self._random.random() < 0.5:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    async def _talk(self, stream: trio.SocketStream) -> None:
        chance = self._random
        patience = chance.randrange(12)
        for _ in range(patience):
            want = self._engine.do_handshake()
            if want is Want.NOTHING:
                break
            if want is Want.WRITE:
                output = self._engine.data_to_send()
                cut = len(output) if chance.random() < 0.9 else chance.randrange(len(output))
                await stream.send_all(output[:cut])
                if cut < len(output):
                    return
            else:
                data = await stream.receive_some(chance.choice([7, 2**16]))
                self._engine.receive_data(data)
        await self._end(stream)

    async def _end(self, stream: trio.SocketStream) -> None:
        chance = self._random
        what = chance.choice(["nothing", "junk", "flood", "data", "key updates", "close_notify"])
        if what == "junk":
            await stream.send_all(chance.randbytes(chance.randrange(1, 2000)))
        elif what == "flood":
            with trio.move_on_after(0.05):
                await stream.send_all(b"\x17\x03\x03\x40\x00" + bytes(FLOOD))
        elif self._engine.handshake_complete and what != "nothing":
            if what == "close_notify":
                self._engine.shutdown()
            elif what == "data":
                self._engine.write(memoryview(bytes(chance.randrange(1, 100_000))))
            elif self._engine.negotiated.version == "TLSv1.3":
                for _ in range(chance.randrange(1, 60)):
                    self._engine.update_keys(request_peer=chance.random() < 0.5)
            with trio.move_on_after(0.05):
                await stream.send_all(self._engine.data_to_send())


async def handle(stream: TLSStream[trio.SocketStream]) -> None:
    """Answer early data, then echo."""
    async with stream:
        while data := await stream.receive_replayable_early_data():
            await stream.answer_early_data(data)
        async for data in stream:
            await stream.send_all(data)


class SlowCache:
    """An anti-replay cache outside of the process."""

    async def claim(self, *details: object) -> bool:
        for _step in range(5):
            await trio.lowlevel.checkpoint()
        return True


async def assert_serves(scenario: EarlyDataStreams, port: int) -> None:
    transport = await trio.open_tcp_stream("127.0.0.1", port)
    async with TLSStream(transport, scenario.client, server_hostname=SERVER_NAME) as stream:
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"


def descriptors() -> int:
    return len(os.listdir(DESCRIPTORS))


@pytest.mark.skipif(not os.path.isdir(DESCRIPTORS), reason="needs /proc to count descriptors")
@pytest.mark.timeout(2 * TIME_LIMIT)
async def test_storm_of_random_clients(ca: CA, version: str) -> None:
    scenario = EarlyDataStreams(ca, anti_replay_cache=SlowCache())
    scenario.client = replace(scenario.client, versions=[version])
    scenario.server = replace(scenario.server, versions=["TLSv1.3", "TLSv1.2"])
    serve = partial(
        serve_tls_over_tcp,
        handle,
        0,
        scenario.server,
        host="127.0.0.1",
        handshake_timeout=HANDSHAKE_TIMEOUT,
        replayable_early_data=True,
    )
    limit = trio.CapacityLimiter(AT_ONCE)

    async def one_client(port: int, seed: int) -> None:
        async with limit:
            await RandomClient(scenario, port, seed).run()

    async with trio.open_nursery() as servers:
        with trio.fail_after(TIME_LIMIT):
            async with trio.open_nursery() as handlers:  # waits for each of them
                [listener] = await servers.start(partial(serve, handler_nursery=handlers))
                before = descriptors()
                async with trio.open_nursery() as clients:
                    for number in range(CONNECTIONS):
                        clients.start_soon(one_client, listener.port, SEED + number)
                await assert_serves(scenario, listener.port)
        assert descriptors() == before
        servers.cancel_scope.cancel()
