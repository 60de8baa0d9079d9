"""Cancellation, timeouts and hooks of our streams for anyio, on asyncio and on trio."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest
from anyio_pairs import (
    Connect,
    cancel_when_blocked,
    client_over,
    connected,
    errors_of,
    handshake,
    lockstep,
    memory,
    on_each_backend,
    paired,
    receive_all,
    receive_end,
    server_over,
    sockets,
    together,
    with_each_transport,
)
from tls_pairs import Engine

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.errors import CertificateError, HandshakeShutdown, InternalError
from trio_tlsx.pki.peer import Peer

#: The alerts user_canceled and close_notify, before there are keys.
CANCELLED = bytes.fromhex("15 0303 0002 01 5a  15 0303 0002 01 00")


plain_and_async = pytest.mark.parametrize("asynchronous", [False, True], ids=["plain", "async"])


class Hook:
    """A ``verify`` hook that accepts, or raises an error, plainly or from a coroutine."""

    def __init__(self, asynchronous: bool, error: Exception | None = None) -> None:
        self._asynchronous = asynchronous
        self._error = error
        self.calls = 0

    def __call__(self, peer: Peer) -> Awaitable[None] | None:
        self.calls += 1
        return self._later() if self._asynchronous else self._now()

    def _now(self) -> None:
        if self._error is not None:
            raise self._error

    async def _later(self) -> None:
        await anyio.lowlevel.checkpoint()
        self._now()


def with_client_hook(native: Engine, verify: Any) -> Engine:
    assert isinstance(native.client_config, ClientConfig)
    return replace(native, client_config=replace(native.client_config, verify=verify))


@with_each_transport
@on_each_backend
async def test_cancelled_receive_loses_nothing(engine: Engine, connect: Connect) -> None:
    async with connected(engine, connect) as (client, server):
        for _ in range(3):
            await cancel_when_blocked(server.receive)
        await client.send(b"kept")
        assert await server.receive() == b"kept"
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client.receive()
        assert scope.cancelled_caught
        await server.send(b"still here")
        assert await client.receive() == b"still here"


@on_each_backend
async def test_cancelled_send_ends_sending_only(engine: Engine) -> None:
    async with connected(engine, lockstep) as (client, server):
        await cancel_when_blocked(partial(client.send, b"never received"))
        with pytest.raises(anyio.BrokenResourceError, match="cancelled half way"):
            await client.send(b"late")
        received: list[bytes] = []

        async def receive() -> None:
            received.append(await client.receive())

        await together(receive, partial(server.send, b"receiving goes on"))
        assert received == [b"receiving goes on"]


@on_each_backend
async def test_cancelled_before_anything_was_done(engine: Engine) -> None:
    async with paired(engine) as (client, server):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client.do_handshake()
        assert scope.cancelled_caught
        await handshake(client, server)  # nothing had left


@with_each_transport
@on_each_backend
async def test_cancelled_handshake_ends_with_alerts(native: Engine, connect: Connect) -> None:
    async with paired(native, connect) as (client, server):
        await cancel_when_blocked(client.do_handshake)
        with pytest.raises(anyio.BrokenResourceError, match="handshake was cancelled"):
            await client.do_handshake()
        await client.aclose()
        assert (await receive_all(server.transport_stream)).endswith(CANCELLED)


@on_each_backend
async def test_waiting_task_continues_a_cancelled_handshake(native: Engine) -> None:
    async with paired(native) as (client, server), anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()

        async def start() -> None:
            with scope:
                await client.do_handshake()

        tasks.start_soon(start)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(client.send, b"by the other task")
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        assert await server.receive() == b"by the other task"


@with_each_transport
@on_each_backend
async def test_handshake_timeout(native: Engine, connect: Connect) -> None:
    async with paired(native, connect, handshake_timeout=1e-9) as (client, server):
        with pytest.raises(anyio.BrokenResourceError, match="not complete within") as caught:
            await client.do_handshake()
        assert isinstance(caught.value.__cause__, TimeoutError)
        await client.aclose()
        assert (await receive_all(server.transport_stream)).endswith(CANCELLED)


@on_each_backend
async def test_handshake_timeout_ends_with_the_handshake(native: Engine) -> None:
    async with connected(native, memory, handshake_timeout=10_000) as (client, server):
        await client.send(b"data")
        assert await server.receive() == b"data"


@plain_and_async
@on_each_backend
async def test_hooks_plain_and_async(native: Engine, asynchronous: bool) -> None:
    hook = Hook(asynchronous)
    async with connected(with_client_hook(native, hook)) as (client, server):
        assert hook.calls == 1
        await client.send(b"data")
        assert await server.receive() == b"data"


@plain_and_async
@on_each_backend
async def test_hook_that_rejects(native: Engine, asynchronous: bool) -> None:
    hook = Hook(asynchronous, CertificateError("not this one"))
    async with paired(with_client_hook(native, hook)) as (client, server):
        errors = await errors_of(client.do_handshake, server.receive)
        assert isinstance(errors[0], anyio.BrokenResourceError)
        assert isinstance(errors[0].__cause__, CertificateError)
        assert isinstance(errors[1], anyio.BrokenResourceError)


@plain_and_async
@on_each_backend
async def test_hook_that_fails(native: Engine, asynchronous: bool) -> None:
    hook = Hook(asynchronous, KeyError("a fault of the program"))
    async with paired(with_client_hook(native, hook)) as (client, server):
        errors = await errors_of(client.do_handshake, server.receive)
        assert isinstance(errors[0], anyio.BrokenResourceError)
        assert isinstance(errors[0].__cause__, InternalError)


@on_each_backend
async def test_cancelled_hook_is_asked_again(native: Engine) -> None:
    """Another task waits for the handshake, and continues it."""
    asked: list[Peer] = []
    first = anyio.CancelScope()

    async def verify(peer: Peer) -> None:
        asked.append(peer)
        if len(asked) == 1:
            await anyio.sleep(math.inf)

    async with (
        paired(with_client_hook(native, verify)) as (client, server),
        anyio.create_task_group() as tasks,
    ):

        async def start() -> None:
            with first:
                await client.do_handshake()

        tasks.start_soon(start)
        tasks.start_soon(server.do_handshake)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(client.do_handshake)
        await anyio.wait_all_tasks_blocked()
        first.cancel()
    assert len(asked) == 2
    assert client.negotiated


@on_each_backend
async def test_cut_hook_ends_the_handshake_with_an_alert(native: Engine) -> None:
    async def verify(peer: Peer) -> None:
        await anyio.sleep(math.inf)

    async with (
        paired(with_client_hook(native, verify)) as (client, server),
        anyio.create_task_group() as tasks,
    ):

        async def fail() -> None:
            with pytest.raises(anyio.BrokenResourceError) as caught:
                await server.receive()
            assert isinstance(caught.value.__cause__, HandshakeShutdown)

        tasks.start_soon(fail)
        await cancel_when_blocked(client.do_handshake)
        with pytest.raises(anyio.BrokenResourceError, match="handshake was cancelled"):
            await client.send(b"data")
        await client.aclose()


@with_each_transport
@on_each_backend
async def test_aclose_that_is_cancelled_closes_all_the_same(
    engine: Engine, connect: Connect
) -> None:
    async with connected(engine, connect) as (client, server):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client.aclose()
        assert scope.cancelled_caught
        with pytest.raises(anyio.ClosedResourceError):
            await client.receive()
        with pytest.raises(anyio.BrokenResourceError):  # without close_notify
            await server.receive()


@on_each_backend
async def test_second_aclose_waits_for_the_first(native: Engine) -> None:
    async with connected(native, lockstep) as (client, server):
        closed: list[bool] = []

        async def close() -> None:
            await client.aclose()
            closed.append(True)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(close)
            tasks.start_soon(close)
            await anyio.wait_all_tasks_blocked()
            assert not closed
            await receive_end(server)
        assert closed == [True, True]


@on_each_backend
async def test_receive_ends_when_another_task_closes(engine: Engine) -> None:
    async with connected(engine, sockets) as (client, _):

        async def receive() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await client.receive()

        async def close() -> None:
            await anyio.wait_all_tasks_blocked()
            await client.aclose()

        await together(receive, close)


@on_each_backend
async def test_closing_answers_unread_input_without_a_reset(native: Engine) -> None:
    """Unread tickets of the server are in the client's socket when it closes."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    received: list[bytes] = []

    async def serve(transport: anyio.abc.SocketStream) -> None:
        async with server_over(transport, native) as stream:
            await stream.send(b"unread" * 1000)
            received.extend([data async for data in stream])
        tasks.cancel_scope.cancel()

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        client = client_over(await anyio.connect_tcp("127.0.0.1", port), native)
        await client.send(b"last words")
        await anyio.wait_all_tasks_blocked()
        await client.aclose()
    assert b"".join(received) == b"last words"


def test_native_cancellation_of_asyncio(native: Engine) -> None:
    """A task of asyncio that is cancelled by ``task.cancel()``, outside of anyio's scopes."""

    async def main() -> None:
        async with connected(native) as (client, server):
            task = asyncio.create_task(client.receive())
            await anyio.wait_all_tasks_blocked()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.send(b"kept")
            assert await asyncio.wait_for(client.receive(), 60) == b"kept"

    asyncio.run(main())


def test_native_timeout_of_asyncio_in_the_handshake(native: Engine) -> None:
    async def main() -> None:
        async with paired(native) as (client, server):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await client.do_handshake()
            await client.aclose()
            errors = await errors_of(server.do_handshake)
            assert isinstance(errors[0], anyio.BrokenResourceError)

    asyncio.run(main())
