"""Tickets of servers and sessions of clients, in Redis (RFC 9846 2.2)."""

from __future__ import annotations

import hmac
from collections import Counter

from ...arguments import BYTES, CLOCK, INT, STR, Expected, check, instance_of
from ...clock import MILLISECOND, Clock, utc_now
from ...errors import ConfigError
from ...messages.codec import opaque16, uint16
from ...sessions.client import Session
from ...sessions.sealing import KEY_LENGTH
from .connections import RedisConnections, RedisUnavailable, Refusal, Script

__all__ = ["RedisSessionStore", "RedisTicketStore"]

#: The most expired tickets that are removed from the index for each new one.
REMOVED_AT_ONCE = 100

MAX_ENTRIES = 2**31

# The index holds the names by the time at which they expire. Redis itself removes expired tickets.
PUT_TICKET = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most, removed_at_once = tonumber(ARGV[3]), tonumber(ARGV[4])
local expired = redis.call(
    'ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, removed_at_once)
if #expired > 0 then
    redis.call('ZREM', KEYS[1], unpack(expired))
end
for _ = 1, math.min(redis.call('ZCARD', KEYS[1]) - most + 1, removed_at_once) do
    redis.call('DEL', redis.call('ZPOPMIN', KEYS[1])[1])
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[1], now + ARGV[2], KEYS[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2], 'NX')
redis.call('PEXPIRE', KEYS[1], ARGV[2], 'GT')
return redis.call('ZCARD', KEYS[1])
""")

TAKE_TICKET = Script("""
redis.call('ZREM', KEYS[1], KEYS[2])
local state = redis.call('GET', KEYS[2])
redis.call('DEL', KEYS[2])
return {state, KEYS[2]}
""")

# The sessions of a server are a list, the newest last. The index holds the servers by their last
# use.
PUT_SESSION = Script("""
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[3]), -1)
redis.call('PEXPIRE', KEYS[2], ARGV[2])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000), KEYS[2])
if redis.call('ZCARD', KEYS[1]) > tonumber(ARGV[4]) then
    redis.call('DEL', redis.call('ZPOPMIN', KEYS[1])[1])
end
""")

TAKE_SESSION = Script("""
local session = redis.call('RPOP', KEYS[2])
if redis.call('EXISTS', KEYS[2]) == 0 then
    redis.call('ZREM', KEYS[1], KEYS[2])
end
return {session, KEYS[2]}
""")


class RedisTicketStore:
    """Store the tickets of all servers in Redis; each ticket can be used once.

    If Redis does not answer, no ticket is stored or found: the client gets a full handshake. The
    states are encrypted with the configuration's ``ticket_keys``, which all servers must share,
    such as :class:`RedisTicketKeys`.

    Args:
        redis: the connections, whose ``run`` has been started.
        max_tickets: the most tickets to store. A new one replaces the one that expires first.
        prefix: the start of the keys in Redis.

    Attributes:
        failures: how often a ticket could not be stored or taken, by the reason.

    Raises:
        ConfigError: an argument has the wrong type or is out of range.
    """

    def __init__(
        self, redis: RedisConnections, *, max_tickets: int = 100_000, prefix: str = "trio-tlsx"
    ) -> None:
        _check_store(redis, prefix)
        _check_number("max_tickets", max_tickets)
        self.failures: Counter[Refusal] = Counter()
        self._redis = redis
        self._max_tickets = max_tickets
        self._index = f"{prefix}:tickets".encode()
        self._ticket = f"{prefix}:ticket:".encode()

    async def put(self, name: bytes, state: bytes, lifetime: int) -> None:
        """Store a state for ``lifetime`` seconds. If cancelled, it may be stored nevertheless."""
        keys = [self._index, self._ticket + name]
        limits = [lifetime * 1000, self._max_tickets, REMOVED_AT_ONCE]
        try:
            await self._redis.exchange().run_script(PUT_TICKET, keys, [state, *limits])
        except RedisUnavailable as error:
            self.failures[error.reason] += 1

    async def take(self, name: bytes) -> bytes | None:
        """Return a state and remove it, perhaps even if the call is cancelled."""
        keys = [self._index, self._ticket + name]
        try:
            answer = await self._redis.exchange().run_script(TAKE_TICKET, keys, [])
        except RedisUnavailable as error:
            self.failures[error.reason] += 1
            return None
        return _answer_for(keys[1], answer)

    def __repr__(self) -> str:
        return f"<RedisTicketStore, at most {self._max_tickets} tickets>"


class RedisSessionStore:
    """Store the sessions of clients in Redis, for several processes; each is used once.

    If Redis does not answer, no session is stored or found. Sessions are encrypted, and the names
    of the servers are hashed, with a key that Redis never sees.

    Args:
        redis: the connections, whose ``run`` has been started.
        key: 32 random bytes. Anyone who has it and reads Redis can resume the sessions.
        max_servers: the most servers whose sessions are stored.
        max_per_server: the most sessions to store for each server.
        prefix: the start of the keys in Redis.
        clock: returns the time, with a time zone.

    Attributes:
        failures: how often a session could not be stored or taken, by the reason.

    Raises:
        ConfigError: an argument has the wrong type or is out of range.
    """

    def __init__(
        self,
        redis: RedisConnections,
        key: bytes,
        *,
        max_servers: int = 10_000,
        max_per_server: int = 16,
        prefix: str = "trio-tlsx",
        clock: Clock = utc_now,
    ) -> None:
        _check_store(redis, prefix)
        check("key", key, Expected(BYTES, "32 random bytes, secrets.token_bytes(32)"))
        _check_number("max_servers", max_servers)
        _check_number("max_per_server", max_per_server)
        check("clock", clock, CLOCK)
        if len(key) != KEY_LENGTH:
            raise ConfigError(
                f"the key of a session store has {len(key)} bytes, not {KEY_LENGTH}: "
                f"pass secrets.token_bytes({KEY_LENGTH})"
            )
        self.failures: Counter[Refusal] = Counter()
        self._redis = redis
        self._key = bytes(key)
        self._limits = max_per_server, max_servers
        self._clock = clock
        self._index = f"{prefix}:session-servers".encode()
        self._sessions = f"{prefix}:sessions:".encode()

    async def put(self, session: Session) -> None:
        """Store a session until it expires. If cancelled, it may be stored nevertheless."""
        lifetime = (session.expires_at - self._clock()) // MILLISECOND
        if lifetime <= 0:
            return
        keys = self._keys(session.server_name, session.port, session.context)
        arguments = [session.to_bytes(self._key), lifetime, *self._limits]
        try:
            await self._redis.exchange().run_script(PUT_SESSION, keys, arguments)
        except RedisUnavailable as error:
            self.failures[error.reason] += 1

    async def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        """Return the newest session and remove it, perhaps even if the call is cancelled."""
        keys = self._keys(server_name, port, context)
        try:
            answer = await self._redis.exchange().run_script(TAKE_SESSION, keys, [])
        except RedisUnavailable as error:
            self.failures[error.reason] += 1
            return None
        stored = _answer_for(keys[1], answer)
        try:
            return None if stored is None else Session.from_bytes(stored, self._key)
        except ValueError:  # of another program, or of another version of this library
            return None

    def _keys(self, server_name: str, port: int | None, context: bytes) -> list[bytes]:
        server = opaque16(server_name.encode()) + uint16(port or 0) + context
        return [self._index, self._sessions + hmac.digest(self._key, server, "sha256")]

    def __repr__(self) -> str:
        return f"<RedisSessionStore, at most {self._limits[1]} servers>"


def _answer_for(key: bytes, answer: object) -> bytes | None:
    """Return the content of ``key`` from the answer of a script, which repeats the key."""
    match answer:
        case [bytes(content), bytes(repeated)] if repeated == key:
            return content
        case _:
            return None


def _check_store(redis: RedisConnections, prefix: str) -> None:
    check("redis", redis, Expected(instance_of(RedisConnections), "RedisConnections"))
    check("prefix", prefix, Expected(STR, "the start of the keys in Redis"))


def _check_number(name: str, value: int) -> None:
    check(name, value, Expected(INT, "a number"))
    if not 1 <= value <= MAX_ENTRIES:
        raise ConfigError(f"{name} is {value}; pass 1 to {MAX_ENTRIES}")
