"""HelloRetryRequest, cookies, and the second ClientHello (RFC 9846 4.2.2, 4.2.4, 4.3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from engine_pairs import (
    CLIENT,
    SERVER,
    carry,
    connections,
    failure_of,
    plain,
    records,
    shake_hands,
)
from hellos import exchange, flight, give, hello_with_early_data, retry_of, sent_hello

from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import ExtensionType, decode_key_shares, encode_key_shares
from trio_tlsx.messages.handshake import ClientHello, ServerHello, encode_message

GROUP_NAMES = [group.name for group in GROUPS.values()]


@pytest.mark.parametrize("require_cookie", [False, True])
@pytest.mark.parametrize("other_group", [False, True])
def test_hello_retry_request_for_a_group_or_a_cookie(
    require_cookie: bool, other_group: bool
) -> None:
    groups = ["P-384"] if other_group else ["x25519"]
    client, server = connections(
        replace(CLIENT, groups=["x25519", "P-384"]),
        replace(SERVER, groups=groups, require_cookie=require_cookie),
    )
    flight(client, server)
    output = flight(server, client)
    if other_group or require_cookie:
        retry = retry_of(output)
        assert (ExtensionType.cookie in retry.extensions) == require_cookie
        assert (ExtensionType.key_share in retry.extensions) == other_group
    shake_hands(client, server)
    assert client.negotiated.group == ("secp384r1" if other_group else "x25519")
    exchange(client, server)


@pytest.mark.parametrize("group", GROUP_NAMES)
@pytest.mark.parametrize("empty", [False, True])
def test_hello_retry_request_for_each_group(group: str, empty: bool) -> None:
    other = "secp256r1" if group == "x25519" else "x25519"
    key_shares = [] if empty else [other]
    client, server = connections(
        replace(CLIENT, groups=[other, group], key_shares=key_shares),
        replace(SERVER, groups=[group]),
    )
    flight(client, server)
    retry = retry_of(flight(server, client))
    assert ext.decode_uint16(retry.extensions[ExtensionType.key_share], "") in GROUPS
    shake_hands(client, server)
    assert client.negotiated.group == server.negotiated.group == group
    exchange(client, server)


def test_second_client_hello_differs_only_as_requested() -> None:
    client, server = connections(
        replace(CLIENT, groups=["x25519", "P-384"]),
        replace(SERVER, groups=["P-384"], require_cookie=True),
    )
    first = flight(client, server)
    retry = retry_of(flight(server, client))
    _, (_, record) = records(flight(client, server))  # behind a change_cipher_spec
    one, two = ClientHello.decode(first[9:]), ClientHello.decode(record[9:])
    assert two.extensions[ExtensionType.cookie] == retry.extensions[ExtensionType.cookie]
    shares = ext.decode_key_shares(two.extensions[ExtensionType.key_share])
    assert list(shares) == [0x0018]
    rest = dict(two.extensions)
    del rest[ExtensionType.cookie]
    rest[ExtensionType.key_share] = one.extensions[ExtensionType.key_share]
    assert replace(two, extensions=rest) == one


@pytest.mark.parametrize("given_back", [True, False])
def test_missing_or_wrong_cookie_is_rejected(given_back: bool) -> None:
    client, server = connections(CLIENT, replace(SERVER, require_cookie=True))
    flight(client, server)
    flight(server, client)
    client.do_handshake()
    _, (_, record) = records(client.data_to_send())  # behind a change_cipher_spec
    hello = ClientHello.decode(record[9:])
    extensions = dict(hello.extensions)
    del extensions[ExtensionType.cookie]
    if given_back:
        extensions[ExtensionType.cookie] = ext.encode_cookie(b"another")
    server.receive_data(plain(encode_message(replace(hello, extensions=extensions))))
    expected = (
        AlertDescription.illegal_parameter if given_back else AlertDescription.missing_extension
    )
    assert failure_of(server.do_handshake).alert is expected


def test_second_hello_retry_request_is_rejected() -> None:
    client, server = connections(CLIENT, replace(SERVER, require_cookie=True))
    flight(client, server)
    retry = flight(server, client)
    client.do_handshake()
    client.data_to_send()
    client.receive_data(retry)
    assert failure_of(client.do_handshake).alert is AlertDescription.unexpected_message


RETRYING = replace(SERVER, groups=["P-256"])


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


def test_second_client_hello_with_more_key_shares_is_rejected() -> None:
    # RFC 9846 4.3.8
    x25519 = next(iter(CLIENT.parameters.group_table.values()))
    added = second_hello_refused(
        RETRYING, lambda shares: {**shares, x25519.code: x25519.generate().public}
    )
    assert added is AlertDescription.illegal_parameter


def test_second_client_hello_with_changed_key_shares_after_a_cookie() -> None:
    # RFC 9846 4.2.2
    config = replace(SERVER, require_cookie=True)
    p256 = next(iter(RETRYING.parameters.group_table.values()))
    changed = second_hello_refused(config, lambda shares: {p256.code: p256.generate().public})
    assert changed is AlertDescription.illegal_parameter


def test_server_hello_of_another_version_after_a_retry_is_rejected() -> None:
    # RFC 9846 4.2.4
    client, server = connections(CLIENT, replace(SERVER, require_cookie=True))
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    carry(server, client)
    client.do_handshake()
    hello = ServerHello(0x0303, bytes(32), bytes(32), 0x1301, 0, {})
    client.receive_data(plain(encode_message(hello)))
    assert failure_of(client.do_handshake).alert is AlertDescription.illegal_parameter


def retrying_server_and_hello() -> tuple[Connection, bytes]:
    """A server that will send a HelloRetryRequest, and a whole ClientHello."""
    server = connections(CLIENT, replace(SERVER, groups=["P-256"]))[1]
    return server, encode_message(hello_with_early_data())


def test_second_client_hello_before_the_retry_is_rejected() -> None:
    server, hello = retrying_server_and_hello()
    server.receive_data(plain(hello + hello[:1]))
    assert failure_of(server.do_handshake).alert is AlertDescription.unexpected_message


def test_server_hello_along_with_the_retry_is_rejected() -> None:
    client, server = connections(CLIENT, replace(SERVER, require_cookie=True))
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    ((_, retry), *_) = records(server.data_to_send())
    client.receive_data(plain(retry[5:] + retry[5:6]))
    assert failure_of(client.do_handshake).alert is AlertDescription.unexpected_message
