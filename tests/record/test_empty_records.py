"""Records that carry no data: a few in a row are accepted, a flood is rejected (RFC 9846 5.1)."""

from __future__ import annotations

from engine_pairs import (
    alert_of,
    carry,
    established,
    outgoing,
    read_all,
    sealed,
    send,
)
from pairs12 import CLIENT_12, SERVER_12

from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.alerts import WARNING
from trio_tlsx.record.receive import MAX_EMPTY_RECORDS

A = AlertDescription


def test_empty_records_in_a_row_are_limited() -> None:
    client, server = established()
    for _ in range(3):  # data in between makes them harmless
        for _ in range(MAX_EMPTY_RECORDS):
            server.receive_data(sealed(client, b""))
            assert server.read() is Want.READ
        send(client, server, b"data")
        assert read_all(server) == b"data"
    for _ in range(MAX_EMPTY_RECORDS + 1):
        server.receive_data(sealed(client, b"", padding=9))
    assert alert_of(server.read) is A.unexpected_message


def test_empty_records_received_at_once_are_limited() -> None:
    """A driver that hands over a lot at once is no way around it."""
    client, server = established()
    empty = b"".join(sealed(client, b"") for _ in range(1000))
    server.receive_data(empty + sealed(client, b"data"))
    assert alert_of(server.read) is A.unexpected_message


def test_warnings_between_empty_records_do_not_count_as_progress() -> None:
    client, server = established(CLIENT_12, SERVER_12)
    for _ in range(3):
        server.receive_data(sealed(client, b""))
        outgoing(client).alert(WARNING, A.unrecognized_name)
        carry(client, server)
    for _ in range(MAX_EMPTY_RECORDS - 3):
        server.receive_data(sealed(client, b""))
    assert server.read() is Want.READ
    server.receive_data(sealed(client, b""))
    assert alert_of(server.read) is A.unexpected_message
