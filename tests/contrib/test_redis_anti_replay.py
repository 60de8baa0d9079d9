"""The anti-replay cache in Redis, with real servers: each reason to reject early data."""

from __future__ import annotations

import datetime
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from coredis.connection import TCPConnection, TCPLocation
from redis_servers import RedisServer, age_marker, redis_server, replica_of

from trio_tlsx import ConfigError
from trio_tlsx.contrib.redis import RedisAntiReplayCache, RedisConnections, Refusal

#: The time for a request where it does not matter, in seconds: the machine may be busy.
PATIENCE = 20

IDENTIFIER = bytes(range(32))
OTHER = bytes(range(32, 64))

#: What a server answers to HELLO.
HELLO = b"%3\r\n$5\r\nproto\r\n:3\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$2\r\nid\r\n:1\r\n"

#: The keys in Redis.
MARKER = "trio-tlsx:0rtt"
CLAIMS = "trio-tlsx:0rtt:"
TEXT = "an identifier in printable text!"


def seconds(number: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=number)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@pytest.fixture
def server(tmp_path: Path) -> Generator[RedisServer, None, None]:
    with redis_server(tmp_path) as running:
        yield running


def connect_to(server: RedisServer) -> TCPConnection:
    return TCPConnection(TCPLocation("127.0.0.1", server.port))


@asynccontextmanager
async def caching(
    server: RedisServer, *, timeout: float = PATIENCE, aged: bool = True, **options: Any
) -> AsyncGenerator[RedisAntiReplayCache, None]:
    """A cache, whose marker is old unless ``aged`` is false."""
    redis = RedisConnections(partial(connect_to, server))
    redis.timeout = timeout
    cache = RedisAntiReplayCache(redis, **options)
    async with trio.open_nursery() as nursery:
        await nursery.start(redis.run)
        await nursery.start(cache.run)
        if aged:
            age_marker(server)
        yield cache
        nursery.cancel_scope.cancel()


async def claim(
    cache: RedisAntiReplayCache, identifier: bytes = IDENTIFIER, ahead: float = 20
) -> Refusal | None:
    """Claim as a server does; return the reason of a refusal."""
    before = cache.refusals.copy()
    accepted = await cache.claim(identifier, now() - seconds(10), now() + seconds(ahead))
    refusals = list((cache.refusals - before).elements())
    assert len(refusals) == (not accepted)
    return refusals[0] if refusals else None


async def test_each_identifier_is_accepted_once(server: RedisServer) -> None:
    async with caching(server) as cache, caching(server) as other:
        assert await claim(cache) is None
        assert await claim(cache) is Refusal.REPLAY
        assert await claim(other) is Refusal.REPLAY
        assert await claim(other, OTHER) is None
        assert (cache.accepted, other.accepted) == (1, 1)


async def test_one_of_many_concurrent_claims_is_accepted(server: RedisServer) -> None:
    async with caching(server) as one, caching(server) as other:
        async with trio.open_nursery() as nursery:
            for cache in [one, other] * 50:
                nursery.start_soon(cache.claim, IDENTIFIER, now(), now() + seconds(20))
        assert one.accepted + other.accepted == 1
        assert one.refusals + other.refusals == {Refusal.REPLAY: 99}


async def test_ended_claim_is_refused(server: RedisServer) -> None:
    """``SET NX PXAT`` in the past returns OK and stores nothing."""
    async with caching(server) as cache:
        for _ in range(2):
            assert await claim(cache, ahead=-0.1) is Refusal.EXPIRED


async def test_claim_far_ahead_is_refused(server: RedisServer) -> None:
    async with caching(server) as cache:
        assert await claim(cache, ahead=59) is None
        assert await claim(cache, OTHER, ahead=61) is Refusal.TOO_FAR_AHEAD


async def test_claims_are_remembered_for_longer_than_they_are_accepted(
    server: RedisServer,
) -> None:
    async with caching(server) as cache:
        await claim(cache, TEXT.encode(), ahead=20)
        left = server.command("PTTL", CLAIMS + TEXT)
        assert 45_000 < int(left) <= 50_000


async def test_new_server_refuses_until_earlier_claims_have_ended(server: RedisServer) -> None:
    async with caching(server, aged=False) as cache:
        assert cache.problem is Refusal.RECOVERING
        assert await claim(cache) is Refusal.RECOVERING
        assert await claim(cache, ahead=59) is Refusal.RECOVERING
        since = int(server.command("HGET", MARKER, "since"))
        server.command("HSET", MARKER, "since", str(since - 69_000))
        assert await claim(cache) is Refusal.RECOVERING
        server.command("HSET", MARKER, "since", str(since - 71_000))
        assert await claim(cache) is None


async def test_claim_from_before_the_marker_is_refused(server: RedisServer) -> None:
    """The contract of ``since``, whatever ``until`` is."""
    async with caching(server) as cache:
        moment = now() - seconds(71)
        since = str(int(moment.timestamp() * 1000))
        server.command("HSET", MARKER, "since", since)
        until = now() + seconds(30)
        assert not await cache.claim(IDENTIFIER, moment - seconds(1), until)
        assert cache.refusals == {Refusal.RECOVERING: 1}
        assert await cache.claim(IDENTIFIER, moment + seconds(1), until)


def lose_marker(server: RedisServer) -> None:
    server.command("DEL", MARKER)


def flush(server: RedisServer) -> None:
    server.command("FLUSHALL")


def restart_with_old_dump(server: RedisServer) -> None:
    server.command("SAVE")
    server.kill()
    server.start()


def restart_empty(server: RedisServer) -> None:
    server.kill()
    server.start()


def change_replication_id(server: RedisServer) -> None:
    """A server that becomes a replica and is promoted keeps its run ID, but not this one."""
    before = server.info("master_replid")
    server.command("REPLICAOF", "127.0.0.1", str(server.port))
    server.command("REPLICAOF", "NO", "ONE")
    assert server.info("master_replid") != before


def set_clock_back(server: RedisServer) -> None:
    """For the script, a last claim in the future is a clock that was set back."""
    server.command("HSET", MARKER, "last", str(int(now().timestamp() * 1000) + 5000))


LOSSES = [
    lose_marker,
    flush,
    restart_empty,
    restart_with_old_dump,
    change_replication_id,
    set_clock_back,
]


@pytest.mark.parametrize("lose", LOSSES)
async def test_possible_loss_of_claims_starts_a_refusal(server: RedisServer, lose: Any) -> None:
    async with caching(server) as cache:
        assert await claim(cache) is None
    lose(server)
    async with caching(server, aged=False) as cache:
        assert await claim(cache, OTHER) is Refusal.RECOVERING
        age_marker(server)
        assert await claim(cache, OTHER) is None


async def test_eviction_starts_a_refusal(server: RedisServer) -> None:
    """The policy was wrong for a moment only, but a claim may be gone."""
    async with caching(server) as cache:
        assert await claim(cache) is None
        server.command("SET", "victim", "data")
        server.command("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
        server.command("CONFIG", "SET", "maxmemory", "1")
        server.command("EVAL", "return 1", "0")
        server.command("CONFIG", "SET", "maxmemory", "0")
        server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        assert int(server.info("evicted_keys")) > 0
        assert await claim(cache) is Refusal.RECOVERING


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "volatile-lru"])
async def test_eviction_policy_is_checked_while_running(server: RedisServer, policy: str) -> None:
    async with caching(server) as cache:
        server.command("CONFIG", "SET", "maxmemory-policy", policy)
        assert await claim(cache) is Refusal.EVICTION
        server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        assert await claim(cache) is None


async def test_eviction_policy_is_checked_at_the_start(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--maxmemory-policy", "allkeys-lru") as server:
        async with caching(server, aged=False) as cache:
            assert cache.problem is Refusal.EVICTION


async def test_full_server_refuses(server: RedisServer) -> None:
    async with caching(server) as cache:
        server.command("CONFIG", "SET", "maxmemory", "1")
        assert await claim(cache) is Refusal.FULL
        server.command("CONFIG", "SET", "maxmemory", "0")
        assert await claim(cache) is None


async def test_paused_server_is_not_waited_for(server: RedisServer) -> None:
    async with caching(server, timeout=0.1) as cache:
        server.send_signal(signal.SIGSTOP)
        with trio.fail_after(10):
            assert await claim(cache) is Refusal.TIMEOUT
        server.send_signal(signal.SIGCONT)


async def test_absent_server_refuses(server: RedisServer) -> None:
    server.kill()
    async with caching(server, aged=False) as cache:
        assert cache.problem is Refusal.UNREACHABLE
        assert await claim(cache) is Refusal.UNREACHABLE


async def test_server_that_ends_in_a_claim_refuses(server: RedisServer) -> None:
    async with caching(server) as cache:
        server.send_signal(signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(claim_unreachable, cache)
            await trio.testing.wait_all_tasks_blocked()
            server.kill()


async def claim_unreachable(cache: RedisAntiReplayCache) -> None:
    assert await claim(cache) is Refusal.UNREACHABLE


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncGenerator[RedisAntiReplayCache, None]:
    """A cache whose server answers HELLO, and then each request with the next of these."""

    async def serve(stream: trio.SocketStream) -> None:
        for answer in (HELLO, *answers):
            await stream.receive_some()
            await stream.send_all(answer)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), serve, 0)
        port = listeners[0].socket.getsockname()[1]
        connect = partial(TCPConnection, TCPLocation("127.0.0.1", port))
        redis = RedisConnections(connect, size=1, timeout=0.5)
        await nursery.start(redis.run)
        yield RedisAntiReplayCache(redis)
        nursery.cancel_scope.cancel()


async def test_answer_to_another_question_accepts_nothing() -> None:
    accepting = b"*2\r\n$2\r\nok\r\n$%d\r\n%b\r\n"
    key = CLAIMS.encode()
    async with answering(accepting % (47, key + IDENTIFIER)) as cache:
        assert await claim(cache) is None
    for other in (key + OTHER, b"", IDENTIFIER):
        async with answering(accepting % (len(other), other)) as cache:
            assert await claim(cache) is Refusal.FAULT


@pytest.mark.parametrize(
    "answer",
    [b"+OK\r\n", b":1\r\n", b"*0\r\n", b"*2\r\n+ok\r\n:1\r\n", b"_\r\n", b"-ERR what\r\n"],
)
async def test_answer_of_another_form_accepts_nothing(answer: bytes) -> None:
    async with answering(answer) as cache:
        assert await claim(cache) is Refusal.FAULT


@pytest.mark.parametrize("answer", [b"*2\r\n$2\r\nok\r\n$47", b"*2\r\n", b"$", b""])
async def test_answer_that_is_cut_off_accepts_nothing(answer: bytes) -> None:
    async with answering(answer) as cache:
        assert await claim(cache) is Refusal.TIMEOUT


async def test_server_that_hangs_while_connecting_is_tried_again() -> None:
    attempts: trio.MemorySendChannel[None]
    attempts, made = trio.open_memory_channel[None](10)

    async def hang(stream: trio.SocketStream) -> None:
        await attempts.send(None)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), hang, 0)
        port = listeners[0].socket.getsockname()[1]
        redis = RedisConnections(partial(TCPConnection, TCPLocation("127.0.0.1", port)), size=1)
        await nursery.start(redis.run)
        with trio.fail_after(30):
            await made.receive()
            await made.receive()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("writable", ["yes", "no"])
async def test_replica_refuses(server: RedisServer, tmp_path: Path, writable: str) -> None:
    options = ("--replica-read-only", writable)
    with replica_of(server, tmp_path / "replica", *options) as replica:
        async with caching(replica, aged=False, replicas=1) as cache:
            assert cache.problem is Refusal.REPLICA
            assert await claim(cache) is Refusal.REPLICA


async def test_claim_counts_when_all_replicas_have_it(server: RedisServer, tmp_path: Path) -> None:
    with replica_of(server, tmp_path / "replica") as replica:
        async with caching(server, replicas=1, timeout=3) as cache:
            assert await claim(cache) is None
            replica.send_signal(signal.SIGSTOP)
            assert await claim(cache, OTHER) in (Refusal.REPLICATION, Refusal.TIMEOUT)
            replica.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("replicas", [0, 2])
async def test_number_of_replicas_must_be_exact(
    server: RedisServer, tmp_path: Path, replicas: int
) -> None:
    with replica_of(server, tmp_path / "replica"):
        async with caching(server, replicas=replicas) as cache:
            assert await claim(cache) is Refusal.REPLICATION


async def test_primary_and_promoted_replica_both_refuse(
    server: RedisServer, tmp_path: Path
) -> None:
    """A flight that one of two primaries has accepted must not be accepted by the other."""
    with replica_of(server, tmp_path / "replica") as replica:
        async with caching(server, replicas=1) as old:
            assert await claim(old) is None
            replica.command("REPLICAOF", "NO", "ONE")
            server.wait_until("connected_slaves", "0")
            async with caching(replica, replicas=1) as new:  # its marker is old
                assert await claim(new) in (Refusal.RECOVERING, Refusal.REPLICATION)
                assert await claim(old, OTHER) is Refusal.REPLICATION
                assert await claim(new, OTHER) is Refusal.REPLICATION


def test_arguments_are_checked() -> None:
    def connect() -> TCPConnection:
        return TCPConnection(TCPLocation("127.0.0.1", 1))

    redis = RedisConnections(connect)
    with pytest.raises(ConfigError, match="replicas is -1; pass 0 to 16"):
        RedisAntiReplayCache(redis, replicas=-1)
    with pytest.raises(ConfigError, match="size is 0; pass 1 to 64 connections"):
        RedisConnections(connect, size=0)
    with pytest.raises(ConfigError, match=r"timeout is 1 seconds; pass more than 0, up to 0\.8"):
        RedisConnections(connect, timeout=1)
    assert repr(redis) == "<RedisConnections, 0 of 4 usable>"
    assert repr(RedisAntiReplayCache(redis)) == "<RedisAntiReplayCache, 0 accepted, 0 refused>"
