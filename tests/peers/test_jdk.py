"""Behavior of a JDK that no other peer has."""

from __future__ import annotations

import pytest
from authority import Authority
from conversations import PeerRole
from java_peer import JavaPeer

from trio_tlsx.errors import AlertDescription
from trio_tlsx.messages.handshake import KeyUpdate
from trio_tlsx.record.key_update import MAX_KEY_UPDATES, KeyUpdates

A_BIT = 1000  # bytes
A_LOT = 2**22

jdk = pytest.mark.parametrize(
    "peer_role", [PeerRole(JavaPeer(), "client"), PeerRole(JavaPeer(), "server")], ids=str
)


@jdk
@pytest.mark.parametrize("echo", [0, A_BIT])
@pytest.mark.parametrize("tls12_only", [False, True])
async def test_close_with_user_canceled_is_a_clean_end(
    peer_role: PeerRole, authority: Authority, echo: int, tls12_only: bool
) -> None:
    theirs = {"echo": echo, "cancels": True, "tls12_only": tls12_only}
    async with peer_role.connect(authority, theirs=theirs) as us:
        await us.talk()
        assert await us.stream.receive_some() == b""
        await us.stream.aclose()


@jdk
async def test_key_updates_with_every_record_at_the_key_limit(
    peer_role: PeerRole, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They pile up while we send, and are read only after the whole transfer was sent."""
    received: list[KeyUpdate] = []
    receive = KeyUpdates.receive

    def noted(self: KeyUpdates, key_update: KeyUpdate, *, may_answer: bool) -> None:
        receive(self, key_update, may_answer=may_answer)
        received.append(key_update)

    monkeypatch.setattr(KeyUpdates, "receive", noted)
    async with peer_role.connect(authority, theirs={"echo": A_LOT, "key_limit": "2^20"}) as us:
        await us.converse()
    assert len(received) > MAX_KEY_UPDATES
    assert us.saw.alert is AlertDescription.close_notify
