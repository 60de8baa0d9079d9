"""Without a deviation the engine accepts the scripted peers: it rejects only the deviation."""

from __future__ import annotations

import pytest
from early_peers import (
    EarlyClientPeer,
    EarlyFullServerPeer,
    EarlyRetryingServerPeer,
    EarlyServerPeer,
)
from rows_psks import PskClientPeer, PskServerPeer, RetriedPskClientPeer, RetryingPskServerPeer
from rows_tickets import (
    ResumedClientPeer,
    ResumingServerPeer,
    RetriedResumedClientPeer,
    RetryingResumingServerPeer,
)
from scripted_clients import (
    AnyPeer,
    CertifiedClientPeer,
    ClientPeer,
    CompressingClientPeer,
    RetriedClientPeer,
    UncookiedClientPeer,
)
from scripted_peer import DATA
from scripted_peers12 import (
    AskingServerPeer12,
    CertifiedClientPeer12,
    ClientPeer12,
    OldServerPeer12,
    ResumingServerPeer12,
    ServerPeer12,
)
from scripted_servers import (
    AskingServerPeer,
    CompressingServerPeer,
    RetryingServerPeer,
    ServerPeer,
)

PEERS = [
    ServerPeer,
    AskingServerPeer,
    RetryingServerPeer,
    ClientPeer,
    CertifiedClientPeer,
    RetriedClientPeer,
    UncookiedClientPeer,
    PskServerPeer,
    RetryingPskServerPeer,
    PskClientPeer,
    RetriedPskClientPeer,
    EarlyServerPeer,
    EarlyFullServerPeer,
    EarlyRetryingServerPeer,
    ResumingServerPeer,
    RetryingResumingServerPeer,
    ResumedClientPeer,
    RetriedResumedClientPeer,
    CompressingServerPeer,
    CompressingClientPeer,
]


@pytest.mark.parametrize("octet_by_octet", [False, True])
@pytest.mark.parametrize("make", PEERS)
def test_scripted_peer_without_deviation_is_accepted(
    make: type[AnyPeer], octet_by_octet: bool
) -> None:
    peer = make({}, octet_by_octet=octet_by_octet)
    peer.run()
    assert peer.failure is None
    assert peer.alerts == []
    assert peer.received == DATA * (3 if isinstance(peer, ServerPeer) else 2)


PEERS_12 = [
    ServerPeer12,
    AskingServerPeer12,
    OldServerPeer12,
    ResumingServerPeer12,
    ClientPeer12,
    CertifiedClientPeer12,
]


@pytest.mark.parametrize("octet_by_octet", [False, True])
@pytest.mark.parametrize("make", PEERS_12)
def test_scripted_peer_of_tls_1_2_without_deviation_is_accepted(
    make: type[ServerPeer12 | ClientPeer12], octet_by_octet: bool
) -> None:
    peer = make({}, octet_by_octet=octet_by_octet)
    peer.run()
    assert peer.failure is None
    assert peer.alerts == []
    assert peer.received == DATA * 2
    assert peer.engine.negotiated.version == "TLSv1.2"


@pytest.mark.parametrize("octet_by_octet", [False, True])
def test_scripted_client_with_early_data_is_accepted(octet_by_octet: bool) -> None:
    peer = EarlyClientPeer({}, octet_by_octet=octet_by_octet)
    peer.run()
    assert peer.failure is None
    assert peer.alerts == []
    assert peer.received == DATA * 4
    assert peer.engine.negotiated.early_data_accepted
