"""Servers in several processes: who accepts, what they share, what happens if one dies."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio
from supervised import Pipe, TCPStream, ask, ask_often, ask_once, connect, supervised

from trio_tlsx import (
    ClientConfig,
    Connection,
    Session,
    TLSStream,
    WorkerError,
    open_tls_over_tcp_stream,
    serve_in_processes,
)
from trio_tlsx.sessions.ticket_keys import NAME_LENGTH
from trio_tlsx.testing import CA, write_pem_files

HOST = "127.0.0.1"
CONNECTIONS = 200
EARLY = b"early words"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX system")


@pytest.fixture
def files(ca: CA, tmp_path: Path) -> tuple[str, str]:
    certificate, key = write_pem_files(ca.issue(HOST), tmp_path)
    return str(certificate), str(key)


@pytest.fixture
def config(ca: CA) -> ClientConfig:
    return ClientConfig(trust=ca.trust)


@pytest.fixture
async def pipe(tmp_path: Path) -> AsyncGenerator[Pipe, None]:
    pipe = Pipe(tmp_path / "pipe")
    yield pipe
    await pipe.aclose()


async def wait_closed(port: int) -> None:
    """Wait until the last worker has closed its listener."""
    with suppress(OSError):
        while True:
            await trio.aclose_forcefully(await trio.open_tcp_stream(HOST, port))


# What the workers share


@pytest.mark.parametrize("reuse_port", [False, True])
async def test_each_worker_gets_its_share_of_the_connections(
    files: tuple[str, str], config: ClientConfig, reuse_port: bool
) -> None:
    async with supervised("echo", *files, reuse_port=reuse_port) as supervisor:
        served = await ask_often(supervisor.port, config, connections=CONNECTIONS)
        assert set(served) == set(supervisor.pids)
        assert os.getpid() not in served
        for count in served.values():
            assert 0.35 * CONNECTIONS <= count <= 0.65 * CONNECTIONS


async def test_session_is_resumed_in_another_worker(
    files: tuple[str, str], config: ClientConfig
) -> None:
    moved = 0
    async with supervised("echo", *files) as supervisor:
        before = await ask_once(supervisor.port, config)
        for _ in range(50):
            async with await connect(supervisor.port, config) as stream:
                pid = await ask(stream)
                assert stream.negotiated.resumed
            moved += pid != before
            before = pid
    assert moved > 0


async def test_session_is_not_resumed_after_its_keys_were_withdrawn(
    files: tuple[str, str], config: ClientConfig
) -> None:
    async with supervised("echo", *files, processes=1) as supervisor:
        await ask_once(supervisor.port, config)
        supervisor.use_ticket_keys()
        resumed = True
        while resumed:  # the worker learns of it at once, but not before
            async with await connect(supervisor.port, config) as stream:
                await ask(stream)
                resumed = stream.negotiated.resumed


async def test_workers_use_new_ticket_keys_and_resume_sessions_of_the_old_ones(
    files: tuple[str, str], config: ClientConfig
) -> None:
    old, new = bytes(32), bytes([1] * 32)
    async with supervised("echo", *files, processes=1, ticket_keys=[old]) as supervisor:

        async def ticket_name() -> tuple[bytes, bool]:
            async with await connect(supervisor.port, config) as stream:
                await ask(stream)
                assert isinstance(stream.session, Session)
                return stream.session.ticket[:NAME_LENGTH], stream.negotiated.resumed

        first, resumed = await ticket_name()
        assert not resumed
        supervisor.use_ticket_keys([new, old])
        name = first
        while name == first:  # the worker learns of it at once, but not before
            name, resumed = await ticket_name()
            assert resumed


async def test_early_data_is_accepted_once_by_all_workers(
    files: tuple[str, str], config: ClientConfig, pipe: Pipe
) -> None:
    times = 50

    async def replay(flight: bytes, port: int) -> None:
        async with await trio.open_tcp_stream(HOST, port) as attacker:
            await attacker.send_all(flight)
            assert await attacker.receive_some()

    async with supervised("early", *files, pipe.path) as supervisor:
        transport = await trio.open_tcp_stream(HOST, supervisor.port)
        async with TLSStream(transport, config, server_hostname=HOST) as stream:
            assert await stream.receive_some()
        client = Connection.client(config, HOST, early_data=EARLY)
        client.do_handshake()
        flight = client.data_to_send()
        async with trio.open_nursery() as nursery:
            for _ in range(times):
                nursery.start_soon(replay, flight, supervisor.port)
        await pipe.read_until("failed", times)
        assert [line for line in pipe.lines if "taken" in line] == [f"taken {EARLY.decode()}"]
        failed = {line for line in pipe.lines if "failed" in line}
        assert failed == {f"failed {pid}" for pid in supervisor.pids}


async def test_workers_import_the_package_of_the_supervisor(
    files: tuple[str, str],
    config: ClientConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "trio_tlsx").mkdir()
    (tmp_path / "trio_tlsx" / "__init__.py").write_text("raise ImportError")
    (tmp_path / "signal.py").write_text("raise ImportError")
    monkeypatch.chdir(tmp_path)
    async with supervised("echo", *files, processes=1) as supervisor:
        assert await ask_once(supervisor.port, config) in supervisor.pids


# The death of a worker


async def test_death_of_a_worker_is_unnoticed_by_the_others(
    files: tuple[str, str], config: ClientConfig
) -> None:
    async with supervised("echo", *files) as supervisor:
        first, second = supervisor.pids
        assert first
        assert second
        streams: list[TCPStream] = []
        pids: list[int] = []
        while len(pids) < 20 or set(pids) != {first, second}:
            streams.append(await connect(supervisor.port, config))
            pids.append(await ask(streams[-1]))
        os.kill(first, signal.SIGKILL)
        for pid, stream in zip(pids, streams, strict=True):
            if pid == second:
                assert await ask(stream) == second
        served = 0
        while served in (0, second):  # until the successor has started
            served = await ask_once(supervisor.port, config)
            assert served != first
        for pid, stream in zip(pids, streams, strict=True):
            if pid == second:
                assert await ask(stream) == second
            await trio.aclose_forcefully(stream)


async def test_worker_that_asks_for_a_successor_drains(
    files: tuple[str, str], config: ClientConfig
) -> None:
    async with supervised("echo", *files, processes=1) as supervisor:
        [pid] = supervisor.pids
        assert pid
        async with await connect(supervisor.port, config) as stream:
            assert await ask(stream) == pid
            os.kill(pid, signal.SIGTERM)
            while await ask_once(supervisor.port, config) == pid:
                pass
            assert await ask(stream) == pid


async def test_signals_of_a_terminal_do_not_reach_workers(
    files: tuple[str, str], config: ClientConfig
) -> None:
    async with supervised("echo", *files) as supervisor:
        pids = supervisor.pids
        for pid in pids:
            assert pid
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGHUP)
        assert set(await ask_often(supervisor.port, config, connections=40)) == set(pids)


# Rolling restart


@pytest.mark.parametrize("reuse_port", [False, True])
async def test_rolling_restart_under_load_loses_no_connection(
    files: tuple[str, str], config: ClientConfig, reuse_port: bool
) -> None:
    async with supervised("echo", *files, reuse_port=reuse_port) as supervisor:
        before = set(supervisor.pids)
        lasting = [await connect(supervisor.port, config) for _ in range(8)]
        owners = [await ask(stream) for stream in lasting]
        restarted = trio.Event()
        served: set[int] = set()

        async def load() -> None:
            while not restarted.is_set():
                served.add(await ask_once(supervisor.port, config))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(load)
            await supervisor.restart_workers()
            restarted.set()
        assert not before & set(supervisor.pids)
        assert served & before
        assert [await ask(stream) for stream in lasting] == owners
        after = await ask_often(supervisor.port, config, connections=40)
        assert set(after) <= set(supervisor.pids), "the drained workers accept nothing"
        for stream in lasting:
            await stream.aclose()


async def test_failed_restart_keeps_the_workers(
    files: tuple[str, str], config: ClientConfig
) -> None:
    async with supervised("echo", *files) as supervisor:
        before = supervisor.pids
        async with await connect(supervisor.port, config) as stream:
            pid = await ask(stream)
            Path(files[0]).unlink()
            with pytest.raises(WorkerError, match=r"worker 0 could not start: it failed: .*cert"):
                await supervisor.restart_workers()
            assert supervisor.pids == before
            assert await ask(stream) == pid


async def test_cancelled_restart_stops_the_successor(files: tuple[str, str]) -> None:
    async with supervised("echo", *files) as supervisor:
        before = supervisor.pids
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.restart_workers)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert supervisor.pids == before


# The end


async def test_cancellation_drains_the_workers(
    files: tuple[str, str], config: ClientConfig
) -> None:
    async with trio.open_nursery() as nursery:
        supervisor = await nursery.start(
            partial(
                serve_in_processes,
                "worker_functions:echo",
                *files,
                port=0,
                host=HOST,
                processes=2,
            )
        )
        async with await connect(supervisor.port, config) as stream:
            await ask(stream)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await ask(stream)
                await wait_closed(supervisor.port)
                await ask(stream)


async def test_connection_gets_close_notify_at_the_end_of_its_time(
    files: tuple[str, str], config: ClientConfig
) -> None:
    async with (
        supervised("echo", *files) as supervisor,
        await connect(supervisor.port, config) as stream,
    ):
        await ask(stream)
        supervisor.stop()
        assert repr(supervisor).startswith("<Supervisor, pids (")
        await ask(stream)
        supervisor.stop(0)
        assert await stream.receive_some() == b""


async def test_stubborn_worker_is_killed(files: tuple[str, str]) -> None:
    async with supervised("stubborn", *files, processes=1) as supervisor:
        [pid] = supervisor.pids
        assert pid
        supervisor.stop(0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_function_with_its_own_acceptor() -> None:
    async with supervised("own_acceptor", processes=1) as supervisor:
        [pid] = supervisor.pids
        async with await trio.open_tcp_stream(HOST, supervisor.port) as stream:
            assert await stream.receive_some() == f"<Worker 0> {pid}".encode()
            supervisor.stop()
            assert await stream.receive_some() == b"<Worker 0, draining>"


async def test_open_tls_over_tcp_stream_reaches_both_families(ca: CA, tmp_path: Path) -> None:
    certificate, key = write_pem_files(ca.issue("localhost"), tmp_path)
    config = ClientConfig(trust=ca.trust)
    async with supervised("echo", str(certificate), str(key), host=None) as supervisor:
        stream = await open_tls_over_tcp_stream("localhost", supervisor.port, config=config)
        async with stream:
            assert await ask(stream) in supervisor.pids
