"""Measure the CPU time of a handshake in one process and in two.

    python -m tests.benchmarks.several_processes PKI SETTING PROCESSES

As a program, it serves in so many processes. It prints its port and the numbers of the workers.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import trio

from trio_tlsx import TLSStream, Worker, serve_in_processes

from .configurations import ours
from .measurement import Bench, progress
from .openssl import GRACE_SECONDS
from .pairs import ROOT, ContenderFailed, cpu_seconds
from .settings import HOST, PKI, Setting

PART = "several processes"
COUNTS = (1, 2)

#: The numbers of clients. Sixteen keep two processes busy; with four they often wait.
CLIENTS = {
    "full handshakes, 16 clients at once": 16,
    "full handshakes, 4 clients at once": 4,
}
WARM_UP_SECONDS = 1

CONNECTIONS = re.compile(rb"(\d+) connections in \d+ real seconds")


@dataclass(frozen=True)
class Server:
    """A server in several processes that runs.

    Attributes:
        process: its supervisor.
        port: where it listens.
        workers: the numbers of its workers.
    """

    process: subprocess.Popen[bytes]
    port: int
    workers: Sequence[int]

    def usage(self) -> dict[str, float]:
        """Return the CPU times until now, and how often the workers have waited, so far."""
        return {
            "worker CPU us": sum(map(cpu_seconds, self.workers)) * 1e6,
            "supervisor CPU us": cpu_seconds(self.process.pid) * 1e6,
            "waits": sum(map(waits, self.workers)),
        }

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate()


def waits(pid: int) -> int:
    """Return how often a process has given up its core in order to wait."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def several_processes(bench: Bench) -> None:
    """Count the handshakes of a server in one process, and of one in two, in each round.

    The CPU time is that of the workers, user and system time. That of the supervisor stands beside
    it: between the starts of workers it has little to do.
    """
    if not shutil.which("openssl"):
        bench.results.missing[PART] = "there is no program openssl"
        return
    setting = Setting()
    servers: dict[int, Server] = {}
    try:
        for count in COUNTS:
            servers[count] = start(bench.pki, setting, count)
            measure(bench, setting, servers[count], 1, WARM_UP_SECONDS)
        for number in range(bench.results.rounds):
            progress(f"{PART}: round {number + 1} of {bench.results.rounds}")
            for case, clients in CLIENTS.items():
                for count in random.sample(COUNTS, len(COUNTS)):
                    seconds = bench.sizes.seconds_in_processes
                    figures = measure(bench, setting, servers[count], clients, seconds)
                    bench.results.find_or_add(
                        PART, case, variant(count), "trio_tlsx", "worker CPU us", "handshake"
                    ).add(figures)
    except (ContenderFailed, subprocess.TimeoutExpired) as error:
        bench.fail("trio_tlsx", PART, error)
    finally:
        for server in servers.values():
            server.end()


def variant(processes: int) -> str:
    return "1 process" if processes == 1 else f"{processes} processes"


def start(pki: PKI, setting: Setting, processes: int) -> Server:
    """Start a server, and wait until its workers have started."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.benchmarks.several_processes"),
            *(str(pki.directory), setting.to_json(), str(processes)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise ContenderFailed(f"the server with {variant(processes)} has ended")
    port, *workers = map(int, line.split())
    return Server(process, port, workers)


def measure(
    bench: Bench, setting: Setting, server: Server, count: int, seconds: int
) -> dict[str, float]:
    """Have so many clients connect for some seconds; return the figures of one handshake."""
    before, begin = server.usage(), time.perf_counter()
    clients = [start_client(bench, setting, server.port, seconds) for _ in range(count)]
    outputs = [client.communicate(timeout=seconds + GRACE_SECONDS)[0] for client in clients]
    elapsed, after = time.perf_counter() - begin, server.usage()
    handshakes = sum(int(count) for output in outputs for count in CONNECTIONS.findall(output))
    if not handshakes:
        raise ContenderFailed(f"openssl s_time has made no handshakes: {outputs[0][-200:]!r}")
    figures = {name: (after[name] - before[name]) / handshakes for name in before}
    return {
        **figures,
        "handshakes per CPU second": 1e6 / figures["worker CPU us"],
        "handshakes/s": handshakes / elapsed,
    }


def start_client(
    bench: Bench, setting: Setting, port: int, seconds: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *("openssl", "s_time", "-connect", f"{HOST}:{port}", "-new", "-time", str(seconds)),
            *("-CAfile", bench.pki.ca(setting)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=bench.pki.environment(setting),
    )


async def serve(worker: Worker, directory: str, setting: str) -> None:
    """Serve in one of the processes: wait until the client closes."""
    _, config = ours(PKI(Path(directory)), Setting.from_json(setting))

    async def handle(stream: TLSStream[trio.SocketStream]) -> None:
        async for _ in stream:
            pass

    await worker.serve(handle, replace(config, ticket_keys=worker.ticket_keys))


async def supervise(directory: str, setting: str, processes: int) -> None:
    async with trio.open_nursery() as nursery:
        supervisor = await nursery.start(
            partial(
                serve_in_processes,
                f"tests.benchmarks.several_processes:{serve.__name__}",
                *(directory, setting),
                port=0,
                host=HOST,
                processes=processes,
                drain_timeout=0,
            )
        )
        print(supervisor.port, *supervisor.pids, flush=True)


if __name__ == "__main__":
    trio.run(supervise, sys.argv[1], sys.argv[2], int(sys.argv[3]))
