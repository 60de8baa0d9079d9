"""The contract of ``do_handshake()``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import (
    CLIENT,
    SERVER,
    carry,
    connections,
    established,
    failure_of,
    read_all,
    sealed,
    send,
)

from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, AlertReceived, TLSError
from trio_tlsx.handshake.wants import Want
from trio_tlsx.testing import CA

# What it returns


def test_client_wants_write_and_server_wants_read_first() -> None:
    client, server = connections()
    assert server.do_handshake() is Want.READ
    assert client.do_handshake() is Want.WRITE
    assert not client.handshake_complete
    assert not server.handshake_complete


@pytest.mark.parametrize("server_config", [SERVER, replace(SERVER, require_cookie=True)])
def test_pending_output_is_wanted_before_input(server_config: Any) -> None:
    """However little of it leaves at a time."""
    pair = connections(CLIENT, server_config)
    waits = 0
    for _ in range(5):
        for one, other in (pair, reversed(pair)):
            want = one.do_handshake()
            while output := one.pending_output():
                assert one.do_handshake() is want is Want.WRITE
                head = bytes(output[:7])
                one.bytes_sent(len(head))
                other.receive_data(head)
                # The other side has not got all of it yet, or is to answer.
                waits += other.do_handshake() is Want.READ
    assert waits > 10
    assert [one.do_handshake() for one in pair] == [Want.NOTHING, Want.NOTHING]


def test_do_handshake_repeats_what_it_wants() -> None:
    client, server = connections()
    assert client.do_handshake() is client.do_handshake() is Want.WRITE
    carry(client, server)
    assert client.do_handshake() is client.do_handshake() is Want.READ


def test_client_writes_before_its_finished_is_sent() -> None:
    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    carry(server, client)
    assert client.do_handshake() is Want.WRITE
    assert client.handshake_complete
    assert client.write(memoryview(b"early")) == 5
    assert client.do_handshake() is Want.WRITE
    carry(client, server)
    assert client.do_handshake() is Want.NOTHING
    assert server.do_handshake() is Want.NOTHING
    assert read_all(server) == b"early"


def test_server_write_before_the_clients_finished_raises() -> None:
    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    with pytest.raises(RuntimeError, match="not complete"):
        server.write(memoryview(b"too early"))


def test_do_handshake_after_the_handshake_does_nothing() -> None:
    client, server = established()
    send(client, server, b"ping")
    for _ in range(3):
        assert server.do_handshake() is Want.NOTHING
    assert not server.data_to_send()
    assert read_all(server) == b"ping"


def test_negotiated_read_and_write_before_the_handshake_raise() -> None:
    client, _ = connections()
    for call in (lambda: client.negotiated, client.read, lambda: client.write(memoryview(b"x"))):
        with pytest.raises(RuntimeError, match="not complete"):
            call()


# How it fails


def refusals() -> list[Any]:
    stranger = CA()

    def nonsense(client: Connection, server: Connection) -> Connection:
        server.receive_data(b"GET / HTTP/1.1\r\n\r\n")
        return server

    def untrusted(client: Connection, server: Connection) -> Connection:
        client.do_handshake()
        carry(client, server)
        server.do_handshake()
        carry(server, client)
        return client

    def altered(client: Connection, server: Connection) -> Connection:
        client.do_handshake()
        carry(client, server)
        server.do_handshake()
        flight = bytearray(server.data_to_send())
        flight[-1] ^= 1
        client.receive_data(flight)
        return client

    untrusting = replace(CLIENT, trust=stranger.trust)
    return [
        pytest.param(nonsense, CLIENT, AlertDescription.unexpected_message, id="nonsense"),
        pytest.param(untrusted, untrusting, AlertDescription.unknown_ca, id="untrusted"),
        pytest.param(altered, CLIENT, AlertDescription.bad_record_mac, id="altered"),
    ]


@pytest.mark.parametrize(("provoke", "client_config", "alert"), refusals())
def test_alert_is_queued_before_the_error_is_raised(
    provoke: Callable[[Connection, Connection], Connection],
    client_config: Any,
    alert: AlertDescription,
) -> None:
    client, server = connections(client_config)
    one = provoke(client, server)
    other = server if one is client else client
    error = failure_of(one.do_handshake)
    assert error.refused_by == "us"
    assert error.alert is alert
    assert one.pending_output()
    if other.do_handshake() is Want.WRITE:
        other.data_to_send()
    carry(one, other)
    seen = failure_of(other.do_handshake)
    assert isinstance(seen, AlertReceived)
    assert seen.refused_by == "peer"
    assert seen.alert is alert
    # One alert is enough, and an alert is not answered.
    assert not other.data_to_send()
    for connection, failure in ((one, error), (other, seen)):
        assert failure_of(connection.do_handshake) is failure
        assert not connection.data_to_send()


def test_alert_is_queued_before_an_error_of_read() -> None:
    client, server = established()
    record = bytearray(sealed(client, b"data"))
    record[-1] ^= 1
    server.receive_data(record)
    error = failure_of(server.read)
    carry(server, client)
    seen = failure_of(client.read)
    assert error.alert is seen.alert is AlertDescription.bad_record_mac
    for call in (server.read, server.do_handshake, lambda: server.write(memoryview(b"x"))):
        assert failure_of(call) is error


def test_data_before_a_corrupt_record_is_delivered() -> None:
    client, server = established()
    good = sealed(client, b"good" * 1000)
    server.receive_data(good * 2)  # sealed once, so that its second copy cannot be opened
    assert read_until_failure(server) == b"good" * 1000


def read_until_failure(connection: Connection) -> bytes:
    data = bytearray()
    try:
        while isinstance(piece := connection.read(), bytes):
            data += piece
    except TLSError:
        return bytes(data)
    raise AssertionError("it did not fail")


# Questions


def test_read_of_zero_bytes_only_looks() -> None:
    client, server = established()
    assert client.read(0) is Want.READ
    client.receive_data(sealed(server, b"here"))
    assert client.read(0) == b""
    assert client.read() == b"here"
    with pytest.raises(ValueError, match="negative"):
        client.read(-1)
