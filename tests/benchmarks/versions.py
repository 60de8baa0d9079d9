"""Compare TLS 1.2 with TLS 1.3: full handshakes in memory, connections, and data.

A difference of a few percent is less than that between two processes, or between two minutes of a
virtual machine. So both versions run in one process, and take turns.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Sequence
from itertools import chain

import trio

from .exchanges import connected, connection, transfer
from .in_memory import Ours as OursInMemory
from .in_memory import shake_hands
from .measurement import Bench, progress
from .on_trio import Ours
from .report import median
from .settings import PKI, TLS12, Setting
from .transfers import WRITE_BYTES, size

PART = "versions"
VERSIONS = {"TLS 1.3": Setting(), "TLS 1.2": TLS12}
BLOCKS = 64  #: of 64 KiB, in a sample of data

#: By version: CPU microseconds.
Times = dict[str, float]


def versions(bench: Bench) -> None:
    """Measure both versions, which take turns; a figure is the median of a round."""
    pki, turns = bench.pki, bench.sizes.turns
    gc.disable()
    for number in range(bench.results.rounds):
        progress(f"{PART}: round {number + 1} of {bench.results.rounds}")
        gc.collect()
        add(bench, "full handshake in memory", "handshake", handshakes(pki, turns))
        times = trio.run(connections, pki, turns)
        add(bench, "connection: full handshake, echo, close", "connection", times)
        for write_bytes in WRITE_BYTES:
            times = trio.run(transfers, pki, turns, write_bytes)
            blocks = {version: time / BLOCKS for version, time in times.items()}
            add(bench, f"writes of {size(write_bytes)}", "64 KiB", blocks)
    gc.enable()


def add(bench: Bench, case: str, unit: str, times: Times) -> None:
    for version, microseconds in times.items():
        figure = bench.results.find_or_add(PART, case, version, Ours.name, "us", unit)
        figure.add({"us": microseconds})


def handshakes(pki: PKI, turns: int) -> Times:
    pairs = {version: OursInMemory(pki, setting) for version, setting in VERSIONS.items()}
    samples = Samples()
    for version in in_turns(turns):
        client, server, _ = shake_hands(pairs[version])
        samples.add(version, client + server)
    return samples.medians()


async def connections(pki: PKI, turns: int) -> Times:
    contenders = {version: Ours(pki, setting) for version, setting in VERSIONS.items()}
    samples = Samples()
    for version in in_turns(turns):
        client, server = contenders[version].pair()
        start = time.thread_time()
        await connection(client, server)
        samples.add(version, time.thread_time() - start)
    return samples.medians()


async def transfers(pki: PKI, turns: int, write_bytes: int) -> Times:
    pairs = {version: await connected(Ours(pki, setting)) for version, setting in VERSIONS.items()}
    samples = Samples()
    for version in in_turns(turns):
        start = time.thread_time()
        await transfer(*pairs[version], BLOCKS * 2**16, write_bytes)
        samples.add(version, time.thread_time() - start)
    for stream in chain(*pairs.values()):
        await trio.aclose_forcefully(stream)
    return samples.medians()


def in_turns(turns: int) -> Sequence[str]:
    """Return the versions in the order in which to measure them; none is always the first."""
    return [version for _ in range(turns) for version in random.sample(list(VERSIONS), 2)]


class Samples:
    """The CPU times of each version."""

    def __init__(self) -> None:
        self._samples: dict[str, list[float]] = {version: [] for version in VERSIONS}

    def add(self, version: str, seconds: float) -> None:
        self._samples[version].append(seconds * 1e6)

    def medians(self) -> Times:
        return {version: median(times) for version, times in self._samples.items()}
