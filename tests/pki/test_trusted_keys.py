"""Trust stores with public keys, and the verification of raw public keys by them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from engine_pairs import authority, credentials
from raw_key_pairs import KEYS, OTHER_KEY, raw_key_of

from trio_tlsx import CertificateError, ConfigError, RawPublicKey, TrustStore
from trio_tlsx.errors import AlertDescription
from trio_tlsx.pki.trust import Verifier
from trio_tlsx.verification.raw_keys import verify_raw_public_key
from trio_tlsx.verification.verify import verify_server

PUBLIC = KEYS["P-256"].public_key()
RAW = RawPublicKey.of(PUBLIC)
WEAK = RawPublicKey.of(rsa.generate_private_key(65537, 1024).public_key())

FORMS: dict[str, Any] = {
    "key": PUBLIC,
    "raw": RAW,
    "der": RAW.der,
    "pem": PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "pin": RAW.pin,
}


@pytest.mark.parametrize("form", FORMS)
def test_trusted_key_is_accepted_in_each_form(form: str) -> None:
    trust = TrustStore.from_public_keys([FORMS[form]])
    verify_raw_public_key(RAW, trust)
    assert trust.pins == {RAW.digest}
    assert len(trust) == 0
    assert repr(trust) == "<TrustStore of 0 certificates, 1 public keys>"
    with pytest.raises(CertificateError, match="is not trusted") as caught:
        verify_raw_public_key(raw_key_of(OTHER_KEY), trust)
    assert caught.value.alert is AlertDescription.certificate_unknown
    assert caught.value.certificate is None


@pytest.mark.parametrize("trust", [None, authority.trust])
def test_key_is_not_trusted_without_trusted_keys(trust: TrustStore | None) -> None:
    with pytest.raises(CertificateError, match="is not trusted"):
        verify_raw_public_key(RAW, trust)


def test_each_of_many_keys_is_accepted() -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(5)]
    trust = TrustStore.from_public_keys(keys)
    for key in keys:
        verify_raw_public_key(RawPublicKey.of(key), trust)


def test_weak_key_is_rejected_though_its_pin_is_trusted() -> None:
    with pytest.raises(CertificateError, match="RSA key of 1024 bits"):
        verify_raw_public_key(WEAK, TrustStore.from_public_keys([WEAK.pin]))
    with pytest.raises(ConfigError, match=r"never be accepted.*RSA key of 1024 bits"):
        TrustStore.from_public_keys([WEAK])


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ([], "is empty"),
        ("sha256//", "of type str"),
        ([b"no key"], "that can be decoded"),
        (["no pin"], "is no pin"),
        ([5], r"of type tuple\[int\]"),
        ([authority], r"of type tuple\[CA\]"),
    ],
)
def test_what_is_no_key_is_rejected(keys: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        TrustStore.from_public_keys(keys)


@pytest.mark.parametrize("verifier", ["cryptography", "openssl"])
def test_certificate_is_rejected_where_only_keys_are_trusted(verifier: Verifier) -> None:
    if verifier == "openssl":
        pytest.importorskip("OpenSSL")
    trust = TrustStore((), public_keys=[PUBLIC], verifier=verifier)
    now = datetime.datetime.now(datetime.UTC)
    with pytest.raises(CertificateError) as caught:
        verify_server(credentials().chain, "test.example", trust, now)
    assert caught.value.alert is AlertDescription.unknown_ca


def test_store_with_both_verifies_both() -> None:
    trust = TrustStore(authority.trust.certificates, public_keys=[PUBLIC])
    now = datetime.datetime.now(datetime.UTC)
    assert verify_server(credentials().chain, "test.example", trust, now)
    verify_raw_public_key(RAW, trust)
