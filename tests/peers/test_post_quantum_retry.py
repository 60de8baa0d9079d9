"""HelloRetryRequests for a post-quantum group, with peers that have one."""

from __future__ import annotations

import pytest
from authority import Authority
from conversations import PeerRole, Tap
from go_peer import GoPeer
from tlslite_peer import TLSLitePeer

from trio_tlsx.errors import AlertDescription

A_BIT = 1000  # bytes
HYBRID = "X25519MLKEM768"


@pytest.mark.parametrize("retry_for_group", ["post_quantum", "never"])
async def test_tlslite_follows_a_retry_for_a_post_quantum_group(
    retry_for_group: str, authority: Authority
) -> None:
    """Its client supports the group, and sends a key share for another."""
    tap = Tap()
    ours = {"retry_for_group": retry_for_group}
    theirs = {"key_share": "x25519", "echo": A_BIT}
    async with PeerRole(TLSLitePeer(), "client").connect(
        authority, ours=ours, theirs=theirs, tap=tap
    ) as us:
        await us.converse()
        wanted = HYBRID if retry_for_group == "post_quantum" else "x25519"
        assert us.stream.negotiated.group == wanted
    assert tap.retried == (retry_for_group == "post_quantum")
    assert us.saw.alert is AlertDescription.close_notify


@pytest.mark.parametrize("peer_role", [PeerRole(GoPeer(), "server")], ids=str)
async def test_go_retries_for_a_post_quantum_group(
    peer_role: PeerRole, authority: Authority
) -> None:
    """Its server does as ours does."""
    tap = Tap()
    async with peer_role.connect(
        authority, ours={"key_shares": ["x25519"]}, theirs={"echo": A_BIT}, tap=tap
    ) as us:
        await us.converse()
        assert us.stream.negotiated.group == HYBRID
    assert tap.retried
    assert us.saw.alert is AlertDescription.close_notify
