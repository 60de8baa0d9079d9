"""Run a process of a contender: a server, or a client that runs commands.

    python -m tests.benchmarks.worker CONTENDER server|client PKI SETTING [PORT]

A server prints its port. A client reads commands from its standard input, one JSON array each, and
prints their results. Both end with their standard input.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from .contenders import Contender, contender_named
from .programs import Client, Server
from .settings import PKI, Setting


def answer(value: Any) -> None:
    print(json.dumps(value), flush=True)


async def run_server(contender: Contender) -> None:
    def exit_with_the_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=exit_with_the_parent, daemon=True).start()
    await contender.serve(Server(contender).handle, answer)


async def run_client(contender: Contender, port: int) -> None:
    client = Client(contender, port)
    answer("ready")
    for line in sys.stdin:  # blocks the event loop: nothing else has to run meanwhile
        name, *arguments = json.loads(line)
        try:
            answer({"figures": await getattr(client, name)(*arguments)})
        except Exception as error:  # noqa: BLE001 - a report names whatever a rival raises
            answer({"error": f"{name}: {type(error).__name__}: {error}"})


def main() -> None:
    name, role, directory, setting, *port = sys.argv[1:]
    contender = contender_named(name)(PKI(Path(directory)), Setting.from_json(setting))
    if role == "server":
        contender.run(lambda: run_server(contender))
    else:
        contender.run(lambda: run_client(contender, int(port[0])))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
