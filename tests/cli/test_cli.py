"""The command ``trio-tlsx``, run as a user runs it, against itself and against other programs."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
import pytest
import trio
from processes import CLI, Result, Server, run_program, running
from rich.console import Console

from trio_tlsx.cli import demo, report
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.testing import CA

SERVE = (*CLI, "serve", "--port", "0")
CONNECT = (*CLI, "connect")
SELF_SIGNED_ECHO = (*SERVE, "--self-signed", "--echo")
SELF_SIGNED_HTTP = (*SERVE, "--self-signed", "--http")


async def connect_to(server: Server, *options: str | Path, stdin: bytes = b"") -> Result:
    return await run_program([*CONNECT, f"127.0.0.1:{server.port}", *options], stdin)


def assert_one_error_line(result: Result, status: int = 1) -> str:
    (line,) = result.error_lines
    assert line.startswith("trio-tlsx: ")
    assert result.status == status
    return line


# demo


async def test_demo_shows_all_of_it() -> None:
    result = await run_program([*CLI, "demo", "--mebibytes", "8"])
    assert result.stderr == b""
    assert result.status == 0
    shown = result.stdout.decode()
    for message in (
        "ClientHello",
        "ServerHello",
        "{EncryptedExtensions}",
        "{Certificate}",
        "{CertificateVerify}",
        "{Finished}",
    ):
        assert message in shown
    assert shown.index("ClientHello") < shown.index("ServerHello") < shown.index("{Finished}")
    assert "X25519MLKEM768" in shown
    assert "Hello, world!" in shown
    assert "close_notify" in shown
    assert re.search(r"[1-9][\d,]* MB/s", shown)
    assert max(map(len, shown.splitlines())) <= 80


async def test_demo_fails_where_the_echo_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve_nonsense(stream: TLSStream[trio.SocketStream]) -> None:
        async with stream:
            async for data in stream:
                await stream.send_all(data.upper())

    monkeypatch.setattr(demo, "_serve_echo", serve_nonsense)
    with pytest.RaisesGroup(pytest.RaisesExc(click.ClickException, match="the echo of")):
        await demo.demo(0)


async def test_demo_fails_where_the_refusal_is_not_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreachable(Exception):
        pass

    monkeypatch.setattr(demo, "HandshakeShutdown", Unreachable)
    match = "instead of an orderly refusal"
    with pytest.RaisesGroup(pytest.RaisesExc(click.ClickException, match=match)):
        await demo.demo(0)


# connect


async def test_connect_describes_and_pipes(files: tuple[Path, Path], ca_file: Path) -> None:
    cert, key = files
    async with running(*SERVE, "--cert", cert, "--key", key) as server:
        result = await connect_to(server, "--ca", ca_file, stdin=b"hello\n")
    assert result.stderr == b""
    assert result.status == 0
    assert max(map(len, result.stdout.decode().splitlines())) <= 80
    described, _, piped = result.stdout.decode().rpartition("SHA-256")
    assert piped.endswith("\nhello\n")
    for fact in ("TLSv1.3", "X25519MLKEM768", "CN=localhost", "ECDSA, secp256r1", "verified"):
        assert fact in described


async def test_connect_passes_everything_both_ways() -> None:
    data = os.urandom(2**20)
    async with running(*SELF_SIGNED_ECHO) as server:
        result = await connect_to(server, "--insecure", "--quiet", stdin=data)
    assert result.stderr == b""
    assert result.stdout == data


async def test_connect_json(files: tuple[Path, Path], ca_file: Path) -> None:
    cert, key = files
    async with running(*SERVE, "--cert", cert, "--key", key, "--http") as server:
        result = await connect_to(
            server, "--ca", ca_file, "--json", "--server-name", "localhost",
            "--alpn", "h2,http/1.1", "--groups", "P-256,x25519",
        )  # fmt: skip
    first_line, _, rest = result.stdout.partition(b"\n")
    assert rest.startswith(b"HTTP/1.1 400 ")
    described = json.loads(first_line)
    certificates = described.pop("certificates")
    assert described == {
        "peer": f"127.0.0.1:{server.port}",
        "server_name": "localhost",
        "ech_accepted": False,
        "version": "TLSv1.3",
        "cipher_suite": "TLS_AES_128_GCM_SHA256",
        "group": "secp256r1",
        "signature_scheme": "ecdsa_secp256r1_sha256",
        "alpn_protocol": "http/1.1",
        "resumed": False,
        "verified": True,
    }
    (leaf,) = certificates
    assert leaf["names"] == ["localhost", "127.0.0.1"]
    assert result.status == 0


async def test_connect_ends_by_itself_with_standard_input_closed() -> None:
    async with running(*SELF_SIGNED_ECHO) as server:
        command = [*CONNECT, f"127.0.0.1:{server.port}", "--insecure"]
        result = await run_program(["sh", "-c", 'exec "$@" <&-', "sh", *command])
    assert result.stderr == b""
    assert result.status == 0


async def test_connect_never_writes_into_the_socket_for_want_of_standard_output() -> None:
    async with running(*SELF_SIGNED_ECHO) as server:
        command = [*CONNECT, f"127.0.0.1:{server.port}", "--insecure"]
        result = await run_program(["sh", "-c", 'exec "$@" <&- >&-', "sh", *command], b"hello")
    assert result.stderr == b""
    assert result.status == 0


async def end_with_close_notify(stream: TLSStream[trio.SocketStream]) -> None:
    await stream.send_all(b"bye\n")
    await stream.aclose()


async def end_without_close_notify(stream: TLSStream[trio.SocketStream]) -> None:
    await stream.send_all(b"by")
    await trio.aclose_forcefully(stream)


async def connect_to_handler(
    handler: Callable[[TLSStream[trio.SocketStream]], Awaitable[None]],
    credentials: Credentials,
    *options: str | Path,
) -> Result:
    """Connect to one connection's server here; standard input has no end."""
    config = ServerConfig(credentials=credentials)
    results: list[Result] = []
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def client() -> None:
        # tail gives standard input that neither says anything nor ends.
        port = listener.socket.getsockname()[1]
        command = [*CONNECT, f"127.0.0.1:{port}", "--quiet", *map(str, options)]
        pipe = 'mkfifo "$0" && { exec 3<>"$0"; exec "$@" <&3; }'
        fifo = Path(str(options[-1])).with_name("fifo")
        results.append(await run_program(["sh", "-c", pipe, fifo, *command]))

    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(client)
        async with TLSStream(await listener.accept(), config) as stream:
            await stream.do_handshake()
            await handler(stream)
    return results[0]


async def test_connect_ends_when_the_peer_does(ca: CA, ca_file: Path) -> None:
    result = await connect_to_handler(
        end_with_close_notify, ca.issue("127.0.0.1"), "--ca", ca_file
    )
    assert result == Result(0, b"bye\n", b"")


async def test_connect_says_that_the_end_is_missing(ca: CA, ca_file: Path) -> None:
    result = await connect_to_handler(
        end_without_close_notify, ca.issue("127.0.0.1"), "--ca", ca_file
    )
    assert result.stdout == b"by"
    assert "close_notify" in assert_one_error_line(result)


async def test_connect_refuses_an_unknown_ca_and_says_so_at_both_sides(
    files: tuple[Path, Path], ca_file: Path
) -> None:
    ca_file.write_bytes(CA().pem)
    cert, key = files
    async with running(*SERVE, "--cert", cert, "--key", key) as server:
        result = await connect_to(server, "--ca", ca_file)
        server.process.send_signal(signal.SIGINT)
        await server.read_output()
    assert "handshake with 127.0.0.1" in assert_one_error_line(result)
    assert b"unknown_ca" in server.output
    assert await server.process.wait() == 0


async def test_connect_refuses_a_wrong_name(files: tuple[Path, Path], ca_file: Path) -> None:
    cert, key = files
    async with running(*SERVE, "--cert", cert, "--key", key) as server:
        result = await connect_to(server, "--ca", ca_file, "--server-name", "b.example")
    line = assert_one_error_line(result)
    assert "b.example" in line
    assert "localhost" in line


async def test_connect_trusts_the_platform_by_default(
    files: tuple[Path, Path], ca_file: Path
) -> None:
    cert, key = files
    async with running(*SERVE, "--cert", cert, "--key", key) as server:
        command = [*CONNECT, f"127.0.0.1:{server.port}", "--json"]
        trusted = await run_program(command, SSL_CERT_FILE=ca_file, SSL_CERT_DIR="")
        ca_file.write_bytes(CA().pem)
        refused = await run_program(command, SSL_CERT_FILE=ca_file, SSL_CERT_DIR="")
    assert json.loads(trusted.stdout)["verified"] is True
    assert "handshake" in assert_one_error_line(refused)


async def test_connect_to_what_does_not_speak_tls() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    results: list[Result] = []

    async def client() -> None:
        port = listener.socket.getsockname()[1]
        results.append(await run_program([*CONNECT, f"127.0.0.1:{port}"]))

    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(client)
        async with await listener.accept() as stream:
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await stream.send_eof()
            async for _ in stream:  # up to the client's end
                pass
    line = assert_one_error_line(results[0])
    assert "does not speak TLS" in line
    assert "HTTP/1.1 400" in line


# serve


async def test_serve_survives_garbage_and_ends_cleanly() -> None:
    async with running(*SELF_SIGNED_ECHO) as server:
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
            async for _ in stream:  # the alert, then the end
                pass
        result = await connect_to(server, "--insecure", "--quiet", stdin=b"still there")
        server.process.send_signal(signal.SIGINT)
        await server.read_output()
    assert result.stdout == b"still there"
    failures = [line for line in server.output.splitlines() if b"failed" in line]
    assert len(failures) == 1
    assert b"Traceback" not in server.output
    assert await server.process.wait() == 0


# Other people's servers


async def test_connect_to_openssl(openssl: str, files: tuple[Path, Path], ca_file: Path) -> None:
    cert, key = files
    command = [openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, "-rev"]
    async with running(*command, says=b"ACCEPT") as server:
        result = await connect_to(
            server, "--ca", ca_file, "--quiet", "--groups", "x25519,P-256", stdin=b"hello\n"
        )
    assert result.stderr == b""
    assert result.stdout == b"olleh\n"


# What it looks like


def test_labels_and_values_are_separated() -> None:
    assert max(map(len, report.LABELS.values())) < report.LABEL_WIDTH


def test_long_values_are_wrapped_on_a_terminal_only() -> None:
    names = [f"host-{number}.example" for number in range(8)]
    on_terminal, in_file = io.StringIO(), io.StringIO()
    report.print_facts(
        Console(file=on_terminal, force_terminal=True, width=80, no_color=True), {"names": names}
    )
    report.print_facts(Console(file=in_file, width=80), {"names": names})
    lines = re.sub(r"\x1b\[\d*m", "", on_terminal.getvalue()).splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 80
    assert {line[:16].strip() for line in lines[1:]} == {""}
    assert in_file.getvalue().split(maxsplit=1)[1] == ", ".join(names) + "\n"
