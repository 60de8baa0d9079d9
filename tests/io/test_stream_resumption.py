"""Sessions through the stream: OpenSSL, async stores, and peers that do not read."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import TypeAlias, cast

import pytest
import trio
import trio.testing
from tls_pairs import (
    MEMORY,
    SERVER_NAME,
    SOCKET,
    AnyStream,
    Engine,
    Transports,
    handshake,
    lockstep_transports,
)

from trio_tlsx import ClientConfig, MemorySessionStore, ServerConfig, Session, TLSStream
from trio_tlsx.engine.openssl import OpenSSLConnection
from trio_tlsx.testing import CA

LOCKSTEP = Transports("lockstep", lockstep_transports)


Configs: TypeAlias = tuple[ClientConfig, ServerConfig]

#: How many tickets a server sends in a full handshake.
TICKETS = {"TLSv1.3": 2, "TLSv1.2": 1}


@pytest.fixture
def configs(ca: CA, version: str) -> Configs:
    return (
        ClientConfig(trust=ca.trust, versions=[version]),
        ServerConfig(credentials=ca.issue(SERVER_NAME), versions=[version]),
    )


async def pair(
    config: ClientConfig, server_config: ServerConfig, over: Transports = MEMORY
) -> tuple[AnyStream, AnyStream]:
    client, server = await over.connect()
    return (
        TLSStream(client, config, server_hostname=SERVER_NAME),
        TLSStream(server, server_config),
    )


def peer_object(peer: AnyStream) -> ssl.SSLObject:
    engine = cast("OpenSSLConnection", peer._engine)  # pyright: ignore[reportPrivateUsage]
    return engine._ssl  # pyright: ignore[reportPrivateUsage]


async def talk(client: AnyStream, server: AnyStream) -> None:
    """A word each way, so that tickets arrive."""
    await client.send_all(b"ping")
    assert await server.receive_some() == b"ping"
    await server.send_all(b"pong")
    assert await client.receive_some() == b"pong"


@pytest.mark.parametrize("native_side", ["client", "server"])
async def test_stream_resumption_with_openssl(
    openssl: Engine, native_side: str, configs: Configs
) -> None:
    """Both sides say that the second connection resumed the first."""
    config, server_config = configs
    session: ssl.SSLSession | None = None
    resumed: list[tuple[bool, bool | None]] = []
    for _ in range(3):
        ours_transport, peer_transport = await SOCKET.connect()
        if native_side == "client":
            ours = TLSStream(ours_transport, config, server_hostname=SERVER_NAME)
            peer = openssl.server(peer_transport)
        else:
            ours = TLSStream(ours_transport, server_config)
            peer = openssl.client(peer_transport)
        ssl_object = peer_object(peer)
        if session is not None:
            ssl_object.session = session
        async with ours, peer:
            await handshake(ours, peer)
            if native_side == "client":
                await talk(ours, peer)
            else:
                await talk(peer, ours)
                session = ssl_object.session
            resumed.append((ours.negotiated.resumed, ssl_object.session_reused))
    assert resumed == [(False, False), (True, True), (True, True)]


async def test_tickets_wait_for_a_peer_that_does_not_read(
    configs: Configs, version: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Seen with trio.SSLStream, trio issue 819: each side waits for the other to read."""
    config, server_config = configs
    client, server = await pair(config, server_config, LOCKSTEP)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, b"nobody reads at this side")
            assert await server.receive_some() == b"nobody reads at this side"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.send_all, b"now")
            assert await client.receive_some() == b"now"
    assert isinstance(config.parameters.session_store, MemorySessionStore)
    assert len(config.parameters.session_store) == TICKETS[version]


class SlowStore:
    """A store that takes its time."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []

    async def put(self, session: Session) -> None:
        await trio.sleep(1)
        self.sessions.append(session)

    async def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        await trio.sleep(1)
        return self.sessions.pop() if self.sessions else None


def slow_configs(configs: Configs) -> tuple[SlowStore, ClientConfig, ServerConfig]:
    store = SlowStore()
    client, server = configs
    return store, replace(client, session_store=store, session_context=b"test"), server


async def test_async_session_store_of_a_stream(
    configs: Configs, version: str, autojump_clock: trio.testing.MockClock
) -> None:
    store, config, server_config = slow_configs(configs)
    for resumed in (False, True):
        client, server = await pair(config, server_config)
        await handshake(client, server)
        assert client.negotiated.resumed is resumed
        await talk(client, server)
    assert len(store.sessions) == TICKETS[version]


async def test_handshake_cancelled_in_the_store_can_be_repeated(
    configs: Configs, autojump_clock: trio.testing.MockClock
) -> None:
    _, config, server_config = slow_configs(configs)
    client, server = await pair(config, server_config)
    with trio.move_on_after(0.5) as scope:
        await client.do_handshake()
    assert scope.cancelled_caught
    await handshake(client, server)
    await talk(client, server)


@pytest.mark.parametrize("version", ["TLSv1.3"])
async def test_receive_cancelled_in_the_store_loses_nothing(
    configs: Configs, autojump_clock: trio.testing.MockClock
) -> None:
    store, config, server_config = slow_configs(configs)
    client, server = await pair(config, server_config)
    await handshake(client, server)
    await server.send_all(b"behind the tickets")
    for timeout in (0.5, 1.5):  # in the middle of the first ticket, then of the second
        with trio.move_on_after(timeout) as scope:
            await client.receive_some()
        assert scope.cancelled_caught
    assert await client.receive_some() == b"behind the tickets"
    assert len(store.sessions) == 2


async def test_receive_with_a_ready_async_store_is_a_checkpoint(configs: Configs) -> None:
    class ReadyStore(SlowStore):
        async def put(self, session: Session) -> None:
            self.sessions.append(session)

        async def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
            return None

    client_config, server_config = configs
    config = replace(client_config, session_store=ReadyStore(), session_context=b"test")
    client, server = await pair(config, server_config)
    await handshake(client, server)
    await server.send_all(b"ping")
    with trio.testing.assert_checkpoints():
        assert await client.receive_some() == b"ping"


async def test_failing_session_store_breaks_the_stream(configs: Configs) -> None:
    class BrokenStore(MemorySessionStore):
        def put(self, session: Session) -> None:
            raise OSError("disk full")

    client_config, server_config = configs
    config = replace(client_config, session_store=BrokenStore(), session_context=b"test")
    client, server = await pair(config, server_config)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.send_all, b"ping")
        with pytest.raises(trio.BrokenResourceError, match="OSError"):
            await client.receive_some()
    with pytest.raises(trio.BrokenResourceError, match="internal_error"):
        await server.receive_some()
