"""An idle direction drops its AEAD object, and creates it again when needed."""

from __future__ import annotations

import threading

import pytest
from engine_pairs import established, read_all, sealer, send

from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.record import protection
from trio_tlsx.record.protection import APPLICATION_DATA, MAX_PLAINTEXT_LENGTH, Opener, Sealer
from trio_tlsx.record.ready_aeads import MAX_READY_AEADS, ReadyAEADs

SUITE = CIPHER_SUITES[0x1301]
ROUNDS = 200


def has_aead(direction: Sealer | Opener) -> bool:
    return direction._ready is not None  # pyright: ignore[reportPrivateUsage]


def test_number_of_aeads_is_bounded() -> None:
    sealers = [
        Sealer(SUITE, number.to_bytes(SUITE.hash_length)) for number in range(2 * MAX_READY_AEADS)
    ]
    assert not any(map(has_aead, sealers))  # none is made before it is needed
    for _ in range(3):
        for direction in sealers:
            direction.seal(APPLICATION_DATA, b"data")
            assert has_aead(direction)
        assert sum(map(has_aead, sealers)) <= MAX_READY_AEADS


def test_dropped_aead_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and sequence numbers stay what they were, for single records and for runs."""
    monkeypatch.setattr(protection, "ready_aeads", ReadyAEADs(1))
    pairs = [established() for _ in range(3)]
    for data in (b"one record", bytes(3 * MAX_PLAINTEXT_LENGTH)) * 3:
        for client, server in pairs:
            for one, other in ((client, server), (server, client)):
                send(one, other, data)
                assert read_all(other) == data
            client.update_keys(request_peer=True)
        assert sum(has_aead(sealer(side)) for pair in pairs for side in pair) <= 1


def test_aeads_of_closed_connections_are_not_kept() -> None:
    ready = ReadyAEADs(3)
    kept = Sealer(SUITE, bytes(SUITE.hash_length))
    ready.add(kept)
    for _ in range(5):
        ready.add(Sealer(SUITE, bytes(SUITE.hash_length)))  # nothing else refers to it
    assert all(reference() is None for reference in ready._owners)  # pyright: ignore[reportPrivateUsage]


def test_threads_share_the_aeads(monkeypatch: pytest.MonkeyPatch) -> None:
    """An AEAD that another thread drops in the middle of a record does no harm."""
    monkeypatch.setattr(protection, "ready_aeads", ReadyAEADs(2))
    failures: list[BaseException] = []

    def transfer(number: int) -> None:
        secret = number.to_bytes(SUITE.hash_length)
        ours, theirs = Sealer(SUITE, secret), Opener(SUITE, secret)
        try:
            for _ in range(ROUNDS):
                record = ours.seal(APPLICATION_DATA, secret)
                assert theirs.open_data(record, MAX_PLAINTEXT_LENGTH) == secret
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            failures.append(error)

    threads = [threading.Thread(target=transfer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
