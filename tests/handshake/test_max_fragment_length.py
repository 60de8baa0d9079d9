"""max_fragment_length (RFC 6066 4), which constrained clients send; RFC 8449 replaces it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import (
    CLIENT,
    SERVER,
    connections,
    established,
    failure_of,
    outgoing,
    read_all,
    records,
    sealed,
    send,
    shake_hands,
)

from trio_tlsx.errors import AlertDescription, ConfigError
from trio_tlsx.handshake import client_hello, server12_hello, server13
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


# A client that asks for it

ASKING = replace(CLIENT, max_fragment_length=1024, groups=["x25519", "P-256"])


@contextmanager
def answering(change: Callable[[dict[int, bytes]], None]) -> Generator[None, None, None]:
    """Have servers answer other extensions about the size of records."""
    make = server13.answer_record_sizes

    def changed(hs: Any, ours: int, offered: Any, **how: Any) -> dict[int, bytes]:
        kept = {code: body for code, body in offered.items() if code != E.record_size_limit}
        answered = make(hs, ours, kept, **how)
        change(answered)
        return answered

    with pytest.MonkeyPatch.context() as patch:
        for module in (server13, server12_hello):
            patch.setattr(module, "answer_record_sizes", changed)
        yield


def kept(answered: dict[int, bytes]) -> None:
    """Answer as a server without record_size_limit."""


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_client_limits_the_records_of_both_directions(version: str) -> None:
    with answering(kept):
        client, server = established(ASKING, replace(SERVER, versions=[version], tickets=0))
    assert client.negotiated.version == version
    assert outgoing(client).fragment_length == outgoing(server).fragment_length == 1024
    send(server, client, bytes(5000))
    assert read_all(client) == bytes(5000)
    client.receive_data(sealed(server, bytes(1025)))
    assert failure_of(client.read).alert is AlertDescription.record_overflow


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({E.max_fragment_length: b"\4"}, "max_fragment_length is '04', not '02' as requested"),
        ({E.record_size_limit: b"\x40\0"}, "both record_size_limit and max_fragment_length"),
    ],
)
def test_a_wrong_answer_of_a_server_is_rejected(
    version: str, answer: dict[int, bytes], why: str
) -> None:
    """RFC 6066 4; RFC 8449 5."""
    with answering(lambda answered: answered.update(answer)):
        client, server = connections(ASKING, replace(SERVER, versions=[version]))
        error = failure_of(lambda: shake_hands(client, server))
    assert error.alert is AlertDescription.illegal_parameter
    assert why in str(error)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_an_answer_that_was_not_asked_for_is_rejected(version: str) -> None:
    with answering(lambda answered: answered.update({E.max_fragment_length: b"\2"})):
        plain_client = replace(ASKING, max_fragment_length=None)
        client, server = connections(plain_client, replace(SERVER, versions=[version]))
        error = failure_of(lambda: shake_hands(client, server))
    assert error.alert is AlertDescription.unsupported_extension


@pytest.mark.parametrize("length", [0, 256, 1000, 8192])
def test_lengths_that_do_not_exist_are_rejected(length: int) -> None:
    with pytest.raises(ConfigError, match="pass 512, 1024, 2048, 4096 or None"):
        replace(CLIENT, max_fragment_length=length)
