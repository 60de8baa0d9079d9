"""Everything that can be negotiated, with other implementations on the other side."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from authority import CA_SCHEME, KEY_TYPES, Authority
from conversations import Opposite, Tap
from matrix import opposite, opposite_and
from openssl_peer import OpenSSLPeer
from peer import Role
from tlslite_peer import TLSLitePeer

from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.crypto.signatures import CERTIFICATE_VERIFY_SCHEMES, CLIENT_ONLY_SCHEMES
from trio_tlsx.errors import AlertDescription

A_BIT = 1000  # bytes
A_LOT = 2**20


def test_no_signature_scheme_is_left_out() -> None:
    # Those of RFC 9963 have a test of their own.
    schemes = set(CERTIFICATE_VERIFY_SCHEMES) - set(CLIENT_ONLY_SCHEMES)
    assert set(KEY_TYPES) == {scheme.name for scheme in schemes}


@opposite_and("scheme", KEY_TYPES)
async def test_certificate(opposite: Opposite, scheme: str, authority: Authority) -> None:
    async with opposite.meet(
        authority,
        key_type=KEY_TYPES[scheme],
        ours={"signature_schemes": [scheme, CA_SCHEME]},
        theirs={"echo": A_BIT},
    ) as us:
        await us.converse()
        if opposite.role == "server":
            assert us.stream.negotiated.signature_scheme == scheme
    assert us.saw.alert is AlertDescription.close_notify


@opposite_and("group", [group.name for group in GROUPS.values()])
async def test_group(opposite: Opposite, group: str, authority: Authority) -> None:
    async with opposite.meet(authority, ours={"groups": [group]}, theirs={"echo": A_BIT}) as us:
        await us.converse()
        assert us.stream.negotiated.group == group
    assert us.saw.alert is AlertDescription.close_notify


@opposite_and("suite", [suite.name for suite in CIPHER_SUITES.values()])
async def test_cipher_suite(opposite: Opposite, suite: str, authority: Authority) -> None:
    async with opposite.meet(
        authority, ours={"cipher_suites": [suite]}, theirs={"echo": A_BIT}
    ) as us:
        await us.converse()
        assert us.stream.negotiated.cipher_suite == suite
    assert us.saw.alert is AlertDescription.close_notify


@opposite("client", "server")
async def test_application_protocol(opposite: Opposite, authority: Authority) -> None:
    async with opposite.meet(
        authority,
        ours={"alpn_protocols": ["h2", "http/1.1"]},
        theirs={"alpn_protocols": ("other", "http/1.1"), "echo": A_BIT},
    ) as us:
        await us.converse()
        assert us.stream.negotiated.alpn_protocol == "http/1.1"
    assert us.saw.alert is AlertDescription.close_notify


@opposite("client")
async def test_client_certificate_of_the_peer(opposite: Opposite, authority: Authority) -> None:
    async with opposite.meet(
        authority,
        ours={"client_auth": "required", "client_trust": authority.ca.trust},
        theirs={"credentials": authority.files(), "echo": A_BIT},
    ) as us:
        await us.converse()
        # Some send the CA's too.
        leaf = us.stream.negotiated.peer_certificates[0]
        assert leaf == authority.credentials().chain[0]
    assert us.saw.alert is AlertDescription.close_notify


@opposite("server")
async def test_client_certificate_of_ours(opposite: Opposite, authority: Authority) -> None:
    async with opposite.meet(
        authority,
        ours={"credentials": authority.credentials()},
        theirs={"trust": authority.ca_file, "echo": A_BIT},
    ) as us:
        await us.converse()
    assert us.saw.alert is AlertDescription.close_notify


class CountingZlib:
    """RFC 8879's zlib; counts."""

    algorithm = 1

    def __init__(self) -> None:
        self.compressed = self.decompressed = 0

    def compress(self, data: bytes) -> bytes:
        self.compressed += 1
        return zlib.compress(data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        self.decompressed += 1
        return zlib.decompress(data)


@pytest.mark.parametrize("role", ["client", "server"])
async def test_compressed_certificates(role: Role, authority: Authority) -> None:
    compressor = CountingZlib()
    ours: dict[str, Any] = {"certificate_compression": [compressor]}
    theirs: dict[str, Any] = {"compresses": True, "echo": A_BIT}
    if role == "client":
        ours |= {"client_auth": "required", "client_trust": authority.ca.trust}
        theirs |= {"credentials": authority.files()}
    else:
        ours |= {"credentials": authority.credentials()}
        theirs |= {"trust": authority.ca_file}
    async with Opposite(TLSLitePeer(), role).meet(authority, ours=ours, theirs=theirs) as us:
        await us.converse()
        leaf = us.stream.negotiated.peer_certificates[0]
        assert leaf == authority.credentials().chain[0]
    assert us.saw.alert is AlertDescription.close_notify
    assert (compressor.compressed, compressor.decompressed) == (1, 1)


@opposite("client", "server")
async def test_all_defaults_and_much_data(opposite: Opposite, authority: Authority) -> None:
    async with opposite.meet(authority, theirs={"echo": A_LOT}) as us:
        await us.converse()  # which closes first
        newest = (opposite.role, "X25519MLKEM768") not in opposite.peer.cannot
        assert us.stream.negotiated.group == ("X25519MLKEM768" if newest else "x25519")
    assert us.saw.alert is AlertDescription.close_notify


@opposite("client", "server", needs="close first")
async def test_peer_closes_first(opposite: Opposite, authority: Authority) -> None:
    async with opposite.meet(authority, theirs={"echo": A_BIT, "closes_first": True}) as us:
        await us.converse()


@opposite("client", "server", needs="hear our answer")
async def test_peer_closes_first_and_hears_our_answer(
    opposite: Opposite, authority: Authority
) -> None:
    async with opposite.meet(authority, theirs={"closes_first": True}) as us:
        await us.converse()
    assert us.saw.alert is AlertDescription.close_notify


@pytest.mark.parametrize("opposite", [Opposite(OpenSSLPeer(), "server")], ids=str)
async def test_web_server_closes_first(opposite: Opposite, authority: Authority) -> None:
    async with opposite.meet(authority, theirs={"http": True}) as us:
        await us.stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
        page = b"".join([data async for data in us.stream])
        assert page.startswith(b"HTTP/1.0 200 ")
        await us.stream.aclose()


# HelloRetryRequest


@opposite("client")
async def test_we_ask_for_another_key_share(opposite: Opposite, authority: Authority) -> None:
    tap = Tap()
    async with opposite.meet(
        authority, ours={"groups": ["secp384r1"]}, theirs={"echo": A_BIT}, tap=tap
    ) as us:
        await us.converse()
        assert us.stream.negotiated.group == "secp384r1"
    assert tap.retried
    assert us.saw.alert is AlertDescription.close_notify


@opposite("server")
async def test_peer_asks_for_another_key_share(opposite: Opposite, authority: Authority) -> None:
    tap = Tap()
    async with opposite.meet(
        authority, theirs={"group": "secp384r1", "echo": A_BIT}, tap=tap
    ) as us:
        await us.converse()
        assert us.stream.negotiated.group == "secp384r1"
    assert tap.retried
    assert us.saw.alert is AlertDescription.close_notify


@opposite("client")
async def test_we_ask_for_a_cookie(opposite: Opposite, authority: Authority) -> None:
    tap = Tap()
    async with opposite.meet(
        authority, ours={"require_cookie": True}, theirs={"echo": A_BIT}, tap=tap
    ) as us:
        await us.converse()
    assert tap.retried
    assert us.saw.alert is AlertDescription.close_notify


@opposite("server", needs="cookie")
async def test_peer_asks_for_a_cookie(opposite: Opposite, authority: Authority) -> None:
    tap = Tap()
    # OpenSSL 3.0 stumbles over the change_cipher_spec, its own client's too.
    async with opposite.meet(
        authority,
        ours={"middlebox_compatibility": False},
        theirs={"cookie": True, "echo": A_BIT},
        tap=tap,
    ) as us:
        await us.converse()
    assert tap.retried
    assert us.saw.alert is AlertDescription.close_notify
