"""Keys that both sides were given beforehand: offered, looked up, used, and refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import (
    SERVER_NAME,
    advance,
    authority,
    carry,
    connections,
    credentials,
    established,
    failure_of,
    read_all,
    records,
    sealed,
    send,
    shake_hands,
)
from hypothesis import given
from hypothesis import strategies as st

from trio_tlsx import ClientConfig, ConfigError, ExternalPSK, Peer, PSKWanted, ServerConfig
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, InternalError, TLSError
from trio_tlsx.handshake import client as client_hello
from trio_tlsx.handshake import external_psk as external
from trio_tlsx.handshake import psk, server13
from trio_tlsx.handshake.certificate_selection import Selected
from trio_tlsx.handshake.external_psk import psks_of
from trio_tlsx.handshake.psk import OfferedPsks, Psk
from trio_tlsx.handshake.server import MAX_IDENTITIES
from trio_tlsx.handshake.wants import Question, Want
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ClientHello, NewSessionTicket, encode_message
from trio_tlsx.record.protection import ContentType
from trio_tlsx.sessions.external_psk import HashName, PSKs
from trio_tlsx.sessions.psk_import import ImportedIdentity

SHA256, SHA384 = CIPHER_SUITES[0x1301], CIPHER_SUITES[0x1302]
NAME, KEY = b"client 1", bytes(range(32))
PSK = ExternalPSK(NAME, KEY)
STRANGER = ExternalPSK(b"client 2", bytes(32))
IMPOSTOR = ExternalPSK(NAME, bytes(32))

CLIENT = ClientConfig(psks=[PSK], groups=["x25519"])
SERVER = ServerConfig(psks=[PSK], groups=["x25519"])
#: Those that take certificates too; the client keeps no sessions from one test to the next.
OPEN_CLIENT = replace(CLIENT, trust=authority.trust, resumption=False)
OPEN_SERVER = replace(SERVER, credentials=credentials())


def knows_by_key(client: ClientConfig, server: ServerConfig) -> bool:
    """Whether the two, who agree on that, know each other by the key and not by certificates."""
    pair = established(client, server)
    for settled in (one.negotiated for one in pair):
        assert not settled.resumed
        assert settled.psk_identity in (None, NAME)
        if settled.psk_identity is not None:
            assert settled.peer_certificates == ()
            assert settled.signature_scheme is settled.peer_identity is None
    for one, other in (pair, pair[::-1]):
        send(one, other, b"data")
        assert read_all(other) == b"data"
    [known] = {one.negotiated.psk_identity is not None for one in pair}
    return known


def refused_by_server(client: ClientConfig, server: ServerConfig) -> TLSError:
    """Why the server refuses; the client is told the same."""
    pair = connections(client, server)
    error = failure_of(lambda: shake_hands(*pair))
    assert error.refused_by == "us"
    carry(pair[1], pair[0])
    assert failure_of(pair[0].do_handshake).alert == error.alert
    return error


def client_hello_of(config: ClientConfig) -> ClientHello:
    client = Connection.client(config, SERVER_NAME)
    client.do_handshake()
    sent = records(client.data_to_send())
    return ClientHello.decode(b"".join(record[5:] for _, record in sent if record[0] == 22)[4:])


def offered(config: ClientConfig) -> OfferedPsks:
    return OfferedPsks.decode(client_hello_of(config).extensions[ExtensionType.pre_shared_key])


def plain_psk(name: HashName = "SHA256") -> ExternalPSK:
    return ExternalPSK(NAME, KEY, hash=name, imported=False)


# Handshakes


@pytest.mark.parametrize("suite", [suite.name for suite in CIPHER_SUITES.values()])
@pytest.mark.parametrize("cookie", [False, True])
@pytest.mark.parametrize("name", ["SHA256", "SHA384"])
def test_an_imported_key_goes_with_every_suite(name: HashName, suite: str, cookie: bool) -> None:
    key = ExternalPSK(NAME, KEY, context=b"client to server", hash=name)
    server = replace(SERVER, psks=[key], cipher_suites=[suite], require_cookie=cookie)
    assert knows_by_key(replace(CLIENT, psks=[key]), server)


@pytest.mark.parametrize("group", ["x25519", "secp256r1"])
@pytest.mark.parametrize("name", ["SHA256", "SHA384"])
def test_a_plain_key_goes_with_the_suites_of_its_hash(name: HashName, group: str) -> None:
    server = replace(SERVER, psks=[plain_psk(name)], groups=[group])
    client = replace(OPEN_CLIENT, psks=[plain_psk(name)], groups=["x25519", "secp256r1"])
    assert knows_by_key(client, server)
    suite = {"SHA256": SHA256, "SHA384": SHA384}[name]
    server = replace(server, credentials=credentials(), cipher_suites=[suite.name])
    assert knows_by_key(client, server)
    other = {"SHA256": SHA384, "SHA384": SHA256}[name]
    server = replace(server, cipher_suites=[other.name])
    assert not knows_by_key(client, server)


def test_nobody_shows_a_certificate_nor_is_asked_for_one() -> None:
    seen: list[str] = []
    client = Connection.client(
        CLIENT, SERVER_NAME, observer=lambda way, name, _: seen.append(name)
    )
    server = replace(OPEN_SERVER, client_auth="required", client_trust=authority.trust)
    shake_hands(client, Connection.server(server))
    assert seen == [
        "client_hello",
        "server_hello",
        "encrypted_extensions",
        "finished",
        "finished",
    ]


def test_verify_is_not_asked_about_a_peer_that_has_the_key() -> None:
    def verify(_: Peer) -> None:
        raise AssertionError("there is nothing to verify")

    server = replace(
        OPEN_SERVER, client_auth="required", client_trust=authority.trust, verify=verify
    )
    assert knows_by_key(replace(OPEN_CLIENT, verify=verify), server)


def test_exports_the_same_and_has_no_end_point() -> None:
    client, server = established(CLIENT, SERVER)
    label = "EXPERIMENTAL test"
    assert client.export_keying_material(label, 32) == server.export_keying_material(label, 32)
    assert client.channel_binding("tls-exporter") == server.channel_binding("tls-exporter")
    for one in established(OPEN_CLIENT, OPEN_SERVER):
        assert one.channel_binding("tls-server-end-point") is None


def test_no_tickets_are_given_nor_kept() -> None:
    open_client = replace(OPEN_CLIENT, resumption=True)
    client, server = established(open_client, OPEN_SERVER)
    server.write(memoryview(b"x"))
    [(_, record)] = records(bytes(server.pending_output()))
    assert len(record) == 5 + 1 + 1 + 16
    ticket = encode_message(NewSessionTicket(3600, 0, b"", b"ticket", {}))
    carry(server, client)
    client.receive_data(sealed(server, ticket, ContentType.handshake))
    assert read_all(client) == b"x"
    assert client.read() is Want.READ
    assert len(offered(open_client).identities) == 2


def test_the_keys_of_another_server_config_count() -> None:
    server = ServerConfig(select_credentials=lambda _: SERVER, psks=[STRANGER])
    assert knows_by_key(CLIENT, server)


def test_selected_credentials_go_with_the_keys_of_the_config() -> None:
    server = ServerConfig(select_credentials=lambda _: credentials(), psks=[PSK])
    assert knows_by_key(OPEN_CLIENT, server)
    assert not knows_by_key(replace(OPEN_CLIENT, psks=[STRANGER]), server)


# Certificates instead


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(STRANGER, id="unknown"),
        pytest.param(replace(PSK, context=b"another"), id="another context"),
        pytest.param(plain_psk(), id="not imported"),
    ],
)
def test_goes_on_with_certificates(key: ExternalPSK) -> None:
    client, server = established(replace(OPEN_CLIENT, psks=[key]), OPEN_SERVER)
    assert client.negotiated.psk_identity is server.negotiated.psk_identity is None
    assert client.negotiated.peer_certificates == credentials().chain
    assert not knows_by_key(replace(OPEN_CLIENT, psks=[PSK]), replace(OPEN_SERVER, psks=[key]))


def test_without_trust_no_certificate_will_do() -> None:
    assert ExtensionType.signature_algorithms in client_hello_of(OPEN_CLIENT).extensions
    assert ExtensionType.signature_algorithms not in client_hello_of(CLIENT).extensions
    stranger = replace(CLIENT, psks=[STRANGER])
    assert refused_by_server(stranger, OPEN_SERVER).alert == AlertDescription.missing_extension


def test_a_server_that_shows_a_certificate_nobody_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, server = connections(replace(CLIENT, psks=[STRANGER]), OPEN_SERVER)

    def whatever(*_: object) -> Selected:
        return credentials(), credentials().signer.schemes[0]

    monkeypatch.setattr(server13, "select_credentials", whatever)
    advance(client, server)
    advance(server, client)
    error = failure_of(client.do_handshake)
    assert error.alert == AlertDescription.missing_extension


@pytest.mark.parametrize("again", ["insecure_skip_verification", "verify_replaces_builtin"])
def test_other_ways_to_judge_certificates(again: str) -> None:
    judged: list[Peer] = []
    how: dict[str, Any] = {again: True, "verify": judged.append}
    client = ClientConfig(psks=[STRANGER], **how)
    assert not knows_by_key(client, OPEN_SERVER)
    assert len(judged) == 1


# Refusals


@pytest.mark.parametrize("server", [SERVER, OPEN_SERVER], ids=["keys only", "certificates too"])
@pytest.mark.parametrize("cookie", [False, True])
def test_a_wrong_key(server: ServerConfig, cookie: bool) -> None:
    server = replace(server, require_cookie=cookie)
    error = refused_by_server(replace(OPEN_CLIENT, psks=[IMPOSTOR]), server)
    assert error.alert == AlertDescription.decrypt_error


@pytest.mark.parametrize("suites", [[SHA256.name], [SHA384.name, SHA256.name]])
@pytest.mark.parametrize("name", ["SHA256", "SHA384"])
@pytest.mark.parametrize("imported", [True, False])
@pytest.mark.parametrize("cookie", [False, True])
def test_with_keys_only_an_unknown_identity_ends_as_a_wrong_key(
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


def test_another_context_is_another_identity() -> None:
    other = replace(PSK, context=b"another")
    error = refused_by_server(replace(CLIENT, psks=[other]), SERVER)
    assert error.alert == AlertDescription.decrypt_error


def test_with_keys_only_a_client_without_any() -> None:
    client = ClientConfig(trust=authority.trust)
    assert refused_by_server(client, SERVER).alert == AlertDescription.handshake_failure


def test_with_keys_only_a_client_without_our_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    offers_modes(monkeypatch, b"\x01\x00")
    assert refused_by_server(CLIENT, SERVER).alert == AlertDescription.handshake_failure


def test_identities_that_cannot_be_ours_are_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    server = replace(OPEN_SERVER, psks=asked.append)
    stands_before(monkeypatch, b"x" * 1025, ImportedIdentity(b"x", b"y" * 1025, 0, 0).encode())
    assert not knows_by_key(OPEN_CLIENT, server)
    assert asked == [NAME]
    error = refused_by_server(CLIENT, replace(SERVER, psks=asked.append))
    assert error.alert == AlertDescription.decrypt_error


@given(st.lists(st.binary(min_size=1, max_size=1100), min_size=1, max_size=12))
def test_whatever_is_offered_fails_alike(identities: list[bytes]) -> None:
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

    monkeypatch.setattr(client_hello, "psks_to_offer", give)


def stands_before(monkeypatch: pytest.MonkeyPatch, *identities: bytes) -> None:
    """Clients offer these too, before all else."""
    psks_to_offer = client_hello.psks_to_offer

    def more(*args: Any) -> Sequence[Psk[Any]]:
        real = psks_to_offer(*args)
        return [*(replace(real[0], identity=identity) for identity in identities), *real]

    monkeypatch.setattr(client_hello, "psks_to_offer", more)


@pytest.mark.parametrize("before", [MAX_IDENTITIES - 1, MAX_IDENTITIES])
def test_only_so_many_identities_are_looked_at(
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


# Sessions beside keys


def test_a_session_goes_first() -> None:
    clueless = replace(OPEN_SERVER, psks=[], ticket_keys=OPEN_SERVER.parameters.ticket_sealer)
    client = replace(OPEN_CLIENT, resumption=True)
    one, other = established(client, clueless)
    send(other, one, b"tickets")
    assert read_all(one) == b"tickets"
    asked: list[bytes] = []
    server = replace(
        OPEN_SERVER, psks=asked.append, ticket_keys=OPEN_SERVER.parameters.ticket_sealer
    )
    assert len(offered(client).identities) == 3
    one, other = established(client, server)
    assert one.negotiated.resumed
    assert other.negotiated.resumed
    assert one.negotiated.psk_identity is other.negotiated.psk_identity is None
    assert asked == []


def test_a_key_goes_where_the_session_does_not() -> None:
    client = replace(OPEN_CLIENT, resumption=True)
    one, other = established(client, replace(OPEN_SERVER, psks=[]))
    send(other, one, b"tickets")
    assert read_all(one) == b"tickets"
    assert knows_by_key(client, OPEN_SERVER)


def test_keys_of_another_hash_are_gone_from_the_second_hello() -> None:
    server = replace(SERVER, require_cookie=True, cipher_suites=[SHA384.name])
    client, server = connections(replace(CLIENT, psks=[STRANGER, PSK]), server)
    advance(client, server)
    advance(server, client)
    client.do_handshake()
    sent = records(client.data_to_send())
    hello = ClientHello.decode(b"".join(record[5:] for _, record in sent if record[0] == 22)[4:])
    psks = OfferedPsks.decode(hello.extensions[ExtensionType.pre_shared_key])
    assert [len(binder) for binder in psks.binders] == [48, 48]
    assert [len(binder) for binder in offered(CLIENT).binders] == [32, 48]


# The look-up


class Later:
    """An answer that is awaited."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def __await__(self) -> Any:
        raise AssertionError("the test answers by itself")
        yield


def test_a_look_up_may_answer_later() -> None:
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


def test_asked_once_however_often_it_is_offered() -> None:
    asked: list[bytes] = []
    server = replace(OPEN_SERVER, psks=asked.append, require_cookie=True)
    assert not knows_by_key(replace(OPEN_CLIENT, psks=[PSK, STRANGER]), server)
    assert asked == [NAME, b"client 2"]


@pytest.mark.parametrize("psks", [[PSK], {NAME: PSK}, {NAME: PSK}.get], ids=["all", "map", "get"])
def test_the_first_that_is_known(psks: PSKs) -> None:
    client, server = established(replace(CLIENT, psks=[STRANGER, PSK]), replace(SERVER, psks=psks))
    assert client.negotiated.psk_identity == server.negotiated.psk_identity == NAME


def test_a_mapping_may_change() -> None:
    known: dict[bytes, ExternalPSK] = {}
    server = replace(SERVER, psks=known)
    assert refused_by_server(CLIENT, server).alert == AlertDescription.decrypt_error
    known[NAME] = PSK
    assert knows_by_key(CLIENT, server)


@pytest.mark.parametrize("server", [SERVER, OPEN_SERVER], ids=["keys only", "certificates too"])
def test_a_look_up_that_fails(server: ServerConfig) -> None:
    def find(_: bytes) -> ExternalPSK:
        raise LookupError("the database is gone")

    error = refused_by_server(OPEN_CLIENT, replace(server, psks=find))
    assert isinstance(error, InternalError)
    assert error.alert == AlertDescription.internal_error
    assert isinstance(error.__cause__, LookupError)


@pytest.mark.parametrize("answer", [KEY, False, STRANGER], ids=["bytes", "bool", "another's"])
def test_a_look_up_that_gives_something_else(answer: object) -> None:
    def find(_: bytes) -> Any:
        return answer

    error = refused_by_server(OPEN_CLIENT, replace(OPEN_SERVER, psks=find))
    assert isinstance(error, InternalError)
    assert "client 2" not in str(error)


# Without a key exchange


def offers_modes(monkeypatch: pytest.MonkeyPatch, modes: bytes) -> None:
    def encode(_: ClientConfig) -> bytes:
        return modes

    monkeypatch.setattr(client_hello, "encode_psk_key_exchange_modes", encode)


WITHOUT_CLIENT = replace(OPEN_CLIENT, psk_without_key_exchange=True)
WITHOUT_SERVER = replace(OPEN_SERVER, psk_without_key_exchange=True)


def test_a_key_exchange_unless_both_want_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for client in (OPEN_CLIENT, WITHOUT_CLIENT):
        for server in (OPEN_SERVER, WITHOUT_SERVER):
            assert knows_by_key(client, server)
            assert established(client, server)[0].negotiated.group == "x25519"
    offers_modes(monkeypatch, b"\x01\x00")
    assert not knows_by_key(WITHOUT_CLIENT, OPEN_SERVER)
    assert knows_by_key(WITHOUT_CLIENT, WITHOUT_SERVER)
    for one in established(WITHOUT_CLIENT, WITHOUT_SERVER):
        assert one.negotiated.group is None


def test_modes_that_are_offered() -> None:
    code = ExtensionType.psk_key_exchange_modes
    assert client_hello_of(OPEN_CLIENT).extensions[code] == b"\x01\x01"
    assert sorted(client_hello_of(WITHOUT_CLIENT).extensions[code][1:]) == [0, 1]
    assert code not in client_hello_of(replace(OPEN_CLIENT, psks=[])).extensions


def test_a_server_that_does_without_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    offers_modes(monkeypatch, b"\x01\x00")
    client, server = connections(CLIENT, WITHOUT_SERVER)
    advance(client, server)
    advance(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.illegal_parameter


def test_no_group_in_common() -> None:
    other_groups = {"groups": ["secp384r1"]}
    server = replace(WITHOUT_SERVER, **other_groups)
    assert established(WITHOUT_CLIENT, server)[1].negotiated.group is None
    error = refused_by_server(OPEN_CLIENT, server)
    assert error.alert == AlertDescription.handshake_failure


@pytest.mark.parametrize("cookie", [False, True])
def test_a_client_that_knows_of_no_key_exchange(
    monkeypatch: pytest.MonkeyPatch, cookie: bool
) -> None:
    leaves_out(monkeypatch, ExtensionType.supported_groups, ExtensionType.key_share)
    assert knows_by_key(WITHOUT_CLIENT, replace(WITHOUT_SERVER, require_cookie=cookie))
    error = refused_by_server(WITHOUT_CLIENT, OPEN_SERVER)
    assert error.alert == AlertDescription.missing_extension


@pytest.mark.parametrize("left_out", ["supported_groups", "key_share"])
def test_one_of_the_two_without_the_other(monkeypatch: pytest.MonkeyPatch, left_out: str) -> None:
    leaves_out(monkeypatch, ExtensionType[left_out])
    error = refused_by_server(WITHOUT_CLIENT, WITHOUT_SERVER)
    assert error.alert == AlertDescription.missing_extension


def leaves_out(monkeypatch: pytest.MonkeyPatch, *left_out: ExtensionType) -> None:
    complete = client_hello.client_hello

    def incomplete(*args: Any) -> ClientHello:
        hello = complete(*args)
        rest = {code: body for code, body in hello.extensions.items() if code not in left_out}
        return replace(hello, extensions=rest)

    monkeypatch.setattr(client_hello, "client_hello", incomplete)


def test_a_session_can_do_without_too(monkeypatch: pytest.MonkeyPatch) -> None:
    server = replace(WITHOUT_SERVER, psks=[])
    client = replace(WITHOUT_CLIENT, psks=[], resumption=True)
    one, other = established(client, server)
    send(other, one, b"tickets")
    assert read_all(one) == b"tickets"
    offers_modes(monkeypatch, b"\x01\x00")
    one, other = established(client, server)
    assert one.negotiated.resumed
    assert one.negotiated.group is other.negotiated.group is None


def test_no_early_data_goes_under_them() -> None:
    client = Connection.client(CLIENT, SERVER_NAME, early_data=b"early", resend_early_data=True)
    server = Connection.server(SERVER)
    server.accept_early_data()
    shake_hands(client, server)
    assert not client.negotiated.early_data_accepted
    assert server.read_early_data() == b""
    assert server.read() == b"early"


def test_a_server_takes_no_early_data_under_them(monkeypatch: pytest.MonkeyPatch) -> None:
    make = client_hello.client_hello

    def with_early_data(*args: Any) -> ClientHello:
        made = make(*args)
        return replace(made, extensions={**made.extensions, ExtensionType.early_data: b""})

    monkeypatch.setattr(client_hello, "client_hello", with_early_data)
    client = Connection.client(CLIENT, SERVER_NAME)
    server = Connection.server(replace(SERVER, max_early_data_size=100))
    server.accept_early_data()
    shake_hands(client, server)
    assert server.negotiated.psk_identity == NAME
    assert not server.negotiated.early_data_accepted


# What cannot be


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"identity": "sensor 7"}, "identity of a PSK is bytes, not str"),
        ({"key": "0123456789abcdef"}, "key of a PSK is bytes, not str"),
        ({"key": bytearray(32)}, "not bytearray"),
        ({"context": "x"}, "context of a PSK is bytes"),
        ({"identity": b""}, "0 bytes"),
        ({"identity": b"x" * 1025}, "1025 bytes"),
        ({"key": b"too short"}, "9 bytes"),
        ({"context": b"x" * 1025}, "1025 bytes"),
        ({"hash": "MD5"}, "'MD5'"),
        ({"context": b"x", "imported": False}, "context"),
        ({"identity": b"\0\1x\0\0\3\4\0\1", "imported": False}, "looks like"),
    ],
)
def test_keys_that_cannot_be(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match) as refused:
        replace(PSK, **wrong)
    assert "too short" not in str(refused.value)
    assert "0123456789abcdef" not in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"psks": PSK}, "not one"),
        ({"psks": [KEY]}, "holds a bytes"),
        ({"psks": [PSK, IMPOSTOR]}, "the same identity"),
        ({"psks": [replace(PSK, identity=bytes((i,))) for i in range(5)]}, "4 PSKs"),
        ({"verify": print}, "without trust"),
        ({"credentials": credentials()}, "without trust"),
        ({"psks": [plain_psk()], "cipher_suites": [SHA384.name]}, "none of the cipher_suites"),
    ],
)
def test_clients_that_cannot_be(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        replace(CLIENT, **wrong)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"psks": []}, "psks="),
        ({"psks": PSK}, "not one"),
        ({"psks": [KEY]}, "holds a bytes"),
        ({"psks": [PSK, IMPOSTOR]}, "the same identity"),
        ({"client_auth": "required", "client_trust": authority.trust}, "asks for no certificates"),
    ],
)
def test_servers_that_cannot_be(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        replace(SERVER, **wrong)


def test_a_client_offers_only_suites_that_go_with_a_key() -> None:
    hello = client_hello_of(replace(CLIENT, psks=[plain_psk("SHA384")]))
    assert hello.cipher_suites == (SHA384.code,)
    assert len(client_hello_of(replace(OPEN_CLIENT, psks=[plain_psk()])).cipher_suites) == 3


def test_keys_show_nowhere() -> None:
    key = ExternalPSK(NAME, b"the secret of it")
    for shown in (key, replace(CLIENT, psks=[key]), replace(SERVER, psks=[key])):
        assert "secret" not in repr(shown)
    [imported] = psks_of(key, [SHA256])
    assert repr(imported.secret)[2:20] not in repr(imported)
