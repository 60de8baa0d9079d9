"""Measure data: bulk, ping-pong, requests over many connections."""

from __future__ import annotations

from .contenders import Contender
from .measurement import SHORT_SAMPLES, Bench, Case, Work
from .settings import AES_128, SUITES, TLS12, Setting

PLAIN = Setting()
BLOCK = 2**16
WRITE_BYTES = (2**14, BLOCK, 2**18, 2**20)
#: The contenders in all cipher suites: the suite matters in OpenSSL, not in its callers.
SUITE_CONTENDERS = ("trio_tlsx", "trio.SSLStream", "aiofastnet", "blocking ssl")


def bulk(bench: Bench) -> None:
    """Send in writes of several sizes, with each suite, and in both directions at once."""
    total = bench.sizes.bulk_bytes

    def row(name: str, write_bytes: int, setting: Setting = PLAIN) -> Case:
        def work(contender: type[Contender]) -> Work:
            if contender.slowness > 1 and write_bytes != BLOCK:
                return None
            if setting != PLAIN and contender.name not in SUITE_CONTENDERS:
                return None
            count = max(write_bytes, total // contender.slowness)
            return ["bulk", count, write_bytes], count // BLOCK

        return Case("bulk", name, "MB/s", "64 KiB", setting, work, held=1)

    def exchange(contender: type[Contender]) -> Work:
        if not contender.full_duplex:
            return None
        return ["exchange", total // 2], total // BLOCK

    bench.run(
        [
            *(row(f"writes of {size(count)}", count) for count in WRITE_BYTES),
            row("writes of 64 KiB, TLS 1.2", BLOCK, TLS12),
            *(
                row(f"writes of 64 KiB, {suite}", BLOCK, Setting(suite=suite))
                for suite in SUITES
                if suite != AES_128
            ),
            Case(
                "bulk",
                "both directions at once, 64 KiB",
                "MB/s",
                "64 KiB",
                PLAIN,
                exchange,
                held=1,
            ),
        ],
        SHORT_SAMPLES,
    )


def size(count: int) -> str:
    return f"{count // 2**10} KiB" if count < 2**20 else f"{count // 2**20} MiB"


def round_trips(part: str, connections: int, total: int, metric: str, unit: str) -> Case:
    def work(contender: type[Contender]) -> Work:
        if contender.max_connections < connections:
            return None
        count = max(total // contender.slowness, connections) // connections * connections
        return ["round_trips", connections, count], count

    name = f"{connections:,} connection{'s' * (connections > 1)}"
    return Case(part, name, metric, unit, PLAIN, work, held=connections + 1)


def ping_pong(bench: Bench) -> None:
    """Send 100 octets there and back, on one connection and on several at once."""
    sizes = bench.sizes
    bench.run(
        [
            round_trips("ping-pong", 1, sizes.pings, "us", "round trip"),
            round_trips("ping-pong", sizes.at_once, sizes.pings_at_once, "us", "round trip"),
        ],
        SHORT_SAMPLES,
    )


def requests(bench: Bench) -> None:
    """Send requests over more and more connections, which stay open."""
    bench.run(
        [
            round_trips("requests", connections, bench.sizes.requests, "requests/s", "request")
            for connections in bench.sizes.connections
        ]
    )
