"""What a reading of the engine against RFC 9846 found too lenient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from traceback import walk_tb

import pytest
from engine_pairs import (
    CLIENT,
    SERVER,
    authority,
    carry,
    connections,
    credentials,
    established,
    failure_of,
    incoming,
    plain,
    records,
    sealed,
)

from trio_tlsx.config.server import ServerConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, ConfigError, ProtocolError
from trio_tlsx.handshake import client13
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.extensions import ExtensionType, decode_key_shares, encode_key_shares
from trio_tlsx.messages.handshake import (
    HEADER_LENGTH,
    ClientHello,
    Message,
    NewSessionTicket,
    ServerHello,
    encode_message,
)
from trio_tlsx.record.buffers import BUFFER_LENGTH
from trio_tlsx.record.protection import HEADER_LENGTH as RECORD_HEADER_LENGTH
from trio_tlsx.record.protection import MAX_INNER_PLAINTEXT_LENGTH, TAG_LENGTH, ContentType

RETRYING = replace(SERVER, groups=["P-256"])


def sent_hello(client: Connection) -> ClientHello:
    """The ClientHello that ``client`` sends next."""
    assert client.do_handshake() is Want.WRITE
    *_, (_, record) = records(client.data_to_send())
    return ClientHello.decode(record[RECORD_HEADER_LENGTH + HEADER_LENGTH :])


def give(connection: Connection, message: Message) -> None:
    connection.receive_data(plain(encode_message(message)))


@pytest.mark.parametrize("legacy_version", [0x0300, 0x0302, 0x0304])
def test_a_client_hello_has_the_legacy_version_of_tls_1_2(legacy_version: int) -> None:
    # RFC 9846 4.2.2
    client, server = connections()
    give(server, replace(sent_hello(client), legacy_version=legacy_version))
    assert failure_of(server.do_handshake).alert is AlertDescription.protocol_version


@pytest.mark.parametrize("legacy_version", [0x0300, 0x0304])
def test_a_server_hello_has_the_legacy_version_of_tls_1_2(legacy_version: int) -> None:
    # RFC 9846 4.2.3
    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    (_, record), *_ = records(server.data_to_send())
    answer = ServerHello.decode(record[RECORD_HEADER_LENGTH + HEADER_LENGTH :])
    give(client, replace(answer, legacy_version=legacy_version))
    assert failure_of(client.do_handshake).alert is AlertDescription.protocol_version


def second_hello_refused(
    server_config: ServerConfig, change: Callable[[dict[int, bytes]], dict[int, bytes]]
) -> AlertDescription | None:
    """The alert for a second ClientHello whose key shares were changed."""
    client, server = connections(replace(CLIENT, groups=["x25519", "P-256"]), server_config)
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    carry(server, client)
    second = sent_hello(client)
    shares = change(decode_key_shares(second.extensions[ExtensionType.key_share]))
    body = encode_key_shares(shares)
    give(server, replace(second, extensions={**second.extensions, ExtensionType.key_share: body}))
    return failure_of(server.do_handshake).alert


def test_a_second_hello_has_the_one_key_share_asked_for() -> None:
    # RFC 9846 4.3.8
    x25519 = next(iter(CLIENT.parameters.group_table.values()))
    added = second_hello_refused(
        RETRYING, lambda shares: {**shares, x25519.code: x25519.generate().public}
    )
    assert added is AlertDescription.illegal_parameter


def test_a_second_hello_keeps_its_key_shares_where_only_a_cookie_was_asked_for() -> None:
    # RFC 9846 4.2.2
    config = replace(SERVER, require_cookie=True)
    x25519 = next(iter(CLIENT.parameters.group_table.values()))
    changed = second_hello_refused(config, lambda shares: {x25519.code: x25519.generate().public})
    assert changed is AlertDescription.illegal_parameter


def test_a_whole_record_of_early_data_is_skipped_before_a_second_hello() -> None:
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


def test_a_ticket_has_only_extensions_of_tickets() -> None:
    # RFC 9846 4.3
    client, server = established()
    ticket = NewSessionTicket(1, 2, b"n", b"t", {ExtensionType.key_share: b"\0\x1d"})
    client.receive_data(sealed(server, encode_message(ticket), ContentType.handshake))
    assert failure_of(client.read).alert is AlertDescription.illegal_parameter


@pytest.mark.parametrize("alert", [AlertDescription.close_notify, AlertDescription.user_canceled])
def test_nothing_ends_in_the_middle_of_a_message(alert: AlertDescription) -> None:
    # RFC 9846 5.1
    client, server = established()
    client.receive_data(sealed(server, b"\x04\0\0\x20", ContentType.handshake))
    client.receive_data(sealed(server, bytes((1, alert)), ContentType.alert))
    assert failure_of(client.read).alert is AlertDescription.unexpected_message


def test_reading_nothing_only_looks() -> None:
    client, server = established()
    assert client.read(0) is Want.READ
    client.receive_data(sealed(server, b"here"))
    assert client.read(0) == b""
    assert client.read() == b"here"
    with pytest.raises(ValueError, match="negative"):
        client.read(-1)


@pytest.mark.parametrize("borrowed", [False, True])
def test_there_is_no_room_for_more_than_fits(borrowed: bool) -> None:
    client, server = established()
    record = sealed(server, b"first")
    if borrowed:
        room = client.receive_buffer()
        room[: len(record)] = record
        client.bytes_received(len(record))
        while len(room := client.receive_buffer()) > BUFFER_LENGTH // 8:
            client.bytes_received(len(room) // 2)
        client.bytes_received(len(room))
    else:
        client.receive_data(record + bytes(2 * BUFFER_LENGTH))
    with pytest.raises(RuntimeError, match=r"read\(\) it first"):
        client.receive_buffer()
    assert client.read() == b"first"


@pytest.mark.parametrize("fault", [ProtocolError("not like this"), ArithmeticError("nor this")])
def test_a_failed_handshake_leaves_no_secret_in_its_frames(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise fault

    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    carry(server, client)
    monkeypatch.setattr(client13, "apply_extensions", refuse)
    failure_of(client.do_handshake)
    assert fault.__traceback__ is not None
    variables = {name for frame, _ in walk_tb(fault.__traceback__) for name in frame.f_locals}
    assert not {name for name in variables if "secret" in name or name == "keys"}


def test_the_configuration_that_answers_says_when_keys_are_updated() -> None:
    chosen = replace(SERVER, key_update_bytes=2**14)
    config = ServerConfig(select_credentials=lambda _: chosen, groups=["x25519"])
    client, server = established(CLIENT, config)
    server.write(memoryview(bytes(2**14)))
    carry(server, client)
    client.read()
    server.write(memoryview(b"more"))
    output = server.data_to_send()
    assert len(list(records(output))) == 2


def test_shutting_down_in_mid_handshake_ends_it() -> None:
    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.shutdown()
    assert failure_of(server.do_handshake).alert is AlertDescription.close_notify
    carry(server, client)
    assert failure_of(client.do_handshake).alert is AlertDescription.close_notify


def test_client_trust_without_client_auth_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="client_auth"):
        ServerConfig(credentials=credentials(), client_trust=authority.trust)
