"""Measure TLSStream beside trio.SSLStream and bare TCP, interleaved in one run.

    python tests/benchmarks/compare.py [--rounds N]

Servers run in a process of their own. Every case runs once in each round, one contender after the
other, so that a machine whose speed drifts slows all of them alike. What carries over to other
machines is the ratios of the medians.
"""

from __future__ import annotations

import argparse
import multiprocessing
import ssl
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

import trio

import trio_tlsx
from trio_tlsx.testing import CA, write_pem_files

HOST = "127.0.0.1"
NAME = "test.example"
BULK_BYTES = 64 * 2**20
PINGS = 1000
PING = b"p" * 100

# A server echoes, unless the first byte asks it for something else.
SWALLOW = b"S"  # BULK_BYTES after it, and say so

Stream: TypeAlias = trio.abc.Stream
Wrap: TypeAlias = Callable[[trio.SocketStream], Stream]


@dataclass(frozen=True)
class Contender:
    """A way to wrap an end of a TCP connection.

    Attributes:
        client, server: make it from PEM files in a directory; the server sends so many session
            tickets, and the client keeps them, but never resumes.
    """

    name: str
    client: Callable[[Path, int], Wrap]
    server: Callable[[Path, int], Wrap]


class NeverResuming(trio_tlsx.MemorySessionStore):
    """Keeps sessions, and gives none."""

    def take(self, server_name: str, port: int | None, context: bytes) -> None: ...


def native(name: str, *groups: str) -> Contender:
    def client(pki: Path, tickets: int) -> Wrap:
        config = trio_tlsx.ClientConfig(
            trust=trio_tlsx.TrustStore.from_pem_file(pki / "ca.pem"),
            groups=groups,
            resumption=tickets > 0,
            session_store=NeverResuming(),
            session_context=b"benchmark",
        )
        return lambda tcp: trio_tlsx.TLSStream(tcp, config, server_hostname=NAME)

    def server(pki: Path, tickets: int) -> Wrap:
        credentials = trio_tlsx.Credentials.from_pem_files(pki / "cert.pem", pki / "key.pem")
        config = trio_tlsx.ServerConfig(credentials=credentials, groups=groups, tickets=tickets)
        return lambda tcp: trio_tlsx.TLSStream(tcp, config)

    return Contender(name, client, server)


def openssl_client(pki: Path, tickets: int) -> Wrap:
    context = ssl.create_default_context(cafile=pki / "ca.pem")
    return lambda tcp: trio.SSLStream(tcp, context, server_hostname=NAME)


def openssl_server(pki: Path, tickets: int) -> Wrap:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pki / "cert.pem", pki / "key.pem")
    context.num_tickets = tickets
    return lambda tcp: trio.SSLStream(tcp, context, server_side=True)


def bare(pki: Path, tickets: int) -> Wrap:
    return lambda tcp: tcp


CONTENDERS = (
    native("trio_tlsx", "X25519MLKEM768", "x25519"),
    # What OpenSSL does where it knows no post-quantum group.
    native("trio_tlsx, x25519", "x25519"),
    Contender("trio.SSLStream", openssl_client, openssl_server),
    Contender("bare TCP", bare, bare),
)

#: How many tickets both libraries' servers send unless they are told otherwise, and none.
DEFAULT_TICKETS = 2
VARIANTS = [(contender, tickets) for contender in CONTENDERS for tickets in (0, DEFAULT_TICKETS)]

# The servers' process


async def handle(stream: Stream) -> None:
    async with stream:
        data = await stream.receive_some()
        if data[:1] == SWALLOW:
            await receive(stream, len(SWALLOW) + BULK_BYTES - len(data))
            await stream.send_all(SWALLOW)
            return
        while data:
            await stream.send_all(data)
            data = await stream.receive_some()


async def serve_all(pki: Path, ports: Connection) -> None:
    async with trio.open_nursery() as nursery:
        for contender, tickets in VARIANTS:
            [listener] = await trio.open_tcp_listeners(0, host=HOST)
            nursery.start_soon(serve, contender.server(pki, tickets), listener)
            ports.send(listener.socket.getsockname()[1])
        await trio.to_thread.run_sync(ports.recv)  # until the measuring is over
        nursery.cancel_scope.cancel()


async def serve(wrap: Wrap, listener: trio.SocketListener) -> None:
    async def handler(tcp: trio.SocketStream) -> None:
        await handle(wrap(tcp))

    await trio.serve_listeners(handler, [listener])


def run_servers(pki: Path, ports: Connection) -> None:
    trio.run(serve_all, pki, ports)


# What is measured. Each case opens a connection, and gives a figure.

Connect: TypeAlias = Callable[[], Awaitable[Stream]]


async def receive(stream: Stream, count: int) -> None:
    while count > 0:
        data = await stream.receive_some()
        if not data:
            raise EOFError("the other side ended before it had sent everything")
        count -= len(data)


async def echo(stream: Stream) -> None:
    await stream.send_all(PING)
    await receive(stream, len(PING))


async def connection(connect: Connect) -> float:
    """Connect, handshake, echo, close: microseconds."""
    start = time.perf_counter()
    async with await connect() as stream:
        await echo(stream)
    return (time.perf_counter() - start) * 1e6


async def ping_pong(connect: Connect) -> float:
    """One round trip of 100 bytes: microseconds."""
    async with await connect() as stream:
        await echo(stream)
        start = time.perf_counter()
        for _ in range(PINGS):
            await echo(stream)
        return (time.perf_counter() - start) / PINGS * 1e6


def bulk(write_bytes: int) -> Callable[[Connect], Awaitable[float]]:
    async def run(connect: Connect) -> float:
        data = bytes(write_bytes)
        async with await connect() as stream:
            await stream.send_all(SWALLOW)
            start = time.perf_counter()
            for _ in range(BULK_BYTES // write_bytes):
                await stream.send_all(data)
            await receive(stream, len(SWALLOW))
            return BULK_BYTES / (time.perf_counter() - start) / 1e6

    return run


CASES: dict[str, tuple[int, Callable[[Connect], Awaitable[float]]]] = {
    "connect + handshake + echo + close, us": (0, connection),
    "  with the default two tickets, us": (DEFAULT_TICKETS, connection),
    "ping-pong of 100 B, us": (0, ping_pong),
    "bulk in 64 KiB writes, MB/s": (0, bulk(2**16)),
    "bulk in 1 MiB writes, MB/s": (0, bulk(2**20)),
}


def measure(pki: Path, ports: list[int], rounds: int) -> dict[tuple[str, str], list[float]]:
    figures: dict[tuple[str, str], list[float]] = defaultdict(list)
    clients = [
        (contender.name, tickets, contender.client(pki, tickets), port)
        for (contender, tickets), port in zip(VARIANTS, ports, strict=True)
    ]
    for _ in range(rounds):
        for case, (tickets, run) in CASES.items():
            for name, client_tickets, wrap, port in clients:
                if client_tickets != tickets:
                    continue

                async def connect(wrap: Wrap = wrap, port: int = port) -> Stream:
                    return wrap(await trio.open_tcp_stream(HOST, port))

                figures[case, name].append(trio.run(run, connect))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7, help="how often each case runs")
    rounds: int = parser.parse_args().rounds

    with tempfile.TemporaryDirectory() as directory:
        pki = Path(directory)
        ca = CA()
        (pki / "ca.pem").write_bytes(ca.pem)
        write_pem_files(ca.issue(NAME), pki)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        servers = context.Process(target=run_servers, args=(pki, theirs))
        servers.start()
        try:
            ports = [int(ours.recv()) for _ in VARIANTS]
            figures = measure(pki, ports, rounds)
        finally:
            ours.send(None)
            servers.join()

    print(f"{f'medians of {rounds} rounds':40}", *(f"{c.name:>18}" for c in CONTENDERS))
    for case in CASES:
        medians = (statistics.median(figures[case, c.name]) for c in CONTENDERS)
        print(f"{case:40}", *(f"{median:>18,.0f}" for median in medians))


if __name__ == "__main__":
    main()
