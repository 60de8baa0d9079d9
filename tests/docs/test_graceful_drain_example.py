"""docs/examples/graceful_drain.py in a process that gets SIGTERM, and what its clients receive."""

from __future__ import annotations

import re
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
from processes import EXAMPLES, ROOT, TIMEOUT, Server, running

from trio_tlsx import ClientConfig, TLSStream, Truncated, open_tls_over_tcp_stream
from trio_tlsx.testing import CA, write_pem_files

TCPStream: TypeAlias = TLSStream[trio.SocketStream]

REPETITIONS = 1000  # of the example
NO_TIME = 0.05  # seconds
LONG = 3600

#: The example with another handler, whose source replaces HANDLER.
PROGRAM = f"""
import sys
import trio
sys.path.insert(0, {str(EXAMPLES)!r})
import graceful_drain
HANDLER
graceful_drain.echo_repeatedly = handler
trio.run(graceful_drain.main, *sys.argv[1:3], int(sys.argv[3]), *map(float, sys.argv[4:]))
"""
HANDLER_OF_TUTORIAL = "from echo_server import echo as handler"

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


#: Starts a server with a drain timeout, a close timeout and perhaps the source of a handler.
Start: TypeAlias = Callable[..., AbstractAsyncContextManager[Draining]]


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
    async def start(
        drain_timeout: float, close_timeout: float, handler: str = ""
    ) -> AsyncGenerator[Draining, None]:
        program: tuple[str | Path, ...] = (EXAMPLES / "graceful_drain.py",)
        if handler:
            program = ("-c", PROGRAM.replace("HANDLER", handler))
        command = (sys.executable, *program, *files, "0", str(drain_timeout), str(close_timeout))
        with trio.fail_after(TIMEOUT):
            async with running(*command) as server:
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


def handler_of_the_page() -> str:
    page = (ROOT / "docs" / "deployment.md").read_text()
    [source] = re.findall(r"^```python\n(async def handler.*?)^```$", page, re.M | re.S)
    return source


async def test_handler_that_closes_with_a_shield_ends_cleanly(draining: Start) -> None:
    async with draining(NO_TIME, LONG, handler_of_the_page()) as drained:
        async with await drained.connect() as stream:
            await stream.send_all(b"hello")
            await receive_exactly(stream, 5)
            await drained.begin()
            assert await stream.receive_some() == b""
        await drained.assert_ends()


async def test_cancelled_handler_that_closes_without_a_shield_truncates(draining: Start) -> None:
    """The pages warn of this: such a handler may have more to send."""
    async with draining(NO_TIME, LONG, HANDLER_OF_TUTORIAL) as drained:
        async with await drained.connect() as stream:
            await stream.send_all(b"hello")
            await receive_exactly(stream, 5)
            await drained.begin()
            with pytest.raises(trio.BrokenResourceError) as caught:
                await stream.receive_some()
            assert isinstance(caught.value.__cause__, Truncated | ssl.SSLEOFError)
        await drained.assert_ends()


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
