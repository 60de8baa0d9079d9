"""How a connection ends: close_notify, truncation, and a handshake that is cancelled."""

from __future__ import annotations

import pytest
from engine_pairs import (
    carry,
    connections,
    established,
    failure_of,
    next_want,
    plain,
    read_all,
    send,
)

from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import (
    AlertDescription,
    AlertReceived,
    HandshakeShutdown,
    InternalError,
    Truncated,
)
from trio_tlsx.handshake.wants import Want
from trio_tlsx.record.protection import ContentType


def test_eof_before_any_byte_is_a_handshake_shutdown() -> None:
    for connection in connections():
        connection.do_handshake()
        connection.data_to_send()
        connection.receive_data(b"")
        assert isinstance(failure_of(connection.do_handshake), HandshakeShutdown)
        assert not connection.data_to_send()


def test_eof_during_the_handshake_is_truncated() -> None:
    client, server = connections()
    client.do_handshake()
    server.receive_data(client.data_to_send()[:-1])
    server.receive_data(b"")
    error = failure_of(server.do_handshake)
    assert isinstance(error, Truncated)
    assert error.refused_by is None
    assert failure_of(server.do_handshake) is error


def test_eof_without_close_notify_is_truncated_in_both_directions() -> None:
    _client, server = established()
    server.write(memoryview(b"nobody will read this"))
    server.receive_data(b"")
    for _ in range(2):
        assert isinstance(failure_of(server.read), Truncated)
    assert not server.data_to_send()
    with pytest.raises(Truncated):
        server.write(memoryview(b"nor this"))


def test_close_notify_ends_one_direction() -> None:
    client, server = established()
    client.shutdown()
    client.shutdown()
    carry(client, server)
    assert server.read() == server.read() == b""
    with pytest.raises(RuntimeError, match="close_notify"):
        client.write(memoryview(b"x"))
    send(server, client, b"answer")
    assert read_all(client) == b"answer"
    server.shutdown()
    carry(server, client)
    assert client.read() == b""


def test_data_after_close_notify_is_unread_ciphertext() -> None:
    client, server = established()
    client.shutdown()
    server.receive_data(client.data_to_send() + b"another protocol")
    assert server.read() == b""
    assert server.unread_ciphertext() == b"another protocol"
    assert server.unread_ciphertext() == b""


def test_close_notify_during_the_handshake_is_a_handshake_shutdown() -> None:
    _, server = connections()
    server.receive_data(plain(b"\1\0", ContentType.alert))
    error = failure_of(server.do_handshake)
    assert isinstance(error, HandshakeShutdown)
    assert error.alert is AlertDescription.close_notify
    assert server.data_to_send() == plain(b"\1\0", ContentType.alert)


def turns_before(count: int) -> tuple[Connection, Connection]:
    """A client and a server after so many flights: 0, 1 or 2 of 3."""
    client, server = connections()
    for one, other in [(client, server), (server, client)][:count]:
        one.do_handshake()
        carry(one, other)
    return client, server


@pytest.mark.parametrize(("count", "side"), [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)])
def test_cancel_handshake_sends_user_canceled_and_close_notify(count: int, side: int) -> None:
    pair = turns_before(count)
    one, other = pair[side], pair[1 - side]
    one.cancel_handshake()
    error = failure_of(one.do_handshake)
    assert error.refused_by == "us"
    assert error.alert is AlertDescription.user_canceled
    carry(one, other)
    while (want := next_want(other)) is Want.WRITE:
        other.data_to_send()
    assert isinstance(want, HandshakeShutdown)
    one.cancel_handshake()
    assert not one.data_to_send()


def test_cancel_handshake_after_the_servers_finished_sends_a_fatal_alert() -> None:
    """Its client's handshake may be complete: close_notify would be the end of an empty answer."""
    client, server = turns_before(2)
    server.cancel_handshake()
    error = failure_of(server.do_handshake)
    assert isinstance(error, InternalError)
    assert error.alert is AlertDescription.internal_error
    carry(server, client)
    assert client.do_handshake() is Want.WRITE
    client.data_to_send()
    assert client.do_handshake() is Want.NOTHING
    refusal = failure_of(client.read)
    assert isinstance(refusal, AlertReceived)
    assert refusal.alert is AlertDescription.internal_error
    server.cancel_handshake()
    assert not server.data_to_send()


def test_cancel_handshake_with_a_queued_finished_sends_a_fatal_alert() -> None:
    client, server = turns_before(1)
    assert server.do_handshake() is Want.WRITE
    server.cancel_handshake()
    carry(server, client)
    assert client.do_handshake() is Want.WRITE
    assert isinstance(failure_of(client.read), AlertReceived)


def test_cancel_handshake_after_the_handshake_does_nothing() -> None:
    client, server = established()
    client.cancel_handshake()
    assert not client.data_to_send()
    send(client, server, b"on")
    assert read_all(server) == b"on"


def test_shutdown_during_the_handshake_ends_it() -> None:
    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.shutdown()
    assert failure_of(server.do_handshake).alert is AlertDescription.close_notify
    carry(server, client)
    assert failure_of(client.do_handshake).alert is AlertDescription.close_notify
