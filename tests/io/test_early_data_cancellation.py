"""The methods for early data, cancelled at each of their checkpoints."""

from __future__ import annotations

import datetime
from contextlib import suppress
from dataclasses import replace

import pytest
import trio
import trio.testing
from checkpoints import Cut, cut_everywhere, goes_on
from early_data_streams import (
    EARLY,
    LATER,
    EarlyDataStreams,
    receive_early,
)
from tls_pairs import (
    MEMORY,
    SOCKET,
    Transports,
)

from trio_tlsx.errors import AlertReceived, HandshakeShutdown, Truncated
from trio_tlsx.testing import CA


@pytest.fixture
def scenario(ca: CA) -> EarlyDataStreams:
    return EarlyDataStreams(ca)


@pytest.mark.parametrize("over", [MEMORY, SOCKET], ids=lambda over: over.name)
async def test_cancelled_receive_replayable_early_data_at_each_checkpoint(
    scenario: EarlyDataStreams, over: Transports
) -> None:
    """What has come is not lost; and if the handshake was given up, the client knows."""

    async def attempt(cut: Cut) -> None:
        async with scenario.pair(over) as (client, server):
            errors: list[trio.BrokenResourceError] = []
            received = b""

            async def call() -> None:
                try:
                    await client.send_all(LATER)
                    await client.receive_some()
                except trio.BrokenResourceError as error:
                    errors.append(error)

            async def receive() -> None:
                nonlocal received
                while piece := await server.receive_replayable_early_data(7):
                    received += piece

            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                await cut(receive)
                if await goes_on(receive):
                    assert await server.receive_some() == LATER
                    # If nobody asked in time, it was rejected.
                    accepted = server.negotiated.early_data_accepted
                    assert received == (EARLY if accepted else b"")
                    assert accepted == client.negotiated.early_data_accepted
                else:
                    assert EARLY.startswith(received)
                    await trio.aclose_forcefully(server)
                    while not errors:
                        await trio.testing.wait_all_tasks_blocked()
                    told: tuple[type[Exception], ...] = (HandshakeShutdown, AlertReceived)
                    if over is not SOCKET:
                        told += (Truncated,)
                    assert isinstance(errors[0].__cause__, told)
                nursery.cancel_scope.cancel()

    await cut_everywhere(attempt)


@pytest.mark.parametrize("over", [MEMORY, SOCKET], ids=lambda over: over.name)
async def test_cancelled_receive_some_or_replayable_early_data_at_each_checkpoint(
    scenario: EarlyDataStreams, over: Transports
) -> None:
    """Each chunk is returned once, in order, and no early one as another."""

    async def attempt(cut: Cut) -> None:
        async with scenario.pair(over) as (client, server):
            received = {True: b"", False: b""}

            async def call() -> None:
                with suppress(trio.BrokenResourceError):
                    await client.send_all(LATER)
                    await client.receive_some()

            async def receive() -> None:
                while received[False] != LATER:
                    piece, early = await server.receive_some_or_replayable_early_data(7)
                    received[early] += piece

            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                await cut(receive)
                if await goes_on(receive):
                    accepted = server.negotiated.early_data_accepted
                    assert received == {True: EARLY if accepted else b"", False: LATER}
                else:
                    assert EARLY.startswith(received[True])
                    assert received[False] == b""
                    await trio.aclose_forcefully(server)
                nursery.cancel_scope.cancel()

    await cut_everywhere(attempt)


@pytest.mark.parametrize("over", [MEMORY, SOCKET], ids=lambda over: over.name)
async def test_cancelled_client_with_early_data_at_each_checkpoint(
    scenario: EarlyDataStreams, over: Transports
) -> None:
    """The server is told, and none of it comes to be anything else."""

    async def attempt(cut: Cut) -> None:
        async with scenario.pair(over) as (client, server):
            received = {"early": b"", "later": b""}
            errors: list[trio.BrokenResourceError] = []

            async def answer() -> None:
                try:
                    received["early"] = await receive_early(server)
                    async for piece in server:
                        received["later"] += piece
                except trio.BrokenResourceError as error:
                    errors.append(error)
                    await server.aclose()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer)
                await cut(client.do_handshake)
                usable = await goes_on(client.do_handshake)
                assert usable or cut.caught
                await client.aclose()
            assert received["later"] == b""
            if usable:
                assert received["early"] == EARLY
                assert not errors
            else:
                assert isinstance(errors[0].__cause__, HandshakeShutdown | Truncated)
            await trio.aclose_forcefully(server)

    await cut_everywhere(attempt)


@pytest.mark.parametrize("over", [MEMORY, SOCKET], ids=lambda over: over.name)
async def test_cancelled_anti_replay_cache_at_each_checkpoint(
    scenario: EarlyDataStreams, over: Transports
) -> None:
    """It is cut with the task, and is not asked on behalf of who has gone."""
    checkpoints, cuts, under_way = 3, 0, 0

    class Dawdling:
        async def claim(
            self, identifier: bytes, since: datetime.datetime, until: datetime.datetime
        ) -> bool:
            nonlocal cuts, under_way
            under_way += 1
            try:
                for _ in range(checkpoints):
                    await trio.lowlevel.checkpoint()
            except trio.Cancelled:
                cuts += 1
                raise
            finally:
                under_way -= 1
            return True

    scenario.server = replace(scenario.server, anti_replay_cache=Dawdling())

    async def attempt(cut: Cut) -> None:
        async with scenario.pair(over) as (client, server):
            received: list[bytes] = []

            async def receive() -> None:
                received.append(await server.receive_replayable_early_data())

            async def call() -> None:
                with suppress(trio.BrokenResourceError):
                    await client.do_handshake()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                await cut(receive)
                assert not under_way
                assert received == [] if cut.caught else [EARLY]
                if not cut.caught:
                    assert await receive_early(server) == b""
                await trio.aclose_forcefully(server)

    await cut_everywhere(attempt)
    assert cuts == checkpoints


@pytest.mark.parametrize("over", [MEMORY, SOCKET], ids=lambda over: over.name)
async def test_cancelled_answer_early_data_at_each_checkpoint(
    scenario: EarlyDataStreams, over: Transports
) -> None:
    """The handshake goes on if the transport can; what arrives is a beginning of the answer."""
    answer = b"answer" * 100

    async def attempt(cut: Cut) -> None:
        received = b""

        async def call() -> None:
            nonlocal received
            with suppress(trio.BrokenResourceError):
                async for piece in client:
                    received += piece

        async with scenario.pair(over) as (client, server), trio.open_nursery() as nursery:
            nursery.start_soon(call)
            assert await server.receive_replayable_early_data() == EARLY
            await cut(lambda: server.answer_early_data(answer))
            sealed = server.bytes_sealed
            if await goes_on(server.do_handshake):
                await server.send_all(LATER)
                await server.aclose()
            else:
                await trio.aclose_forcefully(server)
                sealed = None
        assert cut.caught or sealed == len(answer)
        if sealed is None:
            assert answer.startswith(received)
        else:
            assert received == answer[:sealed] + LATER

    await cut_everywhere(attempt)
