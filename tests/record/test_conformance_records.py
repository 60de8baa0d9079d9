"""What BoringSSL's runner found in what may follow what."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_pairs import (
    CLIENT,
    SERVER,
    carry,
    connections,
    established,
    failure_of,
    outgoing,
    plain,
    read_all,
    records,
    send,
)

from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription
from trio_tlsx.messages.alerts import WARNING
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import HEADER_LENGTH, ClientHello, ServerHello, encode_message
from trio_tlsx.record.protection import TAG_LENGTH, ContentType
from trio_tlsx.record.receive import MAX_SKIPPED_EARLY_DATA


def test_data_may_follow_user_canceled() -> None:
    # RFC 9846 6.1: user_canceled says nothing by itself.
    client, server = established()
    for _ in range(2):
        outgoing(server).alert(WARNING, AlertDescription.user_canceled)
        send(server, client, b"still here")
        assert read_all(client) == b"still here"


def first_hello() -> ClientHello:
    """A ClientHello that offers early data and has no key share that the server wants."""
    client, _ = connections(replace(CLIENT, groups=["x25519", "P-256"]))
    client.do_handshake()
    hello = ClientHello.decode(client.data_to_send()[5 + HEADER_LENGTH :])
    return replace(hello, extensions={**hello.extensions, ExtensionType.early_data: b""})


EARLY_DATA = plain(b"\0" * 100, ContentType.application_data)


def test_early_data_is_skipped_until_the_second_client_hello_begins() -> None:
    # RFC 9846 4.3.10 and 5.1: no other record stands between the pieces of a message.
    server = connections(CLIENT, replace(SERVER, groups=["P-256"]))[1]
    first = first_hello()
    server.receive_data(plain(encode_message(first)))
    server.do_handshake()
    server.data_to_send()
    server.receive_data(EARLY_DATA)
    server.do_handshake()
    server.receive_data(plain(encode_message(first)[:16]))
    server.do_handshake()
    server.receive_data(EARLY_DATA)
    assert failure_of(server.do_handshake).alert is AlertDescription.unexpected_message


@pytest.mark.parametrize(
    ("length", "too_much"), [(MAX_SKIPPED_EARLY_DATA, False), (MAX_SKIPPED_EARLY_DATA + 1, True)]
)
def test_the_early_data_that_is_skipped_is_bounded(length: int, too_much: bool) -> None:
    server = connections(CLIENT, replace(SERVER, groups=["P-256"]))[1]
    server.receive_data(plain(encode_message(first_hello())))
    server.do_handshake()
    server.data_to_send()
    half, overhead = length // 2, 1 + TAG_LENGTH
    server.receive_data(plain(bytes(half + overhead), ContentType.application_data))
    server.do_handshake()
    server.receive_data(plain(bytes(length - half + overhead), ContentType.application_data))
    if too_much:
        assert failure_of(server.do_handshake).alert is AlertDescription.unexpected_message
    else:
        server.do_handshake()


def test_the_version_does_not_change_between_two_server_hellos() -> None:
    # RFC 9846 4.2.4
    client, server = connections(CLIENT, replace(SERVER, require_cookie=True))
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    carry(server, client)
    client.do_handshake()
    hello = ServerHello(0x0303, bytes(32), bytes(32), 0x1301, 0, {})
    client.receive_data(plain(encode_message(hello)))
    assert failure_of(client.do_handshake).alert is AlertDescription.illegal_parameter


def retrying_server_and_hello() -> tuple[Connection, bytes]:
    """A server that will send a HelloRetryRequest, and a whole ClientHello."""
    server = connections(CLIENT, replace(SERVER, groups=["P-256"]))[1]
    return server, encode_message(first_hello())


def test_a_client_cannot_begin_its_second_hello_before_the_retry() -> None:
    server, hello = retrying_server_and_hello()
    server.receive_data(plain(hello + hello[:1]))
    assert failure_of(server.do_handshake).alert is AlertDescription.unexpected_message


def test_a_server_cannot_begin_its_hello_along_with_the_retry() -> None:
    client, server = connections(CLIENT, replace(SERVER, require_cookie=True))
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    ((_, retry), *_) = records(server.data_to_send())
    client.receive_data(plain(retry[5:] + retry[5:6]))
    assert failure_of(client.do_handshake).alert is AlertDescription.unexpected_message


@pytest.mark.parametrize("legacy_version", [0x0303, 0x0304, 0x0400])
def test_without_supported_versions_nobody_asks_for_tls_1_3(legacy_version: int) -> None:
    # RFC 9846 4.3.1
    hello = first_hello()
    extensions = dict(hello.extensions)
    del extensions[ExtensionType.supported_versions]
    server = connections()[1]
    changed = replace(hello, legacy_version=legacy_version, extensions=extensions)
    server.receive_data(plain(encode_message(changed)))
    assert failure_of(server.do_handshake).alert is AlertDescription.protocol_version


def test_supported_versions_may_not_be_empty() -> None:
    hello = first_hello()
    extensions = {**hello.extensions, ExtensionType.supported_versions: b""}
    server = connections()[1]
    server.receive_data(plain(encode_message(replace(hello, extensions=extensions))))
    assert failure_of(server.do_handshake).alert is AlertDescription.decode_error
