"""The extensions that our hellos of TLS 1.2 have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import SERVER_NAME, credentials, established
from hellos import first_hello, flight
from pairs12 import BOTH, CLIENT_12, SERVER_12, changed_hello

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.messages.codec import uint16
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.extensions12 import POINT_FORMATS
from trio_tlsx.messages.handshake import MESSAGE_HEADER_LENGTH, ServerHello
from trio_tlsx.record.protection import RECORD_HEADER_LENGTH

HEADERS = RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH
MAX_12, MAX_13 = 2**14, 2**14 + 1


def server_hello(config: ClientConfig, server_config: ServerConfig = SERVER_12) -> ServerHello:
    """The next ServerHello, which may share its record with the messages after it."""
    client, server = Connection.client(config, SERVER_NAME), Connection.server(server_config)
    flight(client, server)
    octets = flight(server, client)
    length = int.from_bytes(octets[RECORD_HEADER_LENGTH + 1 : HEADERS])
    return ServerHello.decode(octets[HEADERS : HEADERS + length])


def test_server_name_is_not_acknowledged_when_a_session_is_resumed() -> None:
    """RFC 6066 3."""
    config = replace(CLIENT_12, resumption=True)
    assert E.server_name in server_hello(config).extensions
    client, server = established(config, SERVER_12)
    assert not client.negotiated.resumed
    assert server.negotiated.server_name == SERVER_NAME
    assert E.server_name not in server_hello(config).extensions


def test_nothing_is_stapled_when_a_session_is_resumed() -> None:
    """RFC 6066 8: there is no Certificate, and so no CertificateStatus."""
    config = replace(CLIENT_12, resumption=True, ocsp_stapling=True, timestamps=True)
    stapling = credentials().stapling(b"response").with_timestamps([b"a timestamp"])
    server_config = replace(SERVER_12, credentials=stapling)
    of_leaf = {E.status_request, E.signed_certificate_timestamp}
    assert of_leaf <= server_hello(config, server_config).extensions.keys()
    established(config, server_config)
    assert not of_leaf & server_hello(config, server_config).extensions.keys()


def test_no_ticket_is_promised_without_an_extended_master_secret() -> None:
    """RFC 7627 5.3: such a session is not to be resumed."""
    config = replace(CLIENT_12, resumption=True)
    assert E.session_ticket in server_hello(config).extensions
    with changed_hello({E.extended_master_secret: None}):
        assert E.session_ticket not in server_hello(config).extensions


@pytest.mark.parametrize("versions", [BOTH, BOTH[1:]])
def test_point_formats_are_sent_and_echoed(versions: Any) -> None:
    """RFC 8422 5.1.2, 5.2: only in answer to the client's."""
    config = replace(CLIENT_12, versions=versions)
    assert first_hello(config).extensions[E.ec_point_formats] == POINT_FORMATS == b"\1\0"
    assert server_hello(config).extensions[E.ec_point_formats] == POINT_FORMATS
    with changed_hello({E.ec_point_formats: None}):
        assert E.ec_point_formats not in server_hello(config).extensions


@pytest.mark.parametrize("limit", [64, MAX_12, MAX_13])
def test_the_servers_record_size_limit_is_at_most_what_tls_1_2_allows(limit: int) -> None:
    """RFC 8449 4: a client may reject a larger one."""
    answer = server_hello(
        replace(CLIENT_12, versions=BOTH), replace(SERVER_12, record_size_limit=limit)
    )
    assert answer.extensions[E.record_size_limit] == uint16(min(limit, MAX_12))


@pytest.mark.parametrize(
    ("versions", "limit"), [(("TLSv1.2",), MAX_12), (BOTH, MAX_13), (BOTH[:1], MAX_13)]
)
def test_the_clients_record_size_limit_is_at_most_what_its_versions_allow(
    versions: Any, limit: int
) -> None:
    """RFC 8449 4."""
    hello = first_hello(replace(CLIENT_12, versions=versions))
    assert hello.extensions[E.record_size_limit] == uint16(limit)
