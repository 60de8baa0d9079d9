"""The messages between the supervisor and its workers, and the channel that they go over."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Generator

import pytest
import trio
import trio.testing

from trio_tlsx import ProtocolError
from trio_tlsx.messages.codec import opaque24
from trio_tlsx.processes import channel as channels
from trio_tlsx.processes.channel import Channel, channel_to_supervisor, channel_to_worker
from trio_tlsx.processes.control_messages import (
    MAX_CONTROL_MESSAGE,
    TO_SUPERVISOR,
    TO_WORKER,
    Claim,
    ClaimAnswer,
    DrainRequest,
    Failed,
    ReplaceRequest,
    Start,
    Started,
    ToSupervisor,
    ToWorker,
    UseECHKeys,
    UseTicketKeys,
    decode,
    encode,
)

KEYS = (bytes(32), b"k" * 32)
NOW = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)
CLAIM = Claim(7, b"i" * 32, NOW, NOW + datetime.timedelta(seconds=20))
START = Start(
    function="package.module:function",
    arguments=["a", {"b": [1, None]}],
    number=1,
    listeners=[3, 4],
    drain_timeout=30.0,
    ticket_lifetime=7200,
    ticket_keys=KEYS,
    ech_keys=KEYS,
)
FOR_WORKERS: list[ToWorker] = [
    START,
    UseTicketKeys(KEYS),
    UseECHKeys(KEYS),
    DrainRequest(1.5, True),
    ClaimAnswer(7, True),
    ClaimAnswer(8, False),
]
FOR_SUPERVISOR: list[ToSupervisor] = [Started(), Failed("why"), ReplaceRequest(), CLAIM]


@pytest.mark.parametrize("message", FOR_WORKERS, ids=lambda message: type(message).__name__)
def test_messages_to_workers_are_decoded_as_they_were(message: ToWorker) -> None:
    assert decode(encode(message), TO_WORKER) == message


@pytest.mark.parametrize("message", FOR_SUPERVISOR, ids=lambda message: type(message).__name__)
def test_messages_to_the_supervisor_are_decoded_as_they_were(message: ToSupervisor) -> None:
    assert decode(encode(message), TO_SUPERVISOR) == message


def test_no_message_shows_a_key() -> None:
    for message in (START, UseTicketKeys(KEYS), UseECHKeys(KEYS)):
        assert "kkk" not in repr(message)
        assert "\\x00" not in repr(message)
    assert "None" not in repr(START), "arguments may be secrets"


def test_rounded_times_make_a_claim_stricter() -> None:
    half = datetime.timedelta(microseconds=500)
    claim = Claim(0, b"i", NOW + half, NOW + half)
    decoded = decode(encode(claim), TO_SUPERVISOR)
    assert isinstance(decoded, Claim)
    assert decoded.since == NOW
    assert decoded.until == NOW + 2 * half


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (b"", "is cut short"),
        (b"\xff", "unknown type 255"),
        (encode(CLAIM)[:-1], "is cut short"),
        (encode(CLAIM) + b"x", "trailing octets"),
        (encode(Claim(7, b"", NOW, NOW)), "less than the minimum"),
        (encode(CLAIM)[:-8] + b"\xff" * 8, "year 9999"),
    ],
)
def test_supervisor_rejects_a_malformed_message(octets: bytes, fault: str) -> None:
    with pytest.raises(ProtocolError, match=fault):
        decode(octets, TO_SUPERVISOR)


def test_reason_of_a_failure_is_short() -> None:
    assert len(encode(Failed("x" * 10_000))) == 504
    long = encode(Failed(""))[:1] + opaque24(b"x" * 10_000)
    assert decode(long, TO_SUPERVISOR) == Failed("x" * 500)


# The channel


@pytest.fixture
def ends() -> Generator[tuple[socket.socket, socket.socket], None, None]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


async def test_channel_keeps_the_order_in_both_directions(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    supervisor, worker = channel_to_worker(ends[0]), channel_to_supervisor(ends[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run_sending)
        nursery.start_soon(worker.run_sending)
        for message in FOR_WORKERS:
            supervisor.send_nowait(message)
        for message in FOR_SUPERVISOR:
            worker.send_nowait(message)
        assert [await worker.receive() for _ in FOR_WORKERS] == FOR_WORKERS
        assert [await supervisor.receive() for _ in FOR_SUPERVISOR] == FOR_SUPERVISOR
        worker.finish_sending()
        supervisor.finish_sending()
    worker.close()
    assert await supervisor.receive() is None


async def test_channel_receives_octet_by_octet_and_survives_cancellation(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    octets = encode(CLAIM)
    supervisor = channel_to_worker(ends[0])
    for octet in len(octets).to_bytes(3) + octets[:-1]:
        ends[1].send(bytes([octet]))
        with trio.move_on_after(0) as scope:
            await supervisor.receive()
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.receive)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    ends[1].send(octets[-1:])
    assert await supervisor.receive() == CLAIM
    supervisor.close()


async def test_channel_rejects_a_message_that_is_too_long(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    supervisor = channel_to_worker(ends[0])
    ends[1].send((MAX_CONTROL_MESSAGE + 1).to_bytes(3))
    ends[1].close()
    with pytest.raises(ProtocolError, match="1048577 octets is too long"):
        await supervisor.receive()
    supervisor.close()


async def test_channel_ends_in_the_middle_of_a_message(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    supervisor = channel_to_worker(ends[0])
    ends[1].send((10).to_bytes(3) + b"12345")
    ends[1].close()
    assert await supervisor.receive() is None
    supervisor.close()
    assert await supervisor.receive() is None, "closed"


async def test_channel_queues_a_limited_number_of_messages(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    supervisor = channel_to_worker(ends[0])
    for _ in range(channels.MAX_QUEUED_MESSAGES):
        supervisor.send_nowait(UseTicketKeys(KEYS))
    with pytest.raises(trio.WouldBlock):
        supervisor.send_nowait(UseTicketKeys(KEYS))
    supervisor.close()
    with pytest.raises(trio.ClosedResourceError):
        supervisor.send_nowait(UseTicketKeys(KEYS))


async def test_sending_ends_when_the_other_process_is_gone(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    supervisor: Channel[ToWorker, ToSupervisor] = channel_to_worker(ends[0])
    ends[1].close()
    supervisor.send_nowait(UseTicketKeys(KEYS))
    await supervisor.run_sending()
    with pytest.raises(trio.BrokenResourceError):
        supervisor.send_nowait(UseTicketKeys(KEYS))
    supervisor.close()
