"""The announced length of a handshake message (RFC 9846 4, 6.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_pairs import (
    ASKING_SERVER,
    CLIENT,
    alert_of,
    carry,
    connections,
    plain,
    records,
    sealed,
)

from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.handshake import HandshakeType
from trio_tlsx.record.message_reader import (
    MAX_CERTIFICATE_LENGTH,
    MAX_CLIENT_HELLO_LENGTH,
    MAX_FINISHED_LENGTH,
    MAX_MESSAGE_LENGTH,
    MAX_SERVER_HELLO_LENGTH,
)
from trio_tlsx.record.protection import ContentType

A = AlertDescription


def announced(handshake_type: int, length: int) -> bytes:
    """The header of a handshake message, and not a byte of it."""
    return bytes((handshake_type,)) + length.to_bytes(3)


def with_handshake_keys() -> tuple[Connection, Connection]:
    """A client that has handshake keys, and a server that waits for what it sends with them."""
    client, server = connections(replace(CLIENT, middlebox_compatibility=False), ASKING_SERVER)
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    # Of the server's flight the client gets the ServerHello alone, so that it has no other keys.
    (_, server_hello), *_ = records(server.data_to_send())
    client.receive_data(server_hello)
    client.do_handshake()
    assert server.do_handshake() is Want.READ
    return client, server


@pytest.mark.parametrize(
    ("role", "handshake_type", "limit"),
    [
        ("server", HandshakeType.client_hello, MAX_CLIENT_HELLO_LENGTH),
        ("client", HandshakeType.server_hello, MAX_SERVER_HELLO_LENGTH),
    ],
)
def test_hello_longer_than_the_limit_is_rejected(
    role: str, handshake_type: int, limit: int
) -> None:
    for length, refused in [(limit, False), (limit + 1, True)]:
        client, server = connections()
        client.do_handshake()
        client.data_to_send()
        receiver = client if role == "client" else server
        receiver.receive_data(plain(announced(handshake_type, length)))
        if refused:
            assert alert_of(receiver.do_handshake) is A.illegal_parameter
        else:
            assert receiver.do_handshake() is Want.READ


@pytest.mark.parametrize(
    ("handshake_type", "limit"),
    [
        (HandshakeType.certificate, MAX_CERTIFICATE_LENGTH),
        (HandshakeType.finished, MAX_FINISHED_LENGTH),
        (HandshakeType.key_update, MAX_MESSAGE_LENGTH),
        (77, MAX_MESSAGE_LENGTH),
    ],
)
def test_handshake_message_longer_than_its_limit_is_rejected(
    handshake_type: int, limit: int
) -> None:
    for length, refused in [(limit, False), (limit + 1, True)]:
        client, server = with_handshake_keys()
        header = announced(handshake_type, length)
        server.receive_data(sealed(client, header, ContentType.handshake))
        if refused:
            is_finished = handshake_type == HandshakeType.finished
            alert = A.decode_error if is_finished else A.illegal_parameter
            assert alert_of(server.do_handshake) is alert
        else:
            assert server.do_handshake() is Want.READ
