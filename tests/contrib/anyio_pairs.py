"""Connected pairs of our streams for anyio, on both of its backends."""

from __future__ import annotations

import functools
import inspect
import math
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio
import anyio.abc
import anyio.streams.memory
import pytest
from tls_pairs import SERVER_NAME, Engine

from trio_tlsx.contrib.anyio import TLSStream

AnyStream: TypeAlias = "TLSStream[anyio.abc.ByteStream]"
AsyncFunction: TypeAlias = "Callable[[], Coroutine[Any, Any, object]]"
Pair: TypeAlias = "tuple[anyio.abc.ByteStream, anyio.abc.ByteStream]"

BACKENDS = ["asyncio", "trio"]


def on_each_backend(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make a test of an async function that anyio runs on asyncio and on trio."""

    @functools.wraps(test)
    def run(backend: str, **fixtures: Any) -> None:
        anyio.run(functools.partial(test, **fixtures), backend=backend)

    signature = inspect.signature(test)
    backend = inspect.Parameter("backend", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [backend, *signature.parameters.values()]
    run.__signature__ = signature.replace(parameters=parameters)  # pyright: ignore
    return pytest.mark.parametrize("backend", BACKENDS)(run)


class MemoryStream(anyio.abc.ByteStream):
    """One end of a connection in memory.

    Attributes:
        incoming, outgoing: the two directions; close one to cut the connection.
    """

    def __init__(
        self,
        incoming: anyio.streams.memory.MemoryObjectReceiveStream[bytes],
        outgoing: anyio.streams.memory.MemoryObjectSendStream[bytes],
    ) -> None:
        self.incoming = incoming
        self.outgoing = outgoing
        self._rest = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = self._rest or await self.incoming.receive()
        self._rest = data[max_bytes:]
        return data[:max_bytes]

    async def send(self, item: bytes) -> None:
        await self.outgoing.send(item)

    async def send_eof(self) -> None:
        self.outgoing.close()

    async def aclose(self) -> None:
        self.incoming.close()
        self.outgoing.close()
        await anyio.lowlevel.checkpoint()


def memory_pair(buffered: float = math.inf) -> tuple[MemoryStream, MemoryStream]:
    """Two ends of a connection; each direction holds so many pieces before a sender waits."""
    one = anyio.create_memory_object_stream[bytes](buffered)
    other = anyio.create_memory_object_stream[bytes](buffered)
    return MemoryStream(one[1], other[0]), MemoryStream(other[1], one[0])


async def memory() -> Pair:
    return memory_pair()


async def lockstep() -> Pair:
    """Memory in which a sender waits until the peer has received."""
    return memory_pair(0)


async def sockets() -> Pair:
    client, server = socket.socketpair()
    wrap = anyio.abc.UNIXSocketStream.from_socket
    return await wrap(client), await wrap(server)


Connect: TypeAlias = Callable[[], Awaitable[Pair]]

with_each_transport = pytest.mark.parametrize("connect", [memory, sockets])


def client_over(transport: anyio.abc.ByteStream, engine: Engine, **options: Any) -> AnyStream:
    options.setdefault("server_hostname", SERVER_NAME)
    return TLSStream(transport, engine.client_config, **options)


def server_over(transport: anyio.abc.ByteStream, engine: Engine, **options: Any) -> AnyStream:
    return TLSStream(transport, engine.server_config, server_side=True, **options)


@asynccontextmanager
async def paired(
    engine: Engine, connect: Connect = memory, *, early_data: bytes = b"", **options: Any
) -> AsyncGenerator[tuple[AnyStream, AnyStream]]:
    """A client and a server whose handshake is to be done; closed by force at the end."""
    transports = await connect()
    try:
        yield (
            client_over(transports[0], engine, early_data=early_data, **options),
            server_over(transports[1], engine, **options),
        )
    finally:
        for transport in transports:
            await anyio.aclose_forcefully(transport)


@asynccontextmanager
async def connected(
    engine: Engine, connect: Connect = memory, **options: Any
) -> AsyncGenerator[tuple[AnyStream, AnyStream]]:
    """The same after their handshake."""
    async with paired(engine, connect, **options) as (client, server):
        await handshake(client, server)
        yield client, server


async def handshake(client: AnyStream, server: AnyStream) -> None:
    await together(client.do_handshake, server.do_handshake)


async def together(*functions: AsyncFunction) -> None:
    """Call the functions concurrently. The first error cancels the others."""
    async with anyio.create_task_group() as tasks:
        for function in functions:
            tasks.start_soon(function)


async def errors_of(*functions: AsyncFunction) -> list[Exception | None]:
    """Call the functions concurrently, and return what each of them has raised."""
    raised: list[Exception | None] = [None] * len(functions)

    async def call(index: int, function: AsyncFunction) -> None:
        try:
            await function()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            raised[index] = error

    async with anyio.create_task_group() as tasks:
        for index, function in enumerate(functions):
            tasks.start_soon(call, index, function)
    return raised


async def cancel_when_blocked(function: AsyncFunction) -> None:
    """Call the function, and cancel it once every task waits."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(function)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()


async def receive_exactly(stream: anyio.abc.ByteReceiveStream, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += await stream.receive()
    assert len(data) == length
    return data


async def receive_all(stream: anyio.abc.ByteReceiveStream) -> bytes:
    return b"".join([data async for data in stream])


async def receive_end(stream: anyio.abc.ByteReceiveStream) -> None:
    with pytest.raises(anyio.EndOfStream):
        await stream.receive()


def memory_of(stream: AnyStream) -> MemoryStream:
    assert isinstance(stream.transport_stream, MemoryStream)
    return stream.transport_stream
