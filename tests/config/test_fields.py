"""The constructor of a configuration rejects a value of a wrong type, for every field."""

from __future__ import annotations

import datetime
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from trio_tlsx import (
    ClientConfig,
    ConfigError,
    ExternalPSK,
    MemoryAntiReplayCache,
    MemorySessionStore,
    MemoryTicketStore,
    ReloadingCredentials,
    ServerConfig,
    TicketKeys,
    TrustStore,
)
from trio_tlsx.arguments import Expected
from trio_tlsx.config.common import CommonConfig
from trio_tlsx.config.fields import CLIENT_FIELDS, SERVER_FIELDS
from trio_tlsx.pki.ech import ECHKey
from trio_tlsx.pki.ech_keys import ECHKeys
from trio_tlsx.testing import CA, write_pem_files

AUTHORITY = CA()
CREDENTIALS = AUTHORITY.issue("test.example")
ECH_KEY = ECHKey.generate("test.example")
PSK = ExternalPSK(b"client 1", bytes(32))

TABLES: dict[type[CommonConfig], Mapping[str, Expected]] = {
    ClientConfig: CLIENT_FIELDS,
    ServerConfig: SERVER_FIELDS,
}
FIELDS = [(kind, field.name) for kind in TABLES for field in fields(kind)]


class Compressor:
    algorithm = 40_000

    def compress(self, data: bytes) -> bytes:
        return data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return data[:max_length]


def call(*arguments: object) -> None:
    """Stand for any hook."""


#: A value of each type that some field accepts, and of some that none does.
SAMPLES: dict[str, Any] = {
    "None": None,
    "bool": True,
    "int": 3,
    "float": 3.5,
    "str": "name-of-nothing",
    "path": Path("file-of-nothing"),
    "bytes path": b"file-of-nothing",
    "function": call,
    "object": object(),
    "dict": {b"client 1": PSK},
    "list of int": [5],
    "list of str": ["name-of-nothing"],
    "list of bytes": [b"h2"],
    "list of functions": [call],
    "list of None": [None],
    "Credentials": CREDENTIALS,
    "list of Credentials": [CREDENTIALS],
    "TrustStore": AUTHORITY.trust,
    "class TrustStore": TrustStore,
    "certificates": list(AUTHORITY.trust.certificates),
    "compressors": [Compressor()],
    "class of compressors": [Compressor],
    "SessionStore": MemorySessionStore(),
    "class MemoryTicketStore": MemoryTicketStore,
    "AntiReplayCache": MemoryAntiReplayCache(),
    "TicketKeys": TicketKeys(),
    "ExternalPSK": PSK,
    "list of ExternalPSK": [PSK],
    "ECHKey": ECH_KEY,
    "list of ECHKey": [ECH_KEY],
    "ECHKeys": ECHKeys(ECH_KEY),
    "datetime": datetime.datetime.now(datetime.UTC),
}

CALLABLE = {"function", "class TrustStore", "class MemoryTicketStore"}
STRINGS = {"list of str"}
#: The samples whose type each field accepts.
ACCEPTED: dict[str, set[str]] = {
    "credentials": {"None", "Credentials", "list of Credentials"},
    "versions": STRINGS,
    "alpn_protocols": {"list of str", "list of bytes"},
    "cipher_suites": STRINGS,
    "groups": STRINGS,
    "signature_schemes": STRINGS,
    "certificate_compression": {"list of str", "compressors"},
    "record_size_limit": {"int"},
    "max_fragment_size": {"int"},
    "max_chain_length": {"int"},
    "key_update_bytes": {"None", "int"},
    "max_fragment_length": {"None", "int"},
    "key_log": {"None", "str", "path", *CALLABLE},
    "verify": {"list of functions", "class of compressors", *CALLABLE},
    "verify_replaces_builtin": {"bool"},
    "grease": {"bool"},
    "psk_without_key_exchange": {"bool"},
    "certificate_with_psk": {"str"},
    "on_event": {"None", *CALLABLE},
    "require_extended_master_secret": {"bool"},
    "require_secure_renegotiation": {"bool"},
    "clock": CALLABLE,
    "trust": {"None", "str", "path", "TrustStore"},
    "key_shares": {"None", *STRINGS},
    "select_credentials": {"None", *CALLABLE},
    "own_certificate_types": {"None", *STRINGS},
    "peer_certificate_types": {"None", *STRINGS},
    "middlebox_compatibility": {"bool"},
    "insecure_skip_verification": {"bool"},
    "resumption": {"bool"},
    "remember_groups": {"bool"},
    "tickets_wanted": {"None", "list of int"},
    "session_store": {"None", "SessionStore"},
    "session_context": {"bytes path"},
    "verify_on_resumption": {"bool"},
    "ocsp_stapling": {"None", "bool"},
    "timestamps": {"bool"},
    "client_auth": {"str"},
    "retry_for_group": {"str"},
    "client_trust": {"None", "str", "path", "TrustStore"},
    "require_cookie": {"bool"},
    "tickets_after_handshake": {"bool"},
    "tickets": {"None", "int"},
    "ticket_keys": {"None", "TicketKeys"},
    "ticket_store": {"None", "SessionStore"},
    "ticket_application_data": {"bytes path", *CALLABLE},
    "max_early_data_size": {"int"},
    "anti_replay_cache": {"None", "AntiReplayCache"},
    "ech": {"None", "str", "bytes path", *CALLABLE},
    "ech_keys": {"ECHKey", "list of ECHKey", "ECHKeys"},
    "ech_trial_decryption": {"bool"},
}
PSKS_ACCEPTED: dict[type[CommonConfig], set[str]] = {
    ClientConfig: {"list of ExternalPSK"},
    ServerConfig: {"list of ExternalPSK", "dict", *CALLABLE},
}


def accepted(kind: type[CommonConfig], name: str) -> set[str]:
    return PSKS_ACCEPTED[kind] if name == "psks" else ACCEPTED[name]


@pytest.mark.parametrize("kind", TABLES)
def test_every_field_has_a_type(kind: type[CommonConfig]) -> None:
    assert set(TABLES[kind]) == {field.name for field in fields(kind)}


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_types_of_fields(kind: type[CommonConfig], name: str) -> None:
    """A wrong type is rejected in a sentence with the field, the type and the advice."""
    expected = TABLES[kind][name]
    right = accepted(kind, name)
    for label, value in SAMPLES.items():
        assert expected.predicate(value) == (label in right), label
        if label in right:
            continue
        with pytest.raises(ConfigError) as caught:
            kind(**{name: value})
        message = str(caught.value)
        assert message.startswith(f"{name} is ")
        assert message.endswith(f"; pass {expected.advice}")
        assert "nothing" not in message  # the value could be a key


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_defaults_are_of_the_right_type(kind: type[CommonConfig], name: str) -> None:
    assert TABLES[kind][name].predicate(getattr(kind, name))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("ticket_keys", bytes(32), "ticket_keys is of type bytes; pass TicketKeys([key])"),
        ("select_credentials", 3, "select_credentials is of type int; pass a function"),
        ("verify", 3, "verify is of type int; pass a function that is called with the Peer"),
        ("tickets", "a", "tickets is of type str; pass a number of tickets"),
        ("key_log", 3, "key_log is of type int; pass the path of a file"),
        ("certificate_compression", [5], "is of type list[int]; pass a list of names"),
        ("groups", "x25519", 'groups is of type str; pass a list of names, such as ["x25519"]'),
        (
            "groups",
            ["x25519", 29, None, 3.5, b"x25519"],
            "groups is of type list[NoneType, bytes, float]",
        ),
        (
            "ticket_store",
            MemoryTicketStore,
            "ticket_store is the class MemoryTicketStore, not an instance",
        ),
        ("client_trust", [], "client_trust is of type list; pass the path of a PEM file"),
    ],
)
def test_sentences(name: str, value: Any, sentence: str) -> None:
    wrong: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError) as caught:
        ServerConfig(**wrong)
    assert sentence in str(caught.value)


def test_reloading_credentials_are_selected(tmp_path: Path) -> None:
    """They are no Credentials; the error names the argument that takes them."""
    cert, key = write_pem_files(CREDENTIALS, tmp_path)
    reloading: Any = ReloadingCredentials.from_pem_files(cert, key)
    with pytest.raises(ConfigError, match="go into select_credentials"):
        ServerConfig(credentials=reloading)


@dataclass
class _PathOfBytes:
    path: bytes

    def __fspath__(self) -> bytes:
        return self.path


def test_paths_are_text() -> None:
    path: Any = _PathOfBytes(b"ca.pem")
    with pytest.raises(ConfigError, match="trust is of type _PathOfBytes; pass the path"):
        ClientConfig(trust=path)


ARGUMENT = re.compile(r"^ {4,8}(\w+): ", re.MULTILINE)


def documented(kind: type[CommonConfig]) -> list[str]:
    """The arguments that the class's own docstring describes."""
    text = inspect.getdoc(kind) or ""
    return ARGUMENT.findall(text.partition("Args:")[2].partition("Raises:")[0])


@pytest.mark.parametrize("kind", TABLES)
def test_each_field_is_documented_once(kind: type[CommonConfig]) -> None:
    described = [*documented(CommonConfig), *documented(kind)]
    assert sorted(described) == sorted(field.name for field in fields(kind))
