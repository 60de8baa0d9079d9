"""The keys of Encrypted Client Hello: PEM (RFC 9934), and which configuration a client uses."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from trio_tlsx import ClientConfig, ServerConfig
from trio_tlsx.errors import ConfigError
from trio_tlsx.messages.ech import ECHConfig, encode_config_list
from trio_tlsx.pki.ech import MAX_CONFIGS, ECHKey, KemName, candidates
from trio_tlsx.testing import CA

AUTHORITY = CA()
KEY = ECHKey.generate("public.example")
OTHER = ECHKey.generate("public.example")


@pytest.mark.parametrize("kem", ["X25519", "P-256"])
def test_a_key_survives_pem(kem: KemName) -> None:
    key = ECHKey.generate("public.example", kem=kem)
    pem = key.to_pem()
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert b"-----BEGIN ECHCONFIG-----" in pem
    assert max(map(len, pem.splitlines())) <= 64
    loaded = ECHKey.from_pem(pem)
    assert loaded.config == key.config
    assert loaded.to_pem() == pem


def test_a_repr_shows_no_private_key() -> None:
    assert repr(KEY) == f"ECHKey(config={KEY.config!r})"


def test_ids_differ() -> None:
    taken = set(range(256)) - {17}
    assert ECHKey.generate("public.example", other_ids=taken).config.config_id == 17
    with pytest.raises(ConfigError, match="all 256 ids"):
        ECHKey.generate("public.example", other_ids=range(256))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"public_name": "192.0.2.1"}, "is no host name"),
        ({"public_name": "a_b.example"}, "is no host name"),
        ({"public_name": b"a.example"}, "public_name is of type bytes"),
        ({"kem": "P-384"}, "kem is 'P-384'"),
        ({"maximum_name_length": 256}, "pass 0 to 255"),
        ({"maximum_name_length": "64"}, "maximum_name_length is of type str"),
    ],
)
def test_a_wrong_argument_is_an_error(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        ECHKey.generate(**{"public_name": "public.example", **arguments})  # pyright: ignore[reportArgumentType]


def private_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def config_pem(octets: bytes) -> bytes:
    encoded = base64.b64encode(octets)
    return b"-----BEGIN ECHCONFIG-----\n" + encoded + b"\n-----END ECHCONFIG-----\n"


def with_suites(*suites: tuple[int, int]) -> bytes:
    """The PEM of a key whose configuration has these suites."""
    config = ECHConfig.create(1, 0x0020, KEY.config.public_key, suites, 0, "public.example")
    return KEY.to_pem().split(b"-----BEGIN ECH")[0] + config_pem(encode_config_list([config]))


@pytest.mark.parametrize(
    ("pem", "text"),
    [
        (b"", "needs two blocks"),
        (KEY.to_pem().split(b"-----BEGIN ECH")[0], "needs two blocks"),
        (config_pem(KEY.config_list), "needs two blocks"),
        (
            private_pem(ed25519.Ed25519PrivateKey.generate()) + config_pem(KEY.config_list),
            "must be of X25519 or P-256",
        ),
        (
            private_pem(ec.generate_private_key(ec.SECP384R1())) + config_pem(KEY.config_list),
            "of the curve secp384r1",
        ),
        (
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
            + config_pem(KEY.config_list),
            "is broken",
        ),
        (
            KEY.to_pem().split(b"-----BEGIN ECH")[0] + config_pem(OTHER.config_list),
            "no configuration of the private key",
        ),
        (
            KEY.to_pem().split(b"-----BEGIN ECH")[0] + config_pem(b"\0\x01a"),
            "cannot be parsed",
        ),
        (
            KEY.to_pem().split(b"-----BEGIN ECH")[0]
            + config_pem(KEY.config_list).replace(b"\nA", b"\n\xc1"),
            "not in base64",
        ),
        (with_suites((1, 1), (3, 1)), "the cipher suite of KDF 3 and AEAD 1"),
        (with_suites((1, 0xFFFF)), "the cipher suite of KDF 1 and AEAD 65535"),
    ],
    ids=range(11),
)
def test_wrong_pem_is_an_error(pem: bytes, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        ECHKey.from_pem(pem)


# Which configuration a client uses


def altered(**changes: object) -> ECHConfig:
    return replace(KEY.config, **changes)


UNUSABLE = {
    "an unknown KEM": altered(kem_id=0x0021),
    "no known suite": altered(cipher_suites=((3, 1), (1, 0xFFFF))),
    "an unknown mandatory extension": altered(extensions={0x8001: b""}),
    "an address as its name": altered(public_name="192.0.2.1"),
    "a public key of a wrong length": altered(public_key=bytes(31)),
    "a public key that shares no secret": altered(public_key=bytes(32)),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_the_next_configuration_is_used(name: str) -> None:
    assert [c for c, _ in candidates([UNUSABLE[name], KEY.config])] == [KEY.config]


def test_few_public_keys_of_a_list_are_checked() -> None:
    """A hostile server or DNS server cannot make a client check thousands of them."""
    unusable = UNUSABLE["a public key of a wrong length"]
    for count, usable in [(MAX_CONFIGS - 1, [KEY.config]), (MAX_CONFIGS, [])]:
        assert [c for c, _ in candidates([unusable] * count + [KEY.config])] == usable
    unknown = UNUSABLE["an unknown KEM"]
    assert list(candidates([unknown] * MAX_CONFIGS + [KEY.config]))


def test_an_unknown_optional_extension_is_no_hindrance() -> None:
    assert list(candidates([altered(extensions={0x0001: b"?"})]))


def test_the_first_known_suite_is_used() -> None:
    config = altered(cipher_suites=((1, 0xFFFF), (2, 3), (1, 1)))
    ((_, suite),) = candidates([config])
    assert (suite.kdf.code, suite.aead.code) == (2, 3)


# Options


def test_a_list_without_a_usable_configuration_is_an_error() -> None:
    config = ECHConfig.create(1, 0x0020, bytes(32), [(1, 1)], 0, "a.example")
    with pytest.raises(ConfigError, match="none of the 1 ECH configurations"):
        ClientConfig(ech=encode_config_list([config]))


@pytest.mark.parametrize("ech", [b"", b"\0\0", "no base64!", "GREASE"])
def test_a_malformed_list_is_an_error(ech: bytes | str) -> None:
    with pytest.raises(ConfigError, match="cannot be parsed"):
        ClientConfig(ech=ech)


def test_ech_needs_tls_1_3() -> None:
    for ech in (KEY.config_list, "grease"):
        with pytest.raises(ConfigError, match=r"ech needs TLS 1\.3"):
            ClientConfig(ech=ech, versions=["TLSv1.2"])
    credentials = AUTHORITY.issue("public.example")
    with pytest.raises(ConfigError, match=r"ech_keys need TLS 1\.3"):
        ServerConfig(credentials=credentials, ech_keys=KEY, versions=["TLSv1.2"])


def test_the_public_name_needs_a_certificate() -> None:
    with pytest.raises(ConfigError, match=r"no certificate is for 'public\.example'"):
        ServerConfig(credentials=AUTHORITY.issue("test.example"), ech_keys=KEY)
    for name in ("public.example", "*.example"):
        ServerConfig(credentials=AUTHORITY.issue(name), ech_keys=KEY)


def test_two_keys_need_two_ids() -> None:
    credentials = AUTHORITY.issue("public.example")
    twin = ECHKey.generate("public.example", other_ids=set(range(256)) - {KEY.config.config_id})
    with pytest.raises(ConfigError, match="the same config_id"):
        ServerConfig(credentials=credentials, ech_keys=[KEY, twin])
    ServerConfig(credentials=credentials, ech_keys=[KEY, twin], ech_trial_decryption=True)
