"""Every limit: what is just within it works, what is just beyond it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from engine_pairs import (
    ASKING_SERVER,
    CLIENT,
    SERVER,
    authority,
    carry,
    connections,
    established,
    failure_of,
    outgoing,
    plain,
    read_all,
    records,
    sealed,
    send,
    shake_hands,
)

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.engine.post_handshake import MAX_DROPPED_TICKETS, MAX_TICKETS
from trio_tlsx.errors import AlertDescription, ConfigError, HandshakeShutdown
from trio_tlsx.handshake import client as client_hello
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import (
    ClientHello,
    HandshakeType,
    NewSessionTicket,
    encode_message,
)
from trio_tlsx.pki.verification import MAX_CHAIN_LENGTH
from trio_tlsx.record.buffers import BATCH_RECORDS
from trio_tlsx.record.deframer import (
    MAX_CERTIFICATE_LENGTH,
    MAX_CLIENT_HELLO_LENGTH,
    MAX_FINISHED_LENGTH,
    MAX_MESSAGE_LENGTH,
    MAX_SERVER_HELLO_LENGTH,
    MAX_USER_CANCELED,
)
from trio_tlsx.record.protection import (
    HEADER_LENGTH,
    MAX_CIPHERTEXT_LENGTH,
    MAX_INNER_PLAINTEXT_LENGTH,
    MAX_PLAINTEXT_LENGTH,
    MIN_RECORD_SIZE_LIMIT,
    RECORD_OVERHEAD,
    TAG_LENGTH,
    ContentType,
    record_header,
)
from trio_tlsx.record.receive import MAX_EMPTY_RECORDS, MAX_SKIPPED_EARLY_DATA
from trio_tlsx.record.send import MAX_QUEUED

A = AlertDescription
CHANGE_CIPHER_SPEC = plain(b"\1", ContentType.change_cipher_spec)


def alert_of(call: Callable[[], object]) -> AlertDescription | None:
    error = failure_of(call)
    assert error.refused_by == "us"
    return error.alert


def announced(handshake_type: int, length: int) -> bytes:
    """The header of a handshake message, and not a byte of it."""
    return bytes((handshake_type,)) + length.to_bytes(3)


def with_handshake_keys() -> tuple[Connection, Connection]:
    """A client that has handshake keys, and a server that waits for what it sends with them."""
    client, server = connections(replace(CLIENT, middlebox_compatibility=False), ASKING_SERVER)
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    # Of the server's flight the client gets the ServerHello alone, so that it has no other keys.
    (_, server_hello), *_ = records(server.data_to_send())
    client.receive_data(server_hello)
    client.do_handshake()
    assert server.do_handshake() is Want.READ
    return client, server


# Handshake messages


@pytest.mark.parametrize(
    ("role", "handshake_type", "limit"),
    [
        ("server", HandshakeType.client_hello, MAX_CLIENT_HELLO_LENGTH),
        ("client", HandshakeType.server_hello, MAX_SERVER_HELLO_LENGTH),
    ],
)
def test_length_of_hellos(role: str, handshake_type: int, limit: int) -> None:
    for length, refused in [(limit, False), (limit + 1, True)]:
        client, server = connections()
        client.do_handshake()
        client.data_to_send()
        receiver = client if role == "client" else server
        receiver.receive_data(plain(announced(handshake_type, length)))
        if refused:
            assert alert_of(receiver.do_handshake) is A.illegal_parameter
        else:
            assert receiver.do_handshake() is Want.READ


@pytest.mark.parametrize(
    ("handshake_type", "limit"),
    [
        (HandshakeType.certificate, MAX_CERTIFICATE_LENGTH),
        (HandshakeType.finished, MAX_FINISHED_LENGTH),
        (HandshakeType.key_update, MAX_MESSAGE_LENGTH),
        (77, MAX_MESSAGE_LENGTH),
    ],
)
def test_length_of_messages(handshake_type: int, limit: int) -> None:
    for length, refused in [(limit, False), (limit + 1, True)]:
        client, server = with_handshake_keys()
        header = announced(handshake_type, length)
        server.receive_data(sealed(client, header, ContentType.handshake))
        if refused:
            is_finished = handshake_type == HandshakeType.finished
            alert = A.decode_error if is_finished else A.illegal_parameter
            assert alert_of(server.do_handshake) is alert
        else:
            assert server.do_handshake() is Want.READ


@pytest.mark.parametrize("from_client", [False, True])
def test_length_of_chains(from_client: bool) -> None:
    for length, refused in [(MAX_CHAIN_LENGTH, False), (MAX_CHAIN_LENGTH + 1, True)]:
        own = authority.issue("test.example")
        issuer = authority.certificate.public_bytes(Encoding.DER)
        own.der_chain = (*own.der_chain, *[issuer] * (length - 1))
        if from_client:
            pair = connections(replace(CLIENT, credentials=own), ASKING_SERVER)
        else:
            pair = connections(CLIENT, replace(SERVER, credentials=own))
        if refused:
            assert alert_of(lambda pair=pair: shake_hands(*pair)) is A.bad_certificate
        else:
            shake_hands(*pair)


def test_session_tickets_beyond_the_limit_are_dropped() -> None:
    client, server = established(replace(CLIENT, resumption=True), replace(SERVER, tickets=0))
    message = NewSessionTicket(100, 2, b"", b"ticket", {})
    for number in range(MAX_TICKETS):
        ticket = replace(message, ticket=b"kept %d" % number)
        client.receive_data(sealed(server, encode_message(ticket), ContentType.handshake))
    assert client.read() is Want.READ
    newest = client.session
    assert newest is not None
    dropped = bytes((HandshakeType.new_session_ticket,)) + b"\0\0\5never"  # not decoded either
    for _ in range(3):  # data in between allows for more of them
        for _ in range(MAX_DROPPED_TICKETS):
            client.receive_data(sealed(server, dropped, ContentType.handshake))
        assert client.read() is Want.READ
        send(server, client, b"data")
        assert read_all(client) == b"data"
    assert client.session is newest
    for _ in range(MAX_DROPPED_TICKETS):
        client.receive_data(sealed(server, dropped, ContentType.handshake))
    assert client.read() is Want.READ
    client.receive_data(sealed(server, dropped, ContentType.handshake))
    assert alert_of(client.read) is A.unexpected_message


# Records that carry nothing forward


def test_empty_records_in_a_row() -> None:
    client, server = established()
    for _ in range(3):  # data in between makes them harmless
        for _ in range(MAX_EMPTY_RECORDS):
            server.receive_data(sealed(client, b""))
            assert server.read() is Want.READ
        send(client, server, b"data")
        assert read_all(server) == b"data"
    for _ in range(MAX_EMPTY_RECORDS + 1):
        server.receive_data(sealed(client, b"", padding=9))
    assert alert_of(server.read) is A.unexpected_message


def test_empty_records_in_one_piece() -> None:
    """A driver that hands over a lot at once is no way around it."""
    client, server = established()
    empty = b"".join(sealed(client, b"") for _ in range(1000))
    server.receive_data(empty + sealed(client, b"data"))
    assert alert_of(server.read) is A.unexpected_message


def test_change_cipher_spec_in_a_row() -> None:
    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    server.data_to_send()
    for _ in range(MAX_EMPTY_RECORDS):
        server.receive_data(CHANGE_CIPHER_SPEC)
        assert server.do_handshake() is Want.READ
    server.receive_data(CHANGE_CIPHER_SPEC)
    assert alert_of(server.do_handshake) is A.unexpected_message


def test_user_canceled_in_a_row() -> None:
    user_canceled = plain(bytes((1, A.user_canceled)), ContentType.alert)
    close_notify = plain(bytes((1, A.close_notify)), ContentType.alert)
    _, server = connections()
    server.receive_data(user_canceled * MAX_USER_CANCELED + close_notify)
    assert isinstance(failure_of(server.do_handshake), HandshakeShutdown)
    _, server = connections()
    server.receive_data(user_canceled * (MAX_USER_CANCELED + 1) + close_notify)
    assert alert_of(server.do_handshake) is A.unexpected_message


@pytest.fixture
def offers_early_data(monkeypatch: pytest.MonkeyPatch) -> None:
    make = client_hello.client_hello

    def with_early_data(*args: object) -> ClientHello:
        made = make(*args)  # pyright: ignore[reportArgumentType]
        return replace(made, extensions={**made.extensions, ExtensionType.early_data: b""})

    monkeypatch.setattr(client_hello, "client_hello", with_early_data)


@pytest.mark.usefixtures("offers_early_data")
@pytest.mark.parametrize("retried", [False, True])
def test_early_data_that_is_skipped(retried: bool) -> None:
    """Which a server does that has no use for it: RFC 9846 4.3.10."""
    for length, refused in [(MAX_SKIPPED_EARLY_DATA, False), (MAX_SKIPPED_EARLY_DATA + 1, True)]:
        client, server = connections(CLIENT, replace(SERVER, require_cookie=retried))
        client.do_handshake()
        carry(client, server)
        half = length // 2
        overhead = RECORD_OVERHEAD - HEADER_LENGTH
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
def test_skipped_records_that_are_empty() -> None:
    for count, refused in [(MAX_SKIPPED_EARLY_DATA, False), (MAX_SKIPPED_EARLY_DATA + 1, True)]:
        client, server = connections()
        client.do_handshake()
        carry(client, server)
        server.receive_data(plain(b"", ContentType.application_data) * count)
        if refused:
            assert alert_of(lambda server=server: go_on(server)) is A.bad_record_mac
        else:
            shake_hands(client, server)


def go_on(connection: Connection) -> None:
    while connection.do_handshake() is Want.WRITE:
        connection.data_to_send()


# The length of records


def test_length_of_records_in_the_clear() -> None:
    for length, refused in [(MAX_PLAINTEXT_LENGTH, False), (MAX_PLAINTEXT_LENGTH + 1, True)]:
        _, server = connections()
        server.receive_data(record_header(ContentType.handshake, length))
        if refused:
            assert alert_of(server.do_handshake) is A.record_overflow
        else:
            assert server.do_handshake() is Want.READ


def test_length_of_sealed_records() -> None:
    for length, refused in [(MAX_CIPHERTEXT_LENGTH, False), (MAX_CIPHERTEXT_LENGTH + 1, True)]:
        _, server = established()
        server.receive_data(record_header(ContentType.application_data, length))
        if refused:
            assert alert_of(server.read) is A.record_overflow
        else:
            assert server.read() is Want.READ


@pytest.mark.parametrize("padding", [0, 100])
def test_length_of_what_is_in_sealed_records(padding: int) -> None:
    for length, refused in [(MAX_PLAINTEXT_LENGTH, False), (MAX_PLAINTEXT_LENGTH + 1, True)]:
        client, server = established()
        data = bytes(length - padding)
        # More of them are opened in another way than one.
        server.receive_data(sealed(client, b"x") + sealed(client, data, padding=padding))
        if refused:
            assert server.read() == b"x"
            assert alert_of(server.read) is A.record_overflow
        else:
            assert read_all(server) == b"x" + data


@pytest.mark.parametrize("limit", [MIN_RECORD_SIZE_LIMIT, 1000, MAX_INNER_PLAINTEXT_LENGTH])
@pytest.mark.parametrize("limited", ["client", "server"])
def test_record_size_limit(limit: int, limited: str) -> None:
    """RFC 8449: the peer keeps to it, and is held to it; the other direction has its own."""
    small = {"record_size_limit": limit}
    if limited == "client":
        one, other = established(replace(CLIENT, **small))
    else:
        other, one = established(CLIENT, replace(SERVER, **small))

    data = bytes(3 * MAX_PLAINTEXT_LENGTH + 7)
    longest = 0
    while len(data) > other.bytes_sealed:
        other.write(memoryview(data)[other.bytes_sealed :])
        output = other.data_to_send()
        longest = max(longest, *(len(record) for _, record in records(output)))
        one.receive_data(output)
    assert longest == 5 + limit + TAG_LENGTH
    assert read_all(one) == data

    one.write(memoryview(data))
    output = one.data_to_send()
    _, longest_back = next(records(output))
    assert len(longest_back) == 5 + MAX_INNER_PLAINTEXT_LENGTH + TAG_LENGTH

    for length, refused in [(limit - 1, False), (limit, True)]:
        one.receive_data(sealed(other, bytes(length)))
        if refused:
            assert alert_of(one.read) is A.record_overflow
        else:
            assert read_all(one) == bytes(length)


def test_record_size_limit_of_the_handshake() -> None:
    """It holds for the server's protected flight too, and for the client's."""
    own = authority.issue("test.example")
    pair = connections(
        replace(CLIENT, record_size_limit=100, credentials=own),
        replace(ASKING_SERVER, record_size_limit=200),
    )
    limits = {0: 200, 1: 100}
    for _ in range(3):
        for side in (0, 1):
            pair[side].do_handshake()
            output = pair[side].data_to_send()
            for _, record in records(output):
                if record[0] == ContentType.application_data:
                    assert len(record) - 5 - TAG_LENGTH <= limits[side]
            if output:
                pair[1 - side].receive_data(output)
    assert pair[0].do_handshake() is pair[1].do_handshake() is Want.NOTHING


def test_record_size_limit_that_nobody_can_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_small(*args: object) -> ClientHello:
        made = make(*args)  # pyright: ignore[reportArgumentType]
        limit = (MIN_RECORD_SIZE_LIMIT - 1).to_bytes(2)
        return replace(
            made, extensions={**made.extensions, ExtensionType.record_size_limit: limit}
        )

    make = client_hello.client_hello
    monkeypatch.setattr(client_hello, "client_hello", too_small)
    assert alert_of(lambda: shake_hands(*connections())) is A.illegal_parameter


@pytest.mark.parametrize(("limit", "longest"), [(80, 80), (16_385, 101)])
def test_max_fragment_size(limit: int, longest: int) -> None:
    """Our own wish for what we send; the peer's limit counts if it is lower."""
    client, server = connections(
        replace(CLIENT, record_size_limit=limit), replace(SERVER, max_fragment_size=100)
    )
    assert client.do_handshake() is Want.WRITE
    server.receive_data(client.data_to_send())
    assert server.do_handshake() is Want.WRITE
    flight = server.data_to_send()
    sealed_lengths = [
        len(record) - 5 - TAG_LENGTH
        for _, record in records(flight)
        if record[0] == ContentType.application_data
    ]
    assert len(sealed_lengths) > 3
    assert max(sealed_lengths) == longest
    client.receive_data(flight)
    shake_hands(client, server)
    send(server, client, bytes(1000))
    assert read_all(client) == bytes(1000)
    client.write(memoryview(bytes(200)))
    assert len(list(records(client.data_to_send()))) == 1


@pytest.mark.parametrize("size", [63, 16_385])
def test_no_fragment_size_that_nobody_can_keep(size: int) -> None:
    with pytest.raises(ConfigError, match="max_fragment_size"):
        replace(CLIENT, max_fragment_size=size)


# What is buffered


def test_queued_output() -> None:
    client, server = established()
    data = memoryview(bytes(3 * MAX_QUEUED))
    assert client.write(data) == BATCH_RECORDS * MAX_PLAINTEXT_LENGTH
    sealed_so_far = client.bytes_sealed
    while client.write(data):
        assert client.bytes_sealed <= 2 * MAX_QUEUED
    assert client.bytes_sealed >= sealed_so_far
    queued = len(client.pending_output())
    assert MAX_QUEUED <= queued <= 2 * MAX_QUEUED
    assert client.write(data) == 0
    # Once that has left it goes on.
    server.receive_data(client.data_to_send())
    assert client.write(data)


def test_one_write_seals_a_batch_at_most() -> None:
    client, _ = established(ClientConfig(trust=authority.trust, groups=["x25519"]))
    outgoing(client).fragment_length = 100
    assert client.write(memoryview(bytes(10**6))) == BATCH_RECORDS * 100
