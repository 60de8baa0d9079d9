"""GREASE (RFC 8701): sent if configured, and never accepted in a response."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import (
    ASKING_SERVER,
    SERVER,
    authority,
    connections,
    established,
    failure_of,
    read_all,
    send,
    shake_hands,
)

from trio_tlsx import ClientConfig
from trio_tlsx.errors import AlertDescription, ProtocolError
from trio_tlsx.handshake import resumption_client, server13
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import GREASE, Context, ExtensionType, check_context
from trio_tlsx.messages.info import CertificateRequest, ClientHello

E = ExtensionType


@pytest.fixture
def client() -> ClientConfig:
    return ClientConfig(
        trust=authority.trust,
        credentials=authority.issue("client.example"),
        groups=["x25519", "secp256r1"],
        alpn_protocols=["test"],
        grease=True,
    )


def is_greased(codes: object) -> bool:
    return not GREASE.isdisjoint(codes)  # pyright: ignore[reportArgumentType]


def seen(client: ClientConfig) -> ClientHello:
    """What a server's hook sees of the client."""
    hellos: list[ClientHello] = []

    def select(hello: ClientHello) -> Any:
        hellos.append(hello)
        return SERVER.credentials

    established(client, replace(SERVER, credentials=None, select_credentials=select))
    return hellos[0]


def test_sixteen_grease_values_are_reserved() -> None:
    assert sorted(GREASE)[:2] == [0x0A0A, 0x1A1A]
    assert len(GREASE) == 16
    assert max(GREASE) == 0xFAFA


def test_grease_is_in_each_list_of_a_client_hello(client: ClientConfig) -> None:
    hello = seen(client)
    shares = ext.decode_key_shares(hello.extensions[E.key_share])
    lists = (
        hello.cipher_suites,
        hello.versions,
        hello.groups,
        hello.signature_schemes,
        hello.extensions,
        shares,
    )
    for codes in lists:
        assert is_greased(codes)
    first, *_, last = hello.extensions
    assert {first, last} <= GREASE
    assert first != last
    assert set(shares) & GREASE == set(hello.groups) & GREASE


def test_grease_is_off_by_default(client: ClientConfig) -> None:
    hello = seen(replace(client, grease=False))
    assert not is_greased((*hello.cipher_suites, *hello.groups, *hello.extensions))


def test_grease_values_differ_between_connections(client: ClientConfig) -> None:
    assert len({tuple(seen(client).extensions) for _ in range(20)}) > 1


@pytest.mark.parametrize("cookie", [False, True])
def test_grease_with_resumption_after_hello_retry_request(
    client: ClientConfig, *, cookie: bool
) -> None:
    server = replace(SERVER, groups=["secp256r1"], require_cookie=cookie, grease=True)
    for resumed in (False, True):
        ours, theirs = established(client, server)
        assert ours.negotiated.resumed is resumed
        send(theirs, ours, b"hello")
        assert read_all(ours) == b"hello"


def test_grease_is_in_certificate_requests_and_tickets(
    client: ClientConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[CertificateRequest] = []
    tickets: list[Any] = []
    keep = resumption_client.TicketKeeper.keep

    def select(request: CertificateRequest) -> Any:
        requests.append(request)
        return client.credentials

    def spy(keeper: Any, ticket: Any) -> Any:
        tickets.append(ticket)
        return keep(keeper, ticket)

    monkeypatch.setattr(resumption_client.TicketKeeper, "keep", spy)
    selecting = replace(client, credentials=None, select_credentials=select)
    ours, theirs = established(selecting, replace(ASKING_SERVER, grease=True))
    send(theirs, ours, b"hello")
    assert read_all(ours) == b"hello"
    assert is_greased(requests[0].extensions)
    assert is_greased(requests[0].signature_schemes)
    assert len(tickets) == 2
    assert all(is_greased(ticket.extensions) for ticket in tickets)


def test_answer_with_a_grease_value_is_rejected(
    client: ClientConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 8701 3.2: although the ClientHello holds it."""

    def answer(hs: Any, terms: Any, hello: Any) -> Any:
        message = encrypted_extensions(hs, terms, hello)
        value = next(code for code in hello.extensions if code in GREASE)
        return replace(message, extensions={**message.extensions, value: b""})

    encrypted_extensions: Any = server13.encrypted_extensions
    monkeypatch.setattr(server13, "encrypted_extensions", answer)
    error = failure_of(lambda: shake_hands(*connections(client)))
    assert error.alert is AlertDescription.unsupported_extension


def test_grease_extension_in_any_answer_is_rejected() -> None:
    for context in (Context.SH, Context.HRR, Context.EE, Context.CT):
        with pytest.raises(ProtocolError):
            check_context({0x0A0A: b""}, context, {0x0A0A})
