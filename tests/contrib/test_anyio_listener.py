"""Servers and clients over TCP for anyio, on asyncio and on trio."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSAttribute
from anyio_pairs import AnyStream, on_each_backend, receive_all, receive_end
from tls_pairs import SERVER_NAME, Engine

import trio_tlsx
from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.contrib.anyio import TLSListener, TLSStream, connect_tls
from trio_tlsx.errors import CertificateError, ConfigError
from trio_tlsx.testing import CA, write_pem_files

ROOT = Path(trio_tlsx.__file__).parents[1]
HOST = "127.0.0.1"

Handler = Callable[[AnyStream], Awaitable[None]]


async def echo(stream: AnyStream) -> None:
    async with stream:
        async for data in stream:
            await stream.send(data)


@asynccontextmanager
async def serving(
    engine: Engine, handler: Handler = echo, **options: Any
) -> AsyncGenerator[tuple[int, anyio.abc.TaskGroup]]:
    """Serve on a port, until the end of the block."""
    tcp = await anyio.create_tcp_listener(local_host=HOST)
    listener = TLSListener(tcp, server_config(engine), **options)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handler)
        yield listener.extra(SocketAttribute.local_port), tasks
        tasks.cancel_scope.cancel()


def server_config(engine: Engine) -> Any:
    return engine.server_config


async def connect(engine: Engine, port: int, **options: Any) -> TLSStream[anyio.abc.SocketStream]:
    options.setdefault("config", engine.client_config)
    return await connect_tls(HOST, port, server_hostname=SERVER_NAME, **options)


@on_each_backend
async def test_connect_and_serve(engine: Engine) -> None:
    async with serving(engine) as (port, _), await connect(engine, port) as stream:
        assert stream.extra(TLSAttribute.tls_version) == stream.negotiated.version
        assert stream.extra(SocketAttribute.remote_port) == port
        await stream.send(b"ping")
        assert await stream.receive() == b"ping"
        await stream.send_eof()
        await receive_end(stream)


@on_each_backend
async def test_server_outlives_faulty_clients(
    native: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(native) as (port, _):
        async with await anyio.connect_tcp(HOST, port) as stream:
            await stream.send(b"GET / HTTP/1.1\r\n\r\n")
            assert (await receive_all(stream)).startswith(b"\x15\x03\x03")  # an alert
        with pytest.raises(anyio.BrokenResourceError) as caught:
            await connect(native, port, config=ClientConfig(trust=CA().trust))
        assert isinstance(caught.value.__cause__, CertificateError)
        async with await connect(native, port) as stream:
            await stream.send(b"still there")
            assert await stream.receive() == b"still there"
    lines = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert len(lines) == 2
    assert all(line.startswith("TLS handshake with 127.0.0.1:") for line in lines)
    assert "unknown_ca" in lines[1]


@on_each_backend
async def test_connection_that_breaks_in_the_handler_is_logged(
    native: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(native) as (port, _):
        cut = await connect(native, port)
        await cut.send(b"x")
        await cut.receive()
        await cut.transport_stream.aclose()  # no close_notify
        await anyio.wait_all_tasks_blocked()
        async with await connect(native, port) as stream:
            await stream.send(b"still there")
            assert await stream.receive() == b"still there"
    lines = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert len(lines) == 1
    assert lines[0].startswith("TLS connection with 127.0.0.1:")


@on_each_backend
async def test_fault_of_the_handler_is_raised(native: Engine) -> None:
    async def fail(stream: AnyStream) -> None:
        raise KeyError("a fault of the program")

    async def run() -> None:
        async with serving(native, fail) as (port, _):
            stream = await connect(native, port)
            with pytest.raises(anyio.BrokenResourceError):
                await stream.receive()
            await stream.aclose()
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert caught.group_contains(KeyError, match="a fault of the program")


@on_each_backend
async def test_slow_client_is_closed(native: Engine, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        serving(native, handshake_timeout=0.001) as (port, _),
        await anyio.connect_tcp(HOST, port) as stream,
    ):
        await receive_all(stream)
    assert "not complete within 0.001 seconds" in caplog.text


@on_each_backend
async def test_cancelled_connect_tls_sends_alerts(native: Engine) -> None:
    received: list[bytes] = []
    begun, ended = anyio.Event(), anyio.Event()

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            begun.set()
            received.append(await receive_all(stream))
        ended.set()

    async with (
        await anyio.create_tcp_listener(local_host=HOST) as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as client:
            client.start_soon(connect, native, port)
            await begun.wait()
            client.cancel_scope.cancel()
        await ended.wait()
        tasks.cancel_scope.cancel()
    # user_canceled and close_notify, before there are keys
    assert received == [bytes.fromhex("15 0303 0002 01 5a  15 0303 0002 01 00")]


@on_each_backend
async def test_wrong_arguments_raise_before_connecting(native: Engine, ca: CA) -> None:
    with pytest.raises(ConfigError, match="is not a DNS name"):
        await connect_tls("192.0.2.1", 443, server_hostname="not a name")
    async with await anyio.create_tcp_listener(local_host=HOST) as listener:
        with pytest.raises(ConfigError, match="ClientConfig"):
            TLSListener(listener, ClientConfig())  # pyright: ignore[reportArgumentType]


@on_each_backend
async def test_replayable_early_data(native13: Engine) -> None:
    assert isinstance(native13.server_config, ServerConfig)
    engine = replace(
        native13,
        server_config=replace(native13.server_config, max_early_data_size=1000),
    )

    async def serve(stream: AnyStream) -> None:
        async with stream:
            early = await stream.receive_replayable_early_data()
            await stream.answer_early_data(b"early: " + early)
            while await stream.receive_replayable_early_data():
                pass
            await receive_all(stream)

    async with serving(engine, serve, replayable_early_data=True) as (port, _):
        answers: list[bytes] = []
        for early_data in (b"", b"hello"):
            async with await connect(engine, port, early_data=early_data) as stream:
                answers.append(await stream.receive())
                if not early_data:
                    await stream.wait_session_ticket()
    assert answers == [b"early: ", b"early: hello"]


PROGRAM = """
import sys
from pathlib import Path
sys.modules["trio"] = None  # importing trio raises

import anyio
from anyio.abc import SocketAttribute
from trio_tlsx import ClientConfig, Credentials, ServerConfig, TrustStore
from trio_tlsx.contrib.anyio import TLSListener, connect_tls

ca, certificate, key = sys.argv[1:]

async def echo(stream):
    async with stream:
        async for data in stream:
            await stream.send(data)

async def main():
    credentials = Credentials.from_pem_files(certificate, key)
    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
    listener = TLSListener(tcp, ServerConfig(credentials=credentials))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, echo)
        port = listener.extra(SocketAttribute.local_port)
        config = ClientConfig(trust=TrustStore.from_pem(Path(ca).read_bytes()))
        async with await connect_tls(
            "127.0.0.1", port, config=config, server_hostname="test.example"
        ) as stream:
            await stream.send(b"without trio")
            print((await stream.receive()).decode())
            await stream.wait_session_ticket()
        tasks.cancel_scope.cancel()

anyio.run(main)
"""


def test_nothing_of_trio_is_imported_on_asyncio(ca: CA, tmp_path: Path) -> None:
    """A whole connection, in a process where ``import trio`` raises."""
    files = write_pem_files(ca.issue(SERVER_NAME), tmp_path)
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(ca.pem)
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, trusted, *files],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.stdout, result.stderr) == ("without trio\n", "")
