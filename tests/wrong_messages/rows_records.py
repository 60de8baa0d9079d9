"""Wrong records: too long, empty, of a wrong type, not encrypted, altered."""

from __future__ import annotations

from collections.abc import Iterator

from deviations import Row, interrupted_by, octets, record, rows
from scripted_clients import CertifiedClientPeer, RetriedClientPeer
from scripted_peer import DATA, AnyMessage, Deviation, Peer, header
from scripted_servers import AskingServerPeer, RetryingServerPeer

from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages.alerts import WARNING
from trio_tlsx.messages.handshake import encode_message
from trio_tlsx.record.message_reader import MAX_RECORDS_PER_MESSAGE
from trio_tlsx.record.protection import (
    MAX_CIPHERTEXT_LENGTH,
    MAX_PLAINTEXT_LENGTH,
    ContentType,
    record_header,
)

T = ContentType
PEERS = (AskingServerPeer, CertifiedClientPeer)
RETRIES = (RetryingServerPeer, RetriedClientPeer)

IN_THE_CLEAR = ("server_hello", "client_hello")
SECOND_IN_THE_CLEAR = ("hello_retry_request", "second_client_hello")
#: One place under handshake keys and one under those of the application, for either role.
SEALED = ("encrypted_extensions", "certificate", "finished", "key_update")
HANDSHAKING = ("encrypted_extensions", "certificate_request", "certificate", "finished")
AFTERWARDS = ("new_session_ticket", "key_update")

CLOSE_NOTIFY = bytes((WARNING, A.close_notify))


def in_the_clear(content: bytes, content_type: int) -> bytes:
    return record_header(content_type, len(content)) + content


def too_much_inside(peer: Peer, message: AnyMessage) -> None:
    peer.record(bytes(MAX_PLAINTEXT_LENGTH + 1), T.application_data)


def too_much_padding(peer: Peer, message: AnyMessage) -> None:
    peer.record(encode_message(message), padding=MAX_PLAINTEXT_LENGTH)


def altered_at(position: int) -> Deviation:
    def deviation(peer: Peer, message: AnyMessage) -> None:
        assert peer.sealer is not None
        sealed = bytearray(peer.sealer.seal(T.handshake, encode_message(message)))
        sealed[position] ^= 1
        peer.octets(bytes(sealed))

    return deviation


def one_left_out(peer: Peer, message: AnyMessage) -> None:
    assert peer.sealer is not None
    peer.sealer.sequence_number += 1
    peer.send(message)


def cut_off_tag(peer: Peer, message: AnyMessage) -> None:
    assert peer.sealer is not None
    sealed = peer.sealer.seal(T.handshake, encode_message(message))
    peer.octets(record_header(T.application_data, len(sealed) - 6) + sealed[5:-1])


def swapped(peer: Peer, message: AnyMessage) -> None:
    assert peer.sealer is not None
    first = peer.sealer.seal(T.handshake, encode_message(message)[:2])
    peer.octets(peer.sealer.seal(T.handshake, encode_message(message)[2:]) + first)


def under_the_next_keys(peer: Peer, message: AnyMessage) -> None:
    assert peer.sealer is not None
    peer.sealer.update()
    peer.send(message)


ALTERED = {
    "altered-in-its-first-octet": altered_at(5),
    "altered-in-its-last-octet": altered_at(-1),
    "altered-in-its-tag": altered_at(-16),
    "altered-in-its-version": altered_at(2),
    "altered-in-the-middle": altered_at(7),
    "left-out-before": one_left_out,
    "swapped": swapped,
    "without-the-end-of-its-tag": cut_off_tag,
    "under-the-next-keys": under_the_next_keys,
    "ciphertext-of-zeros": octets(in_the_clear(bytes(40), T.application_data)),
    "ciphertext-shorter-than-a-tag": octets(in_the_clear(bytes(15), T.application_data)),
    "ciphertext-of-no-octets": octets(in_the_clear(b"", T.application_data)),
    "ciphertext-only-a-tag": octets(in_the_clear(bytes(16), T.application_data)),
}


def in_too_many_records(peer: Peer, message: AnyMessage) -> None:
    """A message that is not too long, an octet a record."""
    for octet in header(message.handshake_type, 2**14) + bytes(MAX_RECORDS_PER_MESSAGE - 3):
        peer.record(bytes((octet,)))


def everywhere() -> Iterator[Row]:
    many = {"in-too-many-records": in_too_many_records}
    places = ("server_hello", "client_hello", "certificate", "encrypted_extensions")
    yield from rows("5.1", PEERS, places, many, A.unexpected_message)
    yield from rows("5.1", RETRIES, SECOND_IN_THE_CLEAR, many, A.unexpected_message)
    unknown = {
        f"of-type-{code}": octets(bytes((code, 3, 3, 0, 1, 0)))
        for code in (0, 1, 19, 24, 26, 128, 255)
    }
    yield from rows("5", PEERS, (*IN_THE_CLEAR, *SEALED), unknown, A.unexpected_message)
    yield from rows("5", RETRIES, SECOND_IN_THE_CLEAR, unknown, A.unexpected_message)
    wrong_ccs = {
        "change_cipher_spec-0": octets(in_the_clear(b"\0", T.change_cipher_spec)),
        "change_cipher_spec-2": octets(in_the_clear(b"\2", T.change_cipher_spec)),
        "change_cipher_spec-twice-in-one": octets(in_the_clear(b"\1\1", T.change_cipher_spec)),
        "change_cipher_spec-empty": octets(in_the_clear(b"", T.change_cipher_spec)),
    }
    yield from rows("5", PEERS, (*IN_THE_CLEAR, *SEALED), wrong_ccs, A.unexpected_message)
    yield from rows("5", RETRIES, SECOND_IN_THE_CLEAR, wrong_ccs, A.unexpected_message)
    too_late = {"change_cipher_spec": octets(in_the_clear(b"\1", T.change_cipher_spec))}
    yield from rows("5", PEERS, (*AFTERWARDS, "client_hello"), too_late, A.unexpected_message)
    too_long = {
        f"announced-{name}": octets(record_header(content_type, MAX_PLAINTEXT_LENGTH + 1))
        for name, content_type in [("handshake", T.handshake), ("alert", T.alert)]
    }
    too_long["announced-2^16-1"] = octets(record_header(T.handshake, 2**16 - 1))
    yield from rows("5.1", PEERS, (*IN_THE_CLEAR, *SEALED), too_long, A.record_overflow)


def in_plaintext() -> Iterator[Row]:
    places = IN_THE_CLEAR
    empty = {
        "empty-handshake": octets(in_the_clear(b"", T.handshake)),
        "empty-alert": octets(in_the_clear(b"", T.alert)),
    }
    yield from rows("5.1", PEERS, places, empty, A.unexpected_message)
    data = {
        "application-data": octets(in_the_clear(DATA, T.application_data)),
        "empty-application-data": octets(in_the_clear(b"", T.application_data)),
    }
    yield from rows("5.1", PEERS, places, data, A.unexpected_message)
    yield from rows("5.1", RETRIES, SECOND_IN_THE_CLEAR, {**empty, **data}, A.unexpected_message)
    interrupted = {
        "interrupted-by-data": interrupted_by(DATA, T.application_data),
        "interrupted-by-close_notify": interrupted_by(CLOSE_NOTIFY, T.alert),
        "interrupted-by-nothing": interrupted_by(b"", T.handshake),
    }
    yield from rows("5.1", PEERS, places, interrupted, A.unexpected_message)
    alerts = {
        "alert-of-1-octet": octets(in_the_clear(b"\2", T.alert)),
        "alert-of-3-octets": octets(in_the_clear(b"\2\x28\0", T.alert)),
        "two-alerts-in-one-record": octets(in_the_clear(b"\2\x28\2\x28", T.alert)),
    }
    yield from rows("6", PEERS, places, alerts, A.decode_error)


def under_keys() -> Iterator[Row]:
    places = SEALED
    yield from rows(
        "5.2",
        PEERS,
        places,
        {
            "of-2^14+257": octets(record_header(T.application_data, MAX_CIPHERTEXT_LENGTH + 1)),
            "of-2^16-1": octets(record_header(T.application_data, 2**16 - 1)),
            "of-2^14+1-inside": too_much_inside,
            "of-2^14+1-with-its-padding": too_much_padding,
        },
        A.record_overflow,
    )
    yield from rows("5.2", PEERS, places, ALTERED, A.bad_record_mac)
    yield from rows(
        "5.4",
        PEERS,
        places,
        {
            "all-zeros": record(b"", 0),
            "all-zeros-100": record(bytes(99), 0),
            "all-zeros-2^14+1": record(bytes(MAX_PLAINTEXT_LENGTH), 0),
        },
        A.unexpected_message,
    )
    yield from rows(
        "5",
        PEERS,
        places,
        {f"sealed-type-{code}": record(b"\1", code) for code in (1, 20, 24, 26, 255)},
        A.unexpected_message,
    )
    yield from rows(
        "5.1",
        PEERS,
        places,
        {
            "empty-handshake": record(b"", T.handshake),
            "empty-handshake-padded": record(b"", T.handshake, padding=50),
            "empty-alert": record(b"", T.alert),
            "empty-alert-padded": record(b"", T.alert, padding=50),
            "interrupted-by-data": interrupted_by(DATA, T.application_data),
            "interrupted-by-empty-data": interrupted_by(b"", T.application_data),
            "interrupted-by-close_notify": interrupted_by(CLOSE_NOTIFY, T.alert),
        },
        A.unexpected_message,
    )
    yield from rows(
        "6",
        PEERS,
        places,
        {
            "alert-of-1-octet": record(b"\2", T.alert),
            "alert-of-3-octets": record(b"\2\x28\0", T.alert),
            "two-alerts-in-one-record": record(b"\2\x28\2\x28", T.alert),
        },
        A.decode_error,
    )
    yield from rows(
        "5",
        PEERS,
        places,
        {"handshake-in-the-clear": octets(in_the_clear(b"\x14\0\0\0", T.handshake))},
        A.unexpected_message,
    )
    yield from rows(
        "5",
        PEERS,
        AFTERWARDS,
        {"alert-in-the-clear": octets(in_the_clear(CLOSE_NOTIFY, T.alert))},
        A.unexpected_message,
    )
    early = {
        "data-before-it": record(DATA, T.application_data),
        "padded-data-before-it": record(DATA, T.application_data, padding=30),
        "empty-data-before-it": record(b"", T.application_data),
    }
    yield from rows("5.1", PEERS, HANDSHAKING, early, A.unexpected_message)


ROWS = [*everywhere(), *in_plaintext(), *under_keys()]
