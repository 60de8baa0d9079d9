"""Resumption, KeyUpdate and exporters with other implementations, as both sides report them."""

from __future__ import annotations

import re
from functools import partial

import pytest
import trio
from authority import SERVER_NAME, Authority
from conversations import PeerRole, assert_resumes
from matrix import peer_role
from openssl_peer import OpenSSLPeer
from peer import EXPORTED_LENGTH, SAFETY_NET
from processes import free_port, peer_program, run_program, running

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.errors import AlertDescription
from trio_tlsx.io.listener import serve_tls_over_tcp
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.messages.handshake import KeyUpdate
from trio_tlsx.record.key_update import KeyUpdates
from trio_tlsx.sessions.client import MemorySessionStore
from trio_tlsx.sessions.ticket_store import MemoryTicketStore

A_BIT = 1000  # bytes
LABEL = "EXPERIMENTAL trio-tlsx"

OPENSSL_CLIENT = PeerRole(OpenSSLPeer(), "client")

# Resumption


@peer_role("client", "server")
async def test_peer_resumption(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.prepare(authority, theirs={"echo": A_BIT, "connections": 3}) as known:
        await assert_resumes(known, peer_role.role, authority)
    assert {saw.alert for saw in known.saw} == {AlertDescription.close_notify}


@peer_role("client")
async def test_peer_resumes_with_tickets_from_a_store(
    peer_role: PeerRole, authority: Authority
) -> None:
    store = MemoryTicketStore()
    async with peer_role.prepare(
        authority,
        ours={"ticket_store": store, "ticket_application_data": b"ours"},
        theirs={"echo": A_BIT, "connections": 3},
    ) as known:
        for resumed in (False, True, True):
            async with known.connect() as us:
                await us.converse()
                assert us.stream.negotiated.resumed is resumed
                data = us.stream.negotiated.ticket_application_data
                assert data == (b"ours" if resumed else b"")
    assert [saw.resumed for saw in known.saw] == [False, True, True]
    assert len(store) == 2  # of four, two were used


@peer_role("client", "server", needs="tell of resumption")
async def test_peer_reports_resumption(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.prepare(authority, theirs={"echo": A_BIT, "connections": 2}) as known:
        for _ in range(2):
            async with known.connect() as us:
                await us.converse()
    assert [saw.resumed for saw in known.saw] == [False, True]


@peer_role("client")
async def test_peer_is_not_resumed_without_tickets(
    peer_role: PeerRole, authority: Authority
) -> None:
    async with peer_role.prepare(
        authority, ours={"tickets": 0}, theirs={"echo": A_BIT, "connections": 2}
    ) as known:
        for _ in range(2):
            async with known.connect() as us:
                await us.converse()
                assert not us.stream.negotiated.resumed
    assert [saw.resumed for saw in known.saw] == [False, False]


@peer_role("client")
async def test_certificate_of_the_peer_survives_resumption(
    peer_role: PeerRole, authority: Authority
) -> None:
    async with peer_role.prepare(
        authority,
        ours={"client_auth": "required", "client_trust": authority.ca.trust},
        theirs={"credentials": authority.files(), "echo": A_BIT, "connections": 2},
    ) as known:
        for resumed in (False, True):
            async with known.connect() as us:
                await us.converse()
                assert us.stream.negotiated.resumed is resumed
                assert (
                    us.stream.negotiated.peer_certificates[0] == authority.credentials().chain[0]
                )


@peer_role("server", needs="count tickets")
async def test_peer_sends_the_number_of_tickets(peer_role: PeerRole, authority: Authority) -> None:
    store = MemorySessionStore(max_per_server=8)
    async with peer_role.connect(
        authority,
        ours={"session_store": store, "session_context": b"test"},
        theirs={"echo": A_BIT, "tickets": 5},
    ) as us:
        await us.converse()
    assert len(store) == 5


async def test_openssl_receives_the_number_of_tickets(authority: Authority) -> None:
    async with OPENSSL_CLIENT.connect(
        authority, ours={"tickets": 5}, theirs={"echo": A_BIT}
    ) as us:
        await us.converse()
    assert us.saw.story.count("New Session Ticket arrived") == 5


# KeyUpdate


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[KeyUpdate]:
    """The KeyUpdates that came."""
    came: list[KeyUpdate] = []
    receive = KeyUpdates.receive

    def noted(self: KeyUpdates, key_update: KeyUpdate, *, may_answer: bool) -> None:
        receive(self, key_update, may_answer=may_answer)
        came.append(key_update)

    monkeypatch.setattr(KeyUpdates, "receive", noted)
    return came


@peer_role("client", "server")
async def test_key_update_requested_by_us(
    peer_role: PeerRole, authority: Authority, received: list[KeyUpdate]
) -> None:
    async with peer_role.connect(authority, theirs={"echo": A_BIT}) as us:
        await us.stream.update_keys(request_peer=True)
        await us.converse()
    assert received == [KeyUpdate(request_update=False)]
    assert us.saw.alert is AlertDescription.close_notify


@peer_role("client", "server", needs="update keys")
async def test_key_update_requested_by_the_peer(
    peer_role: PeerRole, authority: Authority, received: list[KeyUpdate]
) -> None:
    async with peer_role.connect(authority, theirs={"echo": A_BIT, "updates_keys": True}) as us:
        await us.converse()
    # A JDK asks again with each record, until it has read our new keys.
    assert received
    assert all(key_update == KeyUpdate(request_update=True) for key_update in received)
    assert us.saw.alert is AlertDescription.close_notify  # under our new keys


# Exporters


@peer_role("client", "server", needs="export")
async def test_exported_keying_material_equals_the_peers(
    peer_role: PeerRole, authority: Authority
) -> None:
    exported: list[bytes] = []
    async with peer_role.prepare(
        authority, theirs={"echo": A_BIT, "connections": 2, "exports": LABEL}
    ) as known:
        for _ in range(2):
            async with known.connect() as us:
                await us.converse()
                exported.append(us.stream.export_keying_material(LABEL, EXPORTED_LENGTH))
    assert [saw.exported for saw in known.saw] == exported
    assert exported[0] != exported[1]


# GnuTLS


KEY_MATERIAL = re.compile(rb"^- Key material: ([0-9a-f]+)$", re.MULTILINE)


@pytest.fixture
def gnutls_cli() -> str:
    return peer_program("gnutls-cli", "gnutls-bin")


@pytest.fixture
def gnutls_serv() -> str:
    return peer_program("gnutls-serv", "gnutls-bin")


async def test_gnutls_cli_resumes(
    gnutls_cli: str, authority: Authority, received: list[KeyUpdate]
) -> None:
    """Its client resumes by itself; then it changes its keys, and sends data under new ones."""
    resumed: list[bool] = []
    exported: list[bytes] = []

    async def echo(stream: TLSStream[trio.SocketStream]) -> None:
        resumed.append(stream.negotiated.resumed)
        exported.append(stream.export_keying_material(LABEL, EXPORTED_LENGTH))
        await stream.send_all(b"\n")  # the tickets go with it, for which the client waits
        async for data in stream:
            await stream.send_all(data)

    config = ServerConfig(credentials=authority.credentials())
    async with trio.open_nursery() as nursery:
        serve = partial(serve_tls_over_tcp, echo, 0, config, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        port = listener.port
        command = [gnutls_cli, "--port", str(port), "127.0.0.1", "--resume", "--waitresumption"]
        command += ["--x509cafile", str(authority.ca_file), "--inline-commands"]
        command += ["--verify-hostname", SERVER_NAME, "--sni-hostname", SERVER_NAME]
        command += ["--keymatexport", LABEL, "--keymatexportsize", str(EXPORTED_LENGTH)]
        result = await run_program(command, stdin=b"^rekey^\nbehind new keys\n")
        nursery.cancel_scope.cancel()
    assert result.status == 0, result.stderr
    assert resumed == [False, True]
    assert result.stdout.count(b"*** This is a resumed session") == 1
    told = KEY_MATERIAL.findall(result.stdout)
    assert [bytes.fromhex(one.decode()) for one in told] == exported
    assert result.stdout.count(b"behind new keys") == 1
    assert len(received) == 1


async def test_gnutls_serv_resumes(
    gnutls_serv: str, authority: Authority, received: list[KeyUpdate]
) -> None:
    """Its server gives tickets at once; it answers a KeyUpdate, and does not begin with one."""
    chain, key = authority.files()
    port = free_port()
    command = [gnutls_serv, "--port", str(port), "--echo", "--disable-client-cert"]
    command += ["--x509certfile", str(chain), "--x509keyfile", str(key)]
    command += ["--keymatexport", LABEL, "--keymatexportsize", str(EXPORTED_LENGTH)]
    config = ClientConfig(trust=authority.ca.trust)
    exported: list[bytes] = []
    async with running(*command, says=b"listening") as server:
        for resumed in (False, True):
            transport = await trio.open_tcp_stream("127.0.0.1", port)
            async with TLSStream(transport, config, server_hostname=SERVER_NAME) as stream:
                await stream.wait_session_ticket()
                assert stream.negotiated.resumed is resumed
                await stream.update_keys(request_peer=True)
                await stream.send_all(b"behind new keys\n")
                assert await stream.receive_some() == b"behind new keys\n"
                exported.append(stream.export_keying_material(LABEL, EXPORTED_LENGTH))
        assert server.process.stdout is not None
        told = b""
        with trio.fail_after(SAFETY_NET):
            while len(found := KEY_MATERIAL.findall(told)) < 2:
                told += await server.process.stdout.receive_some()
    assert [bytes.fromhex(one.decode()) for one in found] == exported
    assert told.count(b"*** This is a resumed session") == 1
    assert received == [KeyUpdate(request_update=False)] * 2


# A server that never sends data


async def test_gnutls_waits_for_a_ticket(authority: Authority) -> None:
    """``gnutls-cli --waitresumption`` sends nothing before it has a ticket."""
    gnutls = peer_program("gnutls-cli")
    config = ServerConfig(credentials=authority.credentials(), tickets_after_handshake=True)
    resumed: list[bool] = []

    async def sink(stream: TLSStream[trio.SocketStream]) -> None:
        async with stream:
            resumed.append(stream.negotiated.resumed)
            async for _ in stream:
                pass

    async with trio.open_nursery() as nursery:
        serve = partial(serve_tls_over_tcp, sink, 0, config, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        with trio.fail_after(SAFETY_NET):
            result = await run_program(
                [gnutls, "--resume", "--waitresumption", "--insecure", "--sni-hostname",
                 SERVER_NAME, "-p", str(listener.port), "127.0.0.1"],
            )  # fmt: skip
        nursery.cancel_scope.cancel()
    assert result.status == 0, result.stderr
    assert b"This is a resumed session" in result.stdout
    assert resumed == [False, True]
