"""Groups and key shares (RFC 9846 4.3.7, 4.3.8)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_pairs import SERVER, authority, connections, credentials, established
from hellos import first_hello, flight, sent_hello

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.errors import ConfigError
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ClientHello

#: With everything that there is.
WIDE_CLIENT = ClientConfig(trust=authority.trust)


def shares_of(config: ClientConfig) -> dict[str, int]:
    """The groups of the first key shares, in order, and the lengths of these."""
    hello = first_hello(config)
    shares = ext.decode_key_shares(hello.extensions[ExtensionType.key_share])
    return {GROUPS[code].name: len(share) for code, share in shares.items()}


def test_groups_by_default() -> None:
    offered = first_hello(WIDE_CLIENT).extensions[ExtensionType.supported_groups]
    names = [GROUPS[code].name for code in ext.decode_uint16_list(offered, "supported_groups")]
    assert names == ["X25519MLKEM768", "x25519", "secp256r1", "secp384r1"]
    assert list(ServerConfig(credentials=credentials()).groups) == names


@pytest.mark.parametrize(
    ("groups", "shares"),
    [
        (WIDE_CLIENT.groups, ["X25519MLKEM768", "x25519"]),
        (["x25519", "secp256r1", "MLKEM1024"], ["x25519", "MLKEM1024"]),
        (["SecP384r1MLKEM1024", "X25519MLKEM768"], ["SecP384r1MLKEM1024"]),
        (["secp384r1", "x25519"], ["secp384r1"]),
    ],
)
def test_key_shares_are_for_the_first_group_of_each_kind(
    groups: list[str], shares: list[str]
) -> None:
    assert list(shares_of(replace(WIDE_CLIENT, groups=groups))) == shares


def test_key_shares_argument() -> None:
    config = replace(WIDE_CLIENT, groups=["x25519", "P-256", "P-384"])
    assert shares_of(replace(config, key_shares=["P-256"])) == {"secp256r1": 65}
    # In the order of the groups (RFC 9846 4.3.8), whatever order they are named in.
    both = replace(config, key_shares=["prime256v1", "X25519"])
    assert shares_of(both) == {"x25519": 32, "secp256r1": 65}
    assert shares_of(replace(config, key_shares=())) == {}


@pytest.mark.parametrize("key_shares", [["P-521"], ["none"]])
def test_key_shares_are_of_offered_groups(key_shares: list[str]) -> None:
    with pytest.raises(ConfigError, match="key share"):
        replace(WIDE_CLIENT, groups=["x25519", "P-256"], key_shares=key_shares)


def test_lengths_of_key_shares() -> None:
    for group in GROUPS.values():
        key = group.generate()
        answer, secret = group.respond(key.public)
        assert len(key.public) == group.client_length
        assert len(answer) == group.server_length
        assert key.exchange(answer) == secret


def test_randoms_and_key_shares_are_fresh_for_each_connection() -> None:
    one, other = first_hello(WIDE_CLIENT), first_hello(WIDE_CLIENT)
    assert one.random != other.random
    assert one.legacy_session_id != other.legacy_session_id
    shares, others = (
        ext.decode_key_shares(hello.extensions[ExtensionType.key_share]) for hello in (one, other)
    )
    assert not set(shares.values()) & set(others.values())


X25519, X25519MLKEM768, SECP256R1MLKEM768, MLKEM768 = 0x001D, 0x11EC, 0x11EB, 0x0201


def octets_of(hello: ClientHello) -> dict[int, bytes]:
    return ext.decode_key_shares(hello.extensions[ExtensionType.key_share])


def test_hybrid_and_plain_share_of_one_client_hello_have_the_same_x25519_key() -> None:
    """RFC 9954 3.2 allows that; of ML-KEM, and for another ClientHello, each key is new."""
    groups = ["X25519MLKEM768", "SecP256r1MLKEM768", "MLKEM768", "x25519"]
    config = replace(WIDE_CLIENT, groups=groups, key_shares=groups)
    one, other = octets_of(first_hello(config)), octets_of(first_hello(config))
    assert one[X25519MLKEM768].endswith(one[X25519])
    keys = {
        one[X25519],
        other[X25519],
        one[MLKEM768],
        one[X25519MLKEM768][:1184],
        one[SECP256R1MLKEM768][-1184:],
    }
    assert len(keys) == 5


@pytest.mark.parametrize("group", ["x25519", "X25519MLKEM768"])
def test_either_share_completes_the_key_exchange(group: str) -> None:
    client, server = established(
        WIDE_CLIENT, ServerConfig(credentials=credentials(), groups=[group])
    )
    assert client.negotiated.group == server.negotiated.group == group


def test_second_client_hello_has_no_key_of_the_first() -> None:
    config = replace(WIDE_CLIENT, key_shares=["X25519MLKEM768"])
    client, server = connections(config, replace(SERVER, groups=["x25519"]))
    first = ClientHello.decode(flight(client, server)[9:])
    flight(server, client)
    second = sent_hello(client)
    assert list(octets_of(second)) == [X25519]
    assert not octets_of(first)[X25519MLKEM768].endswith(octets_of(second)[X25519])
