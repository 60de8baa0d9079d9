"""A recorded first flight, sent to two processes that share ticket keys and a cache."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio
from processes import Server, running
from tls_pairs import SERVER_NAME

from trio_tlsx import ClientConfig, Connection, TLSStream
from trio_tlsx.testing import CA, write_pem_files

EARLY = b"early words"
TIMES = 50  # to each of them
SECONDS = 60  # after which it hangs

SERVER = """
import os, sys
from pathlib import Path

import trio

import trio_tlsx

certificate, key, directory = sys.argv[1:]


class Files:
    # A claim is a file: of those who make it the kernel lets one be the first.
    async def claim(self, identifier, since, until):
        return await trio.to_thread.run_sync(self.create, Path(directory, identifier.hex()))

    def create(self, path):
        try:
            path.open("x").close()
        except FileExistsError:
            return False
        return True


config = trio_tlsx.ServerConfig(
    credentials=trio_tlsx.Credentials.from_pem_files(certificate, key),
    ticket_keys=trio_tlsx.TicketKeys([bytes(32)]),
    max_early_data_size=1000,
    anti_replay_cache=Files(),
)


async def handle(stream):
    try:
        async with stream:
            while data := await stream.receive_replayable_early_data():
                print("taken", data.decode(), flush=True)
            await stream.send_all(b"hello")
    except trio.BrokenResourceError:
        pass  # a replay does not come to its end
    print("over", flush=True)


async def main():
    listeners = await trio_tlsx.open_tls_over_tcp_listeners(0, config, host="127.0.0.1")
    [listener] = listeners
    print(listener.port, flush=True)
    await trio.serve_listeners(handle, listeners)


trio.run(main)
"""


@pytest.fixture
def command(ca: CA, tmp_path: Path) -> list[str | Path]:
    cache = tmp_path / "cache"
    cache.mkdir()
    files = write_pem_files(ca.issue(SERVER_NAME), tmp_path)
    return [sys.executable, "-c", SERVER, *files, cache]


async def read_until_over(server: Server, times: int) -> None:
    """Wait until so many connections were handled."""
    stdout = server.process.stdout
    assert stdout is not None
    while server.output.count(b"over\n") < times:
        chunk = await stdout.receive_some()
        assert chunk, server.output
        server.output += chunk


async def get_ticket(config: ClientConfig, port: int) -> None:
    transport = await trio.open_tcp_stream("127.0.0.1", port)
    async with TLSStream(transport, config, server_hostname=SERVER_NAME) as stream:
        assert await stream.receive_some() == b"hello"


async def replay(flight: bytes, port: int) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as attacker:
        await attacker.send_all(flight)
        assert await attacker.receive_some()


async def test_early_data_is_accepted_once_by_two_processes(
    ca: CA, command: list[str | Path]
) -> None:
    config = ClientConfig(trust=ca.trust)
    with trio.fail_after(SECONDS):
        async with running(*command) as one, running(*command) as other:
            await get_ticket(config, one.port)
            client = Connection.client(config, SERVER_NAME, early_data=EARLY)
            client.do_handshake()
            flight = client.data_to_send()
            async with trio.open_nursery() as nursery:
                for _ in range(TIMES):
                    nursery.start_soon(replay, flight, one.port)
                    nursery.start_soon(replay, flight, other.port)
            await read_until_over(one, TIMES + 1)
            await read_until_over(other, TIMES)
    assert (one.output + other.output).count(b"taken " + EARLY) == 1
