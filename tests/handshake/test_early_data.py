"""Early data (0-RTT): when a client sends it and a server accepts it (RFC 9846 2.3, 8)."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from early_data_scenarios import (
    EARLY,
    MAX,
    EarlyDataScenario,
    another_suite,
    no_protocol,
    off,
    recorded,
    sent_early,
)
from engine_pairs import (
    advance,
    authority,
    carry,
    failure_of,
    read_all,
    records,
    send,
    shake_hands,
)

from trio_tlsx import CertificateError, ConfigError, MemoryAntiReplayCache, Peer
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, ProtocolError
from trio_tlsx.handshake import early_data
from trio_tlsx.handshake.wants import Want


@pytest.fixture
def scenario() -> EarlyDataScenario:
    scenario = EarlyDataScenario()
    scenario.get_ticket()
    return scenario


def test_early_data_arrives_with_the_client_hello(scenario: EarlyDataScenario) -> None:
    client, server = scenario.new_client(), scenario.new_server()
    assert client.do_handshake() is Want.WRITE
    carry(client, server)
    assert server.do_handshake() is Want.WRITE
    output = server.data_to_send()
    assert server.do_handshake() is Want.EARLY_DATA
    assert server.read_early_data(5) == EARLY[:5]
    assert server.read_early_data(1) == EARLY[5:6]
    assert server.read_early_data() == EARLY[6:]
    assert server.read_early_data() == b""
    assert server.do_handshake() is Want.READ
    assert not server.handshake_complete
    client.receive_data(output)
    shake_hands(client, server)
    assert client.negotiated.early_data_accepted
    assert server.negotiated.early_data_accepted
    send(client, server, b"later")
    assert read_all(server) == b"later"
    assert server.read_early_data() == b""


@pytest.mark.parametrize("suite", [suite.name for suite in CIPHER_SUITES.values()])
@pytest.mark.parametrize("compatible", [False, True])
def test_early_data_with_each_suite_and_compatibility_mode(suite: str, compatible: bool) -> None:
    scenario = EarlyDataScenario()
    scenario.client = replace(
        scenario.client, cipher_suites=[suite], middlebox_compatibility=compatible
    )
    scenario.get_ticket()
    client, server, received = scenario.connect()
    assert received == EARLY
    assert client.negotiated.early_data_accepted
    send(server, client, b"answer")
    assert read_all(client) == b"answer"


def test_early_data_records_in_middlebox_compatibility_mode(scenario: EarlyDataScenario) -> None:
    client, server = scenario.new_client(), scenario.new_server()
    client.do_handshake()
    flight = client.data_to_send()
    assert [record[0] for _, record in records(flight)] == [22, 20, 23]
    server.receive_data(flight)
    advance(server, client)
    assert client.do_handshake() is Want.WRITE
    second = [record for _, record in records(client.data_to_send())]
    # EndOfEarlyData alone, as keys change behind it, then Finished.
    assert [record[0] for record in second] == [23, 23]
    assert len(second[0]) == 5 + 4 + 1 + 16


def test_early_data_messages_as_the_observer_sees_them(scenario: EarlyDataScenario) -> None:
    seen: list[tuple[str, str]] = []

    def observe(way: str, name: str, length: int) -> None:
        seen.append((way, name))

    client, server = scenario.new_client(observer=observe), scenario.new_server()
    shake_hands(client, server)
    assert seen == [
        ("sent", "client_hello"),
        ("received", "server_hello"),
        ("received", "encrypted_extensions"),
        ("received", "finished"),
        ("sent", "end_of_early_data"),
        ("sent", "finished"),
    ]


def test_early_data_up_to_the_tickets_limit(scenario: EarlyDataScenario) -> None:
    _, _, received = scenario.connect(bytes(MAX))
    assert received == bytes(MAX)
    scenario.get_ticket()
    client, _, received = scenario.connect(bytes(MAX + 1))
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted
    assert received == b""


@pytest.mark.parametrize("limit", [64, 1000, 2**14 + 1])
def test_rejected_early_data_is_resent_in_small_records(
    scenario: EarlyDataScenario, limit: int
) -> None:
    off(scenario)
    scenario.server = replace(scenario.server, record_size_limit=limit)
    data = random.Random(limit).randbytes(MAX)
    _, server, received = scenario.connect(data, resend_early_data=True)
    assert received == b""
    again = b""
    while isinstance(piece := server.read(), bytes):
        again += piece
    assert again == data


def test_early_data_needs_the_sessions_application_protocol() -> None:
    scenario = EarlyDataScenario()
    scenario.client = replace(scenario.client, alpn_protocols=["h2"])
    scenario.server = replace(scenario.server, alpn_protocols=["h2"])
    assert scenario.get_ticket().alpn_protocol == "h2"
    _, _, received = scenario.connect()
    assert received == EARLY
    scenario.client = replace(scenario.client, alpn_protocols=["http/1.1"])
    scenario.server = replace(scenario.server, alpn_protocols=["http/1.1"])
    assert sent_early(scenario) == b""


def test_early_data_only_if_the_caller_passes_it(scenario: EarlyDataScenario) -> None:
    client, server = scenario.new_client(b""), scenario.new_server()
    shake_hands(client, server)
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted


def test_early_data_only_if_the_session_allows_it(scenario: EarlyDataScenario) -> None:
    assert sent_early(scenario) != b""
    [*_, session] = scenario.session_store.sessions
    scenario.session_store.sessions = [replace(session, max_early_data_size=len(EARLY) - 1)]
    assert sent_early(scenario) == b""
    scenario.session_store.sessions = [
        replace(session, cipher_suite="TLS_CHACHA20_POLY1305_SHA256")
    ]
    scenario.client = replace(scenario.client, cipher_suites=["TLS_AES_128_GCM_SHA256"])
    assert sent_early(scenario) == b""
    scenario.session_store.sessions = []
    assert sent_early(scenario) == b""


def test_no_early_data_before_reverification(
    scenario: EarlyDataScenario,
) -> None:
    judged: list[Peer] = []
    scenario.client = replace(scenario.client, verify_on_resumption=True, verify=judged.append)
    client = scenario.new_client()
    assert client.do_handshake() is Want.WRITE
    assert [peer.resumed for peer in judged] == [True]
    _, _, taken = scenario.connect()
    assert taken == EARLY
    assert len(judged) == 2


def test_no_early_data_if_reverification_rejects_the_server(
    scenario: EarlyDataScenario,
) -> None:
    def refuse(peer: Peer) -> None:
        raise CertificateError("revoked", AlertDescription.certificate_revoked)

    scenario.client = replace(scenario.client, verify_on_resumption=True, verify=refuse)
    client = scenario.new_client()
    assert failure_of(client.do_handshake).alert is AlertDescription.certificate_revoked
    (alert,) = (record for _, record in records(client.data_to_send()))
    assert alert == b"\x15\3\3\0\2\2" + bytes((AlertDescription.certificate_revoked,))


def test_reverification_after_early_data_is_rejected(scenario: EarlyDataScenario) -> None:
    judged: list[Peer] = []
    scenario.client = replace(scenario.client, verify_on_resumption=True, verify=judged.append)
    scenario.server = replace(scenario.server, max_early_data_size=0)
    client, _, taken = scenario.connect()
    assert client.negotiated.resumed
    assert taken == b""
    assert [peer.resumed for peer in judged] == [True, True]


def test_early_data_must_be_bytes(scenario: EarlyDataScenario) -> None:
    with pytest.raises(ConfigError, match="not str"):
        scenario.new_client("GET / HTTP/1.1")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("length", [2**17 + 1, 2**20])
def test_early_data_beyond_the_client_limit_raises(
    scenario: EarlyDataScenario, length: int
) -> None:
    with pytest.raises(ConfigError, match="131072"):
        scenario.new_client(bytes(length))


def test_most_early_data_in_the_smallest_records(scenario: EarlyDataScenario) -> None:
    session = scenario.get_ticket()
    scenario.session_store.sessions = [replace(session, max_early_data_size=2**17)]
    scenario.client = replace(scenario.client, max_fragment_size=64)
    client = scenario.new_client(bytes(2**17))
    assert client.do_handshake() is Want.WRITE
    sealed = [record for _, record in records(client.data_to_send()) if record[0] == 0x17]
    assert len(sealed) == 2**17 // 64


def test_early_data_uses_the_preferred_application_protocol(
    scenario: EarlyDataScenario,
) -> None:
    scenario.client = replace(scenario.client, alpn_protocols=["h2", "http/1.1"])
    scenario.server = replace(scenario.server, alpn_protocols=["h2"])
    assert scenario.get_ticket().alpn_protocol == "h2"
    client, _, taken = scenario.connect()
    assert client.negotiated.alpn_protocol == "h2"
    assert taken == EARLY
    scenario.get_ticket()
    scenario.client = replace(scenario.client, alpn_protocols=["http/1.1", "h2"])
    assert sent_early(scenario) == b""


def test_early_data_is_copied(scenario: EarlyDataScenario) -> None:
    data = bytearray(EARLY)
    client, server = scenario.new_client(data), scenario.new_server()
    data.clear()
    shake_hands(client, server)
    assert server.read_early_data() == EARLY


@pytest.mark.parametrize("size", [-1, MAX + 1])
def test_max_early_data_size_beyond_what_servers_skip_is_rejected(
    scenario: EarlyDataScenario, size: int
) -> None:
    with pytest.raises(ConfigError, match="14336"):
        replace(scenario.server, max_early_data_size=size)


def test_rejected_early_data_in_small_records_is_skipped(scenario: EarlyDataScenario) -> None:
    scenario.client = replace(scenario.client, max_fragment_size=64)
    client, server = scenario.new_client(bytes(MAX)), Connection.server(scenario.server)
    shake_hands(client, server)
    assert client.negotiated.resumed
    assert not client.negotiated.early_data_accepted


def test_shared_ticket_keys_need_a_shared_anti_replay_cache(scenario: EarlyDataScenario) -> None:
    with pytest.raises(ConfigError, match="anti_replay_cache"):
        replace(scenario.server, anti_replay_cache=None)
    own = replace(scenario.server, anti_replay_cache=None, ticket_keys=None)
    assert isinstance(own.parameters.anti_replay_cache, MemoryAntiReplayCache)
    off = replace(scenario.server, anti_replay_cache=None, max_early_data_size=0)
    assert off.parameters.anti_replay_cache is None


# What is wrong with it


def test_early_data_beyond_the_servers_limit_is_rejected(scenario: EarlyDataScenario) -> None:
    [*_, session] = scenario.session_store.sessions
    scenario.session_store.sessions = [replace(session, max_early_data_size=2**16)]
    client, server = scenario.new_client(bytes(MAX + 1)), scenario.new_server()
    advance(client, server)
    error = failure_of(lambda: [advance(server, client) for _ in range(2)])
    assert isinstance(error, ProtocolError)
    assert error.alert == AlertDescription.unexpected_message
    assert server.read_early_data() == b""


@pytest.mark.parametrize("altered", [-1, -30])
def test_altered_early_data_record_is_rejected(scenario: EarlyDataScenario, altered: int) -> None:
    flight = bytearray(recorded(scenario))
    flight[altered] ^= 1
    server = scenario.new_server()
    server.receive_data(flight)
    assert server.do_handshake() is Want.WRITE
    server.data_to_send()
    assert failure_of(server.do_handshake).alert == AlertDescription.bad_record_mac


@pytest.mark.parametrize("what", ["suite", "protocol", "session"])
def test_client_rejects_a_server_that_wrongly_accepts_early_data(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = EarlyDataScenario()
    scenario.client = replace(scenario.client, alpn_protocols=["test"])
    scenario.server = replace(scenario.server, alpn_protocols=["test"])
    scenario.get_ticket()

    def always(*_: object) -> bool:
        return True

    monkeypatch.setattr(early_data, "is_same", always)
    if what == "suite":
        another_suite(scenario)
    elif what == "protocol":
        no_protocol(scenario)
    client, server = scenario.new_client(), scenario.new_server()
    if what == "session":
        offer_early_data = early_data.offer_early_data

        def of_another_key(*args: Any) -> early_data.EarlyDataOffer | None:
            made = offer_early_data(*args)
            assert made is not None
            return replace(made, psk=replace(made.psk))

        monkeypatch.setattr(early_data, "offer_early_data", of_another_key)
    advance(client, server)
    advance(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.illegal_parameter


def test_early_data_of_a_client_that_verify_rejects_is_not_delivered(
    scenario: EarlyDataScenario,
) -> None:
    banned: list[str] = []

    def verify(peer: Peer) -> None:
        if banned:
            raise CertificateError("no longer", AlertDescription.access_denied)

    scenario.client = replace(scenario.client, credentials=authority.issue("client.example"))
    scenario.server = replace(
        scenario.server, client_auth="required", client_trust=authority.trust, verify=verify
    )
    scenario.get_ticket()
    client, server, received = scenario.connect()
    assert received == EARLY
    assert [len(c.negotiated.peer_certificates) > 0 for c in (client, server)] == [True, True]
    banned.append("client.example")
    client, server = scenario.new_client(), scenario.new_server()
    advance(client, server)
    error = failure_of(lambda: [advance(server, client) for _ in range(3)])
    assert error.alert == AlertDescription.access_denied
    assert server.read_early_data() == b""


# Secrets


def test_early_exporters_are_equal_and_unique(scenario: EarlyDataScenario) -> None:
    label, context = "EXPERIMENTAL test", b"context"
    client, server = scenario.new_client(), scenario.new_server()
    advance(client, server)
    of_client = client.export_early_keying_material(label, 32, context)
    advance(server, client)
    assert server.export_early_keying_material(label, 32, context) == of_client
    shake_hands(client, server)
    assert client.export_early_keying_material(label, 32, context) == of_client
    assert server.export_early_keying_material(label, 32) != of_client
    assert client.export_keying_material(label, 32, context) != of_client


def test_key_log_has_the_early_traffic_secret(scenario: EarlyDataScenario) -> None:
    lines: dict[str, list[str]] = {"client": [], "server": []}
    scenario.client = replace(scenario.client, key_log=lines["client"].append)
    scenario.server = replace(scenario.server, key_log=lines["server"].append)
    scenario.connect()
    assert sorted(lines["client"]) == sorted(lines["server"])
    labels = [line.split()[0] for line in lines["client"]]
    assert labels[:2] == ["CLIENT_EARLY_TRAFFIC_SECRET", "EARLY_EXPORTER_SECRET"]
    assert len(set(labels)) == len(labels) == 7
