"""Handshake messages split over records at any byte, and joined in one record."""

from __future__ import annotations

import pytest
from scripted_clients import AnyPeer, CertifiedClientPeer, CompressingClientPeer, RetriedClientPeer
from scripted_peer import DATA, TYPE_AT, AnyMessage, Peer
from scripted_servers import AskingServerPeer, CompressingServerPeer, RetryingServerPeer

from trio_tlsx.messages.handshake import encode_message

MAX_CUTS = 2000

PLACES = [
    *((AskingServerPeer, place) for place in AskingServerPeer.places),
    *((CertifiedClientPeer, place) for place in CertifiedClientPeer.places),
    (RetryingServerPeer, "hello_retry_request"),
    (RetriedClientPeer, "second_client_hello"),
    (CompressingServerPeer, "compressed_certificate"),
    (CompressingClientPeer, "compressed_certificate"),
]


def gets_through(make: type[AnyPeer], **deviations: object) -> bool:
    peer = make(deviations)  # pyright: ignore[reportArgumentType]
    peer.run()
    return peer.failure is None and peer.received.endswith(DATA)


@pytest.mark.parametrize(("make", "place"), PLACES)
def test_handshake_message_cut_anywhere_is_accepted(make: type[AnyPeer], place: str) -> None:
    length = 0

    def cut_at(position: int) -> object:
        def deviation(peer: Peer, message: AnyMessage) -> None:
            nonlocal length
            octets = encode_message(message)
            length = len(octets)
            peer.transcript.add(octets)
            cut = min(position, length - 1)  # signatures are not always equally long
            peer.record(octets[:cut])
            peer.record(octets[cut:])

        return deviation

    position = 1
    while position == 1 or position < length:
        assert position < MAX_CUTS
        assert gets_through(make, **{place: cut_at(position)}), position
        # Each octet of what is at the front; then in steps that fall on everything else in turn.
        position += 1 if position < 64 else 7


@pytest.mark.parametrize(("make", "place"), PLACES)
def test_handshake_message_in_one_octet_records_is_accepted(
    make: type[AnyPeer], place: str
) -> None:
    def deviation(peer: Peer, message: AnyMessage) -> None:
        octets = encode_message(message)
        peer.transcript.add(octets)
        for at in range(len(octets)):
            peer.record(octets[at : at + 1], padding=at % 3)

    assert gets_through(make, **{place: deviation})
    assert TYPE_AT[place]


def test_flight_in_one_record_is_accepted() -> None:
    held: list[AnyMessage] = []

    def hold(peer: Peer, message: AnyMessage) -> None:
        held.append(message)
        peer.transcript.add(encode_message(message))

    def let_go(peer: Peer, message: AnyMessage) -> None:
        peer.transcript.add(encode_message(message))
        peer.record(b"".join(encode_message(m) for m in (*held, message)))

    flight = AskingServerPeer.places[1:5]
    assert flight[-1] == "certificate_verify"
    deviations: dict[str, object] = dict.fromkeys(flight[:-1], hold)
    assert gets_through(AskingServerPeer, **deviations, certificate_verify=let_go)
    assert len(held) == 3
