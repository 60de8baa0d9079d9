"""``read_alert``: how an engine processes input after a send failed."""

from __future__ import annotations

from dataclasses import replace

from engine_pairs import CLIENT, carry, connections, established, failure_of, outgoing, send

from trio_tlsx.errors import AlertDescription, AlertReceived, HandshakeShutdown, Truncated
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.alerts import FATAL
from trio_tlsx.pki.peer import Peer


def test_read_alert_finds_an_alert_during_the_handshake() -> None:
    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    outgoing(server).alert(FATAL, AlertDescription.access_denied)
    carry(server, client)
    error = failure_of(client.read_alert)
    assert isinstance(error, AlertReceived)
    assert error.alert is AlertDescription.access_denied
    assert failure_of(client.do_handshake) is error


def test_read_alert_finds_an_alert_after_the_handshake() -> None:
    client, server = established()
    assert client.read_alert(), "more input may help"
    outgoing(server).alert(FATAL, AlertDescription.access_denied)
    carry(server, client)
    assert failure_of(client.read_alert).alert is AlertDescription.access_denied


def test_read_alert_asks_no_question() -> None:
    """The question stays open, for the next call of do_handshake."""
    calls: list[Peer] = []
    client, server = connections(replace(CLIENT, verify=calls.append))
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    carry(server, client)
    assert not client.read_alert()
    assert not client.read_alert()
    assert not calls
    assert client.do_handshake() is Want.WRITE
    assert len(calls) == 1


def test_read_alert_drops_an_awaitable_that_was_not_taken() -> None:
    async def verify(peer: Peer) -> None: ...

    client, server = connections(replace(CLIENT, verify=verify))
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    carry(server, client)
    assert client.do_handshake() is Want.WRITE, "the question is asked; the output goes first"
    assert not client.read_alert()  # else the coroutine would warn that nobody awaited it


def test_read_alert_stops_at_data() -> None:
    client, server = established()
    send(server, client, b"data")
    assert not client.read_alert()
    assert client.read() == b"data"
    assert client.read_alert()
    server.shutdown()
    carry(server, client)
    assert not client.read_alert()
    assert client.read() == b""


def test_read_alert_drops_the_output() -> None:
    client, _ = established()
    client.write(memoryview(b"never arrives"))
    client.read_alert()
    assert not client.pending_output()


def test_the_end_of_the_transport_is_an_error() -> None:
    client, server = connections()
    client.do_handshake()
    client.receive_data(b"")
    assert isinstance(failure_of(client.read_alert), HandshakeShutdown)
    client, server = established()
    server.receive_data(b"")
    assert isinstance(failure_of(server.read_alert), Truncated)
