"""max_fragment_length (RFC 6066 4), which constrained clients send; RFC 8449 replaces it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from engine_pairs import (
    CLIENT,
    SERVER,
    connections,
    failure_of,
    read_all,
    records,
    sealed,
    send,
    shake_hands,
)

from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake import client_hello
from trio_tlsx.messages.extensions import MAX_FRAGMENT_LENGTHS, ExtensionType
from trio_tlsx.messages.handshake import ClientHello
from trio_tlsx.record.protection import RECORD_HEADER_LENGTH, RECORD_OVERHEAD, ContentType

E = ExtensionType
Ask = Callable[[bytes, bool], None]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Have clients send max_fragment_length, with or without record_size_limit."""
    make = client_hello.hello_without_psks

    def ask(body: bytes, record_size_limit: bool) -> None:
        def asking(*args: object) -> ClientHello:
            made = make(*args)  # pyright: ignore[reportArgumentType]
            extensions = {**made.extensions, E.max_fragment_length: body}
            if not record_size_limit:
                del extensions[E.record_size_limit]
            return replace(made, extensions=extensions)

        monkeypatch.setattr(client_hello, "hello_without_psks", asking)

    return ask


def longest_sealed(octets: bytes) -> int:
    return max(
        len(record) - RECORD_HEADER_LENGTH
        for _, record in records(octets)
        if record[0] == ContentType.application_data
    )


@pytest.mark.parametrize(("code", "length"), MAX_FRAGMENT_LENGTHS.items())
def test_max_fragment_length_limits_the_servers_records(ask: Ask, code: int, length: int) -> None:
    ask(bytes((code,)), False)
    client, server = connections(CLIENT, replace(SERVER, tickets=0))
    shake_hands(client, server)
    data = bytes(8_000)
    server.write(memoryview(data))
    output = server.data_to_send()
    assert longest_sealed(output) == length + RECORD_OVERHEAD - RECORD_HEADER_LENGTH
    client.receive_data(output)
    assert read_all(client) == data


def test_max_fragment_length_limits_the_servers_certificate(ask: Ask) -> None:
    ask(b"\1", False)
    client, server = connections()
    client.do_handshake()
    server.receive_data(client.data_to_send())
    server.do_handshake()
    assert longest_sealed(server.data_to_send()) == 512 + RECORD_OVERHEAD - RECORD_HEADER_LENGTH


def test_max_fragment_length_limits_the_clients_records(ask: Ask) -> None:
    ask(b"\1", False)
    client, server = connections()
    shake_hands(client, server)
    server.receive_data(sealed(client, bytes(512)))
    assert read_all(server) == bytes(512)
    server.receive_data(sealed(client, bytes(513)))
    assert failure_of(server.read).alert is AlertDescription.record_overflow


def test_record_size_limit_replaces_max_fragment_length(ask: Ask) -> None:
    ask(b"\1", True)
    client, server = connections()
    shake_hands(client, server)
    send(client, server, bytes(1000))
    assert read_all(server) == bytes(1000)
    server.write(memoryview(bytes(1000)))
    assert longest_sealed(server.data_to_send()) > 1000


@pytest.mark.parametrize(
    ("body", "alert"),
    [
        (b"\0", AlertDescription.illegal_parameter),
        (b"\5", AlertDescription.illegal_parameter),
        (b"", AlertDescription.decode_error),
        (b"\1\1", AlertDescription.decode_error),
    ],
)
def test_undefined_max_fragment_length_is_rejected(
    ask: Ask, body: bytes, alert: AlertDescription
) -> None:
    ask(body, False)
    client, server = connections()
    assert failure_of(lambda: shake_hands(client, server)).alert is alert
