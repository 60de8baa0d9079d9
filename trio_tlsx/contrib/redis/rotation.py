"""Keys in Redis that all servers rotate together.

Time is divided into periods, by the clock of Redis. Each period has one key. All servers read the
key of a period one period before it begins, and keep it for two periods after it has ended.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import trio

from ...arguments import STR, Expected, check, instance_of
from ...errors import ConfigError
from ...messages.codec import opaque16, uint64
from ...sessions.sealing import KEY_LENGTH, seal, unseal
from ...sessions.ticket_keys import KEYS
from .connections import RedisConnections, RedisUnavailable, Refusal, Script

__all__ = ["KeyRotation"]

_log = logging.getLogger("trio_tlsx")

#: A key decrypts for this many periods after its own.
PERIODS_KEPT = 2

#: The time between two reads of the keys, and the time after a failed read, in seconds.
REFRESH_SECONDS = 30.0
RETRY_SECONDS = 1.0

#: The most by which the clock of Redis may go back, in seconds.
MAX_STEP_BACK = 30.0

#: A time of Redis is below this, in milliseconds. Lua computes with it exactly.
MAX_MILLISECONDS = 2**53

WRAPPING = b"trio-tlsx key of a period"

# Store the proposed keys of this period and of the next, unless another server was first. Remove
# the keys of periods that are over, so that no server can bring back an old key.
SHARE = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local period = math.floor(now / tonumber(ARGV[1]))
local kept = tonumber(ARGV[2])
for _, stored in ipairs(redis.call('HKEYS', KEYS[1])) do
    local number = stored:match('^%d+$') and tonumber(stored)
    if not number or number < period - kept or number > period + 2 then
        redis.call('HDEL', KEYS[1], stored)
    end
end
for index = 3, #ARGV, 2 do
    local number = tonumber(ARGV[index])
    if number == period or number == period + 1 then
        redis.call('HSETNX', KEYS[1], ARGV[index], ARGV[index + 1])
    end
end
local stored = redis.call('HGETALL', KEYS[1])
table.insert(stored, 1, tostring(now))
return stored
""")


class KeyRotation:
    """One server's part in the rotation of keys that are in Redis.

    Args:
        kind: what the keys are, for the log.
        name: their name in Redis, after the prefix.
        redis: the connections, whose ``run`` has been started.
        key_encryption_keys: 32 random bytes each. The first encrypts, all decrypt.
        lifetime: how long a key decrypts after its period, in seconds: two periods.
        prefix: the start of the keys in Redis.
        create: returns a new key.
        is_key: returns whether the octets are a valid key. Another server may have created them.
        use: called with the keys: that of the present period first, then the others that decrypt.

    Attributes:
        problem: why the keys are not shared and current, as a sentence; None if they are.
        known: the keys that decrypt, with their periods.

    Raises:
        ConfigError: an argument has the wrong type, a key has the wrong length, or the lifetime is
            too short.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        redis: RedisConnections,
        key_encryption_keys: Sequence[bytes],
        lifetime: int,
        prefix: str,
        *,
        create: Callable[[], bytes],
        is_key: Callable[[bytes], bool],
        use: Callable[[Sequence[bytes]], None],
    ) -> None:
        check("redis", redis, Expected(instance_of(RedisConnections), "RedisConnections"))
        check("key_encryption_keys", key_encryption_keys, KEYS)
        check("prefix", prefix, Expected(STR, "the start of the keys in Redis"))
        _check_wrapping(key_encryption_keys)
        if lifetime < PERIODS_KEPT:
            raise ConfigError(f"lifetime is {lifetime}; pass at least {PERIODS_KEPT} seconds")
        self.problem: str | None = "no answer of Redis yet"
        self.known: dict[bytes, int] = {}
        self._kind = kind
        self._redis = redis
        self._wrapping = tuple(bytes(key) for key in key_encryption_keys)
        self._period = lifetime / PERIODS_KEPT
        self._name = f"{prefix}:{name}".encode()
        self._create = create
        self._is_key = is_key
        self._use = use
        # The time of Redis is trio's time and this; None until Redis has answered.
        self._offset: float | None = None
        self._current: dict[int, bytes] = {}  # the key of each period, by the last answer

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Read, create and rotate the keys, until cancelled."""
        while True:
            shared = await self._share()
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            pause = min(REFRESH_SECONDS, self._period / 4) if shared else RETRY_SECONDS
            await trio.sleep(min(pause, self._until_next_period()))
            self._select()

    async def _share(self) -> bool:
        """Read the keys, and propose the missing ones; return whether Redis answered."""
        try:
            await self.ask({})
            if missing := self._missing():
                await self.ask(missing)
        except RedisUnavailable as error:
            self._note(f"the request to Redis failed ({error.reason.value})")
            return False
        self._select()
        return True

    async def ask(self, proposed: Mapping[int, bytes]) -> None:
        """Propose keys for periods, and read all keys.

        Raises:
            RedisUnavailable: the request failed, or the clock of Redis went back.
        """
        arguments: list[bytes | str | int] = [int(self._period * 1000), PERIODS_KEPT]
        for number, key in proposed.items():
            arguments += [number, seal(self._wrapping[0], key, self._context(number))]
        answer = await self._redis.exchange().run_script(SHARE, [self._name], arguments)
        try:
            now, *stored = answer
            offset = _seconds(int(now)) - trio.current_time()
            current = dict(self._unwrapped(stored))
        except (TypeError, ValueError, OverflowError) as error:
            raise RedisUnavailable(Refusal.FAULT, "the answer cannot be decoded") from error
        if self._offset is not None and offset < self._offset - MAX_STEP_BACK:
            raise RedisUnavailable(Refusal.CLOCK)
        self._offset, self._current = offset, current
        self.known |= {key: number for number, key in self._current.items()}

    def _context(self, number: int) -> bytes:
        return WRAPPING + opaque16(self._name) + uint64(number)

    def _unwrapped(self, stored: Sequence[Any]) -> Iterator[tuple[int, bytes]]:
        for name, wrapped in zip(stored[::2], stored[1::2], strict=True):
            number = int(name)
            for wrapping in self._wrapping:
                key = unseal(wrapping, wrapped, self._context(number))
                if key is not None and self._is_key(key):
                    yield number, key
                    break

    def _missing(self) -> dict[int, bytes]:
        """Return keys for this period and the next, if Redis has none.

        If this server still has the key of a period, it proposes that key again. So a Redis server
        that lost its data gets the keys back.
        """
        period = self._period_now()
        known = {number: key for key, number in self.known.items()}
        return {
            number: known.get(number) or self._create()
            for number in (period, period + 1)
            if number not in self._current
        }

    def _period_now(self) -> int:
        return math.floor((trio.current_time() + (self._offset or 0)) / self._period)

    def _until_next_period(self) -> float:
        if self._offset is None:
            return math.inf
        return self._period - (trio.current_time() + self._offset) % self._period

    def _select(self) -> None:
        """Encrypt with the key of the present period, and keep those that still decrypt."""
        if self._offset is None:
            return
        period = self._period_now()
        usable = [number for number in self._current if number <= period]
        if not usable:
            self._note("Redis has no key that a key-encryption key of this server opens")
            return
        newest = max(usable)
        encrypts = self._current[newest]
        self.known = {
            key: number
            for key, number in self.known.items()
            if number >= period - PERIODS_KEPT or key == encrypts
        }
        self._use([encrypts, *(key for key in self.known if key != encrypts)])
        if newest < period:
            self._note("the newest key that this server knows is of an earlier period")
        elif period + 1 not in self._current:
            self._note("the next key is not known yet")
        else:
            self._note(None)

    def _note(self, problem: str | None) -> None:
        if problem == self.problem:
            return
        self.problem = problem
        if problem is None:
            _log.info("%s: shared by Redis and current", self._kind)
        else:
            _log.warning("%s: %s; this server uses the keys that it has", self._kind, problem)

    def __repr__(self) -> str:
        return f"<KeyRotation, {len(self.known)} keys, {self.problem or 'shared'}>"


def _seconds(milliseconds: int) -> float:
    """Return a time of Redis in seconds; ValueError if no clock can show it."""
    if not 0 <= milliseconds < MAX_MILLISECONDS:
        raise ValueError("no clock shows this time")
    return milliseconds / 1000


def _check_wrapping(keys: Iterable[bytes]) -> None:
    keys = tuple(keys)
    if not keys:
        raise ConfigError("key_encryption_keys is empty: pass at least one key")
    for key in keys:
        if len(key) != KEY_LENGTH:
            raise ConfigError(
                f"a key-encryption key has {len(key)} bytes, not {KEY_LENGTH}: "
                f"pass secrets.token_bytes({KEY_LENGTH})"
            )
