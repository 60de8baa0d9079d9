"""What servers do while Redis fails: early data is refused, and handshakes go on.

The scenarios run at the same time, each with Redis servers of its own. In each, recorded flights
are replayed to all nodes, before, during and after the fault. No flight may be accepted twice, and
no handshake may fail.
"""

from __future__ import annotations

import math
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from fleets import SAFETY_NET, Fleet, fleet_of, replay
from processes import peer_program
from redis_servers import RedisServer, age_marker, redis_server, replica_of

pytestmark = pytest.mark.timeout(240)

#: The time for which early data is refused after a possible loss of claims, in seconds: a claim
#: may end 60 seconds ahead, 30 more are a margin, and most claims end 20 seconds ahead.
WINDOW = 60 + 30 - 20 - 1  # a second less, for the clocks

#: The time between two attempts of the client, in seconds.
PAUSE = 1.5

#: For how long a recorded flight is replayed, in seconds. It is fresh for 10.
REPLAYED = 14


class Scenario:
    """A client of two nodes, which also records its flights and replays them.

    Attributes:
        handshakes: how many it has made.
        clocks_agree: whether each node can resume each session.
    """

    def __init__(self, fleet: Fleet, clocks_agree: bool) -> None:
        self.fleet = fleet
        self.clocks_agree = clocks_agree
        self.handshakes = 0
        self._recorded: list[tuple[float, bytes]] = []

    @property
    def ports(self) -> list[int]:
        return [node.port for node in self.fleet.nodes.values()]

    async def handshake(self) -> None:
        """Connect to each node, resume a session, and get tickets for the next flights."""
        for port in self.ports:
            answer = await self.fleet.connect(port)
            self.handshakes += 1
            assert answer.resumed or self.handshakes == 1 or not self.clocks_agree

    async def connects_early(self, name: str) -> bool:
        """Connect to a node with early data; return whether it was accepted."""
        early = f"connection {self.handshakes}"
        answer = await self.fleet.connect(self.fleet.nodes[name].port, early)
        self.handshakes += 1
        assert answer.early in ("", early)
        return bool(answer.early)

    async def sends_new_flight(self, name: str) -> bool:
        """Send a new flight to a node; return whether it was accepted. Record it."""
        early, flight = self.fleet.recorded()
        self._recorded.append((trio.current_time(), flight))
        await replay(self.fleet.nodes[name].port, flight)
        return (await self.fleet.accepted())[early] > 0

    async def has_flight_accepted(self, name: str) -> bytes:
        """Send new flights to a node until it accepts one, and return that."""
        with trio.fail_after(SAFETY_NET):
            while not await self.sends_new_flight(name):
                pass  # the machine was too busy to answer in time
        return self._recorded[-1][1]

    async def replay_all(self) -> None:
        """Replay each recent flight to all nodes."""
        now = trio.current_time()
        self._recorded = [item for item in self._recorded if now - item[0] < REPLAYED]
        async with trio.open_nursery() as nursery:
            for _, flight in self._recorded:
                for port in self.ports:
                    nursery.start_soon(replay, port, flight)

    async def expect_refusals(self, *names: str, seconds: float = 0) -> None:
        """Expect that these nodes, or all, accept no early data for that long and longer."""
        await self._try_until(trio.current_time() + seconds, names, certain_until=math.inf)

    async def expect_refusals_since(self, start: float) -> None:
        """Expect that no node accepts early data until the window since ``start`` has passed."""
        end = start + WINDOW
        await self._try_until(end, (), certain_until=end)

    async def _try_until(self, end: float, names: Sequence[str], certain_until: float) -> None:
        while True:
            for name in names or self.fleet.nodes:
                accepted = [await self.sends_new_flight(name), await self.connects_early(name)]
                assert not any(accepted) or trio.current_time() > certain_until
            await self.replay_all()
            await self.handshake()
            if trio.current_time() >= end:
                return
            await trio.sleep(PAUSE)

    async def expect_acceptance(self, *names: str, seconds: float = 30) -> None:
        """Expect that these nodes, or all, accept early data again, within that time."""
        for name in names or self.fleet.nodes:
            with trio.fail_after(seconds):
                while not await self.connects_early(name):
                    await self.replay_all()
                    await self.handshake()
                    await trio.sleep(PAUSE)

    async def finish(self) -> None:
        """Check that no early data was accepted twice."""
        await self.replay_all()
        assert set((await self.fleet.accepted()).values()) <= {1}


@asynccontextmanager
async def scenario_with(
    directory: Path, **nodes: dict[str, Any]
) -> AsyncGenerator[Scenario, None]:
    async with fleet_of(directory, nodes) as fleet:
        scenario = Scenario(fleet, clocks_agree=not any("clock" in nodes[name] for name in nodes))
        await fleet.shares_keys()
        await scenario.handshake()
        yield scenario
        await scenario.finish()


@asynccontextmanager
async def one_redis(directory: Path) -> AsyncGenerator[tuple[Scenario, RedisServer], None]:
    """Two nodes and a Redis server that has run for long. A flight was accepted."""
    with redis_server(directory / "redis") as redis:
        options = {"redis": redis.port}
        async with scenario_with(directory / "fleet", one=options, two=options) as scenario:
            age_marker(redis)
            await scenario.has_flight_accepted("one")
            await scenario.replay_all()
            yield scenario, redis


async def killed_and_back_empty(directory: Path) -> None:
    async with one_redis(directory) as (scenario, redis):
        redis.kill()
        await scenario.expect_refusals()
        start = trio.current_time()
        redis.start()
        await scenario.expect_refusals_since(start)
        await scenario.expect_acceptance()


async def back_with_an_old_dump(directory: Path) -> None:
    with redis_server(directory / "redis") as redis:
        options = {"redis": redis.port}
        async with scenario_with(directory / "fleet", one=options, two=options) as scenario:
            age_marker(redis)
            redis.command("SAVE")
            await scenario.has_flight_accepted("one")
            redis.kill()
            start = trio.current_time()
            redis.start()
            await scenario.expect_refusals_since(start)
            await scenario.expect_acceptance()


async def paused(directory: Path) -> None:
    async with one_redis(directory) as (scenario, redis):
        redis.send_signal(signal.SIGSTOP)
        await scenario.expect_refusals(seconds=4)
        redis.send_signal(signal.SIGCONT)
        await scenario.expect_acceptance()


async def full(directory: Path) -> None:
    async with one_redis(directory) as (scenario, redis):
        redis.command("CONFIG", "SET", "maxmemory", "1")
        await scenario.expect_refusals(seconds=4)
        redis.command("CONFIG", "SET", "maxmemory", "0")
        await scenario.expect_acceptance()


class Relay:
    """Passes connections on to a port, and can drop them in the middle of an answer.

    Attributes:
        left: how many bytes of answers it still passes on, on each connection.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.left = math.inf

    async def serve(self, client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with server, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on, client, server, nursery, False)
            nursery.start_soon(self._pass_on, server, client, nursery, True)

    async def _pass_on(
        self,
        source: trio.SocketStream,
        target: trio.SocketStream,
        nursery: trio.Nursery,
        answers: bool,
    ) -> None:
        try:
            async for data in source:
                await target.send_all(data[: int(min(self.left, 2**16))] if answers else data)
                if answers and self.left < len(data):
                    break
        except trio.BrokenResourceError:
            pass  # a node has given this connection up
        nursery.cancel_scope.cancel()


async def cut_off_in_an_answer(directory: Path) -> None:
    with redis_server(directory / "redis") as redis:
        relay = Relay(redis.port)
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, host="127.0.0.1")
            [listener] = await nursery.start(serve, relay.serve, 0)
            options = {"redis": listener.socket.getsockname()[1]}
            async with scenario_with(directory / "fleet", one=options, two=options) as scenario:
                age_marker(redis)
                await scenario.has_flight_accepted("one")
                relay.left = 20
                await scenario.expect_refusals(seconds=4)
                relay.left = math.inf
                await scenario.expect_acceptance()
            nursery.cancel_scope.cancel()


async def second_primary(directory: Path) -> None:
    """A replica is promoted while the old primary lives; each node sees another of them."""
    with (
        redis_server(directory / "old") as old,
        replica_of(old, directory / "new") as new,
    ):
        options = {"replicas": 1}
        async with scenario_with(
            directory / "fleet",
            one={"redis": old.port, **options},
            two={"redis": new.port, **options},
        ) as scenario:
            age_marker(old)
            await scenario.has_flight_accepted("one")
            assert not await scenario.connects_early("two")
            new.command("REPLICAOF", "NO", "ONE")
            await scenario.expect_refusals(seconds=WINDOW + 5)
            old.command("REPLICAOF", "127.0.0.1", str(new.port))
            new.wait_until("slave0", "state=online")
            await scenario.expect_refusals("one")
            await scenario.expect_acceptance("two", seconds=WINDOW + 30)


async def failover_by_sentinel(directory: Path) -> None:
    """Sentinel promotes the replica of a primary that is paused, which then comes back."""
    with (
        redis_server(directory / "old") as old,
        replica_of(old, directory / "new") as new,
    ):
        sentinel = RedisServer(directory / "sentinel", sentinel=True)
        try:
            sentinel.start()
            sentinel.command("SENTINEL", "MONITOR", "tls", "127.0.0.1", str(old.port), "1")
            for setting in (("down-after-milliseconds", "1000"), ("failover-timeout", "10000")):
                sentinel.command("SENTINEL", "SET", "tls", *setting)
            sentinel.wait_until("master0", "slaves=1")
            options = {"redis": sentinel.port, "sentinel": True, "replicas": 1}
            async with scenario_with(directory / "fleet", one=options, two=options) as scenario:
                age_marker(old)
                await scenario.has_flight_accepted("one")
                await scenario.replay_all()
                start = trio.current_time()
                old.send_signal(signal.SIGSTOP)
                await scenario.expect_refusals(seconds=6)
                old.send_signal(signal.SIGCONT)
                new.wait_until("slave0", "state=online")
                await scenario.expect_refusals_since(start)
                await scenario.expect_acceptance(seconds=60)
        finally:
            sentinel.kill()


async def clocks_apart(directory: Path) -> None:
    """A server that is 30 seconds slow takes a flight for fresh that the others have forgotten."""
    with redis_server(directory / "redis") as redis:
        async with scenario_with(
            directory / "fleet",
            right={"redis": redis.port},
            fast={"redis": redis.port, "clock": 30},
            slow={"redis": redis.port, "clock": -30},
        ) as scenario:
            age_marker(redis)
            fleet = scenario.fleet
            flights: list[bytes] = []
            for name in ("right", "fast"):
                fleet.sessions.sessions.clear()
                await fleet.connect(fleet.nodes[name].port)
                flights.append(await scenario.has_flight_accepted(name))
            fleet.sessions.sessions.clear()
            await fleet.connect(fleet.nodes["slow"].port)
            await scenario.expect_refusals("slow")
            end = trio.current_time() + 75
            while trio.current_time() < end:
                async with trio.open_nursery() as nursery:
                    for flight in flights:
                        for port in scenario.ports:
                            nursery.start_soon(replay, port, flight)
                await trio.sleep(PAUSE)


SCENARIOS: tuple[Callable[[Path], Any], ...] = (
    killed_and_back_empty,
    back_with_an_old_dump,
    paused,
    full,
    cut_off_in_an_answer,
    second_primary,
    failover_by_sentinel,
    clocks_apart,
)


async def test_no_fault_of_redis_leads_to_a_second_acceptance(tmp_path: Path) -> None:
    peer_program("redis-server")
    async with trio.open_nursery() as nursery:
        for scenario in SCENARIOS:
            nursery.start_soon(scenario, tmp_path / scenario.__name__)
