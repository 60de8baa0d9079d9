"""Sessions, early data and KeyUpdates of our streams for anyio, on asyncio and on trio."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio_pairs import (
    Connect,
    connected,
    on_each_backend,
    paired,
    receive_end,
    together,
    with_each_transport,
)
from tls_pairs import Engine

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.sessions.anti_replay import MemoryAntiReplayCache
from trio_tlsx.sessions.client import MemorySessionStore, Session, SessionStore
from trio_tlsx.sessions.ticket_keys import TicketKeys


class AsyncStore:
    """A session store whose methods are async."""

    def __init__(self) -> None:
        self._store = MemorySessionStore()

    async def put(self, session: Session) -> None:
        await anyio.lowlevel.checkpoint()
        self._store.put(session)

    async def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        await anyio.lowlevel.checkpoint()
        return self._store.take(server_name, port, context)


def resuming(native: Engine, store: SessionStore, early_data: int = 0) -> Engine:
    assert isinstance(native.client_config, ClientConfig)
    assert isinstance(native.server_config, ServerConfig)
    return replace(
        native,
        client_config=replace(native.client_config, session_store=store, session_context=b"tests"),
        server_config=replace(
            native.server_config,
            ticket_keys=TicketKeys(),
            max_early_data_size=early_data,
            anti_replay_cache=MemoryAntiReplayCache() if early_data else None,
        ),
    )


async def get_session(engine: Engine, connect: Connect) -> None:
    async with connected(engine, connect) as (client, server):
        await server.send_session_tickets()
        assert await client.wait_session_ticket() is client.session


@pytest.mark.parametrize("make_store", [MemorySessionStore, AsyncStore])
@with_each_transport
@on_each_backend
async def test_resumption(native: Engine, connect: Connect, make_store: type[Any]) -> None:
    engine = resuming(native, make_store())
    await get_session(engine, connect)
    async with connected(engine, connect) as (client, server):
        assert client.negotiated.resumed
        assert server.negotiated.resumed


@on_each_backend
async def test_no_ticket_before_the_end(native: Engine) -> None:
    engine = resuming(native, MemorySessionStore())
    assert isinstance(engine.server_config, ServerConfig)
    engine = replace(engine, server_config=replace(engine.server_config, tickets=0))
    async with connected(engine) as (client, server):
        await server.send_eof()
        with pytest.raises(anyio.EndOfStream, match="without a session ticket"):
            await client.wait_session_ticket()


@with_each_transport
@on_each_backend
async def test_early_data(native13: Engine, connect: Connect) -> None:
    engine = resuming(native13, MemorySessionStore(), 1000)
    await get_session(engine, connect)
    async with paired(engine, connect, early_data=b"early") as (client, server):

        async def serve() -> None:
            assert await server.receive_replayable_early_data() == b"early"
            await server.answer_early_data(b"answer")
            assert await server.receive_replayable_early_data() == b""
            assert await server.receive() == b"late"

        async def request() -> None:
            assert await client.receive() == b"answer"
            assert client.negotiated.early_data_accepted
            await client.send(b"late")

        await together(serve, request)


@on_each_backend
async def test_key_updates(native13: Engine) -> None:
    async with connected(native13) as (client, server):
        await client.update_keys(request_peer=True)
        await client.send(b"under new keys")
        assert await server.receive() == b"under new keys"
        await server.send(b"answered")
        assert await client.receive() == b"answered"
        await client.send_eof()
        await receive_end(server)
