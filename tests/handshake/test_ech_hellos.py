"""The hellos of Encrypted Client Hello: what they share, and how long they are (RFC 9849 5, 6)."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from ech_pairs import ECH_CLIENT, ECH_SERVER, PLAIN_SERVER, PUBLIC_NAME, STALE_SERVER, key
from engine_pairs import (
    SERVER_NAME,
    carry,
    connections,
    established,
    failure_of,
    read_all,
    records,
    send,
    shake_hands,
)

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, ECHRejected, ProtocolError
from trio_tlsx.handshake import ech_client
from trio_tlsx.messages.ech import (
    ECH_OUTER_EXTENSIONS,
    OuterECH,
    decode_ech,
    decode_inner_hello,
    encode_inner_hello,
)
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import MESSAGE_HEADER_LENGTH, ClientHello
from trio_tlsx.pki.ech import ECHKey
from trio_tlsx.record.protection import RECORD_HEADER_LENGTH
from trio_tlsx.sessions.client import MemorySessionStore
from trio_tlsx.sessions.external_psk import ExternalPSK

E = ExtensionType
BOTH_VERSIONS = ["TLSv1.3", "TLSv1.2"]

#: Configurations that differ in the extensions of their hellos.
CONFIGS = {
    "TLS 1.3": replace(ECH_CLIENT, versions=["TLSv1.3"]),
    "both versions": replace(ECH_CLIENT, versions=BOTH_VERSIONS),
    "everything": replace(
        ECH_CLIENT,
        versions=BOTH_VERSIONS,
        alpn_protocols=["h2"],
        max_fragment_length=1024,
        ocsp_stapling=True,
        timestamps=True,
        grease=True,
        resumption=True,
    ),
    "a raw public key": replace(
        ECH_CLIENT,
        versions=["TLSv1.3"],
        select_credentials=list[object]().append,
        own_certificate_types=["RawPublicKey", "X509"],
    ),
    "external keys": replace(
        ECH_CLIENT, psks=[ExternalPSK(b"identity", bytes(32))], resumption=False
    ),
}


CLIENT_OF_BOTH = replace(ECH_CLIENT, versions=BOTH_VERSIONS, ech=None, resumption=True)


def outer_hello(config: ClientConfig, server_name: str = SERVER_NAME) -> ClientHello:
    """The ClientHello that a client sends."""
    client = Connection.client(config, server_name)
    client.do_handshake()
    _, record = next(records(client.data_to_send()))
    return ClientHello.decode(record[RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH :])


def outer_ech(hello: ClientHello) -> OuterECH:
    outer = decode_ech(hello.extensions[E.encrypted_client_hello])
    assert outer is not None
    return outer


def recorded(
    monkeypatch: pytest.MonkeyPatch, config: ClientConfig
) -> tuple[ClientHello, ClientHello, bytes]:
    """The inner hello, the outer hello and the encoded inner hello that a client makes."""
    made: list[tuple[ClientHello, ClientHello, bytes]] = []

    def record(inner: ClientHello, outer: ClientHello, length: int) -> bytes:
        encoded = encode_inner_hello(inner, outer, length)
        made.append((inner, outer, encoded))
        return encoded

    monkeypatch.setattr(ech_client, "encode_inner_hello", record)
    outer_hello(config)
    (only,) = made
    return only


def without_padding(encoded: bytes) -> ClientHello:
    """An encoded inner hello, which may end in zeros of its own."""
    for end in range(len(encoded.rstrip(b"\0")), len(encoded) + 1):
        with contextlib.suppress(ProtocolError):
            return ClientHello.decode(encoded[:end])
    raise AssertionError("there is no ClientHello")


@pytest.mark.parametrize("name", CONFIGS)
def test_the_inner_hello_survives_its_encoding(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    inner, outer, encoded = recorded(monkeypatch, CONFIGS[name])
    decoded = decode_inner_hello(encoded, outer)
    assert decoded.encode() == inner.encode()
    assert len(encoded) % 32 == 0


@pytest.mark.parametrize("name", CONFIGS)
def test_what_both_hellos_have_is_sent_once(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Except for the server's name and what else could depend on it (RFC 9849 10.5)."""
    inner, _, encoded = recorded(monkeypatch, CONFIGS[name])
    sent = without_padding(encoded).extensions
    listed = sent[ECH_OUTER_EXTENSIONS][1:]
    taken = [int.from_bytes(listed[i : i + 2]) for i in range(0, len(listed), 2)]
    assert {E.key_share, E.supported_groups} <= {*taken}
    assert (E.psk_key_exchange_modes in taken) is (E.psk_key_exchange_modes in inner.extensions)
    assert (E.supported_versions in taken) is (name in ("TLS 1.3", "a raw public key"))
    hidden = {
        E.server_name,
        E.application_layer_protocol_negotiation,
        E.pre_shared_key,
        E.encrypted_client_hello,
    }
    assert hidden.isdisjoint(taken)
    assert hidden & {*inner.extensions} <= {*sent}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_outer_hello_has_a_random_of_its_own(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """RFC 9849 6.1, 10.12.1: the inner one proves that a server has decrypted the hello."""
    inner, outer, _ = recorded(monkeypatch, CONFIGS[name])
    assert inner.random != outer.random
    assert inner.random not in outer.encode()
    assert inner.legacy_session_id == outer.legacy_session_id


def test_the_outer_hello_says_that_early_data_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9849 6.1: a server that rejects the inner hello has to skip it."""
    config = replace(ECH_CLIENT, resumption=True)
    client, server = established(config, replace(ECH_SERVER, max_early_data_size=1000))
    send(server, client, b"with the tickets")
    read_all(client)
    client = Connection.client(config, SERVER_NAME, early_data=b"early")
    client.do_handshake()
    _, record = next(records(client.data_to_send()))
    hello = ClientHello.decode(record[RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH :])
    assert E.early_data in hello.extensions


def test_no_session_of_tls_1_2_is_offered_beside_an_inner_hello(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = replace(CLIENT_OF_BOTH, session_store=MemorySessionStore(), session_context=b"test")
    client, _ = established(config, replace(PLAIN_SERVER, versions=["TLSv1.2"]))
    assert client.negotiated.version == "TLSv1.2"
    inner, outer, _ = recorded(monkeypatch, replace(config, ech=ECH_CLIENT.ech))
    assert E.pre_shared_key not in inner.extensions
    assert E.session_ticket not in inner.extensions
    assert outer.extensions[E.session_ticket] == b""
    client, server = established(replace(config, ech=ECH_CLIENT.ech), ECH_SERVER)
    assert client.negotiated.ech_accepted
    assert not server.negotiated.resumed


def test_no_session_of_tls_1_2_from_a_server_that_rejected_is_kept() -> None:
    """RFC 9849 6.1.7. In TLS 1.2 it comes before the client knows that all is verified."""
    store = MemorySessionStore()
    config = replace(CLIENT_OF_BOTH, session_store=store, session_context=b"test")
    config = replace(config, ech=ECH_CLIENT.ech)
    client, server = connections(config, replace(PLAIN_SERVER, versions=["TLSv1.2"]))
    assert isinstance(failure_of(lambda: shake_hands(client, server)), ECHRejected)
    assert store.take(PUBLIC_NAME, None, b"test") is None
    assert store.take(SERVER_NAME, None, b"test") is None


def test_an_external_key_is_hidden_too() -> None:
    """Only its length is seen: an identity could tell the client, or the server's name."""
    psk = ExternalPSK(b"identity of the client", bytes(32))
    config = replace(ECH_CLIENT, psks=[psk], resumption=False)
    assert psk.identity not in outer_hello(config).encode()
    client, _ = established(config, replace(ECH_SERVER, psks=[psk]))
    assert client.negotiated.psk_identity == psk.identity
    assert client.negotiated.ech_accepted


@pytest.mark.parametrize("server_config", [STALE_SERVER, PLAIN_SERVER], ids=["stale", "plain"])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_second_outer_hello_changes_only_what_it_may(
    name: str, server_config: ServerConfig
) -> None:
    """RFC 9846 4.2.2: a server that rejected the first one may insist on that."""
    config = replace(CONFIGS[name], key_shares=["secp256r1"])
    client, server = connections(config, replace(server_config, groups=["x25519"]))
    assert isinstance(failure_of(lambda: shake_hands(client, server)), ECHRejected)


def test_an_outer_hello_that_was_altered_on_the_way_is_not_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RFC 9849 5.2, 10.12.3: the encryption covers the outer hello."""
    encrypt = ech_client.encrypt_hello

    def altered(*args: Any, enc: bytes) -> ClientHello:
        return replace(encrypt(*args, enc=enc), random=bytes(32))

    monkeypatch.setattr(ech_client, "encrypt_hello", altered)
    client, server = connections(ECH_CLIENT, ECH_SERVER)
    assert isinstance(failure_of(lambda: shake_hands(client, server)), ECHRejected)


def test_a_suite_that_the_configuration_does_not_have_is_a_rejection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RFC 9849 7.1. It could be a GREASE value."""
    unknown = OuterECH((0x1111, 0x2222), key.config.config_id, bytes(32), bytes(100))

    def grease(_parameters: object) -> bytes:
        return unknown.encode()

    monkeypatch.setattr("trio_tlsx.handshake.client.grease_ech", grease)
    client, server = established(replace(ECH_CLIENT, ech="grease"), ECH_SERVER)
    assert not client.negotiated.ech_accepted
    assert not server.negotiated.ech_accepted


def test_the_public_name_is_as_hidden_as_any_other() -> None:
    """Nobody can see that the server's name happens to be the public one."""
    lengths = {
        len(outer_ech(outer_hello(ECH_CLIENT, name)).payload)
        for name in (PUBLIC_NAME, SERVER_NAME)
    }
    assert len(lengths) == 1


@pytest.mark.parametrize("name", ["TLS 1.3", "both versions", "everything"])
@pytest.mark.parametrize("resuming", [False, True])
def test_a_grease_value_is_as_long_as_an_encrypted_hello(name: str, resuming: bool) -> None:
    """RFC 9849 6.2: as one for a server that does not tell its longest name."""
    unpadded = ECHKey.generate(PUBLIC_NAME, maximum_name_length=0)
    config = replace(CONFIGS[name], resumption=True)
    server = replace(ECH_SERVER, ech_keys=unpadded, alpn_protocols=["h2"])
    lengths = set[int]()
    for ech in (unpadded.config_list, "grease"):
        client_config = replace(config, ech=ech)
        if resuming:
            client, other = established(client_config, server)
            send(other, client, b"with the tickets")
            read_all(client)
        hello = outer_hello(client_config)
        assert (E.pre_shared_key in hello.extensions) is resuming
        lengths.add(len(outer_ech(hello).payload))
    assert len(lengths) == 1


def test_early_data_of_an_encrypted_hello_and_tls_1_2() -> None:
    """RFC 9846 E.3: such a server cannot tell the early data from other data."""
    config = replace(ECH_CLIENT, versions=BOTH_VERSIONS, resumption=True)
    client, server = established(config, replace(ECH_SERVER, max_early_data_size=1000))
    send(server, client, b"with the tickets")
    read_all(client)
    client = Connection.client(config, SERVER_NAME, early_data=b"early")
    server = Connection.server(replace(PLAIN_SERVER, versions=["TLSv1.2"]))
    client.do_handshake()
    _, hello = next(records(client.data_to_send()))
    server.receive_data(hello)
    server.do_handshake()
    carry(server, client)
    error = failure_of(client.do_handshake)
    assert isinstance(error, ProtocolError)
    assert error.alert is AlertDescription.protocol_version
