"""Version negotiation: legacy_version and supported_versions (RFC 9846 4.2.2, 4.2.3, 4.3.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_pairs import (
    SERVER,
    carry,
    connections,
    failure_of,
    plain,
    records,
)
from hellos import give, hello_with_early_data, sent_hello

from trio_tlsx.errors import AlertDescription
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import MESSAGE_HEADER_LENGTH, ServerHello, encode_message
from trio_tlsx.record.protection import RECORD_HEADER_LENGTH


@pytest.mark.parametrize("legacy_version", [0x0303, 0x0304, 0x0400])
def test_client_hello_without_supported_versions_is_rejected(legacy_version: int) -> None:
    # RFC 9846 4.3.1
    hello = hello_with_early_data()
    extensions = dict(hello.extensions)
    del extensions[ExtensionType.supported_versions]
    server = connections(server=replace(SERVER, versions=["TLSv1.3"]))[1]
    changed = replace(hello, legacy_version=legacy_version, extensions=extensions)
    server.receive_data(plain(encode_message(changed)))
    assert failure_of(server.do_handshake).alert is AlertDescription.protocol_version


def test_empty_supported_versions_is_rejected() -> None:
    hello = hello_with_early_data()
    extensions = {**hello.extensions, ExtensionType.supported_versions: b""}
    server = connections()[1]
    server.receive_data(plain(encode_message(replace(hello, extensions=extensions))))
    assert failure_of(server.do_handshake).alert is AlertDescription.decode_error


@pytest.mark.parametrize("legacy_version", [0x0300, 0x0302, 0x0304])
def test_client_hello_with_another_legacy_version_is_rejected(legacy_version: int) -> None:
    # RFC 9846 4.2.2
    client, server = connections()
    give(server, replace(sent_hello(client), legacy_version=legacy_version))
    assert failure_of(server.do_handshake).alert is AlertDescription.protocol_version


@pytest.mark.parametrize("legacy_version", [0x0300, 0x0304])
def test_server_hello_with_another_legacy_version_is_rejected(legacy_version: int) -> None:
    # RFC 9846 4.2.3
    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    (_, record), *_ = records(server.data_to_send())
    answer = ServerHello.decode(record[RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH :])
    give(client, replace(answer, legacy_version=legacy_version))
    assert failure_of(client.do_handshake).alert is AlertDescription.protocol_version
