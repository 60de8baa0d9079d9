"""Messages in many records: bounded, and other tasks run between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
from engine_pairs import CLIENT, SERVER, carry, connections, established, failure_of, outgoing
from tls_pairs import MEMORY, SERVER_NAME, Engine

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.handshake import KeyUpdate, encode_message
from trio_tlsx.record.message_reader import (
    MAX_CERTIFICATE_LENGTH,
    MAX_RECORDS_PER_MESSAGE,
    STEPS_BETWEEN_PAUSES,
)
from trio_tlsx.record.protection import MIN_RECORD_SIZE_LIMIT

HEADER = 4  # bytes, of a handshake message


def single_octets(client: Connection) -> bytes:
    """The ClientHello, an octet a record."""
    assert client.do_handshake() is Want.WRITE
    message = client.data_to_send()[5:]
    return b"".join(b"\x16\3\1\0\1" + message[i : i + 1] for i in range(len(message)))


def test_the_longest_message_fits_in_the_smallest_records() -> None:
    smallest = MIN_RECORD_SIZE_LIMIT - 1
    assert (MAX_RECORDS_PER_MESSAGE - 1) * smallest >= MAX_CERTIFICATE_LENGTH + HEADER


@pytest.mark.parametrize("surplus", [0, 1])
def test_the_limit(surplus: int) -> None:
    _, server = connections()
    header = b"\1\0\x40\0"
    octets = header + bytes(MAX_RECORDS_PER_MESSAGE - len(header) + surplus)
    server.receive_data(b"".join(b"\x16\3\1\0\1" + bytes((octet,)) for octet in octets))
    if not surplus:
        assert server.do_handshake() is Want.READ
        return
    error = failure_of(server.do_handshake)
    assert error.alert is AlertDescription.unexpected_message
    assert f"more than {MAX_RECORDS_PER_MESSAGE} records" in str(error)


def test_the_count_is_of_one_message() -> None:
    """Both flights together have more records than one message may have."""
    client, server = connections()
    for one, other in ((client, server), (server, client)):
        outgoing(one).fragment_length = 1
        assert one.do_handshake() is Want.WRITE
        carry(one, other)
    assert client.do_handshake() is Want.WRITE


def wants(connection: Connection) -> Iterator[Want]:
    while (want := connection.do_handshake()) is Want.PAUSE:
        yield want


def test_want_pause_if_the_driver_sets_pauses() -> None:
    client, server = connections(CLIENT, SERVER)
    records = single_octets(client)
    server.pauses = True
    server.receive_data(records)
    count = sum(1 for _ in wants(server))
    assert count == len(records) // 6 // STEPS_BETWEEN_PAUSES
    assert server.do_handshake() is Want.WRITE


def test_no_other_driver_gets_them() -> None:
    client, server = connections(CLIENT, SERVER)
    server.receive_data(single_octets(client))
    assert server.do_handshake() is Want.WRITE


def test_messages_after_the_handshake() -> None:
    client, server = established()
    server.pauses = True
    for _ in range(40):
        outgoing(client).flight += encode_message(KeyUpdate(False))
        outgoing(client).update_keys()
        client.write(memoryview(b"x"))
    carry(client, server)
    pauses, data = 0, b""
    while (step := server.read()) is not Want.READ:
        if step is Want.PAUSE:
            pauses += 1
        elif isinstance(step, bytes):
            data += step
    assert data == bytes(40).replace(b"\0", b"x")
    assert pauses == 80 // STEPS_BETWEEN_PAUSES


async def test_other_tasks_run_meanwhile(native: Engine) -> None:
    raw, transport = await MEMORY.connect()
    assert isinstance(native.client_config, ClientConfig)
    records = single_octets(Connection.client(native.client_config, SERVER_NAME))
    ran = 0

    async def other_task() -> None:
        nonlocal ran
        while True:
            await trio.lowlevel.checkpoint()
            ran += 1

    await raw.send_all(records)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other_task)
        nursery.start_soon(native.server(transport).do_handshake)
        assert (await raw.receive_some())[:1] == b"\x16"
        nursery.cancel_scope.cancel()
    assert ran >= len(records) // 6 // STEPS_BETWEEN_PAUSES
