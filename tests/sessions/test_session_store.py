"""Stored sessions: their encrypted format, and the store in memory."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trio_tlsx import ClientConfig, ConfigError, MemorySessionStore, Session
from trio_tlsx.crypto.cipher_suites12 import CIPHER_SUITES_12
from trio_tlsx.sessions import client
from trio_tlsx.sessions.client import BYTE_FORM_CONTEXTS
from trio_tlsx.sessions.sealing import seal
from trio_tlsx.testing import CA

NOW = datetime.datetime(2030, 1, 1, 12, 0, 0, 123000, tzinfo=datetime.UTC)
KEY = bytes(range(32))

[LEAF] = CA().issue("test.example", not_after=NOW + datetime.timedelta(days=3)).chain

SESSION = Session(
    server_name="test.example",
    port=443,
    context=b"the context",
    cipher_suite="TLS_AES_256_GCM_SHA384",
    peer_certificates=(LEAF,),
    signature_scheme="ecdsa_secp256r1_sha256",
    verified_at=NOW - datetime.timedelta(hours=1),
    received_at=NOW,
    lifetime=7200,
    ticket=b"the ticket",
    ticket_age_add=2**32 - 1,
    secret=b"very secret indeed" * 2,
)


def test_session_from_bytes_equals_the_original() -> None:
    data = SESSION.to_bytes(KEY)
    assert Session.from_bytes(data, KEY) == SESSION
    assert data[0] == 2
    for hidden in (SESSION.secret, SESSION.ticket, b"test.example"):
        assert hidden not in data


def test_altered_session_bytes_are_rejected() -> None:
    data = SESSION.to_bytes(KEY)
    for position in range(len(data)):
        altered = bytearray(data)
        altered[position] ^= 1
        with pytest.raises(ValueError, match=r"altered|version"):
            Session.from_bytes(bytes(altered), KEY)
    with pytest.raises(ValueError, match="altered"):
        Session.from_bytes(b"\x01" + data[1:], KEY)
    for end in range(0, len(data), 7):
        with pytest.raises(ValueError, match=r"altered|version"):
            Session.from_bytes(data[:end], KEY)


def test_session_bytes_under_another_key_are_rejected() -> None:
    with pytest.raises(ValueError, match="another key"):
        Session.from_bytes(SESSION.to_bytes(KEY), bytes(32))


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)])
def test_session_key_of_another_length_is_rejected(key: bytes) -> None:
    with pytest.raises(ConfigError, match="32"):
        SESSION.to_bytes(key)
    with pytest.raises(ConfigError, match="32"):
        Session.from_bytes(SESSION.to_bytes(KEY), key)


def test_session_bytes_of_an_unknown_format_are_rejected() -> None:
    with pytest.raises(ValueError, match="version"):
        Session.from_bytes(b"\x03" + SESSION.to_bytes(KEY)[1:], KEY)


def test_session_bytes_of_the_first_format_are_read() -> None:
    data = (Path(__file__).parents[1] / "data" / "session_of_format_1.bin").read_bytes()
    restored = Session.from_bytes(data, KEY)
    assert data[0] == 1
    (leaf,) = restored.peer_certificates
    assert leaf.not_valid_after_utc == LEAF.not_valid_after_utc
    expected = replace(SESSION, alpn_protocol="h2", max_early_data_size=16)
    assert replace(restored, peer_certificates=(LEAF,)) == expected


def test_session_bytes_of_tls_1_2() -> None:
    session = replace(
        SESSION,
        cipher_suite="TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ticket=b"",
        session_id=bytes(range(32)),
        extended_master_secret=True,
        group="x25519",
    )
    assert Session.from_bytes(session.to_bytes(KEY), KEY) == session


def test_session_bytes_with_a_suite_of_another_version_are_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = SESSION.to_bytes(KEY)
    suite = SESSION.suite
    monkeypatch.setitem(client._SUITES, suite.code, CIPHER_SUITES_12[0xC030])  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(ValueError, match="cannot be decoded"):
        Session.from_bytes(data, KEY)


@pytest.mark.parametrize("form", BYTE_FORM_CONTEXTS)
def test_session_bytes_that_cannot_be_decoded_are_rejected(form: int) -> None:
    undecodable = bytes((form,)) + seal(KEY, b"not a session", BYTE_FORM_CONTEXTS[form])
    with pytest.raises(ValueError, match="cannot be decoded"):
        Session.from_bytes(undecodable, KEY)


@pytest.mark.parametrize(
    "changes",
    [
        {"signature_scheme": "a_scheme_of_tomorrow"},
        {"received_at": datetime.datetime.max.replace(tzinfo=datetime.UTC)},
    ],
)
def test_session_bytes_with_values_of_another_version_are_rejected(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the handshake that resumes the session would fail."""
    with monkeypatch.context() as other_version:
        other_version.setattr(client, "EPOCH", client.EPOCH - datetime.timedelta(days=400_000))
        data = replace(SESSION, **changes).to_bytes(KEY)
    with pytest.raises(ValueError, match="cannot be decoded"):
        Session.from_bytes(data, KEY)


def test_session_store_repr_shows_the_count() -> None:
    store = MemorySessionStore()
    store.put(SESSION)
    assert repr(store) == "<MemorySessionStore of 1 sessions>"


def test_session_repr_shows_no_secrets() -> None:
    assert "secret indeed" not in repr(SESSION)
    assert "the ticket" not in repr(SESSION)


def test_session_ends_with_ticket_verification_or_certificate() -> None:
    def ends(**changes: object) -> datetime.datetime:
        return replace(SESSION, **changes).expires_at

    assert ends() == NOW + datetime.timedelta(seconds=7200)
    week = 7 * 24 * 3600
    assert ends(lifetime=week) == LEAF.not_valid_after_utc
    old = NOW - datetime.timedelta(days=6)
    assert ends(lifetime=week, verified_at=old) == old + datetime.timedelta(days=7)


# The store


def session(server_name: str, ticket: int = 0, context: bytes = b"") -> Session:
    return replace(SESSION, server_name=server_name, ticket=bytes((ticket,)), context=context)


def test_session_store_returns_the_newest_first_and_each_once() -> None:
    store = MemorySessionStore()
    for ticket in range(3):
        store.put(session("a", ticket))
    taken = [store.take("a", 443, b"") for _ in range(4)]
    assert [one and one.ticket for one in taken] == [b"\x02", b"\x01", b"\x00", None]
    assert len(store) == 0


def test_session_store_separates_servers_and_contexts() -> None:
    store = MemorySessionStore()
    store.put(session("a", context=b"x"))
    assert store.take("b", 443, b"x") is None
    assert store.take("a", 443, b"y") is None
    assert store.take("a", 443, b"x") is not None


def test_session_store_separates_ports() -> None:
    store = MemorySessionStore()
    store.put(replace(session("a"), port=8443))
    store.put(replace(session("a"), port=None))
    assert store.take("a", 443, b"") is None
    for port in (None, 8443):
        taken = store.take("a", port, b"")
        assert taken is not None
        assert taken.port == port


def test_session_bytes_without_a_port() -> None:
    unknown = replace(SESSION, port=None)
    assert Session.from_bytes(unknown.to_bytes(KEY), KEY) == unknown


def test_session_store_is_bounded_per_server() -> None:
    store = MemorySessionStore(max_per_server=4)
    for ticket in range(10):
        store.put(session("a", ticket))
    assert len(store) == 4
    newest = store.take("a", 443, b"")
    assert newest is not None
    assert newest.ticket == b"\x09"


def test_session_store_forgets_the_least_recent_server() -> None:
    store = MemorySessionStore(max_servers=2)
    for name in ("a", "b", "a", "c"):
        store.put(session(name))
    assert store.take("b", 443, b"") is None
    assert store.take("a", 443, b"") is not None
    assert store.take("c", 443, b"") is not None
    for i in range(1000):
        store.put(session(str(i)))
    assert len(store) == 2


@pytest.mark.parametrize("bounds", [(0, 1), (1, 0)])
def test_session_store_without_room_is_rejected(bounds: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="pass at least 1 for each"):
        MemorySessionStore(*bounds)


# The configuration


def test_session_store_argument_needs_session_context() -> None:
    with pytest.raises(ConfigError, match="session_context"):
        ClientConfig(session_store=MemorySessionStore())
    with pytest.raises(ConfigError, match="session_context"):
        ClientConfig(session_context=b"x")


def test_unverified_sessions_stay_in_their_configuration() -> None:
    with pytest.raises(ConfigError, match="insecure_skip_verification"):
        ClientConfig(
            insecure_skip_verification=True,
            session_store=MemorySessionStore(),
            session_context=b"x",
        )


def test_each_client_config_has_its_own_session_store() -> None:
    one = ClientConfig()
    assert one.parameters.session_store is not None
    assert replace(one).parameters.session_store is not one.parameters.session_store
    assert ClientConfig(resumption=False).parameters.session_store is None
