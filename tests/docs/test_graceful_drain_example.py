"""docs/examples/graceful_drain.py in a process that gets SIGTERM, and what its clients receive."""

from __future__ import annotations

import signal
import ssl
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
import trio
from processes import EXAMPLES, TIMEOUT, Server, running

from trio_tlsx import ClientConfig, TLSStream, Truncated, open_tls_over_tcp_stream
from trio_tlsx.testing import CA, write_pem_files

TCPStream: TypeAlias = TLSStream[trio.SocketStream]

REPETITIONS = 1000  # of the example
NO_TIME = 0.05  # seconds
LONG = 3600

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")


@dataclass
class Draining:
    """A server, and how to connect to it."""

    server: Server
    config: ClientConfig | ssl.SSLContext

    async def connect(self) -> TCPStream:
        return await open_tls_over_tcp_stream("127.0.0.1", self.server.port, config=self.config)

    async def begin(self) -> None:
        """Send it SIGTERM, and wait until it drains."""
        stdout = self.server.process.stdout
        assert stdout is not None
        self.server.process.send_signal(signal.SIGTERM)
        while b"draining\n" not in self.server.output:
            data = await stdout.receive_some()
            assert data, self.server.output
            self.server.output += data

    async def assert_ends(self) -> None:
        await self.server.read_output()
        assert await self.server.process.wait() == 0, self.server.output
        assert b"Traceback" not in self.server.output


#: Starts a server with a drain timeout and a close timeout.
Start: TypeAlias = Callable[[float, float], AbstractAsyncContextManager[Draining]]


@pytest.fixture(params=["native", "openssl"])
def draining(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    """The example, and clients of each engine."""
    ca = CA()
    config = (
        ClientConfig(trust=ca.trust)
        if request.param == "native"
        else ssl.create_default_context(cadata=ca.pem.decode())
    )
    files = write_pem_files(ca.issue("127.0.0.1"), tmp_path)

    @asynccontextmanager
    async def start(drain_timeout: float, close_timeout: float) -> AsyncGenerator[Draining, None]:
        command = (sys.executable, EXAMPLES / "graceful_drain.py", *files, "0")
        with trio.fail_after(TIMEOUT):
            async with running(*command, str(drain_timeout), str(close_timeout)) as server:
                yield Draining(server, config)

    return start


async def receive_exactly(stream: TCPStream, count: int) -> None:
    while count > 0:
        data = await stream.receive_some(count)
        assert data
        count -= len(data)


async def receive_all(stream: TCPStream, sizes: list[int]) -> None:
    async for data in stream:
        sizes.append(len(data))


async def test_graceful_drain_lets_handlers_finish(draining: Start) -> None:
    async with draining(LONG, LONG) as drained:
        async with await drained.connect() as stream:
            await stream.send_all(b"before")
            await receive_exactly(stream, 6 * REPETITIONS)
            await drained.begin()
            with pytest.raises(OSError, match="connect"):
                await drained.connect()
            await stream.send_all(b"while it drains")
            await receive_exactly(stream, 15 * REPETITIONS)
            await stream.send_eof()
            assert await stream.receive_some() == b""
        await drained.assert_ends()


async def test_graceful_drain_at_its_deadline(draining: Start) -> None:
    """One peer has got everything; one stopped reading, and its answer was cut."""
    async with draining(NO_TIME, LONG) as drained:
        whole, cut = await drained.connect(), await drained.connect()
        await whole.send_all(b"hello")
        await receive_exactly(whole, 5 * REPETITIONS)
        request = bytes(2**14)
        await cut.send_all(request)
        received = [len(await cut.receive_some())]
        await drained.begin()
        await drained.assert_ends()

        assert await whole.receive_some() == b"", "close_notify"
        await whole.aclose()
        with pytest.raises(trio.BrokenResourceError) as caught:
            await receive_all(cut, received)
        assert isinstance(caught.value.__cause__, Truncated | ssl.SSLEOFError)
        assert 0 < sum(received) < len(request) * REPETITIONS
        await cut.aclose()


async def test_graceful_drain_bounds_the_closing(draining: Start) -> None:
    """A peer that says nothing: to close politely would take a handshake first."""
    async with (
        draining(NO_TIME, NO_TIME) as drained,
        await trio.open_tcp_stream("127.0.0.1", drained.server.port) as silent,
        await drained.connect() as witness,  # accepted after the silent one
    ):
        await witness.do_handshake()
        await drained.begin()
        await drained.assert_ends()
        assert await witness.receive_some() == b""
        async for _ in silent:
            pass  # it ends: that is all that it can
