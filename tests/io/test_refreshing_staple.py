"""``RefreshingStaple`` fetches an OCSP response, caches it, and fetches it again."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Awaitable

import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hook_pairs import NAME, Connect, run_handshake
from ocsp_responses import DAY, HOUR, NOW, response

from trio_tlsx import ClientConfig, Credentials, RefreshingStaple, ServerConfig, check_stapled_ocsp
from trio_tlsx.driver.stapling import FETCH_SECONDS, RETRY_AFTER
from trio_tlsx.testing import CA


class Responder:
    """Gives what it is told to give, or raises it; counts how often it is asked."""

    def __init__(self, outcome: bytes | Exception) -> None:
        self.outcome: object = outcome
        self.asked = 0
        self.open = trio.Event()
        self.open.set()

    async def fetch(self) -> bytes:
        self.asked += 1
        await self.open.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome  # pyright: ignore[reportReturnType]

    def hang(self) -> None:
        self.open = trio.Event()


class Clock:
    now = NOW

    def __call__(self) -> datetime.datetime:
        return self.now


@pytest.fixture(scope="module")
def leaf(ca: CA) -> Credentials:
    return ca.issue(NAME)


@pytest.fixture(scope="module")
def first(ca: CA, leaf: Credentials) -> bytes:
    return response(ca, leaf.chain[0])  # up to NOW + DAY


@pytest.fixture(scope="module")
def second(ca: CA, leaf: Credentials) -> bytes:
    return response(ca, leaf.chain[0], this_update=NOW, next_update=NOW + 2 * DAY)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def responder(first: bytes) -> Responder:
    return Responder(first)


@pytest.fixture
def staple(responder: Responder, clock: Clock) -> RefreshingStaple:
    return RefreshingStaple(responder.fetch, clock=clock)


async def given(staple: RefreshingStaple) -> bytes | None:
    answer = staple()
    return await answer if isinstance(answer, Awaitable) else answer


async def test_refreshing_staple_is_stapled(
    ca: CA,
    leaf: Credentials,
    responder: Responder,
    staple: RefreshingStaple,
    connect: Connect,
    version: str,
) -> None:
    server_config = ServerConfig(credentials=leaf.stapling(staple), versions=[version])
    client_config = ClientConfig(
        trust=ca.trust, verify=check_stapled_ocsp(must=True), versions=[version]
    )
    for _ in range(2):
        client, server = await run_handshake(client_config, server_config, await connect())
        client.settled()
        server.settled()
    assert responder.asked == 1


async def test_refreshing_staple_fetches_once_for_many_connections(
    responder: Responder, staple: RefreshingStaple, first: bytes
) -> None:
    answers: list[bytes | None] = []

    async def ask() -> None:
        answers.append(await given(staple))

    responder.hang()
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert answers == []
        responder.open.set()
    assert answers == [first] * 10
    assert responder.asked == 1


async def test_refreshing_staple_returns_a_kept_response_at_once(
    responder: Responder, staple: RefreshingStaple, clock: Clock, first: bytes
) -> None:
    await given(staple)
    clock.now += DAY / 2 - HOUR
    assert staple() == first
    assert responder.asked == 1


async def test_refreshing_staple_fetches_again_after_half_the_validity(
    responder: Responder, staple: RefreshingStaple, clock: Clock, first: bytes, second: bytes
) -> None:
    await given(staple)
    responder.outcome = second
    clock.now += DAY / 2
    responder.hang()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(given, staple)
        await trio.testing.wait_all_tasks_blocked()
        assert staple() == first  # the others do not wait
        responder.open.set()
    assert staple() == second
    assert responder.asked == 2
    clock.now += DAY / 2  # half of what the second had left is not over yet
    assert staple() == second


NOT_GOOD = {
    "unreachable": OSError("no route to the responder"),
    "no DER": b"<html>",
    "no octets": None,
    "no answer": ocsp.OCSPResponseBuilder.build_unsuccessful(
        ocsp.OCSPResponseStatus.TRY_LATER
    ).public_bytes(Encoding.DER),
}


@pytest.mark.parametrize("outcome", NOT_GOOD.values(), ids=NOT_GOOD)
async def test_refreshing_staple_after_a_failed_fetch(
    responder: Responder,
    staple: RefreshingStaple,
    clock: Clock,
    first: bytes,
    outcome: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The one from before is used for as long as it is good."""
    await given(staple)
    responder.outcome = outcome
    clock.now += DAY / 2
    assert await given(staple) == first
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "the one from before stays in use" in record.getMessage()
    assert staple() == first
    assert responder.asked == 2
    clock.now += RETRY_AFTER
    assert await given(staple) == first
    assert responder.asked == 3
    clock.now = NOW + DAY
    assert await given(staple) is None
    assert "none is sent" in caplog.messages[-1]
    assert staple() is None  # for a minute


async def test_refreshing_staple_rejects_an_expired_response(
    responder: Responder,
    staple: RefreshingStaple,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock.now += 2 * DAY
    assert await given(staple) is None
    assert "was good until" in caplog.text


async def test_refreshing_staple_recovers_after_failures(
    responder: Responder, staple: RefreshingStaple, clock: Clock, first: bytes
) -> None:
    responder.outcome = OSError("away")
    assert await given(staple) is None
    assert staple.response is None
    responder.outcome = first
    clock.now += RETRY_AFTER
    assert await given(staple) == first


async def test_refreshing_staple_with_a_hanging_responder(
    responder: Responder,
    staple: RefreshingStaple,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    responder.hang()
    assert await given(staple) is None
    assert trio.current_time() == pytest.approx(FETCH_SECONDS)
    assert "TooSlowError" in caplog.text


async def test_refreshing_staple_cancelled_fetch_is_retried(
    responder: Responder, staple: RefreshingStaple, first: bytes
) -> None:
    responder.hang()
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(cancelled_at, scope)
            await given(staple)
        assert scope.cancelled_caught
    responder.open.set()
    assert await given(staple) == first
    assert responder.asked == 2


async def cancelled_at(scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()


async def test_refreshing_staple_waiting_connection_takes_over(
    responder: Responder, staple: RefreshingStaple, first: bytes
) -> None:
    responder.hang()
    answers: list[bytes | None] = []

    async def ask(scope: trio.CancelScope) -> None:
        with scope:
            answers.append(await given(staple))

    async with trio.open_nursery() as nursery:
        scopes = [trio.CancelScope(), trio.CancelScope()]
        for scope in scopes:
            nursery.start_soon(ask, scope)
            await trio.testing.wait_all_tasks_blocked()
        scopes[0].cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert responder.asked == 2
        responder.open.set()
    assert answers == [first]


def test_refreshing_staple_repr(staple: RefreshingStaple) -> None:
    assert repr(staple) == "<RefreshingStaple, none now>"
