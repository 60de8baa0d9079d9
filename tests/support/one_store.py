"""A Redis server in memory, for the keys that servers rotate together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from coredis.connection import TCPConnection, TCPLocation

from trio_tlsx.contrib.redis import (
    RedisConnections,
    RedisECHKeys,
    RedisTicketKeys,
    RedisUnavailable,
    Refusal,
)

SHARED = object()


class OneStore(RedisConnections):
    """A Redis server in memory, by trio's clock, that only shares keys.

    Attributes:
        behind: how far its clock is behind.
        absent: whether it cannot be reached.
        keys: what it has stored.
        answer: what it answers instead of the keys.
    """

    def __init__(self) -> None:
        super().__init__(lambda: TCPConnection(TCPLocation("127.0.0.1", 1)))
        self.behind = 0.0
        self.absent = False
        self.keys: dict[int, bytes] = {}
        self.answer: Any = SHARED

    def exchange(self) -> Any:
        if self.absent:
            raise RedisUnavailable(Refusal.UNREACHABLE)
        return self

    async def run_script(self, script: object, keys: object, arguments: Sequence[Any]) -> Any:
        if self.answer is not SHARED:
            return self.answer
        milliseconds = int(1000 * (10**9 + trio.current_time() - self.behind))
        period = milliseconds // arguments[0]
        kept = range(period - arguments[1], period + 3)
        self.keys = {number: key for number, key in self.keys.items() if number in kept}
        for number, key in zip(arguments[2::2], arguments[3::2], strict=True):
            if number in (period, period + 1):
                self.keys.setdefault(number, key)
        stored = [
            item for number, key in self.keys.items() for item in (str(number).encode(), key)
        ]
        return [str(milliseconds).encode(), *stored]


@asynccontextmanager
async def sharing(*servers: RedisTicketKeys | RedisECHKeys) -> AsyncGenerator[None, None]:
    async with trio.open_nursery() as nursery:
        for keys in servers:
            await nursery.start(keys.run)
        yield
        nursery.cancel_scope.cancel()
