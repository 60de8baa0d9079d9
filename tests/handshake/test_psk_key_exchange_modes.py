"""psk_ke and psk_dhe_ke: a key exchange, unless both sides allow none (RFC 9846 4.3.9)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import (
    advance,
    connections,
    established,
    failure_of,
    read_all,
    send,
)
from external_psk_pairs import (
    CLIENT,
    OPEN_CLIENT,
    OPEN_SERVER,
    client_hello_of,
    knows_by_key,
    offers_modes,
    refused_by_server,
)

from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake import client_hello
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ClientHello

WITHOUT_CLIENT = replace(OPEN_CLIENT, psk_without_key_exchange=True)


WITHOUT_SERVER = replace(OPEN_SERVER, psk_without_key_exchange=True)


def test_psk_ke_only_if_both_sides_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for client in (OPEN_CLIENT, WITHOUT_CLIENT):
        for server in (OPEN_SERVER, WITHOUT_SERVER):
            assert knows_by_key(client, server)
            assert established(client, server)[0].negotiated.group == "x25519"
    offers_modes(monkeypatch, b"\x01\x00")
    assert not knows_by_key(WITHOUT_CLIENT, OPEN_SERVER)
    assert knows_by_key(WITHOUT_CLIENT, WITHOUT_SERVER)
    for one in established(WITHOUT_CLIENT, WITHOUT_SERVER):
        assert one.negotiated.group is None


def test_psk_key_exchange_modes_that_are_offered() -> None:
    code = ExtensionType.psk_key_exchange_modes
    assert client_hello_of(OPEN_CLIENT).extensions[code] == b"\x01\x01"
    assert sorted(client_hello_of(WITHOUT_CLIENT).extensions[code][1:]) == [0, 1]
    assert code not in client_hello_of(replace(OPEN_CLIENT, psks=[])).extensions


def test_psk_ke_that_was_not_offered_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    offers_modes(monkeypatch, b"\x01\x00")
    client, server = connections(CLIENT, WITHOUT_SERVER)
    advance(client, server)
    advance(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.illegal_parameter


def test_psk_ke_without_a_common_group() -> None:
    other_groups = {"groups": ["secp384r1"]}
    server = replace(WITHOUT_SERVER, **other_groups)
    assert established(WITHOUT_CLIENT, server)[1].negotiated.group is None
    error = refused_by_server(OPEN_CLIENT, server)
    assert error.alert == AlertDescription.handshake_failure


@pytest.mark.parametrize("cookie", [False, True])
def test_psk_ke_client_without_groups(monkeypatch: pytest.MonkeyPatch, cookie: bool) -> None:
    leaves_out(monkeypatch, ExtensionType.supported_groups, ExtensionType.key_share)
    assert knows_by_key(WITHOUT_CLIENT, replace(WITHOUT_SERVER, require_cookie=cookie))
    error = refused_by_server(WITHOUT_CLIENT, OPEN_SERVER)
    assert error.alert == AlertDescription.missing_extension


@pytest.mark.parametrize("left_out", ["supported_groups", "key_share"])
def test_psk_ke_client_with_groups_or_key_share_missing(
    monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    leaves_out(monkeypatch, ExtensionType[left_out])
    error = refused_by_server(WITHOUT_CLIENT, WITHOUT_SERVER)
    assert error.alert == AlertDescription.missing_extension


def leaves_out(monkeypatch: pytest.MonkeyPatch, *left_out: ExtensionType) -> None:
    complete = client_hello.hello_without_psks

    def incomplete(*args: Any) -> ClientHello:
        hello = complete(*args)
        rest = {code: body for code, body in hello.extensions.items() if code not in left_out}
        return replace(hello, extensions=rest)

    monkeypatch.setattr(client_hello, "hello_without_psks", incomplete)


def test_psk_ke_with_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    server = replace(WITHOUT_SERVER, psks=[])
    client = replace(WITHOUT_CLIENT, psks=[], resumption=True)
    one, other = established(client, server)
    send(other, one, b"tickets")
    assert read_all(one) == b"tickets"
    offers_modes(monkeypatch, b"\x01\x00")
    one, other = established(client, server)
    assert one.negotiated.resumed
    assert one.negotiated.group is other.negotiated.group is None
