"""Redis servers of the tests' own, on loopback, each in a directory of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import trio
from coredis.connection import TCPConnection, TCPLocation
from processes import free_port, peer_program

from trio_tlsx.contrib.redis import RedisConnections

__all__ = ["RedisServer", "age_marker", "connected", "redis_server", "replica_of"]

#: How often a server that starts is asked, and the time between, in seconds.
ATTEMPTS, PAUSE = 400, 0.05

MARKER = "trio-tlsx:0rtt"


class RedisServer:
    """A redis-server, or a Sentinel, that can be killed, paused and started again.

    Attributes:
        port: where it listens, which never changes.
        directory: where it keeps its dump.
        process: the program while it runs.
    """

    def __init__(self, directory: Path, *options: str, sentinel: bool = False) -> None:
        self.program = peer_program("redis-server")
        self.port = free_port()
        self.directory = directory
        self.options = options
        self.sentinel = sentinel
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def start(self, *options: str) -> None:
        """Start it with these options too, and wait until it answers."""
        common = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory))
        if self.sentinel:
            configuration = self.directory / "sentinel.conf"
            configuration.write_text(f"port {self.port}\nbind 127.0.0.1\n")
            command = [self.program, str(configuration), "--sentinel"]
        else:
            save = ("--save", "", "--repl-diskless-sync-delay", "0")
            command = [self.program, *common, *save, *self.options, *options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(ATTEMPTS):
            if self.answers():
                return
            time.sleep(PAUSE)
        raise AssertionError(f"{self.program} does not answer on port {self.port}")

    def answers(self) -> bool:
        """Return whether it answers PING; while it loads its data it does not."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100) == b"+PONG\r\n"
        except OSError:
            return False

    def command(self, *words: str) -> str:
        """Have redis-cli send a command; return its answer as text."""
        cli = self.program.replace("redis-server", "redis-cli")
        done = subprocess.run(
            [cli, "-p", str(self.port), *words], capture_output=True, check=True, timeout=30
        )
        return done.stdout.decode("latin-1").strip()

    def info(self, field: str) -> str:
        """Return a field of INFO."""
        lines = self.command("INFO").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line).get(field, "")

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it with SIGKILL, also if it is paused."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def wait_for_confirmation(self) -> None:
        """Wait until a replica has confirmed a write; the first one takes up to a second."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(b"SET ready 1 PX 1\r\nWAIT 1 10000\r\n")
            received = b""
            while not received.endswith(b":1\r\n"):
                if not (octets := connection.recv(100)):
                    break
                received += octets
        assert received == b"+OK\r\n:1\r\n"

    def wait_until(self, field: str, value: str) -> None:
        """Wait until a field of INFO contains this."""
        for _ in range(ATTEMPTS):
            if value in self.info(field):
                return
            time.sleep(PAUSE)
        raise AssertionError(f"{field} is {self.info(field)}, not {value}")


@contextmanager
def redis_server(directory: Path, *options: str) -> Generator[RedisServer, None, None]:
    """A redis-server for as long as the block lasts."""
    server = RedisServer(directory, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def replica_of(
    primary: RedisServer, directory: Path, *options: str
) -> Generator[RedisServer, None, None]:
    """A replica that has the data of its primary, for as long as the block lasts."""
    of = ("--replicaof", f"127.0.0.1 {primary.port}")
    with redis_server(directory, *of, *options) as replica:
        primary.wait_until("slave0", "state=online")
        primary.wait_for_confirmation()
        yield replica


def age_marker(server: RedisServer) -> None:
    """Make the anti-replay cache's marker old, as if the server had run for long."""
    server.command("HSET", MARKER, "since", "0")


@asynccontextmanager
async def connected(server: RedisServer) -> AsyncGenerator[RedisConnections, None]:
    """Connections to a server for as long as the block lasts."""
    redis = RedisConnections(partial(TCPConnection, TCPLocation("127.0.0.1", server.port)))
    redis.timeout = 20  # the machine may be busy
    async with trio.open_nursery() as nursery:
        await nursery.start(redis.run)
        yield redis
        nursery.cancel_scope.cancel()
