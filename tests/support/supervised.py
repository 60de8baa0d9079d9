"""Servers in several processes, and clients of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

from trio_tlsx import (
    ClientConfig,
    Supervisor,
    TLSStream,
    open_tls_over_tcp_stream,
    serve_in_processes,
)

TIMEOUT = 110  # seconds: something hangs

TCPStream = TLSStream[trio.SocketStream]


@asynccontextmanager
async def supervised(
    function: str, *arguments: object, **options: Any
) -> AsyncGenerator[Supervisor, None]:
    """A server with two workers, which stops at the end of the block."""
    options = {"processes": 2, "port": 0, "host": "127.0.0.1", "handle_signals": False, **options}
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            supervisor: Supervisor = await nursery.start(
                partial(serve_in_processes, f"worker_functions:{function}", *arguments, **options)
            )
            yield supervisor
            supervisor.stop(0)


async def connect(port: int, config: ClientConfig, name: str = "127.0.0.1") -> TCPStream:
    return await open_tls_over_tcp_stream("127.0.0.1", port, config=config, server_hostname=name)


async def ask(stream: TCPStream, words: bytes = b"hello") -> int:
    """Return the number of the process that serves this connection."""
    await stream.send_all(words)
    answer = await stream.receive_some()
    pid, echoed = answer.split(b" ", 1)
    assert echoed == words
    return int(pid)


async def ask_once(port: int, config: ClientConfig) -> int:
    """Return the number of the process that serves a new connection."""
    async with await connect(port, config) as stream:
        return await ask(stream)


async def ask_often(port: int, config: ClientConfig, *, connections: int) -> Counter[int]:
    """Return how many of so many connections, four at once, each process served."""
    served: Counter[int] = Counter()

    async def use() -> None:
        for _ in range(connections // 4):
            served[await ask_once(port, config)] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(use)
    return served


class Pipe:
    """A named pipe that workers report to, in lines."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        # Open for both directions, so that it does not end between two reports.
        self._stream = trio.lowlevel.FdStream(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        self._received = b""
        self.lines: list[str] = []

    async def read_until(self, word: str, times: int) -> None:
        """Read until so many of all lines have this word."""
        while sum(word in line for line in self.lines) < times:
            self._received += await self._stream.receive_some()
            *lines, self._received = self._received.split(b"\n")
            self.lines += [line.decode() for line in lines]

    async def aclose(self) -> None:
        await self._stream.aclose()
