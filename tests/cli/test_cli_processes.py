"""``trio-tlsx serve --processes N``."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from processes import CLI, Server, run_program, running

from trio_tlsx import ClientConfig, ECHKey, ECHRejected, open_tls_over_tcp_stream
from trio_tlsx.testing import CA, write_pem_files

SERVE = (*CLI, "serve", "--port", "0", "--processes", "2")
CONNECT = (*CLI, "connect", "--json")
PUBLIC_NAME = "public.example"
PASSWORD = "a-very-secret-password"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX system")


async def read_until(server: Server, words: bytes, times: int) -> None:
    """Read the output until it has these words so often."""
    stdout = server.process.stdout
    assert stdout is not None
    with trio.fail_after(60):
        while server.output.count(words) < times:
            data = await stdout.receive_some()
            assert data, server.output
            server.output += data


async def description(command: Sequence[str | Path]) -> dict[str, Any]:
    """Connect, send a line, and return the description of the connection."""
    result = await run_program(command, b"GET / HTTP/1.1\r\n\r\n")
    return json.loads(result.stdout.splitlines()[0])


async def assert_stops(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    await server.read_output()
    assert await server.process.wait() == 0, server.output
    assert b"Traceback" not in server.output


async def test_sessions_and_early_data_are_shared(
    ca_file: Path, identity: tuple[str | Path, ...], tmp_path: Path
) -> None:
    session = ("--session", tmp_path / "session")
    async with running(*SERVE, *identity, "--early-data", says=b"listening") as server:
        command = [*CONNECT, f"127.0.0.1:{server.port}", "--ca", ca_file, *session]
        first = await description(command)
        second = await description([*command, "--early-data", "x"])
        await assert_stops(server)
    assert not first["resumed"]
    assert second["resumed"]
    assert second["early_data_accepted"]
    assert b"public key pin sha256//" in server.output


async def test_sighup_replaces_the_processes(ca: CA, identity: tuple[str | Path, ...]) -> None:
    config = ClientConfig(trust=ca.trust)
    async with running(*SERVE, *identity, says=b"listening") as server:
        server.process.send_signal(signal.SIGHUP)
        await read_until(server, b" started, pid ", 2)
        stream = await open_tls_over_tcp_stream("127.0.0.1", server.port, config=config)
        async with stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"
        await assert_stops(server)


async def test_sighup_takes_the_ech_key_that_the_file_has_now(
    ca: CA, ca_file: Path, tmp_path: Path
) -> None:
    """The key of before still decrypts."""
    cert, key = write_pem_files(ca.issue("localhost", PUBLIC_NAME), tmp_path)
    old, new, unknown = (ECHKey.generate(PUBLIC_NAME) for _ in range(3))
    path = tmp_path / "ech.pem"
    path.write_bytes(old.to_pem())
    options = ("--cert", cert, "--key", key, "--ech-key", path)
    async with running(*SERVE, *options, says=b"listening") as server:

        async def retry_configs() -> bytes | None:
            config = ClientConfig(trust=ca.trust, ech=unknown.config_list)
            with pytest.raises(trio.BrokenResourceError) as caught:
                async with await open_tls_over_tcp_stream(
                    "localhost", server.port, config=config
                ) as stream:
                    await stream.do_handshake()
            assert isinstance(caught.value.__cause__, ECHRejected)
            return caught.value.__cause__.retry_configs

        assert await retry_configs() == old.config_list
        path.write_bytes(new.to_pem())
        server.process.send_signal(signal.SIGHUP)
        while await retry_configs() == old.config_list:
            pass
        for configs in (old.config_list, new.config_list):
            ech = base64.b64encode(configs).decode()
            target = f"localhost:{server.port}"
            shown = await description([*CONNECT, target, "--ca", ca_file, "--ech", ech])
            assert shown["ech_accepted"]
        await assert_stops(server)


async def test_processes_show_no_password(
    ca_file: Path, files: tuple[Path, Path], tmp_path: Path
) -> None:
    certificate, key = files
    encryption = BestAvailableEncryption(PASSWORD.encode())
    encrypted = load_pem_private_key(key.read_bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, encryption
    )
    key.write_bytes(encrypted)
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    options = ("--cert", certificate, "--key", key, "--key-password", f"file:{password}")
    async with running(*SERVE, *options, says=b"listening") as server:
        tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
        pids = [server.process.pid, *map(int, " ".join(t.read_text() for t in tasks).split())]
        assert len(pids) == 3
        for pid in pids:
            for file in ("cmdline", "environ"):
                assert PASSWORD.encode() not in Path(f"/proc/{pid}/{file}").read_bytes()
        command = [*CONNECT, f"127.0.0.1:{server.port}", "--ca", ca_file]
        assert (await description(command))["verified"]
        await assert_stops(server)


async def test_self_signed_certificate_is_that_of_all_processes() -> None:
    async with running(*SERVE, "--self-signed", "--http", says=b"listening") as server:
        command = [*CONNECT, f"127.0.0.1:{server.port}", "--insecure"]
        shown = {json.dumps((await description(command))["certificates"]) for _ in range(4)}
        await assert_stops(server)
    assert len(shown) == 1


async def test_failures_are_one_line(identity: tuple[str | Path, ...], tmp_path: Path) -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = str(listener.socket.getsockname()[1])
        taken = await run_program([*SERVE, *identity, "--port", port])
    assert taken.status == 1
    assert taken.error_lines == [
        f"trio-tlsx: cannot listen on 127.0.0.1:{port}: {os.strerror(98)}"
    ]
    log = tmp_path / "no-folder" / "log"
    lost = await run_program([*SERVE, *identity, "--log", log])
    assert lost.status == 1
    assert "No such file" in lost.error_lines[-1]
