"""Start, command and measure the two processes of a contender: CPU time and memory."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .contenders import Contender
from .settings import PKI, Setting

ROOT = Path(__file__).parents[2]
SECONDS_FOR_A_COMMAND = 60
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ContenderFailed(Exception):
    """A contender's process failed, or did not answer in time."""


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, its user and system time together.

    This clock of Linux has nanoseconds; the times in /proc have hundredths of a second.
    """
    return time.clock_gettime((~pid << 3) | 2)


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def machine_seconds() -> float:
    """Return the CPU time of all processes on all cores since the start of the machine."""
    user, nice, system, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * PAGE_BYTES


class Worker:
    """A process of a module of this package. It sends its answers as lines of JSON."""

    def __init__(self, module: str, arguments: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
        )
        self.pid = self._process.pid

    def read(self) -> Any:
        assert self._process.stdout
        readable, _, _ = select.select([self._process.stdout], [], [], SECONDS_FOR_A_COMMAND)
        if not readable:
            raise ContenderFailed(f"no answer in {SECONDS_FOR_A_COMMAND} seconds")
        line = self._process.stdout.readline()
        if not line:
            raise ContenderFailed(self._last_words())
        return json.loads(line)

    def _last_words(self) -> str:
        _, errors = self._process.communicate()
        lines = errors.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "the process ended"

    def command(self, *command: Any) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        result = self.read()
        if "error" in result:
            raise ContenderFailed(result["error"])
        return result["figures"]

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


class Pair:
    """A contender's server and client."""

    def __init__(self, contender: type[Contender], pki: PKI, setting: Setting) -> None:
        self.contender = contender
        self.setting = setting
        self._arguments = str(pki.directory), setting.to_json()
        self._environment = pki.environment(setting)
        arguments = [contender.name, "server", *self._arguments]
        self.server = Worker("worker", arguments, self._environment)

    def start_client(self) -> None:
        self.port = int(self.server.read())
        arguments = [self.contender.name, "client", *self._arguments, str(self.port)]
        self.client = Worker("worker", arguments, self._environment)

    def wait_for_client(self) -> None:
        self.client.read()

    def run(self, *command: Any) -> dict[str, float]:
        """Run a command in the client; add the CPU time of each process."""
        self.client.command("rest")
        before = [cpu_seconds(pid) for pid in self.pids]
        figures = self.client.command(*command)
        client, server = map(cpu_seconds, self.pids)
        return figures | {"client CPU s": client - before[0], "server CPU s": server - before[1]}

    @property
    def pids(self) -> tuple[int, int]:
        return self.client.pid, self.server.pid

    def end(self) -> None:
        for name in ("client", "server"):
            if worker := getattr(self, name, None):
                worker.end()
