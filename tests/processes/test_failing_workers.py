"""Mistakes in the arguments, workers that cannot start, and workers that fail later."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from supervised import Pipe, supervised

from trio_tlsx import ConfigError, WorkerError, serve_in_processes
from trio_tlsx.testing import CA, write_pem_files

HOST = "127.0.0.1"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX system")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"function": len}, "function is of type builtin_function_or_method; pass a name"),
        ({"function": "module"}, "function is 'module'; pass 'package.module:function'"),
        ({"function": "module:"}, "function is 'module:'"),
        ({"function": "mod-ule:function"}, "function is 'mod-ule:function'"),
        ({"processes": 0}, "processes is 0; pass 1 to 1024"),
        ({"processes": 2.0}, "processes is of type float; pass a number"),
        ({"start_timeout": 0}, "start_timeout is 0 seconds; pass more than 0"),
        ({"start_timeout": "1"}, "start_timeout is of type str; pass a number of seconds"),
        ({"drain_timeout": -1}, "drain_timeout is -1 seconds; pass 0 to 604800"),
        ({"drain_timeout": float("inf")}, "drain_timeout is inf seconds"),
        ({"drain_timeout": float("nan")}, "drain_timeout is nan seconds"),
        ({"reuse_port": 1}, "reuse_port is of type int; pass True or False"),
        ({"ticket_lifetime": 0}, "the lifetime of tickets is 0 seconds"),
        ({"ticket_keys": [b"short"]}, "a ticket key has 5 bytes, not 32"),
        ({"anti_replay_entries": 0}, "max_entries is 0"),
        ({"ech_keys": b"key"}, "ech_keys is of type bytes; pass an ECHKey, such as"),
        ({"ech_keys": lambda: b"key"}, "keys is of type bytes; pass an ECHKey, such as"),
    ],
)
async def test_mistake_in_the_arguments(options: dict[str, Any], fault: str) -> None:
    arguments: dict[str, Any] = {"function": "module:function", "port": 0, "host": HOST}
    arguments.update(options)
    with pytest.raises(ConfigError) as caught:
        await serve_in_processes(arguments.pop("function"), **arguments)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "fault"),
    [
        (b"secret", r"arguments\[1\] is of type bytes, or has values that JSON does not have"),
        ([Path("secret")], r"arguments\[1\] is of type list, or has values"),
        ("x" * 2**20, r"arguments\[1\] has 1048578 characters in JSON; pass at most 524288"),
    ],
)
async def test_mistake_in_the_arguments_of_the_function(argument: object, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as caught:
        await serve_in_processes("module:function", 1, argument, port=0, host=HOST)
    assert "secret" not in str(caught.value)


async def test_port_that_is_not_available() -> None:
    [listener] = await trio.open_tcp_listeners(0, host=HOST)
    async with listener:
        port = listener.socket.getsockname()[1]
        for reuse_port in (False, True):
            with pytest.raises(OSError, match="in use"):
                await serve_in_processes(
                    "module:function", port=port, host=HOST, reuse_port=reuse_port
                )


@pytest.mark.parametrize(
    ("function", "arguments", "reason"),
    [
        ("no_such_module:f", (), "failed: ModuleNotFoundError: No module named 'no_such_module'"),
        ("worker_functions:no.such", (), "failed: AttributeError: "),
        ("worker_functions:not_async", (), "not_async returned a int: pass an async function"),
        ("worker_functions:returns", (), "returns returned without a call of worker.started()"),
        ("worker_functions:raises", ("luck",), "failed: LookupError: no luck"),
        ("worker_functions:raises", (), "failed: TypeError: "),
        ("worker_functions:raises_group", (), "failed: LookupError: no luck"),
    ],
)
async def test_worker_that_cannot_start(
    function: str, arguments: tuple[str, ...], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with trio.fail_after(60), pytest.raises(WorkerError) as caught:
        await serve_in_processes(
            function, *arguments, port=0, host=HOST, processes=1, handle_signals=False
        )
    assert str(caught.value).startswith("worker 0 could not start: it failed: ")
    assert reason in str(caught.value)
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("function", "advice"),
    [
        ("own_ticket_keys", "pass ticket_keys=worker.ticket_keys, or tickets=0"),
        ("own_cache", "pass anti_replay_cache=worker.anti_replay_cache"),
    ],
)
async def test_configuration_that_the_workers_do_not_share(
    ca: CA, tmp_path: Path, function: str, advice: str
) -> None:
    files = write_pem_files(ca.issue(HOST), tmp_path)
    with trio.fail_after(60), pytest.raises(WorkerError, match=advice):
        await serve_in_processes(
            f"worker_functions:{function}",
            *map(str, files),
            port=0,
            host=HOST,
            processes=1,
            handle_signals=False,
        )


async def test_worker_that_does_not_report_that_it_has_started_is_killed() -> None:
    with trio.fail_after(60), pytest.raises(WorkerError) as caught:
        await serve_in_processes(
            "worker_functions:never_starts",
            port=0,
            host=HOST,
            processes=2,
            start_timeout=0.1,
            handle_signals=False,
        )
    assert (
        "could not start: it was killed: it did not call worker.started() or worker.serve() "
        "within 0.1 seconds"
    ) in str(caught.value)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("fails_later", "failed: LookupError: no luck"),
        ("disturbs", "was killed: a control message of 16777215 octets is too long"),
    ],
)
async def test_worker_that_fails_later_is_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, function: str, reason: str
) -> None:
    caplog.set_level(logging.INFO)
    pipe = Pipe(tmp_path / "pipe")
    async with supervised(function, pipe.path, processes=1):
        await pipe.read_until("life", 3)
    await pipe.aclose()
    assert caplog.text.count(reason) >= 2
    assert caplog.text.count("worker 0 started") == 3


async def test_worker_that_reads_no_messages_is_killed_and_started_again(
    ca: CA, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = write_pem_files(ca.issue(HOST), tmp_path)
    async with supervised("echo", *map(str, files), processes=1) as supervisor:
        before = supervisor.pids
        for _ in range(2000):  # so many that nobody can read them meanwhile
            supervisor.use_ticket_keys()
        while supervisor.pids in (before, (None,)):
            await trio.lowlevel.checkpoint()
    assert "worker 0, pid" in caplog.text
    assert "was killed: it read no messages" in caplog.text
