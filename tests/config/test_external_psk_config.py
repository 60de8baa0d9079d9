"""Invalid external pre-shared keys: the constructors of keys and configurations reject them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import (
    authority,
    credentials,
)
from external_psk_pairs import (
    CLIENT,
    IMPOSTOR,
    KEY,
    OPEN_CLIENT,
    PSK,
    SERVER,
    SHA384,
    client_hello_of,
    plain_psk,
)

from trio_tlsx import ConfigError
from trio_tlsx.config.common import ALL_CIPHER_SUITES


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"identity": "sensor 7"}, "identity of a PSK is of type str; pass bytes"),
        ({"key": "0123456789abcdef"}, "key of a PSK is of type str; pass bytes"),
        ({"key": bytearray(32)}, "of type bytearray; pass bytes"),
        ({"context": "x"}, "context of a PSK is of type"),
        ({"identity": b""}, "0 bytes"),
        ({"identity": b"x" * 1025}, "1025 bytes"),
        ({"key": b"too short"}, "9 bytes"),
        ({"context": b"x" * 1025}, "1025 bytes"),
        ({"hash": "MD5"}, "'MD5'"),
        ({"context": b"x", "imported": False}, "context"),
        ({"identity": b"\0\1x\0\0\3\4\0\1", "imported": False}, "has the form of an imported"),
    ],
)
def test_invalid_external_psk_raises(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match) as refused:
        replace(PSK, **wrong)
    assert "too short" not in str(refused.value)
    assert "0123456789abcdef" not in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"psks": PSK}, "psks is of type ExternalPSK; pass a list"),
        ({"psks": [KEY]}, r"psks is of type list\[bytes\]; pass a list"),
        ({"psks": [PSK, IMPOSTOR]}, "the same identity"),
        ({"psks": [replace(PSK, identity=bytes((i,))) for i in range(5)]}, "pass at most 4"),
        ({"verify": print}, "without trust"),
        ({"credentials": credentials()}, "without trust"),
        ({"psks": [plain_psk()], "cipher_suites": [SHA384.name]}, "none of the cipher_suites"),
    ],
)
def test_invalid_psks_of_a_client_raise(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        replace(CLIENT, **wrong)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"psks": []}, "psks="),
        ({"psks": PSK}, "psks is of type ExternalPSK; pass a list"),
        ({"psks": [KEY]}, r"psks is of type list\[bytes\]; pass a list"),
        ({"psks": [PSK, IMPOSTOR]}, "the same identity"),
        (
            {"client_auth": "required", "client_trust": authority.trust},
            "cannot request certificates",
        ),
    ],
)
def test_invalid_psks_of_a_server_raise(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        replace(SERVER, **wrong)


def test_client_offers_only_suites_of_its_psks() -> None:
    hello = client_hello_of(replace(CLIENT, psks=[plain_psk("SHA384")]))
    assert hello.cipher_suites == (SHA384.code,)
    assert client_hello_of(replace(OPEN_CLIENT, psks=[plain_psk()])).cipher_suites == tuple(
        suite.code for suite in ALL_CIPHER_SUITES
    )
