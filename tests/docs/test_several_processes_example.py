"""docs/examples/several_processes.py: what an operator does to it, and what its clients notice."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
import trio
from processes import EXAMPLES, TIMEOUT, Server, running

from trio_tlsx import ClientConfig, TLSStream
from trio_tlsx.testing import CA, write_pem_files

HOST = "127.0.0.1"
TCPStream: TypeAlias = TLSStream[trio.SocketStream]

LONG = 3600  # seconds
NO_TIME = 0.05

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX system")


@dataclass
class Fleet:
    """A supervisor with two workers, and a client that resumes its sessions."""

    server: Server
    config: ClientConfig

    async def connect(self, early_data: bytes = b"") -> TCPStream:
        return self.over(await trio.open_tcp_stream(HOST, self.server.port), early_data)

    def over(self, transport: trio.SocketStream, early_data: bytes = b"") -> TCPStream:
        # Without a port, so that a session is resumed at any port.
        return TLSStream(transport, self.config, server_hostname=HOST, early_data=early_data)

    async def ask_once(self) -> int:
        async with await self.connect() as stream:
            return await ask(stream)

    async def pids(self) -> set[int]:
        """The workers, once each has answered."""
        found: set[int] = set()
        while len(found) < 2:
            found.add(await self.ask_once())
        return found

    async def read_until(self, words: bytes, times: int) -> None:
        """Read the output until it has these words so often."""
        stdout = self.server.process.stdout
        assert stdout is not None
        while self.server.output.count(words) < times:
            data = await stdout.receive_some()
            assert data, self.server.output
            self.server.output += data

    def signal(self, number: signal.Signals) -> None:
        self.server.process.send_signal(number)

    async def assert_ends(self) -> None:
        await self.server.read_output()
        assert await self.server.process.wait() == 0, self.server.output
        assert b"Traceback" not in self.server.output


#: Starts the example with a drain timeout.
Start: TypeAlias = Callable[[float], AbstractAsyncContextManager[Fleet]]


@pytest.fixture
def start(ca: CA, tmp_path: Path) -> Start:
    files = write_pem_files(ca.issue(HOST), tmp_path)
    config = ClientConfig(trust=ca.trust)

    @asynccontextmanager
    async def start(drain_timeout: float) -> AsyncGenerator[Fleet, None]:
        command = (sys.executable, EXAMPLES / "several_processes.py", *files, "0", "2")
        with trio.fail_after(TIMEOUT):
            async with running(*command, str(drain_timeout), says=b"port") as server:
                yield Fleet(server, config)

    return start


async def ask(stream: TCPStream) -> int:
    """Return the number of the process that serves the connection."""
    await stream.send_all(b"hello")
    return await answer(stream, b"hello")


async def answer(stream: TCPStream, words: bytes) -> int:
    prefix, _, echoed = (await stream.receive_some()).partition(b": ")
    assert echoed == words
    return int(prefix.split()[1])


async def early_data_accepted(stream: TCPStream) -> bool:
    """Complete the handshake, use the connection, and close it."""
    async with stream:
        await stream.do_handshake()
        accepted = stream.negotiated.early_data_accepted
        if accepted:
            await answer(stream, b"early")
        await ask(stream)
        assert stream.negotiated.resumed
    return accepted


async def test_sigterm_lets_connections_finish_and_serves_those_in_the_queue(start: Start) -> None:
    async with start(LONG) as fleet:
        pids = await fleet.pids()
        lasting = await fleet.connect()
        await ask(lasting)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        queued = [await fleet.connect() for _ in range(60)]
        fleet.signal(signal.SIGTERM)
        await fleet.read_until(b"stopping the workers", 1)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        assert {await ask(stream) for stream in queued} <= pids
        assert await ask(lasting) in pids
        for stream in (*queued, lasting):
            await stream.aclose()
        await fleet.assert_ends()
        with pytest.raises(OSError, match="connect"):
            await fleet.connect()


async def test_sigterm_closes_connections_at_the_deadline(start: Start) -> None:
    async with start(NO_TIME) as fleet, await fleet.connect() as stream:
        await ask(stream)
        fleet.signal(signal.SIGTERM)
        assert await stream.receive_some() == b"", "close_notify"
        await fleet.assert_ends()


@pytest.mark.parametrize("signals", [[signal.SIGTERM, signal.SIGTERM], [signal.SIGINT]])
async def test_signals_that_close_connections_at_once(
    start: Start, signals: list[signal.Signals]
) -> None:
    async with start(LONG) as fleet, await fleet.connect() as stream:
        await ask(stream)
        for count, number in enumerate(signals, 1):
            await ask(stream)
            fleet.signal(number)
            await fleet.read_until(b"stopping the workers", count)
        assert await stream.receive_some() == b"", "close_notify"
        await fleet.assert_ends()


async def test_sighup_replaces_the_workers(start: Start) -> None:
    async with start(LONG) as fleet:
        before = await fleet.pids()
        streams = [await fleet.connect() for _ in range(10)]
        owners = [await ask(stream) for stream in streams]
        fleet.signal(signal.SIGHUP)
        after: set[int] = set()
        while len(after - before) < 2:
            after.add(await fleet.ask_once())
        assert [await ask(stream) for stream in streams] == owners
        for stream in streams:
            await stream.aclose()
        fleet.signal(signal.SIGTERM)
        await fleet.assert_ends()


async def test_paused_supervisor_refuses_early_data_and_nothing_else(start: Start) -> None:
    async with start(LONG) as fleet:
        await fleet.ask_once()
        assert await early_data_accepted(await fleet.connect(b"early"))
        fleet.signal(signal.SIGSTOP)
        try:
            for _ in range(4):
                assert not await early_data_accepted(await fleet.connect(b"early"))
        finally:
            fleet.signal(signal.SIGCONT)
        assert await early_data_accepted(await fleet.connect(b"early"))


async def test_workers_of_a_killed_supervisor_drain_and_refuse_early_data(start: Start) -> None:
    async with start(LONG) as fleet:
        await fleet.ask_once()
        lasting = await fleet.connect()
        owner = await ask(lasting)
        transports = [await trio.open_tcp_stream(HOST, fleet.server.port) for _ in range(4)]
        fleet.signal(signal.SIGKILL)
        await fleet.server.process.wait()
        for transport in transports:
            assert not await early_data_accepted(fleet.over(transport, b"early"))
        assert await ask(lasting) == owner
        await lasting.aclose()
        await fleet.server.read_output()  # it ends when the last worker has ended
        assert b"Traceback" not in fleet.server.output
        with pytest.raises(OSError, match="connect"):
            await fleet.connect()
