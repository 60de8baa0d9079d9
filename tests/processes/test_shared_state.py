"""What all workers share: claims, ticket keys; and the back-off of a worker that dies."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from trio_tlsx import ConfigError, MemoryAntiReplayCache, TicketKeys
from trio_tlsx.clock import utc_now
from trio_tlsx.processes import claims
from trio_tlsx.processes.back_off import FIRST_DELAY, MAX_DELAY, STABLE_SECONDS, BackOff
from trio_tlsx.processes.claims import SharedAntiReplayCache
from trio_tlsx.processes.control_messages import Claim
from trio_tlsx.processes.key_rotation import SharedTicketKeys
from trio_tlsx.processes.supervisor import answer_claim

NOW = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(seconds=20)


# Claims


def raiser(error: type[Exception]) -> Callable[[Claim], None]:
    def ask(claim: Claim) -> None:
        raise error

    return ask


@pytest.mark.parametrize("first", [True, False])
async def test_claim_returns_the_answer_of_the_supervisor(first: bool) -> None:
    asked: list[Claim] = []
    cache = SharedAntiReplayCache(asked.append)
    answers: list[bool] = []

    async def claim() -> None:
        answers.append(await cache.claim(b"identifier", NOW, LATER))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(claim)
        await trio.testing.wait_all_tasks_blocked()
        cache.answer(asked[0].question + 1, not first)  # to another claim, which is not open
        cache.answer(asked[0].question, first)
    assert answers == [first]
    assert asked == [Claim(0, b"identifier", NOW, LATER)]
    cache.answer(0, True)  # too late


@pytest.mark.parametrize(
    "error", [trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError]
)
async def test_claim_of_a_process_that_cannot_ask_is_rejected(error: type[Exception]) -> None:
    cache = SharedAntiReplayCache(raiser(error))
    assert await cache.claim(b"identifier", NOW, LATER) is False


async def test_claim_without_an_answer_is_rejected_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    cache = SharedAntiReplayCache(lambda claim: None)
    began = trio.current_time()
    with trio.fail_after(10):
        assert await cache.claim(b"identifier", NOW, LATER) is False
    assert trio.current_time() - began == claims.CLAIM_SECONDS


async def test_open_claims_are_limited_and_end_with_the_supervisor() -> None:
    asked: list[Claim] = []
    answers: list[bool] = []
    cache = SharedAntiReplayCache(asked.append)

    async def claim() -> None:
        answers.append(await cache.claim(b"identifier", NOW, LATER))

    async with trio.open_nursery() as nursery:
        for _ in range(claims.MAX_OPEN_CLAIMS):
            nursery.start_soon(claim)
        await trio.testing.wait_all_tasks_blocked()
        assert await cache.claim(b"identifier", NOW, LATER) is False
        assert len(asked) == claims.MAX_OPEN_CLAIMS
        assert repr(cache) == f"<SharedAntiReplayCache, {len(asked)} open claims>"
        cache.close()
    assert answers == [False] * claims.MAX_OPEN_CLAIMS
    assert await cache.claim(b"identifier", NOW, LATER) is False
    assert len(asked) == claims.MAX_OPEN_CLAIMS


def test_supervisor_gives_one_of_equal_claims_the_first() -> None:
    cache = MemoryAntiReplayCache()
    now = utc_now()
    soon = now + datetime.timedelta(seconds=20)
    answers = [answer_claim(cache, Claim(n, b"identifier", now, soon)) for n in range(3)]
    assert answers == [True, False, False]


def test_supervisor_rejects_a_claim_that_it_would_have_to_remember_for_long() -> None:
    cache = MemoryAntiReplayCache()
    now = utc_now()
    claim = Claim(0, b"identifier", now, now + datetime.timedelta(seconds=70))
    assert answer_claim(cache, claim) is False
    assert len(cache) == 0


# Ticket keys


def opens(sealed_by: TicketKeys, opened_by: TicketKeys) -> bool:
    return opened_by.open(sealed_by.seal(b"state", b"context"), b"context") == b"state"


def test_workers_open_the_tickets_of_others_during_a_rotation() -> None:
    """One of two workers learns of each rotation late, and of none before the other."""
    shared = SharedTicketKeys()
    early, late = TicketKeys(shared.keys), TicketKeys(shared.keys)
    for _ in range(5):
        shared.rotate()
        early.use(shared.keys)
        assert opens(early, late)
        assert opens(late, early)
        late.use(shared.keys)
        assert opens(early, late)


def test_key_decrypts_for_one_lifetime_after_it_encrypted() -> None:
    shared = SharedTicketKeys()
    keys = TicketKeys(shared.keys)
    ticket = keys.seal(b"state", b"context")
    shared.rotate()
    keys.use(shared.keys)
    assert keys.open(ticket, b"context") == b"state"
    shared.rotate()
    keys.use(shared.keys)
    assert keys.open(ticket, b"context") is None
    assert len(shared.keys) == 3
    assert repr(shared) == "<SharedTicketKeys, 3 keys>"


def test_given_keys_do_not_rotate_until_they_are_withdrawn() -> None:
    shared = SharedTicketKeys([bytes(32)])
    assert not shared.rotates
    assert shared.keys == (bytes(32),)
    shared.use()
    assert shared.rotates
    assert bytes(32) not in shared.keys


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ([b"short"], "has 5 bytes, not 32"),
        (["text"], r"of type list\[str\]"),
        (bytes(32), "of type bytes"),
    ],
)
def test_given_keys_are_checked(keys: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        SharedTicketKeys(keys)


# The back-off


def test_back_off_grows_up_to_its_limit_and_starts_anew_after_a_sound_life() -> None:
    back_off = BackOff()
    delays = [back_off.delay_after(0) for _ in range(12)]
    assert delays[:4] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY, 8 * FIRST_DELAY]
    assert delays[-1] == MAX_DELAY
    assert back_off.delay_after(STABLE_SECONDS) == FIRST_DELAY
    assert back_off.delay_after(0) == 2 * FIRST_DELAY
