"""Imported keys (RFC 9258), compared with a second implementation of its section 5."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from trio_tlsx import ExternalPSK
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.handshake import psk
from trio_tlsx.handshake.external_psk import psks_of
from trio_tlsx.handshake.psk import Psk
from trio_tlsx.sessions.external_psk import HashName
from trio_tlsx.sessions.psk_import import ImportedIdentity

SHA256, SHA384 = CIPHER_SUITES[0x1301], CIPHER_SUITES[0x1302]

PSK = ExternalPSK(b"client 1", bytes(range(32)))
PLAIN = replace(PSK, imported=False)


def expand_label(
    name: HashName, secret: bytes, label: bytes, context: bytes, length: int
) -> bytes:
    full = b"tls13 " + label
    info = length.to_bytes(2) + bytes((len(full),)) + full + bytes((len(context),)) + context
    algorithm = {"SHA256": hashes.SHA256, "SHA384": hashes.SHA384}[name]()
    return HKDFExpand(algorithm, length, info).derive(secret)


def extract(name: HashName, salt: bytes, key: bytes) -> bytes:
    algorithm = {"SHA256": hashes.SHA256, "SHA384": hashes.SHA384}[name]()
    mac = hmac.HMAC(salt, algorithm)
    mac.update(key)
    return mac.finalize()


@pytest.mark.parametrize(("target", "kdf"), [("SHA256", b"\0\1"), ("SHA384", b"\0\2")])
@pytest.mark.parametrize("source", ["SHA256", "SHA384"])
def test_imported_psk_equals_rfc_9258(source: HashName, target: HashName, kdf: bytes) -> None:
    key = ExternalPSK(b"identity", b"k" * 40, context=b"from there", hash=source)
    suite = {"SHA256": SHA256, "SHA384": SHA384}[target]
    [imported] = psks_of(key, [suite])
    identity = b"\0\x08identity" + b"\0\x0afrom there" + b"\x03\x04" + kdf
    assert imported.identity == identity
    assert imported.obfuscated_ticket_age == 0
    digest = hashlib.new(source, identity).digest()
    extracted = extract(source, bytes(len(digest)), b"k" * 40)
    secret = expand_label(source, extracted, b"derived psk", digest, suite.hash_length)
    assert imported.secret == secret
    early = extract(target, bytes(suite.hash_length), secret)
    nothing = hashlib.new(target).digest()
    binder_key = expand_label(target, early, b"imp binder", nothing, suite.hash_length)
    finished = expand_label(target, binder_key, b"finished", b"", suite.hash_length)
    transcript = hashlib.new(target, b"hello").digest()
    assert psk.binder(imported, b"hello") == extract(target, finished, transcript)


def test_binder_labels_of_resumption_external_and_imported_psks() -> None:
    session: Psk[str] = Psk(PSK.identity, 0, SHA256, PSK.key, "session")
    plain: Psk[str] = replace(session, session=None, external=PLAIN)
    imported: Psk[str] = replace(session, session=None, external=PSK)
    assert len({psk.binder(each, b"hello") for each in (session, plain, imported)}) == 3


@given(st.binary(min_size=1), st.binary(), st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1))
def test_imported_identity_decodes_to_what_was_encoded(
    name: bytes, context: bytes, protocol: int, kdf: int
) -> None:
    identity = ImportedIdentity(name, context, protocol, kdf)
    octets = identity.encode()
    assert ImportedIdentity.decode(octets) == identity
    assert ImportedIdentity.decode(octets + b"\0") is None
    assert ImportedIdentity.decode(octets[:-1]) is None


@given(st.binary())
def test_imported_identity_encodes_to_what_was_decoded(octets: bytes) -> None:
    identity = ImportedIdentity.decode(octets)
    assert identity is None or identity.encode() == octets


def test_one_imported_psk_for_each_hash() -> None:
    assert [each.suite.hash for each in psks_of(PSK, CIPHER_SUITES.values())] == [
        SHA256.hash,
        SHA384.hash,
    ]
    plain = replace(PLAIN, hash="SHA384")
    assert [each.secret for each in psks_of(plain, CIPHER_SUITES.values())] == [PSK.key]
