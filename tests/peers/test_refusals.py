"""Rejected handshakes with other implementations, and the alert that the other side receives."""

from __future__ import annotations

from authority import Authority
from conversations import PeerRole
from matrix import peer_role

from trio_tlsx.errors import AlertDescription

# We refuse


@peer_role("server")
async def test_we_refuse_a_server_of_another_ca(
    peer_role: PeerRole, authority: Authority, stranger: Authority
) -> None:
    async with peer_role.connect(authority, ours={"trust": stranger.ca.trust}) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.unknown_ca)
    assert us.saw.alert is AlertDescription.unknown_ca


@peer_role("server")
async def test_we_refuse_a_server_of_another_name(
    peer_role: PeerRole, authority: Authority
) -> None:
    async with peer_role.connect(authority, ours={"server_hostname": "other.example"}) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.bad_certificate)
    assert us.saw.alert is AlertDescription.bad_certificate


@peer_role("client")
async def test_we_refuse_a_client_of_another_ca(
    peer_role: PeerRole, authority: Authority, stranger: Authority
) -> None:
    async with peer_role.connect(
        authority,
        ours={"client_auth": "required", "client_trust": authority.ca.trust},
        theirs={"credentials": stranger.files()},
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.unknown_ca)
    assert us.saw.alert is AlertDescription.unknown_ca


@peer_role("client")
async def test_we_refuse_a_client_without_certificate(
    peer_role: PeerRole, authority: Authority
) -> None:
    async with peer_role.connect(
        authority, ours={"client_auth": "required", "client_trust": authority.ca.trust}
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.certificate_required)
    assert us.saw.alert is AlertDescription.certificate_required


@peer_role("client")
async def test_we_refuse_a_client_of_tls12(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(
        authority, ours={"versions": ["TLSv1.3"]}, theirs={"tls12_only": True}
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.protocol_version)
    assert us.saw.alert is AlertDescription.protocol_version


@peer_role("client")
async def test_we_refuse_application_protocols(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(
        authority, ours={"alpn_protocols": ["h2"]}, theirs={"alpn_protocols": ("other",)}
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.no_application_protocol)
    assert us.saw.alert is AlertDescription.no_application_protocol


@peer_role("client")
async def test_we_refuse_groups(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(
        authority, ours={"groups": ["x25519"]}, theirs={"group": "secp384r1"}
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.handshake_failure)
    assert us.saw.alert is AlertDescription.handshake_failure


# The peer refuses


@peer_role("client", needs="wrong CA")
async def test_peer_refuses_our_ca(
    peer_role: PeerRole, authority: Authority, stranger: Authority
) -> None:
    async with peer_role.connect(
        authority, theirs={"trust": stranger.ca_file, "refuses": True}
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("peer", AlertDescription.unknown_ca)


@peer_role("client", needs="wrong name")
async def test_peer_refuses_our_name(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(
        authority, theirs={"server_name": "other.example", "refuses": True}
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("peer", AlertDescription.bad_certificate)


@peer_role("server", needs="wrong CA")
async def test_peer_refuses_our_client_certificate(
    peer_role: PeerRole, authority: Authority, stranger: Authority
) -> None:
    async with peer_role.connect(
        authority,
        ours={"credentials": stranger.credentials()},
        theirs={"trust": authority.ca_file, "refuses": True},
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("peer", AlertDescription.unknown_ca)


@peer_role("server", needs="wrong groups")
async def test_peer_refuses_our_groups(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(
        authority, ours={"groups": ["x25519"]}, theirs={"group": "secp384r1"}
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("peer", AlertDescription.handshake_failure)
