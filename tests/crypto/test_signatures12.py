"""The signature schemes of TLS 1.2: which keys may sign with which."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from engine_pairs import credentials

from trio_tlsx.crypto.signatures import (
    DEFAULT_SCHEMES,
    PrivateKey,
    SignatureScheme,
    schemes_for,
    sign,
    verify,
)
from trio_tlsx.crypto.signatures12 import (
    authentication_of,
    schemes_for_12,
    schemes_of_12,
)
from trio_tlsx.pki.credentials import PrivateKeySigner

S = SignatureScheme

KEY_TYPES = ["P-256", "P-384", "P-521", "ed25519", "ed448", "RSA-2048"]


def key_of(key_type: str) -> PrivateKey:
    signer = credentials(key_type).signer
    assert isinstance(signer, PrivateKeySigner)
    return signer.private_key


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_each_scheme_of_a_key_signs_and_verifies(key_type: str) -> None:
    leaf = credentials(key_type).chain[0]
    for scheme in schemes_for_12(leaf):
        signature = sign(scheme, key_of(key_type), b"message")
        verify(scheme, leaf, signature, b"message")
        with pytest.raises(InvalidSignature):
            verify(scheme, leaf, signature, b"another message")


@pytest.mark.parametrize("key_type", ["P-256", "P-384", "P-521"])
def test_any_curve_goes_with_any_hash(key_type: str) -> None:
    """RFC 9846 4.3.3: only TLS 1.3 binds the curve to the scheme. Its own scheme comes first."""
    leaf = credentials(key_type).chain[0]
    schemes = schemes_for_12(leaf)
    assert schemes[0] == schemes_for(leaf)[0]
    assert set(schemes) == {
        S.ecdsa_secp256r1_sha256,
        S.ecdsa_secp384r1_sha384,
        S.ecdsa_secp521r1_sha512,
    }


def test_rsa_key_signs_with_pkcs1() -> None:
    schemes = schemes_for_12(credentials("RSA-2048").chain[0])
    assert schemes[0] == S.rsa_pss_rsae_sha256
    assert schemes[-3:] == (S.rsa_pkcs1_sha256, S.rsa_pkcs1_sha384, S.rsa_pkcs1_sha512)


def test_pkcs1_is_allowed_along_with_pss_of_ordinary_rsa_keys() -> None:
    """A configuration names schemes by those of TLS 1.3."""
    assert S.rsa_pkcs1_sha256 in schemes_of_12(DEFAULT_SCHEMES)
    assert schemes_of_12((S.ed25519, S.mldsa44)) == (S.ed25519,)
    assert schemes_of_12((S.rsa_pss_pss_sha256,)) == (S.rsa_pss_pss_sha256,)


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_cipher_suites_of_a_key(key_type: str) -> None:
    expected = "RSA" if key_type == "RSA-2048" else "ECDSA"
    assert authentication_of(credentials(key_type).chain[0]) == expected


def test_signature_scheme_of_another_kind_of_key() -> None:
    with pytest.raises(ValueError, match="cannot sign"):
        credentials("P-256").signer.sign(S.rsa_pkcs1_sha256, b"message")
    with pytest.raises(ValueError, match="cannot sign"):
        credentials("RSA-2048").signer.sign(S.ecdsa_secp256r1_sha256, b"message")
