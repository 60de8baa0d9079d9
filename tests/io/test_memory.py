"""The memory of a connection, which is freed without the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable

import pytest
import trio
from tls_pairs import UNIX, AnyStream, Engine, connected, paired, socket_of

#: What ends a connection, for the client.
End = Callable[[AnyStream, AnyStream], Awaitable[None]]


async def closes_without_close_notify(client: AnyStream, server: AnyStream) -> None:
    await trio.aclose_forcefully(server)
    with pytest.raises(trio.BrokenResourceError):
        await client.receive_some()
    await client.aclose()


async def is_gone_when_data_is_sent(client: AnyStream, server: AnyStream) -> None:
    await trio.aclose_forcefully(server)
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"x")
    with pytest.raises(trio.BrokenResourceError):
        await client.receive_some()
    await client.aclose()


async def sends_no_tls(client: AnyStream, server: AnyStream) -> None:
    await socket_of(server).send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(trio.BrokenResourceError):
        await client.receive_some()
    await client.aclose()


async def closes_cleanly(client: AnyStream, server: AnyStream) -> None:
    await server.aclose()
    assert await client.receive_some() == b""
    await client.aclose()


def objects_in_cycles() -> list[str]:
    """The types of this package's objects that only the garbage collector can free."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        types = {f"{type(item).__module__}.{type(item).__qualname__}" for item in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    return sorted(name for name in types if name.startswith("trio_tlsx."))


ENDS = [closes_cleanly, closes_without_close_notify, is_gone_when_data_is_sent, sends_no_tls]


@pytest.mark.parametrize(
    ("end", "is_established"),
    # A clean end needs a handshake.
    [(end, True) for end in ENDS] + [(end, False) for end in ENDS if end is not closes_cleanly],
)
def test_ended_connection_leaves_no_cycle(native: Engine, end: End, is_established: bool) -> None:
    async def main() -> None:
        pair = connected if is_established else paired
        async with pair(native, UNIX) as (client, server):
            await end(client, server)

    gc.collect()
    gc.disable()
    try:
        trio.run(main)
        assert objects_in_cycles() == []
    finally:
        gc.enable()
