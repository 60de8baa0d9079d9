"""Handshakes and receives that wait for a hook, cancelled at each checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import pytest
import trio
from checkpoints import Cut, cut_everywhere
from tls_pairs import (
    MEMORY,
    SERVER_NAME,
    SOCKET,
    AnyStream,
    Engine,
    Transports,
    handshake,
    paired,
)

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.errors import AlertReceived, HandshakeShutdown, Truncated
from trio_tlsx.handshake import questions
from trio_tlsx.handshake.wants import Question
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.sessions.client import MemorySessionStore, Session
from trio_tlsx.sessions.external_psk import ExternalPSK
from trio_tlsx.sessions.ticket_store import MemoryTicketStore
from trio_tlsx.testing import CA

CHECKPOINTS = 3  # of a hook

OVER = pytest.mark.parametrize("transports", [MEMORY, SOCKET], ids=lambda over: over.name)


class Dawdler:
    """Is every kind of hook, and does what it is asked for after some checkpoints.

    Attributes:
        cut: how often it was cancelled.
        under_way: how often it is at it now.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self.schemes: Sequence[SignatureScheme] = credentials.signer.schemes
        self.psk = ExternalPSK(b"test", bytes(32))
        self.under_way = 0
        self.cut = 0

    async def dawdle(self) -> None:
        self.under_way += 1
        try:
            for _ in range(CHECKPOINTS):
                await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            self.cut += 1
            raise
        finally:
            self.under_way -= 1

    @property
    def slow_to_sign(self) -> Credentials:
        return Credentials(self._credentials.chain, self)

    async def sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        await self.dawdle()
        signature = self._credentials.signer.sign(scheme, message)
        assert isinstance(signature, bytes)
        return signature

    async def approve(self, _peer: object) -> None:
        await self.dawdle()

    async def select(self, _request: object) -> Credentials:
        await self.dawdle()
        return self._credentials

    async def staple(self) -> bytes:
        await self.dawdle()
        return b"an OCSP response"

    async def find_ech(self, _name: str) -> None:
        await self.dawdle()

    async def find(self, identity: bytes) -> ExternalPSK | None:
        await self.dawdle()
        return self.psk if identity == self.psk.identity else None


class SlowSessionStore:
    """Does what it is asked for after some checkpoints."""

    def __init__(self, dawdler: Dawdler, slow_to: Literal["put", "take"]) -> None:
        self._dawdler = dawdler
        self._slow_to = slow_to
        self._store = MemorySessionStore()

    async def put(self, session: Session) -> None:
        if self._slow_to == "put":
            await self._dawdler.dawdle()
        self._store.put(session)

    async def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        if self._slow_to == "take":
            await self._dawdler.dawdle()
        return self._store.take(server_name, port, context)


class SlowTicketStore:
    """Does what it is asked for after some checkpoints."""

    def __init__(self, dawdler: Dawdler, slow_to: Literal["put", "take"]) -> None:
        self._dawdler = dawdler
        self._slow_to = slow_to
        self._store = MemoryTicketStore()

    async def put(self, name: bytes, state: bytes, lifetime: int) -> None:
        if self._slow_to == "put":
            await self._dawdler.dawdle()
        self._store.put(name, state, lifetime)

    async def take(self, name: bytes) -> bytes | None:
        if self._slow_to == "take":
            await self._dawdler.dawdle()
        return self._store.take(name)


Role: TypeAlias = Literal["client", "server"]
Configs: TypeAlias = tuple[ClientConfig, ServerConfig]


def client_signs(hook: Dawdler, client: ClientConfig, server: ServerConfig) -> Configs:
    return replace(client, credentials=hook.slow_to_sign), server


def client_verifies(hook: Dawdler, client: ClientConfig, server: ServerConfig) -> Configs:
    return replace(client, credentials=None, verify=hook.approve), server


def client_selects(hook: Dawdler, client: ClientConfig, server: ServerConfig) -> Configs:
    return replace(client, credentials=None, select_credentials=hook.select), server


def server_signs(hook: Dawdler, client: ClientConfig, server: ServerConfig) -> Configs:
    return client, replace(server, credentials=hook.slow_to_sign)


def server_verifies(hook: Dawdler, client: ClientConfig, server: ServerConfig) -> Configs:
    return client, replace(server, verify=hook.approve)


def server_selects(hook: Dawdler, client: ClientConfig, server: ServerConfig) -> Configs:
    return client, replace(server, credentials=None, select_credentials=hook.select)


def server_staples(hook: Dawdler, client: ClientConfig, server: ServerConfig) -> Configs:
    [credentials] = server.parameters.candidates
    client = replace(client, verify=[at_once])  # or else it does not ask for a response
    return client, replace(server, credentials=credentials.stapling(hook.staple))


def server_looks_up(hook: Dawdler, client: ClientConfig, server: ServerConfig) -> Configs:
    return replace(client, psks=[hook.psk]), replace(server, psks=hook.find)


def client_finds_ech(hook: Dawdler, client: ClientConfig, server: ServerConfig) -> Configs:
    return replace(client, ech=hook.find_ech), server


def client_stores(hook: Dawdler, client: ClientConfig, server: ServerConfig) -> Configs:
    store = SlowSessionStore(hook, "put")
    return replace(client, session_store=store, session_context=b"test"), server


def server_stores_tickets(hook: Dawdler, client: ClientConfig, server: ServerConfig) -> Configs:
    return client, replace(server, ticket_store=SlowTicketStore(hook, "put"), tickets=1)


def at_once(_peer: object) -> None: ...


Configure: TypeAlias = Callable[[Dawdler, ClientConfig, ServerConfig], Configs]

#: Who waits in the middle of a handshake, and for what.
HOOKS: dict[str, tuple[Role, type[Question[Any]], Configure]] = {
    "client signs": ("client", questions.SignatureWanted, client_signs),
    "client verifies": ("client", questions.VerificationWanted, client_verifies),
    "client selects": ("client", questions.ClientCredentialsWanted, client_selects),
    "client finds ECH": ("client", questions.ECHConfigsWanted, client_finds_ech),
    "server signs": ("server", questions.SignatureWanted, server_signs),
    "server verifies": ("server", questions.VerificationWanted, server_verifies),
    "server selects": ("server", questions.CredentialsWanted, server_selects),
    "server staples": ("server", questions.OCSPResponseWanted, server_staples),
    "server looks up": ("server", questions.PSKWanted, server_looks_up),
    "server stores tickets": ("server", questions.TicketIssued, server_stores_tickets),
    "client stores": ("client", questions.SessionReceived, client_stores),
}
#: The questions of a side that has sent its Finished.
MAY_HAVE_FINISHED = {
    "TLSv1.3": {"server verifies", "server stores tickets"},
    "TLSv1.2": {"client stores"},
}
#: In TLS 1.3 the handshake is complete before there is a session; only TLS 1.3 has PSKs and ECH.
NOT_IN_THE_HANDSHAKE = {
    ("TLSv1.3", "client stores"),
    ("TLSv1.2", "server looks up"),
    ("TLSv1.2", "client finds ECH"),
}
IN_THE_HANDSHAKE = [
    (version, name)
    for version in ("TLSv1.3", "TLSv1.2")
    for name in HOOKS
    if (version, name) not in NOT_IN_THE_HANDSHAKE
]


@pytest.fixture
def credentials(ca: CA) -> Credentials:
    return ca.issue(SERVER_NAME)


@pytest.fixture
def configs(ca: CA, credentials: Credentials, version: str) -> Configs:
    """Both sides have certificates, the server wants to see its client's."""
    return (
        ClientConfig(trust=ca.trust, credentials=credentials, versions=[version]),
        ServerConfig(
            credentials=credentials,
            client_auth="optional",
            client_trust=ca.trust,
            versions=[version],
        ),
    )


@pytest.fixture
def dawdler(credentials: Credentials) -> Dawdler:
    return Dawdler(credentials)


def test_every_question_has_a_cancellation_test() -> None:
    """None is added without being cancelled here."""
    asked = {question for _, question, _ in HOOKS.values()}
    asked |= {questions.SessionWanted}
    asked |= {questions.TicketWanted}  # in the last test here
    asked |= {questions.AntiReplayWanted}  # in test_stream_early_data.py
    assert asked == {getattr(questions, name) for name in questions.__all__}


@OVER
@pytest.mark.parametrize(("version", "name"), IN_THE_HANDSHAKE)
async def test_handshake_cancelled_in_a_hook(
    configs: Configs, dawdler: Dawdler, transports: Transports, version: str, name: str
) -> None:
    """The peer is told, whichever side it is that waits, and the hook is over."""
    role, _, configure = HOOKS[name]
    slow = Engine("native", *configure(dawdler, *configs))

    async def attempt(cut: Cut) -> None:
        before = dawdler.cut
        async with paired(slow, transports) as pair:
            ours, peer = pair if role == "client" else pair[::-1]
            errors: list[trio.BrokenResourceError] = []

            async def be_peer() -> None:
                try:
                    await peer.do_handshake()
                    await peer.receive_some()
                except trio.BrokenResourceError as error:
                    errors.append(error)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(be_peer)
                await cut(ours.do_handshake)
                assert not dawdler.under_way
                await trio.aclose_forcefully(ours)
            if dawdler.cut > before:
                assert cut.caught
                # In memory there is no sending without waiting.
                # A side whose Finished has left sends a fatal alert.
                told: tuple[type[Exception], ...] = (HandshakeShutdown,)
                if name in MAY_HAVE_FINISHED[version]:
                    told = (AlertReceived,)
                if transports is not SOCKET:
                    told += (Truncated,)
                assert isinstance(errors[0].__cause__, told)

    await cut_everywhere(attempt)
    assert dawdler.cut == CHECKPOINTS


async def say(stream: AnyStream, other: AnyStream, data: bytes) -> None:
    await stream.send_all(data)
    assert await other.receive_some() == data


@OVER
async def test_handshake_cancelled_in_session_store_take(
    configs: Configs, dawdler: Dawdler, transports: Transports
) -> None:
    """Nothing has left yet, so the handshake can be done as if nothing had happened."""
    client_config, server_config = configs
    store = SlowSessionStore(dawdler, "take")
    client_config = replace(client_config, session_store=store, session_context=b"test")
    slow = Engine("native", client_config, server_config)

    async def attempt(cut: Cut) -> None:
        before = dawdler.cut
        async with paired(slow, transports) as (client, server), trio.open_nursery() as nursery:
            nursery.start_soon(shake_unless_told, server)
            await cut(client.do_handshake)
            assert not dawdler.under_way
            if dawdler.cut > before:
                await handshake(client, server)
                await say(client, server, b"hello")
            nursery.cancel_scope.cancel()

    await cut_everywhere(attempt)
    assert dawdler.cut == CHECKPOINTS


async def shake_unless_told(stream: AnyStream) -> None:
    """Handshake with a client that may give it up after its ClientHello."""
    with suppress(trio.BrokenResourceError):
        await stream.do_handshake()


@OVER
@pytest.mark.parametrize("version", ["TLSv1.3"])
async def test_receive_cancelled_in_session_store_put(
    configs: Configs, dawdler: Dawdler, transports: Transports
) -> None:
    """Nothing is lost: what follows the tickets is received by the next call."""
    client_config, server_config = client_stores(dawdler, *configs)
    slow = Engine("native", client_config, replace(server_config, tickets=2))

    async def attempt(cut: Cut) -> None:
        async with paired(slow, transports) as (client, server):
            await handshake(client, server)
            received: list[bytes] = []

            async def receive() -> None:
                received.append(bytes(await client.receive_some()))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.send_all, b"hello")
                await cut(receive)
                assert not dawdler.under_way
                if cut.caught:
                    await receive()
            assert received == [b"hello"]

    await cut_everywhere(attempt)
    assert dawdler.cut == 2 * CHECKPOINTS  # two tickets


@OVER
async def test_handshake_cancelled_in_the_ticket_store(
    configs: Configs, dawdler: Dawdler, transports: Transports, version: str
) -> None:
    """The client is told, and resumes with another ticket; in TLS 1.2 it has only one."""
    client_config, server_config = configs
    store = SlowTicketStore(dawdler, "take")
    slow = Engine("native", client_config, replace(server_config, ticket_store=store, tickets=2))

    async def attempt(cut: Cut) -> None:
        before = dawdler.cut
        async with paired(slow, transports) as (client, server):
            await handshake(client, server)
            await say(server, client, b"tickets")
        async with paired(slow, transports) as (client, server), trio.open_nursery() as nursery:
            nursery.start_soon(shake_unless_told, client)
            await cut(server.do_handshake)
            assert not dawdler.under_way
            nursery.cancel_scope.cancel()
        if dawdler.cut > before:
            async with paired(slow, transports) as (client, server):
                await handshake(client, server)
                assert server.negotiated.resumed or version == "TLSv1.2"

    await cut_everywhere(attempt)
    assert dawdler.cut == CHECKPOINTS
