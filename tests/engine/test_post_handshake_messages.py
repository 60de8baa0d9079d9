"""Messages after the handshake: tickets."""

from __future__ import annotations

from dataclasses import replace

from engine_pairs import (
    CLIENT,
    SERVER,
    alert_of,
    established,
    read_all,
    sealed,
    send,
)

from trio_tlsx.engine.post_handshake import MAX_DROPPED_TICKETS, MAX_TICKETS_RECEIVED
from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.handshake import HandshakeType, NewSessionTicket, encode_message
from trio_tlsx.record.protection import ContentType

A = AlertDescription


def test_session_tickets_beyond_the_limit_are_dropped() -> None:
    client, server = established(replace(CLIENT, resumption=True), replace(SERVER, tickets=0))
    message = NewSessionTicket(100, 2, b"", b"ticket", {})
    for number in range(MAX_TICKETS_RECEIVED):
        ticket = replace(message, ticket=b"kept %d" % number)
        client.receive_data(sealed(server, encode_message(ticket), ContentType.handshake))
    assert client.read() is Want.READ
    newest = client.session
    assert newest is not None
    dropped = bytes((HandshakeType.new_session_ticket,)) + b"\0\0\5never"  # not decoded either
    for _ in range(3):  # data in between allows for more of them
        for _ in range(MAX_DROPPED_TICKETS):
            client.receive_data(sealed(server, dropped, ContentType.handshake))
        assert client.read() is Want.READ
        send(server, client, b"data")
        assert read_all(client) == b"data"
    assert client.session is newest
    for _ in range(MAX_DROPPED_TICKETS):
        client.receive_data(sealed(server, dropped, ContentType.handshake))
    assert client.read() is Want.READ
    client.receive_data(sealed(server, dropped, ContentType.handshake))
    assert alert_of(client.read) is A.unexpected_message
