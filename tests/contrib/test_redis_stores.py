"""The stores of tickets and sessions in Redis, with a real server."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
from coredis.connection import TCPConnection, TCPLocation
from early_data_streams import EarlyDataStreams
from redis_servers import RedisServer, connected, redis_server
from tls_pairs import SERVER_NAME

from trio_tlsx import ConfigError, Session
from trio_tlsx.contrib.redis import (
    RedisConnections,
    RedisSessionStore,
    RedisTicketStore,
    Refusal,
)
from trio_tlsx.testing import CA

KEY = secrets.token_bytes(32)

#: In Lua: the list of the sessions of the only server.
FIRST_SESSION = "redis.call('KEYS', 'trio-tlsx:sessions:*')[1]"


@pytest.fixture
def server(tmp_path: Path) -> Generator[RedisServer, None, None]:
    with redis_server(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def session() -> Session:
    stored = EarlyDataStreams(CA()).session_store.sessions[0]
    return Session.from_bytes(stored.to_bytes(KEY), KEY)  # its times are in whole milliseconds


async def test_ticket_is_taken_once(server: RedisServer) -> None:
    async with connected(server) as redis:
        store, other = RedisTicketStore(redis), RedisTicketStore(redis)
        await store.put(b"name", b"state", 100)
        assert await other.take(b"another name") is None
        assert await other.take(b"name") == b"state"
        assert await store.take(b"name") is None
        assert server.command("KEYS", "*") == ""


async def test_one_of_concurrent_takes_gets_the_ticket(server: RedisServer) -> None:
    taken: list[bytes | None] = []

    async def take(store: RedisTicketStore) -> None:
        taken.append(await store.take(b"name"))

    async with connected(server) as redis:
        store = RedisTicketStore(redis)
        await store.put(b"name", b"state", 100)
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(take, store)
    assert (taken.count(b"state"), taken.count(None)) == (1, 49)


async def test_ticket_expires_in_the_store(server: RedisServer) -> None:
    async with connected(server) as redis:
        store = RedisTicketStore(redis)
        await store.put(b"name", b"state", 100)
        for key in ("trio-tlsx:ticket:name", "trio-tlsx:tickets"):
            assert 90_000 < int(server.command("PTTL", key)) <= 100_000
        server.command("PEXPIRE", "trio-tlsx:ticket:name", "0")
        assert await store.take(b"name") is None


async def test_index_lives_as_long_as_the_last_ticket(server: RedisServer) -> None:
    async with connected(server) as redis:
        store = RedisTicketStore(redis)
        await store.put(b"one", b"1", 100)
        await store.put(b"two", b"2", 50)
        assert int(server.command("PTTL", "trio-tlsx:tickets")) > 90_000


async def test_number_of_tickets_is_bounded(server: RedisServer) -> None:
    async with connected(server) as redis:
        store = RedisTicketStore(redis, max_tickets=3)
        for number in range(10):
            await store.put(b"%d" % number, b"state", 100 + number)
            assert int(server.command("DBSIZE")) <= 4  # the tickets and the index
        assert await store.take(b"6") is None
        assert await store.take(b"7") == b"state"


async def test_expired_tickets_leave_the_index(server: RedisServer) -> None:
    async with connected(server) as redis:
        store = RedisTicketStore(redis)
        server.command("ZADD", "trio-tlsx:tickets", "1", "trio-tlsx:ticket:old")
        await store.put(b"name", b"state", 100)
        assert server.command("ZRANGE", "trio-tlsx:tickets", "0", "-1") == "trio-tlsx:ticket:name"


async def test_stores_without_redis_store_nothing(server: RedisServer, session: Session) -> None:
    async with connected(server) as redis:
        tickets, sessions = RedisTicketStore(redis), RedisSessionStore(redis, KEY)
        server.kill()
        await tickets.put(b"name", b"state", 100)
        assert await tickets.take(b"name") is None
        await sessions.put(session)
        assert await sessions.take(SERVER_NAME, None, b"test") is None
        assert tickets.failures == sessions.failures == {Refusal.UNREACHABLE: 2}


async def test_session_is_taken_once_by_any_process(server: RedisServer, session: Session) -> None:
    async with connected(server) as redis:
        store, other = RedisSessionStore(redis, KEY), RedisSessionStore(redis, KEY)
        await store.put(session)
        assert await other.take("another.example", None, b"test") is None
        assert await other.take(SERVER_NAME, 443, b"test") is None
        assert await other.take(SERVER_NAME, None, b"another") is None
        assert await other.take(SERVER_NAME, None, b"test") == session
        assert await store.take(SERVER_NAME, None, b"test") is None
        assert server.command("KEYS", "*") == ""


async def test_redis_sees_neither_sessions_nor_names(
    server: RedisServer, session: Session
) -> None:
    async with connected(server) as redis:
        await RedisSessionStore(redis, KEY).put(session)
        server.command("SAVE")
        dump = (server.directory / "dump.rdb").read_bytes()
        assert SERVER_NAME.encode() not in dump
        assert session.secret not in dump
        assert session.ticket not in dump


async def test_newest_sessions_are_kept(server: RedisServer, session: Session) -> None:
    async with connected(server) as redis:
        store = RedisSessionStore(redis, KEY, max_per_server=2)
        for number in range(4):
            await store.put(replace(session, ticket_age_add=number))
        for number in (3, 2):
            taken = await store.take(SERVER_NAME, None, b"test")
            assert taken is not None
            assert taken.ticket_age_add == number
        assert await store.take(SERVER_NAME, None, b"test") is None


async def test_number_of_servers_is_bounded(server: RedisServer, session: Session) -> None:
    async with connected(server) as redis:
        store = RedisSessionStore(redis, KEY, max_servers=2)
        for port in (1, 2, 3):
            await store.put(replace(session, port=port))
        assert int(server.command("DBSIZE")) == 3  # two servers and the index
        assert await store.take(SERVER_NAME, 3, b"test") is not None


async def test_session_expires_in_the_store(server: RedisServer, session: Session) -> None:
    async with connected(server) as redis:
        store = RedisSessionStore(redis, KEY)
        await store.put(session)
        left = server.command("EVAL", f"return redis.call('PTTL', {FIRST_SESSION})", "0")
        assert 0 < int(left) <= session.lifetime * 1000
        await store.put(replace(session, lifetime=0, ticket_age_add=7))
        taken = await store.take(SERVER_NAME, None, b"test")
        assert taken == session


async def test_session_under_another_key_is_none(server: RedisServer, session: Session) -> None:
    async with connected(server) as redis:
        await RedisSessionStore(redis, KEY).put(session)
        other = RedisSessionStore(redis, secrets.token_bytes(32))
        assert await other.take(SERVER_NAME, None, b"test") is None


async def test_altered_session_is_none(server: RedisServer, session: Session) -> None:
    async with connected(server) as redis:
        store = RedisSessionStore(redis, KEY)
        await store.put(session)
        server.command("EVAL", f"redis.call('LSET', {FIRST_SESSION}, 0, 'altered')", "0")
        assert await store.take(SERVER_NAME, None, b"test") is None


async def test_session_that_has_expired_by_the_clock_is_not_stored(
    server: RedisServer, session: Session
) -> None:
    async with connected(server) as redis:
        await RedisSessionStore(redis, KEY, clock=lambda: session.expires_at).put(session)
        assert server.command("KEYS", "*") == ""


async def test_stores_with_different_prefixes_share_nothing(
    server: RedisServer, session: Session
) -> None:
    async with connected(server) as redis:
        tickets, sessions = RedisTicketStore(redis), RedisSessionStore(redis, KEY)
        await RedisTicketStore(redis, prefix="other").put(b"name", b"state", 100)
        await RedisSessionStore(redis, KEY, prefix="other").put(session)
        assert await tickets.take(b"name") is None
        assert await sessions.take(SERVER_NAME, None, b"test") is None
        assert int(server.command("DBSIZE")) == 4  # an entry and an index of each store
        assert server.command("KEYS", "trio-tlsx:*") == ""


async def test_arguments_are_checked() -> None:
    redis = RedisConnections(partial(TCPConnection, TCPLocation("127.0.0.1", 1)))
    with pytest.raises(ConfigError, match="max_tickets is 0; pass 1 to 2147483648"):
        RedisTicketStore(redis, max_tickets=0)
    with pytest.raises(ConfigError, match="the key of a session store has 3 bytes, not 32"):
        RedisSessionStore(redis, b"abc")
    assert repr(RedisTicketStore(redis)) == "<RedisTicketStore, at most 100000 tickets>"
    assert repr(RedisSessionStore(redis, KEY)) == "<RedisSessionStore, at most 10000 servers>"
