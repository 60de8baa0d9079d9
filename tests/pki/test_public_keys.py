"""Raw public keys: reading them, and credentials that are one."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from engine_pairs import credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_key_pairs import KEYS, pem_of

from trio_tlsx import (
    CertificateType,
    ConfigError,
    Credentials,
    PrivateKeySigner,
    RawPublicKey,
    SignatureScheme,
    schemes_for,
    spki_pin,
)
from trio_tlsx.pki.certificates import MALFORMED
from trio_tlsx.pki.public_keys import MAX_RAW_KEY_LENGTH, load_raw_public_key

KEY = KEYS["P-256"]
OTHER = ec.generate_private_key(ec.SECP256R1())


def spki(key: Any) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("name", KEYS)
def test_key_is_the_same_in_each_form(name: str) -> None:
    public = KEYS[name].public_key()
    der = spki(public)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    forms = [RawPublicKey.of(form) for form in (public, der, b"a comment\n" + pem)]
    assert len(set(forms)) == 1
    assert forms[0].der == der
    assert forms[0].public_key() == public
    assert forms[0].pin == spki_pin(forms[0])
    assert repr(forms[0]) == f"<RawPublicKey {forms[0].pin}>"


def test_pin_is_that_of_a_certificate_with_the_key() -> None:
    certificate = credentials().chain[0]
    assert RawPublicKey.of(spki(certificate.public_key())).pin == spki_pin(certificate)


def test_rsa_pss_key_keeps_its_algorithm() -> None:
    """``cryptography`` loads it as any RSA key."""
    key = spki(KEYS["RSA"].public_key())[19:]  # after the algorithm
    content = bytes.fromhex("300b06092a864886f70d01010a") + key
    pss = b"\x30\x82" + len(content).to_bytes(2) + content
    raw = RawPublicKey.of(pss)
    assert raw.der == pss
    assert {scheme.name for scheme in schemes_for(raw)} == {
        f"rsa_pss_pss_sha{bits}" for bits in (256, 384, 512)
    }


NOT_KEYS: dict[str, tuple[Any, str]] = {
    "str": ("key", "of type str"),
    "private": (KEY, "of type ECPrivateKey"),
    "x25519": (
        spki(x25519.X25519PrivateKey.generate().public_key()),
        "no signature scheme for this public key",
    ),
    "empty": (b"", "that can be decoded"),
    "another-structure": (
        KEYS["RSA"].public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1),
        "that can be decoded",
    ),
    "trailing": (spki(KEY.public_key()) + b"\0", "that can be decoded"),
    "too_long": (bytes(MAX_RAW_KEY_LENGTH + 1), "4097 bytes; at most 4096"),
    "no-algorithm": (bytes.fromhex("3005300003010000"), "that can be decoded"),
    "private-pem": (pem_of("P-256"), "has 0 whole blocks 'PUBLIC KEY'"),
    "cut-pem": (b"-----BEGIN PUBLIC KEY-----\nMFkw", "has 0 whole blocks 'PUBLIC KEY'"),
    "bad-pem": (
        b"-----BEGIN PUBLIC KEY-----\n****\n-----END PUBLIC KEY-----\n",
        "not in base64",
    ),
}


@pytest.mark.parametrize("what", NOT_KEYS)
def test_what_is_no_public_key_is_rejected(what: str) -> None:
    value, sentence = NOT_KEYS[what]
    with pytest.raises(ConfigError, match=sentence):
        RawPublicKey.of(value)


def test_key_that_is_too_long_is_not_decoded() -> None:
    """The error is that of its length; too_long octets are not looked at."""
    with pytest.raises(ValueError, match="at most 4096"):
        load_raw_public_key(spki(KEY.public_key()) + bytes(MAX_RAW_KEY_LENGTH))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damaged_keys_are_rejected_or_kept_as_they_are(data: st.DataObject) -> None:
    """No octets of a peer raise anything else, and the key is that of all of them."""
    octets = bytearray(spki(KEYS[data.draw(st.sampled_from(sorted(KEYS)))].public_key()))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(octets) - 1))
        octets[position : position + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2)
        )
    try:
        key = load_raw_public_key(bytes(octets))
    except MALFORMED:
        return
    assert key.der == octets
    assert set(schemes_for(key)) <= set(SignatureScheme)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=100))
def test_random_octets_are_no_key(octets: bytes) -> None:
    with pytest.raises(MALFORMED):
        load_raw_public_key(octets)


# Credentials


@pytest.mark.parametrize("name", KEYS)
def test_credentials_from_a_private_key(name: str) -> None:
    made = Credentials.from_raw_key(KEYS[name])
    same = Credentials.from_raw_key(pem_of(name))
    assert made.raw_public_key == same.raw_public_key == made.leaf
    assert made.certificate_type is CertificateType.RawPublicKey
    assert made.chain == ()
    assert made.der_chain == (spki(KEYS[name].public_key()),)
    assert made.dns_names == made.authorities == frozenset()
    assert isinstance(made.leaf, RawPublicKey)
    assert made.leaf.pin in repr(made)


def test_credentials_from_an_encrypted_key() -> None:
    form = PrivateFormat.PKCS8
    pem = KEY.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))
    assert Credentials.from_raw_key(pem, "secret").leaf == Credentials.from_raw_key(KEY).leaf
    with pytest.raises(ConfigError, match="password"):
        Credentials.from_raw_key(pem)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("str", "of type str"),
        (KEY.public_key(), "of type ECPublicKey"),
        (b"no PEM", "holds no private key"),
        (x25519.X25519PrivateKey.generate(), "of type X25519PrivateKey"),
    ],
)
def test_what_is_no_private_key_is_rejected(key: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Credentials.from_raw_key(key)


def test_key_that_tls_cannot_use_is_rejected() -> None:
    pem = x25519.X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(ConfigError, match="cannot use"):
        Credentials.from_raw_key(pem)
    with pytest.raises(ConfigError, match="no signature scheme"):
        Credentials.from_raw_key(ec.generate_private_key(ec.SECP256K1()))


def test_signer_has_the_raw_key() -> None:
    key = RawPublicKey.of(OTHER.public_key())
    with pytest.raises(ConfigError, match="does not match the raw public key sha256//"):
        PrivateKeySigner(KEY, key)
    signer = PrivateKeySigner(KEYS["Ed25519"], RawPublicKey.of(KEYS["Ed25519"].public_key()))
    with pytest.raises(ConfigError, match="the key of raw public key"):
        Credentials.for_raw_public_key(key, signer)
    with pytest.raises(ConfigError, match="RawPublicKey"):
        Credentials.for_raw_public_key(OTHER.public_key(), signer)  # pyright: ignore[reportArgumentType]


def test_nothing_is_stapled_to_a_raw_key() -> None:
    made = Credentials.from_raw_key(KEY)
    with pytest.raises(ConfigError, match="no OCSP response is about one"):
        made.stapling(b"response")
    with pytest.raises(ConfigError, match="no signed certificate timestamp is about one"):
        made.with_timestamps([b"timestamp"])


def test_no_private_key_shows() -> None:
    made = Credentials.from_raw_key(rsa.generate_private_key(65537, 2048))
    assert "private" not in repr(made).lower().replace("privatekeysigner", "")
