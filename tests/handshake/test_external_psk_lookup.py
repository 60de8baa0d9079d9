"""The look-up of external pre-shared keys: unknown identities, wrong keys, failures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import (
    authority,
    carry,
    connections,
    established,
    failure_of,
    shake_hands,
)
from external_psk_pairs import (
    CLIENT,
    IMPOSTOR,
    KEY,
    NAME,
    OPEN_CLIENT,
    OPEN_SERVER,
    PSK,
    SERVER,
    SHA256,
    SHA384,
    STRANGER,
    knows_by_key,
    offers_modes,
    refused_by_server,
)
from hypothesis import given
from hypothesis import strategies as st

from trio_tlsx import ClientConfig, ExternalPSK, PSKWanted, ServerConfig
from trio_tlsx.errors import AlertDescription, InternalError
from trio_tlsx.handshake import client_hello, psk
from trio_tlsx.handshake import external_psk as external
from trio_tlsx.handshake.psk import Psk
from trio_tlsx.handshake.server13_hello import MAX_IDENTITIES
from trio_tlsx.handshake.wants import Question
from trio_tlsx.sessions.external_psk import HashName, PSKs
from trio_tlsx.sessions.psk_import import ImportedIdentity


@pytest.mark.parametrize("server", [SERVER, OPEN_SERVER], ids=["keys only", "certificates too"])
@pytest.mark.parametrize("cookie", [False, True])
def test_wrong_psk_is_rejected(server: ServerConfig, cookie: bool) -> None:
    server = replace(server, require_cookie=cookie)
    error = refused_by_server(replace(OPEN_CLIENT, psks=[IMPOSTOR]), server)
    assert error.alert == AlertDescription.decrypt_error


@pytest.mark.parametrize("suites", [[SHA256.name], [SHA384.name, SHA256.name]])
@pytest.mark.parametrize("name", ["SHA256", "SHA384"])
@pytest.mark.parametrize("imported", [True, False])
@pytest.mark.parametrize("cookie", [False, True])
def test_unknown_psk_identity_ends_as_a_wrong_psk_does(
    monkeypatch: pytest.MonkeyPatch,
    imported: bool,
    cookie: bool,
    name: HashName,
    suites: Sequence[str],
) -> None:
    key = replace(PSK, hash=name, imported=imported)
    server = replace(SERVER, psks=[key], require_cookie=cookie)
    client = replace(OPEN_CLIENT, cipher_suites=suites)
    steps: list[list[object]] = []
    for identity in (NAME, b"client 2"):
        done: list[object] = []
        notes_calls(monkeypatch, done, external, "import_key")
        notes_calls(monkeypatch, done, psk, "binder")
        guess = ExternalPSK(identity, bytes(32), imported=imported)
        pair = connections(replace(client, psks=[guess]), server)
        error = failure_of(lambda pair=pair: shake_hands(*pair))
        done += [error.alert, type(error), str(error), len(pair[1].data_to_send())]
        steps.append(done)
        monkeypatch.undo()
    assert steps[0] == steps[1]
    assert AlertDescription.decrypt_error in steps[0]
    assert "binder" in steps[0]


def notes_calls(
    monkeypatch: pytest.MonkeyPatch, notes: list[object], module: Any, name: str
) -> None:
    original: Callable[..., object] = getattr(module, name)

    def noting(*args: object) -> object:
        notes.append(name)
        return original(*args)

    monkeypatch.setattr(module, name, noting)


def test_psk_of_another_context_is_unknown() -> None:
    other = replace(PSK, context=b"another")
    error = refused_by_server(replace(CLIENT, psks=[other]), SERVER)
    assert error.alert == AlertDescription.decrypt_error


def test_psk_only_server_rejects_a_client_without_psk() -> None:
    client = ClientConfig(trust=authority.trust)
    assert refused_by_server(client, SERVER).alert == AlertDescription.handshake_failure


def test_psk_only_server_rejects_a_client_without_common_modes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offers_modes(monkeypatch, b"\x01\x00")
    assert refused_by_server(CLIENT, SERVER).alert == AlertDescription.handshake_failure


def test_psk_identities_of_another_form_are_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    server = replace(OPEN_SERVER, psks=asked.append)
    stands_before(monkeypatch, b"x" * 1025, ImportedIdentity(b"x", b"y" * 1025, 0, 0).encode())
    assert not knows_by_key(OPEN_CLIENT, server)
    assert asked == [NAME]
    error = refused_by_server(CLIENT, replace(SERVER, psks=asked.append))
    assert error.alert == AlertDescription.decrypt_error


@given(st.lists(st.binary(min_size=1, max_size=1100), min_size=1, max_size=12))
def test_rejected_psk_offers_end_alike(identities: list[bytes]) -> None:
    """Unless it cannot be the identity of any key that could be used here."""
    with pytest.MonkeyPatch.context() as patch:
        offers_only(patch, *identities)
        alert = refused_by_server(CLIENT, SERVER).alert
    assert alert in (AlertDescription.decrypt_error, AlertDescription.handshake_failure)


def offers_only(monkeypatch: pytest.MonkeyPatch, *identities: bytes) -> None:
    """Clients offer these, with good binders of keys that nobody else has."""
    psks: list[Psk[Any]] = [
        Psk(identity, 0, SHA256, bytes(32), external=PSK) for identity in identities
    ]

    def give(*_: object) -> Sequence[Psk[Any]]:
        return psks

    monkeypatch.setattr(client_hello, "current_psks", give)


def stands_before(monkeypatch: pytest.MonkeyPatch, *identities: bytes) -> None:
    """Clients offer these too, before all else."""
    current_psks = client_hello.current_psks

    def more(*args: Any) -> Sequence[Psk[Any]]:
        real = current_psks(*args)
        return [*(replace(real[0], identity=identity) for identity in identities), *real]

    monkeypatch.setattr(client_hello, "current_psks", more)


@pytest.mark.parametrize("before", [MAX_IDENTITIES - 1, MAX_IDENTITIES])
def test_psk_identities_looked_at_are_limited(
    monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    asked: list[bytes] = []

    def find(identity: bytes) -> ExternalPSK | None:
        asked.append(identity)
        return PSK if identity == NAME else None

    stands_before(monkeypatch, *(b"nobody %d" % number for number in range(before)))
    known = knows_by_key(OPEN_CLIENT, replace(OPEN_SERVER, psks=find))
    assert known == (before < MAX_IDENTITIES)
    assert len(asked) == MAX_IDENTITIES


class Later:
    """An answer that is awaited."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def __await__(self) -> Any:
        raise AssertionError("the test answers by itself")
        yield


def test_async_psk_lookup() -> None:
    def find(_: bytes) -> Any:
        return Later(PSK)

    client, server = connections(CLIENT, replace(SERVER, psks=find))
    client.do_handshake()
    carry(client, server)
    for _ in range(2):  # a driver that gives up is asked anew
        question = server.do_handshake()
        assert isinstance(question, PSKWanted)
        assert question.identity == NAME
        assert isinstance(question.awaitable, Later)
        question.awaitable = None
    question = server.do_handshake()
    assert isinstance(question, Question)
    question.awaitable = None
    server.answer(PSK)
    shake_hands(client, server)
    assert server.negotiated.psk_identity == NAME


def test_psk_lookup_is_called_once_for_each_identity() -> None:
    asked: list[bytes] = []
    server = replace(OPEN_SERVER, psks=asked.append, require_cookie=True)
    assert not knows_by_key(replace(OPEN_CLIENT, psks=[PSK, STRANGER]), server)
    assert asked == [NAME, b"client 2"]


@pytest.mark.parametrize("psks", [[PSK], {NAME: PSK}, {NAME: PSK}.get], ids=["all", "map", "get"])
def test_psk_lookup_takes_the_first_known_identity(psks: PSKs) -> None:
    client, server = established(replace(CLIENT, psks=[STRANGER, PSK]), replace(SERVER, psks=psks))
    assert client.negotiated.psk_identity == server.negotiated.psk_identity == NAME


def test_psk_mapping_may_change() -> None:
    known: dict[bytes, ExternalPSK] = {}
    server = replace(SERVER, psks=known)
    assert refused_by_server(CLIENT, server).alert == AlertDescription.decrypt_error
    known[NAME] = PSK
    assert knows_by_key(CLIENT, server)


@pytest.mark.parametrize("server", [SERVER, OPEN_SERVER], ids=["keys only", "certificates too"])
def test_failing_psk_lookup(server: ServerConfig) -> None:
    def find(_: bytes) -> ExternalPSK:
        raise LookupError("the database is gone")

    error = refused_by_server(OPEN_CLIENT, replace(server, psks=find))
    assert isinstance(error, InternalError)
    assert error.alert == AlertDescription.internal_error
    assert isinstance(error.__cause__, LookupError)


@pytest.mark.parametrize("answer", [KEY, False, STRANGER], ids=["bytes", "bool", "another's"])
def test_psk_lookup_with_a_wrong_result(answer: object) -> None:
    def find(_: bytes) -> Any:
        return answer

    error = refused_by_server(OPEN_CLIENT, replace(OPEN_SERVER, psks=find))
    assert isinstance(error, InternalError)
    assert "client 2" not in str(error)
