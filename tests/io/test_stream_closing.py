"""The end of a connection: close_notify, truncation, unwrap, and failures before it."""

from __future__ import annotations

import socket
import ssl
import struct

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
    clog,
    close_both,
    connected,
    memory_of,
    paired,
    socket_of,
    stays_blocked,
)

from trio_tlsx.errors import AlertDescription, AlertReceived, ProtocolError, Truncated


async def test_close_notify_is_a_clean_end(engine: Engine, transports: Transports) -> None:
    async with connected(engine, transports) as (client, server):
        await client.send_all(b"last words")
        with trio.testing.assert_checkpoints():
            await client.aclose()
        assert [chunk async for chunk in server] == [b"last words"]
        assert await server.receive_some() == b""
        await server.aclose()
        for stream in (client, server):
            with trio.testing.assert_checkpoints():
                await stream.aclose()
            for method in (
                stream.do_handshake,
                stream.receive_some,
                stream.send_eof,
                stream.unwrap,
                stream.wait_send_all_might_not_block,
            ):
                with pytest.raises(trio.ClosedResourceError):
                    await method()


async def test_send_eof_leaves_receiving_open(engine: Engine, transports: Transports) -> None:
    """trio's own stream has no send_eof (trio issue 823)."""
    async with connected(engine, transports) as (client, server):
        await client.send_all(b"question")
        await client.send_eof()
        with pytest.raises(trio.ClosedResourceError):
            await client.send_all(b"more")
        assert [chunk async for chunk in server] == [b"question"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.send_all, bytes(500_000))
            received = 0
            while received < 500_000:
                received += len(await client.receive_some())
        await server.send_eof()
        assert await client.receive_some() == b""
        assert not hasattr(trio.SSLStream, "send_eof")


@pytest.mark.parametrize("https_compatible", [False, True])
async def test_eof_without_close_notify_is_truncated(
    engine: Engine, transports: Transports, https_compatible: bool
) -> None:
    async with connected(engine, transports, https_compatible=https_compatible) as (
        client,
        server,
    ):
        await client.send_all(b"cut")
        await trio.aclose_forcefully(client)
        assert await server.receive_some() == b"cut"
        if https_compatible:
            assert await server.receive_some() == b""
            assert await server.receive_some() == b""
        else:
            with pytest.raises(trio.BrokenResourceError, match="close_notify") as caught:
                await server.receive_some()
            assert isinstance(caught.value.__cause__, Truncated | ssl.SSLEOFError)
            with pytest.raises(trio.BrokenResourceError):
                await server.receive_some()
        await server.aclose()


@pytest.mark.parametrize("when", ["while nobody waits", "while somebody waits"])
async def test_reset_is_not_a_clean_end(engine: Engine, when: str) -> None:
    """The kernel tells of it once; what it says after that looks like the orderly end."""

    def reset(stream: AnyStream) -> None:
        on_close = struct.pack("ii", 1, 0)
        socket_of(stream).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, on_close)
        socket_of(stream).close()

    async def receive(stream: AnyStream) -> None:
        with pytest.raises(trio.BrokenResourceError, match="the connection broke"):
            await stream.receive_some()

    async with (
        connected(engine, SOCKET, https_compatible=True) as (client, server),
        trio.open_nursery() as nursery,
    ):
        if when == "while somebody waits":
            nursery.start_soon(receive, client)
            await trio.testing.wait_all_tasks_blocked()
        reset(server)
        if when == "while nobody waits":
            await receive(client)


async def test_https_compatible_sends_no_close_notify(
    engine: Engine, transports: Transports
) -> None:
    async with paired(engine, transports) as (client, server):
        careless = engine.client(client.transport_stream, https_compatible=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.do_handshake)
            await careless.do_handshake()
        await careless.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await server.receive_some()


async def test_unwrap_returns_the_transport(engine: Engine, transports: Transports) -> None:
    async with connected(engine, transports) as (client, server):
        below = client.transport_stream

        async def end_client() -> None:
            assert await client.receive_some() == b""
            assert await client.unwrap() == (below, b"")
            assert client.transport_stream is None
            await below.send_all(b"in the clear")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(end_client)
            with trio.testing.assert_checkpoints():
                transport, trailing = await server.unwrap()
        while len(trailing) < len(b"in the clear"):
            trailing += await transport.receive_some()
        assert trailing == b"in the clear"
        await transport.send_all(b"too")
        assert await below.receive_some() == b"too"
        with pytest.raises(trio.ClosedResourceError):
            await client.send_all(b"x")
        with trio.testing.assert_checkpoints():
            await client.aclose()
        await below.send_all(b"it is still open")


async def test_unwrap_returns_data_behind_close_notify(engine: Engine) -> None:
    async with connected(engine, MEMORY) as (client, server):
        send_stream, _ = memory_of(client)
        hook, send_stream.send_all_hook = send_stream.send_all_hook, None
        await client.send_eof()
        await client.transport_stream.send_all(b"trailing")
        assert hook is not None
        await hook()
        assert (await server.unwrap())[1] == b"trailing"


async def test_unwrap_with_unread_data_raises(engine: Engine, transports: Transports) -> None:
    async with connected(engine, transports) as (client, server):
        await client.send_all(b"unread")
        with pytest.raises(trio.BrokenResourceError, match="not received"):
            await server.unwrap()


async def test_aclose_does_not_wait_for_a_peer_that_reads_nothing(engine: Engine) -> None:
    async with connected(engine, UNIX) as (client, _server):
        assert await stays_blocked(client.send_all, bytes(10_000_000))
        with trio.fail_after(5):
            await client.aclose()
        assert socket_of(client).fileno() == -1


async def test_cancelled_aclose_closes_the_transport(
    engine: Engine, transports: Transports
) -> None:
    async with connected(engine, transports) as (client, server):
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.aclose()
        with pytest.raises(trio.BrokenResourceError, match="close_notify"):
            await server.receive_some()
        with pytest.raises(trio.ClosedResourceError):
            await client.receive_some()


async def test_aclose_of_a_full_socket_can_be_cancelled(engine: Engine) -> None:
    async with connected(engine, UNIX) as (client, _server):
        socket = socket_of(client)
        while not await stays_blocked(socket.send, bytes(2**16)):
            pass
        assert await stays_blocked(client.aclose)
        assert socket.fileno() == -1


async def test_aclose_while_other_tasks_send_and_receive(engine: Engine) -> None:
    async with connected(engine, UNIX) as (client, _server):
        await clog(client)
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await client.receive_some()

            async def send() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await client.send_all(b"x")

            nursery.start_soon(receive)
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            with trio.testing.assert_checkpoints():
                await client.aclose()


async def corrupt(stream: AnyStream) -> None:
    """Send what looks like a record, and is none of the peer's."""
    await stream.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))


async def test_corrupt_record_is_answered_with_an_alert(
    engine: Engine, transports: Transports
) -> None:
    async with connected(engine, transports) as (client, server):
        await corrupt(client)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await server.receive_some()
        assert isinstance(caught.value.__cause__, ProtocolError | ssl.SSLError)
        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError) as told:
            await client.receive_some()
        if not engine.is_openssl:
            assert isinstance(told.value.__cause__, AlertReceived)
            assert told.value.__cause__.alert is AlertDescription.bad_record_mac
        with pytest.raises(trio.BrokenResourceError):
            await server.send_all(b"x")
        await close_both(client, server)


async def test_alert_arrives_despite_unread_input(native: Engine) -> None:
    """Closing with unread input sends a reset, which would overtake the alert."""
    async with connected(native, SOCKET) as (client, server):
        await corrupt(client)
        for _ in range(3):
            await client.send_all(bytes(2**14))
        with pytest.raises(trio.BrokenResourceError):
            await server.receive_some()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.aclose)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BrokenResourceError) as told:
                await client.receive_some()
            assert isinstance(told.value.__cause__, AlertReceived)
            await client.aclose()


async def test_exception_does_not_wait_for_another_send(native: Engine) -> None:
    async with connected(native, LOCKSTEP) as (client, server), trio.open_nursery() as nursery:

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await server.send_all(bytes(300_000))

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(corrupt, client)
        with pytest.raises(trio.BrokenResourceError):
            await server.receive_some()
        # The sending task takes the alert along.
        with pytest.raises(trio.BrokenResourceError) as told:
            async for _ in client:
                pass
        assert isinstance(told.value.__cause__, AlertReceived)
        assert told.value.__cause__.alert is AlertDescription.bad_record_mac


async def test_broken_send_leaves_receiving_usable(engine: Engine) -> None:
    async with connected(engine, MEMORY) as (client, server):
        await client.send_all(b"still here")

        async def fault() -> None:
            raise trio.BrokenResourceError("of the transport")

        memory_of(server)[0].send_all_hook = fault
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError, match="of the transport"):
                await server.send_all(b"x")
        assert await server.receive_some() == b"still here"
        await server.aclose()


SENDS: list[tuple[str, tuple[bytes, ...]]] = [
    ("send_all", (b"x",)),
    ("answer_early_data", (b"x",)),
    ("wait_send_all_might_not_block", ()),
    ("send_eof", ()),
    ("unwrap", ()),
]


@pytest.mark.parametrize(("method", "arguments"), SENDS, ids=[name for name, _ in SENDS])
async def test_send_all_while_another_task_closes(
    engine: Engine, method: str, arguments: tuple[bytes, ...]
) -> None:
    """A writer expects that another task may close the stream."""
    async with connected(engine, LOCKSTEP) as (client, _), trio.open_nursery() as nursery:
        nursery.start_soon(client.aclose)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.ClosedResourceError):
            await getattr(client, method)(*arguments)
        nursery.cancel_scope.cancel()
