"""The length of records, record_size_limit, max_fragment_size (RFC 9846 5.1, 5.2, RFC 8449)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_pairs import (
    ASKING_SERVER,
    CLIENT,
    SERVER,
    alert_of,
    authority,
    connections,
    established,
    read_all,
    records,
    sealed,
    send,
    shake_hands,
)

from trio_tlsx.errors import AlertDescription, ConfigError
from trio_tlsx.handshake import client_hello
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ClientHello
from trio_tlsx.record.protection import (
    MAX_CIPHERTEXT_LENGTH,
    MAX_INNER_PLAINTEXT_LENGTH,
    MAX_PLAINTEXT_LENGTH,
    MIN_RECORD_SIZE_LIMIT,
    TAG_LENGTH,
    ContentType,
    record_header,
)

A = AlertDescription


# The length of records


def test_plaintext_record_longer_than_the_limit_is_rejected() -> None:
    for length, refused in [(MAX_PLAINTEXT_LENGTH, False), (MAX_PLAINTEXT_LENGTH + 1, True)]:
        _, server = connections()
        server.receive_data(record_header(ContentType.handshake, length))
        if refused:
            assert alert_of(server.do_handshake) is A.record_overflow
        else:
            assert server.do_handshake() is Want.READ


def test_sealed_record_longer_than_the_limit_is_rejected() -> None:
    for length, refused in [(MAX_CIPHERTEXT_LENGTH, False), (MAX_CIPHERTEXT_LENGTH + 1, True)]:
        _, server = established()
        server.receive_data(record_header(ContentType.application_data, length))
        if refused:
            assert alert_of(server.read) is A.record_overflow
        else:
            assert server.read() is Want.READ


@pytest.mark.parametrize("padding", [0, 100])
def test_sealed_content_longer_than_the_limit_is_rejected(padding: int) -> None:
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
def test_record_size_limit_of_application_data(limit: int, limited: str) -> None:
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


def test_record_size_limit_below_the_minimum_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_small(*args: object) -> ClientHello:
        made = make(*args)  # pyright: ignore[reportArgumentType]
        limit = (MIN_RECORD_SIZE_LIMIT - 1).to_bytes(2)
        return replace(
            made, extensions={**made.extensions, ExtensionType.record_size_limit: limit}
        )

    make = client_hello.hello_without_psks
    monkeypatch.setattr(client_hello, "hello_without_psks", too_small)
    assert alert_of(lambda: shake_hands(*connections())) is A.illegal_parameter


@pytest.mark.parametrize(("limit", "longest"), [(80, 80), (16_385, 101)])
def test_max_fragment_size_limits_sent_records(limit: int, longest: int) -> None:
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
def test_max_fragment_size_out_of_range_is_rejected(size: int) -> None:
    with pytest.raises(ConfigError, match="max_fragment_size"):
        replace(CLIENT, max_fragment_size=size)
