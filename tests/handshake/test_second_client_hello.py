"""The second ClientHello, after a HelloRetryRequest: what it may change (RFC 9846 4.2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from engine_pairs import CLIENT, SERVER, connections, failure_of, plain, records

from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.extensions import ExtensionType, encode_key_share_entry
from trio_tlsx.messages.handshake import (
    MESSAGE_HEADER_LENGTH,
    ClientHello,
    ServerHello,
    encode_message,
)
from trio_tlsx.record import protection

E = ExtensionType
X25519, P256 = 0x001D, 0x0017
RETRY_FOR_A_COOKIE = replace(SERVER, groups=["x25519", "P-256"], require_cookie=True)


def offered_by_a_client() -> ClientHello:
    """The first ClientHello of a client with a key share for X25519 alone."""
    client, _ = connections(replace(CLIENT, groups=["x25519", "P-256"], key_shares=["x25519"]))
    client.do_handshake()
    (_, record), *_ = records(client.data_to_send())
    return ClientHello.decode(
        bytes(record[protection.RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH :])
    )


def retried(first: ClientHello) -> tuple[Connection, ServerHello]:
    """A server that waits for a second ClientHello, and its HelloRetryRequest."""
    _, server = connections(CLIENT, RETRY_FOR_A_COOKIE)
    server.receive_data(plain(encode_message(first)))
    assert server.do_handshake() is Want.WRITE
    (_, record), *_ = records(server.data_to_send())
    message = bytes(record[protection.RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH :])
    assert server.do_handshake() is Want.READ
    return server, ServerHello.decode(message)


def key_share(code: int) -> bytes:
    """The body of a key_share with a new share for this group alone."""
    entry = encode_key_share_entry(code, GROUPS[code].generate().public)
    return len(entry).to_bytes(2) + entry


def answer(server: Connection, hello: ClientHello, changes: Mapping[ExtensionType, bytes]) -> None:
    extensions = {**hello.extensions, **changes}
    server.receive_data(plain(encode_message(replace(hello, extensions=extensions))))


def test_second_client_hello_with_a_new_key_of_the_same_group() -> None:
    """A JDK generates new keys when a HelloRetryRequest asks for a cookie alone."""
    first = offered_by_a_client()
    server, retry = retried(first)
    share = key_share(X25519)
    assert share != first.extensions[E.key_share]
    answer(server, first, {E.key_share: share, E.cookie: retry.extensions[E.cookie]})
    assert server.do_handshake() is Want.WRITE


def test_second_client_hello_with_a_key_of_a_new_group_is_rejected() -> None:
    first = offered_by_a_client()
    server, retry = retried(first)
    answer(server, first, {E.key_share: key_share(P256), E.cookie: retry.extensions[E.cookie]})
    failure = failure_of(server.do_handshake)
    assert failure.alert is AlertDescription.illegal_parameter
    assert "another group" in str(failure)


@pytest.mark.parametrize("in_first", [True, False])
def test_second_client_hello_with_another_encrypted_client_hello(in_first: bool) -> None:
    """wolfSSL, NSS and OpenSSL with an ECHConfigList make a new one, or leave it out."""
    first = offered_by_a_client()
    with_ech = replace(first, extensions={**first.extensions, E.encrypted_client_hello: b"first"})
    server, retry = retried(with_ech if in_first else first)
    changes = {E.encrypted_client_hello: b"second", E.cookie: retry.extensions[E.cookie]}
    answer(server, first, changes)
    assert server.do_handshake() is Want.WRITE
