"""Measure the first connection of a process: imports, configuration, handshake, echo.

python -m tests.benchmarks.first CONTENDER PKI SETTING PORT
"""

# The clock starts before the imports, because it measures them.
# ruff: noqa: E402

from __future__ import annotations

import time

START = time.perf_counter()

import json
import sys
from pathlib import Path

from .contenders import contender_named
from .programs import Client
from .settings import PKI, Setting


def main() -> None:
    name, directory, setting, port = sys.argv[1:]
    contender = contender_named(name)(PKI(Path(directory)), Setting.from_json(setting))
    ready = time.perf_counter()
    figures: dict[str, float] = {}

    async def connect() -> None:
        start = time.perf_counter()
        stream = await Client(contender, int(port)).connect()
        figures["first handshake ms"] = (time.perf_counter() - start) * 1e3
        await contender.close(stream)

    contender.run(connect)
    figures["ms"] = (time.perf_counter() - START) * 1e3
    figures["CPU ms"] = time.process_time() * 1e3
    figures["imports and configuration ms"] = (ready - START) * 1e3
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
