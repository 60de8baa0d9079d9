"""Ticket keys in Redis: rotation together, and what a server does without Redis."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from one_store import OneStore, sharing
from redis_servers import RedisServer, connected, redis_server

from trio_tlsx import ConfigError
from trio_tlsx.contrib.redis import RedisConnections, RedisTicketKeys
from trio_tlsx.sessions.sealing import seal

WRAPPING = secrets.token_bytes(32)
STATE, CONTEXT = b"the state of a session", b"context"
LIFETIME = 7200
PERIOD = LIFETIME / 2
NAME = f"trio-tlsx:ticket-keys:{LIFETIME}"


def make(redis: RedisConnections, wrapping: bytes = WRAPPING, **options: Any) -> RedisTicketKeys:
    return RedisTicketKeys(redis, [wrapping], lifetime=LIFETIME, **options)


def opens(keys: RedisTicketKeys, ticket: bytes) -> bool:
    return keys.open(ticket, CONTEXT) == STATE


def sealed(keys: RedisTicketKeys) -> bytes:
    return keys.seal(STATE, CONTEXT)


@pytest.fixture
def store() -> OneStore:
    return OneStore()


async def test_servers_share_keys_through_all_rotations(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    one, other = make(store), make(store)
    async with sharing(one, other):
        names: set[bytes] = set()
        for _ in range(10 * 60):  # ten hours, that is, ten periods
            ticket = sealed(one)
            names.add(ticket[:8])
            assert opens(other, ticket)
            await trio.sleep(60)
            assert opens(other, ticket)
        assert len(names) in (10, 11)
        assert one.problem is other.problem is None


async def test_ticket_opens_for_its_lifetime_and_not_for_long_after(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    one, other = make(store), make(store)
    async with sharing(one, other):
        ticket = sealed(one)
        await trio.sleep(LIFETIME)
        assert opens(other, ticket)
        await trio.sleep(PERIOD + 1)
        assert not opens(other, ticket)
        assert not opens(one, ticket)


async def test_next_key_is_known_one_period_before_its_use(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    """A server that loses Redis for nearly a period still opens all tickets."""
    cut_off_store = OneStore()
    cut_off_store.keys = store.keys
    one, cut_off = make(store), make(cut_off_store)
    async with sharing(one):
        cut_off_store.keys = store.keys
        async with sharing(cut_off):
            cut_off_store.absent = True
            await trio.sleep(PERIOD + 30)
            assert cut_off.problem == "the request to Redis failed (unreachable)"
            assert opens(cut_off, sealed(one))
            assert opens(one, sealed(cut_off))


async def test_server_without_redis_goes_on_and_says_so(
    store: OneStore, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    keys = RedisTicketKeys(store, [WRAPPING], lifetime=120)
    async with sharing(keys):
        store.absent = True
        await trio.sleep(4 * 60)
        assert opens(keys, sealed(keys))
        assert keys.problem is not None
        store.absent = False
        await trio.sleep(10)
        assert keys.problem is None
    assert "the request to Redis failed (unreachable); this server uses" in caplog.text


async def test_server_that_starts_without_redis_has_keys_of_its_own(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    store.absent = True
    keys, other = make(store), make(store)
    assert keys.problem == "no answer of Redis yet"
    async with sharing(keys, other):
        assert opens(keys, sealed(keys))
        assert not opens(other, sealed(keys))
        store.absent = False
        await trio.sleep(2)
        assert opens(other, sealed(keys))


async def test_redis_that_lost_the_keys_gets_them_back(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    one, other = make(store), make(store)
    async with sharing(one, other):
        ticket = sealed(one)
        store.keys = {}
        await trio.sleep(60)
        new = make(store)
        async with sharing(new):
            assert opens(new, ticket)
            assert sealed(new)[:8] == sealed(other)[:8] == ticket[:8]


async def test_dump_with_old_keys_brings_none_back(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    one = make(store)
    async with sharing(one):
        old_ticket, old_keys = sealed(one), dict(store.keys)
        await trio.sleep(24 * 3600)
        ticket = sealed(one)
        store.keys = old_keys
        await trio.sleep(60)
        new = make(store)
        async with sharing(new):
            assert not opens(new, old_ticket)
            assert opens(new, ticket)
            assert not set(store.keys) & set(old_keys)


async def test_keys_do_not_follow_a_clock_of_redis_that_goes_back(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    """Such as that of a machine that was restored from yesterday."""
    one = make(store)
    async with sharing(one):
        old_ticket, old_keys = sealed(one), dict(store.keys)
        await trio.sleep(24 * 3600)
        store.keys, store.behind = old_keys, 24 * 3600
        await trio.sleep(60)
        assert one.problem == "the request to Redis failed (clock)"
        assert not opens(one, old_ticket)
        assert sealed(one)[:8] != old_ticket[:8]
        store.behind = 0
        await trio.sleep(60)
        assert one.problem is None


async def test_clock_of_the_server_does_not_matter(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    """The period comes from Redis; the machine's own date is never read."""

    def no_clock() -> Any:
        raise AssertionError("the date was read")

    keys, other = make(store), make(store)
    async with sharing(keys, other):
        keys._clock = no_clock  # pyright: ignore[reportPrivateUsage]
        assert opens(other, keys.seal(STATE, CONTEXT))


async def test_other_key_encryption_key_opens_nothing(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    one, other = make(store), make(store, secrets.token_bytes(32))
    async with sharing(one, other):
        assert other.problem == "Redis has no key that a key-encryption key of this server opens"
        assert not opens(other, sealed(one))
        assert opens(other, sealed(other))


async def test_key_encryption_key_is_replaced_without_losing_a_ticket(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    new = secrets.token_bytes(32)
    for wrapping in ([WRAPPING, new], [new, WRAPPING]):
        one = RedisTicketKeys(store, wrapping, lifetime=LIFETIME)
        other = make(store)
        async with sharing(other, one):
            assert opens(one, sealed(other))
            assert opens(other, sealed(one))


async def test_key_of_another_period_is_not_accepted(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    """Whoever can write to Redis cannot make an old key the present one."""
    one = make(store)
    async with sharing(one):
        present, coming = sorted(store.keys)
        store.keys[coming] = store.keys[present]
        await trio.sleep(60)
        assert one.problem == "the next key is not known yet"


async def test_key_of_a_wrong_length_is_not_used(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    one = make(store)
    async with sharing(one):
        coming = max(store.keys)
        context = one._rotation._context(coming)  # pyright: ignore[reportPrivateUsage]
        store.keys[coming] = seal(WRAPPING, b"short", context)
        await trio.sleep(60)
        assert one.problem == "the next key is not known yet"


NOW = b"1000000000000"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        [b"x"],
        [b"1", b"2"],
        [b"1", b"1e3", b"2"],
        [NOW, b"-1", b"2"],
        [NOW, b"9" * 40, b"2"],
        [b"-1"],
        [b"9" * 40],
        [b"9" * 400],
    ],
)
async def test_answer_that_is_none_is_a_problem(
    store: OneStore, autojump_clock: trio.testing.MockClock, answer: Any
) -> None:
    store.answer = answer
    keys = make(store)
    async with sharing(keys):
        assert keys.problem == "the request to Redis failed (fault)"
        assert opens(keys, sealed(keys))


# With a real server


@pytest.fixture
def server(tmp_path: Path) -> Generator[RedisServer, None, None]:
    with redis_server(tmp_path) as running:
        yield running


async def test_real_server_shares_keys_and_never_sees_them(server: RedisServer) -> None:
    async with connected(server) as redis:
        one, other = make(redis), make(redis)
        async with sharing(one, other):
            assert opens(other, sealed(one))
            assert one.problem is other.problem is None
            ticket = sealed(one)
            numbers = server.command("HKEYS", NAME).split()
            assert len(numbers) == 2
        server.command("FLUSHALL")
        again = make(redis)
        async with sharing(again):
            assert not opens(again, ticket)  # nobody who knew the key was there


async def test_real_server_keeps_the_first_key_and_no_other_periods(server: RedisServer) -> None:
    async with connected(server) as redis:
        async with sharing(make(redis)):
            present, coming = sorted(server.command("HKEYS", NAME).split())
        before = server.command("HMGET", NAME, present, coming)
        server.command("HSET", NAME, str(int(present) - 3), "old", str(int(present) + 9), "far")
        for name in ("no number", "nan", f"{present}.0"):
            server.command("HSET", NAME, name, "x")
        async with sharing(make(redis)):
            assert server.command("HMGET", NAME, present, coming) == before
            assert sorted(server.command("HKEYS", NAME).split()) == [present, coming]


async def test_real_server_accepts_no_key_of_another_time(server: RedisServer) -> None:
    """A server that believes in another time cannot bring its keys."""
    async with connected(server) as redis:
        wrong = make(redis)
        await wrong._rotation.ask({1: bytes(32), 10**9: bytes(32)})  # pyright: ignore[reportPrivateUsage]
        assert server.command("HKEYS", NAME) == ""


async def test_concurrent_starts_agree_on_one_key(server: RedisServer) -> None:
    async with connected(server) as redis:
        servers = [make(redis) for _ in range(20)]
        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as starting:
                for keys in servers:
                    starting.start_soon(nursery.start, keys.run)
            assert len({sealed(keys)[:8] for keys in servers}) == 1
            nursery.cancel_scope.cancel()


def test_arguments_are_checked(store: OneStore) -> None:
    with pytest.raises(ConfigError, match="key_encryption_keys is empty"):
        RedisTicketKeys(store, [])
    with pytest.raises(ConfigError, match="a key-encryption key has 16 bytes, not 32"):
        RedisTicketKeys(store, [bytes(16)])
    with pytest.raises(ConfigError, match="lifetime is 1; pass at least 2 seconds"):
        RedisTicketKeys(store, [WRAPPING], lifetime=1)
    assert repr(make(store)) == "<RedisTicketKeys, 0 keys, no answer of Redis yet>"
