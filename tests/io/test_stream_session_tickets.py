"""Waiting for a session ticket, alone or beside a task that receives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import cast

import pytest
import trio
import trio.testing
from tls_pairs import MEMORY, SERVER_NAME, SOCKET, AnyStream, Engine, connected, handshake

from trio_tlsx import (
    ClientConfig,
    MemorySessionStore,
    ServerConfig,
    Session,
    TLSStream,
    open_tls_over_tcp_stream,
    serve_tls_over_tcp,
)
from trio_tlsx.engine.connection import Connection
from trio_tlsx.messages.handshake import NewSessionTicket, encode_message
from trio_tlsx.testing import CA

LABEL = "EXPERIMENTAL test"


@pytest.fixture
def client_config(ca: CA, version: str) -> ClientConfig:
    return ClientConfig(trust=ca.trust, versions=[version])


@pytest.fixture
def server_config(ca: CA, version: str) -> ServerConfig:
    return ServerConfig(credentials=ca.issue(SERVER_NAME), versions=[version])


@pytest.fixture
async def pair(
    client_config: ClientConfig, server_config: ServerConfig
) -> tuple[AnyStream, AnyStream]:
    """Connected, with a server that sends no tickets by itself."""
    return await pair_of(client_config, replace(server_config, tickets=0))


async def pair_of(client: ClientConfig, server: ServerConfig) -> tuple[AnyStream, AnyStream]:
    transports = await MEMORY.connect()
    streams = (
        TLSStream(transports[0], client, server_hostname=SERVER_NAME),
        TLSStream(transports[1], server),
    )
    await handshake(*streams)
    return streams


async def send_ticket(server: AnyStream, ticket: bytes = b"the ticket") -> None:
    """Send one at any time."""
    message = NewSessionTicket(3600, 0, b"", ticket, {})
    engine = cast("Connection", server._engine)  # pyright: ignore[reportPrivateUsage]
    engine._outgoing.flight += encode_message(message)  # pyright: ignore[reportPrivateUsage]
    await server.send_all(b"")


async def test_wait_session_ticket_reads_and_keeps_the_data(native: Engine) -> None:
    store = MemorySessionStore()
    storing = native.with_client(session_store=store, session_context=b"test")
    async with connected(storing, SOCKET) as (client, server):
        # In TLS 1.2 the ticket is a part of the handshake.
        assert (client.session is None) == (native.version == "TLSv1.3")
        await server.send_all(b"behind the tickets")
        session = await client.wait_session_ticket()
        assert client.session is session
        assert session.server_name == SERVER_NAME
        with trio.testing.assert_checkpoints():
            assert await client.wait_session_ticket() is session
        assert await client.receive_some() == b"behind the tickets"
        assert client.session is session  # the newest of two
        assert server.session is None
        assert store.take(SERVER_NAME, None, b"test") is session


async def test_wait_session_ticket_does_the_handshake_first(native: Engine) -> None:
    client, server = native.pair(await MEMORY.connect())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.send_all, b"x")
        session = await client.wait_session_ticket()
    assert session is client.session


@pytest.mark.parametrize("version", ["TLSv1.3"])
async def test_wait_session_ticket_beside_a_receiver(pair: tuple[AnyStream, AnyStream]) -> None:
    client, server = pair
    received: list[bytes] = []
    sessions: list[Session] = []

    async def receive() -> None:
        async for data in client:
            received.append(bytes(data))

    async def wait() -> None:
        sessions.append(await client.wait_session_ticket())

    async with trio.open_nursery() as nursery:
        for function in (wait, receive, wait):
            nursery.start_soon(function)
            await trio.testing.wait_all_tasks_blocked()
        for word in (b"one", b"two"):
            await server.send_all(word)
            await trio.testing.wait_all_tasks_blocked()
        assert sessions == []
        await send_ticket(server)
        await server.send_eof()
    assert received == [b"one", b"two"]
    assert [session.ticket for session in sessions] == [b"the ticket"] * 2


@pytest.mark.parametrize("version", ["TLSv1.3"])
async def test_receive_some_during_wait_session_ticket(
    pair: tuple[AnyStream, AnyStream],
) -> None:
    client, server = pair
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.wait_session_ticket)
        await trio.testing.wait_all_tasks_blocked()
        await server.send_all(b"data that is before the ticket")
        await trio.testing.wait_all_tasks_blocked()
        await send_ticket(server)
        await trio.testing.wait_all_tasks_blocked()
        assert client.session is None
        assert await client.receive_some() == b"data that is before the ticket"
    assert client.session is not None


@pytest.mark.parametrize("data", [b"", b"data that nobody takes"])
async def test_wait_session_ticket_ends_when_this_side_closes(
    pair: tuple[AnyStream, AnyStream], data: bytes
) -> None:
    client, server = pair
    await server.send_all(data)
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await client.wait_session_ticket()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await client.aclose()
    await wait()


async def test_wait_session_ticket_ends_when_the_connection_breaks(
    pair: tuple[AnyStream, AnyStream],
) -> None:
    client, server = pair
    await server.send_all(b"data that nobody takes")
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await client.wait_session_ticket()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError):
            await client.unwrap()
    await wait()


async def test_wait_session_ticket_ends_with_the_server(pair: tuple[AnyStream, AnyStream]) -> None:
    client, server = pair
    await server.send_eof()
    for _ in range(2):
        with pytest.raises(trio.EndOfChannel), trio.testing.assert_checkpoints():
            await client.wait_session_ticket()
    assert await client.receive_some() == b""
    await client.send_all(b"the other direction goes on")
    assert await server.receive_some() == b"the other direction goes on"


async def test_wait_session_ticket_reports_a_truncation(pair: tuple[AnyStream, AnyStream]) -> None:
    client, server = pair
    await trio.aclose_forcefully(server)
    with pytest.raises(trio.BrokenResourceError, match="close_notify"):
        await client.wait_session_ticket()


class SlowStore:
    """Takes its time, and counts."""

    def __init__(self) -> None:
        self.puts = 0
        self.sessions = MemorySessionStore()

    def take(self, server_name: str, port: int | None, context: bytes) -> None: ...

    async def put(self, session: Session) -> None:
        self.puts += 1
        await trio.sleep(1)
        self.sessions.put(session)


@pytest.mark.parametrize("first", ["receiver", "waiter"])
async def test_wait_session_ticket_with_a_slow_store(
    native13: Engine,
    autojump_clock: trio.testing.MockClock,
    first: str,
) -> None:
    """Whoever asks it, the other waits; and what has not been kept is not told of."""
    store = SlowStore()
    storing = native13.with_client(session_store=store, session_context=b"test")
    client, server = storing.pair(await MEMORY.connect())
    await handshake(client, server)
    await server.send_all(b"x")

    async def receive() -> None:
        assert await client.receive_some() == b"x"

    async def wait() -> None:
        await client.wait_session_ticket()
        assert len(store.sessions) >= 1

    functions: list[Callable[[], Awaitable[None]]] = [receive, wait]
    if first == "waiter":
        functions.reverse()
    async with trio.open_nursery() as nursery:
        for function in functions:
            nursery.start_soon(function)
            await trio.lowlevel.checkpoint()
    assert store.puts == len(store.sessions) == 2


@pytest.mark.parametrize("kind", ["server", "without resumption", "openssl"])
async def test_wait_session_ticket_without_tickets_raises(
    server_config: ServerConfig, client_config: ClientConfig, openssl: Engine, kind: str
) -> None:
    transport, _ = await MEMORY.connect()
    if kind == "server":
        stream = TLSStream(transport, server_config)
    elif kind == "openssl":
        stream = openssl.client(transport)
    else:
        config = replace(client_config, resumption=False)
        stream = TLSStream(transport, config, server_hostname=SERVER_NAME)
    with pytest.raises(RuntimeError, match="resumption"):
        await stream.wait_session_ticket()


async def test_stream_session_resumes_another_connection(
    client_config: ClientConfig, server_config: ServerConfig
) -> None:
    """Through a store of one's own, by hand."""
    client, server = await pair_of(client_config, server_config)
    await server.send_all(b"x")
    session = await client.wait_session_ticket()
    store = MemorySessionStore()
    other = replace(client_config, session_store=store, session_context=b"test")
    store.put(replace(session, context=b"test"))
    client, _ = await pair_of(other, server_config)
    assert client.negotiated.resumed


async def test_session_of_a_stream_over_tcp_has_the_port(
    ca: CA, client_config: ClientConfig, server_config: ServerConfig
) -> None:
    async def greet(stream: TLSStream[trio.SocketStream]) -> None:
        await stream.send_all(b"x")
        assert await stream.receive_some() == b""

    server_config = replace(server_config, credentials=ca.issue("127.0.0.1"))
    async with trio.open_nursery() as nursery:
        serve = partial(serve_tls_over_tcp, greet, 0, server_config, host="127.0.0.1")
        ports: list[int] = []
        for _ in range(2):
            [listener] = await nursery.start(serve)
            ports.append(listener.port)
        resumed: list[bool] = []
        for port in (ports[0], ports[1], ports[0], ports[1]):
            stream = await open_tls_over_tcp_stream("127.0.0.1", port, config=client_config)
            async with stream:
                session = await stream.wait_session_ticket()
                assert session.port == port
                resumed.append(stream.negotiated.resumed)
        assert resumed == [False, False, True, True]
        nursery.cancel_scope.cancel()


async def test_stream_exported_keying_material(native: Engine) -> None:
    transports = await MEMORY.connect()
    client, server = native.pair(transports)
    with pytest.raises(trio.NeedHandshakeError):
        client.export_keying_material(LABEL, 32)
    await handshake(client, server)
    exported = client.export_keying_material(LABEL, 32)
    assert len(exported) == 32
    assert exported == server.export_keying_material(LABEL, 32)
    assert exported != client.export_keying_material(LABEL, 32, b"context")


async def test_exported_keying_material_over_openssl_raises(openssl: Engine) -> None:
    async with connected(openssl, MEMORY) as (client, _):
        with pytest.raises(NotImplementedError, match="export"):
            client.export_keying_material(LABEL, 32)
