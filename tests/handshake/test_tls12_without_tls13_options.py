"""What only TLS 1.3 has is skipped in a connection of TLS 1.2, or raises an error."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import SERVER_NAME, carry, credentials, established, read_all, send, shake_hands
from hellos import exchange
from pairs12 import BOTH, CLIENT_12, SERVER_12

from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import ConfigError
from trio_tlsx.sessions.external_psk import ExternalPSK

PSK = ExternalPSK(b"identity", bytes(32))


@pytest.mark.parametrize(
    ("of_client", "of_server"),
    [
        ({"psks": [PSK]}, {"psks": [PSK]}),
        ({"certificate_compression": ["zlib"]}, {"certificate_compression": ["zlib"]}),
        ({"key_update_bytes": 2**14}, {"key_update_bytes": 2**14}),
        ({"groups": ["X25519MLKEM768", "x25519", "P-256"]}, {"groups": ["MLKEM768", "x25519"]}),
        ({"key_shares": []}, {"require_cookie": True}),
        ({"psk_without_key_exchange": True}, {"max_early_data_size": 1000}),
    ],
    ids=lambda options: next(iter(options)),
)
@pytest.mark.parametrize("older", ["client", "server"])
def test_options_of_tls_1_3_are_skipped(older: str, of_client: Any, of_server: Any) -> None:
    """The side with TLS 1.3 has the options; its peer has TLS 1.2 alone."""
    client, server = CLIENT_12, SERVER_12
    if older == "client":
        server = replace(server, versions=BOTH, **of_server)
    else:
        client = replace(client, versions=BOTH, **of_client)
    one, other = established(client, server)
    for connection in (one, other):
        assert connection.negotiated.version == "TLSv1.2"
        assert connection.negotiated.group == "x25519"
        assert connection.negotiated.psk_identity is None
        assert not connection.negotiated.early_data_accepted
    assert one.negotiated.peer_certificates == credentials().chain
    for _ in range(2):
        send(one, other, bytes(2**14))
        assert len(read_all(other)) == 2**14
    exchange(one, other)


def test_psks_alone_need_tls_1_3() -> None:
    config = replace(CLIENT_12, versions=BOTH, trust=None, psks=[PSK], resumption=False)
    client, server = Connection.client(config, SERVER_NAME), Connection.server(SERVER_12)
    client.do_handshake()
    carry(client, server)
    with pytest.raises(
        Exception, match=re.escape("offered only TLS 1.3, and TLS 1.2 is required")
    ):
        server.do_handshake()
    with pytest.raises(ConfigError, match=r"psks has no effect in TLS 1\.2"):
        replace(config, versions=["TLSv1.2"])


@pytest.mark.parametrize("resend", [False, True])
def test_early_data_is_not_sent_with_a_session_of_tls_1_2(resend: bool) -> None:
    config = replace(CLIENT_12, versions=BOTH, resumption=True)
    accepting = replace(SERVER_12, versions=BOTH, max_early_data_size=1000)
    server_12 = replace(SERVER_12, ticket_keys=accepting.parameters.ticket_keys)
    established(config, server_12)
    client = Connection.client(config, SERVER_NAME, early_data=b"early", resend_early_data=resend)
    server = Connection.server(server_12)
    shake_hands(client, server)
    carry(client, server)
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted
    assert read_all(server) == (b"early" if resend else b"")


@pytest.mark.parametrize(("selected", "sent"), [("h2", b"early"), ("http/1.1", b"")])
def test_early_data_is_not_sent_in_another_protocol(selected: str, sent: bytes) -> None:
    """It is in the client's first protocol, and waits for the server to select that one."""
    config = replace(CLIENT_12, alpn_protocols=["h2", "http/1.1"])
    client = Connection.client(config, SERVER_NAME, early_data=b"early", resend_early_data=True)
    server = Connection.server(replace(SERVER_12, alpn_protocols=[selected]))
    shake_hands(client, server)
    carry(client, server)
    assert client.negotiated.alpn_protocol == selected
    assert read_all(server) == sent


@pytest.mark.parametrize("role", ["client", "server"])
def test_update_keys_raises(role: str) -> None:
    client, server = established(CLIENT_12, SERVER_12)
    connection = client if role == "client" else server
    with pytest.raises(RuntimeError, match=r"TLS 1\.2 has no KeyUpdate: make a new connection"):
        connection.update_keys()
    exchange(client, server)


def test_there_is_no_early_exporter() -> None:
    client, _ = established(CLIENT_12, SERVER_12)
    with pytest.raises(RuntimeError, match="no early data"):
        client.export_early_keying_material("EXPERIMENTAL test", 32)
