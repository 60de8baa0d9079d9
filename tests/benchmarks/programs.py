"""Run the client and the server of every contender.

The server echoes, unless the client's first octets request something else: to discard a number of
octets, or to discard them and to send the same number. The client runs the command that it
receives, and returns figures.
"""

from __future__ import annotations

import gc
import statistics
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from .contenders import Contender, Program, Stream

PING = b"p" * 100
HEADER = struct.Struct(">cQ")
SECONDS = struct.Struct(">d")
SWALLOW, EXCHANGE = b"S", b"X"
READY = b"R"

Figures: TypeAlias = dict[str, float]


class ConnectionEnded(Exception):
    """The peer closed a connection in the middle of a measurement."""


async def receive(stream: Stream, count: int) -> None:
    while count > 0:
        data = await stream.receive_some()
        if not data:
            raise ConnectionEnded(f"{count} octets are missing")
        count -= len(data)


async def receive_exactly(stream: Stream, count: int) -> bytes:
    received = b""
    while len(received) < count:
        data = await stream.receive_some()
        if not data:
            raise ConnectionEnded(f"{count - len(received)} octets are missing")
        received += data
    return received


async def send(stream: Stream, count: int, write_bytes: int) -> None:
    data = bytes(write_bytes)
    for _ in range(count // write_bytes):
        await stream.send_all(data)


class Server:
    """A contender's server: it handles a connection."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender

    async def handle(self, stream: Stream) -> None:
        while data := await stream.receive_some():
            if data[:1] in (SWALLOW, EXCHANGE):
                operation, count = HEADER.unpack(data)
                await stream.send_all(READY)
                await self._take_in(stream, count, both_ways=operation == EXCHANGE)
            else:
                await stream.send_all(data)

    async def _take_in(self, stream: Stream, count: int, *, both_ways: bool) -> None:
        start = time.perf_counter()  # not with the first data, of which a lot may have come before
        first = await stream.receive_some()
        if both_ways:
            await self._contender.together(
                [
                    lambda: receive(stream, count - len(first)),
                    lambda: send(stream, count, 2**16),
                ]
            )
        else:
            await receive(stream, count - len(first))
        await stream.send_all(SECONDS.pack(time.perf_counter() - start))


class Client:
    """A contender's client: each public method is a command and returns figures."""

    def __init__(self, contender: Contender, port: int) -> None:
        self._contender = contender
        self._port = port
        self._held: list[Stream] = []

    async def connect(self, port: int | None = None) -> Stream:
        """Connect and echo, so that the handshake is complete and the tickets have arrived."""
        stream = await self._contender.connect(port or self._port)
        await self._echo(stream)
        return stream

    async def _echo(self, stream: Stream) -> None:
        await stream.send_all(PING)
        await receive(stream, len(PING))

    def _check(self, stream: Stream, *, resumed: bool = False) -> None:
        facts, setting = self._contender.facts(stream), self._contender.setting
        if facts.suite not in (None, *setting.suite_names):
            raise RuntimeError(f"the connection uses {facts.suite}, not {setting.suite}")
        if facts.resumed not in (None, resumed):
            raise RuntimeError(f"resumed is {facts.resumed}, but the case needs {resumed}")

    async def witness(self, port: int) -> Figures:
        """Make one connection through a relay, which reads what was negotiated."""
        resuming = self._contender.setting.tickets > 0
        if resuming:
            await self._prime()
        stream = await self.connect(port)
        self._check(stream, resumed=resuming)
        await self._contender.close(stream)
        return {}

    async def _prime(self) -> None:
        """Complete a full handshake, and keep its session."""
        stream = await self.connect()
        self._contender.keep_session(stream)
        await self._contender.close(stream)

    async def hold(self, count: int) -> Figures:
        """Keep so many idle connections open; the next commands use them."""
        resuming = self._contender.setting.tickets > 0
        if resuming:
            await self._prime()
        while len(self._held) < count:
            stream = await self.connect()
            self._check(stream, resumed=resuming)
            self._held.append(stream)
        return {}

    async def rest(self, generation: int = 1) -> Figures:
        """Collect garbage, so that a command does not pay for earlier ones."""
        gc.collect(generation)
        return {}

    async def bulk(self, count: int, write_bytes: int) -> Figures:
        """Send on a held connection; the receiver's clock counts."""
        stream = await self._start(SWALLOW, count)
        await send(stream, count, write_bytes)
        [seconds] = SECONDS.unpack(await receive_exactly(stream, SECONDS.size))
        return {"MB/s": count / seconds / 1e6}

    async def exchange(self, count: int) -> Figures:
        """Send and receive at once; the figure is for both directions together."""
        stream = await self._start(EXCHANGE, count)
        start = time.perf_counter()
        # The server's eight octets come after its data.
        await self._contender.together(
            [
                lambda: send(stream, count, 2**16),
                lambda: receive(stream, count + SECONDS.size),
            ]
        )
        return {"MB/s": 2 * count / (time.perf_counter() - start) / 1e6}

    async def _start(self, operation: bytes, count: int) -> Stream:
        stream = self._held[0]
        await stream.send_all(HEADER.pack(operation, count))
        await receive(stream, len(READY))
        return stream

    async def round_trips(self, connections: int, total: int) -> Figures:
        """Send and receive 100 octets, on held connections, all at once.

        The first connection is left out: if it carried bulk data, its buffers are large.
        """
        streams = self._held[1 : connections + 1]
        count = max(1, total // connections)
        times: list[float] = []
        start = time.perf_counter()
        if connections == 1:
            await self._round_trips(streams[0], count, times)
        else:
            await self._contender.together(
                [bound(self._round_trips, stream, count, times) for stream in streams]
            )
        seconds = time.perf_counter() - start
        figures = {"us": seconds / len(times) * 1e6, "requests/s": len(times) / seconds}
        return {**quantiles(times), **figures}

    async def _round_trips(self, stream: Stream, count: int, times: list[float]) -> None:
        now = time.perf_counter
        last = now()
        for _ in range(count):
            await stream.send_all(PING)
            await receive(stream, len(PING))
            start, last = last, now()
            times.append((last - start) * 1e6)

    async def handshakes(self, count: int) -> Figures:
        """Connect, complete a handshake, echo and close, one after the other."""
        resuming = self._contender.setting.tickets > 0
        if resuming:
            await self._prime()
        times: list[float] = []
        for _ in range(count):
            times.append(await self._handshake(resuming))
        return quantiles(times)

    async def _handshake(self, resuming: bool) -> float:
        start = time.perf_counter()
        stream = await self.connect()
        echoed = time.perf_counter()
        self._check(stream, resumed=resuming)
        if resuming:
            self._contender.keep_session(stream)
        closing = time.perf_counter()
        await self._contender.close(stream)
        return (echoed - start + time.perf_counter() - closing) * 1e6

    async def handshakes_at_once(self, count: int) -> Figures:
        """Connect, complete a full handshake, echo and close, all at the same time."""
        times: list[float] = []

        async def run(number: int) -> None:
            times.append(await self._handshake(False))

        start = time.perf_counter()
        await self._contender.together([bound(run, number) for number in range(count)])
        seconds = time.perf_counter() - start
        return {**quantiles(times), "us": seconds / count * 1e6}


def bound(function: Callable[..., Awaitable[None]], *arguments: Any) -> Program:
    async def program() -> None:
        await function(*arguments)

    return program


def quantiles(times: list[float]) -> Figures:
    """Return the mean, the median and the 99th percentile of times."""
    ordered = sorted(times)
    return {
        "us": statistics.fmean(times),
        "p50 us": statistics.median(ordered),
        "p99 us": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
    }
