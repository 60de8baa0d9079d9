"""The functions that the workers of tests call; each worker imports this module."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import trio

from trio_tlsx import (
    ConnectionEvent,
    Credentials,
    HandshakeFailed,
    MemoryAntiReplayCache,
    ServerConfig,
    TicketKeys,
    TLSStream,
    Worker,
)
from trio_tlsx.clock import utc_now


def configuration(worker: Worker, certificate: str, key: str) -> ServerConfig:
    return ServerConfig(
        credentials=Credentials.from_pem_files(certificate, key),
        ticket_keys=worker.ticket_keys,
        ech_keys=worker.ech_keys,
        anti_replay_cache=worker.anti_replay_cache,
        max_early_data_size=1000,
    )


def report(pipe: str, line: str) -> None:
    """Write a line to a named pipe; the kernel keeps the lines of several processes apart."""
    with Path(pipe).open("a") as stream:
        stream.write(f"{line}\n")


async def echo(worker: Worker, certificate: str, key: str) -> None:
    """Answer everything with the process's number and the data."""

    async def handle(stream: TLSStream[trio.SocketStream]) -> None:
        async for data in stream:
            await stream.send_all(b"%d %s" % (os.getpid(), data))

    await worker.serve(handle, configuration(worker, certificate, key))


async def early(worker: Worker, certificate: str, key: str, pipe: str) -> None:
    """Report the early data that was accepted, and each handshake that failed."""

    async def handle(stream: TLSStream[trio.SocketStream]) -> None:
        while data := await stream.receive_replayable_early_data():
            report(pipe, f"taken {data.decode()}")
        await stream.send_all(b"%d" % os.getpid())
        await stream.receive_some()

    def on_event(event: ConnectionEvent) -> None:
        if isinstance(event, HandshakeFailed):
            report(pipe, f"failed {os.getpid()}")

    config = replace(configuration(worker, certificate, key), on_event=on_event)
    await worker.serve(handle, config, replayable_early_data=True)


async def stubborn(worker: Worker, certificate: str, key: str) -> None:
    """Do not end when the worker drains."""
    with trio.CancelScope(shield=True):
        await worker.serve(trio.aclose_forcefully, configuration(worker, certificate, key))
        await trio.sleep_forever()


async def own_acceptor(worker: Worker) -> None:
    """Accept connections without TLS, and answer each with what the worker is."""

    async def handle(stream: trio.SocketStream) -> None:
        await stream.send_all(f"{worker!r} {os.getpid()}".encode())
        await worker.wait_draining()
        await stream.send_all(f"{worker!r}".encode())
        await stream.aclose()

    async with trio.open_nursery() as connections, trio.open_nursery() as accepting:
        await accepting.start(
            partial(trio.serve_listeners, handle, worker.listeners, handler_nursery=connections)
        )
        worker.started()
        await worker.wait_draining()
        accepting.cancel_scope.cancel()


# Those that cannot start


async def never_starts(worker: Worker) -> None:
    await trio.sleep_forever()


async def returns(worker: Worker) -> None:
    pass


async def raises(worker: Worker, word: str) -> None:
    raise LookupError(f"no {word}")


async def raises_group(worker: Worker) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises, worker, "luck")


def not_async(worker: Worker) -> int:
    return 1


async def fails_later(worker: Worker, pipe: str) -> None:
    """Start, wait until the supervisor has noticed, and fail."""
    worker.started()
    await round_trip(worker)
    report(pipe, "life")
    raise LookupError("no luck")


async def disturbs(worker: Worker, pipe: str) -> None:
    """Start, and send what is no message."""
    worker.started()
    await round_trip(worker)
    report(pipe, "life")
    os.write(int(sys.argv[1]), bytes([255] * 100))
    await trio.sleep_forever()


async def round_trip(worker: Worker) -> None:
    """Wait until the supervisor has read all messages: it answers them in order."""
    now = utc_now()
    claim = worker.anti_replay_cache.claim(b"identifier", now, now + timedelta(seconds=10))
    assert not isinstance(claim, bool)
    await claim


async def own_ticket_keys(worker: Worker, certificate: str, key: str) -> None:
    credentials = Credentials.from_pem_files(certificate, key)
    await worker.serve(trio.aclose_forcefully, ServerConfig(credentials=credentials))


async def own_cache(worker: Worker, certificate: str, key: str) -> None:
    config = ServerConfig(
        credentials=Credentials.from_pem_files(certificate, key),
        ticket_keys=TicketKeys([bytes(32)]),
        max_early_data_size=1000,
        anti_replay_cache=MemoryAntiReplayCache(),
    )
    await worker.serve(trio.aclose_forcefully, config)
