"""Early data that a server cannot accept is skipped, up to a limit (RFC 9846 4.3.10)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_pairs import (
    CLIENT,
    SERVER,
    alert_of,
    carry,
    connections,
    failure_of,
    incoming,
    plain,
    read_all,
    send,
    shake_hands,
)
from hellos import give, hello_with_early_data, sent_hello

from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake import client_hello
from trio_tlsx.handshake.client_hello import HelloParameters
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ClientHello, encode_message
from trio_tlsx.record.message_reader import STEPS_BETWEEN_PAUSES
from trio_tlsx.record.protection import (
    MAX_INNER_PLAINTEXT_LENGTH,
    RECORD_HEADER_LENGTH,
    RECORD_OVERHEAD,
    TAG_LENGTH,
    ContentType,
)
from trio_tlsx.record.receive import MAX_SKIPPED_EARLY_DATA

A = AlertDescription


@pytest.fixture
def offers_early_data(monkeypatch: pytest.MonkeyPatch) -> None:
    make = client_hello.hello_without_psks

    def with_early_data(parameters: HelloParameters) -> ClientHello:
        made = make(parameters)
        if parameters.cookie is not None:
            return made  # the second ClientHello offers none
        return replace(made, extensions={**made.extensions, ExtensionType.early_data: b""})

    monkeypatch.setattr(client_hello, "hello_without_psks", with_early_data)


@pytest.mark.usefixtures("offers_early_data")
@pytest.mark.parametrize("retried", [False, True])
def test_skipped_early_data_is_limited(retried: bool) -> None:
    """Which a server does that has no use for it: RFC 9846 4.3.10."""
    for length, refused in [(MAX_SKIPPED_EARLY_DATA, False), (MAX_SKIPPED_EARLY_DATA + 1, True)]:
        client, server = connections(CLIENT, replace(SERVER, require_cookie=retried))
        client.do_handshake()
        carry(client, server)
        half = length // 2
        overhead = RECORD_OVERHEAD - RECORD_HEADER_LENGTH
        for content_length in (half, length - half):
            sealed = bytes(content_length + overhead)
            server.receive_data(plain(sealed, ContentType.application_data))
        if refused:
            assert alert_of(lambda server=server: go_on(server)) is A.unexpected_message
        else:
            shake_hands(client, server)
            send(client, server, b"data")
            assert read_all(server) == b"data"


@pytest.mark.usefixtures("offers_early_data")
def test_skipped_empty_records_are_limited() -> None:
    for count, refused in [(MAX_SKIPPED_EARLY_DATA, False), (MAX_SKIPPED_EARLY_DATA + 1, True)]:
        client, server = connections()
        client.do_handshake()
        carry(client, server)
        server.receive_data(plain(b"", ContentType.application_data) * count)
        if refused:
            assert alert_of(lambda server=server: go_on(server)) is A.bad_record_mac
        else:
            shake_hands(client, server)


@pytest.mark.usefixtures("offers_early_data")
def test_pauses_while_early_data_is_skipped() -> None:
    """So a client that sends many small records does not keep other tasks from running."""
    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.pauses = True
    assert server.do_handshake() is Want.WRITE
    server.data_to_send()
    count = 100 * STEPS_BETWEEN_PAUSES
    server.receive_data(plain(b"", ContentType.application_data) * count)
    wants = [server.do_handshake() for _ in range(100)]
    assert set(wants) == {Want.PAUSE}
    assert server.do_handshake() is Want.READ


def go_on(connection: Connection) -> None:
    while connection.do_handshake() is Want.WRITE:
        connection.data_to_send()


RETRYING = replace(SERVER, groups=["P-256"])


def test_skipped_early_data_in_a_record_of_full_length() -> None:
    # RFC 9846 5.2: it may be longer than what comes in the clear; 4.3.10: it is dropped.
    client, server = connections(replace(CLIENT, groups=["x25519", "P-256"]), RETRYING)
    first = sent_hello(client)
    give(server, replace(first, extensions={**first.extensions, ExtensionType.early_data: b""}))
    server.do_handshake()
    server.data_to_send()
    incoming(server).early_data_to_skip = 2 * MAX_INNER_PLAINTEXT_LENGTH
    length = MAX_INNER_PLAINTEXT_LENGTH + TAG_LENGTH
    server.receive_data(plain(bytes(length), ContentType.application_data))
    assert server.do_handshake() is Want.READ


EARLY_DATA = plain(b"\0" * 100, ContentType.application_data)


def test_skipped_early_data_ends_with_the_second_client_hello() -> None:
    # RFC 9846 4.3.10 and 5.1: no other record stands between the pieces of a message.
    server = connections(CLIENT, replace(SERVER, groups=["P-256"]))[1]
    first = hello_with_early_data()
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
def test_skipped_early_data_after_a_retry_is_limited(length: int, too_much: bool) -> None:
    server = connections(CLIENT, replace(SERVER, groups=["P-256"]))[1]
    server.receive_data(plain(encode_message(hello_with_early_data())))
    server.do_handshake()
    server.data_to_send()
    half, overhead = length // 2, 1 + TAG_LENGTH
    server.receive_data(plain(bytes(half + overhead), ContentType.application_data))
    server.do_handshake()
    server.receive_data(plain(bytes(length - half + overhead), ContentType.application_data))
    if too_much:
        assert failure_of(server.do_handshake).alert is AlertDescription.unexpected_message
    else:
        assert server.do_handshake() is Want.READ
