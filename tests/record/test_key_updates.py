"""KeyUpdate on request, by the amount of data, and in answer to the peer's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_pairs import (
    CLIENT,
    SERVER,
    carry,
    established,
    failure_of,
    read_all,
    records,
    sealer,
    send,
)

from trio_tlsx.config.server import ServerConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.engine.post_handshake import PostHandshake
from trio_tlsx.errors import AlertDescription, ConfigError
from trio_tlsx.handshake.wants import Want
from trio_tlsx.record.buffers import BATCH_RECORDS
from trio_tlsx.record.key_update import MAX_KEY_UPDATES
from trio_tlsx.record.protection import KEY_UPDATE_MARGIN, MAX_PLAINTEXT_LENGTH, ContentType

INTERVAL = 2**15


def secret(connection: Connection) -> bytes:
    return sealer(connection)._secret  # pyright: ignore[reportPrivateUsage]


def exchange(client: Connection, server: Connection) -> None:
    """Show that data still flows both ways."""
    for one, other in [(client, server), (server, client)]:
        send(one, other, b"still here")
        assert read_all(other) == b"still here"


def test_key_update_for_one_direction() -> None:
    client, server = established()
    ours, theirs = secret(client), secret(server)
    client.update_keys()
    assert secret(client) != ours
    exchange(client, server)
    assert secret(server) == theirs


def test_key_update_for_both_directions() -> None:
    client, server = established()
    theirs = secret(server)
    client.update_keys(request_peer=True)
    exchange(client, server)
    assert secret(server) != theirs


def test_data_sealed_before_a_key_update_keeps_its_keys() -> None:
    client, server = established()
    client.write(memoryview(b"before "))
    client.update_keys()
    client.write(memoryview(b"after"))
    carry(client, server)
    assert read_all(server) == b"before after"


def test_key_update_requested_once_until_answered() -> None:
    client, server = established()
    first = secret(server)
    client.update_keys(request_peer=True)
    carry(client, server)
    assert server.read() is Want.READ
    second = secret(server)
    assert second != first
    client.update_keys(request_peer=True)  # the answer is still on its way
    carry(client, server)
    assert server.read() is Want.READ
    server.data_to_send()
    assert secret(server) == second


def test_key_update_requested_again_after_the_answer() -> None:
    client, server = established()
    seen = {secret(server)}
    for _ in range(3):
        client.update_keys(request_peer=True)
        exchange(client, server)
        seen.add(secret(server))
    assert len(seen) == 4


def test_key_update_requests_are_answered_once_while_queued() -> None:
    client, server = established()
    client.update_keys(request_peer=True)
    carry(client, server)
    assert server.read() is Want.READ
    answered = secret(server)
    for _ in range(3):
        # A peer that asks without waiting, which the RFC forbids it.
        forget_request(client)
        client.update_keys(request_peer=True)
    carry(client, server)
    assert server.read() is Want.READ
    assert secret(server) == answered
    exchange(client, server)


def test_key_update_answered_again_after_the_first_answer_left() -> None:
    client, server = established()
    client.update_keys(request_peer=True)
    carry(client, server)
    assert server.read() is Want.READ
    answer = bytes(server.pending_output())
    client.receive_data(answer)
    server.bytes_sent(len(answer) - 1)
    server.write(memoryview(b"queued"))
    server.bytes_sent(1)  # the answer is out, the data is not
    assert client.read() is Want.READ
    answered = secret(server)
    client.update_keys(request_peer=True)
    carry(client, server)
    assert server.read() is Want.READ
    assert secret(server) != answered
    carry(server, client)
    assert read_all(client) == b"queued"
    exchange(client, server)


def test_key_update_is_not_answered_after_close_notify() -> None:
    client, server = established()
    server.shutdown()
    server.data_to_send()
    client.update_keys(request_peer=True)
    send(client, server, b"late")
    assert read_all(server) == b"late"
    assert not server.pending_output()


def test_no_key_update_after_close_notify() -> None:
    client, _ = established()
    client.shutdown()
    with pytest.raises(RuntimeError, match="close_notify"):
        client.update_keys()


def test_key_update_requests_that_cross() -> None:
    client, server = established()
    before = secret(client), secret(server)
    client.update_keys(request_peer=True)
    server.update_keys(request_peer=True)
    carried = client.data_to_send(), server.data_to_send()
    after_own = secret(client), secret(server)
    server.receive_data(carried[0])
    client.receive_data(carried[1])
    exchange(client, server)
    exchange(client, server)
    after = secret(client), secret(server)
    for generations in zip(before, after_own, after, strict=True):
        assert len(set(generations)) == 3


def test_flood_of_key_updates_is_rejected() -> None:
    client, server = established()
    for _ in range(MAX_KEY_UPDATES):
        client.update_keys()
    carry(client, server)
    assert server.read() is Want.READ
    client.update_keys()
    carry(client, server)
    assert failure_of(server.read).alert == AlertDescription.unexpected_message


def forget_request(connection: Connection) -> None:
    """Have a connection request new keys again, although the peer has not answered."""
    messages = connection._post_handshake  # pyright: ignore[reportPrivateUsage]
    assert isinstance(messages, PostHandshake)
    messages.key_updates._request_open = False  # pyright: ignore[reportPrivateUsage]


def flood(connection: Connection, count: int) -> None:
    """Queue so many KeyUpdates that all request an answer."""
    for _ in range(count):
        forget_request(connection)
        connection.update_keys(request_peer=True)


def test_own_answers_allow_for_no_more_key_updates() -> None:
    client, server = established()
    for _ in range(MAX_KEY_UPDATES):
        flood(client, 1)
        carry(client, server)
        assert server.read() is Want.READ
        carry(server, client)
        assert client.read() is Want.READ
    flood(client, 1)
    carry(client, server)
    assert failure_of(server.read).alert == AlertDescription.unexpected_message


def test_each_received_data_record_allows_for_a_key_update() -> None:
    client, server = established()
    for _ in range(2 * MAX_KEY_UPDATES):
        client.update_keys()
        send(client, server, b"x")
        assert read_all(server) == b"x"


@pytest.mark.parametrize("surplus", [0, 1])
def test_key_updates_are_counted_against_all_data_records_received(surplus: int) -> None:
    client, server = established()
    records = 2 * BATCH_RECORDS
    send(client, server, bytes(records * MAX_PLAINTEXT_LENGTH))
    assert len(read_all(server)) == records * MAX_PLAINTEXT_LENGTH
    flood(client, MAX_KEY_UPDATES + records + surplus)
    carry(client, server)
    if surplus:
        assert failure_of(server.read).alert == AlertDescription.unexpected_message
    else:
        assert server.read() is Want.READ


@pytest.mark.parametrize("surplus", [0, 1])
def test_key_updates_read_after_a_whole_transfer_was_sent(surplus: int) -> None:
    """A JDK that only receives updates its keys with each record, until it reads our answer."""
    client, server = established()
    records = 40
    for _ in range(records):
        send(server, client, bytes(MAX_PLAINTEXT_LENGTH))
        client.read()
    flood(client, MAX_KEY_UPDATES + records + surplus)
    carry(client, server)
    if surplus:
        assert failure_of(server.read).alert == AlertDescription.unexpected_message
    else:
        assert server.read() is Want.READ
        exchange(client, server)


def test_empty_data_records_allow_no_key_updates() -> None:
    client, server = established()
    client._outgoing._append(ContentType.application_data, b"")  # pyright: ignore[reportPrivateUsage]
    flood(client, MAX_KEY_UPDATES + 1)
    carry(client, server)
    assert failure_of(server.read).alert == AlertDescription.unexpected_message


@pytest.mark.parametrize("side", ["client", "server"])
def test_key_update_after_key_update_bytes(side: str) -> None:
    client, server = established(
        replace(CLIENT, key_update_bytes=INTERVAL), replace(SERVER, key_update_bytes=INTERVAL)
    )
    one, other = (client, server) if side == "client" else (server, client)
    generations = [secret(one)]
    chunk = bytes(INTERVAL // 4)
    for _ in range(13):
        send(one, other, chunk)
        assert read_all(other) == chunk
        if secret(one) != generations[-1]:
            generations.append(secret(one))
    assert len(generations) == 4


def test_key_update_before_the_aead_limit() -> None:
    client, server = established()
    limit = sealer(client).suite.records_per_key - KEY_UPDATE_MARGIN
    for connection in (sealer(client), server._incoming._opener):  # pyright: ignore[reportPrivateUsage]
        assert connection is not None
        connection.sequence_number = limit - 1
    before = secret(client)
    send(client, server, b"last")
    assert secret(client) == before
    send(client, server, b"first")
    assert secret(client) != before
    assert read_all(server) == b"lastfirst"


def test_key_update_bytes_that_is_too_small_is_rejected() -> None:
    with pytest.raises(ConfigError, match="key_update_bytes"):
        replace(CLIENT, key_update_bytes=1)
    with pytest.raises(ConfigError, match="key_update_bytes"):
        ServerConfig(credentials=SERVER.credentials, key_update_bytes=0)


def test_key_update_bytes_of_the_selected_configuration() -> None:
    chosen = replace(SERVER, key_update_bytes=2**14)
    config = ServerConfig(select_credentials=lambda _: chosen, groups=["x25519"])
    client, server = established(CLIENT, config)
    server.write(memoryview(bytes(2**14)))
    carry(server, client)
    client.read()
    server.write(memoryview(b"more"))
    output = server.data_to_send()
    assert len(list(records(output))) == 2
