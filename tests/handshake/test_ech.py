"""Encrypted Client Hello between a client and a server of this library (RFC 9849)."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from ech_pairs import (
    ECH_CLIENT,
    ECH_SERVER,
    PLAIN_SERVER,
    PUBLIC_NAME,
    RETRIED_CLIENT,
    RETRYING_SERVER,
    STALE_SERVER,
    key,
    other_key,
)
from engine_pairs import (
    CLIENT,
    SERVER,
    SERVER_NAME,
    authority,
    carry,
    connections,
    credentials,
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
from trio_tlsx.errors import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    ECHRejected,
    InternalError,
)
from trio_tlsx.handshake import ech_client
from trio_tlsx.handshake.questions import ECHConfigsWanted
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.ech import OuterECH, decode_config_list, decode_ech
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import MESSAGE_HEADER_LENGTH, ClientHello
from trio_tlsx.messages.info import ClientHello as ClientHelloView
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.pki.ech import ECHKey
from trio_tlsx.pki.peer import Peer
from trio_tlsx.pki.pinning import pin_spki, spki_pin
from trio_tlsx.record.protection import RECORD_HEADER_LENGTH
from trio_tlsx.sessions.client import MemorySessionStore

E = ExtensionType
BOTH_VERSIONS = ["TLSv1.3", "TLSv1.2"]
NAME = SERVER_NAME.encode("ascii")


def first_hello(config: ClientConfig) -> tuple[ClientHello, bytes]:
    """The ClientHello that a client sends, and all its octets."""
    client, _ = connections(config)
    client.do_handshake()
    octets = client.data_to_send()
    _, record = next(records(octets))
    return ClientHello.decode(record[RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH :]), octets


# Accepted


@pytest.mark.parametrize("source", ["bytes", "base64", "function"])
@pytest.mark.parametrize("current", [key, other_key], ids=["X25519", "P-256"])
def test_only_the_server_reads_the_name(current: ECHKey, source: str) -> None:
    configs = current.config_list
    sources = {
        "bytes": configs,
        "base64": base64.b64encode(configs).decode(),
        "function": {SERVER_NAME: configs}.get,
    }
    config = replace(ECH_CLIENT, ech=sources[source])
    hello, octets = first_hello(config)
    assert NAME not in octets
    assert PUBLIC_NAME.encode() in hello.extensions[E.server_name]
    client, server = established(config, replace(ECH_SERVER, ech_keys=[other_key, key]))
    assert client.negotiated.ech_accepted
    assert server.negotiated.ech_accepted
    assert client.negotiated.server_name == server.negotiated.server_name == SERVER_NAME
    send(client, server, b"to the server")
    send(server, client, b"to the client")
    assert (read_all(server), read_all(client)) == (b"to the server", b"to the client")


def test_a_hook_sees_the_inner_hello_and_is_told_so() -> None:
    seen: list[ClientHelloView] = []

    def select(hello: ClientHelloView) -> Credentials:
        seen.append(hello)
        return credentials()

    config = replace(ECH_SERVER, credentials=None, select_credentials=select)
    established(ECH_CLIENT, config)
    established(CLIENT, config)
    assert [hello.server_name for hello in seen] == [SERVER_NAME] * 2
    assert [hello.encrypted for hello in seen] == [True, False]


def test_the_application_protocols_are_hidden_too() -> None:
    config = replace(ECH_CLIENT, alpn_protocols=["secret-protocol"])
    hello, octets = first_hello(config)
    assert b"secret-protocol" not in octets
    assert E.application_layer_protocol_negotiation not in hello.extensions
    _, server = established(config, replace(ECH_SERVER, alpn_protocols=["secret-protocol"]))
    assert server.negotiated.alpn_protocol == "secret-protocol"


def test_the_inner_hello_offers_tls_1_3_alone() -> None:
    seen: list[ClientHelloView] = []

    def select(hello: ClientHelloView) -> Credentials:
        seen.append(hello)
        return credentials()

    client = replace(ECH_CLIENT, versions=BOTH_VERSIONS)
    config = replace(ECH_SERVER, credentials=None, select_credentials=select)
    established(client, replace(config, versions=BOTH_VERSIONS))
    (hello,) = seen
    assert hello.versions == (0x0304,)
    assert {suite >> 8 for suite in hello.cipher_suites} == {0x13}
    outer, _ = first_hello(client)
    assert b"\x03\x03" in outer.extensions[E.supported_versions]


def test_after_a_hello_retry_request_the_second_hello_is_encrypted_too() -> None:
    client, server = connections(RETRIED_CLIENT, RETRYING_SERVER)
    client.do_handshake()
    sent = client.data_to_send()
    server.receive_data(sent)
    server.do_handshake()
    carry(server, client)
    client.do_handshake()
    sent += (second := client.data_to_send())
    assert NAME not in sent
    server.receive_data(second)
    shake_hands(client, server)
    assert client.negotiated.hello_retry_request
    assert client.negotiated.ech_accepted
    assert server.negotiated.server_name == SERVER_NAME


def test_the_second_hello_reuses_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9849 6.1.5: with an empty ``enc``, under the same id and suite."""
    client, server = connections(RETRIED_CLIENT, RETRYING_SERVER)
    hellos: list[ClientHello] = []
    for _ in range(2):
        client.do_handshake()
        output = client.data_to_send()
        body = next(record for _, record in records(output) if record[0] == 22)
        hellos.append(ClientHello.decode(body[RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH :]))
        server.receive_data(output)
        server.do_handshake()
        carry(server, client)
    first, second = (decode_ech(hello.extensions[E.encrypted_client_hello]) for hello in hellos)
    assert first is not None
    assert second is not None
    assert len(first.enc) == 32
    assert second.enc == b""
    assert (second.config_id, second.cipher_suite) == (first.config_id, first.cipher_suite)
    assert second.payload != first.payload


def test_a_session_is_resumed_and_the_outer_hello_does_not_offer_it() -> None:
    config = replace(ECH_CLIENT, resumption=True)
    client, server = established(config, ECH_SERVER)
    send(server, client, b"with the tickets")
    read_all(client)
    offered: list[ClientHello] = []
    for _ in range(2):
        hello, _ = first_hello(replace(config))
        offered.append(hello)
    client, server = established(config, ECH_SERVER)
    assert client.negotiated.resumed
    assert client.negotiated.ech_accepted
    assert server.negotiated.resumed


def test_the_psks_of_the_outer_hello_are_random_and_of_the_same_lengths() -> None:
    config = replace(ECH_CLIENT, resumption=True)
    client, server = established(config, ECH_SERVER)
    send(server, client, b"with the tickets")
    read_all(client)
    inner: list[ClientHelloView] = []

    def select(hello: ClientHelloView) -> tuple[Credentials, ...]:
        inner.append(hello)
        return tuple(ECH_SERVER.parameters.candidates)

    client, server = connections(
        config, replace(ECH_SERVER, credentials=None, select_credentials=select)
    )
    client.do_handshake()
    output = client.data_to_send()
    outer = ClientHello.decode(output[RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH :])
    server.receive_data(output)
    server.do_handshake()
    ours, visible = inner[0].extensions[E.pre_shared_key], outer.extensions[E.pre_shared_key]
    assert len(ours) == len(visible)
    assert ours != visible
    length = int.from_bytes(ours[2:4])
    assert ours[4 : 4 + length] != visible[4 : 4 + length]
    modes = E.psk_key_exchange_modes
    assert inner[0].extensions[modes] == outer.extensions[modes]
    assert list(outer.extensions)[-1] == E.pre_shared_key


def test_a_session_with_a_hidden_name_is_not_offered_in_the_clear() -> None:
    store = MemorySessionStore()
    config = replace(ECH_CLIENT, resumption=True, session_store=store, session_context=b"test")
    client, server = established(config, ECH_SERVER)
    send(server, client, b"with the tickets")
    read_all(client)
    hello, _ = first_hello(replace(config, ech=None))
    assert E.pre_shared_key not in hello.extensions


def test_early_data_goes_with_the_inner_hello() -> None:
    server_config = replace(ECH_SERVER, max_early_data_size=1000)
    config = replace(ECH_CLIENT, resumption=True)
    client, server = established(config, server_config)
    send(server, client, b"with the tickets")
    read_all(client)
    client = Connection.client(config, SERVER_NAME, early_data=b"early")
    server = Connection.server(server_config)
    server.accept_early_data()
    client.do_handshake()
    carry(client, server)
    assert server.do_handshake() is Want.WRITE
    carry(server, client)
    assert server.do_handshake() is Want.EARLY_DATA
    assert server.read_early_data() == b"early"
    shake_hands(client, server)
    assert client.negotiated.early_data_accepted
    assert client.negotiated.ech_accepted


def test_the_payload_hides_the_length_of_the_name() -> None:
    lengths = set[int]()
    for name in ("a.example", "a-rather-long-name-of-a-host.test.example"):
        client = Connection.client(ECH_CLIENT, name)
        client.do_handshake()
        lengths.add(len(client.data_to_send()))
    assert len(lengths) == 1


def test_the_servers_flight_hides_the_length_of_its_certificate() -> None:
    lengths = set[int]()
    for names in ((SERVER_NAME,), (SERVER_NAME, "another-name-of-this-server.example")):
        certified = (
            authority.issue(*names, key_type="P-256"),
            ECH_SERVER.parameters.candidates[1],
        )
        client, server = connections(ECH_CLIENT, replace(ECH_SERVER, credentials=certified))
        client.do_handshake()
        carry(client, server)
        server.do_handshake()
        lengths.add(len(server.data_to_send()))
    assert len(lengths) == 1


# Rejected


@pytest.mark.parametrize("client_config", [ECH_CLIENT, RETRIED_CLIENT], ids=["once", "retried"])
def test_a_stale_configuration_gets_the_current_one(client_config: ClientConfig) -> None:
    client, server = connections(client_config, replace(STALE_SERVER, groups=["x25519"]))
    error = failure_of(lambda: shake_hands(client, server))
    assert isinstance(error, ECHRejected)
    assert error.alert is AlertDescription.ech_required
    assert error.public_name == PUBLIC_NAME
    assert error.retry_configs == other_key.config_list
    assert not error.is_disabled
    carry(client, server)
    refusal = failure_of(lambda: (server.do_handshake(), server.read()))
    assert isinstance(refusal, AlertReceived)
    assert refusal.alert is AlertDescription.ech_required
    client, _ = established(replace(client_config, ech=error.retry_configs), STALE_SERVER)
    assert client.negotiated.ech_accepted


@pytest.mark.parametrize("versions", [["TLSv1.3"], ["TLSv1.2"]], ids="".join)
def test_a_verified_server_can_turn_ech_off(versions: list[str]) -> None:
    config = replace(ECH_CLIENT, versions=BOTH_VERSIONS)
    client, server = connections(config, replace(PLAIN_SERVER, versions=versions))
    error = failure_of(lambda: shake_hands(client, server))
    assert isinstance(error, ECHRejected)
    assert error.is_disabled
    assert error.retry_configs is None


def test_a_server_that_is_not_the_public_name_turns_nothing_off() -> None:
    client, server = connections(ECH_CLIENT, SERVER)
    error = failure_of(lambda: shake_hands(client, server))
    assert isinstance(error, CertificateError)
    assert error.alert is AlertDescription.bad_certificate
    assert "the public name of the ECH configuration" in str(error)


def test_without_verification_there_are_no_retry_configs() -> None:
    config = replace(ECH_CLIENT, trust=None, insecure_skip_verification=True)
    client, server = connections(config, STALE_SERVER)
    error = failure_of(lambda: shake_hands(client, server))
    assert isinstance(error, ECHRejected)
    assert error.retry_configs is None
    assert not error.is_disabled


def test_verify_learns_that_the_name_is_the_public_one() -> None:
    seen: list[Peer] = []
    client, server = connections(replace(ECH_CLIENT, verify=seen.append), STALE_SERVER)
    failure_of(lambda: shake_hands(client, server))
    established(replace(ECH_CLIENT, verify=seen.append), ECH_SERVER)
    assert [(peer.server_name, peer.for_public_name) for peer in seen] == [
        (PUBLIC_NAME, True),
        (SERVER_NAME, False),
    ]


def test_pins_of_the_real_name_do_not_count_for_the_public_name() -> None:
    pin = spki_pin(credentials().chain[0])
    config = replace(ECH_CLIENT, verify=pin_spki(pin))
    client, server = connections(config, STALE_SERVER)
    assert isinstance(failure_of(lambda: shake_hands(client, server)), ECHRejected)
    established(config, ECH_SERVER)


def test_the_builtin_rules_hold_for_the_public_name_though_verify_replaces_them() -> None:
    config = replace(ECH_CLIENT, verify=list[Peer]().append, verify_replaces_builtin=True)
    client, server = connections(config, SERVER)
    assert isinstance(failure_of(lambda: shake_hands(client, server)), CertificateError)


def test_no_client_certificate_goes_to_a_server_that_rejected() -> None:
    asked: list[object] = []
    config = replace(ECH_CLIENT, select_credentials=asked.append)
    asking = replace(STALE_SERVER, client_auth="optional", client_trust=CLIENT.trust)
    client, server = connections(config, asking)
    assert isinstance(failure_of(lambda: shake_hands(client, server)), ECHRejected)
    assert not asked


def test_no_ticket_of_a_server_that_rejected_is_kept() -> None:
    config = replace(ECH_CLIENT, resumption=True)
    client, server = connections(config, replace(STALE_SERVER, tickets_after_handshake=True))
    failure_of(lambda: shake_hands(client, server))
    hello, _ = first_hello(config)
    assert E.pre_shared_key not in hello.extensions


def test_early_data_of_a_rejected_hello_is_skipped() -> None:
    config = replace(ECH_CLIENT, resumption=True)
    server_config = replace(ECH_SERVER, max_early_data_size=1000)
    client, server = established(config, server_config)
    send(server, client, b"with the tickets")
    read_all(client)
    client = Connection.client(config, SERVER_NAME, early_data=b"early")
    server = Connection.server(STALE_SERVER)
    error = failure_of(lambda: shake_hands(client, server))
    assert isinstance(error, ECHRejected)
    assert error.retry_configs == other_key.config_list


# GREASE


@pytest.mark.parametrize("server_config", [ECH_SERVER, PLAIN_SERVER], ids=["keys", "no keys"])
@pytest.mark.parametrize("retried", [False, True])
def test_a_grease_value_looks_like_ech_and_changes_nothing(
    server_config: ServerConfig, retried: bool
) -> None:
    config = replace(RETRIED_CLIENT if retried else ECH_CLIENT, ech="grease")
    client, server = established(config, replace(server_config, groups=["x25519"]))
    assert not client.negotiated.ech_accepted
    assert not server.negotiated.ech_accepted
    assert client.negotiated.hello_retry_request is retried
    greased, _ = first_hello(config)
    real, _ = first_hello(ECH_CLIENT)
    values = [decode_ech(h.extensions[E.encrypted_client_hello]) for h in (greased, real)]
    assert values[0] is not None
    assert values[1] is not None
    assert len(values[0].enc) == len(values[1].enc)
    assert len(values[0].payload) % 32 == len(values[1].payload) % 32


def test_a_grease_value_still_lets_a_session_be_resumed() -> None:
    config = replace(ECH_CLIENT, ech="grease", resumption=True)
    client, server = established(config, ECH_SERVER)
    send(server, client, b"with the tickets")
    read_all(client)
    client, _ = established(config, ECH_SERVER)
    assert client.negotiated.resumed


# The function that looks configurations up


def test_a_function_without_an_answer_sends_a_grease_value() -> None:
    hello, octets = first_hello(replace(ECH_CLIENT, ech=dict[str, bytes]().get))
    assert E.encrypted_client_hello in hello.extensions
    assert NAME in octets


def test_a_function_may_wait() -> None:
    async def look_up(name: str) -> bytes:
        return {SERVER_NAME: key.config_list}[name]

    client, server = connections(replace(ECH_CLIENT, ech=look_up), ECH_SERVER)
    question = client.do_handshake()
    assert isinstance(question, ECHConfigsWanted)
    coroutine, question.awaitable = question.awaitable, None
    assert coroutine is not None
    with pytest.raises(StopIteration) as stopped:
        next(coroutine.__await__())
    client.answer(stopped.value.value)
    shake_hands(client, server)
    assert client.negotiated.ech_accepted


@pytest.mark.parametrize("answer", [b"", "no base64!", 5, key.config_list[:-1]], ids=range(4))
def test_a_function_with_a_wrong_answer_ends_the_handshake(answer: object) -> None:
    config = replace(ECH_CLIENT, ech={SERVER_NAME: answer}.get)
    client, server = connections(config, ECH_SERVER)
    assert isinstance(failure_of(lambda: shake_hands(client, server)), InternalError)


def test_the_retry_configs_are_a_list_with_the_current_key_alone() -> None:
    client, server = connections(ECH_CLIENT, replace(ECH_SERVER, ech_keys=[other_key]))
    error = failure_of(lambda: shake_hands(client, server))
    assert isinstance(error, ECHRejected)
    assert error.retry_configs is not None
    assert decode_config_list(error.retry_configs) == (other_key.config,)


@pytest.mark.parametrize("trial", [False, True])
def test_trial_decryption_finds_the_key_under_any_id(
    monkeypatch: pytest.MonkeyPatch, trial: bool
) -> None:
    """RFC 9849 10.4: a client may hide which configuration it has."""

    def with_another_id(suite: tuple[int, int], config_id: int, *rest: bytes) -> OuterECH:
        return OuterECH(suite, config_id ^ 1, *rest)

    monkeypatch.setattr(ech_client, "OuterECH", with_another_id)
    client, server = connections(ECH_CLIENT, replace(ECH_SERVER, ech_trial_decryption=trial))
    if trial:
        shake_hands(client, server)
        assert server.negotiated.ech_accepted
    else:
        assert isinstance(failure_of(lambda: shake_hands(client, server)), ECHRejected)
