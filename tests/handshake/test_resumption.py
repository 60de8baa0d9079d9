"""Sessions resumed, and all that keeps one from being resumed."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from engine_pairs import (
    SERVER_NAME,
    advance,
    authority,
    carry,
    connections,
    credentials,
    failure_of,
    read_all,
    records,
    sealed,
    send,
    shake_hands,
)
from session_scenarios import Clock, RecordingSessionStore, SessionScenario, new_scenario

from trio_tlsx import (
    CertificateError,
    ClientConfig,
    ConfigError,
    ExternalPSK,
    Peer,
    ServerConfig,
    Session,
    SessionStore,
    TicketKeys,
    TrustStore,
    check_stapled_ocsp,
)
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, InternalError, ProtocolError
from trio_tlsx.handshake import client as client_hello
from trio_tlsx.handshake import psk, resumption_server
from trio_tlsx.handshake import server as server_hello
from trio_tlsx.handshake.psk import OfferedPsks, Psk
from trio_tlsx.handshake.questions import SessionReceived, SessionWanted
from trio_tlsx.handshake.server import MAX_IDENTITIES
from trio_tlsx.handshake.steps import Steps
from trio_tlsx.handshake.wants import Question, Want
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ClientHello, NewSessionTicket, encode_message
from trio_tlsx.record.protection import ContentType
from trio_tlsx.testing import CA

SHA256, SHA384 = "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"
WEEK = 7 * 24 * 3600


@pytest.fixture
def scenario() -> SessionScenario:
    return new_scenario()


# What resumption is


def test_the_second_connection_resumes_the_first(scenario: SessionScenario) -> None:
    first, _ = scenario.connect()
    assert not first.negotiated.resumed
    client, server = scenario.connect()
    assert client.negotiated.resumed
    assert client.negotiated.peer_certificates == first.negotiated.peer_certificates
    assert client.negotiated.signature_scheme == first.negotiated.signature_scheme
    assert client.negotiated.server_name == server.negotiated.server_name == SERVER_NAME
    label = "EXPERIMENTAL test"
    exported = client.export_keying_material(label, 32)
    assert exported == server.export_keying_material(label, 32)
    assert exported != first.export_keying_material(label, 32)
    binding = client.channel_binding("tls-server-end-point")
    assert binding == server.channel_binding("tls-server-end-point")
    assert binding == first.channel_binding("tls-server-end-point")


def test_a_resumed_connection_can_be_resumed(scenario: SessionScenario) -> None:
    scenario.connect()
    assert [scenario.resumes() for _ in range(5)] == [True] * 5


def test_by_default_too() -> None:
    client = ClientConfig(trust=authority.trust)
    server = ServerConfig(credentials=credentials())
    scenario = SessionScenario(Clock(), RecordingSessionStore(), client, server)
    assert [scenario.resumes() for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize("suite", [suite.name for suite in CIPHER_SUITES.values()])
def test_each_suite(scenario: SessionScenario, suite: str) -> None:
    scenario.client = replace(scenario.client, cipher_suites=[suite])
    assert [scenario.resumes() for _ in range(2)] == [False, True]


@pytest.mark.parametrize("cookie", [False, True])
def test_after_a_hello_retry_request(scenario: SessionScenario, cookie: bool) -> None:
    scenario.server = replace(
        scenario.server,
        groups=["secp256r1"],
        require_cookie=cookie,
        ticket_keys=scenario.server.parameters.ticket_sealer,
    )
    assert [scenario.resumes() for _ in range(2)] == [False, True]


def test_nobody_shows_a_certificate(scenario: SessionScenario) -> None:
    scenario.server = replace(
        scenario.server, client_auth="optional", client_trust=authority.trust
    )
    scenario.connect()
    seen: list[str] = []
    client = Connection.client(
        scenario.client, SERVER_NAME, observer=lambda way, name, length: seen.append(name)
    )
    shake_hands(client, Connection.server(scenario.server))
    assert seen == [
        "client_hello",
        "server_hello",
        "encrypted_extensions",
        "finished",
        "finished",
    ]


def test_another_suite_of_the_same_hash_will_do(scenario: SessionScenario) -> None:
    scenario.server = replace(scenario.server, cipher_suites=[SHA256])
    keys = scenario.server.parameters.ticket_sealer
    scenario.connect()
    chacha = "TLS_CHACHA20_POLY1305_SHA256"
    scenario.server = replace(scenario.server, cipher_suites=[chacha], ticket_keys=keys)
    client, _ = scenario.connect()
    assert client.negotiated.resumed
    assert client.negotiated.cipher_suite == chacha


# Tickets


def test_tickets_leave_with_the_first_data_and_not_before(scenario: SessionScenario) -> None:
    client, server = connections(scenario.client, scenario.server)
    shake_hands(client, server)
    assert not server.pending_output()
    send(client, server, b"x")
    assert read_all(server) == b"x"
    assert not server.pending_output()
    send(server, client, b"x")
    assert read_all(client) == b"x"
    assert len(scenario.session_store.sessions) == 2
    send(server, client, b"x")
    assert read_all(client) == b"x"
    assert len(scenario.session_store.sessions) == 2


@pytest.mark.parametrize("count", [0, 1, 2, 16])
def test_as_many_as_were_asked_for_each_with_a_key_of_its_own(
    scenario: SessionScenario, count: int
) -> None:
    scenario.server = replace(scenario.server, tickets=count)
    scenario.connect()
    assert len(scenario.session_store.sessions) == count
    assert len({session.secret for session in scenario.session_store.sessions}) == count
    assert len({session.ticket for session in scenario.session_store.sessions}) == count
    assert len({session.ticket_age_add for session in scenario.session_store.sessions}) == count


@pytest.mark.parametrize("count", [-1, 17])
def test_not_more_than_makes_sense(scenario: SessionScenario, count: int) -> None:
    with pytest.raises(ValueError, match="tickets"):
        replace(scenario.server, tickets=count)


def test_none_for_a_client_that_cannot_use_them(scenario: SessionScenario) -> None:
    scenario.client = ClientConfig(trust=authority.trust, resumption=False)
    client, server = connections(scenario.client, scenario.server)
    shake_hands(client, server)
    server.write(memoryview(b"x"))
    [(_, record)] = records(bytes(server.pending_output()))
    assert len(record) == 5 + 1 + 1 + 16


def test_none_that_would_be_too_long_for_its_field(scenario: SessionScenario) -> None:
    huge = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(2**16))
    client = authority.issue("client.example", extensions=[(huge, False)])
    scenario.client = replace(scenario.client, credentials=client)
    scenario.server = replace(
        scenario.server, client_auth="required", client_trust=authority.trust
    )
    scenario.connect()
    assert scenario.session_store.sessions == []


@pytest.mark.parametrize(("over", "is_offered"), [(0, True), (1, False)])
def test_a_ticket_that_leaves_no_room_is_not_offered(
    scenario: SessionScenario, over: int, is_offered: bool
) -> None:
    """Beside it there is room for as many keys from outside as there can be, however long."""
    scenario.connect()
    ticket = bytes(psk.MAX_TICKET_LENGTH + over)
    scenario.session_store.sessions.append(
        replace(scenario.session_store.sessions[-1], ticket=ticket)
    )
    longest = [ExternalPSK(bytes((i,)) * 1024, bytes(32), context=bytes(1024)) for i in range(4)]
    client = replace(scenario.client, psks=longest)
    psks = offered(Connection.client(client, SERVER_NAME))
    assert psks is not None
    assert len(psks.identities) == 2 * 4 + is_offered


def test_each_is_used_once(scenario: SessionScenario) -> None:
    scenario.connect()
    used = {scenario.session_store.sessions[-1].ticket}
    scenario.connect()
    assert used.isdisjoint(session.ticket for session in scenario.session_store.sessions)


def test_the_age_is_hidden_and_right(scenario: SessionScenario) -> None:
    scenario.connect()
    session = scenario.session_store.sessions[-1]
    scenario.clock.forward(1.5)
    psks = offered(Connection.client(scenario.client, SERVER_NAME))
    assert psks is not None
    [(identity, age)] = psks.identities
    assert identity == session.ticket
    assert (age - session.ticket_age_add) % 2**32 == 1500


def offered(client: Connection) -> OfferedPsks | None:
    """What the next ClientHello offers to resume."""
    client.do_handshake()
    octets = b"".join(
        record[5:] for _, record in records(client.data_to_send()) if record[0] == 22
    )
    body = ClientHello.decode(octets[4:]).extensions.get(ExtensionType.pre_shared_key)
    return None if body is None else OfferedPsks.decode(body)


def deliver(client: Connection, server: Connection, ticket: NewSessionTicket) -> None:
    client.receive_data(sealed(server, encode_message(ticket), ContentType.handshake))


def test_a_lifetime_of_nothing_and_one_of_too_much(scenario: SessionScenario) -> None:
    client, server = scenario.connect()
    scenario.session_store.sessions.clear()
    deliver(client, server, NewSessionTicket(0, 0, b"", b"ticket", {}))
    assert client.read() is Want.READ
    assert scenario.session_store.sessions == []
    deliver(client, server, NewSessionTicket(2**32 - 1, 0, b"", b"ticket", {}))
    assert client.read() is Want.READ
    assert [session.lifetime for session in scenario.session_store.sessions] == [WEEK]


def test_an_extension_that_no_ticket_has(scenario: SessionScenario) -> None:
    client, server = scenario.connect()
    wrong: dict[int, bytes] = {ExtensionType.key_share: b""}
    deliver(client, server, NewSessionTicket(1, 0, b"", b"ticket", wrong))
    assert failure_of(client.read).alert == AlertDescription.illegal_parameter


def test_an_extension_that_nobody_knows_is_ignored(scenario: SessionScenario) -> None:
    client, server = scenario.connect()
    deliver(client, server, NewSessionTicket(1, 0, b"", b"ticket", {0xFAFA: b"grease"}))
    assert client.read() is Want.READ


# What keeps a session from being resumed: always a full handshake, never an error


def test_a_ticket_that_was_cut_or_altered(scenario: SessionScenario) -> None:
    scenario.connect()
    [*_, session] = scenario.session_store.sessions
    for ticket in (
        session.ticket[:-1],
        session.ticket[:8],
        b"x",
        session.ticket[:-1] + bytes((session.ticket[-1] ^ 1,)),
        bytes((session.ticket[0] ^ 1,)) + session.ticket[1:],
        session.ticket + b"\0",
    ):
        scenario.session_store.sessions.append(replace(session, ticket=ticket))
        assert not scenario.resumes()
    scenario.session_store.sessions.append(session)
    assert scenario.resumes()


def test_a_ticket_of_retired_keys(scenario: SessionScenario) -> None:
    scenario.connect()
    scenario.server = replace(scenario.server, ticket_keys=TicketKeys(clock=scenario.clock))
    assert not scenario.resumes()
    assert scenario.resumes()


def in_a_new_form(session: resumption_server.ServerSession) -> bytes:
    return b"\2 what nobody here can read"


def test_a_ticket_of_another_version(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed under keys that are shared, but in a form that this version does not know."""
    keys = scenario.server.parameters.ticket_sealer
    scenario.server = replace(scenario.server, ticket_keys=keys)
    with monkeypatch.context() as other_version:
        other_version.setattr(resumption_server, "TICKET_FORM_VERSION", 2)
        other_version.setattr(resumption_server.ServerSession, "encode", in_a_new_form)
        scenario.connect()
    assert not scenario.resumes()
    assert scenario.resumes()


def test_a_ticket_under_rotated_keys(scenario: SessionScenario) -> None:
    keys = TicketKeys([bytes(32)], clock=scenario.clock)
    scenario.server = replace(scenario.server, ticket_keys=keys)
    scenario.connect()
    keys.use([b"1" * 32, bytes(32)])
    assert scenario.resumes()
    keys.use([b"2" * 32])
    assert not scenario.resumes()


def test_a_ticket_that_has_expired_for_the_server(scenario: SessionScenario) -> None:
    keys = TicketKeys([bytes(32)], lifetime=100, clock=scenario.clock)
    scenario.server = replace(scenario.server, ticket_keys=keys)
    scenario.connect()
    scenario.session_store.sessions = [
        replace(session, lifetime=WEEK) for session in scenario.session_store.sessions
    ]
    scenario.clock.forward(99)
    session = scenario.session_store.sessions[-1]
    assert scenario.resumes()
    scenario.clock.forward(1)
    scenario.session_store.sessions.append(session)
    assert not scenario.resumes()


def test_a_ticket_that_has_expired_for_the_client_is_not_offered(
    scenario: SessionScenario,
) -> None:
    scenario.server = replace(
        scenario.server, ticket_keys=TicketKeys(lifetime=100, clock=scenario.clock)
    )
    scenario.connect()
    scenario.clock.forward(100)
    assert offered(Connection.client(scenario.client, SERVER_NAME)) is None


def test_a_ticket_from_the_future(scenario: SessionScenario) -> None:
    scenario.connect()
    session = scenario.session_store.sessions[-1]
    scenario.server = replace(
        scenario.server,
        clock=lambda: scenario.clock.now - datetime.timedelta(seconds=1),
        ticket_keys=scenario.server.parameters.ticket_sealer,
    )
    assert not scenario.resumes()
    scenario.session_store.sessions.append(session)
    scenario.clock.forward(-1)
    assert offered(Connection.client(scenario.client, SERVER_NAME)) is None


def test_a_server_of_another_name(scenario: SessionScenario) -> None:
    both = authority.issue(SERVER_NAME, "other.example")
    scenario.server = replace(scenario.server, credentials=both)
    scenario.connect()
    session = scenario.session_store.sessions[-1]
    # A store that mixes them up.
    assert offered(Connection.client(scenario.client, "other.example")) is None
    # A client that does so.
    scenario.session_store.sessions.append(replace(session, server_name="other.example"))
    client = Connection.client(scenario.client, "other.example")
    server = Connection.server(scenario.server)
    shake_hands(client, server)
    assert not client.negotiated.resumed


def test_another_port(scenario: SessionScenario) -> None:
    for port in (-1, 0, 2**16):
        with pytest.raises(ConfigError, match=str(port)):
            Connection.client(scenario.client, SERVER_NAME, server_port=port)
    client = Connection.client(scenario.client, SERVER_NAME, server_port=443)
    server = Connection.server(scenario.server)
    shake_hands(client, server)
    send(server, client, b"x")
    assert read_all(client) == b"x"
    assert {session.port for session in scenario.session_store.sessions} == {443}
    # A store that mixes them up.
    for port in (8443, None):
        client = Connection.client(scenario.client, SERVER_NAME, server_port=port)
        session = scenario.session_store.sessions[-1]
        assert offered(client) is None
        assert scenario.session_store.asked[-1] == (SERVER_NAME, port, b"test")
        scenario.session_store.sessions.append(session)
    assert offered(Connection.client(scenario.client, SERVER_NAME, server_port=443)) is not None


def test_another_certificate_of_the_server(scenario: SessionScenario) -> None:
    scenario.connect()
    renewed = authority.issue(SERVER_NAME)
    scenario.server = replace(
        scenario.server, credentials=renewed, ticket_keys=scenario.server.parameters.ticket_sealer
    )
    assert not scenario.resumes()
    assert scenario.resumes()


def test_one_virtual_host_does_not_open_tickets_of_another(scenario: SessionScenario) -> None:
    keys = TicketKeys(clock=scenario.clock)
    hosts = {
        name: replace(
            scenario.server, credentials=authority.issue(SERVER_NAME, name), ticket_keys=keys
        )
        for name in ("one.example", "two.example")
    }
    chosen = "one.example"

    def choose_host(_: object) -> ServerConfig:
        return hosts[chosen]

    scenario.server = replace(scenario.server, credentials=None, select_credentials=choose_host)
    scenario.connect()
    assert scenario.resumes()
    chosen = "two.example"
    assert not scenario.resumes()


@pytest.mark.parametrize("change", ["mode", "trust"])
def test_another_way_of_judging_clients(scenario: SessionScenario, change: str) -> None:
    keys = scenario.server.parameters.ticket_sealer
    scenario.client = replace(scenario.client, credentials=authority.issue("client.example"))
    scenario.server = replace(
        scenario.server, client_auth="optional", client_trust=authority.trust, ticket_keys=keys
    )
    scenario.connect()
    assert scenario.resumes()
    if change == "mode":
        scenario.server = replace(scenario.server, client_auth="required")
    else:
        scenario.server = replace(scenario.server, client_trust=more_trust())
    assert not scenario.resumes()


def more_trust() -> TrustStore:
    return TrustStore([*authority.trust.certificates, CA().certificate])


def test_another_context_of_the_client(scenario: SessionScenario) -> None:
    scenario.connect()
    scenario.client = replace(scenario.client, session_context=b"other")
    assert offered(Connection.client(scenario.client, SERVER_NAME)) is None
    assert scenario.session_store.asked[-1] == (SERVER_NAME, None, b"other")


def test_under_another_trust_the_server_is_verified_again() -> None:
    client = ClientConfig(trust=authority.trust)
    scenario = SessionScenario(
        Clock(), RecordingSessionStore(), client, ServerConfig(credentials=credentials())
    )
    assert [scenario.resumes() for _ in range(2)] == [False, True]
    scenario.client = replace(client, trust=more_trust())
    assert [scenario.resumes() for _ in range(2)] == [False, True]
    scenario.client = replace(client, trust=CA().trust)
    error = failure_of(scenario.resumes)
    assert error.alert == AlertDescription.unknown_ca


def test_an_expired_certificate_of_the_server(scenario: SessionScenario) -> None:
    now = scenario.clock.now
    short = authority.issue(SERVER_NAME, not_after=now + datetime.timedelta(seconds=60))
    scenario.server = replace(scenario.server, credentials=short)
    scenario.connect()
    assert scenario.resumes()
    scenario.clock.forward(61)
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.certificate_expired


def test_the_clients_certificate_survives_until_it_expires(scenario: SessionScenario) -> None:
    now = scenario.clock.now
    short = authority.issue("client.example", not_after=now + datetime.timedelta(seconds=60))
    scenario.client = replace(scenario.client, credentials=short)
    scenario.server = replace(
        scenario.server, client_auth="required", client_trust=authority.trust
    )
    scenario.connect()
    _, server = scenario.connect()
    assert server.negotiated.resumed
    assert server.negotiated.peer_certificates == short.chain
    assert server.negotiated.signature_scheme == "ecdsa_secp256r1_sha256"
    scenario.clock.forward(61)
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.certificate_expired


def test_a_client_with_a_new_certificate_is_not_held_to_its_old_one(
    scenario: SessionScenario,
) -> None:
    now = scenario.clock.now
    short = authority.issue("client.example", not_after=now + datetime.timedelta(seconds=60))
    scenario.client = replace(scenario.client, credentials=short)
    scenario.server = replace(
        scenario.server, client_auth="required", client_trust=authority.trust
    )
    scenario.connect()
    renewed = authority.issue("client.example")
    scenario.client = replace(scenario.client, credentials=renewed)
    scenario.clock.forward(61)
    _, server = scenario.connect()
    assert not server.negotiated.resumed
    assert server.negotiated.peer_certificates == renewed.chain


def test_the_server_judges_a_resuming_client_again(scenario: SessionScenario) -> None:
    judged: list[Peer] = []

    def verify(peer: Peer) -> None:
        judged.append(peer)
        if len(judged) == 3:
            raise CertificateError("thrown out", AlertDescription.access_denied)

    scenario.client = replace(scenario.client, credentials=authority.issue("client.example"))
    scenario.server = replace(
        scenario.server, client_auth="required", client_trust=authority.trust, verify=verify
    )
    scenario.connect()
    assert scenario.resumes()
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.access_denied
    assert len({peer.certificates for peer in judged}) == 1
    assert [peer.resumed for peer in judged] == [False, True, True]


def test_a_client_judges_a_resuming_server_again_if_it_is_told_to(
    scenario: SessionScenario,
) -> None:
    judged: list[Peer] = []

    def verify(peer: Peer) -> None:
        judged.append(peer)
        if len(judged) == 3:
            raise CertificateError("thrown out", AlertDescription.access_denied)

    scenario.client = replace(scenario.client, verify=verify)
    scenario.connect()
    assert scenario.resumes()
    assert len(judged) == 1
    scenario.client = replace(scenario.client, verify_on_resumption=True)
    assert scenario.resumes()
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.access_denied
    assert [peer.resumed for peer in judged] == [False, True, True]
    assert len({(peer.certificates, peer.server_name, peer.path) for peer in judged}) == 1


def test_a_client_verifies_a_resuming_server_again_if_it_is_told_to(
    scenario: SessionScenario,
) -> None:
    scenario.connect()
    scenario.client = replace(scenario.client, verify_on_resumption=True, trust=CA().trust)
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.unknown_ca


def test_no_ocsp_response_is_missed_where_none_can_be(scenario: SessionScenario) -> None:
    scenario.client = replace(
        scenario.client, credentials=authority.issue("client.example"), verify_on_resumption=True
    )
    scenario.server = replace(
        scenario.server,
        client_auth="required",
        client_trust=authority.trust,
        ticket_keys=TicketKeys(clock=scenario.clock),
    )
    scenario.connect()
    must = check_stapled_ocsp(must=True)
    scenario.client = replace(scenario.client, verify=must)
    scenario.server = replace(scenario.server, verify=must)
    assert scenario.resumes()


def test_no_chain_of_resumptions_outlives_the_week(scenario: SessionScenario) -> None:
    scenario.server = replace(
        scenario.server, ticket_keys=TicketKeys(lifetime=WEEK, clock=scenario.clock)
    )
    scenario.connect()
    day = 24 * 3600
    for _ in range(6):
        scenario.clock.forward(day)
        assert scenario.resumes()
    session = scenario.session_store.sessions[-1]
    scenario.clock.forward(day)
    assert offered(Connection.client(scenario.client, SERVER_NAME)) is None
    # A client that does not care.
    scenario.session_store.sessions.append(replace(session, verified_at=scenario.clock.now))
    assert not scenario.resumes()
    assert scenario.resumes()


def test_a_suite_of_another_hash(scenario: SessionScenario) -> None:
    scenario.server = replace(scenario.server, cipher_suites=[SHA256])
    keys = scenario.server.parameters.ticket_sealer
    scenario.connect()
    scenario.server = replace(scenario.server, cipher_suites=[SHA384], ticket_keys=keys)
    client, _ = scenario.connect()
    assert not client.negotiated.resumed
    assert client.negotiated.cipher_suite == SHA384


def test_a_suite_of_another_hash_behind_a_retry_is_not_offered_again(
    scenario: SessionScenario,
) -> None:
    scenario.server = replace(scenario.server, cipher_suites=[SHA256])
    scenario.connect()
    scenario.server = replace(scenario.server, cipher_suites=[SHA384], groups=["secp256r1"])
    client, server = connections(scenario.client, scenario.server)
    assert advance(client, server) is Want.WRITE
    assert advance(server, client) is Want.WRITE
    assert offered(client) is None


def test_a_suite_that_the_client_no_longer_allows(scenario: SessionScenario) -> None:
    scenario.server = replace(scenario.server, cipher_suites=[SHA256])
    scenario.connect()
    scenario.client = replace(scenario.client, cipher_suites=[SHA384])
    assert offered(Connection.client(scenario.client, SERVER_NAME)) is None


def test_only_the_mode_without_a_key_exchange(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.connect()
    monkeypatch.setattr(client_hello, "encode_psk_key_exchange_modes", always(b"\x01\x00"))
    assert not scenario.resumes()


@pytest.mark.parametrize(
    ("before", "resumed"), [(MAX_IDENTITIES - 1, True), (MAX_IDENTITIES, False)]
)
def test_only_so_many_identities_are_looked_at(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch, before: int, resumed: bool
) -> None:
    psks_to_offer = client_hello.psks_to_offer

    def behind_others(*args: Any) -> Sequence[Psk[Session]]:
        """The real key behind some that nobody knows."""
        [real] = psks_to_offer(*args)
        return [*(replace(real, identity=bytes((i,)) * 60) for i in range(before)), real]

    scenario.connect()
    monkeypatch.setattr(client_hello, "psks_to_offer", behind_others)
    assert scenario.resumes() is resumed


# What is refused


def always(answer: object) -> Callable[..., object]:
    """What gives this, whatever it is asked."""

    def give(*_: object) -> object:
        return answer

    return give


def test_a_wrong_binder(scenario: SessionScenario) -> None:
    scenario.connect()
    session = scenario.session_store.sessions[-1]
    scenario.session_store.sessions.append(replace(session, secret=bytes(32)))
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert isinstance(error, ProtocolError)
    assert error.alert == AlertDescription.decrypt_error


def test_a_malformed_offer(scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario.connect()

    def malformed(plain: ClientHello, *_: object) -> ClientHello:
        body = {**plain.extensions, ExtensionType.pre_shared_key: b"\0"}
        return replace(plain, extensions=body)

    monkeypatch.setattr(client_hello, "with_psks", malformed)
    client, server = connections(scenario.client, scenario.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.decode_error


@pytest.mark.parametrize(
    ("instead", "alert"), [("nothing", "missing_extension"), ("another", "illegal_parameter")]
)
def test_a_key_that_has_gone_from_the_second_hello(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch, instead: str, alert: str
) -> None:
    scenario.connect()
    scenario.server = replace(
        scenario.server, require_cookie=True, ticket_keys=scenario.server.parameters.ticket_sealer
    )
    client, server = connections(scenario.client, scenario.server)
    advance(client, server)
    advance(server, client)
    [psk] = client_hello.psks_to_offer(
        scenario.client.parameters, scenario.session_store.sessions[-1], ()
    )
    others = [replace(psk, identity=b"another")] if instead == "another" else []
    monkeypatch.setattr(client_hello, "psks_to_offer", always(others))
    advance(client, server)
    assert failure_of(server.do_handshake).alert == AlertDescription[alert]


def resumes_with(monkeypatch: pytest.MonkeyPatch, suite_code: int, index: int = 0) -> None:
    """A server that resumes with this suite, whatever it is offered."""
    suite, now = CIPHER_SUITES[suite_code], datetime.datetime.now(datetime.UTC)
    secret = bytes(suite.hash_length)
    session = resumption_server.ServerSession(suite, now, now, None, secret)

    def known_psks(
        *_: object, needed: bool
    ) -> Steps[Sequence[Psk[resumption_server.ServerSession]]]:
        yield from ()
        return [Psk(b"identity", 0, suite, secret, session)]

    monkeypatch.setattr(server_hello, "known_psks", known_psks)
    monkeypatch.setattr(
        server_hello, "accept_psk", always({ExtensionType.pre_shared_key: index.to_bytes(2)})
    )


@pytest.mark.parametrize("index", [1, 2**16 - 1])
def test_a_server_that_chooses_what_was_not_offered(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch, index: int
) -> None:
    scenario.connect()
    resumes_with(monkeypatch, 0x1301, index)
    client, server = connections(scenario.client, scenario.server)
    advance(client, server)
    advance(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.illegal_parameter


def test_a_server_that_resumes_with_another_hash(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.server = replace(scenario.server, cipher_suites=[SHA256])
    scenario.connect()
    scenario.server = replace(
        scenario.server,
        cipher_suites=[SHA384],
        ticket_keys=scenario.server.parameters.ticket_sealer,
    )
    resumes_with(monkeypatch, 0x1302)
    client, server = connections(scenario.client, scenario.server)
    advance(client, server)
    advance(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.illegal_parameter


def test_a_server_that_resumes_what_nobody_offered(
    scenario: SessionScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumes_with(monkeypatch, 0x1301)
    client, server = connections(scenario.client, scenario.server)
    advance(client, server)
    advance(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.unsupported_extension


# Stores


class SlowStore:
    """A store whose answers come later."""

    def __init__(self, session_store: RecordingSessionStore) -> None:
        self._store = session_store

    async def put(self, session: Session) -> None:
        self._store.put(session)

    async def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        return self._store.take(server_name, port, context)


def run(awaitable: Awaitable[Any] | None) -> Any:
    """The result of a coroutine that waits for nothing."""
    assert awaitable is not None
    try:
        awaitable.__await__().send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def answered(engine: Connection, question: object) -> None:
    assert isinstance(question, Question)
    awaitable, question.awaitable = question.awaitable, None
    engine.answer(run(awaitable))


def test_a_store_that_answers_later(scenario: SessionScenario) -> None:
    scenario.client = replace(scenario.client, session_store=SlowStore(scenario.session_store))
    for resumed in (False, True):
        client, server = connections(scenario.client, scenario.server)
        question = client.do_handshake()
        assert isinstance(question, SessionWanted)
        answered(client, question)
        shake_hands(client, server)
        assert client.negotiated.resumed is resumed
        send(server, client, b"hello")
        for _ in range(2):
            question = client.read()
            assert isinstance(question, SessionReceived)
            answered(client, question)
        assert read_all(client) == b"hello"
    assert len(scenario.session_store.sessions) == 3


def test_asks_anew_where_nobody_waited_for_the_answer(scenario: SessionScenario) -> None:
    scenario.client = replace(scenario.client, session_store=SlowStore(scenario.session_store))
    client, server = connections(scenario.client, scenario.server)
    for _ in range(2):
        question = client.do_handshake()
        assert isinstance(question, SessionWanted)
        given_up(question)
    answered(client, client.do_handshake())
    shake_hands(client, server)
    send(server, client, b"hello")
    for _ in range(2):
        question = client.read()
        assert isinstance(question, SessionReceived)
        given_up(question)
    for _ in range(2):
        answered(client, client.read())
    assert read_all(client) == b"hello"
    assert len(scenario.session_store.sessions) == 2


def given_up(question: Question[Any]) -> None:
    """What a driver leaves behind that was cancelled while it waited."""
    awaitable, question.awaitable = question.awaitable, None
    close: Callable[[], None] = getattr(awaitable, "close", lambda: None)
    close()


class BadStore(RecordingSessionStore):
    """A store that does not do what it should."""

    def take(self, server_name: str, port: int | None, context: bytes) -> Any:
        return "not a session"


class BrokenStore(RecordingSessionStore):
    """A store that fails."""

    def put(self, session: Session) -> None:
        raise OSError("disk full")


def test_a_store_that_gives_something_else(scenario: SessionScenario) -> None:
    scenario.client = replace(scenario.client, session_store=BadStore())
    error = failure_of(Connection.client(scenario.client, SERVER_NAME).do_handshake)
    assert isinstance(error, InternalError)
    assert "not a session" not in str(error)


def test_a_store_that_fails_ends_the_connection(scenario: SessionScenario) -> None:
    store: SessionStore = BrokenStore()
    scenario.client = replace(scenario.client, session_store=store)
    client, server = connections(scenario.client, scenario.server)
    shake_hands(client, server)
    send(server, client, b"hello")
    error = failure_of(client.read)
    assert error.alert == AlertDescription.internal_error
    assert isinstance(error.__cause__, OSError)
    assert failure_of(client.read) is error
    carry(client, server)
    assert failure_of(server.read).alert == AlertDescription.internal_error


def test_secrets_show_nowhere(scenario: SessionScenario) -> None:
    scenario.connect()
    session = scenario.session_store.sessions[-1]
    client, server = scenario.connect()
    for connection in (client, server):
        done = connection._complete()  # pyright: ignore[reportPrivateUsage]
        text = repr(done)
        assert "secret=" not in text
        assert repr(session.secret)[2:20] not in text
