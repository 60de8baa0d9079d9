"""The parts that measure data: bulk, ping-pong, requests over many connections."""

from __future__ import annotations

from .contenders import Contender
from .measurement import Bench, Case, Work
from .settings import AES_128, SUITES, Setting

PLAIN = Setting()
BLOCK = 2**16
WRITE_BYTES = (2**14, BLOCK, 2**18, 2**20)


def bulk(bench: Bench) -> None:
    """Send in writes of several sizes, with each suite, and in both directions at once."""
    total = bench.sizes.bulk_bytes

    def row(name: str, write_bytes: int, setting: Setting = PLAIN) -> Case:
        def work(contender: type[Contender]) -> Work:
            if contender.slowness > 1 and write_bytes != BLOCK:
                return None
            count = max(write_bytes, total // contender.slowness)
            return ["bulk", count, write_bytes], count // BLOCK

        return Case("bulk", name, "MB/s", "64 KiB", setting, work)

    def exchange(contender: type[Contender]) -> Work:
        if not contender.full_duplex:
            return None
        return ["exchange", total // 2], total // BLOCK

    bench.run(
        [
            *(row(f"writes of {size(count)}", count) for count in WRITE_BYTES),
            *(
                row(f"writes of 64 KiB, {suite}", BLOCK, Setting(suite=suite))
                for suite in SUITES
                if suite != AES_128
            ),
            Case("bulk", "both directions at once, 64 KiB", "MB/s", "64 KiB", PLAIN, exchange),
        ]
    )


def size(count: int) -> str:
    return f"{count // 2**10} KiB" if count < 2**20 else f"{count // 2**20} MiB"


def ping_pong(bench: Bench) -> None:
    """Send 100 octets there and back, on one connection and on several at once."""
    sizes = bench.sizes

    def alone(contender: type[Contender]) -> Work:
        count = max(2, sizes.pings // contender.slowness)
        return ["ping_pong", count], count

    def at_once(contender: type[Contender]) -> Work:
        if contender.max_connections < sizes.at_once:
            return None
        connections, count = sizes.at_once, sizes.pings_at_once
        return ["ping_pongs", connections, count], connections * count

    name = f"{sizes.at_once} connections at once"
    bench.run(
        [
            Case("ping-pong", "one connection", "us", "round trip", PLAIN, alone),
            Case("ping-pong", name, "us", "round trip", PLAIN, at_once),
        ]
    )


def requests(bench: Bench) -> None:
    """Send requests over more and more connections, which stay open."""

    def row(connections: int) -> Case:
        def work(contender: type[Contender]) -> Work:
            if contender.max_connections < connections:
                return None
            total = max(bench.sizes.requests // contender.slowness, connections)
            return ["requests", connections, total], total // connections * connections

        return Case(
            "requests", f"{connections:,} connections", "requests/s", "request", PLAIN, work
        )

    bench.run([row(connections) for connections in bench.sizes.connections])
