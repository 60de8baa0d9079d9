"""Count calls, system calls and task steps, of both ends together.

    python -m tests.benchmarks.counts PKI SETTING

Counts do not depend on the load of the machine. `tests/io/test_costs.py` limits the counts of
trio_tlsx. Calls are the calls of Python and C functions that `sys.setprofile` reports, including
those inside trio.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import trio

from ..support.counting import SYSTEM_CALLS, Counts, StepCounter
from .contenders import PLACES, contender_named
from .exchanges import connected, connection, round_trip
from .in_memory import LIBRARIES, shake_hands
from .on_trio import OnTrio
from .programs import receive
from .settings import PKI, Setting

REPEATS = 20
BLOCK = bytes(2**16)
POLLS = {"poll", "epoll_wait"}


class AllCounts(Counts):
    """Counts the calls of all functions, not only of the package."""

    calls: int
    system_calls: int

    def on_profile_event(self, frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "c_call"):
            self.calls += 1
            name = getattr(argument, "__name__", "")
            if event == "c_call" and name in SYSTEM_CALLS | POLLS:
                self.system_calls += 1


@contextmanager
def counting_everything() -> Generator[AllCounts]:
    counts = AllCounts()
    sys.setprofile(counts.on_profile_event)
    try:
        yield counts
    finally:
        sys.setprofile(None)


def counts_of_handshake(library: Any) -> dict[str, float]:
    for _ in range(3):
        shake_hands(library)
    with counting_everything() as counts:
        shake_hands(library)
    return {"calls": counts.calls}


async def counts_of_streams(contender: OnTrio) -> dict[str, dict[str, float]]:
    """Count over socket pairs."""
    client, server = await connected(contender)
    await round_trip(client, server)
    result: dict[str, dict[str, float]] = {}
    for name, operation in (("round trip of 100 octets", round_trip), ("64 KiB", block)):
        result[name] = await repeated(operation, client, server, REPEATS)
    await client.aclose()
    for _ in range(2):
        await connection(*contender.pair())
    result["connection: full handshake, echo, close"] = await repeated(
        connection, *contender.pair(), 1
    )
    return result


async def block(client: Any, server: Any) -> None:
    await client.send_all(BLOCK)
    await receive(server, len(BLOCK))


async def repeated(
    operation: Callable[[Any, Any], Awaitable[None]], client: Any, server: Any, repeats: int
) -> dict[str, float]:
    with counting_everything() as counts:
        counter = StepCounter(counts)
        trio.lowlevel.add_instrument(counter)
        for _ in range(repeats):
            await operation(client, server)
        trio.lowlevel.remove_instrument(counter)
    return {
        "calls": counts.calls / repeats,
        "system calls": counts.system_calls / repeats,
        "task steps": counts.task_steps / repeats,
    }


def main() -> None:
    pki, setting = PKI(Path(sys.argv[1])), Setting.from_json(sys.argv[2])
    suffix = ", TLS 1.2" if setting.is_tls12 else ""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for kind in LIBRARIES:
        if kind.slowness > 1 or kind.missing() or (setting.tickets and not kind.resumes):
            continue
        if setting.is_tls12 and not kind.tls12:
            continue
        case = f"{'resumed' if setting.tickets else 'full'} handshake in memory{suffix}"
        result.setdefault(case, {})[kind.name] = counts_of_handshake(kind(pki, setting))
    for name in () if setting.tickets else PLACES:
        contender = contender_named(name)
        if not issubclass(contender, OnTrio) or not contender.wraps or contender.missing():
            continue
        if setting.is_tls12 and not contender.tls:
            continue
        for case, counts in trio.run(counts_of_streams, contender(pki, setting)).items():
            result.setdefault(case + suffix, {})[name] = counts
    print(json.dumps(result))


if __name__ == "__main__":
    main()
