"""``trio-tlsx demo``: a CA, a server and a client in one process."""

from __future__ import annotations

import time
from functools import partial

import click
import trio
from rich.console import Console
from rich.text import Text

from ..config.client import ClientConfig
from ..config.server import ServerConfig
from ..errors import HandshakeShutdown
from ..io.listener import TLSListener, serve_tls_over_tcp
from ..io.stream import TLSStream
from ..testing import CA
from .report import connection_facts, print_facts
from .timeline import record_handshake

__all__ = ["demo"]

HOST = "127.0.0.1"
NAME = "localhost"
TIMEOUT = 60  # seconds, for everything except the transfer

WRITE_SIZE = 2**16  # bytes at a time, in the transfer
GREETING = b"Hello, world!\n"


async def demo(transfer_size: int) -> None:
    """Run all parts of the demo.

    Args:
        transfer_size: the size of the transfer, in bytes.

    Raises:
        click.ClickException: a part failed.
    """
    console = Console(highlight=False)
    ca = CA("trio-tlsx demo CA")
    server_config = ServerConfig(credentials=ca.issue(NAME))
    client_config = ClientConfig(trust=ca.trust)
    async with trio.open_nursery() as nursery:
        listeners: list[TLSListener[trio.SocketStream]] = await nursery.start(
            partial(serve_tls_over_tcp, _serve_echo, 0, server_config, host=HOST)
        )
        port = listeners[0].port
        with trio.move_on_after(TIMEOUT) as deadline:
            await _show_handshake(console, port, client_config)
            await _show_echo(console, port, client_config)
            await _show_cancellation(console, client_config, server_config)
        if deadline.cancelled_caught:
            raise click.ClickException(f"the demo did not finish within {TIMEOUT} s")
        await _show_transfer(console, client_config, server_config, transfer_size)
        nursery.cancel_scope.cancel()


async def _serve_echo(stream: TLSStream[trio.SocketStream]) -> None:
    async with stream:
        async for data in stream:
            await stream.send_all(data)


async def _connect(port: int, config: ClientConfig) -> TLSStream[trio.SocketStream]:
    return TLSStream(await trio.open_tcp_stream(HOST, port), config, server_hostname=NAME)


def _check(held: bool, otherwise: str) -> None:
    if not held:
        raise click.ClickException(f"the demo failed: {otherwise}")


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


async def _show_handshake(console: Console, port: int, config: ClientConfig) -> None:
    _title(console, f"A handshake over TCP, client and server on {HOST}")
    async with await trio.open_tcp_stream(HOST, port) as transport:
        timeline, negotiated = await record_handshake(transport, config, NAME)
    timeline.draw(console)
    console.print()
    print_facts(console, connection_facts(negotiated, verified=True))
    _check(negotiated.version == "TLSv1.3", f"version is {negotiated.version}")


async def _show_echo(console: Console, port: int, config: ClientConfig) -> None:
    _title(console, "An echo, and an orderly close")
    async with await _connect(port, config) as stream:
        await stream.do_handshake()
        start = time.perf_counter()
        await stream.send_all(GREETING)
        answer = b""
        while len(answer) < len(GREETING):
            data = await stream.receive_some()
            _check(bool(data), "the echo ended too early")
            answer += data
        elapsed = time.perf_counter() - start
        await stream.send_eof()
        rest = await stream.receive_some()
    _check(answer == GREETING, f"the echo of {GREETING!r} was {answer!r}")
    _check(rest == b"", "the server echoed more than was sent")
    console.print(f"  {answer.decode().strip()}", markup=False)
    console.print(f"  {len(GREETING)} bytes, round trip in {elapsed * 1e6:,.0f} µs")
    console.print("  client sent close_notify, server answered with its own")


async def _show_cancellation(
    console: Console, client_config: ClientConfig, server_config: ServerConfig
) -> None:
    _title(console, "A handshake that is cancelled midway")
    (listener,) = await trio.open_tcp_listeners(0, host=HOST)
    port = listener.socket.getsockname()[1]
    client_scope = trio.CancelScope()
    refusal: BaseException | None = None

    async def shake_hands(stream: TLSStream[trio.SocketStream]) -> None:
        with client_scope:
            await stream.do_handshake()

    async with listener, await _connect(port, client_config) as client:
        transport = await listener.accept()
        async with TLSStream(transport, server_config, https_compatible=True) as server:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(shake_hands, client)
                await trio.lowlevel.wait_readable(transport.socket)  # the ClientHello is here
                client_scope.cancel()
            try:
                await server.do_handshake()
            except trio.BrokenResourceError as error:
                refusal = error.__cause__
    _check(client_scope.cancelled_caught, "the client's handshake was not cancelled")
    _check(
        isinstance(refusal, HandshakeShutdown),
        f"the server saw {refusal!r} instead of an orderly refusal",
    )
    console.print("  client sent its ClientHello and was cancelled while it waited for the answer")
    console.print(f"  server saw: {refusal}", markup=False, soft_wrap=True)


async def _show_transfer(
    console: Console, client_config: ClientConfig, server_config: ServerConfig, size: int
) -> None:
    _title(console, f"A transfer of {size // 2**20} MiB in writes of {WRITE_SIZE // 2**10} KiB")
    received = 0

    async def count(stream: TLSStream[trio.SocketStream]) -> None:
        nonlocal received
        async with stream:
            async for data in stream:
                received += len(data)

    async with trio.open_nursery() as nursery:
        listeners: list[TLSListener[trio.SocketStream]] = await nursery.start(
            partial(serve_tls_over_tcp, count, 0, server_config, host=HOST)
        )
        port = listeners[0].port
        async with await _connect(port, client_config) as stream:
            await stream.do_handshake()
            chunk = bytes(WRITE_SIZE)
            start = time.perf_counter()
            for _ in range(size // WRITE_SIZE):
                await stream.send_all(chunk)
            await stream.send_eof()
            await stream.receive_some()  # the server has counted everything and closed
            elapsed = time.perf_counter() - start
        nursery.cancel_scope.cancel()
    _check(received == size, f"{received:,} bytes of {size:,} arrived")
    console.print(
        f"  {size / elapsed / 1e6:,.0f} MB/s, encrypted and decrypted in this one process "
        f"({elapsed * 1e3:,.0f} ms)"
    )
