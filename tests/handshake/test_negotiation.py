"""What the two sides settle, and what becomes of them where they cannot."""

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
    plain,
    read_all,
    records,
    send,
    shake_hands,
)

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.crypto.signatures import PrivateKey, SignatureScheme, schemes_for
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, ConfigError, NegotiationError
from trio_tlsx.handshake.steps import Observer
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ClientHello, ServerHello, encode_message
from trio_tlsx.pki.credentials import Credentials, PrivateKeySigner
from trio_tlsx.record.protection import ContentType

GROUP_NAMES = [group.name for group in GROUPS.values()]
SUITE_NAMES = [suite.name for suite in CIPHER_SUITES.values()]
KEY_TYPES = {
    "P-256": "ecdsa_secp256r1_sha256",
    "P-384": "ecdsa_secp384r1_sha384",
    "P-521": "ecdsa_secp521r1_sha512",
    "ed25519": "ed25519",
    "ed448": "ed448",
    "RSA-2048": "rsa_pss_rsae_sha256",
    "ML-DSA-44": "mldsa44",
    "ML-DSA-65": "mldsa65",
    "ML-DSA-87": "mldsa87",
}

#: With everything that there is.
WIDE_CLIENT = ClientConfig(trust=authority.trust)
WIDE_SERVER = ServerConfig(credentials=credentials())


CA_SCHEME = "ecdsa_secp256r1_sha256"


def private_key(own: Credentials) -> PrivateKey:
    assert isinstance(own.signer, PrivateKeySigner)
    return own.signer.private_key


def exchange(client: Connection, server: Connection) -> None:
    for one, other in [(client, server), (server, client)]:
        send(one, other, b"hello")
        assert read_all(other) == b"hello"


def flight(one: Connection, other: Connection) -> bytes:
    """Go on, and carry the output over; give it too."""
    one.do_handshake()
    output = one.data_to_send()
    other.receive_data(output)
    return output


def first_hello(config: ClientConfig, server_hostname: str = SERVER_NAME) -> ClientHello:
    client = Connection.client(config, server_hostname)
    client.do_handshake()
    ((_, record),) = records(client.data_to_send())
    return ClientHello.decode(record[9:])


# Key exchange, suites, signatures


def test_by_default() -> None:
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


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_each_kind_of_certificate(key_type: str) -> None:
    own = credentials(key_type)
    schemes = [*ClientConfig.signature_schemes, "mldsa44", "mldsa65", "mldsa87"]
    server_config = replace(SERVER, client_auth="required", client_trust=authority.trust)
    client, server = established(
        replace(CLIENT, credentials=own, signature_schemes=schemes),
        replace(server_config, credentials=own, signature_schemes=schemes),
    )
    for connection in (client, server):
        assert connection.negotiated.peer_certificates == own.chain
        assert connection.negotiated.signature_scheme == KEY_TYPES[key_type]


def signed_in(client_config: ClientConfig, server_config: ServerConfig) -> str | None:
    """The scheme of the client's signature."""
    client, server = established(client_config, server_config)
    exchange(client, server)
    return server.negotiated.signature_scheme


def test_signatures_of_old_clients() -> None:
    """RFC 9963: where the server takes them, and after PSS."""
    rsa = credentials("RSA-2048")
    leaf, key = rsa.chain[0], private_key(rsa)
    legacy = "rsa_pkcs1_sha256_legacy"
    asking = replace(SERVER, client_auth="required", client_trust=authority.trust)
    taking = replace(asking, signature_schemes=[legacy, "ecdsa_secp256r1_sha256"])
    both = Credentials([leaf], PrivateKeySigner(key, leaf, schemes_for(leaf, legacy=True)))
    only = Credentials([leaf], PrivateKeySigner(key, leaf, [SignatureScheme[legacy]]))
    assert signed_in(replace(CLIENT, credentials=only), taking) == legacy
    assert signed_in(replace(CLIENT, credentials=both), taking) == legacy
    both_known = replace(taking, signature_schemes=[legacy, "rsa_pss_rsae_sha256", CA_SCHEME])
    assert signed_in(replace(CLIENT, credentials=both), both_known) == "rsa_pss_rsae_sha256"
    # Who is not asked for such a signature, or cannot make one, has no certificate to send.
    for own, config in [(only, asking), (rsa, taking)]:
        optional = replace(config, client_auth="optional")
        assert signed_in(replace(CLIENT, credentials=own), optional) is None


def test_servers_never_sign_as_old_clients_do() -> None:
    """RFC 9963 2: neither offered nor accepted by a client, whatever a server offers."""
    with pytest.raises(ConfigError, match="rsa_pkcs1_sha256_legacy: for signatures of clients"):
        replace(CLIENT, signature_schemes=["ed25519", "rsa_pkcs1_sha256_legacy"])
    rsa = credentials("RSA-2048")
    leaf = rsa.chain[0]
    schemes = schemes_for(leaf, legacy=True)
    both = Credentials([leaf], PrivateKeySigner(private_key(rsa), leaf, schemes[::-1]))
    client, _ = established(CLIENT, replace(SERVER, credentials=both))
    assert client.negotiated.signature_scheme == "rsa_pss_rsae_sha512"


def test_mldsa_only_where_it_is_named() -> None:
    own = credentials("ML-DSA-44")
    client, server = connections(CLIENT, replace(SERVER, credentials=own))
    flight(client, server)
    error = failure_of(server.do_handshake)
    assert error.alert is AlertDescription.handshake_failure
    assert "no signature that our key can make (mldsa44)" in str(error)


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


def test_chosen_key_shares() -> None:
    config = replace(WIDE_CLIENT, groups=["x25519", "P-256", "P-384"])
    assert shares_of(replace(config, key_shares=["P-256"])) == {"secp256r1": 65}
    # In the order of the groups (RFC 9846 4.3.8), whatever order they are named in.
    both = replace(config, key_shares=["prime256v1", "X25519"])
    assert shares_of(both) == {"x25519": 32, "secp256r1": 65}
    assert shares_of(replace(config, key_shares=())) == {}


@pytest.mark.parametrize("key_shares", [["P-521"], ["none"], "x25519"])
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


def test_nothing_is_used_for_two_connections() -> None:
    one, other = first_hello(WIDE_CLIENT), first_hello(WIDE_CLIENT)
    assert one.random != other.random
    assert one.legacy_session_id != other.legacy_session_id
    shares, others = (
        ext.decode_key_shares(hello.extensions[ExtensionType.key_share]) for hello in (one, other)
    )
    assert not set(shares.values()) & set(others.values())


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
def test_nothing_in_common(
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


# HelloRetryRequest


def retry_of(output: bytes) -> ServerHello:
    (_, record), *_ = records(output)
    retry = ServerHello.decode(record[9:])
    assert retry.is_hello_retry_request
    return retry


@pytest.mark.parametrize("require_cookie", [False, True])
@pytest.mark.parametrize("other_group", [False, True])
def test_hello_retry_request(require_cookie: bool, other_group: bool) -> None:
    groups = ["P-384"] if other_group else ["x25519"]
    client, server = connections(
        replace(CLIENT, groups=["x25519", "P-384"]),
        replace(SERVER, groups=groups, require_cookie=require_cookie),
    )
    flight(client, server)
    output = flight(server, client)
    if other_group or require_cookie:
        retry = retry_of(output)
        assert (ExtensionType.cookie in retry.extensions) == require_cookie
        assert (ExtensionType.key_share in retry.extensions) == other_group
    shake_hands(client, server)
    assert client.negotiated.group == ("secp384r1" if other_group else "x25519")
    exchange(client, server)


@pytest.mark.parametrize("group", GROUP_NAMES)
@pytest.mark.parametrize("empty", [False, True])
def test_retry_for_each_group(group: str, empty: bool) -> None:
    other = "secp256r1" if group == "x25519" else "x25519"
    key_shares = [] if empty else [other]
    client, server = connections(
        replace(CLIENT, groups=[other, group], key_shares=key_shares),
        replace(SERVER, groups=[group]),
    )
    flight(client, server)
    retry = retry_of(flight(server, client))
    assert ext.decode_uint16(retry.extensions[ExtensionType.key_share], "") in GROUPS
    shake_hands(client, server)
    assert client.negotiated.group == server.negotiated.group == group
    exchange(client, server)


def test_the_second_hello_differs_only_where_it_was_asked_to() -> None:
    client, server = connections(
        replace(CLIENT, groups=["x25519", "P-384"]),
        replace(SERVER, groups=["P-384"], require_cookie=True),
    )
    first = flight(client, server)
    retry = retry_of(flight(server, client))
    _, (_, record) = records(flight(client, server))  # behind a change_cipher_spec
    one, two = ClientHello.decode(first[9:]), ClientHello.decode(record[9:])
    assert two.extensions[ExtensionType.cookie] == retry.extensions[ExtensionType.cookie]
    shares = ext.decode_key_shares(two.extensions[ExtensionType.key_share])
    assert list(shares) == [0x0018]
    rest = dict(two.extensions)
    del rest[ExtensionType.cookie]
    rest[ExtensionType.key_share] = one.extensions[ExtensionType.key_share]
    assert replace(two, extensions=rest) == one


@pytest.mark.parametrize("given_back", [True, False])
def test_a_cookie_has_to_come_back(given_back: bool) -> None:
    client, server = connections(CLIENT, replace(SERVER, require_cookie=True))
    flight(client, server)
    flight(server, client)
    client.do_handshake()
    _, (_, record) = records(client.data_to_send())  # behind a change_cipher_spec
    hello = ClientHello.decode(record[9:])
    extensions = dict(hello.extensions)
    del extensions[ExtensionType.cookie]
    if given_back:
        extensions[ExtensionType.cookie] = ext.encode_cookie(b"another")
    server.receive_data(plain(encode_message(replace(hello, extensions=extensions))))
    expected = (
        AlertDescription.illegal_parameter if given_back else AlertDescription.missing_extension
    )
    assert failure_of(server.do_handshake).alert is expected


def test_one_retry_is_enough() -> None:
    client, server = connections(CLIENT, replace(SERVER, require_cookie=True))
    flight(client, server)
    retry = flight(server, client)
    client.do_handshake()
    client.data_to_send()
    client.receive_data(retry)
    assert failure_of(client.do_handshake).alert is AlertDescription.unexpected_message


# ALPN and SNI


def test_the_servers_preference_decides_on_the_protocol() -> None:
    client, server = established(
        replace(CLIENT, alpn_protocols=["one", "two", "three"]),
        replace(SERVER, alpn_protocols=["three", "two"]),
    )
    assert client.negotiated.alpn_protocol == server.negotiated.alpn_protocol == "three"


@pytest.mark.parametrize("side", ["client", "server"])
def test_no_protocol_where_one_side_has_none(side: str) -> None:
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
def test_the_server_is_told_its_name(name: str, sni: bytes | None) -> None:
    body = first_hello(CLIENT, name).extensions.get(ExtensionType.server_name)
    assert (body and ext.decode_server_name(body)) == sni
    own = authority.issue(sni.decode() if sni else name)
    client = Connection.client(CLIENT, name)
    server = Connection.server(replace(SERVER, credentials=own))
    shake_hands(client, server)
    assert server.negotiated.server_name == (sni and sni.decode())


# Middlebox compatibility mode (RFC 9846 E.4)


def types_of(output: bytes) -> list[int]:
    return [record[0] for _, record in records(output)]


@pytest.mark.parametrize("retried", [False, True])
@pytest.mark.parametrize("compatible", [False, True])
def test_middlebox_compatibility(compatible: bool, retried: bool) -> None:
    """Each side sends one change_cipher_spec, or none at all."""
    client, server = connections(
        replace(CLIENT, middlebox_compatibility=compatible),
        replace(SERVER, require_cookie=retried),
    )
    hello, dummy, data = (
        [ContentType.handshake],
        [ContentType.change_cipher_spec] * compatible,
        [ContentType.application_data],
    )
    assert types_of(flight(client, server)) == hello
    if retried:
        assert types_of(flight(server, client)) == hello + dummy
        assert types_of(flight(client, server)) == dummy + hello
        assert types_of(flight(server, client)) == hello + data
        assert types_of(flight(client, server)) == data
    else:
        assert types_of(flight(server, client)) == hello + dummy + data
        assert types_of(flight(client, server)) == dummy + data
    shake_hands(client, server)
    exchange(client, server)
    session_id = first_hello(replace(CLIENT, middlebox_compatibility=compatible))
    assert len(session_id.legacy_session_id) == (32 if compatible else 0)


def test_no_change_cipher_spec_after_the_handshake() -> None:
    for side in (0, 1):
        pair = established()
        pair[side].receive_data(b"\x14\x03\x03\0\x01\x01")
        assert failure_of(pair[side].read).alert is AlertDescription.unexpected_message


def test_no_change_cipher_spec_before_the_first_hello() -> None:
    _, server = connections()
    server.receive_data(b"\x14\x03\x03\0\x01\x01")
    assert failure_of(server.do_handshake).alert is AlertDescription.unexpected_message


# What an observer is told


def test_an_observer_sees_both_sides_of_each_message() -> None:
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
