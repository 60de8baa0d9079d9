"""Peers that violate the rules of Encrypted Client Hello (RFC 9849)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from ech_pairs import (
    ECH_CLIENT,
    ECH_SERVER,
    PLAIN_SERVER,
    RETRIED_CLIENT,
    RETRYING_SERVER,
    STALE_SERVER,
    key,
)
from engine_pairs import (
    alert_of,
    carry,
    connections,
    established,
    read_all,
    send,
    shake_hands,
)

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.handshake import ech_client, ech_server, server13, server13_hello
from trio_tlsx.messages.ech import ECH_OUTER_EXTENSIONS, INNER_ECH, OuterECH, decode_ech
from trio_tlsx.messages.extensions import Extensions
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import ClientHello, EncryptedExtensions, ServerHello

Change = Callable[[Any], Any]


def with_extension(extension: int, body: bytes) -> Change:
    return lambda hello: replace(hello, extensions={**hello.extensions, extension: body})


def without(extension: int) -> Change:
    return lambda hello: replace(
        hello, extensions={k: v for k, v in hello.extensions.items() if k != extension}
    )


# Clients


def outer_extensions(*codes: int) -> Change:
    """An inner hello that takes these extensions from the outer one, and no others."""
    body = b"".join(code.to_bytes(2) for code in codes)

    def change(encoded: ClientHello) -> ClientHello:
        rest = {k: v for k, v in encoded.extensions.items() if k != ECH_OUTER_EXTENSIONS}
        extensions = {**rest, ECH_OUTER_EXTENSIONS: bytes((len(body),)) + body}
        return replace(encoded, extensions=extensions)

    return change


#: What a client has in the structure that it encrypts, by name.
INNER: Mapping[str, tuple[Change, A]] = {
    "no mark of an inner hello": (without(E.encrypted_client_hello), A.illegal_parameter),
    "the mark of an outer hello": (
        with_extension(E.encrypted_client_hello, b"\0"),
        A.illegal_parameter,
    ),
    "TLS 1.2 too": (
        with_extension(E.supported_versions, bytes.fromhex("0403040303")),
        A.illegal_parameter,
    ),
    "no versions": (without(E.supported_versions), A.illegal_parameter),
    "a session id": (
        lambda hello: replace(hello, legacy_session_id=b"id"),
        A.illegal_parameter,
    ),
    "an extension that the outer hello lacks": (outer_extensions(0xABCD), A.illegal_parameter),
    "an extension twice": (
        outer_extensions(E.supported_groups, E.supported_groups),
        A.illegal_parameter,
    ),
    "extensions in another order": (
        outer_extensions(E.signature_algorithms, E.supported_groups),
        A.illegal_parameter,
    ),
    "the outer hello's ECH": (
        outer_extensions(E.encrypted_client_hello),
        A.illegal_parameter,
    ),
    "an extension that it has itself": (
        lambda hello: with_extension(E.record_size_limit, b"\x40\x01")(
            outer_extensions(E.record_size_limit)(hello)
        ),
        A.illegal_parameter,
    ),
    "an empty list of outer extensions": (
        with_extension(ECH_OUTER_EXTENSIONS, b"\0"),
        A.decode_error,
    ),
    "half an outer extension": (
        with_extension(ECH_OUTER_EXTENSIONS, b"\x03\0\0\0"),
        A.decode_error,
    ),
    "octets behind the outer extensions": (
        with_extension(ECH_OUTER_EXTENSIONS, b"\x02\0\x0a\0"),
        A.decode_error,
    ),
}


@pytest.mark.parametrize("name", INNER)
def test_wrong_inner_hello(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    change, alert = INNER[name]
    encode = ech_client.encode_inner_hello

    def changed(inner: ClientHello, outer: ClientHello, length: int) -> bytes:
        encoded = encode(inner, outer, length)
        return change(ClientHello.decode(encoded.rstrip(b"\0"))).encode()

    monkeypatch.setattr(ech_client, "encode_inner_hello", changed)
    client, server = connections(ECH_CLIENT, ECH_SERVER)
    client.do_handshake()
    carry(client, server)
    assert alert_of(server.do_handshake) is alert


@pytest.mark.parametrize(
    ("kept", "added", "alert"),
    [
        (slice(0, -1), b"\x01", A.illegal_parameter),
        (slice(0, 30), b"", A.decode_error),
        (slice(0, 0), b"", A.decode_error),
    ],
    ids=["padding that is not zero", "cut short", "empty"],
)
def test_wrong_encoding_of_the_inner_hello(
    monkeypatch: pytest.MonkeyPatch, kept: slice, added: bytes, alert: A
) -> None:
    encode = ech_client.encode_inner_hello

    def changed(*args: Any) -> bytes:
        return encode(*args)[kept] + added

    monkeypatch.setattr(ech_client, "encode_inner_hello", changed)
    client, server = connections(ECH_CLIENT, ECH_SERVER)
    client.do_handshake()
    carry(client, server)
    assert alert_of(server.do_handshake) is alert


#: The encrypted_client_hello of a ClientHello that is not encrypted at all.
OUTER: Mapping[str, tuple[bytes, A]] = {
    "of an inner hello": (INNER_ECH, A.illegal_parameter),
    "of an unknown type": (b"\x02", A.illegal_parameter),
    "empty": (b"", A.decode_error),
    "an inner one with content": (b"\x01\0", A.decode_error),
    "cut short": (b"\0\0\x01\0\x01\x05\0\x20", A.decode_error),
    "without a payload": (b"\0\0\x01\0\x01\x05\0\0\0\0", A.decode_error),
    "with octets behind it": (b"\0\0\x01\0\x01\x05\0\0\0\x01x\0", A.decode_error),
}


@pytest.mark.parametrize("name", OUTER)
def test_wrong_extension_of_the_outer_hello(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    body, alert = OUTER[name]

    def grease(_parameters: object) -> bytes:
        return body

    monkeypatch.setattr("trio_tlsx.handshake.client.grease_ech", grease)
    client, server = connections(replace(ECH_CLIENT, ech="grease"), ECH_SERVER)
    client.do_handshake()
    carry(client, server)
    assert alert_of(server.do_handshake) is alert


def altered(**changes: object) -> Change:
    return lambda outer: replace(outer, **changes)


#: What a client changes in the encrypted_client_hello of its second hello.
SECOND: Mapping[str, tuple[Change, A]] = {
    "another id": (
        altered(config_id=(key.config.config_id + 1) % 256),
        A.illegal_parameter,
    ),
    "another suite": (altered(cipher_suite=(1, 2)), A.illegal_parameter),
    "another key": (altered(enc=bytes(32)), A.illegal_parameter),
    "another ciphertext": (altered(payload=bytes(100)), A.decrypt_error),
}


def second_answer(monkeypatch: pytest.MonkeyPatch, change: Change) -> A | None:
    """The alert of a server whose client changes its second outer hello."""
    encrypt = ech_client.encrypt_hello

    def changed(*args: Any, enc: bytes) -> ClientHello:
        hello = encrypt(*args, enc=enc)
        return hello if enc else change(hello)

    monkeypatch.setattr(ech_client, "encrypt_hello", changed)
    client, server = connections(RETRIED_CLIENT, RETRYING_SERVER)
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    carry(server, client)
    client.do_handshake()
    carry(client, server)
    return alert_of(server.do_handshake)


@pytest.mark.parametrize("name", SECOND)
def test_wrong_extension_of_the_second_hello(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    change, alert = SECOND[name]

    def changed(hello: ClientHello) -> ClientHello:
        outer = decode_ech(hello.extensions[E.encrypted_client_hello])
        assert isinstance(outer, OuterECH)
        return with_extension(E.encrypted_client_hello, change(outer).encode())(hello)

    assert second_answer(monkeypatch, changed) is alert


def test_a_second_hello_without_ech(monkeypatch: pytest.MonkeyPatch) -> None:
    found = second_answer(monkeypatch, without(E.encrypted_client_hello))
    assert found is A.missing_extension


def test_a_second_hello_with_the_mark_of_an_inner_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = second_answer(monkeypatch, with_extension(E.encrypted_client_hello, INNER_ECH))
    assert found is A.illegal_parameter


# Servers


def client_alert(client_config: ClientConfig, server_config: ServerConfig) -> A | None:
    """The alert of a client."""
    return alert_of(lambda: shake_hands(*connections(client_config, server_config)))


@pytest.mark.parametrize("length", [0, 7, 9])
@pytest.mark.parametrize("ech", [key.config_list, "grease"], ids=["real", "grease"])
def test_wrong_length_of_the_confirmation(
    monkeypatch: pytest.MonkeyPatch, length: int, ech: bytes | str
) -> None:
    def confirmed(*args: Any) -> ServerHello:
        return with_extension(E.encrypted_client_hello, bytes(length))(args[-1])

    monkeypatch.setattr(server13_hello, "confirm", confirmed)
    config = replace(RETRIED_CLIENT, ech=ech)
    assert client_alert(config, RETRYING_SERVER) is A.decode_error


def test_a_server_accepts_the_first_hello_and_not_the_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    confirm = server13_hello.confirm

    def confirmed(*args: Any) -> ServerHello:
        answer = args[-1]
        return confirm(*args) if answer.is_hello_retry_request else answer

    monkeypatch.setattr(server13_hello, "confirm", confirmed)
    assert client_alert(RETRIED_CLIENT, RETRYING_SERVER) is A.illegal_parameter


def send_configs(monkeypatch: pytest.MonkeyPatch, configs: bytes) -> None:
    """Have servers send these configurations in any case."""

    def retry_configs(*_: object) -> Extensions:
        return {E.encrypted_client_hello: configs}

    monkeypatch.setattr(server13, "retry_configs", retry_configs)


def test_configurations_from_a_server_that_accepted_the_inner_hello(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send_configs(monkeypatch, key.config_list)
    assert client_alert(ECH_CLIENT, ECH_SERVER) is A.unsupported_extension


def test_configurations_that_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def encrypted_extensions(extensions: Extensions) -> EncryptedExtensions:
        extra = {E.encrypted_client_hello: key.config_list}
        return EncryptedExtensions({**extensions, **extra})

    monkeypatch.setattr(server13, "EncryptedExtensions", encrypted_extensions)
    config = replace(ECH_CLIENT, ech=None)
    assert client_alert(config, PLAIN_SERVER) is A.unsupported_extension


@pytest.mark.parametrize(
    "configs",
    [b"", b"\0\0", b"\0\x05abcde", key.config_list + b"\0"],
    ids=["nothing", "empty", "cut short", "octets behind it"],
)
@pytest.mark.parametrize("ech", [key.config_list, "grease"], ids=["real", "grease"])
def test_malformed_configurations(
    monkeypatch: pytest.MonkeyPatch, configs: bytes, ech: bytes | str
) -> None:
    send_configs(monkeypatch, configs)
    config = replace(ECH_CLIENT, ech=ech)
    assert client_alert(config, STALE_SERVER) is A.decode_error


def test_a_psk_of_the_outer_hello_cannot_be_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9849 6.1.2: it is a random one."""
    config = replace(ECH_CLIENT, resumption=True)
    client, server = established(config, ECH_SERVER)
    send(server, client, b"with the tickets")
    read_all(client)
    encode = server13_hello.ServerHello

    def with_psk(**fields: Any) -> ServerHello:
        fields["extensions"] = {**fields["extensions"], E.pre_shared_key: b"\0\0"}
        return encode(**fields)

    monkeypatch.setattr(server13_hello, "ServerHello", with_psk)
    assert client_alert(config, STALE_SERVER) is A.illegal_parameter


def test_a_confirmation_that_is_wrong_in_one_bit_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the client continues with the outer hello, whose transcript the server has not."""
    confirm = ech_server.confirmation_for

    def flipped(*args: Any) -> bytes:
        value = confirm(*args)
        return value[:-1] + bytes((value[-1] ^ 1,))

    monkeypatch.setattr(ech_server, "confirmation_for", flipped)
    assert client_alert(ECH_CLIENT, ECH_SERVER) is A.bad_record_mac
