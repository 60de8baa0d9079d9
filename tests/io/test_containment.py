"""Errors of one connection do not end the server; errors of the program do."""

from __future__ import annotations

import logging
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

import pytest
import trio
from tls_pairs import MEMORY, SERVER_NAME, SOCKET, Engine, connected, paired

from trio_tlsx import (
    AlertDescription,
    ClientConfig,
    Connection,
    TLSStream,
    handshake_first,
    serve_tls_over_tcp,
)
from trio_tlsx.handshake.wants import Want
from trio_tlsx.testing import CA

Stream: TypeAlias = "TLSStream[Any]"
Handler: TypeAlias = Callable[[Stream], Awaitable[object]]

RESET = struct.pack("ii", 1, 0)  # for SO_LINGER


@asynccontextmanager
async def serving(engine: Engine, handler: Handler, **options: Any) -> AsyncGenerator[int]:
    """A server; gives its port. What it raises, the block raises."""
    async with trio.open_nursery() as nursery:
        serve = partial(
            serve_tls_over_tcp, handler, 0, engine.server_config, host="127.0.0.1", **options
        )
        [listener] = await nursery.start(serve)
        yield listener.port
        nursery.cancel_scope.cancel()


async def echo(stream: Stream) -> None:
    """The README's handler."""
    async with stream:
        async for data in stream:
            await stream.send_all(data)


async def assert_echoes(engine: Engine, port: int) -> None:
    transport = await trio.open_tcp_stream("127.0.0.1", port)
    async with engine.client(transport) as stream:
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "trio_tlsx"]


# Clients that end their connection in a way of their own


def just_close(client: ssl.SSLSocket) -> None:
    client.close()


def reset(client: ssl.SSLSocket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def close_amid_a_record(client: ssl.SSLSocket) -> None:
    with socket.socket(fileno=client.detach()) as plain:
        plain.sendall(b"\x17\x03\x03\x01\x00half of it")


@pytest.mark.parametrize("end", [just_close, reset, close_amid_a_record])
async def test_rude_client_does_not_end_the_server(
    native: Engine,
    ca: CA,
    end: Callable[[ssl.SSLSocket], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    context = ssl.create_default_context(cadata=ca.pem.decode())
    ended = trio.Event()

    async def handle(stream: Stream) -> None:
        try:
            await echo(stream)
        finally:
            ended.set()

    def talk(port: int) -> None:
        plain = socket.create_connection(("127.0.0.1", port))
        client = context.wrap_socket(plain, server_hostname=SERVER_NAME)
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        end(client)

    async with serving(native, handle) as port:
        await trio.to_thread.run_sync(talk, port)
        with trio.fail_after(10):
            await ended.wait()
        await assert_echoes(native, port)
    [line] = lines(caplog)
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith("TLS connection with 127.0.0.1:")
    assert "broke" in line.getMessage()
    assert line.exc_info is None


async def test_close_of_a_jdk_is_a_clean_end(
    native: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """user_canceled and close_notify, before it has sent any data."""
    received: list[bytes] = []

    async def handle(stream: Stream) -> None:
        async with stream:
            received.append(await stream.receive_some())

    async with serving(native, handle) as port:
        engine = cast(Any, await connected_engine(native, port))
        engine.connection._outgoing.alert(1, AlertDescription.user_canceled)
        engine.connection.shutdown()
        await engine.transport.send_all(engine.connection.data_to_send())
        while await engine.transport.receive_some():
            pass
        await engine.transport.aclose()
    assert received == [b""]
    assert not lines(caplog)


@dataclass
class EngineOverTCP:
    connection: Connection
    transport: trio.SocketStream


async def connected_engine(native: Engine, port: int) -> EngineOverTCP:
    """A client's engine after its handshake, driven by hand."""
    assert isinstance(native.client_config, ClientConfig)
    connection = Connection.client(native.client_config, SERVER_NAME)
    transport = await trio.open_tcp_stream("127.0.0.1", port)
    while (want := connection.do_handshake()) is not Want.NOTHING:
        if want is Want.WRITE:
            await transport.send_all(connection.data_to_send())
        else:
            connection.receive_data(await transport.receive_some())
    return EngineOverTCP(connection, transport)


# What the handler raises


async def run_handler(native: Engine, handler: Handler, **options: Any) -> None:
    """Serve one connection, whose client goes away after the handshake."""
    pair = await SOCKET.connect()
    client, server = native.pair(pair)

    async def rude_client() -> None:
        await client.do_handshake()
        await client.send_all(b"x")
        await trio.aclose_forcefully(client)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rude_client)
        try:
            await handshake_first(handler, **options)(server)
        finally:
            await trio.aclose_forcefully(server)


async def break_it(stream: Stream) -> None:
    async for _ in stream:
        pass


def leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return [leaf for part in group.exceptions for leaf in leaves(part)]
    return [error]


async def raised_by(native: Engine, handler: Handler, **options: Any) -> list[type[BaseException]]:
    """The types of the leaves of what reaches the server's nursery."""
    try:
        await run_handler(native, handler, **options)
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - that is the question
        return [type(leaf) for leaf in leaves(error)]
    return []


async def test_broken_connection_in_exception_groups(
    native: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(stream: Stream) -> None:
        async with trio.open_nursery() as outer, trio.open_nursery() as inner:
            outer.start_soon(break_it, stream)
            inner.start_soon(stream.wait_send_all_might_not_block)

    assert await raised_by(native, handle) == []
    assert len(lines(caplog)) == 1


async def test_the_same_error_raised_again(native: Engine) -> None:
    async def handle(stream: Stream) -> None:
        try:
            await break_it(stream)
        except trio.BrokenResourceError as error:
            raise ExceptionGroup("of the program", [error]) from None

    assert await raised_by(native, handle) == []


async def test_error_of_another_stream_propagates(native: Engine) -> None:
    async def handle(stream: Stream) -> None:
        async with paired(native, MEMORY) as (other, transport):
            await trio.aclose_forcefully(transport)
            await other.do_handshake()

    assert await raised_by(native, handle) == [trio.BrokenResourceError]


async def test_error_of_a_channel_propagates(native: Engine) -> None:
    async def handle(stream: Stream) -> None:
        send, receive = trio.open_memory_channel[int](0)
        receive.close()
        await send.send(1)

    assert await raised_by(native, handle) == [trio.BrokenResourceError]


async def test_error_of_the_program_with_a_broken_connection_as_cause_propagates(
    native: Engine,
) -> None:
    async def handle(stream: Stream) -> None:
        try:
            await break_it(stream)
        except trio.BrokenResourceError as error:
            raise trio.BrokenResourceError("of the program") from error

    assert await raised_by(native, handle) == [trio.BrokenResourceError]


async def test_use_after_close_surfaces(native: Engine) -> None:
    async def handle(stream: Stream) -> None:
        await trio.aclose_forcefully(stream)
        await stream.receive_some()

    assert await raised_by(native, handle) == [trio.ClosedResourceError]


async def test_two_receivers_surface(native: Engine) -> None:
    async def handle(stream: Stream) -> None:
        with stream._driver.receiving:  # pyright: ignore[reportPrivateUsage]
            await stream.receive_some()

    assert await raised_by(native, handle) == [trio.BusyResourceError]


async def test_mixed_exception_group_propagates(native: Engine) -> None:
    async def handle(stream: Stream) -> None:
        try:
            await break_it(stream)
        except trio.BrokenResourceError as error:
            raise ExceptionGroup("both", [error, KeyError("of the program")]) from None

    assert await raised_by(native, handle) == [trio.BrokenResourceError, KeyError]


async def test_cancellation_propagates(native: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """A server that is stopped while a connection breaks ends by the cancellation alone."""
    with trio.CancelScope() as scope:

        async def handle(stream: Stream) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                try:
                    await break_it(stream)
                finally:
                    scope.cancel()

        await run_handler(native, handle)
    assert scope.cancelled_caught
    assert len(lines(caplog)) == 1


@pytest.mark.parametrize("group", [False, True])
async def test_raise_connection_errors_of_a_broken_connection(
    native: Engine, group: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(stream: Stream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(break_it, stream)

    found = await raised_by(native, handle if group else break_it, raise_connection_errors=True)
    assert found == [trio.BrokenResourceError]
    assert not lines(caplog)


# What the handshake raises


class Faulty(trio.abc.Stream):
    """A transport that fails in a way that no transport should."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        raise KeyError("of the transport")

    async def send_all(self, data: object) -> None:
        raise KeyError("of the transport")

    async def wait_send_all_might_not_block(self) -> None:
        raise KeyError("of the transport")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError("of the transport")


async def unused(stream: Stream) -> None:
    raise AssertionError("the handshake has failed")


async def test_unexpected_exception_in_the_handshake_is_logged_with_traceback(
    native: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    await handshake_first(unused)(native.server(Faulty()))
    [line] = lines(caplog)
    assert line.getMessage() == "TLS handshake with a Faulty failed: 'of the transport'"
    assert line.exc_info is not None
    assert isinstance(line.exc_info[1], KeyError)


async def test_raise_connection_errors_of_a_failed_handshake(
    native: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    handle = handshake_first(unused, raise_connection_errors=True)
    with pytest.raises(KeyError):
        await handle(native.server(Faulty()))
    plain, transport = await MEMORY.connect()
    await plain.send_all(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(trio.BrokenResourceError, match="HTTP"):
        await handle(native.server(transport))
    assert not lines(caplog)


async def test_the_option_of_a_server(native: Engine) -> None:
    async def serve_garbage() -> None:
        async with (
            serving(native, echo, raise_connection_errors=True) as port,
            await trio.open_tcp_stream("127.0.0.1", port) as plain,
        ):
            await plain.send_all(b"GET / HTTP/1.1\r\n\r\n")
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await serve_garbage()
    assert [type(leaf) for leaf in leaves(caught.value)] == [trio.BrokenResourceError]


async def test_has_raised_is_true_for_errors_of_this_stream(native: Engine) -> None:
    async with connected(native, MEMORY) as (client, server):
        await trio.aclose_forcefully(client)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await server.receive_some()
        assert server.has_raised(caught.value)
        assert not client.has_raised(caught.value)
        for method in (server.do_handshake, server.send_eof, server.unwrap):
            with pytest.raises(trio.BrokenResourceError) as again:
                await method()
            assert server.has_raised(again.value)
        assert not server.has_raised(trio.BrokenResourceError())
        assert not server.has_raised(KeyError())
