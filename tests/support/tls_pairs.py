"""Connected pairs for the tests of the stream: over each engine, over each transport."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import trio
import trio.testing

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.io.stream import TLSStream

SERVER_NAME = "test.example"

AnyStream: TypeAlias = "TLSStream[trio.abc.Stream]"
TransportPair: TypeAlias = tuple[trio.abc.Stream, trio.abc.Stream]


@dataclass(frozen=True)
class Engine:
    """One engine, with configurations for both sides that trust each other."""

    name: str
    client_config: ClientConfig | ssl.SSLContext
    server_config: ServerConfig | ssl.SSLContext

    def client(self, transport: trio.abc.Stream, **options: Any) -> AnyStream:
        options.setdefault("server_hostname", SERVER_NAME)
        return TLSStream(transport, self.client_config, **options)

    def server(self, transport: trio.abc.Stream, **options: Any) -> AnyStream:
        return TLSStream(transport, self.server_config, server_side=True, **options)

    def pair(self, transports: TransportPair, **options: Any) -> tuple[AnyStream, AnyStream]:
        return self.client(transports[0], **options), self.server(transports[1], **options)

    def with_client(self, **options: Any) -> Engine:
        """Return the same engine, whose client's configuration has these options."""
        assert isinstance(self.client_config, ClientConfig)
        return replace(self, client_config=replace(self.client_config, **options))

    def with_server(self, **options: Any) -> Engine:
        """Return the same engine, whose server's configuration has these options."""
        assert isinstance(self.server_config, ServerConfig)
        return replace(self, server_config=replace(self.server_config, **options))

    @property
    def is_openssl(self) -> bool:
        return self.name.startswith("openssl")

    @property
    def version(self) -> str:
        """The version of TLS that it negotiates."""
        return "TLSv1.2" if self.name.endswith("tls12") else "TLSv1.3"


@dataclass(frozen=True)
class Transports:
    """One kind of transport, and how to get a connected pair of it."""

    name: str
    connect: Callable[[], Awaitable[TransportPair]]

    @property
    def is_socket(self) -> bool:
        return self.name == "socket"


async def memory_transports() -> TransportPair:
    return trio.testing.memory_stream_pair()


async def lockstep_transports() -> TransportPair:
    return trio.testing.lockstep_stream_pair()


async def socket_transports() -> tuple[trio.SocketStream, trio.SocketStream]:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        client = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        return client, await listener.accept()


async def unix_transports() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Sockets whose buffers never change by themselves."""
    client, server = trio.socket.socketpair()
    return trio.SocketStream(client), trio.SocketStream(server)


MEMORY = Transports("memory", memory_transports)
LOCKSTEP = Transports("lockstep", lockstep_transports)
SOCKET = Transports("socket", socket_transports)
UNIX = Transports("unix", unix_transports)


async def handshake(client: AnyStream, server: AnyStream) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)


@asynccontextmanager
async def paired(
    engine: Engine, transports: Transports, **options: Any
) -> AsyncGenerator[tuple[AnyStream, AnyStream], None]:
    """A client and a server whose handshake is to be done; closed by force at the end."""
    pair = await transports.connect()
    try:
        yield engine.pair(pair, **options)
    finally:
        for transport in pair:
            await trio.aclose_forcefully(transport)


@asynccontextmanager
async def connected(
    engine: Engine, transports: Transports, **options: Any
) -> AsyncGenerator[tuple[AnyStream, AnyStream], None]:
    """The same after their handshake."""
    async with paired(engine, transports, **options) as (client, server):
        await handshake(client, server)
        yield client, server


def socket_of(stream: AnyStream) -> trio.socket.SocketType:
    """The socket below a stream."""
    assert isinstance(stream.transport_stream, trio.SocketStream)
    return stream.transport_stream.socket


def memory_of(
    stream: AnyStream,
) -> tuple[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]:
    """The ends of memory below a stream."""
    stapled: Any = stream.transport_stream
    return stapled.send_stream, stapled.receive_stream


async def close_both(client: AnyStream, server: AnyStream) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.aclose)
        nursery.start_soon(server.aclose)


async def clog(stream: AnyStream) -> None:
    """Send until nothing more goes. Over TCP the kernel may find room later nevertheless."""
    await stays_blocked(send_forever, stream)


async def send_forever(stream: AnyStream) -> None:
    while True:
        await stream.send_all(bytes(2**16))


async def cancel_when_blocked(function: Callable[[], Awaitable[object]]) -> None:
    """Call the function, and cancel it once every task waits."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(function)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def stays_blocked(function: Callable[..., Awaitable[object]], *args: Any) -> bool:
    """Whether it waits for something that nobody else does; it is cancelled then."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()

            nursery.start_soon(watch)
            await function(*args)
            nursery.cancel_scope.cancel()
    return scope.cancelled_caught


class Cutter(trio.abc.Instrument):
    """Cancels a scope when the task that made it has yielded so many times."""

    def __init__(self, scope: trio.CancelScope, yields: int) -> None:
        self._scope = scope
        self._task = trio.lowlevel.current_task()
        self._left = yields
        if not yields:
            scope.cancel()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._left -= 1
            if not self._left:
                self._scope.cancel()
