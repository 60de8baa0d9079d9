"""External pre-shared keys: offers, look-ups, use and rejection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import (
    SERVER_NAME,
    advance,
    authority,
    carry,
    connections,
    credentials,
    established,
    failure_of,
    read_all,
    records,
    sealed,
    send,
    shake_hands,
)
from external_psk_pairs import (
    CLIENT,
    KEY,
    NAME,
    OPEN_CLIENT,
    OPEN_SERVER,
    PSK,
    SERVER,
    SHA256,
    SHA384,
    STRANGER,
    client_hello_of,
    knows_by_key,
    offered,
    plain_psk,
    refused_by_server,
)

from trio_tlsx import ClientConfig, ExternalPSK, Peer, ServerConfig
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake import client_hello, server13_hello
from trio_tlsx.handshake.certificate_selection import Selected
from trio_tlsx.handshake.external_psk import psks_of
from trio_tlsx.handshake.psk import OfferedPsks
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ClientHello, NewSessionTicket, encode_message
from trio_tlsx.record.protection import ContentType
from trio_tlsx.sessions.external_psk import HashName

# Handshakes


@pytest.mark.parametrize("suite", [suite.name for suite in CIPHER_SUITES.values()])
@pytest.mark.parametrize("cookie", [False, True])
@pytest.mark.parametrize("name", ["SHA256", "SHA384"])
def test_imported_psk_works_with_every_suite(name: HashName, suite: str, cookie: bool) -> None:
    key = ExternalPSK(NAME, KEY, context=b"client to server", hash=name)
    server = replace(SERVER, psks=[key], cipher_suites=[suite], require_cookie=cookie)
    assert knows_by_key(replace(CLIENT, psks=[key]), server)


@pytest.mark.parametrize("group", ["x25519", "secp256r1"])
@pytest.mark.parametrize("name", ["SHA256", "SHA384"])
def test_plain_psk_works_with_suites_of_its_hash(name: HashName, group: str) -> None:
    server = replace(SERVER, psks=[plain_psk(name)], groups=[group])
    client = replace(OPEN_CLIENT, psks=[plain_psk(name)], groups=["x25519", "secp256r1"])
    assert knows_by_key(client, server)
    suite = {"SHA256": SHA256, "SHA384": SHA384}[name]
    server = replace(server, credentials=credentials(), cipher_suites=[suite.name])
    assert knows_by_key(client, server)
    other = {"SHA256": SHA384, "SHA384": SHA256}[name]
    server = replace(server, cipher_suites=[other.name])
    assert not knows_by_key(client, server)


def test_no_certificates_with_an_external_psk() -> None:
    seen: list[str] = []
    client = Connection.client(
        CLIENT, SERVER_NAME, observer=lambda way, name, _: seen.append(name)
    )
    server = replace(OPEN_SERVER, client_auth="required", client_trust=authority.trust)
    shake_hands(client, Connection.server(server))
    assert seen == [
        "client_hello",
        "server_hello",
        "encrypted_extensions",
        "finished",
        "finished",
    ]


def test_verify_is_not_called_with_an_external_psk() -> None:
    def verify(_: Peer) -> None:
        raise AssertionError("there is nothing to verify")

    server = replace(
        OPEN_SERVER, client_auth="required", client_trust=authority.trust, verify=verify
    )
    assert knows_by_key(replace(OPEN_CLIENT, verify=verify), server)


def test_exporters_with_an_external_psk() -> None:
    client, server = established(CLIENT, SERVER)
    label = "EXPERIMENTAL test"
    assert client.export_keying_material(label, 32) == server.export_keying_material(label, 32)
    assert client.channel_binding("tls-exporter") == server.channel_binding("tls-exporter")
    for one in established(OPEN_CLIENT, OPEN_SERVER):
        assert one.channel_binding("tls-server-end-point") is None


def test_no_tickets_with_an_external_psk() -> None:
    open_client = replace(OPEN_CLIENT, resumption=True)
    client, server = established(open_client, OPEN_SERVER)
    server.write(memoryview(b"x"))
    [(_, record)] = records(bytes(server.pending_output()))
    assert len(record) == 5 + 1 + 1 + 16
    ticket = encode_message(NewSessionTicket(3600, 0, b"", b"ticket", {}))
    carry(server, client)
    client.receive_data(sealed(server, ticket, ContentType.handshake))
    assert read_all(client) == b"x"
    assert client.read() is Want.READ
    assert len(offered(open_client).identities) == 2


def test_psks_of_the_selected_server_config() -> None:
    server = ServerConfig(select_credentials=lambda _: SERVER, psks=[STRANGER])
    assert knows_by_key(CLIENT, server)


def test_psks_with_selected_credentials() -> None:
    server = ServerConfig(select_credentials=lambda _: credentials(), psks=[PSK])
    assert knows_by_key(OPEN_CLIENT, server)
    assert not knows_by_key(replace(OPEN_CLIENT, psks=[STRANGER]), server)


# Certificates instead


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(STRANGER, id="unknown"),
        pytest.param(replace(PSK, context=b"another"), id="another context"),
        pytest.param(plain_psk(), id="not imported"),
    ],
)
def test_unknown_psk_continues_with_certificates(key: ExternalPSK) -> None:
    client, server = established(replace(OPEN_CLIENT, psks=[key]), OPEN_SERVER)
    assert client.negotiated.psk_identity is server.negotiated.psk_identity is None
    assert client.negotiated.peer_certificates == credentials().chain
    assert not knows_by_key(replace(OPEN_CLIENT, psks=[PSK]), replace(OPEN_SERVER, psks=[key]))


def test_psk_required_without_trust() -> None:
    assert ExtensionType.signature_algorithms in client_hello_of(OPEN_CLIENT).extensions
    assert ExtensionType.signature_algorithms not in client_hello_of(CLIENT).extensions
    stranger = replace(CLIENT, psks=[STRANGER])
    assert refused_by_server(stranger, OPEN_SERVER).alert == AlertDescription.missing_extension


def test_certificate_instead_of_a_required_psk_is_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, server = connections(replace(CLIENT, psks=[STRANGER]), OPEN_SERVER)

    def whatever(*_: object) -> Selected:
        return credentials(), credentials().signer.schemes[0]

    monkeypatch.setattr(server13_hello, "select_credentials", whatever)
    advance(client, server)
    advance(server, client)
    error = failure_of(client.do_handshake)
    assert error.alert == AlertDescription.missing_extension


@pytest.mark.parametrize("again", ["insecure_skip_verification", "verify_replaces_builtin"])
def test_certificates_beside_psks_need_explicit_trust(again: str) -> None:
    judged: list[Peer] = []
    how: dict[str, Any] = {again: True, "verify": judged.append}
    client = ClientConfig(psks=[STRANGER], **how)
    assert not knows_by_key(client, OPEN_SERVER)
    assert len(judged) == 1


# Sessions beside keys


def test_session_is_offered_before_external_psks() -> None:
    clueless = replace(OPEN_SERVER, psks=[], ticket_keys=OPEN_SERVER.parameters.ticket_keys)
    client = replace(OPEN_CLIENT, resumption=True)
    one, other = established(client, clueless)
    send(other, one, b"tickets")
    assert read_all(one) == b"tickets"
    asked: list[bytes] = []
    server = replace(
        OPEN_SERVER, psks=asked.append, ticket_keys=OPEN_SERVER.parameters.ticket_keys
    )
    assert len(offered(client).identities) == 3
    one, other = established(client, server)
    assert one.negotiated.resumed
    assert other.negotiated.resumed
    assert one.negotiated.psk_identity is other.negotiated.psk_identity is None
    assert asked == []


def test_external_psk_if_the_session_is_rejected() -> None:
    client = replace(OPEN_CLIENT, resumption=True)
    one, other = established(client, replace(OPEN_SERVER, psks=[]))
    send(other, one, b"tickets")
    assert read_all(one) == b"tickets"
    assert knows_by_key(client, OPEN_SERVER)


def test_second_client_hello_drops_psks_of_another_hash() -> None:
    server = replace(SERVER, require_cookie=True, cipher_suites=[SHA384.name])
    client, server = connections(replace(CLIENT, psks=[STRANGER, PSK]), server)
    advance(client, server)
    advance(server, client)
    client.do_handshake()
    sent = records(client.data_to_send())
    hello = ClientHello.decode(b"".join(record[5:] for _, record in sent if record[0] == 22)[4:])
    psks = OfferedPsks.decode(hello.extensions[ExtensionType.pre_shared_key])
    assert [len(binder) for binder in psks.binders] == [48, 48]
    assert [len(binder) for binder in offered(CLIENT).binders] == [32, 48]


# Without a key exchange


def test_client_sends_no_early_data_under_an_external_psk() -> None:
    client = Connection.client(CLIENT, SERVER_NAME, early_data=b"early", resend_early_data=True)
    server = Connection.server(SERVER)
    server.accept_early_data()
    shake_hands(client, server)
    assert not client.negotiated.early_data_accepted
    assert server.read_early_data() == b""
    assert server.read() == b"early"


def test_server_takes_no_early_data_under_an_external_psk(monkeypatch: pytest.MonkeyPatch) -> None:
    make = client_hello.hello_without_psks

    def with_early_data(*args: Any) -> ClientHello:
        made = make(*args)
        return replace(made, extensions={**made.extensions, ExtensionType.early_data: b""})

    monkeypatch.setattr(client_hello, "hello_without_psks", with_early_data)
    client = Connection.client(CLIENT, SERVER_NAME)
    server = Connection.server(replace(SERVER, max_early_data_size=100))
    server.accept_early_data()
    shake_hands(client, server)
    assert server.negotiated.psk_identity == NAME
    assert not server.negotiated.early_data_accepted


# What cannot be


def test_external_psk_is_in_no_repr() -> None:
    key = ExternalPSK(NAME, b"the secret of it")
    for shown in (key, replace(CLIENT, psks=[key]), replace(SERVER, psks=[key])):
        assert "secret" not in repr(shown)
    [imported] = psks_of(key, [SHA256])
    assert repr(imported.secret)[2:20] not in repr(imported)
