"""Simulate 1,000 servers in three regions that share early data over Redis.

It prints a table; that of the page on fleets has the seed 9846. Each run is a sequence of events
in simulated time. A client that resumes sends early data to a server; an attacker records some of
these flights and replays each to random servers in all regions. The rules of the servers and of
the cache are those of the library.

Usage: python fleet_simulation.py SEED
"""

import heapq
import itertools
import math
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

NODES = 1000
REGIONS = 3
SECONDS = 240.0  # of simulated time
FLIGHTS_PER_SECOND = 40
RECORDED = 0.05  # the share of flights that the attacker records
REPLAYS = 20  # of each recorded flight
REPLAY_AFTER = 0.5, 90.0  # how long after the flight the attacker replays, in seconds

ROAMING = 0.05  # the share of clients that come back in another region
SKEW = 0.5  # standard deviation of the servers' clocks, in seconds
WRONG_CLOCKS = 0.01  # the share of servers whose clock is up to 40 seconds wrong
CLIENT_LAG = 0.1  # mean time from a client to a server, in seconds
NEAR, FAR = 0.001, 0.04  # mean time from a server to Redis, in its region and in another

FRESHNESS = 10.0  # what a server accepts, as in handshake/early_data.py
AHEAD, MARGIN = 60.0, 30.0  # what the cache accepts, as in contrib/redis/anti_replay.py
TIME_LIMIT = 0.5  # of RedisConnections

PARTITIONS = (0, 1, 10, 34, 67, 100)


@dataclass
class Redis:
    """A server with the rules of the cache, or with a plain SET NX PXAT."""

    region: int
    careful: bool
    since: float = -1000.0  # it has run for long
    claims: dict[int, float] = field(default_factory=dict[int, float])

    def claim(self, now: float, flight: int, since: float, until: float) -> bool:
        """Return whether this is the first claim, by the clock of Redis."""
        if self.careful:
            if until <= now or until > now + AHEAD:
                return False
            if since < self.since or until <= self.since + AHEAD + MARGIN:
                return False
        if self.claims.get(flight, now) > now:
            return False
        if until + MARGIN * self.careful > now:  # what has expired already is not stored
            self.claims[flight] = until + MARGIN * self.careful
        return True

    def restart(self, now: float) -> None:
        """Lose all claims."""
        self.claims.clear()
        self.since = now


@dataclass(frozen=True)
class Layout:
    """Where the Redis servers are.

    Attributes:
        regional: each region has a Redis server and ticket keys of its own.
        replicated: the other regions have replicas, and a claim needs all of them.
        careful: the cache has the rules of the library.
        restarts: Redis is restarted, without its data, in the middle.
    """

    name: str
    regional: bool = False
    replicated: bool = False
    careful: bool = True
    restarts: bool = False


@dataclass
class Result:
    """What came of the early data.

    Attributes:
        sent: flights of clients.
        lost: those of them whose early data was rejected.
        replayed: replays by the attacker.
        accepted_twice: flights that were accepted more than once.
    """

    sent: int = 0
    lost: int = 0
    replayed: int = 0
    accepted_twice: int = 0

    @property
    def lost_percentage(self) -> float:
        return 100 * self.lost / self.sent


class Simulation:
    """One run.

    Args:
        layout: where the Redis servers are.
        partition: the share of the servers that cannot reach Redis, in percent. These are the
            servers of the last region first. If it is a whole region, so is its replica.
        seed: of all random numbers.
    """

    def __init__(self, layout: Layout, partition: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.layout = layout
        self.skews = [self._skew() for _ in range(NODES)]
        self.cut_off = [100 * (NODES - node) <= partition * NODES for node in range(NODES)]
        count = REGIONS if layout.regional else 1
        self.servers = [Redis(region, layout.careful) for region in range(count)]
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.numbers = itertools.count()
        self.accepted: dict[int, int] = {}
        self.result = Result()

    def _skew(self) -> float:
        if self.random.random() < WRONG_CLOCKS:
            return self.random.uniform(-40, 40)
        return self.random.gauss(0, SKEW)

    def at(self, time: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self.events, (time, next(self.numbers), event))

    def run(self) -> Result:
        """Run until nothing is left to happen."""
        time, flight = 0.0, 0
        while time < SECONDS:
            time += self.random.expovariate(FLIGHTS_PER_SECOND)
            flight += 1
            self._plan(time, flight)
        if self.layout.restarts:
            for server in self.servers:
                self.at(SECONDS / 2, server.restart)
        while self.events:
            time, _, event = heapq.heappop(self.events)
            event(time)
        self.result.accepted_twice = sum(count > 1 for count in self.accepted.values())
        return self.result

    def _plan(self, time: float, flight: int) -> None:
        """Let a client send a flight, and the attacker replay some."""
        issuer = self.random.randrange(NODES)
        region = region_of(issuer)
        if self.random.random() < ROAMING:
            region = self.random.randrange(REGIONS)
        node = self._node_in(region)
        # The age that the client reports is right; the issuer's clock dates the ticket.
        expected = time + self.skews[issuer]
        self.result.sent += 1
        self.result.lost += 1  # until it is accepted
        self._send(time, node, flight, issuer, expected, by_client=True)
        if self.random.random() < RECORDED:
            for _ in range(REPLAYS):
                self.result.replayed += 1
                later = time + self.random.uniform(*REPLAY_AFTER)
                self._send(later, self.random.randrange(NODES), flight, issuer, expected)

    def _node_in(self, region: int) -> int:
        return self.random.randrange(first_of(region), first_of(region + 1))

    def _send(
        self,
        time: float,
        node: int,
        flight: int,
        issuer: int,
        expected: float,
        by_client: bool = False,
    ) -> None:
        def arrive(now: float) -> None:
            self._arrive(now, node, flight, issuer, expected, by_client)

        self.at(time + self.random.expovariate(1 / CLIENT_LAG), arrive)

    def _arrive(
        self, now: float, node: int, flight: int, issuer: int, expected: float, by_client: bool
    ) -> None:
        """A server decides whether to ask Redis, and whether to accept."""
        region = region_of(node)
        if self.layout.regional and region != region_of(issuer):
            return  # its keys do not decrypt the ticket
        if abs(now + self.skews[node] - expected) > FRESHNESS:
            return
        if self.cut_off[node] or (self.layout.replicated and self.cut_off[first_of(2)]):
            return
        server = self.servers[region if self.layout.regional else 0]
        lag = self._lag(region, server.region)
        since, until = expected - FRESHNESS, expected + 2 * FRESHNESS

        def reach(then: float) -> None:
            first = server.claim(then, flight, since, until)
            took = then - now + self._lag(region, server.region)
            if self.layout.replicated:
                took += 2 * max(self._lag(0, other) for other in (1, 2))
            answered = now + took + self.skews[node]
            if first and took <= TIME_LIMIT and answered < until:
                self.accepted[flight] = self.accepted.get(flight, 0) + 1
                self.result.lost -= by_client

        self.at(now + lag, reach)

    def _lag(self, one: int, other: int) -> float:
        mean = NEAR if one == other else FAR
        return mean + self.random.expovariate(1 / mean)


def region_of(node: int) -> int:
    return node * REGIONS // NODES


def first_of(region: int) -> int:
    return math.ceil(region * NODES / REGIONS)


ONE = Layout("one Redis server for all regions")
REGIONAL = Layout("a Redis server and keys in each region", regional=True)
REPLICATED = Layout("a primary with a replica in each other region", replicated=True)
RESTARTED = Layout("one Redis server, restarted in the middle", restarts=True)
PLAIN = Layout("one Redis server, plain `SET NX PXAT`, restarted", careful=False, restarts=True)


def table(seed: int) -> str:
    """Return the results as a table of the page."""
    lines = [
        "| layout | replays | accepted twice | lost at "
        + " | ".join(f"{partition} %" for partition in PARTITIONS)
        + " |",
        "|---" * (3 + len(PARTITIONS)) + "|",
    ]
    for layout in (ONE, REGIONAL, REPLICATED, RESTARTED, PLAIN):
        results = [Simulation(layout, partition, seed).run() for partition in PARTITIONS]
        lines.append(
            f"| {layout.name} | {sum(result.replayed for result in results):,} "
            f"| {sum(result.accepted_twice for result in results)} | "
            + " | ".join(f"{result.lost_percentage:.1f} %" for result in results)
            + " |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(table(int(sys.argv[1])))
