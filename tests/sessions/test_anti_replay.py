"""The anti-replay cache: it accepts only the first claim, in limited memory."""

from __future__ import annotations

import datetime
import os
import threading

import pytest
from clocks import ManualClock

from trio_tlsx import ConfigError, MemoryAntiReplayCache

SECOND = datetime.timedelta(seconds=1)
SPAN = 20 * SECOND  # for which the engine wants a ClientHello to be known


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC))


def name(number: int) -> bytes:
    return number.to_bytes(32)


def test_anti_replay_accepts_the_first_claim_only(clock: ManualClock) -> None:
    cache = MemoryAntiReplayCache(clock=clock)
    until = clock.now + SPAN
    claims = [cache.claim(name(n), clock.now, until) for n in (1, 2, 1, 1, 2, 3)]
    assert claims == [True, True, False, False, False, True]
    assert len(cache) == 3


def test_anti_replay_entry_is_remembered_until_its_end(clock: ManualClock) -> None:
    cache = MemoryAntiReplayCache(clock=clock)
    since, until = clock.now, clock.now + SPAN
    assert cache.claim(name(1), since, until)
    while clock.now < until + 2 * SPAN:
        assert not cache.claim(name(1), since, until)
        clock.forward(0.5)
    assert len(cache) == 0


def test_anti_replay_entry_that_has_ended_is_rejected(clock: ManualClock) -> None:
    cache = MemoryAntiReplayCache(clock=clock)
    assert not cache.claim(name(1), clock.now, clock.now)
    assert len(cache) == 0


def test_anti_replay_with_a_clock_that_is_set_back(clock: ManualClock) -> None:
    cache = MemoryAntiReplayCache(clock=clock)
    since, until = clock.now, clock.now + SPAN
    assert cache.claim(name(1), since, until)
    clock.forward(3600)
    assert cache.claim(name(2), clock.now, clock.now + SPAN)
    clock.forward(-3600)
    assert not cache.claim(name(1), since, until)
    clock.forward(30)
    assert cache.claim(name(3), clock.now, clock.now + SPAN)


def test_anti_replay_rejects_tickets_from_before_it_was_made(clock: ManualClock) -> None:
    before = clock.now - 2 * datetime.timedelta(milliseconds=1)
    cache = MemoryAntiReplayCache(clock=clock)
    assert not cache.claim(name(1), before, clock.now + SPAN)
    assert cache.claim(name(1), clock.now, clock.now + SPAN)


def test_anti_replay_rejects_beyond_max_entries(clock: ManualClock) -> None:
    """It stays as large as it is, refuses what it has no room for, and recovers."""
    rate, seconds = 100, 60
    cache = MemoryAntiReplayCache(rate * 30, clock=clock)
    accepted = 0
    for second in range(seconds):
        for number in range(10 * rate):
            claim = name(second * 10 * rate + number)
            accepted += cache.claim(claim, clock.now, clock.now + SPAN)
            assert not cache.claim(claim, clock.now, clock.now + SPAN)
        assert len(cache) <= rate * 30
        clock.forward(1)
    assert 3 * rate * 10 <= accepted < 10 * rate * seconds
    clock.forward(30)
    assert cache.claim(name(0), clock.now, clock.now + SPAN)
    assert len(cache) == 1


def test_anti_replay_at_its_intended_rate(clock: ManualClock) -> None:
    rate = 100
    cache = MemoryAntiReplayCache(rate * 30, clock=clock)
    for second in range(100):
        for number in range(rate):
            assert cache.claim(name(second * rate + number), clock.now, clock.now + SPAN)
        clock.forward(1)


def test_anti_replay_shared_by_threads(clock: ManualClock) -> None:
    cache = MemoryAntiReplayCache(clock=clock)
    won: list[int] = []
    start = threading.Barrier(8)

    def claim_all() -> None:
        start.wait()
        won.append(sum(cache.claim(name(n), clock.now, clock.now + SPAN) for n in range(2000)))

    threads = [threading.Thread(target=claim_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(won) == 2000


def test_anti_replay_in_a_forked_process(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = MemoryAntiReplayCache(clock=clock)
    assert cache.claim(name(1), clock.now, clock.now + SPAN)
    other = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: other)
    assert not cache.claim(name(2), clock.now, clock.now + SPAN)


def test_anti_replay_without_room_is_rejected() -> None:
    with pytest.raises(ConfigError, match="max_entries is 0; pass at least 1"):
        MemoryAntiReplayCache(0)


def test_anti_replay_repr_shows_no_entries(clock: ManualClock) -> None:
    cache = MemoryAntiReplayCache(clock=clock)
    cache.claim(b"n" * 32, clock.now, clock.now + SPAN)
    assert repr(cache) == "<MemoryAntiReplayCache, 1 of 65536 entries>"
