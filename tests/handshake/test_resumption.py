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
    turn,
)
from session_scenarios import Clock, Pocket, World, new_world

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
def world() -> World:
    return new_world()


# What resumption is


def test_the_second_connection_resumes_the_first(world: World) -> None:
    first, _ = world.meet()
    assert not first.negotiated.resumed
    client, server = world.meet()
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


def test_a_resumed_connection_can_be_resumed(world: World) -> None:
    world.meet()
    assert [world.resumes() for _ in range(5)] == [True] * 5


def test_by_default_too() -> None:
    client = ClientConfig(trust=authority.trust)
    server = ServerConfig(credentials=credentials())
    world = World(Clock(), Pocket(), client, server)
    assert [world.resumes() for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize("suite", [suite.name for suite in CIPHER_SUITES.values()])
def test_each_suite(world: World, suite: str) -> None:
    world.client = replace(world.client, cipher_suites=[suite])
    assert [world.resumes() for _ in range(2)] == [False, True]


@pytest.mark.parametrize("cookie", [False, True])
def test_after_a_hello_retry_request(world: World, cookie: bool) -> None:
    world.server = replace(
        world.server,
        groups=["secp256r1"],
        require_cookie=cookie,
        ticket_keys=world.server.ticket_sealer,
    )
    assert [world.resumes() for _ in range(2)] == [False, True]


def test_nobody_shows_a_certificate(world: World) -> None:
    world.server = replace(world.server, client_auth="optional", client_trust=authority.trust)
    world.meet()
    seen: list[str] = []
    client = Connection.client(
        world.client, SERVER_NAME, observer=lambda way, name, length: seen.append(name)
    )
    shake_hands(client, Connection.server(world.server))
    assert seen == [
        "client_hello",
        "server_hello",
        "encrypted_extensions",
        "finished",
        "finished",
    ]


def test_another_suite_of_the_same_hash_will_do(world: World) -> None:
    world.server = replace(world.server, cipher_suites=[SHA256])
    keys = world.server.ticket_sealer
    world.meet()
    chacha = "TLS_CHACHA20_POLY1305_SHA256"
    world.server = replace(world.server, cipher_suites=[chacha], ticket_keys=keys)
    client, _ = world.meet()
    assert client.negotiated.resumed
    assert client.negotiated.cipher_suite == chacha


# Tickets


def test_tickets_leave_with_the_first_data_and_not_before(world: World) -> None:
    client, server = connections(world.client, world.server)
    shake_hands(client, server)
    assert not server.pending_output()
    send(client, server, b"x")
    assert read_all(server) == b"x"
    assert not server.pending_output()
    send(server, client, b"x")
    assert read_all(client) == b"x"
    assert len(world.pocket.sessions) == 2
    send(server, client, b"x")
    assert read_all(client) == b"x"
    assert len(world.pocket.sessions) == 2


@pytest.mark.parametrize("count", [0, 1, 2, 16])
def test_as_many_as_were_asked_for_each_with_a_key_of_its_own(world: World, count: int) -> None:
    world.server = replace(world.server, tickets=count)
    world.meet()
    assert len(world.pocket.sessions) == count
    assert len({session.secret for session in world.pocket.sessions}) == count
    assert len({session.ticket for session in world.pocket.sessions}) == count
    assert len({session.ticket_age_add for session in world.pocket.sessions}) == count


@pytest.mark.parametrize("count", [-1, 17])
def test_not_more_than_makes_sense(world: World, count: int) -> None:
    with pytest.raises(ValueError, match="tickets"):
        replace(world.server, tickets=count)


def test_none_for_a_client_that_cannot_use_them(world: World) -> None:
    world.client = ClientConfig(trust=authority.trust, resumption=False)
    client, server = connections(world.client, world.server)
    shake_hands(client, server)
    server.write(memoryview(b"x"))
    [(_, record)] = records(bytes(server.pending_output()))
    assert len(record) == 5 + 1 + 1 + 16


def test_none_that_would_be_too_long_for_its_field(world: World) -> None:
    huge = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(2**16))
    client = authority.issue("client.example", extensions=[(huge, False)])
    world.client = replace(world.client, credentials=client)
    world.server = replace(world.server, client_auth="required", client_trust=authority.trust)
    world.meet()
    assert world.pocket.sessions == []


@pytest.mark.parametrize(("over", "is_offered"), [(0, True), (1, False)])
def test_a_ticket_that_leaves_no_room_is_not_offered(
    world: World, over: int, is_offered: bool
) -> None:
    """Beside it there is room for as many keys from outside as there can be, however long."""
    world.meet()
    ticket = bytes(psk.MAX_TICKET_LENGTH + over)
    world.pocket.sessions.append(replace(world.pocket.sessions[-1], ticket=ticket))
    longest = [ExternalPSK(bytes((i,)) * 1024, bytes(32), context=bytes(1024)) for i in range(4)]
    client = replace(world.client, psks=longest)
    psks = offered(Connection.client(client, SERVER_NAME))
    assert psks is not None
    assert len(psks.identities) == 2 * 4 + is_offered


def test_each_is_used_once(world: World) -> None:
    world.meet()
    used = {world.pocket.sessions[-1].ticket}
    world.meet()
    assert used.isdisjoint(session.ticket for session in world.pocket.sessions)


def test_the_age_is_hidden_and_right(world: World) -> None:
    world.meet()
    session = world.pocket.sessions[-1]
    world.clock.forward(1.5)
    psks = offered(Connection.client(world.client, SERVER_NAME))
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


def test_a_lifetime_of_nothing_and_one_of_too_much(world: World) -> None:
    client, server = world.meet()
    world.pocket.sessions.clear()
    deliver(client, server, NewSessionTicket(0, 0, b"", b"ticket", {}))
    assert client.read() is Want.READ
    assert world.pocket.sessions == []
    deliver(client, server, NewSessionTicket(2**32 - 1, 0, b"", b"ticket", {}))
    assert client.read() is Want.READ
    assert [session.lifetime for session in world.pocket.sessions] == [WEEK]


def test_an_extension_that_no_ticket_has(world: World) -> None:
    client, server = world.meet()
    wrong: dict[int, bytes] = {ExtensionType.key_share: b""}
    deliver(client, server, NewSessionTicket(1, 0, b"", b"ticket", wrong))
    assert failure_of(client.read).alert == AlertDescription.illegal_parameter


def test_an_extension_that_nobody_knows_is_ignored(world: World) -> None:
    client, server = world.meet()
    deliver(client, server, NewSessionTicket(1, 0, b"", b"ticket", {0xFAFA: b"grease"}))
    assert client.read() is Want.READ


# What keeps a session from being resumed: always a full handshake, never an error


def test_a_ticket_that_was_cut_or_altered(world: World) -> None:
    world.meet()
    [*_, session] = world.pocket.sessions
    for ticket in (
        session.ticket[:-1],
        session.ticket[:8],
        b"x",
        session.ticket[:-1] + bytes((session.ticket[-1] ^ 1,)),
        bytes((session.ticket[0] ^ 1,)) + session.ticket[1:],
        session.ticket + b"\0",
    ):
        world.pocket.sessions.append(replace(session, ticket=ticket))
        assert not world.resumes()
    world.pocket.sessions.append(session)
    assert world.resumes()


def test_a_ticket_of_retired_keys(world: World) -> None:
    world.meet()
    world.server = replace(world.server, ticket_keys=TicketKeys(clock=world.clock))
    assert not world.resumes()
    assert world.resumes()


def in_a_new_form(session: resumption_server.ServerSession) -> bytes:
    return b"\2 what nobody here can read"


def test_a_ticket_of_another_version(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed under keys that are shared, but in a form that this version does not know."""
    keys = world.server.ticket_sealer
    world.server = replace(world.server, ticket_keys=keys)
    with monkeypatch.context() as other_version:
        other_version.setattr(resumption_server, "TICKET_FORM_VERSION", 2)
        other_version.setattr(resumption_server.ServerSession, "encode", in_a_new_form)
        world.meet()
    assert not world.resumes()
    assert world.resumes()


def test_a_ticket_under_rotated_keys(world: World) -> None:
    keys = TicketKeys([bytes(32)], clock=world.clock)
    world.server = replace(world.server, ticket_keys=keys)
    world.meet()
    keys.use([b"1" * 32, bytes(32)])
    assert world.resumes()
    keys.use([b"2" * 32])
    assert not world.resumes()


def test_a_ticket_that_has_expired_for_the_server(world: World) -> None:
    keys = TicketKeys([bytes(32)], lifetime=100, clock=world.clock)
    world.server = replace(world.server, ticket_keys=keys)
    world.meet()
    world.pocket.sessions = [replace(session, lifetime=WEEK) for session in world.pocket.sessions]
    world.clock.forward(99)
    session = world.pocket.sessions[-1]
    assert world.resumes()
    world.clock.forward(1)
    world.pocket.sessions.append(session)
    assert not world.resumes()


def test_a_ticket_that_has_expired_for_the_client_is_not_offered(world: World) -> None:
    world.server = replace(world.server, ticket_keys=TicketKeys(lifetime=100, clock=world.clock))
    world.meet()
    world.clock.forward(100)
    assert offered(Connection.client(world.client, SERVER_NAME)) is None


def test_a_ticket_from_the_future(world: World) -> None:
    world.meet()
    session = world.pocket.sessions[-1]
    world.server = replace(
        world.server,
        clock=lambda: world.clock.now - datetime.timedelta(seconds=1),
        ticket_keys=world.server.ticket_sealer,
    )
    assert not world.resumes()
    world.pocket.sessions.append(session)
    world.clock.forward(-1)
    assert offered(Connection.client(world.client, SERVER_NAME)) is None


def test_a_server_of_another_name(world: World) -> None:
    both = authority.issue(SERVER_NAME, "other.example")
    world.server = replace(world.server, credentials=both)
    world.meet()
    session = world.pocket.sessions[-1]
    # A store that mixes them up.
    assert offered(Connection.client(world.client, "other.example")) is None
    # A client that does so.
    world.pocket.sessions.append(replace(session, server_name="other.example"))
    client = Connection.client(world.client, "other.example")
    server = Connection.server(world.server)
    shake_hands(client, server)
    assert not client.negotiated.resumed


def test_another_port(world: World) -> None:
    for port in (-1, 0, 2**16):
        with pytest.raises(ConfigError, match=str(port)):
            Connection.client(world.client, SERVER_NAME, server_port=port)
    client = Connection.client(world.client, SERVER_NAME, server_port=443)
    server = Connection.server(world.server)
    shake_hands(client, server)
    send(server, client, b"x")
    assert read_all(client) == b"x"
    assert {session.port for session in world.pocket.sessions} == {443}
    # A store that mixes them up.
    for port in (8443, None):
        client = Connection.client(world.client, SERVER_NAME, server_port=port)
        session = world.pocket.sessions[-1]
        assert offered(client) is None
        assert world.pocket.asked[-1] == (SERVER_NAME, port, b"test")
        world.pocket.sessions.append(session)
    assert offered(Connection.client(world.client, SERVER_NAME, server_port=443)) is not None


def test_another_certificate_of_the_server(world: World) -> None:
    world.meet()
    renewed = authority.issue(SERVER_NAME)
    world.server = replace(
        world.server, credentials=renewed, ticket_keys=world.server.ticket_sealer
    )
    assert not world.resumes()
    assert world.resumes()


def test_one_virtual_host_does_not_open_tickets_of_another(world: World) -> None:
    keys = TicketKeys(clock=world.clock)
    hosts = {
        name: replace(
            world.server, credentials=authority.issue(SERVER_NAME, name), ticket_keys=keys
        )
        for name in ("one.example", "two.example")
    }
    chosen = "one.example"

    def choose_host(_: object) -> ServerConfig:
        return hosts[chosen]

    world.server = replace(world.server, credentials=None, select_credentials=choose_host)
    world.meet()
    assert world.resumes()
    chosen = "two.example"
    assert not world.resumes()


@pytest.mark.parametrize("change", ["mode", "trust"])
def test_another_way_of_judging_clients(world: World, change: str) -> None:
    keys = world.server.ticket_sealer
    world.client = replace(world.client, credentials=authority.issue("client.example"))
    world.server = replace(
        world.server, client_auth="optional", client_trust=authority.trust, ticket_keys=keys
    )
    world.meet()
    assert world.resumes()
    if change == "mode":
        world.server = replace(world.server, client_auth="required")
    else:
        world.server = replace(world.server, client_trust=more_trust())
    assert not world.resumes()


def more_trust() -> TrustStore:
    return TrustStore([*authority.trust.certificates, CA().certificate])


def test_another_context_of_the_client(world: World) -> None:
    world.meet()
    world.client = replace(world.client, session_context=b"other")
    assert offered(Connection.client(world.client, SERVER_NAME)) is None
    assert world.pocket.asked[-1] == (SERVER_NAME, None, b"other")


def test_under_another_trust_the_server_is_verified_again() -> None:
    client = ClientConfig(trust=authority.trust)
    world = World(Clock(), Pocket(), client, ServerConfig(credentials=credentials()))
    assert [world.resumes() for _ in range(2)] == [False, True]
    world.client = replace(client, trust=more_trust())
    assert [world.resumes() for _ in range(2)] == [False, True]
    world.client = replace(client, trust=CA().trust)
    error = failure_of(world.resumes)
    assert error.alert == AlertDescription.unknown_ca


def test_an_expired_certificate_of_the_server(world: World) -> None:
    now = world.clock.now
    short = authority.issue(SERVER_NAME, not_after=now + datetime.timedelta(seconds=60))
    world.server = replace(world.server, credentials=short)
    world.meet()
    assert world.resumes()
    world.clock.forward(61)
    client, server = connections(world.client, world.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.certificate_expired


def test_the_clients_certificate_survives_until_it_expires(world: World) -> None:
    now = world.clock.now
    short = authority.issue("client.example", not_after=now + datetime.timedelta(seconds=60))
    world.client = replace(world.client, credentials=short)
    world.server = replace(world.server, client_auth="required", client_trust=authority.trust)
    world.meet()
    _, server = world.meet()
    assert server.negotiated.resumed
    assert server.negotiated.peer_certificates == short.chain
    assert server.negotiated.signature_scheme == "ecdsa_secp256r1_sha256"
    world.clock.forward(61)
    client, server = connections(world.client, world.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.certificate_expired


def test_a_client_with_a_new_certificate_is_not_held_to_its_old_one(world: World) -> None:
    now = world.clock.now
    short = authority.issue("client.example", not_after=now + datetime.timedelta(seconds=60))
    world.client = replace(world.client, credentials=short)
    world.server = replace(world.server, client_auth="required", client_trust=authority.trust)
    world.meet()
    renewed = authority.issue("client.example")
    world.client = replace(world.client, credentials=renewed)
    world.clock.forward(61)
    _, server = world.meet()
    assert not server.negotiated.resumed
    assert server.negotiated.peer_certificates == renewed.chain


def test_the_server_judges_a_resuming_client_again(world: World) -> None:
    judged: list[Peer] = []

    def verify(peer: Peer) -> None:
        judged.append(peer)
        if len(judged) == 3:
            raise CertificateError("thrown out", AlertDescription.access_denied)

    world.client = replace(world.client, credentials=authority.issue("client.example"))
    world.server = replace(
        world.server, client_auth="required", client_trust=authority.trust, verify=verify
    )
    world.meet()
    assert world.resumes()
    client, server = connections(world.client, world.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.access_denied
    assert len({peer.certificates for peer in judged}) == 1
    assert [peer.resumed for peer in judged] == [False, True, True]


def test_a_client_judges_a_resuming_server_again_if_it_is_told_to(world: World) -> None:
    judged: list[Peer] = []

    def verify(peer: Peer) -> None:
        judged.append(peer)
        if len(judged) == 3:
            raise CertificateError("thrown out", AlertDescription.access_denied)

    world.client = replace(world.client, verify=verify)
    world.meet()
    assert world.resumes()
    assert len(judged) == 1
    world.client = replace(world.client, verify_on_resumption=True)
    assert world.resumes()
    client, server = connections(world.client, world.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.access_denied
    assert [peer.resumed for peer in judged] == [False, True, True]
    assert len({(peer.certificates, peer.server_name, peer.path) for peer in judged}) == 1


def test_a_client_verifies_a_resuming_server_again_if_it_is_told_to(world: World) -> None:
    world.meet()
    world.client = replace(world.client, verify_on_resumption=True, trust=CA().trust)
    client, server = connections(world.client, world.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.unknown_ca


def test_no_ocsp_response_is_missed_where_none_can_be(world: World) -> None:
    world.client = replace(
        world.client, credentials=authority.issue("client.example"), verify_on_resumption=True
    )
    world.server = replace(
        world.server,
        client_auth="required",
        client_trust=authority.trust,
        ticket_keys=TicketKeys(clock=world.clock),
    )
    world.meet()
    must = check_stapled_ocsp(must=True)
    world.client = replace(world.client, verify=must)
    world.server = replace(world.server, verify=must)
    assert world.resumes()


def test_no_chain_of_resumptions_outlives_the_week(world: World) -> None:
    world.server = replace(world.server, ticket_keys=TicketKeys(lifetime=WEEK, clock=world.clock))
    world.meet()
    day = 24 * 3600
    for _ in range(6):
        world.clock.forward(day)
        assert world.resumes()
    session = world.pocket.sessions[-1]
    world.clock.forward(day)
    assert offered(Connection.client(world.client, SERVER_NAME)) is None
    # A client that does not care.
    world.pocket.sessions.append(replace(session, verified_at=world.clock.now))
    assert not world.resumes()
    assert world.resumes()


def test_a_suite_of_another_hash(world: World) -> None:
    world.server = replace(world.server, cipher_suites=[SHA256])
    keys = world.server.ticket_sealer
    world.meet()
    world.server = replace(world.server, cipher_suites=[SHA384], ticket_keys=keys)
    client, _ = world.meet()
    assert not client.negotiated.resumed
    assert client.negotiated.cipher_suite == SHA384


def test_a_suite_of_another_hash_behind_a_retry_is_not_offered_again(world: World) -> None:
    world.server = replace(world.server, cipher_suites=[SHA256])
    world.meet()
    world.server = replace(world.server, cipher_suites=[SHA384], groups=["secp256r1"])
    client, server = connections(world.client, world.server)
    assert turn(client, server) is Want.WRITE
    assert turn(server, client) is Want.WRITE
    assert offered(client) is None


def test_a_suite_that_the_client_no_longer_allows(world: World) -> None:
    world.server = replace(world.server, cipher_suites=[SHA256])
    world.meet()
    world.client = replace(world.client, cipher_suites=[SHA384])
    assert offered(Connection.client(world.client, SERVER_NAME)) is None


def test_only_the_mode_without_a_key_exchange(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.meet()
    monkeypatch.setattr(client_hello, "encode_psk_key_exchange_modes", always(b"\x01\x00"))
    assert not world.resumes()


@pytest.mark.parametrize(
    ("before", "resumed"), [(MAX_IDENTITIES - 1, True), (MAX_IDENTITIES, False)]
)
def test_only_so_many_identities_are_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch, before: int, resumed: bool
) -> None:
    psks_to_offer = client_hello.psks_to_offer

    def behind_others(*args: Any) -> Sequence[Psk[Session]]:
        """The real key behind some that nobody knows."""
        [real] = psks_to_offer(*args)
        return [*(replace(real, identity=bytes((i,)) * 60) for i in range(before)), real]

    world.meet()
    monkeypatch.setattr(client_hello, "psks_to_offer", behind_others)
    assert world.resumes() is resumed


# What is refused


def always(answer: object) -> Callable[..., object]:
    """What gives this, whatever it is asked."""

    def give(*_: object) -> object:
        return answer

    return give


def test_a_wrong_binder(world: World) -> None:
    world.meet()
    session = world.pocket.sessions[-1]
    world.pocket.sessions.append(replace(session, secret=bytes(32)))
    client, server = connections(world.client, world.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert isinstance(error, ProtocolError)
    assert error.alert == AlertDescription.decrypt_error


def test_a_malformed_offer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.meet()

    def malformed(plain: ClientHello, *_: object) -> ClientHello:
        body = {**plain.extensions, ExtensionType.pre_shared_key: b"\0"}
        return replace(plain, extensions=body)

    monkeypatch.setattr(client_hello, "with_psks", malformed)
    client, server = connections(world.client, world.server)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert == AlertDescription.decode_error


@pytest.mark.parametrize(
    ("instead", "alert"), [("nothing", "missing_extension"), ("another", "illegal_parameter")]
)
def test_a_key_that_has_gone_from_the_second_hello(
    world: World, monkeypatch: pytest.MonkeyPatch, instead: str, alert: str
) -> None:
    world.meet()
    world.server = replace(
        world.server, require_cookie=True, ticket_keys=world.server.ticket_sealer
    )
    client, server = connections(world.client, world.server)
    turn(client, server)
    turn(server, client)
    [psk] = client_hello.psks_to_offer(world.client, world.pocket.sessions[-1], ())
    others = [replace(psk, identity=b"another")] if instead == "another" else []
    monkeypatch.setattr(client_hello, "psks_to_offer", always(others))
    turn(client, server)
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
    world: World, monkeypatch: pytest.MonkeyPatch, index: int
) -> None:
    world.meet()
    resumes_with(monkeypatch, 0x1301, index)
    client, server = connections(world.client, world.server)
    turn(client, server)
    turn(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.illegal_parameter


def test_a_server_that_resumes_with_another_hash(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.server = replace(world.server, cipher_suites=[SHA256])
    world.meet()
    world.server = replace(
        world.server, cipher_suites=[SHA384], ticket_keys=world.server.ticket_sealer
    )
    resumes_with(monkeypatch, 0x1302)
    client, server = connections(world.client, world.server)
    turn(client, server)
    turn(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.illegal_parameter


def test_a_server_that_resumes_what_nobody_offered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumes_with(monkeypatch, 0x1301)
    client, server = connections(world.client, world.server)
    turn(client, server)
    turn(server, client)
    assert failure_of(client.do_handshake).alert == AlertDescription.unsupported_extension


# Stores


class SlowStore:
    """A store whose answers come later."""

    def __init__(self, pocket: Pocket) -> None:
        self._pocket = pocket

    async def put(self, session: Session) -> None:
        self._pocket.put(session)

    async def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        return self._pocket.take(server_name, port, context)


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


def test_a_store_that_answers_later(world: World) -> None:
    world.client = replace(world.client, session_store=SlowStore(world.pocket))
    for resumed in (False, True):
        client, server = connections(world.client, world.server)
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
    assert len(world.pocket.sessions) == 3


def test_asks_anew_where_nobody_waited_for_the_answer(world: World) -> None:
    world.client = replace(world.client, session_store=SlowStore(world.pocket))
    client, server = connections(world.client, world.server)
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
    assert len(world.pocket.sessions) == 2


def given_up(question: Question[Any]) -> None:
    """What a driver leaves behind that was cancelled while it waited."""
    awaitable, question.awaitable = question.awaitable, None
    close: Callable[[], None] = getattr(awaitable, "close", lambda: None)
    close()


class BadStore(Pocket):
    """A store that does not do what it should."""

    def take(self, server_name: str, port: int | None, context: bytes) -> Any:
        return "not a session"


class BrokenStore(Pocket):
    """A store that fails."""

    def put(self, session: Session) -> None:
        raise OSError("disk full")


def test_a_store_that_gives_something_else(world: World) -> None:
    world.client = replace(world.client, session_store=BadStore())
    error = failure_of(Connection.client(world.client, SERVER_NAME).do_handshake)
    assert isinstance(error, InternalError)
    assert "not a session" not in str(error)


def test_a_store_that_fails_ends_the_connection(world: World) -> None:
    store: SessionStore = BrokenStore()
    world.client = replace(world.client, session_store=store)
    client, server = connections(world.client, world.server)
    shake_hands(client, server)
    send(server, client, b"hello")
    error = failure_of(client.read)
    assert error.alert == AlertDescription.internal_error
    assert isinstance(error.__cause__, OSError)
    assert failure_of(client.read) is error
    carry(client, server)
    assert failure_of(server.read).alert == AlertDescription.internal_error


def test_secrets_show_nowhere(world: World) -> None:
    world.meet()
    session = world.pocket.sessions[-1]
    client, server = world.meet()
    for connection in (client, server):
        done = connection._complete()  # pyright: ignore[reportPrivateUsage]
        text = repr(done)
        assert "secret=" not in text
        assert repr(session.secret)[2:20] not in text
