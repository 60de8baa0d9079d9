"""STARTTLS by the example, against real servers and real clients, and against attackers."""

from __future__ import annotations

import imaplib
import json
import smtplib
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from mail_and_database_servers import aiosmtpd, dovecot, postgresql, postgresql_programs
from processes import CLI, EXAMPLES, load_example, peer_program, run_program, running

from trio_tlsx import ClientConfig, Credentials, ServerConfig, TLSError
from trio_tlsx.testing import CA, write_pem_files

EXAMPLE = (sys.executable, EXAMPLES / "starttls.py")

SECONDS = 20  # something hangs

starttls = load_example("starttls")
ca = CA()
credentials = ca.issue("localhost", "127.0.0.1")
CLIENT = ClientConfig(trust=ca.trust)

Serving = Callable[[Credentials], AbstractAsyncContextManager[int]]


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_bytes(ca.pem)
    return path


@pytest.fixture
def programs(request: pytest.FixtureRequest) -> None:
    name = request.getfixturevalue("protocol")
    if name == "imap":
        peer_program("dovecot", "dovecot-imapd")
    if name == "postgres":
        postgresql_programs()


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(
    ("protocol", "serving", "answer"),
    [
        ("smtp", aiosmtpd, "250-"),
        ("imap", dovecot, "* CAPABILITY IMAP4rev1"),
        ("postgres", postgresql, "R"),
    ],
)
async def test_the_client_against_a_real_server(
    protocol: str, serving: Serving, answer: str, ca_file: Path
) -> None:
    async with serving(credentials) as port:
        result = await run_program([*EXAMPLE, "client", protocol, "127.0.0.1", str(port), ca_file])
    assert result.error_lines == []
    assert result.stdout.decode().startswith(f"TLSv1.3 {answer}")


async def answer_of(command: list[str | Path], request_text: bytes, answer: bytes) -> bytes:
    """Return the output of a program, whose input ends only after the answer.

    A server that reads the end of the input together with a command may not answer it.
    """
    run = partial(
        trio.run_process,
        [str(word) for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        check=False,
    )
    output = b""
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            process: trio.Process = await nursery.start(run)
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.send_all(request_text)
            while b"\n" + answer not in output:
                data = await process.stdout.receive_some()
                assert data, output
                output += data
            await process.stdin.aclose()
            async for data in process.stdout:
                output += data
    return output


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(
    ("protocol", "serving", "request_text", "answer"),
    [
        ("smtp", aiosmtpd, b"QUIT\r\n", b"221 "),
        ("imap", dovecot, b"b LOGOUT\r\n", b"* BYE "),
        ("postgres", postgresql, b"", b""),
    ],
)
async def test_the_command_line_against_a_real_server(
    protocol: str, serving: Serving, request_text: bytes, answer: bytes, ca_file: Path
) -> None:
    async with serving(credentials) as port:
        target = [f"127.0.0.1:{port}", "--starttls", protocol, "--ca", ca_file, "--json"]
        output = await answer_of([*CLI, "connect", *target], request_text, answer)
        checked = await run_program([*CLI, "check", *target])
    description, _, data = output.partition(b"\n")
    assert json.loads(description)["verified"]
    assert data.startswith(answer)
    report = json.loads(checked.stdout)
    assert (checked.status, report["status"]) == (0, "OK")
    assert "TLSv1.3" in report["versions"]
    assert "secp256r1" in report["groups"]


def use_smtplib(port: int) -> None:
    with smtplib.SMTP("localhost", port, timeout=20) as client:
        client.starttls(context=ssl.create_default_context(cadata=ca.pem.decode()))
        code, text = client.ehlo()
        assert (code, text.split()) == (250, [b"mail.example", b"8BITMIME"])
        assert client.noop() == (250, b"OK")


def use_imaplib(port: int) -> None:
    with imaplib.IMAP4("localhost", port, timeout=20) as client:
        client.starttls(ssl.create_default_context(cadata=ca.pem.decode()))
        assert client.capabilities == ("IMAP4REV1",)
        assert client.noop()[0] == "OK"


@pytest.mark.parametrize(("protocol", "use"), [("smtp", use_smtplib), ("imap", use_imaplib)])
async def test_the_server_against_the_stdlib(
    protocol: str, use: Callable[[int], None], tmp_path: Path
) -> None:
    files = write_pem_files(credentials, tmp_path)
    async with running(*EXAMPLE, "server", protocol, *files, "0") as server:
        await trio.to_thread.run_sync(use, server.port)


@pytest.fixture
def psql() -> Path:
    return postgresql_programs() / "psql"


async def test_the_server_against_psql(psql: Path, ca_file: Path, tmp_path: Path) -> None:
    files = write_pem_files(credentials, tmp_path)
    async with running(*EXAMPLE, "server", "postgres", *files, "0") as server:
        target = (
            f"host=localhost port={server.port} user=a dbname=b sslmode=verify-full "
            f"sslrootcert={ca_file}"
        )
        result = await run_program([psql, "--no-psqlrc", target, "-c", "select 1"])
    assert result.stdout == b"HELLO\n", result.stderr


# Attackers


@asynccontextmanager
async def scripted(*script: tuple[bytes, bytes]) -> AsyncGenerator[int, None]:
    """A server that plays a script, then is an honest TLS server; gives its port."""

    async def play(stream: trio.SocketStream) -> None:
        for expected, answer in script:
            received = b""
            while len(received) < len(expected):
                received += await stream.receive_some()
            await stream.send_all(answer)
        async for _ in stream:
            pass

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, play, 0, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("protocol", "script"),
    [
        (
            "smtp",
            [(b"", b"220 x\r\n"), (b"EHLO", b"250 STARTTLS\r\n"), (b"S", b"220\r\n250 x\r\n")],
        ),
        ("imap", [(b"", b"* OK\r\n"), (b"a STARTTLS\r\n", b"a OK\r\n* CAPABILITY X\r\n")]),
        ("postgres", [(bytes(8), b"SR\x00\x00\x00\x08\x00\x00\x00\x00")]),
    ],
)
async def test_plaintext_behind_the_servers_answer_ends_the_connection(
    protocol: str, script: list[tuple[bytes, bytes]]
) -> None:
    """CVE-2011-0411 and CVE-2021-23222: it must not be taken for an answer over TLS."""
    async with scripted(*script) as port:
        stream = await starttls.connect(protocol, "127.0.0.1", port, ClientConfig(trust=ca.trust))
        with pytest.raises(trio.BrokenResourceError, match="does not speak TLS") as caught:
            await starttls.USES[protocol](starttls.Reader(stream))
        assert isinstance(caught.value.__cause__, TLSError)
        await trio.aclose_forcefully(stream)


@pytest.mark.parametrize(
    ("protocol", "request_and_more"),
    [
        ("smtp", b"EHLO x\r\nSTARTTLS\r\nRSET\r\nMAIL FROM:<a@b.example>\r\n"),
        ("imap", b"a STARTTLS\r\nb LOGIN mallory secret\r\n"),
        ("postgres", starttls.SSL_REQUEST + bytes.fromhex("00000008 00030000")),
    ],
)
async def test_plaintext_behind_the_clients_request_ends_the_connection(
    protocol: str, request_and_more: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """CVE-2011-0411 and CVE-2021-23214: it must not be taken for a command over TLS."""
    config = ServerConfig(credentials=credentials)
    async with trio.open_nursery() as nursery:
        handler = partial(starttls.serve, protocol, config)
        [listener] = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
        port: int = listener.socket.getsockname()[1]
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(request_and_more)
            answer = b"".join([data async for data in stream])
        nursery.cancel_scope.cancel()
    alert = bytes.fromhex("15 0303 0002 02 0a")  # unexpected_message
    assert answer.endswith(alert)
    [line] = [record.getMessage() for record in caplog.records if record.name == "trio_tlsx"]
    assert "does not speak TLS" in line


def ended(lines: str) -> Any:
    return pytest.raises(starttls.ConversationEnded, match=lines)


@pytest.mark.parametrize(
    ("protocol", "script", "why"),
    [
        ("smtp", [(b"", b"554 no\r\n")], "554 no"),
        ("smtp", [(b"", b"2" * 2**14)], "more than 4096 bytes"),
        ("imap", [(b"", b"* OK\r\n"), (b"a", b"a NO\r\n")], "a NO"),
        ("postgres", [(bytes(8), b"N")], "answered b'N'"),
    ],
)
async def test_starttls_server_offers_no_tls(
    protocol: str, script: list[tuple[bytes, bytes]], why: str
) -> None:
    async with scripted(*script) as port:
        with ended(why):
            await starttls.connect(protocol, "127.0.0.1", port, ClientConfig(trust=ca.trust))


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ("smtp", b"MAIL FROM:<>\r\nQUIT\r\n"),
        ("imap", b"a X\r\nb LOGOUT\r\n"),
        ("postgres", bytes(8)),
        ("smtp", b""),
    ],
)
async def test_starttls_client_requests_no_tls(
    protocol: str, said: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server, client = trio.testing.memory_stream_pair()
    await client.send_all(said)
    await client.send_eof()
    await starttls.serve(protocol, ServerConfig(credentials=credentials), server)
    said_at_the_end = capsys.readouterr().out
    assert said_at_the_end.startswith(("no TLS: the client", "no TLS: the peer has closed"))


async def test_reset_in_the_plaintext_does_not_end_the_server(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = partial(starttls.serve, "smtp", ServerConfig(credentials=credentials))
    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
        port: int = listener.socket.getsockname()[1]
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.receive_some()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()
        async with await starttls.connect("smtp", "127.0.0.1", port, CLIENT) as secure:
            await secure.do_handshake()
        nursery.cancel_scope.cancel()
    assert "no TLS: " in capsys.readouterr().out
