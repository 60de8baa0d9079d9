"""Middlebox compatibility mode: change_cipher_spec (RFC 9846 5, E.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_pairs import (
    CLIENT,
    SERVER,
    alert_of,
    carry,
    connections,
    established,
    failure_of,
    plain,
    records,
    shake_hands,
)
from hellos import exchange, first_hello, flight

from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake.wants import Want
from trio_tlsx.record.protection import ContentType
from trio_tlsx.record.receive import MAX_EMPTY_RECORDS


def types_of(output: bytes) -> list[int]:
    return [record[0] for _, record in records(output)]


@pytest.mark.parametrize("retried", [False, True])
@pytest.mark.parametrize("compatible", [False, True])
def test_middlebox_compatibility_sends_one_change_cipher_spec(
    compatible: bool, retried: bool
) -> None:
    """Each side sends one change_cipher_spec, or none at all."""
    client, server = connections(
        replace(CLIENT, middlebox_compatibility=compatible),
        replace(SERVER, require_cookie=retried),
    )
    hello, dummy, data = (
        [ContentType.handshake],
        [ContentType.change_cipher_spec] * compatible,
        [ContentType.application_data],
    )
    assert types_of(flight(client, server)) == hello
    if retried:
        assert types_of(flight(server, client)) == hello + dummy
        assert types_of(flight(client, server)) == dummy + hello
        assert types_of(flight(server, client)) == hello + data
        assert types_of(flight(client, server)) == data
    else:
        assert types_of(flight(server, client)) == hello + dummy + data
        assert types_of(flight(client, server)) == dummy + data
    shake_hands(client, server)
    exchange(client, server)
    session_id = first_hello(replace(CLIENT, middlebox_compatibility=compatible))
    assert len(session_id.legacy_session_id) == (32 if compatible else 0)


def test_change_cipher_spec_after_the_handshake_is_rejected() -> None:
    for side in (0, 1):
        pair = established()
        pair[side].receive_data(b"\x14\x03\x03\0\x01\x01")
        assert failure_of(pair[side].read).alert is AlertDescription.unexpected_message


def test_change_cipher_spec_before_the_client_hello_is_rejected() -> None:
    _, server = connections()
    server.receive_data(b"\x14\x03\x03\0\x01\x01")
    assert failure_of(server.do_handshake).alert is AlertDescription.unexpected_message


A = AlertDescription


CHANGE_CIPHER_SPEC = plain(b"\1", ContentType.change_cipher_spec)


def test_change_cipher_specs_in_a_row_are_limited() -> None:
    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    server.data_to_send()
    for _ in range(MAX_EMPTY_RECORDS):
        server.receive_data(CHANGE_CIPHER_SPEC)
        assert server.do_handshake() is Want.READ
    server.receive_data(CHANGE_CIPHER_SPEC)
    assert alert_of(server.do_handshake) is A.unexpected_message
