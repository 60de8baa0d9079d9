"""Records: what the engine accepts after the handshake, and the alert for anything else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from engine_pairs import (
    carry,
    connections,
    established,
    failure_of,
    incoming,
    plain,
    read_all,
    sealed,
    sealer,
)

from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, ProtocolError
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.handshake import KeyUpdate, NewSessionTicket, encode_message
from trio_tlsx.record.protection import ContentType

A, C = AlertDescription, ContentType

KEY_UPDATE = encode_message(KeyUpdate(False))
TICKET = encode_message(NewSessionTicket(1, 2, b"", b"ticket", {}))

#: What a client may not send after the handshake, and the alert that it gets for that.
Make = Callable[[Connection], bytes]
REFUSED: dict[str, tuple[Make, AlertDescription]] = {
    "nothing but padding": (lambda c: sealer(c).seal(0, bytes(10)), A.unexpected_message),
    "nothing at all": (lambda c: sealer(c).seal(0, b""), A.unexpected_message),
    "no handshake in a record of it": (
        lambda c: sealed(c, b"", C.handshake),
        A.unexpected_message,
    ),
    "no alert in a record of it": (lambda c: sealed(c, b"", C.alert), A.unexpected_message),
    "sealed change_cipher_spec": (
        lambda c: sealed(c, b"\1", C.change_cipher_spec),
        A.unexpected_message,
    ),
    "unknown type, sealed": (lambda c: sealed(c, b"x", 99), A.unexpected_message),
    "unknown type": (lambda _: plain(b"x", 99), A.unexpected_message),
    "handshake in the clear": (lambda _: plain(KEY_UPDATE), A.unexpected_message),
    "data that is not sealed": (
        lambda _: plain(b"plaintext, long enough for a tag", C.application_data),
        A.bad_record_mac,
    ),
    "record too short for a tag": (lambda _: plain(b"x", C.application_data), A.bad_record_mac),
    "alert in the clear": (lambda _: plain(b"\2\x28", C.alert), A.unexpected_message),
    "half an alert": (lambda c: sealed(c, b"\2", C.alert), A.decode_error),
    "alert and a half": (lambda c: sealed(c, b"\1\0\1", C.alert), A.decode_error),
    "data within a message": (
        lambda c: sealed(c, KEY_UPDATE[:2], C.handshake) + sealed(c, b"data"),
        A.unexpected_message,
    ),
    "more handshake behind new keys": (
        lambda c: sealed(c, KEY_UPDATE + KEY_UPDATE, C.handshake),
        A.unexpected_message,
    ),
    "KeyUpdate with a wish of its own": (
        lambda c: sealed(c, KEY_UPDATE[:-1] + b"\2", C.handshake),
        A.illegal_parameter,
    ),
    "KeyUpdate that is too long": (
        lambda c: sealed(c, b"\x18\0\0\2\0\0", C.handshake),
        A.decode_error,
    ),
    "ticket from a client": (lambda c: sealed(c, TICKET, C.handshake), A.unexpected_message),
    "hello again": (lambda c: sealed(c, b"\1\0\0\0", C.handshake), A.unexpected_message),
    "the same record again": (lambda c: sealed(c, b"data") * 2, A.bad_record_mac),
    "record out of order": (
        lambda c: (sealed(c, b"one"), sealed(c, b"two"))[1],
        A.bad_record_mac,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_records_rejected_after_the_handshake(case: str) -> None:
    make, alert = REFUSED[case]
    client, server = established()
    server.receive_data(make(client))

    def read() -> None:
        while isinstance(server.read(), bytes):
            pass

    error = failure_of(read)
    assert isinstance(error, ProtocolError)
    assert error.alert is alert, error
    carry(server, client)
    assert failure_of(client.read).alert is alert


def test_handshake_message_split_over_records_is_accepted() -> None:
    client, server = established()
    for octet in TICKET:
        client.receive_data(sealed(server, bytes((octet,)), C.handshake))
        assert client.read() is Want.READ
    client.receive_data(sealed(server, TICKET * 3, C.handshake) + sealed(server, b"data"))
    assert read_all(client) == b"data"


def test_record_padding_is_removed() -> None:
    client, server = established()
    for padding in (0, 1, 100, 10_000):
        server.receive_data(sealed(client, b"zeros at the end\0\0", padding=padding))
        assert read_all(server) == b"zeros at the end\0\0"


def test_equal_records_are_sealed_differently() -> None:
    client, _ = established()
    assert sealed(client, b"data") != sealed(client, b"data")


def test_keys_of_both_directions_differ() -> None:
    client, server = established()
    client.receive_data(sealed(client, b"back to where it came from"))
    assert failure_of(client.read).alert is A.bad_record_mac
    assert incoming(server).is_protected


# Alerts


@pytest.mark.parametrize(
    "octets",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x80\x2e\x01\0\x02"],
)
def test_first_octets_of_a_peer_without_tls_are_in_the_error(octets: bytes) -> None:
    for connection in connections():
        connection.do_handshake()
        connection.data_to_send()
        connection.receive_data(octets)
        error = failure_of(connection.do_handshake)
        assert error.alert is A.unexpected_message
        assert "does not speak TLS" in str(error)
        assert octets.split(b"\r\n")[0].decode("ascii", "backslashreplace")[:3] in str(error)
