"""ECH keys in several processes: every worker has all keys before one sends the new one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from supervised import ask, connect, supervised

from trio_tlsx import ClientConfig, ConfigError, ECHKey, ECHRejected, Supervisor, WorkerError
from trio_tlsx.processes.ech_rotation import SharedECHKeys
from trio_tlsx.testing import CA, write_pem_files

PUBLIC_NAME = "public.example"
FIRST, SECOND, THIRD = (ECHKey.generate(PUBLIC_NAME) for _ in range(3))

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX system")


@dataclass
class Source:
    """Keys that a program has in a file, and an error that it has instead."""

    keys: Sequence[ECHKey]
    error: Exception | None = None

    def __call__(self) -> Sequence[ECHKey]:
        if self.error is not None:
            raise self.error
        return self.keys


# In the supervisor


def test_new_keys_decrypt_before_they_are_published() -> None:
    source = Source([FIRST])
    shared = SharedECHKeys(source)
    assert shared.keys == (FIRST,)
    assert not shared.load()
    source.keys = [SECOND]
    assert shared.load()
    assert shared.keys == (FIRST, SECOND)
    shared.publish()
    assert shared.keys == (SECOND, FIRST)
    assert not shared.load(), "the older key is not lost"
    source.keys = [THIRD, SECOND]
    assert shared.load()
    assert shared.keys == (SECOND, FIRST, THIRD)
    shared.publish()
    assert shared.keys == (THIRD, SECOND)


def test_keys_that_were_loaded_but_not_published_are_no_older_keys() -> None:
    """Such as those of a restart that failed."""
    source = Source([FIRST])
    shared = SharedECHKeys(source)
    for key in (SECOND, THIRD):
        source.keys = [key]
        assert shared.load()
    shared.publish()
    assert shared.keys == (THIRD, FIRST)


def test_keys_that_cannot_be_used_change_nothing() -> None:
    source = Source([FIRST])
    shared = SharedECHKeys(source)
    for keys, sentence in (
        ([], "keys is empty"),
        ([ECHKey.generate("other.example")], "none of the first keys has"),
    ):
        source.keys = keys
        with pytest.raises(ConfigError, match=sentence):
            shared.load()
        assert shared.keys == (FIRST,)


def test_given_keys_stay() -> None:
    assert not SharedECHKeys([FIRST]).load()


# In the workers


@pytest.fixture
def files(ca: CA, tmp_path: Path) -> tuple[str, str]:
    certificate, key = write_pem_files(ca.issue("127.0.0.1", "localhost", PUBLIC_NAME), tmp_path)
    return str(certificate), str(key)


class Client:
    """A client that hides the name it asks for."""

    def __init__(self, ca: CA, supervisor: Supervisor) -> None:
        self.ca = ca
        self.supervisor = supervisor

    async def uses(self, configs: bytes) -> int:
        """Connect with these configurations, and return the process that serves."""
        config = ClientConfig(trust=self.ca.trust, ech=configs)
        async with await connect(self.supervisor.port, config, "localhost") as stream:
            pid = await ask(stream)
            assert stream.negotiated.ech_accepted
            return pid

    async def is_rejected(self, configs: bytes) -> bytes:
        """Connect with old configurations, and return those to try again with."""
        with pytest.raises(trio.BrokenResourceError) as caught:
            await self.uses(configs)
        rejected = caught.value.__cause__
        assert isinstance(rejected, ECHRejected)
        assert rejected.retry_configs is not None
        return rejected.retry_configs

    async def reaches_all(self, configs: bytes) -> None:
        """Use these configurations until each worker has served."""
        served: set[int | None] = set()
        while served != set(self.supervisor.pids):
            served.add(await self.uses(configs))


async def test_all_workers_have_the_keys(ca: CA, files: tuple[str, str]) -> None:
    async with supervised("echo", *files, ech_keys=[SECOND, FIRST]) as supervisor:
        client = Client(ca, supervisor)
        await client.reaches_all(FIRST.config_list)
        await client.reaches_all(SECOND.config_list)
        assert await client.is_rejected(THIRD.config_list) == SECOND.config_list


async def test_worker_that_is_started_again_has_the_present_keys(
    ca: CA, files: tuple[str, str]
) -> None:
    async with supervised("echo", *files, processes=1, ech_keys=FIRST) as supervisor:
        client = Client(ca, supervisor)
        supervisor.use_ech_keys([SECOND, FIRST])
        [pid] = supervisor.pids
        assert pid
        os.kill(pid, signal.SIGKILL)
        while supervisor.pids in ((pid,), (None,)):
            await trio.lowlevel.checkpoint()
        await client.uses(FIRST.config_list)
        assert await client.is_rejected(THIRD.config_list) == SECOND.config_list
        with pytest.raises(ConfigError, match="none of the first keys"):
            supervisor.use_ech_keys(ECHKey.generate("other.example"))


async def test_rolling_restart_takes_new_keys_and_rejects_no_second_try(
    ca: CA, files: tuple[str, str]
) -> None:
    source = Source([FIRST])
    async with supervised("echo", *files, ech_keys=source) as supervisor:
        client = Client(ca, supervisor)
        restarted = trio.Event()
        seen: set[bytes] = set()

        async def use_the_configurations_of_before() -> None:
            while not restarted.is_set():
                await client.uses(FIRST.config_list)

        async def try_again() -> None:
            while not restarted.is_set():
                configs = await client.is_rejected(THIRD.config_list)
                seen.add(configs)
                await client.uses(configs)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use_the_configurations_of_before)
            nursery.start_soon(try_again)
            source.keys = [SECOND]
            await supervisor.restart_workers()
            while SECOND.config_list not in seen:
                await trio.lowlevel.checkpoint()
            restarted.set()
        assert seen == {FIRST.config_list, SECOND.config_list}
        await client.reaches_all(SECOND.config_list)
        await client.reaches_all(FIRST.config_list)


async def test_failed_restart_publishes_no_key(ca: CA, files: tuple[str, str]) -> None:
    source = Source([FIRST])
    async with supervised("echo", *files, processes=1, ech_keys=source) as supervisor:
        client = Client(ca, supervisor)
        source.keys = [SECOND]
        certificate = Path(files[0])
        kept = certificate.read_bytes()
        certificate.unlink()
        with pytest.raises(WorkerError):
            await supervisor.restart_workers()
        assert await client.is_rejected(THIRD.config_list) == FIRST.config_list
        await client.uses(SECOND.config_list)
        certificate.write_bytes(kept)
        await supervisor.restart_workers()
        while await client.is_rejected(THIRD.config_list) != SECOND.config_list:
            await trio.lowlevel.checkpoint()  # the worker learns of it at once, but not before


async def test_keys_that_cannot_be_loaded_replace_no_worker(
    ca: CA, files: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    source = Source([FIRST])
    options: dict[str, Any] = {"ech_keys": source, "handle_signals": True}
    async with supervised("echo", *files, processes=1, **options) as supervisor:
        pids = supervisor.pids
        source.error = FileNotFoundError("no such file")
        with pytest.raises(FileNotFoundError):
            await supervisor.restart_workers()
        os.kill(os.getpid(), signal.SIGHUP)
        while "the workers were not replaced: no such file" not in caplog.text:
            await trio.lowlevel.checkpoint()
        assert supervisor.pids == pids
        await Client(ca, supervisor).uses(FIRST.config_list)
