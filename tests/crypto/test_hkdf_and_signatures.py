"""HMAC, HKDF and signatures, which the engine builds on ``cryptography`` and hashlib."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from engine_pairs import credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_tlsx.crypto import signatures
from trio_tlsx.crypto.key_schedule import HmacKey, expand_label
from trio_tlsx.crypto.signatures import (
    CERTIFICATE_VERIFY_SCHEMES,
    CLIENT_ONLY_SCHEMES,
    PrivateKey,
    SignatureScheme,
)
from trio_tlsx.errors import ConfigError
from trio_tlsx.messages.codec import opaque8, uint16
from trio_tlsx.pki.credentials import PrivateKeySigner

HASHES: dict[str, tuple[Any, hashes.HashAlgorithm]] = {
    "sha256": (hashlib.sha256, hashes.SHA256()),
    "sha384": (hashlib.sha384, hashes.SHA384()),
}
each_hash = pytest.mark.parametrize("name", HASHES)
quick = settings(deadline=None, max_examples=50)


@each_hash
@quick
@given(key=st.binary(max_size=64), message=st.binary(max_size=300))
def test_hmac(name: str, key: bytes, message: bytes) -> None:
    ours = HmacKey(HASHES[name][0], key).hmac(message)
    assert ours == hmac.digest(key, message, name)


@each_hash
@quick
@given(
    secret=st.binary(min_size=32, max_size=48),
    label=st.text("abcdefghijklmnopqrstuvwxyz ", min_size=1, max_size=20),
    context=st.binary(max_size=64),
    length=st.integers(1, 300),
)
def test_hkdf_expand_label(
    name: str, secret: bytes, label: str, context: bytes, length: int
) -> None:
    digest, algorithm = HASHES[name]
    info = uint16(length) + opaque8(b"tls13 " + label.encode()) + opaque8(context)
    expected = HKDFExpand(algorithm, length, info).derive(secret)
    assert expand_label(HmacKey(digest, secret), label, context, length) == expected


KEY_TYPES = [
    *("P-256", "P-384", "P-521", "ed25519", "ed448", "RSA-2048"),
    *("ML-DSA-44", "ML-DSA-65", "ML-DSA-87"),
]


def private_key(key_type: str) -> PrivateKey:
    signer = credentials(key_type).signer
    assert isinstance(signer, PrivateKeySigner)
    return signer.private_key


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_each_signature_scheme_of_a_key_verifies(key_type: str) -> None:
    leaf, key = credentials(key_type).chain[0], private_key(key_type)
    schemes = signatures.schemes_for(leaf, legacy=True)
    assert schemes
    for scheme in schemes:
        signature = signatures.sign(scheme, key, b"message")
        signatures.verify(scheme, leaf, signature, b"message")
        with pytest.raises(InvalidSignature):
            signatures.verify(scheme, leaf, signature, b"another message")
        with pytest.raises(InvalidSignature):
            signatures.verify(scheme, leaf, signature[:-1], b"message")


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_signature_scheme_of_another_key_type_is_rejected(key_type: str) -> None:
    signer = credentials(key_type).signer
    assert isinstance(signer, PrivateKeySigner)
    own = signatures.schemes_for(credentials(key_type).chain[0], legacy=True)
    for scheme in {*CERTIFICATE_VERIFY_SCHEMES}.difference(own, signer.tls12_schemes):
        with pytest.raises(ValueError, match="cannot sign"):
            signer.sign(scheme, b"message")


def test_every_signature_scheme_has_a_key_type() -> None:
    leaves = [credentials(key_type).chain[0] for key_type in KEY_TYPES]
    able = {s for leaf in leaves for s in signatures.schemes_for(leaf)}
    pss_keys = {s for s in CERTIFICATE_VERIFY_SCHEMES if "rsa_pss_pss" in s.name}
    assert able | pss_keys | set(CLIENT_ONLY_SCHEMES) == set(CERTIFICATE_VERIFY_SCHEMES)
    assert not able & set(CLIENT_ONLY_SCHEMES)


def test_pkcs1_signatures_only_if_legacy_is_set() -> None:
    """RFC 9963 2: PSS goes before them."""
    leaf = credentials("RSA-2048").chain[0]
    schemes = signatures.schemes_for(leaf, legacy=True)
    assert schemes == (*signatures.schemes_for(leaf), *CLIENT_ONLY_SCHEMES)
    assert signatures.schemes_for(credentials().chain[0], legacy=True) == (
        SignatureScheme.ecdsa_secp256r1_sha256,
    )
    key = private_key("RSA-2048")
    assert PrivateKeySigner(key, leaf).schemes == signatures.schemes_for(leaf)
    scheme = SignatureScheme.rsa_pkcs1_sha384_legacy
    assert PrivateKeySigner(key, leaf, [scheme]).schemes == (scheme,)
    signature = signatures.sign(scheme, key, b"message")
    assert isinstance(key, rsa.RSAPrivateKey)
    key.public_key().verify(signature, b"message", padding.PKCS1v15(), hashes.SHA384())


@pytest.mark.parametrize("scheme", ["ed25519", "ecdsa_secp384r1_sha384", "rsa_pkcs1_sha256"])
def test_signer_with_schemes_of_other_key_types_is_rejected(scheme: str) -> None:
    for key_type in ("P-256", "RSA-2048"):
        leaf = credentials(key_type).chain[0]
        with pytest.raises(ConfigError, match=f"cannot sign with {scheme}$"):
            PrivateKeySigner(private_key(key_type), leaf, [SignatureScheme[scheme]])


@pytest.mark.parametrize("salt_length", [0, 20, 31, 33, 64])
def test_pss_salt_is_as_long_as_the_digest(salt_length: int) -> None:
    """RFC 9846 4.3.3; other lengths are another signature scheme."""
    leaf, key = credentials("RSA-2048").chain[0], private_key("RSA-2048")
    assert isinstance(key, rsa.RSAPrivateKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length)
    signature = key.sign(b"message", pss, hashes.SHA256())
    with pytest.raises(InvalidSignature):
        signatures.verify(SignatureScheme.rsa_pss_rsae_sha256, leaf, signature, b"message")
