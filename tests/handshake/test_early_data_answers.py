"""A server answers early data before the handshake is complete (RFC 9846 2.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_pairs import SERVER_NAME, authority, carry, credentials, established, read_all, send

from trio_tlsx import ClientConfig, ServerConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake.wants import Want

EARLY = b"a question"
ANSWER = memoryview(b"an answer")


@pytest.fixture
def server_config() -> ServerConfig:
    return ServerConfig(credentials=credentials(), groups=["x25519"], max_early_data_size=1000)


@pytest.fixture
def client_config(server_config: ServerConfig) -> ClientConfig:
    """Of a client that has a ticket."""
    config = ClientConfig(trust=authority.trust, groups=["x25519"])
    client, server = established(config, server_config)
    send(server, client, b"hello")
    assert read_all(client) == b"hello"
    return config


def early(client_config: ClientConfig, server_config: ServerConfig) -> tuple[Connection, ...]:
    """A client that has asked early, and a server that has got that."""
    client = Connection.client(client_config, SERVER_NAME, early_data=EARLY)
    server = Connection.server(server_config)
    server.accept_early_data()
    assert client.do_handshake() is Want.WRITE
    carry(client, server)
    return client, server


def test_early_data_is_answered_before_the_clients_finished(
    client_config: ClientConfig, server_config: ServerConfig
) -> None:
    client, server = early(client_config, server_config)
    while server.do_handshake() is not Want.EARLY_DATA:
        carry(server, client)
    assert server.read_early_data() == EARLY
    assert server.write(ANSWER) == len(ANSWER)
    carry(server, client)
    assert client.do_handshake() is Want.WRITE
    assert not server.handshake_complete
    assert client.read() == ANSWER
    carry(client, server)
    assert server.do_handshake() is Want.NOTHING
    send(client, server, b"and another")
    assert read_all(server) == b"and another"
    send(server, client, b"answer")
    assert read_all(client) == b"answer"


def test_write_before_early_data_is_accepted_raises(
    client_config: ClientConfig, server_config: ServerConfig
) -> None:
    _, server = early(client_config, server_config)
    with pytest.raises(RuntimeError, match="not complete"):
        server.write(ANSWER)


def test_write_after_early_data_is_rejected_raises(
    client_config: ClientConfig, server_config: ServerConfig
) -> None:
    rejecting = replace(server_config, max_early_data_size=0)
    _, server = early(client_config, rejecting)
    assert server.do_handshake() is Want.WRITE
    server.data_to_send()
    assert server.do_handshake() is Want.READ
    with pytest.raises(RuntimeError, match="not complete"):
        server.write(ANSWER)
