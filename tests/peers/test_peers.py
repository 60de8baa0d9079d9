"""Every negotiable algorithm and feature, with other implementations."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
import trio
from authority import CA_SCHEME, KEY_TYPES, Authority
from conversations import PeerRole, Tap
from matrix import peer_role, peer_role_and
from openssl_peer import OpenSSLPeer
from peer import Role
from tlslite_peer import TLSLitePeer

from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.crypto.signatures import CERTIFICATE_VERIFY_SCHEMES, CLIENT_ONLY_SCHEMES
from trio_tlsx.errors import AlertDescription, Truncated

A_BIT = 1000  # bytes
A_LOT = 2**20


def test_no_signature_scheme_is_left_out() -> None:
    # Those of RFC 9963 have a test of their own.
    schemes = set(CERTIFICATE_VERIFY_SCHEMES) - set(CLIENT_ONLY_SCHEMES)
    assert set(KEY_TYPES) == {scheme.name for scheme in schemes}


@peer_role_and("scheme", KEY_TYPES)
async def test_certificate_of_each_scheme(
    peer_role: PeerRole, scheme: str, authority: Authority
) -> None:
    async with peer_role.connect(
        authority,
        key_type=KEY_TYPES[scheme],
        ours={"signature_schemes": [scheme, CA_SCHEME]},
        theirs={"echo": A_BIT},
    ) as us:
        await us.converse()
        if peer_role.role == "server":
            assert us.stream.negotiated.signature_scheme == scheme
    assert us.saw.alert is AlertDescription.close_notify


@peer_role_and("group", [group.name for group in GROUPS.values()])
async def test_each_group_with_a_peer(
    peer_role: PeerRole, group: str, authority: Authority
) -> None:
    async with peer_role.connect(
        authority, ours={"groups": [group]}, theirs={"echo": A_BIT}
    ) as us:
        await us.converse()
        assert us.stream.negotiated.group == group
    assert us.saw.alert is AlertDescription.close_notify


@peer_role_and("suite", [suite.name for suite in CIPHER_SUITES.values()])
async def test_each_cipher_suite_with_a_peer(
    peer_role: PeerRole, suite: str, authority: Authority
) -> None:
    async with peer_role.connect(
        authority, ours={"cipher_suites": [suite]}, theirs={"echo": A_BIT}
    ) as us:
        await us.converse()
        assert us.stream.negotiated.cipher_suite == suite
    assert us.saw.alert is AlertDescription.close_notify


@peer_role("client", "server")
async def test_application_protocol_with_a_peer(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(
        authority,
        ours={"alpn_protocols": ["h2", "http/1.1"]},
        theirs={"alpn_protocols": ("other", "http/1.1"), "echo": A_BIT},
    ) as us:
        await us.converse()
        assert us.stream.negotiated.alpn_protocol == "http/1.1"
    assert us.saw.alert is AlertDescription.close_notify


@peer_role("client")
async def test_client_certificate_of_the_peer(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(
        authority,
        ours={"client_auth": "required", "client_trust": authority.ca.trust},
        theirs={"credentials": authority.files(), "echo": A_BIT},
    ) as us:
        await us.converse()
        # Some send the CA's too.
        leaf = us.stream.negotiated.peer_certificates[0]
        assert leaf == authority.credentials().chain[0]
    assert us.saw.alert is AlertDescription.close_notify


@peer_role("server")
async def test_client_certificate_of_ours(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(
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
    async with PeerRole(TLSLitePeer(), role).connect(authority, ours=ours, theirs=theirs) as us:
        await us.converse()
        leaf = us.stream.negotiated.peer_certificates[0]
        assert leaf == authority.credentials().chain[0]
    assert us.saw.alert is AlertDescription.close_notify
    assert (compressor.compressed, compressor.decompressed) == (1, 1)


@peer_role("client", "server")
async def test_all_defaults_and_much_data(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(authority, theirs={"echo": A_LOT}) as us:
        await us.converse()  # which closes first
        peer, role = peer_role.peer, peer_role.role
        newest = (role, "X25519MLKEM768") not in peer.cannot
        classical = peer.key_share if role == "client" else "x25519"
        assert us.stream.negotiated.group == ("X25519MLKEM768" if newest else classical)
    assert us.saw.alert is AlertDescription.close_notify


@peer_role("client", "server", needs="close first")
async def test_peer_closes_first(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(authority, theirs={"echo": A_BIT, "closes_first": True}) as us:
        await us.converse()


@peer_role("client", "server", needs="hear our answer")
async def test_peer_closes_first_and_hears_our_answer(
    peer_role: PeerRole, authority: Authority
) -> None:
    async with peer_role.connect(authority, theirs={"closes_first": True}) as us:
        await us.converse()
    assert us.saw.alert is AlertDescription.close_notify


@peer_role("client", "server", needs="leave")
async def test_peer_leaves_without_close_notify(peer_role: PeerRole, authority: Authority) -> None:
    """It is no end of the data: somebody in between could have cut the connection."""
    async with peer_role.connect(authority, theirs={"echo": A_BIT, "leaves": True}) as us:
        await us.talk()
        with pytest.raises(trio.BrokenResourceError) as caught:
            await us.stream.receive_some()
        assert isinstance(caught.value.__cause__, Truncated)


@pytest.mark.parametrize("peer_role", [PeerRole(OpenSSLPeer(), "server")], ids=str)
async def test_web_server_closes_first(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(authority, theirs={"http": True}) as us:
        await us.stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
        page = b"".join([data async for data in us.stream])
        assert page.startswith(b"HTTP/1.0 200 ")
        await us.stream.aclose()


# HelloRetryRequest


@peer_role("client")
async def test_hello_retry_request_for_a_group_to_the_peer(
    peer_role: PeerRole, authority: Authority
) -> None:
    tap = Tap()
    async with peer_role.connect(
        authority, ours={"groups": ["secp384r1"]}, theirs={"echo": A_BIT}, tap=tap
    ) as us:
        await us.converse()
        assert us.stream.negotiated.group == "secp384r1"
    assert tap.retried
    assert us.saw.alert is AlertDescription.close_notify


@peer_role("server")
async def test_hello_retry_request_for_a_group_of_the_peer(
    peer_role: PeerRole, authority: Authority
) -> None:
    tap = Tap()
    async with peer_role.connect(
        authority, theirs={"group": "secp384r1", "echo": A_BIT}, tap=tap
    ) as us:
        await us.converse()
        assert us.stream.negotiated.group == "secp384r1"
    assert tap.retried
    assert us.saw.alert is AlertDescription.close_notify


@peer_role("client")
async def test_hello_retry_request_with_a_cookie_to_the_peer(
    peer_role: PeerRole, authority: Authority
) -> None:
    tap = Tap()
    async with peer_role.connect(
        authority, ours={"require_cookie": True}, theirs={"echo": A_BIT}, tap=tap
    ) as us:
        await us.converse()
    assert tap.retried
    assert us.saw.alert is AlertDescription.close_notify


@peer_role("server", needs="cookie")
async def test_hello_retry_request_with_a_cookie_of_the_peer(
    peer_role: PeerRole, authority: Authority
) -> None:
    tap = Tap()
    # OpenSSL 3.0 stumbles over the change_cipher_spec, its own client's too.
    async with peer_role.connect(
        authority,
        ours={"middlebox_compatibility": False},
        theirs={"cookie": True, "echo": A_BIT},
        tap=tap,
    ) as us:
        await us.converse()
    assert tap.retried
    assert us.saw.alert is AlertDescription.close_notify
