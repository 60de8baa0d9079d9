"""``trio-tlsx connect`` to a server with a raw public key."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from processes import CLI, run_program
from raw_key_pairs import CLIENT_KEY, KEYS, SERVER_KEY

from trio_tlsx import ServerConfig, TLSStream, serve_tls_over_tcp

CONNECT = (*CLI, "connect")


@pytest.fixture
def public_key(tmp_path: Path) -> Path:
    path = tmp_path / "server.pub"
    path.write_bytes(
        KEYS["P-256"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return path


@asynccontextmanager
async def raw_server(config: ServerConfig) -> AsyncGenerator[str, None]:
    """Serve an echo; return where."""

    async def echo(stream: TLSStream[trio.SocketStream]) -> None:
        async for data in stream:
            await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        serve = partial(serve_tls_over_tcp, echo, 0, config, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        yield f"127.0.0.1:{listener.port}"
        nursery.cancel_scope.cancel()


async def test_report_has_the_pin(public_key: Path) -> None:
    pin = SERVER_KEY.raw_public_key.pin if SERVER_KEY.raw_public_key else ""
    async with raw_server(ServerConfig(credentials=SERVER_KEY)) as where:
        options = ("--public-key", public_key)
        done = await run_program([*CONNECT, where, *options, "--json"], stdin=b"hello")
        prose = await run_program([*CONNECT, where, *options])
    facts = json.loads(done.stdout.splitlines()[0])
    assert facts["raw_public_key"] == pin
    assert facts["certificates"] == []
    assert facts["verified"]
    assert done.stdout.endswith(b"hello")
    assert b"raw key" in prose.stdout
    assert pin.encode() in prose.stdout


async def test_other_key_is_rejected(public_key: Path) -> None:
    async with raw_server(ServerConfig(credentials=CLIENT_KEY)) as where:
        done = await run_program([*CONNECT, where, "--public-key", public_key])
    assert done.status != 0
    assert b"is not trusted" in done.stderr


@pytest.mark.parametrize("option", ["--ca", "--insecure", "--session"])
async def test_options_that_exclude_each_other(public_key: Path, option: str) -> None:
    value = [] if option == "--insecure" else [public_key]
    command = [*CONNECT, "127.0.0.1:9", "--public-key", public_key, option, *value]
    done = await run_program(command)
    assert done.status == 2
    assert b"exclude each other" in done.stderr


async def test_file_without_a_public_key_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "no.pub"
    path.write_bytes(b"no key")
    done = await run_program([*CONNECT, "127.0.0.1:9", "--public-key", path])
    assert done.status != 0
    assert b"--public-key: the file" in done.stderr
