"""Limits of the calls, system calls and task steps of handshakes and data.

Each ceiling is the count that was measured, rounded up. A change that needs more calls says why
in its commit; a change that needs fewer lowers the ceiling. The minor version of Python matters,
since it decides which calls are inlined.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import trio
from counting import counting, counting_steps
from engine_pairs import CLIENT, SERVER, connections, established, read_all, send, shake_hands
from tls_pairs import unix_transports

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.record import protection
from trio_tlsx.record.ready_aeads import MAX_READY_AEADS, ReadyAEADs

VERSION = sys.version_info[:2]
ROUND_TRIPS = 10
ROUND_TRIP_BYTES = 100
BULK_BYTES = 2**16

RESUMING = replace(CLIENT, resumption=True)
CLIENT_12 = replace(CLIENT, versions=["TLSv1.2"], groups=["x25519", "P-256"])  # of its certificate
SERVER_12 = replace(SERVER, versions=["TLSv1.2"])
RESUMING_12 = replace(CLIENT_12, resumption=True)
CONFIGS = {"TLSv1.3": (CLIENT, SERVER), "TLSv1.2": (CLIENT_12, SERVER_12)}

#: Calls of functions of the package and from it, of both sides together, by the minor version of
#: Python.
FULL_HANDSHAKE = {(3, 11): 1210, (3, 12): 1195, (3, 13): 1195, (3, 14): 1195, (3, 15): 1195}
RESUMED_HANDSHAKE = {(3, 11): 1395, (3, 12): 1380, (3, 13): 1375, (3, 14): 1375, (3, 15): 1375}
#: With TLS 1.2: about those of TLS 1.3, and fewer if a session is resumed, without a key exchange.
FULL_HANDSHAKE_12 = {(3, 11): 1175, (3, 12): 1160, (3, 13): 1160, (3, 14): 1160, (3, 15): 1160}
RESUMED_HANDSHAKE_12 = {(3, 11): 1000, (3, 12): 985, (3, 13): 985, (3, 14): 985, (3, 15): 985}
#: The same on each version of Python, by the version of TLS.
ROUND_TRIP = {"TLSv1.3": 54, "TLSv1.2": 56}
BULK = {"TLSv1.3": 82, "TLSv1.2": 82}
#: Task steps of a handshake. In TLS 1.3 the server waits once, for the client's Finished. TLS 1.2
#: has a second round trip.
HANDSHAKE_STEPS = {"TLSv1.3": 1, "TLSv1.2": 3}


@pytest.fixture(autouse=True)
def no_aeads_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropping the AEADs of earlier connections takes calls too."""
    monkeypatch.setattr(protection, "ready_aeads", ReadyAEADs(MAX_READY_AEADS))


def calls_of_a_handshake(client: ClientConfig, server: ServerConfig) -> int:
    pair = connections(client, server)
    with counting() as counts:
        shake_hands(*pair)
    return counts.calls


def test_calls_of_a_full_handshake() -> None:
    calls_of_a_handshake(CLIENT, SERVER)  # fills the caches
    assert calls_of_a_handshake(CLIENT, SERVER) <= FULL_HANDSHAKE[VERSION]


def test_calls_of_a_resumed_handshake() -> None:
    for _ in range(2):
        pair = established(RESUMING, SERVER)
        send(pair[1], pair[0], b"tickets come with it")
        assert read_all(pair[0])
    assert calls_of_a_handshake(RESUMING, SERVER) <= RESUMED_HANDSHAKE[VERSION]


def test_calls_of_a_full_handshake_of_tls_1_2() -> None:
    calls_of_a_handshake(CLIENT_12, SERVER_12)
    assert calls_of_a_handshake(CLIENT_12, SERVER_12) <= FULL_HANDSHAKE_12[VERSION]


def test_calls_of_a_resumed_handshake_of_tls_1_2() -> None:
    for _ in range(2):
        established(RESUMING_12, SERVER_12)
    assert calls_of_a_handshake(RESUMING_12, SERVER_12) <= RESUMED_HANDSHAKE_12[VERSION]


async def connected(
    version: str,
) -> tuple[TLSStream[trio.abc.Stream], TLSStream[trio.abc.Stream]]:
    transports = await unix_transports()
    client_config, server_config = CONFIGS[version]
    client = TLSStream[trio.abc.Stream](
        transports[0], client_config, server_hostname="test.example"
    )
    server = TLSStream[trio.abc.Stream](transports[1], replace(server_config, tickets=0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    return client, server


async def test_cost_of_a_round_trip(version: str) -> None:
    client, server = await connected(version)
    data = bytes(ROUND_TRIP_BYTES)

    async def round_trip() -> None:
        for one, other in ((client, server), (server, client)):
            await one.send_all(data)
            assert await other.receive_some() == data

    await round_trip()
    with counting_steps() as counts:
        for _ in range(ROUND_TRIPS):
            await round_trip()
    assert counts.calls <= ROUND_TRIP[version] * ROUND_TRIPS
    assert counts.system_calls == 4 * ROUND_TRIPS  # each octet string is written and read once
    assert counts.task_steps == 4 * ROUND_TRIPS  # a schedule point for each call
    for stream in (client, server):
        await trio.aclose_forcefully(stream)


async def converse(stream: trio.abc.Stream, is_client: bool) -> None:
    """Echo once, and close."""
    async with stream:
        if is_client:
            await stream.send_all(b"ping")
            assert await stream.receive_some() == b"ping"
        else:
            while data := await stream.receive_some():
                await stream.send_all(data)


async def test_task_steps_of_a_connection(version: str) -> None:
    client_config, server_config = CONFIGS[version]
    steps: list[int] = []
    for is_tls in (False, True):
        client, server = await unix_transports()
        ends: list[trio.abc.Stream] = [client, server]
        if is_tls:
            ends = [
                TLSStream[trio.abc.Stream](client, client_config, server_hostname="test.example"),
                TLSStream[trio.abc.Stream](server, replace(server_config, tickets=0)),
            ]
        with counting_steps() as counts:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(converse, ends[0], True)
                nursery.start_soon(converse, ends[1], False)
        steps.append(counts.task_steps)
    assert steps[1] <= steps[0] + HANDSHAKE_STEPS[version]


async def test_cost_of_64_kib(version: str) -> None:
    client, server = await connected(version)
    data = bytes(BULK_BYTES)

    async def transfer() -> None:
        await client.send_all(data)
        received = 0
        while received < len(data):
            received += len(await server.receive_some())

    await transfer()
    with counting_steps() as counts:
        await transfer()
    assert counts.calls <= BULK[version]
    assert counts.system_calls <= 2
    assert counts.task_steps <= 2
    for stream in (client, server):
        await trio.aclose_forcefully(stream)
