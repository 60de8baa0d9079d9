"""The ClientHello object that hooks receive."""

from __future__ import annotations

import dataclasses

import pytest

from trio_tlsx.errors import ProtocolError
from trio_tlsx.messages import handshake
from trio_tlsx.messages.extensions import (
    encode_alpn,
    encode_server_name,
    encode_supported_versions,
    encode_uint16_list,
)
from trio_tlsx.messages.info import ClientHello

#: The ClientHello that the description of JA4 takes apart, with GREASE where browsers put it.
SUITES = [
    0x2A2A, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030,
    0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035,
]  # fmt: skip
SCHEMES = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]
EXTENSIONS = {
    0x4A4A: b"",
    0x001B: b"\x02\x00\x02",
    0x0000: encode_server_name(b"Test.Example"),
    0x0033: b"\0\0",
    0x0010: encode_alpn([b"h2", b"http/1.1"]),
    0x4469: b"\0\3\2h2",
    0x0017: b"",
    0x002D: b"\1\1",
    0x000D: encode_uint16_list(SCHEMES),
    0x0005: b"\1\0\0\0\0",
    0x0023: b"",
    0x0012: b"",
    0x002B: encode_supported_versions([0x6A6A, 0x0304, 0x0303]),
    0xFF01: b"\0",
    0x000B: b"\1\0",
    0x000A: encode_uint16_list([0x8A8A, 0x11EC, 0x001D, 0x0017, 0x0018]),
    0x0015: bytes(8),
    0xCACA: b"\0",
}


def hello(**changes: object) -> handshake.ClientHello:
    whole = handshake.ClientHello(
        legacy_version=0x0303,
        random=bytes(32),
        legacy_session_id=b"",
        cipher_suites=tuple(SUITES),
        legacy_compression_methods=b"\0",
        extensions=EXTENSIONS,
    )
    return dataclasses.replace(whole, **changes)


def test_client_hello_view_of_what_is_offered() -> None:
    view = ClientHello.of(hello())
    assert view.server_name == "test.example"
    assert view.alpn_protocols == ("h2", "http/1.1")
    assert view.versions == (0x6A6A, 0x0304, 0x0303)
    assert view.cipher_suites == tuple(SUITES)
    assert view.groups == (0x8A8A, 0x11EC, 0x001D, 0x0017, 0x0018)
    assert view.signature_schemes == tuple(SCHEMES)
    assert list(view.extensions.items()) == list(EXTENSIONS.items())


def test_client_hello_view_of_what_is_not_offered() -> None:
    view = ClientHello.of(hello(extensions={}))
    assert view.server_name is None
    assert view.alpn_protocols == view.groups == view.signature_schemes == ()
    assert view.versions == (0x0303,)


def test_client_hello_view_is_immutable() -> None:
    view = ClientHello.of(hello())
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.server_name = "other.example"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError, match="does not support item assignment"):
        view.extensions[0] = b""  # pyright: ignore[reportIndexIssue]


def test_client_hello_view_of_a_malformed_extension() -> None:
    with pytest.raises(ProtocolError, match="ALPN"):
        ClientHello.of(hello(extensions={0x0010: b"\0\1"}))


def test_ja4_fingerprint() -> None:
    assert ClientHello.of(hello()).ja4 == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def without(*kinds: int) -> dict[int, bytes]:
    return {kind: body for kind, body in EXTENSIONS.items() if kind not in kinds}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"extensions": without(0x0000)}, "t13i1515h2_8daaf6152771_e5627efa2ab1"),
        ({"extensions": without(0x0010)}, "t13d151500_8daaf6152771_e5627efa2ab1"),
        ({"extensions": without(0x002B)}, "t12d1515h2_8daaf6152771_"),
        ({"extensions": {}}, "t12i150000_8daaf6152771_000000000000"),
        ({"cipher_suites": (0x2A2A,)}, "t13d0016h2_000000000000_e5627efa2ab1"),
        (
            {"extensions": {**EXTENSIONS, 0x0010: encode_alpn([b"\xab\xcd"])}},
            "t13d1516ad_8daaf6152771_e5627efa2ab1",
        ),
        (
            {"extensions": {**EXTENSIONS, 0x0010: encode_alpn([b"x"])}},
            "t13d1516xx_8daaf6152771_e5627efa2ab1",
        ),
        ({"cipher_suites": tuple(range(120))}, "t13d9916h2_"),
        ({"extensions": {}, "legacy_version": 0x0305}, "t00i"),
    ],
)
def test_ja4_parts(changes: dict[str, object], expected: str) -> None:
    assert ClientHello.of(hello(**changes)).ja4.startswith(expected)
