"""The examples of the page on fleets: a fleet on one machine, and Redis over TLS."""

from __future__ import annotations

import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from processes import EXAMPLES, peer_program, run_program, running
from redis_servers import RedisServer

from trio_tlsx import ClientConfig, ECHKey, ECHRejected, TLSStream
from trio_tlsx.testing import CA, write_pem_files

FLEET = EXAMPLES / "fleet"
PUBLIC_NAME = "public.example"


@pytest.fixture
def programs() -> None:
    peer_program("redis-server")
    peer_program("haproxy")


async def ask(port: int, config: ClientConfig, text: bytes = b"hello") -> str:
    transport = await trio.open_tcp_stream("127.0.0.1", port)
    async with TLSStream(transport, config, server_hostname="localhost") as stream:
        await stream.send_all(text)
        return bytes(await stream.receive_some()).decode()


async def test_fleet_on_one_machine(programs: None, tmp_path: Path) -> None:
    ca = CA()
    files = write_pem_files(ca.issue("localhost", PUBLIC_NAME), tmp_path)
    config = ClientConfig(trust=ca.trust)
    hidden = ClientConfig(trust=ca.trust, ech=ECHKey.generate(PUBLIC_NAME).config_list)
    command = (sys.executable, FLEET / "run.py", *files, "0", PUBLIC_NAME)
    async with running(*command, says=b"listening on port") as fleet:
        answers = [await ask(fleet.port, config) for _ in range(6)]
        with pytest.raises(trio.BrokenResourceError) as caught:
            await ask(fleet.port, hidden)
        rejected = caught.value.__cause__
        assert isinstance(rejected, ECHRejected)
        hidden = replace(hidden, ech=rejected.retry_configs)
        names = {(await ask(fleet.port, hidden)).split(",")[0] for _ in range(3)}
        fleet.process.send_signal(signal.SIGTERM)
        with trio.fail_after(30):
            assert await fleet.process.wait() == 0
    assert answers[0].endswith(", new: hello")
    assert {answer.split(",")[0] for answer in answers} == {"north", "south", "west"}
    assert names == {"north", "south", "west"}
    assert all(answer.endswith(", resumed: hello") for answer in answers[1:])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", fleet.port))


@pytest.mark.parametrize("program", ["run.py", "server.py"])
async def test_part_of_the_fleet_without_arguments_prints_its_usage(program: str) -> None:
    result = await run_program([sys.executable, FLEET / program])
    assert result.status == 1
    assert f"python {program} " in result.stderr.decode()


async def test_redis_over_tls(tmp_path: Path) -> None:
    ca = CA()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.pem)
    cert, key = write_pem_files(ca.issue("localhost", "127.0.0.1"), tmp_path)
    server = RedisServer(tmp_path / "redis")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    files = ("--tls-cert-file", str(cert), "--tls-key-file", str(key))
    clients = ("--tls-auth-clients", "no")
    try:
        server.start("--tls-port", str(port), *files, *clients)
        program = (sys.executable, EXAMPLES / "redis_over_tls.py", "127.0.0.1", str(port))
        result = await run_program([*program, ca_file])
        assert (result.status, result.stdout) == (0, b"problem: recovering\n")
        ca_file.write_bytes(CA().pem)
        result = await run_program([*program, ca_file])
        assert (result.status, result.stdout) == (0, b"problem: unreachable\n")
    finally:
        server.kill()
