"""When a server sends its session tickets."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_pairs import CLIENT, SERVER, carry, established, read_all, send

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.engine.connection import Connection

RESUMING_CLIENT = replace(CLIENT, resumption=True)
AT_ONCE = replace(SERVER, tickets_after_handshake=True)


def pair(
    client: ClientConfig = RESUMING_CLIENT, server: ServerConfig = SERVER
) -> tuple[Connection, Connection]:
    return established(client, server)


def has_ticket(client: Connection, server: Connection) -> bool:
    carry(server, client)
    read_all(client)
    return client.session is not None


def test_none_leaves_by_itself() -> None:
    client, server = pair()
    send(client, server, b"data")
    assert read_all(server) == b"data"
    server.update_keys()
    assert not has_ticket(client, server)


def test_with_the_first_data() -> None:
    client, server = pair()
    server.write(memoryview(b"data"))
    assert has_ticket(client, server)


def test_with_close_notify() -> None:
    client, server = pair()
    server.shutdown()
    assert has_ticket(client, server)
    assert client.read() == b""


def test_not_with_close_notify_after_the_client_has_closed() -> None:
    """It may have closed its socket too, and would answer with a reset."""
    client, server = pair()
    client.shutdown()
    carry(client, server)
    assert server.read() == b""
    server.shutdown()
    assert not has_ticket(client, server)


def test_with_data_after_the_client_has_closed() -> None:
    """A client that has only ended its own direction reads the answer, and resumes later."""
    client, server = pair()
    client.shutdown()
    carry(client, server)
    assert server.read() == b""
    server.write(memoryview(b"answer"))
    assert has_ticket(client, server)


def test_on_request() -> None:
    client, server = pair()
    server.send_session_tickets()
    assert has_ticket(client, server)
    server.send_session_tickets()
    server.write(memoryview(b"data"))
    server.shutdown()
    carry(server, client)
    assert read_all(client) == b"data"
    session = client.session
    assert session is not None
    assert not server.pending_output()


def test_right_after_the_handshake() -> None:
    client, _ = pair(server=AT_ONCE)
    read_all(client)
    assert client.session is not None, "it came with the end of the handshake"


def test_none_for_a_server_without_tickets() -> None:
    client, server = pair(server=replace(AT_ONCE, tickets=0))
    server.send_session_tickets()
    server.shutdown()
    assert not has_ticket(client, server)


def test_only_a_server_sends_tickets() -> None:
    client, server = pair()
    with pytest.raises(RuntimeError, match="only a server"):
        client.send_session_tickets()
    with pytest.raises(RuntimeError, match="not complete"):
        Connection.server(SERVER).send_session_tickets()
    server.shutdown()
    with pytest.raises(RuntimeError, match="close_notify was sent"):
        server.send_session_tickets()
