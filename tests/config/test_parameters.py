"""The options of a configuration, their ranges, and the parameters that they resolve to."""

from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from trio_tlsx import (
    ClientConfig,
    ConfigError,
    ECHKey,
    ExternalPSK,
    MemorySessionStore,
    ServerConfig,
    TicketKeys,
)
from trio_tlsx.config import client, server
from trio_tlsx.config.common import MIN_KEY_UPDATE_BYTES, CommonConfig
from trio_tlsx.testing import CA

CREDENTIALS = CA().issue("test.example")
SECRET = b"the secret of two"
CLIENT = ClientConfig(psks=[ExternalPSK(b"client 1", SECRET)])
SERVER = ServerConfig(
    credentials=CREDENTIALS,
    psks=[ExternalPSK(b"client 1", SECRET)],
    ticket_keys=TicketKeys([bytes(range(32))]),
    ticket_application_data=SECRET,
)


def find_nothing(request: object) -> None:
    """Stand for a hook that finds no credentials."""


CONFIGS = pytest.mark.parametrize("config", [CLIENT, SERVER], ids=["client", "server"])
AnyConfig = ClientConfig | ServerConfig


@CONFIGS
def test_all_fields_are_arguments(config: AnyConfig) -> None:
    assert all(field.init for field in fields(config))


@CONFIGS
def test_both_are_frozen(config: AnyConfig) -> None:
    changed: Any = config
    with pytest.raises(FrozenInstanceError):
        changed.grease = True
    changed = config.parameters
    with pytest.raises(FrozenInstanceError):
        changed.grease = True


@pytest.mark.parametrize(
    ("module", "make"),
    [(client, ClientConfig), (server, lambda: ServerConfig(credentials=CREDENTIALS))],
)
def test_parameters_are_made_once(module: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    resolve = module._resolve

    def count(config: object) -> object:
        made.append(config)
        return resolve(config)

    monkeypatch.setattr(module, "_resolve", count)
    config = make()
    assert config.parameters is config.parameters
    assert copy.copy(config).parameters is config.parameters
    assert len(made) == 1


def test_copied_configuration_has_its_own_state() -> None:
    one = ClientConfig()
    assert isinstance(one.parameters.session_store, MemorySessionStore)
    assert replace(one).parameters.session_store is not one.parameters.session_store
    other = replace(SERVER, ticket_keys=None, anti_replay_cache=None, max_early_data_size=1)
    again = replace(other)
    assert again.parameters.ticket_keys is not other.parameters.ticket_keys
    assert again.parameters.anti_replay_cache is not other.parameters.anti_replay_cache
    assert replace(SERVER).parameters.ticket_keys is SERVER.parameters.ticket_keys


@CONFIGS
def test_equality_is_that_of_the_arguments(config: AnyConfig) -> None:
    assert replace(config) == config
    assert replace(config, grease=True) != config
    assert config.parameters.grease is False
    assert replace(config, grease=True).parameters.grease is True


@CONFIGS
def test_nothing_secret_is_shown(config: AnyConfig) -> None:
    for shown in (repr(config), repr(config.parameters)):
        assert repr(SECRET)[2:-1] not in shown
        assert repr(bytes(range(32)))[2:-1] not in shown


@CONFIGS
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("record_size_limit", 63, "record_size_limit is 63 bytes; pass 64 to 16385"),
        ("record_size_limit", 16_386, "record_size_limit is 16386 bytes"),
        ("max_fragment_size", 63, "max_fragment_size is 63 bytes; pass 64 to 16384"),
        ("max_fragment_size", 16_385, "max_fragment_size is 16385 bytes"),
        ("key_update_bytes", 16_383, "key_update_bytes is 16383; pass at least 16384"),
        ("max_chain_length", 0, "max_chain_length is 0 certificates; pass 1 to 255"),
        ("max_chain_length", 256, "max_chain_length is 256 certificates; pass 1 to 255"),
        ("cipher_suites", [], "there is no cipher suite"),
        ("cipher_suites", ["TLS_NULL"], "unknown cipher suite 'TLS_NULL'; pass one of TLS_AES_"),
        ("groups", (), "there is no group"),
        ("groups", ["x448"], "unknown group 'x448'; pass one of"),
        ("signature_schemes", [], "there is no signature scheme"),
        ("signature_schemes", ["md5"], "unknown signature scheme 'md5'"),
        ("alpn_protocols", [""], "ALPN protocol b'' has 0 bytes; pass 1 to 255"),
        ("alpn_protocols", ["x" * 256], "has 256 bytes"),
        ("alpn_protocols", ["h\u00b2"], "ALPN protocol 'h\u00b2' is not ASCII"),
        ("alpn_protocols", ["x" * 255] * 256, "the list of ALPN protocols exceeds 65535 bytes"),
        ("verify_replaces_builtin", True, "verify_replaces_builtin=True without verify="),
        ("key_log", "a\0b", r"the key log 'a\x00b' cannot be written: no file can have this name"),
    ],
)
def test_values_of_both_roles(config: CommonConfig, name: str, value: Any, sentence: str) -> None:
    changed: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError) as caught:
        replace(config, **changed)
    assert sentence in str(caught.value)


@CONFIGS
def test_values_at_the_limits(config: CommonConfig) -> None:
    least = replace(config, record_size_limit=64, max_fragment_size=64)
    most = replace(
        least,
        record_size_limit=16_385,
        max_fragment_size=16_384,
        key_update_bytes=MIN_KEY_UPDATE_BYTES,
        alpn_protocols=["x" * 255, b"\xff"],
    )
    assert most == replace(most)


@CONFIGS
def test_names_are_looked_up(config: AnyConfig) -> None:
    """Capitals make no difference, aliases are understood, and a repeated name counts once."""
    named = replace(
        config,
        groups=["P-256", "X25519", "prime256v1", "secp256r1"],
        signature_schemes=["ED25519", "ed25519"],
        alpn_protocols=["h2", b"\xff"],
    ).parameters
    assert [group.name for group in named.group_table.values()] == ["secp256r1", "x25519"]
    assert [scheme.name for scheme in named.scheme_table] == ["ed25519"]
    assert named.alpn_protocols == (b"h2", b"\xff")


CERTIFIED = ServerConfig(credentials=CREDENTIALS)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"tickets": -1}, "tickets is -1; pass 0 to 16"),
        ({"tickets": 17}, "tickets is 17"),
        ({"max_early_data_size": -1}, "max_early_data_size is -1 bytes; pass 0 to 14336"),
        ({"max_early_data_size": 14_337}, "max_early_data_size is 14337 bytes"),
        (
            {"client_auth": "always"},
            "client_auth is 'always'; pass 'none', 'optional' or 'required'",
        ),
        (
            {"retry_for_group": "preferred"},
            "retry_for_group is 'preferred'; pass 'never', 'post_quantum' or 'always'",
        ),
        ({"client_auth": "required"}, "client_auth is 'required', but there is no client_trust"),
        ({"client_trust": CA().trust}, "client_trust has no effect"),
        ({"select_credentials": find_nothing}, "pass one of them"),
        ({"credentials": None}, "a server has no credentials: pass credentials="),
        ({"credentials": ()}, "a server has no credentials: pass credentials="),
        (
            {
                "credentials": None,
                "psks": [ExternalPSK(b"client 1", SECRET)],
                "client_auth": "required",
                "client_trust": CA().trust,
            },
            "a server with psks alone cannot request certificates",
        ),
        ({"ticket_application_data": bytes(256)}, "ticket_application_data has 256 bytes"),
    ],
)
def test_values_of_a_server(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(CERTIFIED, **changed)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"signature_schemes": ["rsa_pkcs1_sha256_legacy"]}, "only clients may sign"),
        (
            {"credentials": CREDENTIALS, "select_credentials": find_nothing},
            "pass one of them",
        ),
        ({"session_store": MemorySessionStore()}, "need each other"),
        ({"session_context": b"staging"}, "need each other"),
        (
            {
                "session_store": MemorySessionStore(),
                "session_context": b"staging",
                "insecure_skip_verification": True,
            },
            "leave out session_store",
        ),
        (
            {"psks": [ExternalPSK(b"client %d" % n, SECRET) for n in range(5)]},
            "psks has 5 keys; pass at most 4",
        ),
        ({"psks": [ExternalPSK(b"client 1", SECRET)] * 2}, "have the same identity"),
        (
            {"psks": [ExternalPSK(b"client 1", SECRET)], "credentials": CREDENTIALS},
            "with psks and without trust",
        ),
        (
            {
                "psks": [ExternalPSK(b"client 1", SECRET, hash="SHA384", imported=False)],
                "cipher_suites": ["TLS_AES_128_GCM_SHA256"],
            },
            "none of the cipher_suites has the hash function of one of the psks",
        ),
    ],
)
def test_values_of_a_client(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ClientConfig(**options)
    assert sentence in str(caught.value)


def test_psks_beside_certificates() -> None:
    """With a trust store a client takes certificates as well as PSKs."""
    assert CLIENT.parameters.psk_required
    assert CLIENT.parameters.session_store is None
    both = replace(CLIENT, trust=CA().trust)
    assert not both.parameters.psk_required
    assert both.parameters.session_store is not None
    assert both.parameters.psks == tuple(CLIENT.psks)


def test_psks_by_identity() -> None:
    key = ExternalPSK(b"client 1", SECRET)
    keys = {b"client 1": key}
    find = ServerConfig(psks=keys).parameters.find_psk
    assert find is not None
    assert find(b"client 1") is key
    keys.clear()  # a mapping may change
    assert find(b"client 1") is None


# Another ech


CONFIGS_OF_A_KEY = ECHKey.generate("public.example").config_list


def test_with_ech_changes_nothing_else() -> None:
    config = ClientConfig(alpn_protocols=["h2"], ech="grease")
    other = config.with_ech(CONFIGS_OF_A_KEY)
    assert other == replace(config, ech=CONFIGS_OF_A_KEY)
    assert config.ech == "grease"
    assert config.parameters.ech_grease
    assert not other.parameters.ech_grease
    assert other.parameters.ech == replace(config, ech=CONFIGS_OF_A_KEY).parameters.ech
    assert other.parameters.session_store is config.parameters.session_store
    assert other.with_ech("grease") == config
    assert other.with_ech(None).parameters.ech is None


@pytest.mark.parametrize(
    ("ech", "sentence"),
    [
        (b"", "is cut short"),
        ("no base64", "not in base64"),
        (7, "of type int"),
        (b"\0\4\xfe\x0a\0\0", "can be used"),
    ],
)
def test_with_ech_checks_its_argument(ech: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        ClientConfig().with_ech(ech)


def test_with_ech_needs_tls13() -> None:
    with pytest.raises(ConfigError, match=r"ech needs TLS 1\.3"):
        ClientConfig(versions=["TLSv1.2"]).with_ech(CONFIGS_OF_A_KEY)
