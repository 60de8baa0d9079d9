"""Select the results for the documentation: the rows of its summary, and the goals."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from .measurement import Figure, Results
from .report import median

OURS, SSL_STREAM, RAW = "trio_tlsx", "trio.SSLStream", "raw trio TCP"
STDLIB = "stdlib ssl"
LIMITS = (RAW, "openssl s_time")
CPU = ("client CPU us", "server CPU us")
DEFAULT = "default groups"


def find(
    results: Results, part: str, case: str, contender: str, variant: str = ""
) -> Figure | None:
    wanted = (part, case, contender, variant)
    for figure in results.figures:
        if (figure.part, figure.case, figure.contender, figure.variant) == wanted:
            return figure
    return None


@dataclass(frozen=True)
class Row:
    """A case and its figure: one metric, or the sum of several."""

    title: str
    part: str
    case: str
    metrics: tuple[str, ...] = CPU
    variant: str = ""

    @property
    def higher_is_better(self) -> bool:
        return self.metrics[0].endswith("/s")

    def rounds(self, results: Results, contender: str, variant: str) -> list[float]:
        """Return a contender's figure in each round; nothing if it was not measured."""
        figure = find(results, self.part, self.case, contender, variant)
        if figure is None or not set(self.metrics) <= set(figure.values):
            return []
        return [
            sum(values) for values in zip(*(figure.values[m] for m in self.metrics), strict=True)
        ]

    def value(self, results: Results, contender: str, variant: str | None = None) -> float | None:
        rounds = self.rounds(results, contender, self.variant if variant is None else variant)
        return median(rounds) if rounds else None

    def ratio(self, results: Results, other: str, variant: str | None = None) -> float | None:
        """Return the median of the ratios of each round, ours to another's without a variant."""
        own = self.rounds(results, OURS, self.variant if variant is None else variant)
        return median_ratio(own, self.rounds(results, other, self.variant))

    def ratio_to(self, results: Results, base: Row) -> float | None:
        """Return the median of the ratios of each round, ours to ours in another case."""
        own = self.rounds(results, OURS, self.variant)
        return median_ratio(own, base.rounds(results, OURS, base.variant))


def median_ratio(own: list[float], others: list[float]) -> float | None:
    pairs = list(zip(own, others, strict=False))
    return statistics.median(one / other for one, other in pairs) if pairs else None


P50, MB = ("p50 us",), ("MB/s",)
X25519 = "X25519"
BULK = ("16 KiB", "64 KiB", "256 KiB", "1 MiB")
BULK_64 = "writes of 64 KiB"
CONNECTIONS = ("1 connection", "10 connections", "100 connections", "1,000 connections")
FIRST = "first connection of a process"
FULL, RESUMED, ECDSA = "full handshake", "resumed handshake", "ECDSA certificate"

#: The rows of the summary.
SUMMARY = (
    *(Row(f"bulk, {size} writes, MB/s", "bulk", f"writes of {size}", MB) for size in BULK),
    *(Row(f"bulk, {size} writes, CPU", "bulk", f"writes of {size}") for size in BULK),
    Row("bulk, 64 KiB writes, TLS 1.2, MB/s", "bulk", f"{BULK_64}, TLS 1.2", MB),
    Row("bulk, 64 KiB writes, TLS 1.2, CPU", "bulk", f"{BULK_64}, TLS 1.2"),
    Row("both directions at once, MB/s", "bulk", "both directions at once, 64 KiB", MB),
    Row("round trip, median time", "ping-pong", "1 connection", P50),
    Row("round trip, CPU", "ping-pong", "1 connection"),
    Row("round trips on 64 connections, CPU", "ping-pong", "64 connections"),
    Row("full handshake, median time", FULL, ECDSA, P50, X25519),
    Row("full handshake, CPU", FULL, ECDSA, CPU, X25519),
    Row("full handshake, TLS 1.2, CPU", FULL, f"{ECDSA}, TLS 1.2", CPU, X25519),
    Row("full handshake, RSA-2048, CPU", FULL, "RSA certificate", CPU, X25519),
    Row("full handshakes, 64 at once, CPU", FULL, f"{ECDSA}, 64 at once", CPU, X25519),
    Row("resumed, two tickets, median time", RESUMED, "server with 2 tickets", P50, X25519),
    Row("resumed, two tickets, CPU", RESUMED, "server with 2 tickets", CPU, X25519),
    Row("resumed, one ticket, CPU", RESUMED, "server with 1 ticket", CPU, X25519),
    Row(
        "idle connection, memory",
        "memory",
        "1,000 connections, full handshake",
        ("octets per end",),
    ),
    *(Row(f"request, {count}, CPU", "requests", count) for count in CONNECTIONS),
    Row("request, 5,000 connections, CPU", "requests", "5,000 connections"),
    Row("first connection of a process, CPU ms", "startup", FIRST, ("CPU ms",)),
)


@dataclass(frozen=True)
class Goal:
    """The goal of a case: a ratio to another contender, or a figure of ours.

    Attributes:
        other: the contender that ours is divided by, or whose figure is subtracted.
        difference: subtract instead of dividing.
        base: the case that ours is divided by.
    """

    title: str
    row: Row
    target: float
    other: str = ""
    at_least: bool = False
    variant: str | None = None
    difference: bool = False
    base: Row | None = None

    def value(self, results: Results) -> float | None:
        own = self.row.value(results, OURS, self.variant)
        if own is None:
            return None
        if self.base:
            return self.row.ratio_to(results, self.base)
        if self.difference:
            other = self.row.value(results, self.other)
            return None if other is None else own - other
        return self.row.ratio(results, self.other, self.variant) if self.other else own


def row_named(title: str) -> Row:
    return next(row for row in SUMMARY if row.title == title)


def versions_row(case: str, version: str) -> Row:
    return Row("", "versions", case, ("us",), version)


MEMORY_FULL = Row("", "in memory", "full", ("us",), X25519)
MEMORY_RESUMED = Row("", "in memory", "resumed, two tickets", ("us",), X25519)
CALLS, STEPS = ("calls",), ("task steps",)

GOALS = (
    Goal("round trip, CPU, of trio.SSLStream", row_named("round trip, CPU"), 0.48, SSL_STREAM),
    Goal("round trip, CPU, of raw trio TCP", row_named("round trip, CPU"), 0.98, RAW),
    Goal(
        "calls of a round trip, of raw trio TCP",
        Row("", "counts", "round trip of 100 octets", CALLS),
        0.94,
        RAW,
    ),
    Goal(
        "bulk, 16 KiB, MB/s, of raw trio TCP",
        row_named("bulk, 16 KiB writes, MB/s"),
        0.83,
        RAW,
        True,
    ),
    Goal(
        "bulk, 64 KiB, MB/s, of raw trio TCP",
        row_named("bulk, 64 KiB writes, MB/s"),
        0.78,
        RAW,
        True,
    ),
    Goal(
        "bulk, 1 MiB, MB/s, of raw trio TCP",
        row_named("bulk, 1 MiB writes, MB/s"),
        0.68,
        RAW,
        True,
    ),
    Goal(
        "connection, full, CPU, of trio.SSLStream",
        row_named("full handshake, CPU"),
        0.70,
        SSL_STREAM,
    ),
    Goal(
        "the same with our default groups, of its X25519",
        row_named("full handshake, CPU"),
        0.85,
        SSL_STREAM,
        variant=DEFAULT,
    ),
    Goal(
        "connection, resumed with two tickets, CPU, of trio.SSLStream",
        row_named("resumed, two tickets, CPU"),
        0.70,
        SSL_STREAM,
    ),
    Goal("full handshake in memory, of the stdlib", MEMORY_FULL, 0.69, STDLIB),
    Goal("resumed handshake in memory, of the stdlib", MEMORY_RESUMED, 0.67, STDLIB),
    Goal(
        "full, our default groups in memory, of the stdlib's X25519",
        MEMORY_FULL,
        0.94,
        STDLIB,
        variant=DEFAULT,
    ),
    Goal(
        "calls of a full handshake in memory",
        Row("", "counts", "full handshake in memory", CALLS),
        1350,
    ),
    Goal(
        "task steps of a connection",
        Row("", "counts", "connection: full handshake, echo, close", STEPS),
        19,
    ),
    Goal(
        "octets of an idle connection beyond raw trio TCP, per end",
        row_named("idle connection, memory"),
        2253,
        RAW,
        difference=True,
    ),
    Goal(
        "CPU of a request on 5,000 connections, of that on one",
        row_named("request, 5,000 connections, CPU"),
        1.3,
        base=row_named("request, 1 connection, CPU"),
    ),
    *(
        Goal(
            f"{size} writes, CPU, TLS 1.2, of our TLS 1.3",
            versions_row(f"writes of {size}", "TLS 1.2"),
            1.05,
            base=versions_row(f"writes of {size}", "TLS 1.3"),
        )
        for size in BULK
    ),
    Goal(
        "full handshake in memory, TLS 1.2, of our TLS 1.3",
        versions_row("full handshake in memory", "TLS 1.2"),
        1,
        base=versions_row("full handshake in memory", "TLS 1.3"),
    ),
    Goal(
        "connection, full, CPU, TLS 1.2, of our TLS 1.3",
        versions_row("connection: full handshake, echo, close", "TLS 1.2"),
        1,
        base=versions_row("connection: full handshake, echo, close", "TLS 1.3"),
    ),
    Goal(
        "handshakes per CPU second in two processes, of one process",
        Row(
            "",
            "several processes",
            "full handshakes, 16 clients at once",
            ("handshakes per CPU second",),
            "1 process",
        ),
        0.9,
        OURS,
        True,
        variant="2 processes",
    ),
    Goal(
        "import beyond trio, ms, under -X importtime",
        Row("", "startup", "import beyond trio and ssl, -X importtime", ("ms",)),
        60,
    ),
)
