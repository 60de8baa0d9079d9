"""TLS 1.2 and TLS 1.3 in one configuration: which version is negotiated, and downgrades."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import (
    authority,
    connections,
    established,
    shake_hands,
)
from hellos import exchange, first_hello
from pairs12 import BOTH, CLIENT_12, SERVER_12, alert_of, changed_hello

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.errors import (
    ConfigError,
    NegotiationError,
)
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import encode_message
from trio_tlsx.messages.handshake12 import HelloRequest
from trio_tlsx.messages.info import ClientHello
from trio_tlsx.sessions.external_psk import ExternalPSK

LABEL = "EXPERIMENTAL trio-tlsx test"
SUITE_12 = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
HELLO_REQUEST = encode_message(HelloRequest())


# Versions


@pytest.mark.parametrize(
    ("of_client", "of_server", "version"),
    [
        (BOTH, BOTH, "TLSv1.3"),
        (BOTH, BOTH[1:], "TLSv1.2"),
        (BOTH[1:], BOTH, "TLSv1.2"),
        (BOTH[1:], BOTH[1:], "TLSv1.2"),
        (BOTH[:1], BOTH, "TLSv1.3"),
        (BOTH, BOTH[:1], "TLSv1.3"),
    ],
)
def test_the_newest_common_version_is_negotiated(
    of_client: tuple[str, ...], of_server: tuple[str, ...], version: str
) -> None:
    client, server = established(
        replace(CLIENT_12, versions=of_client), replace(SERVER_12, versions=of_server)
    )
    assert client.negotiated.version == server.negotiated.version == version
    exchange(client, server)


@pytest.mark.parametrize(
    ("of_client", "of_server", "required"),
    [(BOTH[:1], BOTH[1:], "TLS 1.2"), (BOTH[1:], BOTH[:1], "TLS 1.3")],
)
def test_without_a_common_version_there_is_no_connection(
    of_client: tuple[str, ...], of_server: tuple[str, ...], required: str
) -> None:
    client, server = connections(
        replace(CLIENT_12, versions=of_client), replace(SERVER_12, versions=of_server)
    )
    with pytest.raises(NegotiationError, match=f"and {required} is required") as caught:
        shake_hands(client, server)
    assert caught.value.alert is A.protocol_version


def test_one_hello_offers_both_versions() -> None:
    hello = first_hello(replace(CLIENT_12, versions=BOTH))
    assert hello.extensions[E.supported_versions] == b"\4\3\4\3\3"
    assert {0x1301, 0xC02B} <= set(hello.cipher_suites)


def test_a_hello_of_tls_1_2_has_nothing_of_tls_1_3() -> None:
    hello = first_hello(CLIENT_12)
    only_13 = {E.supported_versions, E.key_share, E.psk_key_exchange_modes, E.cookie}
    assert not only_13 & set(hello.extensions)
    assert hello.legacy_session_id == b""
    assert set(hello.cipher_suites) == {0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8}


def test_post_quantum_groups_are_not_offered_for_tls_1_2_alone() -> None:
    config = replace(CLIENT_12, groups=["X25519MLKEM768", "x25519"])
    assert first_hello(config).extensions[E.supported_groups] == b"\0\2\0\x1d"


@pytest.mark.parametrize("versions", [BOTH[1:], BOTH])
def test_a_client_of_tls_1_2_alone_ignores_the_sentinel(versions: tuple[str, ...]) -> None:
    """RFC 9846 4.2.3: each server with TLS 1.3 sends it then."""
    server = replace(SERVER_12, versions=versions)
    client, _ = established(CLIENT_12, server)
    assert client.negotiated.version == "TLSv1.2"


def test_a_forced_fallback_is_found_by_the_client() -> None:
    """Somebody on the way takes TLS 1.3 out of the ClientHello."""
    with changed_hello({E.supported_versions: None}):
        client, server = connections(
            replace(CLIENT_12, versions=BOTH), replace(SERVER_12, versions=BOTH)
        )
        assert alert_of(client, server) is A.illegal_parameter


@pytest.mark.parametrize(("versions", "fails"), [(BOTH, True), (BOTH[1:], False)])
def test_a_fallback_is_refused_by_a_server_with_a_newer_version(
    versions: tuple[str, ...], fails: bool
) -> None:
    """RFC 7507 3."""
    suites = (*CLIENT_12.parameters.tls12.suite_table, 0x5600)
    with changed_hello(cipher_suites=suites):
        client, server = connections(CLIENT_12, replace(SERVER_12, versions=versions))
        if fails:
            assert alert_of(client, server) is A.inappropriate_fallback
        else:
            shake_hands(client, server)


def test_another_configuration_may_have_another_version() -> None:
    """The hook sees the hello, and the version is selected by what it returns."""
    asked: list[ClientHello] = []

    def select(hello: ClientHello) -> ServerConfig:
        asked.append(hello)
        return SERVER_12

    for versions in (BOTH, BOTH[:1], BOTH[1:]):
        first = ServerConfig(versions=versions, select_credentials=select)
        client, _ = established(replace(CLIENT_12, versions=BOTH), first)
        assert client.negotiated.version == "TLSv1.2"
        assert 0xC02B in asked[-1].cipher_suites


def test_another_configuration_may_have_a_newer_version() -> None:
    first = ServerConfig(
        versions=BOTH[1:], select_credentials=lambda _: replace(SERVER_12, versions=BOTH)
    )
    client, _ = established(replace(CLIENT_12, versions=BOTH), first)
    assert client.negotiated.version == "TLSv1.3"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"versions": ["TLSv1.1"]}, "unknown version 'TLSv1.1'; pass one or more of 'TLSv1.3'"),
        ({"versions": []}, "versions is empty"),
        (
            {"versions": ["TLSv1.2"], "cipher_suites": ["TLS_AES_128_GCM_SHA256"]},
            "^cipher_suites leaves nothing for TLS 1.2: add a name that goes with the version",
        ),
        (
            {"versions": ["TLSv1.3"], "cipher_suites": [SUITE_12]},
            "^cipher_suites leaves nothing for TLS 1.3: add",
        ),
        (
            {"versions": ["TLSv1.2"], "groups": ["X25519MLKEM768"]},
            "^groups leaves nothing for TLS 1.2: add",
        ),
        (
            {"versions": ["TLSv1.2"], "signature_schemes": ["mldsa44"]},
            "^signature_schemes leaves nothing for TLS 1.2: add",
        ),
        (
            {"cipher_suites": [SUITE_12], "groups": ["X25519MLKEM768"]},
            "^groups leaves nothing for TLS 1.2 and cipher_suites leaves nothing for TLS 1.3: add",
        ),
        (
            {"versions": ["TLSv1.2"], "certificate_compression": ["zlib"]},
            "certificate_compression has no effect in TLS 1.2: add 'TLSv1.3' to versions",
        ),
        ({"versions": ["TLSv1.2"], "key_update_bytes": 2**20}, "key_update_bytes has no effect"),
        ({"versions": ["TLSv1.2"], "psks": [ExternalPSK(b"id", bytes(32))]}, "psks has no effect"),
    ],
)
def test_versions_that_cannot_work_are_rejected(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        ClientConfig(trust=authority.trust, **options)


@pytest.mark.parametrize(
    "option",
    [
        {"max_early_data_size": 100},
        {"require_cookie": True},
        {"psks": [ExternalPSK(b"id", bytes(32))]},
    ],
)
def test_options_of_a_server_that_need_tls_1_3_are_rejected(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(option))} has no effect in TLS 1.2"):
        replace(SERVER_12, **option)


def test_a_version_without_a_suite_is_not_offered() -> None:
    config = replace(CLIENT_12, versions=BOTH, cipher_suites=["TLS_AES_128_GCM_SHA256"])
    assert first_hello(config).extensions[E.supported_versions] == b"\2\3\4"
