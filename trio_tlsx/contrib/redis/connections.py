"""Connections to Redis that a nursery owns, and scripts that run over them.

The pool of ``coredis`` is not used: it loses a place each time a caller is cancelled while waiting
for a new connection. A Redis server that hangs would exhaust the pool permanently. Here each
connection has its own task, which connects again when the connection ends.
"""

from __future__ import annotations

import enum
import hashlib
import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import trio

from ..extras import ExtraImports

with ExtraImports("redis"):
    from coredis.connection import BaseConnection
    from coredis.exceptions import (
        BusyLoadingError,
        NoScriptError,
        ReadOnlyError,
        RedisError,
    )
    from coredis.exceptions import ConnectionError as RedisConnectionError

from ...arguments import CALLABLE, INT, Expected, check, instance_of
from ...errors import ConfigError

__all__ = ["RedisConnections", "RedisUnavailable", "Refusal", "Script"]

_log = logging.getLogger("trio_tlsx")

#: Returns a new connection that was not run yet; async if the server has to be found first.
Connect: TypeAlias = Callable[[], "BaseConnection | Awaitable[BaseConnection]"]

#: The most connections of one process, and the most time for one request, in seconds.
MAX_SIZE = 64
MAX_TIMEOUT = 0.8

#: The share of the time that is left for which the server waits for its replicas.
WAIT_SHARE = 0.8

#: How long connecting may take, in seconds.
CONNECT_SECONDS = 2.0

#: The time between two attempts to connect, in seconds: at first and at most.
MIN_RECONNECT_SECONDS = 0.05
MAX_RECONNECT_SECONDS = 2.0


class Refusal(enum.Enum):
    """The reason why a request to Redis failed, or why a claim was refused."""

    REPLAY = "replay"  #: the ClientHello was claimed before
    EXPIRED = "expired"  #: the claim came after its end, by the clock of Redis
    TOO_FAR_AHEAD = "too far ahead"  #: the claim ends too late: a server's clock is fast
    RECOVERING = "recovering"  #: Redis may have lost claims a short time ago
    REPLICA = "replica"  #: the server is a replica
    REPLICATION = "replication"  #: not all replicas are connected, or confirmed in time
    EVICTION = "eviction"  #: the eviction policy is not ``noeviction``
    FULL = "full"  #: the server has no memory left
    TIMEOUT = "timeout"  #: the server did not answer in time
    UNREACHABLE = "unreachable"  #: there is no connection, or it broke
    CLOCK = "clock"  #: the clock of Redis went back
    FAULT = "fault"  #: any other error, or an answer to another question


#: The errors of a server and of ``coredis``, with their reasons. The first that matches counts.
ERRORS: Sequence[tuple[type[Exception], str, Refusal]] = (
    (ReadOnlyError, "", Refusal.REPLICA),
    (RedisError, "OOM", Refusal.FULL),
    (RedisError, "READONLY", Refusal.REPLICA),
    (RedisError, "NOREPLICAS", Refusal.REPLICATION),
    (BusyLoadingError, "", Refusal.UNREACHABLE),
    (RedisConnectionError, "", Refusal.UNREACHABLE),
    (TimeoutError, "", Refusal.TIMEOUT),
)


class RedisUnavailable(Exception):
    """A request to Redis failed.

    Attributes:
        reason: why it failed.
    """

    def __init__(self, reason: Refusal, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


@dataclass(frozen=True)
class Script:
    """A Lua script, which Redis runs as one step."""

    text: str = field(repr=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest)


class RedisConnections:
    """Connections to one Redis server, or to the primary of several.

    Start :meth:`run` in a nursery. A connection that ends is made again. Requests take the
    connections in turn.

    Args:
        connect: returns a new ``coredis.connection.TCPConnection``, or a subclass of it. It may be
            async, for example to ask Sentinel for the primary. It is called for each connection.
        size: the number of connections.
        timeout: the time limit of a request, in seconds, at most 0.8: a server waits one second
            for its anti-replay cache.

    Raises:
        ConfigError: an argument has the wrong type or is out of range.
    """

    def __init__(self, connect: Connect, *, size: int = 4, timeout: float = 0.5) -> None:
        check("connect", connect, Expected(CALLABLE, "a function that returns a connection"))
        check("size", size, Expected(INT, "a number of connections"))
        check("timeout", timeout, Expected(instance_of(int, float), "a number of seconds"))
        if not 1 <= size <= MAX_SIZE:
            raise ConfigError(f"size is {size}; pass 1 to {MAX_SIZE} connections")
        if not 0 < timeout <= MAX_TIMEOUT:
            raise ConfigError(
                f"timeout is {timeout} seconds; pass more than 0, up to {MAX_TIMEOUT}"
            )
        self.timeout = timeout
        self._connect = connect
        self._size = size
        self._connections: list[BaseConnection] = []
        self._turn = 0
        self._attempted = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, and connect again when a connection ends, until cancelled.

        ``await nursery.start(redis.run)`` returns when the first connection is ready or has
        failed. It does not fail if Redis is down.
        """
        async with trio.open_nursery() as nursery:
            for _ in range(self._size):
                nursery.start_soon(self._keep_connected)
            with trio.move_on_after(CONNECT_SECONDS):
                await self._attempted.wait()
            task_status.started()

    async def _keep_connected(self) -> None:
        pause = MIN_RECONNECT_SECONDS
        while True:
            if await self._connect_once():
                pause = MIN_RECONNECT_SECONDS
            self._attempted.set()
            await trio.sleep(pause)
            pause = min(2 * pause, MAX_RECONNECT_SECONDS)

    async def _connect_once(self) -> bool:
        """Make a connection and wait until it ends; return whether it was ever usable."""
        was_ready = False

        def ready(connection: BaseConnection) -> None:
            nonlocal was_ready
            was_ready = True
            limit.deadline = math.inf
            self._attempted.set()

        with trio.move_on_after(CONNECT_SECONDS) as limit:
            try:
                made = self._connect()
                connection = await made if inspect.isawaitable(made) else made
                connection.register_connect_callback(ready)
                self._connections.append(connection)
                try:
                    await connection.run()
                finally:
                    self._connections.remove(connection)
            except Exception as error:  # noqa: BLE001 - whatever the program's own function raises
                _log.debug("no connection to Redis: %s", error)
        return was_ready

    def exchange(self) -> Exchange:
        """Return the next connection in turn, for requests that belong together.

        Raises:
            RedisUnavailable: no connection is usable.
        """
        usable = [connection for connection in self._connections if connection.usable]
        if not usable:
            raise RedisUnavailable(Refusal.UNREACHABLE, "no connection")
        self._turn += 1
        return Exchange(usable[self._turn % len(usable)], trio.current_time() + self.timeout)

    def reconnect(self) -> None:
        """End all connections, so that ``connect`` is called again for each."""
        for connection in tuple(self._connections):
            connection.invalidate("another server may be the primary now")

    def __repr__(self) -> str:
        usable = sum(connection.usable for connection in self._connections)
        return f"<RedisConnections, {usable} of {self._size} usable>"


class Exchange:
    """Requests over one connection, with a common deadline.

    Args:
        connection: the connection, which others may use at the same time.
        deadline: the time, by trio's clock, at which a request fails and the connection is ended.
    """

    def __init__(self, connection: BaseConnection, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    async def run_script(
        self,
        script: Script,
        keys: Sequence[bytes],
        arguments: Sequence[bytes | str | int],
    ) -> Any:
        """Run a script and return its result. If cancelled, it may run nevertheless.

        Raises:
            RedisUnavailable: the server did not answer in time, or answered with an error.
        """
        rest = (len(keys), *keys, *arguments)
        try:
            return await self._request(b"EVALSHA", script.digest, *rest)
        except NoScriptError:  # the server is new, or was restarted
            return await self._request(b"EVAL", script.text, *rest)

    async def confirm(self, replicas: int) -> None:
        """Wait until this number of replicas has all changes of this connection.

        Raises:
            RedisUnavailable: fewer replicas have confirmed in time.
        """
        left = self._deadline - trio.current_time()
        milliseconds = max(1, int(1000 * WAIT_SHARE * left))  # 0 would wait without a limit
        confirmed = await self._request(b"WAIT", replicas, milliseconds)
        if confirmed != replicas:
            raise RedisUnavailable(Refusal.REPLICATION, f"{confirmed} of {replicas} confirmed")

    async def _request(self, command: bytes, *arguments: bytes | str | int) -> Any:
        try:
            with trio.CancelScope(deadline=self._deadline):
                return await self._connection.create_request(command, *arguments, decode=False)
        except NoScriptError:
            raise
        except (RedisError, TimeoutError) as error:
            raise RedisUnavailable(_reason(error), str(error)) from error
        self._connection.invalidate("a request took too long")
        raise RedisUnavailable(Refusal.TIMEOUT, "no answer in time")


def _reason(error: Exception) -> Refusal:
    for kind, text, reason in ERRORS:
        if isinstance(error, kind) and text in str(error):
            return reason
    return Refusal.FAULT
