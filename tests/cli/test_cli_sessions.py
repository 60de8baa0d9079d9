"""Sessions and tickets on the command line, compared with ``openssl``."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from processes import CLI, Result, Server, run_program, running

from trio_tlsx.testing import CA

SERVE = (*CLI, "serve", "--port", "0")


@pytest.fixture
def session_file(tmp_path: Path) -> Path:
    return tmp_path / "session"


async def connect(server: Server, *options: str | Path) -> Result:
    target = f"127.0.0.1:{server.port}"
    return await run_program([*CLI, "connect", target, "--json", *options], b"hello\n")


def resumed(result: Result) -> bool:
    facts, said = result.stdout.splitlines()
    assert result.status == 0, result.stderr
    assert said in (b"hello", b"olleh")
    return json.loads(facts)["resumed"]


@pytest.mark.parametrize(
    "version", [[], ["-tls1_2"], ["-tls1_2", "-no_ticket"]], ids=["1.3", "ticket", "session id"]
)
async def test_connect_resumes_with_openssl(
    openssl: str,
    identity: tuple[str | Path, ...],
    ca_file: Path,
    session_file: Path,
    version: list[str],
) -> None:
    _, cert, _, key = identity
    command = [openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key]
    options = ["--ca", ca_file, "--session", session_file]
    command += ["-rev", "-naccept", "3", *version]
    async with running(*command, says=b"ACCEPT") as server:
        with trio.fail_after(60):
            said = [resumed(await connect(server, *options)) for _ in range(3)]
            await server.read_output()
    assert said == [False, True, True]
    assert b" 2 session cache hits\n" in server.output
    assert stat.S_IMODE(session_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("tickets", [0, 1, 5])
async def test_openssl_resumes_with_serve(
    openssl: str,
    identity: tuple[str | Path, ...],
    ca_file: Path,
    session_file: Path,
    tickets: int,
) -> None:
    command = [openssl, "s_client", "-CAfile", ca_file, "-verify_return_error", "-ign_eof"]
    command += ["-sess_out", session_file]
    request = b"GET / HTTP/1.0\r\n\r\n"
    async with running(*SERVE, *identity, "--http", "--tickets", str(tickets)) as server:
        command += ["-connect", f"127.0.0.1:{server.port}"]
        first = await run_program(command, request)
        assert first.stdout.count(b"New Session Ticket arrived") == tickets
        assert b"\nNew, TLSv1.3" in first.stdout
        if tickets:
            second = await run_program([*command, "-sess_in", session_file], request)
            assert b"\nReused, TLSv1.3" in second.stdout
            told = b""
            while b"resumed" not in told:
                assert server.process.stdout is not None
                told += await server.process.stdout.receive_some()
    assert session_file.exists() is bool(tickets)


async def test_connect_resumes_with_serve(
    ca: CA, identity: tuple[str | Path, ...], ca_file: Path, session_file: Path, tmp_path: Path
) -> None:
    options = ["--ca", ca_file, "--session", session_file]
    async with running(*SERVE, *identity, "--tickets", "1") as server:
        assert not resumed(await connect(server, *options))
        assert resumed(await connect(server, *options))
        # Trust that differs by no more than a line is another trust.
        other_trust = tmp_path / "other.pem"
        other_trust.write_bytes(ca_file.read_bytes() + b"\n" + CA().pem)
        assert not resumed(await connect(server, "--ca", other_trust, "--session", session_file))
        # One that was cut is as good as none.
        session_file.write_bytes(session_file.read_bytes()[:-1])
        assert not resumed(await connect(server, *options))
        assert resumed(await connect(server, *options))
    async with running(*SERVE, *identity, "--tickets", "0") as server:
        assert not resumed(await connect(server, *options))
        assert not resumed(await connect(server, *options))


async def test_connect_sends_early_data_to_openssl(
    openssl: str, identity: tuple[str | Path, ...], ca_file: Path, session_file: Path
) -> None:
    _, cert, _, key = identity
    command = [openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key]
    command += ["-early_data", "-naccept", "3"]
    options = ["--ca", ca_file, "--session", session_file, "--early-data", "early words"]
    said: list[bool] = []
    # Its input stays open: it ends with it, and -rev does not go with early data.
    process = await opened(command)
    assert process.stdout is not None
    output = b""
    with trio.fail_after(60):
        while not output.endswith(b"\n") or b"ACCEPT" not in output:
            output += await process.stdout.receive_some()
        server = Server(process, output.decode().splitlines()[-1])
        for _ in range(3):
            result = await connect(server, *options)
            facts = json.loads(result.stdout.splitlines()[0])
            said.append(facts["early_data_accepted"])
            assert facts["resumed"] == said[-1]
        await server.read_output()
        await process.wait()
    assert said == [False, True, True]
    # What was not taken is not sent again by itself.
    assert server.output.count(b"early words") == 2
    assert server.output.count(b"Early data received") == 2


async def opened(command: Sequence[str | Path]) -> trio.Process:
    """A program whose input stays open."""
    return await trio.lowlevel.open_process(
        [str(word) for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


async def test_openssl_sends_early_data_to_serve(
    openssl: str,
    identity: tuple[str | Path, ...],
    ca_file: Path,
    session_file: Path,
    tmp_path: Path,
) -> None:
    early = tmp_path / "early"
    early.write_bytes(b"early words\n")
    command = [openssl, "s_client", "-CAfile", ca_file, "-verify_return_error"]
    command += ["-sess_out", session_file]
    async with running(*SERVE, *identity, "--early-data") as server:
        command += ["-connect", f"127.0.0.1:{server.port}"]
        first = await talk(command, b"hello\n")
        assert b"Max Early Data: 14336" in first
        again = await talk([*command, "-sess_in", session_file, "-early_data", early], b"hello\n")
        assert b"Early data was accepted" in again
        assert again.count(b"early words") == 1
        refused = await talk([*command, "-sess_in", session_file], b"hello\n")
        assert b"Early data was not sent" in refused


async def talk(command: Sequence[str | Path], data: bytes) -> bytes:
    """Run a client until it has its data back; give all that it said."""
    output = b""
    process = await opened(command)
    assert process.stdin is not None
    assert process.stdout is not None
    with trio.fail_after(60):
        await process.stdin.send_all(data)
        while data not in output.split(b"---")[-1]:
            chunk = await process.stdout.receive_some()
            assert chunk, output
            output += chunk
        await process.stdin.aclose()
        async for chunk in process.stdout:
            output += chunk
        await process.wait()
    return output


async def test_connect_sends_early_data_to_serve(
    identity: tuple[str | Path, ...], ca_file: Path, session_file: Path
) -> None:
    options = ["--ca", ca_file, "--session", session_file, "--early-data", "early\n"]
    for taking in (True, False):
        async with running(*SERVE, *identity, *["--early-data"][: int(taking)]) as server:
            for accepted in (False, taking, taking):
                result = await connect(server, *options)
                assert result.status == 0
                facts, *echo = result.stdout.splitlines()
                assert json.loads(facts)["early_data_accepted"] == accepted
                assert echo == ([b"early", b"hello"] if accepted else [b"hello"])


@pytest.mark.parametrize(
    ("options", "why", "status"),
    [
        (["--early-data", "x"], "--session", 2),
        (["--session", "{keep}"], "is not a session file", 1),
        (["--session", "{missing}/session"], "does not exist", 1),
        (["--session", "{new}", "--insecure"], "--insecure", 2),
    ],
)
async def test_session_options_that_are_rejected(
    tmp_path: Path, options: list[str], why: str, status: int
) -> None:
    keep = tmp_path / "keep"
    keep.write_bytes(b"something else")
    names = {"keep": keep, "missing": tmp_path / "missing", "new": tmp_path / "new"}
    command = [*CLI, "connect", "127.0.0.1:1", *(option.format(**names) for option in options)]
    result = await run_program(command)
    [line] = result.error_lines
    assert why in line
    assert result.status == status
    assert keep.read_bytes() == b"something else"
    assert not (tmp_path / "new").exists()
