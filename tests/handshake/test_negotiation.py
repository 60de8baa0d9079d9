"""What the two sides negotiate, and the alert if they have nothing in common."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
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
    shake_hands,
)
from hellos import exchange, first_hello, flight

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, NegotiationError
from trio_tlsx.handshake.steps import Observer
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import ExtensionType

GROUP_NAMES = [group.name for group in GROUPS.values()]
SUITE_NAMES = [suite.name for suite in CIPHER_SUITES.values()]

#: With everything that there is.
WIDE_CLIENT = ClientConfig(trust=authority.trust)
WIDE_SERVER = ServerConfig(credentials=credentials())


# Key exchange, suites, signatures


def test_negotiated_by_default() -> None:
    client, server = established(WIDE_CLIENT, WIDE_SERVER)
    for negotiated in (client.negotiated, server.negotiated):
        assert negotiated.version == "TLSv1.3"
        assert negotiated.group == "X25519MLKEM768"
        assert negotiated.cipher_suite == "TLS_AES_128_GCM_SHA256"
        assert negotiated.server_name == SERVER_NAME
        assert negotiated.alpn_protocol is None
        assert not negotiated.resumed
    assert client.negotiated.peer_certificates == credentials().chain
    assert client.negotiated.signature_scheme == "ecdsa_secp256r1_sha256"
    assert server.negotiated.peer_certificates == ()
    assert server.negotiated.signature_scheme is None


@pytest.mark.parametrize(("group", "suite"), list(itertools.product(GROUP_NAMES, SUITE_NAMES)))
def test_each_group_with_each_suite(group: str, suite: str) -> None:
    for one, other in [([group], GROUP_NAMES), (GROUP_NAMES, [group])]:
        client_config = replace(WIDE_CLIENT, groups=one, cipher_suites=[suite])
        server_config = replace(WIDE_SERVER, groups=other, cipher_suites=[suite])
        client, server = established(client_config, server_config)
        assert client.negotiated.group == server.negotiated.group == group
        assert client.negotiated.cipher_suite == server.negotiated.cipher_suite == suite
        exchange(client, server)


@pytest.mark.parametrize(
    ("client_config", "server_config", "alert"),
    [
        pytest.param(
            replace(CLIENT, groups=["P-256"]),
            replace(SERVER, groups=["P-384"]),
            AlertDescription.handshake_failure,
            id="group",
        ),
        pytest.param(
            replace(CLIENT, cipher_suites=SUITE_NAMES[:1]),
            replace(SERVER, cipher_suites=SUITE_NAMES[1:]),
            AlertDescription.handshake_failure,
            id="suite",
        ),
        pytest.param(
            replace(CLIENT, signature_schemes=["ed25519"]),
            SERVER,
            AlertDescription.handshake_failure,
            id="signature",
        ),
        pytest.param(
            replace(CLIENT, alpn_protocols=["h2"]),
            replace(SERVER, alpn_protocols=["http/1.1"]),
            AlertDescription.no_application_protocol,
            id="alpn",
        ),
    ],
)
def test_nothing_in_common_sends_the_alert(
    client_config: ClientConfig, server_config: ServerConfig, alert: AlertDescription
) -> None:
    client, server = connections(client_config, server_config)
    flight(client, server)
    error = failure_of(server.do_handshake)
    assert isinstance(error, NegotiationError)
    assert error.alert is alert
    carry(server, client)
    seen = failure_of(client.do_handshake)
    assert (seen.alert, seen.refused_by) == (alert, "peer")


# ALPN and SNI


def test_alpn_error_names_the_protocols_of_both_sides() -> None:
    client, server = connections(
        replace(CLIENT, alpn_protocols=[f"protocol-{number}" for number in range(20)]),
        replace(SERVER, alpn_protocols=["http/1.1", b"\xff"]),
    )
    flight(client, server)
    error = str(failure_of(server.do_handshake))
    assert "the ALPN protocols 'protocol-0', 'protocol-1', " in error
    assert "'protocol-7' and 12 more, the server has only 'http/1.1', 'ÿ'" in error


def test_alpn_servers_preference_decides() -> None:
    client, server = established(
        replace(CLIENT, alpn_protocols=["one", "two", "three"]),
        replace(SERVER, alpn_protocols=["three", "two"]),
    )
    assert client.negotiated.alpn_protocol == server.negotiated.alpn_protocol == "three"


@pytest.mark.parametrize("side", ["client", "server"])
def test_alpn_without_protocols_on_one_side(side: str) -> None:
    protocols = {"alpn_protocols": ["h2"]}
    client, server = established(
        replace(CLIENT, **(protocols if side == "client" else {})),
        replace(SERVER, **(protocols if side == "server" else {})),
    )
    assert client.negotiated.alpn_protocol is server.negotiated.alpn_protocol is None


@pytest.mark.parametrize(
    ("name", "sni"),
    [
        ("test.example", b"test.example"),
        ("Test.Example.", b"test.example"),
        ("b\u00fccher.example", b"xn--bcher-kva.example"),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
    ],
)
def test_server_name_sent_and_received(name: str, sni: bytes | None) -> None:
    body = first_hello(CLIENT, name).extensions.get(ExtensionType.server_name)
    assert (body and ext.decode_server_name(body)) == sni
    own = authority.issue(sni.decode() if sni else name)
    client = Connection.client(CLIENT, name)
    server = Connection.server(replace(SERVER, credentials=own))
    shake_hands(client, server)
    assert server.negotiated.server_name == (sni and sni.decode())


# What an observer is told


def test_observer_sees_each_message_on_both_sides() -> None:
    seen: dict[str, list[tuple[str, str, int]]] = {"client": [], "server": []}

    def observer(role: str) -> Observer:
        def note(direction: str, name: str, length: int) -> None:
            seen[role].append((direction, name, length))

        return note

    client = Connection.client(CLIENT, SERVER_NAME, observer=observer("client"))
    server = Connection.server(SERVER, observer=observer("server"))
    shake_hands(client, server)
    names = [name for _, name, _ in seen["client"]]
    assert names == [
        "client_hello",
        "server_hello",
        "encrypted_extensions",
        "certificate",
        "certificate_verify",
        "finished",
        "finished",
    ]
    mirrored = {"sent": "received", "received": "sent"}
    assert sorted(seen["server"]) == sorted(
        (mirrored[direction], name, length) for direction, name, length in seen["client"]
    )
