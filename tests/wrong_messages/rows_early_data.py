"""Wrong messages with early data (RFC 9846 4.3.10, 4.6)."""

from __future__ import annotations

from deviations import (
    Row,
    along_with,
    body,
    cut_short,
    doubled,
    doubled_in_one_record,
    extension,
    instead,
    interrupted_by,
    missing,
    octets,
    record,
    rows,
    without_extension,
)
from early_peers import (
    MAX_EARLY_DATA,
    EarlyClientPeer,
    EarlyFullServerPeer,
    EarlyRetryingServerPeer,
    EarlyServerPeer,
)
from scripted_peer import DATA, AnyMessage, Peer, header

from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import EndOfEarlyData, HandshakeType, KeyUpdate, encode_message
from trio_tlsx.record.protection import ContentType, record_header

END = encode_message(EndOfEarlyData())
OTHER_TYPES = {
    f"{t.name}-instead": instead(header(t, 1) + b"\0")
    for t in HandshakeType
    if t not in (HandshakeType.end_of_early_data, HandshakeType.message_hash)
}


def under_handshake_keys(peer: Peer, message: AnyMessage) -> None:
    assert isinstance(peer, EarlyClientPeer)
    peer.sealer = peer.handshake_sealer
    peer.send(message)


def behind_the_early_keys(peer: Peer, message: AnyMessage) -> None:
    """Data goes on under the keys that have ended."""
    early = peer.sealer
    peer.send(message)
    assert peer.sealer is early
    peer.send_data()


def without_the_end_in_the_transcript(peer: Peer, message: AnyMessage) -> None:
    """Send EndOfEarlyData, and leave it out of what Finished is made over."""
    peer.record(encode_message(message))


def too_much(peer: Peer, message: AnyMessage) -> None:
    """What came before was within the limit."""
    peer.record(bytes(MAX_EARLY_DATA - len(DATA) + 1), ContentType.application_data)
    peer.send(message)


def replayed(peer: Peer, message: AnyMessage) -> None:
    """A record of early data comes again."""
    assert peer.sealer is not None
    peer.sealer.sequence_number -= 1
    peer.send_data()
    peer.send(message)


ROWS: list[Row] = [
    # EndOfEarlyData
    *rows(
        "4.6",
        [EarlyClientPeer],
        ["end_of_early_data"],
        {
            "missing": missing,
            "doubled": doubled,
            "under-handshake-keys": under_handshake_keys,
            "and-data-behind-it": behind_the_early_keys,
            "replayed-data-before-it": replayed,
        },
        A.bad_record_mac,
    ),
    *rows(
        "4.6",
        [EarlyClientPeer],
        ["end_of_early_data"],
        {
            "too-much-before-it": too_much,
            "doubled-in-one-record": doubled_in_one_record,
            "along-with-a-finished": along_with(header(20, 32) + bytes(32)),
            "along-with-a-key-update": along_with(KeyUpdate(request_update=False)),
            "along-with-one-octet-more": along_with(b"\x14"),
            "interrupted-by-data": interrupted_by(DATA, ContentType.application_data),
            "behind-an-empty-record": record(b"", ContentType.handshake),
            "behind-a-record-of-zeros": record(b"", 0, 4),
            "in-the-clear": octets(record_header(ContentType.handshake, 4) + END),
            **OTHER_TYPES,
        },
        A.unexpected_message,
    ),
    *rows(
        "4.6",
        [EarlyClientPeer],
        ["end_of_early_data"],
        {"with-a-body": body(lambda _: b"\0")},
        A.decode_error,
    ),
    *rows(
        "4.1",
        [EarlyClientPeer],
        ["end_of_early_data"],
        {"not-in-the-transcript": without_the_end_in_the_transcript},
        A.decrypt_error,
    ),
    *rows(
        "4.6",
        [EarlyClientPeer],
        ["finished"],
        {
            "behind-another-end": lambda peer, message: peer.send(END, message),
            "behind-data": record(DATA, ContentType.application_data),
        },
        A.unexpected_message,
    ),
    *rows(
        "4.6",
        [EarlyServerPeer],
        ["encrypted_extensions", "finished", "new_session_ticket", "key_update"],
        {"end-of-early-data-of-a-server": instead(END)},
        A.unexpected_message,
    ),
    # early_data
    *rows(
        "4.3.10",
        [EarlyClientPeer],
        ["client_hello"],
        {"early_data-with-a-body": extension(E.early_data, b"\0")},
        A.decode_error,
    ),
    *rows(
        "4.3.10",
        [EarlyServerPeer],
        ["encrypted_extensions"],
        {
            "early_data-with-a-body": extension(E.early_data, b"\0"),
            "early_data-of-a-ticket": extension(E.early_data, bytes(4)),
            "early_data-cut-short": cut_short,
        },
        A.decode_error,
    ),
    *rows(
        "4.3.10",
        [EarlyServerPeer],
        ["encrypted_extensions"],
        {
            "early_data-of-another-protocol": without_extension(
                E.application_layer_protocol_negotiation
            )
        },
        A.illegal_parameter,
    ),
    *rows(
        "4.3.10",
        [EarlyFullServerPeer],
        ["encrypted_extensions"],
        {"early_data-without-the-session": extension(E.early_data, b"")},
        A.illegal_parameter,
    ),
    *rows(
        "4.3.10",
        [EarlyRetryingServerPeer],
        ["encrypted_extensions"],
        {"early_data-that-was-not-offered-again": extension(E.early_data, b"")},
        A.unsupported_extension,
    ),
    *rows(
        "4.3.11",
        [EarlyServerPeer],
        ["server_hello"],
        {"chooses-another-key": extension(E.pre_shared_key, b"\0\1")},
        A.illegal_parameter,
    ),
]
