"""Signed certificate timestamps (RFC 6962): requested, sent, and passed to hooks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hook_pairs import NAME, over_memory, run_handshake

from trio_tlsx import ClientConfig, ConfigError, Credentials, Peer, ServerConfig
from trio_tlsx.testing import CA

pytestmark = pytest.mark.usefixtures("each_version")

TIMESTAMPS = (b"one log's", b"another's")


@pytest.fixture(scope="module")
def stamped(ca: CA) -> Credentials:
    return ca.issue(NAME).with_timestamps(TIMESTAMPS)


async def seen(client: ClientConfig, server: ServerConfig) -> Peer:
    """What the client's verify is shown."""
    peers: list[Peer] = []
    for side in await run_handshake(
        replace(client, verify=peers.append), server, await over_memory()
    ):
        side.settled()
    return peers[0]


async def test_timestamps_for_a_client_that_asks(ca: CA, stamped: Credentials) -> None:
    peer = await seen(
        ClientConfig(trust=ca.trust, timestamps=True),
        ServerConfig(credentials=stamped.stapling(b"response")),
    )
    assert peer.timestamps == TIMESTAMPS
    assert peer.ocsp_response == b"response"


async def test_timestamps_for_no_other_client(ca: CA, stamped: Credentials) -> None:
    peer = await seen(ClientConfig(trust=ca.trust), ServerConfig(credentials=stamped))
    assert peer.timestamps == ()


async def test_timestamps_of_a_server_without_any(ca: CA) -> None:
    peer = await seen(
        ClientConfig(trust=ca.trust, timestamps=True), ServerConfig(credentials=ca.issue(NAME))
    )
    assert peer.timestamps == ()


async def test_ocsp_response_can_be_declined(ca: CA, stamped: Credentials) -> None:
    peer = await seen(
        ClientConfig(trust=ca.trust, ocsp_stapling=False),
        ServerConfig(credentials=stamped.stapling(b"response")),
    )
    assert peer.ocsp_response is None


@pytest.mark.parametrize("timestamps", [(b"",), (b"a", b""), (bytes(2**16 - 4),)], ids=len)
def test_timestamps_that_are_too_long_are_rejected(ca: CA, timestamps: tuple[bytes, ...]) -> None:
    credentials = ca.issue(NAME)
    with pytest.raises(ConfigError, match="is empty, or all together are longer than"):
        credentials.with_timestamps(timestamps)
    assert credentials.timestamps == ()
