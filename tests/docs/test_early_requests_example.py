"""The examples of early data and of an observer, with clients of this library."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio
from early_data_streams import ReusingSessionStore
from processes import EXAMPLES, run_program, running

from trio_tlsx import ClientConfig, open_tls_over_tcp_stream
from trio_tlsx.testing import CA, write_pem_files

SECONDS = 20  # something hangs
SERVER = (sys.executable, EXAMPLES / "early_requests.py")

ca = CA()
credentials = ca.issue("localhost")


async def ask(config: ClientConfig, port: int, early: bytes, later: bytes = b"") -> bytes:
    with trio.fail_after(SECONDS):
        stream = await open_tls_over_tcp_stream("localhost", port, config=config, early_data=early)
        async with stream:
            if later:
                await stream.send_all(later)
            answer = b"".join([data async for data in stream])
            assert stream.negotiated.early_data_accepted == bool(early)
            return answer


@pytest.mark.parametrize(
    ("early", "later", "answer"),
    [
        (b"GET /\n", b"", b"early: GET /\n"),
        (b"PUT /\n", b"", b"late: PUT /\n"),
        (b"GET", b" /\n", b"done: GET /\n"),
    ],
)
async def test_early_requests(early: bytes, later: bytes, answer: bytes, tmp_path: Path) -> None:
    files = write_pem_files(credentials, tmp_path)
    config = ClientConfig(
        trust=ca.trust, session_store=ReusingSessionStore(), session_context=b"test"
    )
    async with running(*SERVER, *files, "0") as server:
        assert await ask(config, server.port, b"", b"GET /\n") == b"done: GET /\n"
        assert await ask(config, server.port, early, later) == answer


async def test_handshake_messages(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.pem)
    files = write_pem_files(credentials, tmp_path)
    async with running(*SERVER, *files, "0") as server:
        program = (sys.executable, EXAMPLES / "handshake_messages.py")
        result = await run_program([*program, "localhost", str(server.port), ca_file])
    assert result.error_lines == []
    messages = [line.split()[:2] for line in result.stdout.decode().splitlines()]
    assert messages[0] == ["sent", "client_hello"]
    assert messages[1] == ["received", "server_hello"]
    assert messages[6] == ["sent", "finished"]
