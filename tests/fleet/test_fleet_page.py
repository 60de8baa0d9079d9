"""The code on the page about fleets runs as it stands there."""

from __future__ import annotations

import re
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from coredis.connection import TCPConnection, TCPLocation
from one_store import OneStore
from processes import EXAMPLES, ROOT, free_port, load_example, running
from prometheus_client import CollectorRegistry, generate_latest
from redis_servers import redis_server
from supervised import TIMEOUT

import trio_tlsx
from trio_tlsx import ClientConfig, ECHKey, TLSStream, open_tls_over_tcp_stream
from trio_tlsx.contrib.redis import RedisAntiReplayCache, Refusal
from trio_tlsx.testing import CA, write_pem_files

HOST, PUBLIC_NAME = "127.0.0.1", "public.example"
PAGE = ROOT / "docs" / "fleet.md"
BLOCKS: dict[str, str] = {
    name: block
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    for name in ("def ech_keys", "RedisTicketKeys", "sentinel")
    if name in block
}

#: The commands of Redis that the library needs, by the page.
COMMANDS = "hello eval evalsha info time wait set get del exists pexpire"
CATEGORIES = "@hash @sortedset @list"


def test_each_block_of_python_is_tested() -> None:
    assert PAGE.read_text().count("```python\n") == len(BLOCKS) == 3


async def fetch(port: int, config: ClientConfig) -> bytes:
    stream = await open_tls_over_tcp_stream(
        HOST, port, config=config, server_hostname="localhost", https_compatible=True
    )
    async with stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b"".join([bytes(data) async for data in stream])


async def test_hypercorn_in_several_processes(tmp_path: Path) -> None:
    ca = CA()
    files = write_pem_files(ca.issue("localhost"), tmp_path)
    config = ClientConfig(trust=ca.trust, alpn_protocols=["http/1.1"])
    command = (sys.executable, EXAMPLES / "hypercorn_processes.py", *files, "0", "2")
    async with running(*command, says=b"listening on port") as server:
        for _ in range(4):
            assert (await fetch(server.port, config)).endswith(b"HTTP/1.1\n")
        server.process.send_signal(signal.SIGHUP)
        assert (await fetch(server.port, config)).endswith(b"HTTP/1.1\n")
        server.process.send_signal(signal.SIGTERM)
        await server.read_output()
        assert await server.process.wait() == 0, server.output
    assert b"Traceback" not in server.output


def test_metrics_of_refused_early_data() -> None:
    cache = RedisAntiReplayCache(OneStore())
    registry = CollectorRegistry()
    registry.register(load_example("fleet/early_data_metrics").RefusedEarlyData(cache))
    cache.refusals[Refusal.REPLAY] += 3
    line = b'tls_early_data_refusals_total{reason="replay"} 3.0\n'
    assert line in generate_latest(registry)


async def echo(stream: TLSStream[trio.SocketStream]) -> None:
    async with stream:
        async for data in stream:
            await stream.send_all(data)


async def hides_name(port: int, config: ClientConfig) -> bool:
    """Send a line, as soon as somebody listens; return whether the name was hidden."""
    while True:
        try:
            transport = await trio.open_tcp_stream(HOST, port)
        except OSError:
            await trio.lowlevel.checkpoint()
            continue
        async with TLSStream(transport, config, server_hostname="localhost") as stream:
            await stream.send_all(b"hello")
            assert (await stream.receive_some()).endswith(b"hello")
            return stream.negotiated.ech_accepted


def run_block(name: str, replacements: Sequence[tuple[str, str]], **names: Any) -> dict[str, Any]:
    """Run a block of the page, with other values for some of it, and return its names."""
    block = BLOCKS[name]
    for old, new in replacements:
        assert block.count(old) == 1, old
        block = block.replace(old, new)
    names["trio_tlsx"], names["trio"] = trio_tlsx, trio
    exec(compile(block, str(PAGE), "exec"), names)
    return names


async def test_servers_with_redis(tmp_path: Path) -> None:
    """The user of Redis may do what the page names, and no more."""
    ca = CA()
    port = free_port()
    with redis_server(tmp_path) as redis:
        allowed = [f"+{each}" for each in f"{COMMANDS} {CATEGORIES}".split()]
        keys = ("resetkeys", "~trio-tlsx:*")
        user = ("tls", "on", ">a password", *keys, "-@all", *allowed)
        assert redis.command("ACL", "SETUSER", *user) == "OK"
        replacements = (
            ('"redis.internal", 6379', f'"{HOST}", {redis.port}'),
            ("(handle, 443, config,", f'(handle, {port}, config, host="{HOST}",'),
        )
        names = run_block(
            "RedisTicketKeys",
            replacements,
            password="a password",
            key_encryption_key=secrets.token_bytes(32),
            credentials=ca.issue("localhost", PUBLIC_NAME),
            handle=echo,
        )
        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(names["main"])
                assert not await hides_name(port, ClientConfig(trust=ca.trust))
                nursery.cancel_scope.cancel()
        kinds = {key.split(":")[1] for key in redis.command("KEYS", "*").split()}
        assert kinds == {"0rtt", "ech-keys", "ticket-keys"}


async def test_sentinel_is_asked_for_the_primary() -> None:
    class Sentinel:
        async def discover_primary(self, name: str) -> tuple[str, int]:
            assert name == "tls"
            return HOST, 1234

    classes = {"TCPConnection": TCPConnection, "TCPLocation": TCPLocation}
    names = run_block("sentinel", (), sentinel=Sentinel(), **classes)
    connection = await names["connect"]()
    assert isinstance(connection, TCPConnection)


async def test_ech_keys_of_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = CA()
    files = write_pem_files(ca.issue("localhost", PUBLIC_NAME), tmp_path)
    key = ECHKey.generate(PUBLIC_NAME)
    (tmp_path / "ech.pem").write_bytes(key.to_pem())
    monkeypatch.chdir(tmp_path)
    port = free_port()
    called = f'"worker_functions:echo", *files, host="{HOST}", handle_signals=False, port={port}'
    names = run_block(
        "def ech_keys",
        (
            ('"package.module:serve", port=443', called),
            ("await trio_tlsx", "async def main():\n    await trio_tlsx"),
        ),
        files=[str(path) for path in files],
        Path=Path,
    )
    config = ClientConfig(trust=ca.trust, ech=key.config_list)
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(names["main"])
            assert await hides_name(port, config)
            nursery.cancel_scope.cancel()
