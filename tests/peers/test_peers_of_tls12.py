"""TLS 1.2 with other implementations that have nothing newer."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from authority import RSA_PSS, Authority
from conversations import BLOCK, PeerRole, assert_resumes
from matrix import peer_role, peer_role_and
from peer import EXPORTED_LENGTH

from trio_tlsx.crypto.cipher_suites12 import CIPHER_SUITES_12
from trio_tlsx.errors import AlertDescription, Truncated
from trio_tlsx.sessions.ticket_store import MemoryTicketStore

A_BIT = 1000  # bytes
LABEL = "EXPERIMENTAL trio-tlsx"

BOTH_VERSIONS = ("TLSv1.3", "TLSv1.2")
OURS = {"versions": BOTH_VERSIONS}
THEIRS = {"tls12_only": True, "echo": A_BIT}

#: The key types, and the kind of cipher suite that each fits.
KEY_TYPES = {
    "P-256": "ECDSA",
    "P-384": "ECDSA",
    "P-521": "ECDSA",
    "ed25519": "ECDSA",
    "ed448": "ECDSA",
    "RSA-2048": "RSA",
    RSA_PSS: "RSA",
}
GROUPS = ["x25519", "secp256r1", "secp384r1", "secp521r1"]


@peer_role_and("key_type", KEY_TYPES, needs="{} in TLS 1.2")
async def test_each_cipher_suite_and_group_with_each_key_type(
    peer_role: PeerRole, key_type: str, authority: Authority
) -> None:
    kind = KEY_TYPES[key_type]
    suites = [suite.name for suite in CIPHER_SUITES_12.values() if suite.authentication == kind]
    async with peer_role.prepare(
        authority,
        key_type=key_type,
        ours={**OURS, "groups": GROUPS, **without_resumption(peer_role)},
        theirs={**THEIRS, "connections": len(suites)},
    ) as known:
        for suite, group in zip(suites, GROUPS, strict=False):
            # The certificate of an ECDSA key is in a group, which the client must have too.
            groups = [group] if kind == "RSA" else GROUPS
            async with known.connect(cipher_suites=[suite], groups=groups) as us:
                await us.converse()
                negotiated = us.stream.negotiated
                assert (negotiated.version, negotiated.cipher_suite) == ("TLSv1.2", suite)
                assert negotiated.group in groups
    assert {saw.alert for saw in known.saw} == {AlertDescription.close_notify}


def without_resumption(peer_role: PeerRole) -> dict[str, Any]:
    return {"resumption": False} if peer_role.role == "server" else {"tickets": 0}


@peer_role("client", "server")
async def test_resumption_in_tls12(peer_role: PeerRole, authority: Authority) -> None:
    theirs = {**THEIRS, "connections": 3}
    async with peer_role.prepare(authority, ours=OURS, theirs=theirs) as known:
        await assert_resumes(known, peer_role.role, authority)
    assert [saw.resumed for saw in known.saw] == [False, True, True]
    assert {saw.alert for saw in known.saw} == {AlertDescription.close_notify}


@peer_role("client", "server", needs="session ids")
async def test_resumption_by_session_id(peer_role: PeerRole, authority: Authority) -> None:
    ours = {**OURS, "ticket_store": MemoryTicketStore()} if peer_role.role == "client" else OURS
    theirs = {**THEIRS, "session_ids": True, "connections": 3}
    async with peer_role.prepare(authority, ours=ours, theirs=theirs) as known:
        await assert_resumes(known, peer_role.role, authority)
    assert [saw.resumed for saw in known.saw] == [False, True, True]
    assert {saw.alert for saw in known.saw} == {AlertDescription.close_notify}


@peer_role("client")
async def test_client_certificate_of_the_peer_and_alpn_in_tls12(
    peer_role: PeerRole, authority: Authority
) -> None:
    for key_type in ("P-256", "RSA-2048"):
        async with peer_role.connect(
            authority,
            key_type=key_type,
            ours={
                **OURS,
                "alpn_protocols": ["h2", "http/1.1"],
                "client_auth": "required",
                "client_trust": authority.ca.trust,
            },
            theirs={
                **THEIRS,
                "alpn_protocols": ("other", "http/1.1"),
                "credentials": authority.files(key_type),
            },
        ) as us:
            await us.converse()
            negotiated = us.stream.negotiated
            assert negotiated.peer_certificates[0] == authority.credentials(key_type).chain[0]
            assert negotiated.alpn_protocol == "http/1.1"
        assert us.saw.alert is AlertDescription.close_notify


@peer_role("server")
async def test_client_certificate_of_ours_and_alpn_in_tls12(
    peer_role: PeerRole, authority: Authority
) -> None:
    for key_type in ("P-256", "RSA-2048"):
        async with peer_role.connect(
            authority,
            # wolfSSL asks for a key of the kind that its own is of.
            key_type=key_type,
            ours={
                **OURS,
                "alpn_protocols": ["h2", "http/1.1"],
                "credentials": authority.credentials(key_type),
            },
            theirs={
                **THEIRS,
                "alpn_protocols": ("other", "http/1.1"),
                "trust": authority.ca_file,
            },
        ) as us:
            await us.converse()
            assert us.stream.negotiated.alpn_protocol == "http/1.1"
        assert us.saw.alert is AlertDescription.close_notify


@peer_role("client", "server", needs="export")
async def test_exported_keying_material_of_tls12_equals_the_peers(
    peer_role: PeerRole, authority: Authority
) -> None:
    async with peer_role.connect(authority, ours=OURS, theirs={**THEIRS, "exports": LABEL}) as us:
        await us.converse()
        exported = us.stream.export_keying_material(LABEL, EXPORTED_LENGTH)
    assert us.saw.exported == exported


# Ends


@peer_role("client", "server")
async def test_64_mib_each_way_at_once_in_tls12(peer_role: PeerRole, authority: Authority) -> None:
    # tlslite-ng encrypts in pure Python.
    blocks = 4 if peer_role.peer.name == "tlslite" else 1025
    theirs = {"tls12_only": True, "echo": blocks * BLOCK, "streams": True}
    async with peer_role.connect(authority, ours=OURS, theirs=theirs) as us:
        await us.talk_at_once()
        await us.close()
    if peer_role.peer.name != "openssl":
        assert us.saw.alert is AlertDescription.close_notify


@peer_role("client", "server", needs="close first")
async def test_peer_closes_first_in_tls12(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(
        authority, ours=OURS, theirs={**THEIRS, "closes_first": True}
    ) as us:
        await us.converse()


@peer_role("client", "server", needs="leave")
async def test_peer_leaves_without_close_notify_in_tls12(
    peer_role: PeerRole, authority: Authority
) -> None:
    async with peer_role.connect(authority, ours=OURS, theirs={**THEIRS, "leaves": True}) as us:
        await us.talk()
        with pytest.raises(trio.BrokenResourceError) as caught:
            await us.stream.receive_some()
        assert isinstance(caught.value.__cause__, Truncated)


# Refusals


@peer_role("server")
async def test_we_refuse_a_server_of_another_ca_in_tls12(
    peer_role: PeerRole, authority: Authority, stranger: Authority
) -> None:
    async with peer_role.connect(
        authority, ours={**OURS, "trust": stranger.ca.trust}, theirs={"tls12_only": True}
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.unknown_ca)
    assert us.saw.alert is AlertDescription.unknown_ca


@peer_role("client")
async def test_we_refuse_a_client_without_certificate_in_tls12(
    peer_role: PeerRole, authority: Authority
) -> None:
    """RFC 5246 7.4.6 has no alert of its own for it, as TLS 1.3 has."""
    ours = {**OURS, "client_auth": "required", "client_trust": authority.ca.trust}
    async with peer_role.connect(authority, ours=ours, theirs={"tls12_only": True}) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.handshake_failure)
    assert us.saw.alert is AlertDescription.handshake_failure


@peer_role("client", needs="wrong CA")
async def test_peer_refuses_our_ca_in_tls12(
    peer_role: PeerRole, authority: Authority, stranger: Authority
) -> None:
    theirs = {"tls12_only": True, "trust": stranger.ca_file, "refuses": True}
    async with peer_role.connect(authority, ours=OURS, theirs=theirs) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("peer", AlertDescription.unknown_ca)
