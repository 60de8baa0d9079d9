"""HPKE in base mode: the vectors of RFC 9180, and ``cryptography``'s own HPKE for the rest."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from trio_tlsx.crypto.groups import ECDHKey, EphemeralKey, X25519Key
from trio_tlsx.crypto.hpke import (
    AEADS,
    KDFS,
    KEMS,
    HPKESuite,
    setup_base_recipient,
    setup_base_sender,
)

DATA = Path(__file__).parent.parent / "data" / "rfc9180.json"
VECTORS: list[dict[str, Any]] = json.loads(DATA.read_text())["vectors"]
SUITES = [
    HPKESuite(*algorithms)
    for algorithms in itertools.product(KEMS.values(), KDFS.values(), AEADS.values())
]

#: The names that ``cryptography`` gives to the algorithms, by their code points.
THEIR_KEMS = {0x0010: hpke.KEM.P256, 0x0020: hpke.KEM.X25519}
THEIR_KDFS = {0x0001: hpke.KDF.HKDF_SHA256, 0x0002: hpke.KDF.HKDF_SHA384}
THEIR_AEADS = {
    0x0001: hpke.AEAD.AES_128_GCM,
    0x0002: hpke.AEAD.AES_256_GCM,
    0x0003: hpke.AEAD.CHACHA20_POLY1305,
}


#: What ``cryptography`` and :class:`ECDHKey` say of octets that are no public key.
REFUSED = "public key is 32 bytes|Invalid EC key|Error computing|encoded point|uncompressed"


def suite_of(vector: dict[str, Any]) -> HPKESuite:
    return HPKESuite(KEMS[vector["kem_id"]], KDFS[vector["kdf_id"]], AEADS[vector["aead_id"]])


def key_pair(kem: int, secret: bytes) -> EphemeralKey:
    if kem == 0x0020:
        return X25519Key(x25519.X25519PrivateKey.from_private_bytes(secret))
    curve = ec.SECP256R1()
    return ECDHKey(curve, ec.derive_private_key(int.from_bytes(secret), curve))


def name(value: Any) -> str:
    if isinstance(value, HPKESuite):
        return f"{value.kem.name} {value.kdf.name} {value.aead.name}"
    return value["suite"]


@pytest.mark.parametrize("vector", VECTORS, ids=name)
def test_the_published_vectors_hold(vector: dict[str, Any]) -> None:
    octets = {
        key: bytes.fromhex(vector[key])
        for key in ("info", "skEm", "skRm", "pkRm", "enc", "exporter_secret")
    }
    suite = suite_of(vector)
    ephemeral = key_pair(suite.kem.code, octets["skEm"])
    enc, sender = setup_base_sender(suite, octets["pkRm"], octets["info"], ephemeral=ephemeral)
    assert enc == octets["enc"]
    private_key = key_pair(suite.kem.code, octets["skRm"])
    recipient = setup_base_recipient(suite, enc, private_key, octets["info"])
    by_number = {e["sequence_number"]: e for e in vector["encryptions"]}
    for number in range(max(by_number) + 1):
        encryption = by_number.get(number, vector["encryptions"][0])
        aad, plaintext = (bytes.fromhex(encryption[key]) for key in ("aad", "pt"))
        ciphertext = sender.seal(aad, plaintext)
        if number in by_number:
            assert ciphertext == bytes.fromhex(encryption["ct"])
        assert recipient.open(aad, ciphertext) == plaintext
    for export in vector["exports"]:
        context, length = bytes.fromhex(export["exporter_context"]), export["L"]
        for side in (sender, recipient):
            assert side.export(context, length) == bytes.fromhex(export["exported_value"])


@pytest.mark.parametrize("suite", SUITES, ids=name)
def test_cryptography_opens_what_is_sealed_and_the_reverse(suite: HPKESuite) -> None:
    theirs = hpke.Suite(
        THEIR_KEMS[suite.kem.code], THEIR_KDFS[suite.kdf.code], THEIR_AEADS[suite.aead.code]
    )
    if suite.kem.code == 0x0020:
        private_key = x25519.X25519PrivateKey.generate()
        own: EphemeralKey = X25519Key(private_key)
    else:
        private_key = ec.generate_private_key(ec.SECP256R1())
        own = ECDHKey(ec.SECP256R1(), private_key)
        encoded = private_key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        assert own.public == encoded
    enc, sender = setup_base_sender(suite, own.public, b"info")
    assert theirs.decrypt(enc + sender.seal(b"", b"to them"), private_key, b"info") == b"to them"

    sealed = theirs.encrypt(b"from them", private_key.public_key(), b"info")
    enc, ciphertext = sealed[: len(own.public)], sealed[len(own.public) :]
    assert setup_base_recipient(suite, enc, own, b"info").open(b"", ciphertext) == b"from them"


@pytest.mark.parametrize("suite", SUITES, ids=name)
def test_a_message_is_bound_to_its_data_its_place_and_the_info(suite: HPKESuite) -> None:
    private_key = suite.kem.generate()
    enc, sender = setup_base_sender(suite, private_key.public, b"info")
    first, second = sender.seal(b"aad", b"first"), sender.seal(b"aad", b"second")
    assert len(first) == len(b"first") + 16
    recipient = setup_base_recipient(suite, enc, private_key, b"info")
    for aad, ciphertext in ((b"other", first), (b"aad", second), (b"aad", first[:-1])):
        with pytest.raises(ValueError, match="not authentic"):
            recipient.open(aad, ciphertext)
    # What was not authentic has not moved the recipient on.
    assert recipient.open(b"aad", first) == b"first"
    assert recipient.open(b"aad", second) == b"second"
    with pytest.raises(ValueError, match="not authentic"):
        setup_base_recipient(suite, enc, private_key, b"other").open(b"aad", first)


@pytest.mark.parametrize("suite", SUITES, ids=name)
def test_an_encapsulated_key_that_is_none_is_refused(suite: HPKESuite) -> None:
    private_key = suite.kem.generate()
    length = len(private_key.public)
    for enc in (b"", bytes(length), private_key.public[:-1], private_key.public + b"\0"):
        with pytest.raises(ValueError, match=REFUSED):
            setup_base_recipient(suite, enc, private_key, b"")
        with pytest.raises(ValueError, match=REFUSED):
            setup_base_sender(suite, enc, b"")


def test_a_repr_shows_no_secret() -> None:
    suite = SUITES[0]
    private_key = suite.kem.generate()
    _, context = setup_base_sender(suite, private_key.public, b"")
    assert repr(context) == f"HPKEContext(suite={suite!r})"
