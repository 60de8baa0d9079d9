"""``trio-tlsx serve``: client certificates, ALPN, renewal, the log, and the end."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from processes import CLI, Server, run_program, running

from trio_tlsx.cli.server_options import reloads
from trio_tlsx.config.client import ClientConfig
from trio_tlsx.io.listener import open_tls_over_tcp_stream
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.pki.reloading import ReloadingCredentials
from trio_tlsx.testing import CA, write_pem_files

SERVE = (*CLI, "serve", "--port", "0")
CONNECT = (*CLI, "connect", "--json")


@asynccontextmanager
async def connection(ca: CA, server: Server) -> AsyncGenerator[TLSStream[trio.SocketStream], None]:
    """A connection that is open at both ends."""
    config = ClientConfig(trust=ca.trust)
    async with await open_tls_over_tcp_stream("127.0.0.1", server.port, config=config) as stream:
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"
        yield stream


# Certificates and ALPN


async def test_client_certificates_are_required(
    ca: CA, ca_file: Path, identity: tuple[str | Path, ...], tmp_path: Path
) -> None:
    (tmp_path / "client").mkdir()
    (tmp_path / "stranger").mkdir()
    own = write_pem_files(ca.issue("me.example"), tmp_path / "client")
    other = write_pem_files(CA("another CA").issue("me.example"), tmp_path / "stranger")
    log = tmp_path / "log"
    async with running(*SERVE, *identity, "--client-ca", ca_file, "--log", log) as server:
        command = [*CONNECT, f"127.0.0.1:{server.port}", "--ca", ca_file]
        accepted = await run_program([*command, "--cert", own[0], "--key", own[1]])
        refused = await run_program(command)
        unfit = await run_program([*command, "--cert", other[0], "--key", other[1]])
    assert accepted.status == 0
    assert "give a client certificate with --cert FILE --key FILE" in refused.error_lines[0]
    assert "we had none that it accepts" in unfit.error_lines[0]
    assert "must come from a CA that the server trusts" in unfit.error_lines[0]
    accepted_line, refused_line, *_ = log.read_text().splitlines()
    assert "from 'CN=me.example'" in accepted_line
    assert "certificate_required" in refused_line


async def test_alpn(ca_file: Path, identity: tuple[str | Path, ...]) -> None:
    async with running(*SERVE, *identity, "--alpn", "one,two") as server:
        command = [*CONNECT, f"127.0.0.1:{server.port}", "--ca", ca_file, "--alpn"]
        chosen = await run_program([*command, "three,two"])
        none = await run_program([*command, "three"])
    assert json.loads(chosen.stdout)["alpn_protocol"] == "two"
    assert "no_application_protocol" in none.error_lines[0]


def test_renewed_certificate_is_logged(
    ca: CA, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    cert, key = write_pem_files(ca.issue("localhost"), tmp_path)
    credentials = ReloadingCredentials.from_pem_files(cert, key)
    credentials = ReloadingCredentials(credentials._load, (cert, key), clock=lambda: now)  # pyright: ignore[reportPrivateUsage]
    select = reloads(credentials)
    first = select(None)
    write_pem_files(ca.issue("localhost"), tmp_path)
    now += 2
    with caplog.at_level(logging.INFO):
        second = select(None)
    assert first.chain[0] != second.chain[0]
    assert "certificate reloaded, public key pin sha256//" in caplog.text
    caplog.clear()
    now += 2
    assert select(None) is second
    assert caplog.text == ""


async def test_serve_uses_renewed_files(
    ca: CA, ca_file: Path, identity: tuple[str | Path, ...], tmp_path: Path
) -> None:
    async with running(*SERVE, *identity) as server:
        command = [*CONNECT, f"127.0.0.1:{server.port}", "--ca", ca_file]
        before = json.loads((await run_program(command)).stdout)
        write_pem_files(ca.issue("localhost", "127.0.0.1"), tmp_path)
        after = before
        with trio.fail_after(60):  # the files are looked at once a second
            while after["certificates"] == before["certificates"]:
                after = json.loads((await run_program(command)).stdout)
    assert after["verified"]


# The log


async def test_nothing_in_the_log_steers_a_terminal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with running(*SERVE, "--self-signed", "--log", log) as server:
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            await stream.send_all(b"GET /\x1b[31m HTTP/1.1\r\n\r\n")
            async for _ in stream:
                pass
        server.process.send_signal(signal.SIGINT)
        await server.read_output()
    failed, stopping = log.read_text().splitlines()
    assert "\\x1b[31m" in failed
    assert failed[:4].isdecimal()
    assert failed[10] == "T"
    assert "stopping; " in stopping
    assert server.output.count(b"\n") == 1  # the pin


# The end


@pytest.mark.parametrize(
    ("options", "signals"),
    [
        (["--drain", "0"], [signal.SIGTERM]),
        (["--drain", "3600"], [signal.SIGTERM, signal.SIGTERM]),
        (["--drain", "3600"], [signal.SIGTERM, signal.SIGINT]),
        (["--drain", "3600"], [signal.SIGINT]),
    ],
)
async def test_clients_get_close_notify_at_the_end(
    ca: CA, identity: tuple[str | Path, ...], options: list[str], signals: list[signal.Signals]
) -> None:
    async with running(*SERVE, *identity, *options) as server:
        async with connection(ca, server) as stream:
            first, *further = signals
            server.process.send_signal(first)
            await says(server, b"stopping; 1 connections open")
            for number in further:
                server.process.send_signal(number)
            # A missing close_notify would raise.
            assert await stream.receive_some() == b""
        assert await server.process.wait() == 0


async def says(server: Server, text: bytes) -> None:
    stdout = server.process.stdout
    assert stdout is not None
    with trio.fail_after(60):
        while text not in server.output:
            server.output += await stdout.receive_some()


async def test_connections_go_on_while_the_server_drains(
    ca: CA, identity: tuple[str | Path, ...]
) -> None:
    async with running(*SERVE, *identity, "--drain", "3600") as server:
        async with connection(ca, server) as stream:
            server.process.send_signal(signal.SIGTERM)
            await says(server, b"stopping; 1 connections open")
            with trio.fail_after(60), pytest.raises(OSError, match="all attempts to connect"):
                await connect_until_refused(server.port)
            await stream.send_all(b"still there")
            assert await stream.receive_some() == b"still there"
        assert await server.process.wait() == 0  # as soon as the last client has gone


async def connect_until_refused(port: int) -> None:
    while True:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.aclose()
