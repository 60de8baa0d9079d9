"""Interrupted streams: cancelled groups, floods, broken transports, two tasks that close."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import pytest
import trio
import trio.testing
from tls_pairs import (
    LOCKSTEP,
    MEMORY,
    SOCKET,
    UNIX,
    AnyStream,
    Engine,
    Transports,
    connected,
    handshake,
    lockstep_transports,
    paired,
    socket_of,
    stays_blocked,
)

from trio_tlsx.config.server import ServerConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, AlertReceived, ProtocolError
from trio_tlsx.handshake.wants import Want
from trio_tlsx.record import buffers

#: A record that no peer has sealed.
GARBAGE = b"\x17\x03\x03\x00\x20" + bytes(32)


@pytest.mark.parametrize("again", ["send_eof", "unwrap"])
async def test_close_notify_that_is_cut_does_not_count(engine: Engine, again: str) -> None:
    async with connected(engine, LOCKSTEP) as (client, server):
        assert await stays_blocked(client.send_eof)
        with pytest.raises(trio.BrokenResourceError, match="cancelled half way"):
            await getattr(client, again)()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.send_all, b"hello")
            assert await client.receive_some() == b"hello"


async def test_cancelled_close_notify_over_a_socket_can_be_finished(engine: Engine) -> None:
    async with connected(engine, UNIX) as (client, server):
        filled = 0
        while not await stays_blocked(socket_of(client).send, bytes(2**10)):
            filled += 2**10
        assert await stays_blocked(client.send_eof)
        while filled:
            filled -= len(await server.transport_stream.receive_some(filled))
        await client.send_eof()
        assert await server.receive_some() == b""


class Grouping(trio.abc.Stream):
    """A transport that uses a nursery: what cancels it comes out in a group."""

    def __init__(self, below: trio.abc.Stream) -> None:
        self._below = below

    async def _grouped(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        try:
            return await function(*args)
        except trio.Cancelled as cancelled:
            raise BaseExceptionGroup("from a nursery", [cancelled]) from None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._grouped(self._below.send_all, data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self._grouped(self._below.receive_some, max_bytes)

    async def wait_send_all_might_not_block(self) -> None:
        await self._grouped(self._below.wait_send_all_might_not_block)

    async def aclose(self) -> None:
        await self._below.aclose()


async def grouping_transports() -> tuple[trio.abc.Stream, trio.abc.Stream]:
    client, server = await lockstep_transports()
    return Grouping(client), Grouping(server)


GROUPING = Transports("grouping", grouping_transports)


async def test_send_cancelled_in_an_exception_group(engine: Engine) -> None:
    async with connected(engine, GROUPING) as (client, server):
        assert await stays_blocked(client.send_all, b"cut")
        with pytest.raises(trio.BrokenResourceError, match="cancelled half way"):
            await client.send_all(b"more")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.send_all, b"hello")
            assert await client.receive_some() == b"hello"


async def test_handshake_cancelled_in_an_exception_group(engine: Engine) -> None:
    async with paired(engine, GROUPING) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            # It has sent its ClientHello and waits for the answer.
            await server.transport_stream.receive_some()
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        with pytest.raises(trio.BrokenResourceError, match="handshake was cancelled half way"):
            await client.do_handshake()


class FloodedEngine:
    """An engine for which no input is ever enough."""

    server_side = False
    bytes_sealed = 0
    record_layer = None
    session = None
    error_types = ()

    def __init__(self, handshake_complete: bool) -> None:
        self.handshake_complete = handshake_complete

    def do_handshake(self) -> Want:
        return Want.NOTHING if self.handshake_complete else Want.READ

    def read(self, max_bytes: int | None = None) -> Want:
        return Want.READ

    def receive_data(self, data: bytes) -> None:
        pass

    def pending_output(self) -> bytes:
        return b""

    def release_buffers(self) -> None:
        pass

    cancel_handshake = release_buffers


class Flood(Grouping):
    """A transport whose peer never pauses, so that nobody ever waits for it."""

    def __init__(self, scope: trio.CancelScope) -> None:
        super().__init__(trio.testing.memory_stream_pair()[0])
        self._scope = scope
        self._received = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self._received += 1
        assert self._received < 10, "it could not be cancelled"
        if self._received == 3:
            self._scope.cancel()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return b"x"


@pytest.mark.parametrize("method", ["do_handshake", "receive_some"])
async def test_flood_of_input_does_not_delay_cancellation(
    native: Engine, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flooded = FloodedEngine(handshake_complete=method == "receive_some")
    monkeypatch.setattr("trio_tlsx.io.stream.engine_for", lambda *_: flooded)  # pyright: ignore
    with trio.CancelScope() as scope:
        await getattr(native.client(Flood(scope)), method)()
    assert scope.cancelled_caught


async def refuse_garbage(client: AnyStream, server: AnyStream) -> None:
    await client.transport_stream.send_all(GARBAGE)
    with pytest.raises(trio.BrokenResourceError):
        await server.receive_some()


async def test_two_tasks_that_close_after_a_rejection(native: Engine) -> None:
    async with connected(native, SOCKET) as (client, server):
        await refuse_garbage(client, server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.aclose)
            nursery.start_soon(server.aclose)
            await trio.testing.wait_all_tasks_blocked()
            assert socket_of(server).fileno() != -1, "it lingers: the alert may be under way"
            with pytest.raises(trio.BrokenResourceError) as told:
                await client.receive_some()
            assert isinstance(told.value.__cause__, AlertReceived)
            await client.aclose()
        assert socket_of(server).fileno() == -1


async def test_aclose_forcefully_does_not_wait_for_a_lingering_aclose(native: Engine) -> None:
    async with connected(native, SOCKET) as (client, server):
        await refuse_garbage(client, server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.aclose)
            await trio.testing.wait_all_tasks_blocked()
            await trio.aclose_forcefully(server)
            assert socket_of(server).fileno() == -1


async def test_nothing_is_sent_to_a_peer_that_sent_an_alert(engine: Engine) -> None:
    """What a cancelled send has left behind is no alert, and nobody waits for it to leave."""
    async with connected(engine, UNIX) as (client, server):
        await refuse_garbage(server, client)
        assert await stays_blocked(server.send_all, bytes(3_000_000))
        with pytest.raises(trio.BrokenResourceError), trio.testing.assert_checkpoints():
            await server.receive_some()
        began = trio.current_time()
        await server.aclose()
        assert trio.current_time() - began < 0.5, "it waited for an alert to leave"


async def test_send_after_a_truncation_raises(engine: Engine, transports: Transports) -> None:
    async with connected(engine, transports) as (client, server):
        await trio.aclose_forcefully(client)
        with pytest.raises(trio.BrokenResourceError, match="close_notify"):
            await server.receive_some()
        with pytest.raises(trio.BrokenResourceError, match="close_notify"):
            await server.send_all(b"x")


T = TypeVar("T")


class CountingPool(buffers.Pool[T]):
    """Knows how many of its buffers are lent."""

    lent = 0

    def borrow(self) -> T:
        self.lent += 1
        return super().borrow()

    def give_back(self, buffer: T) -> None:
        self.lent -= 1
        super().give_back(buffer)


async def test_idle_stream_holds_no_large_buffer(
    native: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even before anybody waits on it."""
    incoming, outgoing = CountingPool(buffers.new_buffer), CountingPool(buffers.Batch)
    async with connected(native, SOCKET) as (client, server):
        for stream in (client, server):
            assert await stays_blocked(stream.receive_some)
        monkeypatch.setattr(buffers, "incoming", incoming)
        monkeypatch.setattr(buffers, "outgoing", outgoing)
        await client.send_all(b"x")
        await server.receive_some()
        await server.send_all(bytes(50_000))
        await client.receive_some(10)
        assert incoming.lent == outgoing.lent == 0


async def test_broken_send_raises_the_peers_alert(native: Engine) -> None:
    """What the kernel says is that the pipe is broken; the peer had said more."""
    async with connected(native, UNIX) as (client, server):
        await server.send_all(b"data before the alert")
        await refuse_garbage(client, server)
        await trio.aclose_forcefully(server.transport_stream)
        with pytest.raises(trio.BrokenResourceError, match="Broken pipe"):
            await client.send_all(b"x")
        assert await client.receive_some() == b"data before the alert"
        with pytest.raises(trio.BrokenResourceError, match="bad_record_mac"):
            await client.receive_some()
    async with connected(native, UNIX) as (client, server):
        await refuse_garbage(client, server)
        await trio.aclose_forcefully(server.transport_stream)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await client.send_all(b"x")
        assert isinstance(caught.value.__cause__, AlertReceived)
        assert caught.value.__cause__.alert is AlertDescription.bad_record_mac


async def test_broken_handshake_raises_the_peers_alert(native: Engine) -> None:
    """The server refuses and closes before the client's Finished is out."""
    ours, plain = socket.socketpair()
    client_transport = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    client = native.client(client_transport)
    assert isinstance(native.server_config, ServerConfig)
    # In TLS 1.2 the server has no keys yet.
    alert = AlertDescription.bad_record_mac
    if native.version == "TLSv1.2":
        alert = AlertDescription.unexpected_message
    refusing = Connection.server(native.server_config)
    async with client_transport, trio.open_nursery() as nursery:

        async def expect_alert() -> None:
            with pytest.raises(trio.BrokenResourceError) as caught:
                await client.do_handshake()
            assert isinstance(caught.value.__cause__, AlertReceived)
            assert caught.value.__cause__.alert is alert

        nursery.start_soon(expect_alert)
        await trio.testing.wait_all_tasks_blocked()
        with plain:  # no task runs from here to its end
            refusing.receive_data(plain.recv(2**16))
            refusing.do_handshake()
            flight = refusing.data_to_send()
            refusing.receive_data(GARBAGE)
            with pytest.raises(ProtocolError):
                refusing.do_handshake()
            plain.sendall(flight + refusing.data_to_send())


async def test_send_all_checks_its_argument_before_the_handshake(engine: Engine) -> None:
    async with paired(engine, MEMORY) as (client, server):
        with trio.fail_after(5), pytest.raises(TypeError, match="bytes-like"):
            await client.send_all(cast(Any, "text"))
        await handshake(client, server)


async def assert_closed(stream: AnyStream) -> None:
    with pytest.raises(trio.ClosedResourceError):
        await stream.transport_stream.send_all(b"x")


async def test_aclose_over_a_stalled_transport_can_be_cancelled(engine: Engine) -> None:
    async with connected(engine, LOCKSTEP) as (client, _server):
        assert await stays_blocked(client.aclose)
        await assert_closed(client)


async def test_aclose_of_a_second_task_can_be_forced(engine: Engine) -> None:
    async with connected(engine, LOCKSTEP) as (client, _server), trio.open_nursery() as nursery:
        nursery.start_soon(client.aclose)
        await trio.testing.wait_all_tasks_blocked()
        assert await stays_blocked(client.aclose)
        await assert_closed(client)


@pytest.mark.parametrize("second", ["receive_some", "unwrap"])
async def test_second_receiver_does_not_disturb_the_first(
    engine: Engine, transports: Transports, second: str
) -> None:
    async with connected(engine, transports) as (client, server), trio.open_nursery() as nursery:

        async def receive() -> None:
            assert await client.receive_some() == b"for the first"

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await getattr(client, second)()
        await client.send_all(b"and one that sends")
        assert await server.receive_some() == b"and one that sends"
        await server.send_all(b"for the first")
