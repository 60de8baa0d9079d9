"""The installed trio-websocket over our listener: its server and its client."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import trio
import trio_websocket
from processes import EXAMPLES, Result, run_program, running

from trio_tlsx import ClientConfig, ServerConfig, TLSListener, TLSStream
from trio_tlsx.contrib.trio_ssl import register_as_trio_ssl
from trio_tlsx.io.listener import open_tls_over_tcp_listeners, open_tls_over_tcp_stream
from trio_tlsx.testing import CA, write_pem_files

SECONDS = 20  # something hangs

EXAMPLE = (sys.executable, EXAMPLES / "websocket.py")

ca = CA()
server_config = ServerConfig(credentials=ca.issue("127.0.0.1"))


def url_of(endpoint: trio_websocket.Endpoint | str) -> str:
    assert isinstance(endpoint, trio_websocket.Endpoint), "it is the stream's repr"
    return endpoint.url


@pytest.fixture
async def websocket_server(nursery: trio.Nursery) -> trio_websocket.WebSocketServer:
    """A server that answers each message with the addresses that it sees."""
    register_as_trio_ssl()
    register_as_trio_ssl()  # a second call changes nothing

    async def handler(request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept()
        await connection.send_message(f"{url_of(connection.local)} {url_of(connection.remote)}")

    listeners = await open_tls_over_tcp_listeners(0, server_config, host="127.0.0.1")
    server = trio_websocket.WebSocketServer(handler, cast(Any, listeners))
    await nursery.start(server.run)
    assert server.port == listeners[0].port
    return server


async def test_the_server_and_its_own_client(
    websocket_server: trio_websocket.WebSocketServer,
) -> None:
    context = ssl.create_default_context(cadata=ca.pem.decode())
    url = f"wss://127.0.0.1:{websocket_server.port}/"
    with trio.fail_after(SECONDS):
        async with trio_websocket.open_websocket_url(url, ssl_context=context) as connection:
            local, remote = str(await connection.get_message()).split()
    assert local == url.rstrip("/")
    assert remote.startswith("wss://127.0.0.1:")
    assert remote != local


async def test_the_client_over_our_stream(
    websocket_server: trio_websocket.WebSocketServer,
) -> None:
    port = websocket_server.port
    config = ClientConfig(trust=ca.trust, alpn_protocols=[])
    with trio.fail_after(SECONDS):
        stream = await open_tls_over_tcp_stream("127.0.0.1", port, config=config)
        async with stream, trio.open_nursery() as nursery:
            connection = await trio_websocket.wrap_client_stream(
                nursery, cast(Any, stream), "127.0.0.1", "/"
            )
            assert url_of(connection.remote) == f"wss://127.0.0.1:{port}"
            assert str(await connection.get_message()).endswith(url_of(connection.local))
            await connection.aclose()


@pytest.fixture
def program(tmp_path: Path) -> tuple[Path, tuple[str | Path, ...]]:
    """The file of the CA, and the server's command."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.pem)
    files = write_pem_files(ca.issue("localhost"), tmp_path)
    return ca_file, (*EXAMPLE, "server", *files, "0")


async def call(port: int, ca_file: Path) -> Result:
    return await run_program([*EXAMPLE, "client", "localhost", str(port), ca_file, "hello"])


async def test_the_example(program: tuple[Path, tuple[str | Path, ...]]) -> None:
    ca_file, command = program
    async with running(*command) as server:
        result = await call(server.port, ca_file)
        assert result.error_lines == []
        assert result.stdout == b"TLSv1.3 hello\n"
        server.process.terminate()
        await server.read_output()
    request, closed = server.output.splitlines()
    assert request.startswith(b"request of ('127.0.0.1', ")
    assert b"NORMAL_CLOSURE" in closed


async def test_clients_that_fail_do_not_end_the_example(
    program: tuple[Path, tuple[str | Path, ...]], tmp_path: Path
) -> None:
    ca_file, command = program
    other = tmp_path / "other.pem"
    other.write_bytes(CA().pem)
    async with running(*command) as server:
        result = await call(server.port, other)
        assert any("another CA" in line for line in result.error_lines)
        with trio.fail_after(SECONDS):
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as plain:
                await plain.send_all(b"GET / HTTP/1.1\r\n\r\n")
                answer = b"".join([data async for data in plain])
        assert answer[:1] == b"\x15", "an alert, and then the end"
        assert (await call(server.port, ca_file)).stdout == b"TLSv1.3 hello\n"


async def test_only_the_program_registers_the_classes() -> None:
    """Importing the module, or all of the package, changes nothing about trio."""
    program = (
        "import trio, trio_tlsx.contrib.trio_ssl as ours;"
        "print(issubclass(ours.TLSStream, trio.SSLStream),"
        " issubclass(ours.TLSListener, trio.SSLListener));"
        "ours.register_as_trio_ssl();"
        "print(issubclass(ours.TLSStream, trio.SSLStream),"
        " issubclass(ours.TLSListener, trio.SSLListener),"
        " issubclass(trio.SocketStream, trio.SSLStream))"
    )
    result = await run_program([sys.executable, "-c", program])
    assert result.stdout.decode().split() == ["False"] * 2 + ["True"] * 2 + ["False"]


def test_both_classes_are_registered() -> None:
    register_as_trio_ssl()
    assert issubclass(TLSStream, trio.SSLStream)
    assert issubclass(TLSListener, trio.SSLListener)
