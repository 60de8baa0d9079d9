"""The structures of Encrypted Client Hello (RFC 9849 4, 5, 6.1.7)."""

from __future__ import annotations

import pytest

from trio_tlsx.errors import AlertDescription, ProtocolError
from trio_tlsx.messages.codec import opaque16, uint16
from trio_tlsx.messages.ech import (
    ECH_OUTER_EXTENSIONS,
    ECHConfig,
    decode_config_list,
    decode_inner_hello,
    encode_config_list,
    encode_inner_hello,
    is_public_name,
)
from trio_tlsx.messages.extensions import Extensions, ExtensionType
from trio_tlsx.messages.handshake import ClientHello

ECH = ExtensionType.encrypted_client_hello
CONFIG = ECHConfig.create(7, 0x0020, bytes(range(32)), [(1, 1), (2, 3)], 64, "public.example")


def test_a_list_survives_its_encoding() -> None:
    other = ECHConfig.create(8, 0x0010, b"\x04" * 65, [(1, 1)], 0, "other.example")
    assert decode_config_list(encode_config_list([CONFIG, other])) == (CONFIG, other)


def test_the_published_form_of_a_configuration() -> None:
    """RFC 9849 4, field by field."""
    contents = (
        b"\x07"
        + b"\x00\x20"
        + b"\x00\x20"
        + bytes(range(32))
        + b"\x00\x08\x00\x01\x00\x01\x00\x02\x00\x03"
        + b"\x40"
        + b"\x0epublic.example"
        + b"\x00\x00"
    )
    assert CONFIG.encoded == b"\xfe\x0d" + len(contents).to_bytes(2) + contents


def test_a_configuration_of_another_version_is_left_out() -> None:
    """RFC 9849 4: a client must ignore it, whatever is in it."""
    unknown = uint16(0xFE0E) + opaque16(b"anything")
    octets = opaque16(unknown + CONFIG.encoded + unknown)
    assert decode_config_list(octets) == (CONFIG,)


MALFORMED = {
    "nothing": b"",
    "an empty list": b"\0\0",
    "a list cut short": encode_config_list([CONFIG])[:-1],
    "octets behind the list": encode_config_list([CONFIG]) + b"\0",
    "a configuration cut short": opaque16(CONFIG.encoded[:-1]),
    "octets behind the contents": opaque16(uint16(0xFE0D) + opaque16(CONFIG.encoded[4:] + b"\0")),
    "half a suite": opaque16(
        uint16(0xFE0D)
        + opaque16(CONFIG.encoded[4:41] + opaque16(b"\0\1\0\1\0\1") + CONFIG.encoded[51:])
    ),
    "an extension twice": opaque16(
        uint16(0xFE0D) + opaque16(CONFIG.encoded[4:-2] + opaque16(b"\0\1\0\0" * 2))
    ),
    "an extension cut short": opaque16(
        uint16(0xFE0D) + opaque16(CONFIG.encoded[4:-2] + opaque16(b"\0\1\0\1"))
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_list_is_an_error(name: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_config_list(MALFORMED[name])
    assert caught.value.alert is AlertDescription.decode_error


@pytest.mark.parametrize(
    "name",
    [
        "a.example",
        "xn--bcher-kva.example",
        "localhost",
        "1a",
        "a" * 63 + ".example",
        "0x1g.0xy",
        ".".join(["a" * 63] * 4)[2:],
    ],
)
def test_a_host_name_is_a_public_name(name: str) -> None:
    assert is_public_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a.example",
        "a-.example",
        "a_b.example",
        "b\\xfccher.example",
        "a" * 64,
        "192.0.2.1",
        "a.1",
        "a.0x",
        "a.0xAf",
        "a.0X1",
        "2001:db8::1",
        "a b",
        ".".join(["a" * 63] * 4)[1:],
    ],
)
def test_what_could_be_an_address_is_no_public_name(name: str) -> None:
    assert not is_public_name(name)


# The inner hello


def hello(extensions: Extensions, session_id: bytes = b"") -> ClientHello:
    return ClientHello(0x0303, bytes(32), session_id, (0x1301,), b"\0", extensions)


def test_an_inner_hello_takes_extensions_and_the_session_id_from_the_outer_one() -> None:
    outer = hello({1: b"one", 2: b"two", ECH: b"outer", 3: b"three"}, b"session id")
    encoded = hello({0: b"zero", ECH_OUTER_EXTENSIONS: b"\x04\0\1\0\3", 4: b"four"}).encode()
    inner = decode_inner_hello(encoded + bytes(7), outer)
    assert list(inner.extensions.items()) == [
        (0, b"zero"),
        (1, b"one"),
        (3, b"three"),
        (4, b"four"),
    ]
    assert inner.legacy_session_id == b"session id"


@pytest.mark.parametrize("code", [ECH, ECH_OUTER_EXTENSIONS])
def test_an_inner_hello_cannot_take_an_extension_of_ech(code: int) -> None:
    outer = hello({ECH_OUTER_EXTENSIONS: b"outer", ECH: b"outer"})
    encoded = hello({ECH_OUTER_EXTENSIONS: b"\x02" + code.to_bytes(2)}).encode()
    with pytest.raises(ProtocolError, match="names an extension of ECH") as caught:
        decode_inner_hello(encoded, outer)
    assert caught.value.alert is AlertDescription.illegal_parameter


def test_extensions_that_do_not_follow_each_other_keep_their_order() -> None:
    """RFC 9849 5.1: what is taken from the outer hello stands at one place."""
    shared = {
        ExtensionType.supported_groups: b"groups",
        ExtensionType.signature_algorithms: b"schemes",
        0xABCD: b"another",
        ExtensionType.key_share: b"shares",
    }
    inner = hello({**shared, ECH: b"inner"})
    outer = hello({**shared, ECH: b"outer"})
    encoded = encode_inner_hello(inner, outer, 0)
    assert b"groups" not in encoded
    assert list(decode_inner_hello(encoded, outer).extensions) == list(inner.extensions)
