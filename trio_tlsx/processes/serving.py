"""Serve in several processes: :func:`serve_in_processes` runs the supervisor."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

import trio

from ..arguments import BOOL, INT, STR, Expected, check, instance_of
from ..errors import ConfigError
from ..pki.ech import ECHKey
from ..sessions.anti_replay import MemoryAntiReplayCache
from ..sessions.ticket_keys import DEFAULT_LIFETIME
from .control_messages import MAX_CONTROL_MESSAGE, Start, UseTicketKeys
from .ech_rotation import SharedECHKeys
from .key_rotation import SharedTicketKeys
from .listening import open_sockets
from .pool import WorkerError, WorkerPool
from .supervisor import Supervisor, answer_claim

__all__ = ["MAX_PROCESSES", "serve_in_processes"]

MAX_PROCESSES = 1024

#: The time for a worker to import the program and to start, in seconds.
START_TIMEOUT = 60

#: The time for connections to finish: the default and the most, in seconds.
DRAIN_TIMEOUT = 30
MAX_DRAIN_TIMEOUT = 7 * 24 * 3600

#: The most octets of the arguments, in JSON. The same message also has keys.
MAX_ARGUMENTS_LENGTH = MAX_CONTROL_MESSAGE // 2

FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
NUMBER = instance_of(int, float)

_log = logging.getLogger("trio_tlsx")


async def serve_in_processes(
    function: str,
    *arguments: object,
    port: int,
    host: str | None = None,
    processes: int | None = None,
    backlog: int | None = None,
    reuse_port: bool = False,
    ticket_keys: Sequence[bytes] = (),
    ticket_lifetime: int = DEFAULT_LIFETIME,
    ech_keys: ECHKey | Sequence[ECHKey] | Callable[[], ECHKey | Sequence[ECHKey]] = (),
    anti_replay_entries: int = 2**16,
    start_timeout: float = START_TIMEOUT,
    drain_timeout: float = DRAIN_TIMEOUT,
    handle_signals: bool = True,
    task_status: trio.TaskStatus[Supervisor] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a server in several processes, until it is cancelled or stopped, or receives SIGTERM.

    Each process is a new one of Python, a *worker*. It imports the function and calls
    ``await function(worker, *arguments)`` with a :class:`Worker`: the listening sockets, the
    ticket keys and the anti-replay cache that all workers share. This process, the *supervisor*,
    starts the workers, and restarts a worker that dies after a wait that grows from 0.1 to 30
    seconds. It accepts no connection itself. It needs Linux, macOS or another POSIX system.

    These signals to this process control the workers:

    - SIGHUP replaces them one after the other, as :meth:`Supervisor.restart_workers`;
    - SIGTERM drains them, as :meth:`Supervisor.stop`; a second one stops them at once;
    - SIGINT (Ctrl-C) stops them at once. Their connections are closed with ``close_notify``.

    If cancelled, it drains the workers as SIGTERM does, and then continues the cancellation.

    Args:
        function: the async function for the workers, as ``"package.module:function"``.
        arguments: the arguments of the function after the :class:`Worker`; values that JSON has.
            They do not appear in the arguments or in the environment of a process.
        port: the TCP port; 0 for any that is free.
        host: the address to listen on; by default all.
        processes: the number of workers, 1 to 1,024; by default one for each core that this
            process may use.
        backlog: as for :func:`trio.open_tcp_listeners`.
        reuse_port: open a separate listening socket for each worker (SO_REUSEPORT), so that the
            kernel distributes the connections by their addresses. By default all workers accept
            from the same sockets.
        ticket_keys: the ticket keys, 32 random bytes each: the first encrypts, all decrypt. The
            caller rotates them, with :meth:`Supervisor.use_ticket_keys`. By default the
            supervisor creates keys, and rotates them after each ``ticket_lifetime``.
        ticket_lifetime: the lifetime of a ticket, in seconds, 1 to 604,800 (a week).
        ech_keys: the keys of Encrypted Client Hello, as for :class:`ECHKeys`; or a function that
            returns them, for example from files. It is called again for each
            :meth:`Supervisor.restart_workers`. All workers get the same keys.
        anti_replay_entries: the most ClientHellos with early data to remember at the same time,
            as for :class:`MemoryAntiReplayCache`.
        start_timeout: the time for a worker to call :meth:`Worker.started` or
            :meth:`Worker.serve`, in seconds. After that it is killed.
        drain_timeout: the time for connections to finish in a worker that is replaced or
            stopped, in seconds, up to a week. Then its function is cancelled. 5 seconds later
            the process is killed.
        handle_signals: handle the signals above. That works in the main thread only.
        task_status: ``nursery.start`` returns a :class:`Supervisor` when all workers have started.

    Raises:
        ConfigError: an argument has the wrong type or is out of range.
        WorkerError: one of the first workers could not start. Later failures are logged.
        OSError: the port is not available.
        RuntimeError: this is Windows, which cannot pass sockets to a new process in this way.
    """
    count = _available_cores() if processes is None else processes
    _check(function, count, arguments, start_timeout, drain_timeout, reuse_port)
    keys = SharedTicketKeys(ticket_keys, ticket_lifetime)
    shared_ech_keys = SharedECHKeys(ech_keys)
    cache = MemoryAntiReplayCache(anti_replay_entries)
    opened = await open_sockets(count, port, host, backlog, reuse_port=reuse_port)
    with ExitStack() as stack:
        sockets = list(dict.fromkeys(sock for each in opened for sock in each))
        for sock in sockets:
            stack.enter_context(sock)

        def start(number: int, listeners: Sequence[int]) -> Start:
            return Start(
                function=function,
                arguments=list(arguments),
                number=number,
                listeners=list(listeners),
                drain_timeout=drain_timeout,
                ticket_lifetime=ticket_lifetime,
                ticket_keys=keys.keys,
                ech_keys=shared_ech_keys.pem,
            )

        pool = WorkerPool(
            function,
            [[sock.fileno() for sock in each] for each in opened],
            start,
            partial(answer_claim, cache),
            start_timeout=start_timeout,
            drain_timeout=drain_timeout,
        )
        supervisor = Supervisor(pool, keys, shared_ech_keys, sockets, drain_timeout)
        await _supervise(supervisor, pool, keys, handle_signals, task_status)


async def _supervise(
    supervisor: Supervisor,
    pool: WorkerPool,
    keys: SharedTicketKeys,
    handle_signals: bool,
    task_status: trio.TaskStatus[Supervisor],
) -> None:
    failures: list[WorkerError] = []
    ended = trio.Event()

    async def run() -> None:
        # The workers drain even if the caller is cancelled.
        with trio.CancelScope(shield=True):
            try:
                await pool.run()
            except WorkerError as error:
                failures.append(error)
            finally:
                ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            if handle_signals:
                await nursery.start(_handle_stops, supervisor)
                await nursery.start(_handle_restarts, supervisor)
            await pool.wait_all_started()
            if not pool.stopping:
                task_status.started(supervisor)
            nursery.start_soon(_rotate, pool, keys)
            await ended.wait()
        except trio.Cancelled:
            supervisor.stop()
            raise
        except BaseException:  # such as KeyboardInterrupt
            supervisor.stop(0)
            raise
        nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]


async def _handle_stops(supervisor: Supervisor, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        stopping = False
        async for number in signals:
            at_once = stopping or number == signal.SIGINT
            supervisor.stop(0 if at_once else None)
            _log.info("stopping the workers%s", " at once" if at_once else "")
            stopping = True


async def _handle_restarts(supervisor: Supervisor, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            _log.info("replacing the workers")
            try:
                await supervisor.restart_workers()
            except (WorkerError, ConfigError, OSError) as error:
                _log.error("the workers were not replaced: %s", error)


async def _rotate(pool: WorkerPool, keys: SharedTicketKeys) -> None:
    while True:
        await trio.sleep(keys.lifetime)
        if keys.rotates:
            keys.rotate()
            pool.send(UseTicketKeys(keys.keys))


def _available_cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check(
    function: str,
    processes: int,
    arguments: Sequence[object],
    start_timeout: float,
    drain_timeout: float,
    reuse_port: bool,
) -> None:
    if sys.platform == "win32":
        raise RuntimeError(
            "serve_in_processes passes listening sockets to new processes, which Windows cannot "
            "do: start several programs behind a load balancer"
        )
    check("function", function, Expected(STR, "a name, 'package.module:function'"))
    check("processes", processes, Expected(INT, "a number of processes"))
    check("reuse_port", reuse_port, Expected(BOOL, "True or False"))
    check("start_timeout", start_timeout, Expected(NUMBER, "a number of seconds"))
    check("drain_timeout", drain_timeout, Expected(NUMBER, "a number of seconds"))
    if not FUNCTION.fullmatch(function):
        raise ConfigError(f"function is {function!r}; pass 'package.module:function'")
    if not 1 <= processes <= MAX_PROCESSES:
        raise ConfigError(f"processes is {processes}; pass 1 to {MAX_PROCESSES}")
    if not start_timeout > 0:
        raise ConfigError(f"start_timeout is {start_timeout} seconds; pass more than 0")
    if not 0 <= drain_timeout <= MAX_DRAIN_TIMEOUT:
        raise ConfigError(
            f"drain_timeout is {drain_timeout} seconds; pass 0 to {MAX_DRAIN_TIMEOUT}"
        )
    for place, value in enumerate(arguments):
        _check_argument(place, value)


def _check_argument(place: int, value: object) -> None:
    """Check that JSON has a value. The error does not show the value, which could be a key."""
    try:
        length = len(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"arguments[{place}] is of type {type(value).__name__}, or has values that JSON does "
            "not have; pass text, numbers, True, False, None, and lists and dicts of them"
        ) from error
    if length > MAX_ARGUMENTS_LENGTH:
        raise ConfigError(
            f"arguments[{place}] has {length} characters in JSON; pass at most "
            f"{MAX_ARGUMENTS_LENGTH}, or the path of a file"
        )
