"""``handshake_timeout``: it counts the waits of all methods together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from early_data_streams import EARLY, EarlyDataStreams
from tls_pairs import MEMORY, SERVER_NAME, UNIX, Engine

from trio_tlsx import TLSStream
from trio_tlsx.testing import CA

TIMEOUT = 10  # seconds


@pytest.fixture
def scenario(ca: CA) -> EarlyDataStreams:
    return EarlyDataStreams(ca)


@asynccontextmanager
async def accepted(scenario: EarlyDataStreams) -> AsyncGenerator[TLSStream[Any], None]:
    """A server that has received early data; its client has sent that and nothing else."""
    raw, transport = await UNIX.connect()
    server = TLSStream(transport, scenario.server, handshake_timeout=TIMEOUT)
    await raw.send_all(scenario.recorded())
    async with raw:
        assert await server.receive_replayable_early_data() == EARLY
        yield server
        await server.aclose()


async def times_out(function: Callable[..., Awaitable[object]], *args: Any) -> float:
    """Call it until it fails for want of time; return how long that took, in seconds."""
    began = trio.current_time()
    with (
        pytest.raises(trio.BrokenResourceError, match="within 10 seconds") as caught,
        trio.fail_after(10 * TIMEOUT),
    ):
        await function(*args)
    assert isinstance(caught.value.__cause__, trio.TooSlowError)
    return trio.current_time() - began


async def test_the_time_of_the_handler_does_not_count(
    scenario: EarlyDataStreams, autojump_clock: trio.testing.MockClock
) -> None:
    async with scenario.pair(MEMORY) as (client, unused):
        server = TLSStream(unused.transport_stream, scenario.server, handshake_timeout=TIMEOUT)

        async def serve() -> None:
            received = b""
            for _ in range(3):
                received += await server.receive_replayable_early_data(7)
                await trio.sleep(TIMEOUT)
            assert received == EARLY
            assert await server.receive_replayable_early_data() == b""
            await server.send_all(b"answer")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            assert await client.receive_some() == b"answer"


async def test_the_time_of_all_methods_counts_together(
    scenario: EarlyDataStreams, autojump_clock: trio.testing.MockClock
) -> None:
    async with accepted(scenario) as server:
        for _ in range(2):
            with trio.move_on_after(4):
                await server.wait_send_all_might_not_block()  # that does not wait
                await server.answer_early_data(bytes(10_000_000))
            await trio.sleep(1000)
        assert await times_out(server.answer_early_data, b"x") == pytest.approx(2)
        with pytest.raises(trio.BrokenResourceError, match="within 10 seconds"):
            await server.receive_replayable_early_data()


async def test_answering_is_bounded(
    scenario: EarlyDataStreams, autojump_clock: trio.testing.MockClock
) -> None:
    """The client reads nothing, and its Finished never comes."""
    async with accepted(scenario) as server:
        assert await times_out(server.answer_early_data, bytes(10_000_000)) == TIMEOUT


async def test_waiting_for_room_is_bounded(
    scenario: EarlyDataStreams, autojump_clock: trio.testing.MockClock
) -> None:
    async with accepted(scenario) as server:
        with trio.move_on_after(3):
            await server.answer_early_data(bytes(10_000_000))
        assert await times_out(server.wait_send_all_might_not_block) == pytest.approx(7)


async def test_waiting_for_the_finished_is_bounded(
    scenario: EarlyDataStreams, autojump_clock: trio.testing.MockClock
) -> None:
    async with accepted(scenario) as server:
        await trio.sleep(1000)
        assert await times_out(server.receive_replayable_early_data) == TIMEOUT


async def test_two_methods_at_once_do_not_count_twice(
    scenario: EarlyDataStreams, autojump_clock: trio.testing.MockClock
) -> None:
    took: dict[str, float] = {}
    async with accepted(scenario) as server:

        async def receive() -> None:
            took["receive"] = await times_out(server.receive_replayable_early_data)

        async def answer() -> None:
            took["answer"] = await times_out(server.answer_early_data, bytes(10_000_000))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.sleep(4)
            nursery.start_soon(answer)
        assert took["answer"] == pytest.approx(TIMEOUT - 4)
        assert TIMEOUT <= took["receive"] <= TIMEOUT + 1, "a second more for the alert"


async def test_handshake_timeout_ends_with_the_handshake(
    scenario: EarlyDataStreams, autojump_clock: trio.testing.MockClock
) -> None:
    """The Finished has come: the client may read the answer as slowly as it likes."""
    client_transport, transport = await UNIX.connect()
    server = TLSStream(transport, scenario.server, handshake_timeout=TIMEOUT)
    client = TLSStream(
        client_transport, scenario.client, server_hostname=SERVER_NAME, early_data=EARLY
    )
    answer = bytes(10_000_000)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            await client.do_handshake()
            await trio.sleep(5 * TIMEOUT)
            left = len(answer)
            while left:
                left -= len(await client.receive_some())
            await trio.aclose_forcefully(client)

        assert await server.receive_replayable_early_data() == EARLY
        nursery.start_soon(server.answer_early_data, answer)
        while await server.receive_replayable_early_data():
            pass
    await trio.aclose_forcefully(server)


async def test_handshake_timeout_includes_hooks(
    native: Engine, autojump_clock: trio.testing.MockClock
) -> None:
    async def select(hello: object) -> None:
        await trio.sleep_forever()

    raw, transport = await UNIX.connect()
    selecting = native.with_server(credentials=None, select_credentials=select)
    server = selecting.server(transport, handshake_timeout=TIMEOUT)
    client = selecting.client(raw)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect_failure, client.do_handshake)
        assert await times_out(server.do_handshake) == TIMEOUT
    await server.aclose()
    await client.aclose()


async def expect_failure(function: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(trio.BrokenResourceError):
        await function()
