"""The anti-replay cache in Redis: accept early data once on all servers (RFC 9846 8)."""

from __future__ import annotations

import datetime
import logging
from collections import Counter
from collections.abc import Sequence

import trio

from ...arguments import INT, STR, Expected, check, instance_of
from ...clock import EPOCH, MILLISECOND
from ...errors import ConfigError
from .connections import RedisConnections, RedisUnavailable, Refusal, Script

__all__ = ["RedisAntiReplayCache"]

_log = logging.getLogger("trio_tlsx")

#: A claim may end this much after the time of Redis. A server sets the end 20 seconds ahead, or 30
#: for a client with a fast clock. So a server whose clock is 30 seconds fast has its early data
#: rejected, or accepted and remembered long enough.
MAX_AHEAD = datetime.timedelta(seconds=60)

#: Redis remembers a claim for this much longer than it accepts it, in case its clock is set back,
#: or a replica with another clock becomes the primary.
MARGIN = datetime.timedelta(seconds=30)

#: The end that a check of the server's state uses in place of a claim's: that of most claims.
USUAL_END = datetime.timedelta(seconds=20)

#: The time between two checks of the server's state, in seconds.
STATE_SECONDS = 5.0

MAX_REPLICAS = 16

LIMITS = (MAX_AHEAD, MARGIN, USUAL_END)

#: If one of these persists, another server may be the primary now.
DEPOSED = (Refusal.REPLICA, Refusal.REPLICATION)

REFUSALS = {refusal.value.encode(): refusal for refusal in Refusal}

# All times are those of Redis. The marker holds:
# - identity: the run ID (a restart changes it), the replication ID (a failover changes it) and the
#   number of evicted keys. If one changes, or if the marker is gone, claims may be lost.
# - since: when this server began to remember claims.
# - last: the time of the last claim. If the clock goes back behind it, claims may have expired.
# A claim of an earlier server ended at most MAX_AHEAD after that server's last moment, so a claim
# that ends later than that was not accepted before.
CLAIM = Script("""
local function field(text, name)
    return string.match(text, '\\n' .. name .. ':([^\\r\\n]*)')
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local replication = redis.call('INFO', 'replication')
local identity = field(redis.call('INFO', 'server'), 'run_id')
    .. ' ' .. field(replication, 'master_replid')
    .. ' ' .. field(redis.call('INFO', 'stats'), 'evicted_keys')
local replicas = tonumber(ARGV[1])
local max_ahead, margin = tonumber(ARGV[2]), tonumber(ARGV[3])

local function result()
    if field(replication, 'role') ~= 'master' then
        return 'replica'
    end
    if field(redis.call('INFO', 'memory'), 'maxmemory_policy') ~= 'noeviction' then
        return 'eviction'
    end
    local marker = redis.call('HMGET', KEYS[1], 'identity', 'since', 'last')
    local since, last = tonumber(marker[2]), tonumber(marker[3])
    if marker[1] ~= identity or not since or not last or now < last then
        since = now
        redis.call('HSET', KEYS[1], 'identity', identity, 'since', since)
    end
    redis.call('HSET', KEYS[1], 'last', now)
    if tonumber(field(replication, 'connected_slaves')) ~= replicas then
        return 'replication'
    end
    local claimed_since = tonumber(ARGV[5]) or now
    local claimed_until = tonumber(ARGV[6]) or now + tonumber(ARGV[4])
    if claimed_until <= now then
        return 'expired'
    end
    if claimed_until > now + max_ahead then
        return 'too far ahead'
    end
    if claimed_since < since or claimed_until <= since + max_ahead + margin then
        return 'recovering'
    end
    local kept = claimed_until - now + margin
    if KEYS[2] and not redis.call('SET', KEYS[2], '', 'NX', 'PX', kept) then
        return 'replay'
    end
    return 'ok'
end

return {result(), KEYS[2] or ''}
""")


class RedisAntiReplayCache:
    """Accept early data once on all servers that share a Redis server.

    A claim is one step in Redis, by the clock of Redis. If Redis does not answer, or may have lost
    a claim, the cache rejects early data, and the handshake continues without it. After a restart,
    a failover, ``FLUSHALL``, an eviction or a step back of the clock, the cache rejects all early
    data for about 70 seconds, until every earlier claim has ended.

    Start :meth:`run` in a nursery: it notices such an event before the next claim does.

    All servers that share the cache must use the same ``replicas`` and ``prefix``. Redis Cluster
    is not supported.

    Args:
        redis: the connections, whose ``run`` has been started.
        replicas: the number of replicas of the server. A claim counts only if this number is
            connected, and if each of them has received the claim. So of a primary and the replica
            that replaced it, at most one accepts claims.
        prefix: the start of the keys in Redis.

    Attributes:
        accepted: the number of claims that returned True.
        refusals: the number of claims that returned False, by their reason.
        problem: why the last check of the server failed; None if claims are accepted.

    Raises:
        ConfigError: an argument has the wrong type or is out of range.
    """

    def __init__(
        self, redis: RedisConnections, *, replicas: int = 0, prefix: str = "trio-tlsx"
    ) -> None:
        check("redis", redis, Expected(instance_of(RedisConnections), "RedisConnections"))
        check("replicas", replicas, Expected(INT, "the number of replicas"))
        check("prefix", prefix, Expected(STR, "the start of the keys in Redis"))
        if not 0 <= replicas <= MAX_REPLICAS:
            raise ConfigError(f"replicas is {replicas}; pass 0 to {MAX_REPLICAS}")
        self.accepted: int = 0
        self.refusals: Counter[Refusal] = Counter()
        self.problem: Refusal | None = None
        self._redis = redis
        self._replicas = replicas
        self._marker = f"{prefix}:0rtt".encode()
        self._claim = f"{prefix}:0rtt:".encode()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Check the server every five seconds, until cancelled.

        The checks cover the role of the server, its replicas and its eviction policy. A change is
        logged in one line. ``await nursery.start(cache.run)`` returns after the first check,
        whatever its result is.
        """
        while True:
            refusal = await self._ask([self._marker], [])
            if refusal is self.problem and refusal in DEPOSED:
                self._redis.reconnect()
            self._note(refusal)
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            await trio.sleep(STATE_SECONDS)

    async def claim(
        self, identifier: bytes, since: datetime.datetime, until: datetime.datetime
    ) -> bool:
        """Return whether this is the first claim; see :meth:`AntiReplayCache.claim`.

        If cancelled, the identifier may be claimed nevertheless, and later claims return False.
        """
        times = [(since - EPOCH) // MILLISECOND, -((EPOCH - until) // MILLISECOND)]
        refusal = await self._ask([self._marker, self._claim + identifier], times)
        if refusal is None:
            self.accepted += 1
            return True
        self.refusals[refusal] += 1
        return False

    async def _ask(self, keys: Sequence[bytes], times: Sequence[int]) -> Refusal | None:
        """Return why the server refuses, or None."""
        limits = [self._replicas, *(limit // MILLISECOND for limit in LIMITS)]
        try:
            exchange = self._redis.exchange()
            answer = await exchange.run_script(CLAIM, keys, [*limits, *times])
            refusal = _refusal(answer, b"".join(keys[1:]))
            if refusal is None and self._replicas:
                await exchange.confirm(self._replicas)
        except RedisUnavailable as error:
            return error.reason
        return refusal

    def _note(self, refusal: Refusal | None) -> None:
        if refusal is self.problem:
            return
        self.problem = refusal
        if refusal is None:
            _log.info("anti-replay cache: early data is accepted")
        else:
            _log.warning("anti-replay cache: early data is rejected: %s", refusal.value)

    def __repr__(self) -> str:
        return f"<RedisAntiReplayCache, {self.accepted} accepted, {self.refusals.total()} refused>"


def _refusal(answer: object, claimed: bytes) -> Refusal | None:
    """Return why the script refused, or None."""
    # The script repeats the claim. The answer to another claim must not accept this one.
    match answer:
        case [b"ok", bytes(repeated)] if repeated == claimed:
            return None
        case [bytes(text), bytes()]:
            return REFUSALS.get(text, Refusal.FAULT)
        case _:
            return Refusal.FAULT
