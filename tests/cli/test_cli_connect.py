"""``trio-tlsx connect``: certificates, key logs, time limits, proxies, and advice."""

from __future__ import annotations

import base64
import datetime
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import click
import pytest
import trio
from cryptography import x509
from processes import CLI, run_program, running

from trio_tlsx.cli.dialing import Destination, Proxy, connect_tls
from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.io.listener import serve_tls_over_tcp
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.testing import CA, write_pem_files

CONNECT = (*CLI, "connect")
SERVE = (*CLI, "serve", "--port", "0")


async def echo(stream: TLSStream[trio.SocketStream]) -> None:
    async with stream:
        async for data in stream:
            await stream.send_all(data)


@asynccontextmanager
async def tls_server(config: ServerConfig) -> AsyncGenerator[int, None]:
    """An echo server; its port."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            partial(serve_tls_over_tcp, echo, 0, config, host="127.0.0.1")
        )
        yield listener.port
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def tcp_server(
    handler: Callable[[trio.SocketStream], Awaitable[None]],
) -> AsyncGenerator[int, None]:
    """A server without TLS; its port."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def refusal(target: Destination, config: ClientConfig, name: str = "127.0.0.1") -> str:
    """Why a connection fails."""
    with pytest.raises(click.ClickException) as caught:
        await connect_tls(target, name, config)
    return caught.value.message


# Certificates


async def test_pem_prints_a_chain_that_can_be_trusted(tmp_path: Path) -> None:
    chain = tmp_path / "chain.pem"
    async with running(*SERVE, "--self-signed") as server:
        target = f"https://localhost:{server.port}/index.html"
        printed = await run_program([*CONNECT, target, "--insecure", "--pem"])
        chain.write_bytes(printed.stdout)
        trusted = await run_program([*CONNECT, target, "--ca", chain, "--quiet"], b"hello")
    assert (printed.status, printed.stderr) == (0, b"")
    assert len(x509.load_pem_x509_certificates(printed.stdout)) == 1
    assert (trusted.status, trusted.stdout) == (0, b"hello")


async def test_client_certificate_and_key_log_with_openssl(
    openssl: str, ca: CA, ca_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "client").mkdir()
    cert, key = write_pem_files(ca.issue("localhost"), tmp_path)
    client_cert, client_key = write_pem_files(ca.issue("me.example"), tmp_path / "client")
    command = [openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, "-rev"]
    command += ["-Verify", "1", "-CAfile", ca_file, "-verify_return_error", "-tls1_3"]
    key_log, from_environment = tmp_path / "keys", tmp_path / "keys-too"
    async with running(*command, says=b"ACCEPT") as server:
        connect = [*CONNECT, f"localhost:{server.port}", "--ca", ca_file, "--quiet"]
        files = ["--cert", client_cert, "--key", client_key]
        accepted = await run_program([*connect, *files, "--keylog", key_log], b"hello\n")
        again = await run_program([*connect, *files], b"hello\n", SSLKEYLOGFILE=from_environment)
        refused = await run_program(connect, b"hello\n")
    assert (accepted.status, accepted.stdout) == (0, b"olleh\n")
    assert "SERVER_TRAFFIC_SECRET_0" in key_log.read_text()
    assert again.status == 0
    assert "SERVER_TRAFFIC_SECRET_0" in from_environment.read_text()
    assert refused.status == 1
    assert "give a client certificate with --cert FILE --key FILE" in refused.error_lines[0]


# Advice


async def test_advice_for_an_unknown_ca_and_for_a_wrong_name(ca: CA) -> None:
    async with tls_server(ServerConfig(credentials=ca.issue("a.example"))) as port:
        target = Destination("127.0.0.1", port)
        unknown = await refusal(target, ClientConfig(trust=CA().trust), "a.example")
        wrong = await refusal(target, ClientConfig(trust=ca.trust), "b.example")
    assert unknown.endswith("to trust it, give --ca FILE; to skip verification, --insecure")
    assert "'a.example', not 'b.example'; give one of its names with --server-name" in wrong


async def test_no_advice_where_no_option_helps(ca: CA) -> None:
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    start = yesterday - datetime.timedelta(days=1)
    expired_one = ca.issue("a.example", not_before=start, not_after=yesterday)
    config = ServerConfig(credentials=expired_one)
    async with tls_server(config) as port:
        expired = await refusal(
            Destination("127.0.0.1", port), ClientConfig(trust=ca.trust), "a.example"
        )
    assert "--" not in expired


async def test_connect_to_a_server_of_tls_1_2_alone(
    openssl: str, ca: CA, ca_file: Path, tmp_path: Path
) -> None:
    cert, key = write_pem_files(ca.issue("localhost"), tmp_path)
    command = [openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, "-rev"]
    async with running(*command, "-tls1_2", says=b"ACCEPT") as server:
        connect = [*CONNECT, f"localhost:{server.port}", "--ca", ca_file]
        refused = await run_program([*connect, "--tls-min", "1.3"])
        accepted = await run_program(connect, b"hello\n")
    assert refused.error_lines[0].endswith("give --tls-min 1.2")
    assert b"version       TLSv1.2" in accepted.stdout
    assert accepted.stdout.endswith(b"olleh\n")


async def test_serve_and_connect_with_tls_1_2() -> None:
    async with running(*SERVE, "--self-signed", "--tls-max", "1.2") as server:
        connect = [*CONNECT, f"localhost:{server.port}", "--insecure"]
        accepted = await run_program([*connect, "--tls-max", "1.2"], b"hello\n")
        refused = await run_program([*connect, "--tls-min", "1.3"])
    assert accepted.stdout.endswith(b"hello\n")
    assert "give --tls-min 1.2" in refused.error_lines[0]


# Time


async def test_timeout_covers_a_server_that_says_nothing(autojump_clock: object) -> None:
    async def say_nothing(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with tcp_server(say_nothing) as port:
        target = Destination("127.0.0.1", port, timeout=7)
        message = await refusal(target, ClientConfig(insecure_skip_verification=True))
    assert message == f"127.0.0.1:{port} did not complete the handshake within 7 s"


# Proxies


class HTTPProxy:
    """A proxy for CONNECT that writes down what it is asked."""

    def __init__(self, answer: bytes | None = None) -> None:
        self.answer = answer
        self.head = b""

    async def __call__(self, stream: trio.abc.HalfCloseableStream) -> None:
        while b"\r\n\r\n" not in self.head:
            self.head += await stream.receive_some()
        if self.answer is not None:
            await stream.send_all(self.answer)
            return
        host, _, port = self.head.split()[1].decode().rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as behind:
            await stream.send_all(b"HTTP/1.1 200 OK\r\nVia: a proxy\r\n\r\n")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(copy, stream, behind)
                nursery.start_soon(copy, behind, stream)


async def copy(source: trio.abc.ReceiveStream, sink: trio.abc.HalfCloseableStream) -> None:
    async for data in source:
        await sink.send_all(data)
    await sink.send_eof()


async def test_connect_through_a_proxy(ca: CA) -> None:
    proxy = HTTPProxy()
    config = ServerConfig(credentials=ca.issue("127.0.0.1"))
    async with tls_server(config) as port, tcp_server(proxy) as proxy_port:
        target = Destination("127.0.0.1", port, None, Proxy("127.0.0.1", proxy_port, "me:secret"))
        async with await connect_tls(target, "127.0.0.1", ClientConfig(trust=ca.trust)) as stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"
    assert proxy.head.startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % port)
    assert b"Basic " + base64.b64encode(b"me:secret") + b"\r\n" in proxy.head


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_connect_through_a_proxy_with_tls(ca: CA, is_trusted: bool) -> None:
    """TLS to the proxy, and TLS to the server within it."""
    proxy, config = HTTPProxy(), ServerConfig(credentials=ca.issue("127.0.0.1"))
    trust = ca.trust if is_trusted else CA().trust

    async def serve_proxy(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            async with TLSStream(stream, config) as tls_stream:
                await proxy(tls_stream)

    async with tls_server(config) as port, tcp_server(serve_proxy) as proxy_port:
        address = Proxy("127.0.0.1", proxy_port, None, ClientConfig())
        target = Destination.of("127.0.0.1", port, None, address, 30, trust)
        if not is_trusted:
            message = await refusal(target, ClientConfig(insecure_skip_verification=True))
            assert message.startswith(f"handshake with the proxy 127.0.0.1:{proxy_port} failed: ")
            assert message.endswith("; to trust it, give --ca FILE")
            return
        async with await connect_tls(target, "127.0.0.1", ClientConfig(trust=trust)) as stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"
    assert proxy.head.startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % port)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (b"HTTP/1.1 403 Not \x1b[31mfor you\r\n\r\n", "'HTTP/1.1 403 Not \\x1b[31mfor you'"),
        (b"HTTP/1.1 407 Who?\r\n\r\n", "give --proxy http://USER:PASSWORD@HOST:PORT"),
        (b"SSH-2.0-OpenSSH\r\n", "'SSH-2.0-OpenSSH'"),
        (b"HTTP/1.1 200 OK\r\n\r\n\x16\x03", "opened no tunnel"),
        (b"HTTP/1.1 200 OK\r\nVia: " + bytes(2**15) + b"\r\n\r\n", "opened no tunnel"),
        (b"", "answered ''"),
    ],
)
async def test_proxy_rejects_connect(answer: bytes, shown: str) -> None:
    async with tcp_server(HTTPProxy(answer)) as port:
        target = Destination("a.example", 443, None, Proxy("127.0.0.1", port, None))
        message = await refusal(target, ClientConfig(insecure_skip_verification=True))
    assert "no tunnel to a.example:443" in message
    assert shown in message


async def test_proxy_refuses_the_connection() -> None:
    target = Destination("a.example", 443, None, Proxy("127.0.0.1", 1, None))
    message = await refusal(target, ClientConfig(insecure_skip_verification=True))
    assert message.startswith("cannot connect to the proxy 127.0.0.1:1: ")
