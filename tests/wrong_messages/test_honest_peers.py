"""Without a deviation the engine accepts the scripted peers: it rejects only the deviation."""

from __future__ import annotations

import pytest
from early_peers import (
    EarlyClientPeer,
    EarlyFullServerPeer,
    EarlyRetryingServerPeer,
    EarlyServerPeer,
)
from rows_certificate_with_psk import (
    AnySelectionServerPeer,
    BothClientPeer,
    BothServerPeer,
    RetriedBothClientPeer,
    RetryingBothServerPeer,
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
from scripted_ech import (
    OTHER_KEY,
    AcceptingRetryingServerPeer,
    AcceptingServerPeer,
    EncryptingClientPeer,
    EncryptingRetriedClientPeer,
    GreasedRetryingServerPeer,
    GreasedServerPeer,
    RejectingRetryingServerPeer,
    RejectingServerPeer,
)
from scripted_peer import DATA, AnyMessage, Peer
from scripted_peers12 import (
    AskingServerPeer12,
    CertifiedClientPeer12,
    ClientPeer12,
    OldServerPeer12,
    ResumingServerPeer12,
    ServerPeer12,
)
from scripted_raw_keys import (
    RawClientPeer,
    RawClientPeer12,
    RawServerPeer,
    RawServerPeer12,
)
from scripted_servers import (
    AskingServerPeer,
    CompressingServerPeer,
    RetryingServerPeer,
    ServerPeer,
)
from scripted_sessions12 import (
    ResumingClientPeer12,
    StaplingServerPeer12,
    TicketClientPeer12,
    TicketServerPeer12,
)

from trio_tlsx.errors import ECHRejected
from trio_tlsx.messages.handshake import encode_message
from trio_tlsx.messages.handshake12 import HelloRequest
from trio_tlsx.record.protection import ContentType

PEERS = [
    ServerPeer,
    RawServerPeer,
    RawClientPeer,
    RawServerPeer12,
    RawClientPeer12,
    AskingServerPeer,
    RetryingServerPeer,
    ClientPeer,
    CertifiedClientPeer,
    RetriedClientPeer,
    UncookiedClientPeer,
    BothServerPeer,
    RetryingBothServerPeer,
    AnySelectionServerPeer,
    BothClientPeer,
    RetriedBothClientPeer,
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
    AcceptingServerPeer,
    AcceptingRetryingServerPeer,
    GreasedServerPeer,
    GreasedRetryingServerPeer,
    EncryptingClientPeer,
    EncryptingRetriedClientPeer,
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


@pytest.mark.parametrize("octet_by_octet", [False, True])
@pytest.mark.parametrize("make", [RejectingServerPeer, RejectingRetryingServerPeer])
def test_scripted_server_that_rejects_ech_is_believed(
    make: type[RejectingServerPeer], octet_by_octet: bool
) -> None:
    peer = make({}, octet_by_octet=octet_by_octet)
    peer.run()
    assert isinstance(peer.failure, ECHRejected)
    assert peer.failure.retry_configs == OTHER_KEY.config_list
    assert peer.received == b""


PEERS_12 = [
    ServerPeer12,
    AskingServerPeer12,
    OldServerPeer12,
    ResumingServerPeer12,
    ClientPeer12,
    CertifiedClientPeer12,
    StaplingServerPeer12,
    TicketServerPeer12,
    TicketClientPeer12,
    ResumingClientPeer12,
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


HELLO_REQUEST = encode_message(HelloRequest())


def hello_request_before(peer: Peer, message: AnyMessage) -> None:
    """It is no part of the transcript (RFC 5246 7.4.1.1)."""
    peer.record(HELLO_REQUEST)
    peer.send(message)


def hello_request_before_change_cipher_spec(peer: Peer, _: AnyMessage) -> None:
    peer.record(HELLO_REQUEST)
    peer.record(b"\x01", ContentType.change_cipher_spec)


@pytest.mark.parametrize("octet_by_octet", [False, True])
@pytest.mark.parametrize(
    ("make", "place"),
    [
        (make, place)
        for make in (AskingServerPeer12, TicketServerPeer12, ResumingServerPeer12)
        for place in make.places[:-1]
    ],
)
def test_client_of_tls_1_2_ignores_a_hello_request_in_the_handshake(
    make: type[ServerPeer12], place: str, octet_by_octet: bool
) -> None:
    """RFC 5246 7.4: it may come at any time, even where change_cipher_spec must come next."""
    is_change = place == "change_cipher_spec"
    deviation = hello_request_before_change_cipher_spec if is_change else hello_request_before
    peer = make({place: deviation}, octet_by_octet=octet_by_octet)
    peer.run()
    assert peer.failure is None
    assert peer.alerts == []
    assert peer.received == DATA * 2


@pytest.mark.parametrize("octet_by_octet", [False, True])
def test_scripted_client_with_early_data_is_accepted(octet_by_octet: bool) -> None:
    peer = EarlyClientPeer({}, octet_by_octet=octet_by_octet)
    peer.run()
    assert peer.failure is None
    assert peer.alerts == []
    assert peer.received == DATA * 4
    assert peer.engine.negotiated.early_data_accepted
