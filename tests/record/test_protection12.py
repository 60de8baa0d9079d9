"""The protection of records in TLS 1.2: layout, nonces, limits (RFC 5246 6.2.3.3)."""

from __future__ import annotations

import pytest

from trio_tlsx.crypto.cipher_suites12 import CIPHER_SUITES_12, CipherSuite12
from trio_tlsx.crypto.key_schedule12 import DirectionKeys
from trio_tlsx.errors import AlertDescription, ProtocolError
from trio_tlsx.record import protection
from trio_tlsx.record.buffers import MAX_LAYOUTS, Batch
from trio_tlsx.record.protection import MAX_PLAINTEXT_LENGTH, ContentType
from trio_tlsx.record.protection12 import Opener12, Sealer12
from trio_tlsx.record.ready_aeads import ReadyAEADs
from trio_tlsx.record.receive import Incoming
from trio_tlsx.record.send import Outgoing

AES_128 = CIPHER_SUITES_12[0xC02F]
CHACHA20 = CIPHER_SUITES_12[0xCCA8]
SUITES = [*CIPHER_SUITES_12.values()]
DATA = ContentType.application_data


def keys(suite: CipherSuite12) -> DirectionKeys:
    return DirectionKeys(bytes(range(suite.key_length)), bytes(range(suite.implicit_iv_length)))


def pair(suite: CipherSuite12) -> tuple[Sealer12, Opener12]:
    return Sealer12(suite, keys(suite)), Opener12(suite, keys(suite))


def opened(opener: Opener12, record: bytes) -> bytes:
    return opener.open(memoryview(record)[:5], memoryview(record)[5:])


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
@pytest.mark.parametrize("content_type", [ContentType.alert, ContentType.handshake, DATA])
def test_what_one_side_seals_the_other_opens(
    suite: CipherSuite12, content_type: ContentType
) -> None:
    sealer, opener = pair(suite)
    for content in (b"first", b"", b"third"):
        record = sealer.seal(content_type, content)
        assert record[:3] == bytes((content_type, 3, 3))
        assert len(record) == len(content) + sealer.overhead
        assert opener.split(record[0], opened(opener, record)) == (content_type, content)


def test_record_encryption_follows_the_rfcs() -> None:
    """RFC 5288 3: salt and explicit nonce; RFC 5246 6.2.3.3: the additional data."""
    sealer, _ = pair(AES_128)
    key, iv = keys(AES_128)
    sealer.seal(DATA, b"zeroth")
    record = sealer.seal(DATA, b"first")
    explicit = record[5:13]
    assert explicit == (1).to_bytes(8)
    additional_data = (1).to_bytes(8) + bytes((DATA, 3, 3)) + (5).to_bytes(2)
    assert AES_128.aead(key).decrypt(iv + explicit, record[13:], additional_data) == b"first"


def test_chacha20_has_no_explicit_nonce() -> None:
    """RFC 7905 2: the sequence number is XORed into the IV."""
    sealer, _ = pair(CHACHA20)
    key, iv = keys(CHACHA20)
    sealer.seal(DATA, b"zeroth")
    record = sealer.seal(DATA, b"first")
    nonce = iv[:-1] + bytes((iv[-1] ^ 1,))
    additional_data = (1).to_bytes(8) + bytes((DATA, 3, 3)) + (5).to_bytes(2)
    assert CHACHA20.aead(key).decrypt(nonce, record[5:], additional_data) == b"first"


def test_the_peer_chooses_its_explicit_nonces() -> None:
    key, iv = keys(AES_128)
    explicit = b"whatever"
    additional_data = bytes(8) + bytes((DATA, 3, 3)) + (4).to_bytes(2)
    sealed = AES_128.aead(key).encrypt(iv + explicit, b"data", additional_data)
    record = bytes((DATA, 3, 3)) + (len(explicit) + len(sealed)).to_bytes(2) + explicit + sealed
    assert opened(pair(AES_128)[1], record) == b"data"
    assert pair(AES_128)[1].open_data(record, MAX_PLAINTEXT_LENGTH) == b"data"


@pytest.mark.parametrize("suite", [AES_128, CHACHA20], ids=lambda suite: suite.name)
def test_every_altered_byte_is_found(suite: CipherSuite12) -> None:
    sealer, _ = pair(suite)
    record = sealer.seal(DATA, b"data")
    for position in (*range(3), *range(5, len(record))):
        altered = bytearray(record)
        altered[position] ^= 1
        opener = Opener12(suite, keys(suite))
        assert not opener.open_data(bytes(altered), MAX_PLAINTEXT_LENGTH)
        with pytest.raises(ProtocolError) as caught:
            opened(opener, bytes(altered))
        assert caught.value.alert == AlertDescription.bad_record_mac


@pytest.mark.parametrize("suite", [AES_128, CHACHA20], ids=lambda suite: suite.name)
def test_idle_directions_drop_their_aead(
    suite: CipherSuite12, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys and sequence numbers stay what they were."""
    monkeypatch.setattr(protection, "ready_aeads", ReadyAEADs(1))
    pairs = [pair(suite) for _ in range(3)]
    for _ in range(3):
        for sealer, opener in pairs:
            assert opened(opener, sealer.seal(DATA, b"data")) == b"data"
        directions = [direction for pair in pairs for direction in pair]
        ready = [one._ready is not None for one in directions]  # pyright: ignore[reportPrivateUsage]
        assert ready.count(True) <= 1


@pytest.mark.parametrize("suite", [AES_128, CHACHA20], ids=lambda suite: suite.name)
def test_swapped_and_repeated_records_are_found(suite: CipherSuite12) -> None:
    sealer, opener = pair(suite)
    first, second = sealer.seal(DATA, b"first"), sealer.seal(DATA, b"second")
    with pytest.raises(ProtocolError, match="could not be decrypted"):
        opened(Opener12(suite, keys(suite)), second)
    opened(opener, first)
    with pytest.raises(ProtocolError, match="could not be decrypted"):
        opened(opener, first)


@pytest.mark.parametrize("length", [0, 1, 23])
def test_record_too_short_for_nonce_and_tag(length: int) -> None:
    _, opener = pair(AES_128)
    record = bytes((DATA, 3, 3)) + length.to_bytes(2) + bytes(length)
    assert not opener.open_data(record, MAX_PLAINTEXT_LENGTH)
    with pytest.raises(ProtocolError) as caught:
        opened(opener, record)
    assert caught.value.alert == AlertDescription.bad_record_mac


@pytest.mark.parametrize("suite", [AES_128, CHACHA20], ids=lambda suite: suite.name)
@pytest.mark.parametrize("fragment_length", [MAX_PLAINTEXT_LENGTH, 1000])
def test_bulk_data_passes_the_record_layer(suite: CipherSuite12, fragment_length: int) -> None:
    """Batches of slots are in the layout of the version, and records open in one run."""
    sealer, opener = pair(suite)
    outgoing, incoming = Outgoing(), Incoming()
    outgoing.install(sealer)
    outgoing.fragment_length = fragment_length
    incoming.install(opener)
    incoming.plaintext_limit = MAX_PLAINTEXT_LENGTH
    data = bytes(range(256)) * 300
    rest, received = memoryview(data), bytearray()
    while rest:
        rest = rest[outgoing.application_data(rest) :]
        output = bytes(outgoing.pending())
        outgoing.sent(len(output))
        incoming.feed(output)
        while piece := incoming.take_application_data(2**18):
            received += piece
    assert bytes(received) == data


def test_buffers_change_their_layout_between_suites() -> None:
    batch = Batch()
    for suite in (AES_128, CHACHA20, AES_128):
        sealer, opener = pair(suite)
        slots = batch.slots(sealer, 100, 250)
        sealer.seal_records(memoryview(bytes(range(250))), slots)
        output = memoryview(bytearray(1000))
        sealed = batch.octets[: 250 + 3 * sealer.overhead]
        consumed, end = opener.open_records(sealed, output, MAX_PLAINTEXT_LENGTH)
        assert (consumed, bytes(output[:end])) == (len(sealed), bytes(range(250)))


def test_a_buffer_keeps_a_few_layouts() -> None:
    """Connections of both versions use the slots again; a peer cannot add layouts endlessly."""
    batch = Batch()
    sealer, _ = pair(AES_128)
    first = batch.slots(sealer, 100, 100)[0]
    batch.slots(pair(CHACHA20)[0], 100, 100)
    assert batch.slots(sealer, 100, 100)[0] is first
    for fragment_length in range(101, 101 + MAX_LAYOUTS):
        batch.slots(sealer, fragment_length, 100)
    assert batch.slots(sealer, 100, 100)[0] is not first


@pytest.mark.parametrize("suite", [AES_128, CHACHA20], ids=lambda suite: suite.name)
def test_run_stops_before_other_records(suite: CipherSuite12) -> None:
    """The output of a record that is not authentic is erased."""
    sealer, opener = pair(suite)
    first = sealer.seal(DATA, b"first")
    altered = bytearray(sealer.seal(DATA, b"second"))
    altered[-1] ^= 1
    output = memoryview(bytearray(1000))
    consumed, end = opener.open_records(memoryview(first + altered), output, MAX_PLAINTEXT_LENGTH)
    assert (consumed, bytes(output[:end])) == (len(first), b"first")
    assert not any(output[end:])
    for record in (sealer.seal(ContentType.alert, b"\1\0"), sealer.seal(DATA, b"")):
        run = opener.open_records(memoryview(record), output, MAX_PLAINTEXT_LENGTH)
        assert run == (0, 0)


@pytest.mark.parametrize("suite", [AES_128, CHACHA20], ids=lambda suite: suite.name)
@pytest.mark.parametrize("limit", [4, 3])
def test_the_limit_of_a_record_counts_its_content_only(suite: CipherSuite12, limit: int) -> None:
    """RFC 8449 4: in TLS 1.2 there is no content type to count."""
    sealer, opener = pair(suite)
    record = sealer.seal(DATA, b"data")
    output = memoryview(bytearray(100))
    consumed, end = opener.open_records(memoryview(record), output, limit)
    fits = limit == 4
    assert (consumed, bytes(output[:end])) == ((len(record), b"data") if fits else (0, b""))
    _, opener = pair(suite)
    assert opener.open_data(record, limit) == (b"data" if fits else b"")


def test_limit_of_the_ciphertext_length() -> None:
    """RFC 5246 6.2.3; and no AEAD here adds so much, so the content is too long then."""
    _, opener = pair(AES_128)
    for length, alert in (
        (2**14 + 2048, AlertDescription.bad_record_mac),
        (2**14 + 2049, AlertDescription.record_overflow),
    ):
        incoming = Incoming()
        incoming.install(opener)
        incoming.feed(bytes((DATA, 3, 3)) + length.to_bytes(2) + bytes(length))
        with pytest.raises(ProtocolError) as caught:
            incoming.next_record()
        assert caught.value.alert == alert


def test_key_has_a_record_limit_and_no_update() -> None:
    sealer, _ = pair(AES_128)
    assert 0 < sealer.records_left < 2**24.5
    sealer.sequence_number = 2**24 + 2**23
    assert sealer.records_left == 0
    with pytest.raises(RuntimeError, match="KeyUpdate"):
        sealer.update()
