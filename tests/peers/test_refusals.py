"""What one side refuses, and which alert the other side gets for it."""

from __future__ import annotations

from authority import Authority
from conversations import Opposite
from matrix import opposite

from trio_tlsx.errors import AlertDescription

# We refuse


@opposite("server")
async def test_we_refuse_a_server_of_another_ca(
    opposite: Opposite, authority: Authority, stranger: Authority
) -> None:
    async with opposite.meet(authority, ours={"trust": stranger.ca.trust}) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.unknown_ca)
    assert us.saw.alert is AlertDescription.unknown_ca


@opposite("server")
async def test_we_refuse_a_server_of_another_name(
    opposite: Opposite, authority: Authority
) -> None:
    async with opposite.meet(authority, ours={"server_hostname": "other.example"}) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.bad_certificate)
    assert us.saw.alert is AlertDescription.bad_certificate


@opposite("client")
async def test_we_refuse_a_client_of_another_ca(
    opposite: Opposite, authority: Authority, stranger: Authority
) -> None:
    async with opposite.meet(
        authority,
        ours={"client_auth": "required", "client_trust": authority.ca.trust},
        theirs={"credentials": stranger.files()},
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.unknown_ca)
    assert us.saw.alert is AlertDescription.unknown_ca


@opposite("client")
async def test_we_refuse_a_client_without_certificate(
    opposite: Opposite, authority: Authority
) -> None:
    async with opposite.meet(
        authority, ours={"client_auth": "required", "client_trust": authority.ca.trust}
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.certificate_required)
    assert us.saw.alert is AlertDescription.certificate_required


@opposite("client")
async def test_we_refuse_a_client_of_tls12(opposite: Opposite, authority: Authority) -> None:
    async with opposite.meet(authority, theirs={"tls12_only": True}) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.protocol_version)
    assert us.saw.alert is AlertDescription.protocol_version


@opposite("client")
async def test_we_refuse_application_protocols(opposite: Opposite, authority: Authority) -> None:
    async with opposite.meet(
        authority, ours={"alpn_protocols": ["h2"]}, theirs={"alpn_protocols": ("other",)}
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.no_application_protocol)
    assert us.saw.alert is AlertDescription.no_application_protocol


@opposite("client")
async def test_we_refuse_groups(opposite: Opposite, authority: Authority) -> None:
    async with opposite.meet(
        authority, ours={"groups": ["x25519"]}, theirs={"group": "secp384r1"}
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.handshake_failure)
    assert us.saw.alert is AlertDescription.handshake_failure


# The peer refuses


@opposite("client", needs="wrong CA")
async def test_peer_refuses_our_ca(
    opposite: Opposite, authority: Authority, stranger: Authority
) -> None:
    async with opposite.meet(authority, theirs={"trust": stranger.ca_file, "refuses": True}) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("peer", AlertDescription.unknown_ca)


@opposite("client", needs="wrong name")
async def test_peer_refuses_our_name(opposite: Opposite, authority: Authority) -> None:
    async with opposite.meet(
        authority, theirs={"server_name": "other.example", "refuses": True}
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("peer", AlertDescription.bad_certificate)


@opposite("server", needs="wrong CA")
async def test_peer_refuses_our_client_certificate(
    opposite: Opposite, authority: Authority, stranger: Authority
) -> None:
    async with opposite.meet(
        authority,
        ours={"credentials": stranger.credentials()},
        theirs={"trust": authority.ca_file, "refuses": True},
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("peer", AlertDescription.unknown_ca)


@opposite("server")
async def test_peer_refuses_our_groups(opposite: Opposite, authority: Authority) -> None:
    async with opposite.meet(
        authority, ours={"groups": ["x25519"]}, theirs={"group": "secp384r1"}
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("peer", AlertDescription.handshake_failure)
