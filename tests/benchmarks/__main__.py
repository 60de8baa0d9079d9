"""Measure trio_tlsx and other TLS libraries, interleaved in one run.

    python -m tests.benchmarks [PART ...] [--rounds N] [--smoke] [--json FILE] [--plots FOLDER]

Without a PART all of them run. `docs/performance.md` explains what each measures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import (
    environment,
    handshakes,
    hooks,
    idle,
    primitives,
    report,
    several_processes,
    startup,
    transfers,
    versions,
)
from .certificates import create_pki
from .contenders import PLACES
from .measurement import SMOKE, Bench, Results, Sizes, progress

PARTS: dict[str, Callable[[Bench], None]] = {
    "bulk": transfers.bulk,
    "ping-pong": transfers.ping_pong,
    "full": handshakes.full,
    "resumed": handshakes.resumed,
    "in-memory": handshakes.in_memory,
    "memory": idle.memory,
    "requests": transfers.requests,
    "startup": startup.startup,
    "primitives": primitives.primitives,
    "counts": handshakes.counts,
    "versions": versions.versions,
    "several-processes": several_processes.several_processes,
    "hooks": hooks.hooks,
}
ROUNDS = 7


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measure trio_tlsx beside every rival."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"{ROUNDS} by default")
    parser.add_argument("--smoke", action="store_true", help="one round of tiny amounts")
    parser.add_argument("--only", action="append", default=[], choices=PLACES, help="a contender")
    parser.add_argument("--json", type=Path, help="write the results to a file")
    parser.add_argument("--plots", type=Path, help="draw the results into a folder")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}; parts are {', '.join(PARTS)}")

    results = Results(
        environment=environment.describe("python -m tests.benchmarks " + " ".join(sys.argv[1:])),
        rounds=1 if arguments.smoke else arguments.rounds,
    )
    sizes = SMOKE if arguments.smoke else Sizes()
    if arguments.only:
        sizes = replace(sizes, contenders=arguments.only)
    with (
        tempfile.TemporaryDirectory() as directory,
        Bench(create_pki(Path(directory)), sizes, results) as bench,
    ):
        for name in arguments.parts or PARTS:
            start = time.monotonic()
            PARTS[name](bench)
            progress(f"{name} took {time.monotonic() - start:.0f} seconds")
    results.environment["load after"] = environment.load()

    for key, value in results.environment.items():
        print(f"{key}: {value}")
    print(f"rounds: {results.rounds}\n")
    print(*report.table(results), sep="\n")
    if arguments.json:
        arguments.json.write_text(results.to_json())
    if arguments.plots:
        from . import plots  # matplotlib is in the extra "bench"

        plots.draw([results], arguments.plots)


if __name__ == "__main__":
    main()
