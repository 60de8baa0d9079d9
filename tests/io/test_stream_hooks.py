"""A handshake of a stream that waits for an async hook."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio
import trio.testing
from tls_pairs import (
    MEMORY,
    SERVER_NAME,
    SOCKET,
    AnyStream,
    Engine,
    Transports,
    cancel_when_blocked,
    handshake,
    paired,
)

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.errors import AlertDescription, AlertReceived, HandshakeShutdown, InternalError
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.pki.peer import Peer
from trio_tlsx.sessions.client import Session
from trio_tlsx.testing import CA


class SlowSigner:
    """Signs when it is let; ``asked`` counts how often it was called, ``waiting`` who waits."""

    def __init__(self, credentials: Credentials) -> None:
        self._signer = credentials.signer
        self.schemes: Sequence[SignatureScheme] = credentials.signer.schemes
        self.go = trio.Event()
        self.error: Exception | None = None
        self.asked = 0
        self.waiting = 0

    def sign(self, scheme: SignatureScheme, message: bytes) -> Awaitable[bytes]:
        self.asked += 1
        return self._sign(scheme, message)

    async def _sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        self.waiting += 1
        try:
            await self.go.wait()
        finally:
            self.waiting -= 1
        if self.error is not None:
            raise self.error
        signature = self._signer.sign(scheme, message)
        assert isinstance(signature, bytes)
        return signature


@pytest.fixture
def credentials(ca: CA) -> Credentials:
    return ca.issue(SERVER_NAME)


@pytest.fixture
def signer(credentials: Credentials) -> SlowSigner:
    return SlowSigner(credentials)


@pytest.fixture
def slow(native: Engine, credentials: Credentials, signer: SlowSigner) -> Engine:
    return native.with_server(credentials=Credentials(credentials.chain, signer))


async def test_async_signer_of_a_stream(
    slow: Engine, signer: SlowSigner, transports: Transports
) -> None:
    async with paired(slow, transports) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(handshake, client, server)
            await trio.testing.wait_all_tasks_blocked()
            assert signer.waiting == 1
            signer.go.set()
        assert signer.asked == 1


async def test_failing_async_signer_of_a_stream(slow: Engine, signer: SlowSigner) -> None:
    signer.error = KeyError("no such key")
    signer.go.set()
    async with paired(slow, MEMORY) as (client, server):
        errors: list[BaseException | None] = []

        async def shake(stream: AnyStream) -> None:
            with pytest.raises(trio.BrokenResourceError) as caught:
                await stream.do_handshake()
            errors.append(caught.value.__cause__)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(shake, client)
            nursery.start_soon(shake, server)
        [ours] = [error for error in errors if isinstance(error, InternalError)]
        [theirs] = [error for error in errors if isinstance(error, AlertReceived)]
        assert ours.__cause__ is signer.error
        assert theirs.alert is AlertDescription.internal_error


async def test_cancelled_hook_is_called_again_by_the_next_task(
    slow: Engine, signer: SlowSigner
) -> None:
    async with paired(slow, SOCKET) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        first = trio.CancelScope()

        async def shake(scope: trio.CancelScope) -> None:
            with scope:
                await server.do_handshake()

        nursery.start_soon(shake, first)
        await trio.testing.wait_all_tasks_blocked()
        assert signer.waiting == 1
        nursery.start_soon(shake, trio.CancelScope())
        await trio.testing.wait_all_tasks_blocked()
        first.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert signer.waiting == 1
        assert signer.asked == 2
        signer.go.set()


async def cancel_in_hook(function: Callable[[], Awaitable[object]]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(function)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_hook_is_cancelled_with_its_handshake(slow: Engine, signer: SlowSigner) -> None:
    async with paired(slow, SOCKET) as (client, server), trio.open_nursery() as nursery:

        async def expect_refusal() -> None:
            with pytest.raises(trio.BrokenResourceError) as caught:
                await client.do_handshake()
            assert isinstance(caught.value.__cause__, HandshakeShutdown)

        nursery.start_soon(expect_refusal)
        await cancel_in_hook(server.do_handshake)
        assert signer.waiting == 0


class TaskNoter:
    """Is every async hook of a side, and notes the tasks that it runs in."""

    def __init__(self, credentials: Credentials) -> None:
        self._signer = credentials.signer
        self.schemes: Sequence[SignatureScheme] = credentials.signer.schemes
        self._stapled = Credentials(credentials.chain, self).stapling(self.staple)
        self.tasks: dict[str, trio.lowlevel.Task] = {}

    async def _note(self, hook: str) -> None:
        await trio.lowlevel.checkpoint()
        self.tasks[hook] = trio.lowlevel.current_task()

    async def sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        await self._note("sign")
        signature = self._signer.sign(scheme, message)
        assert isinstance(signature, bytes)
        return signature

    async def select(self, _request: object) -> Credentials:
        await self._note("select")
        return self._stapled

    async def verify(self, _peer: Peer) -> None:
        await self._note("verify")

    async def staple(self) -> bytes:
        await self._note("staple")
        return b"a response"

    async def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        await self._note("take")
        return None

    async def put(self, *_: object) -> None:
        await self._note("put")


async def test_async_hooks_run_in_the_task_of_the_handshake(
    native: Engine, credentials: Credentials, ca: CA
) -> None:
    """And so a cancellation of that task cancels them."""
    of_client, of_server = TaskNoter(credentials), TaskNoter(credentials)
    hooked = native.with_client(
        verify=of_client.verify,
        select_credentials=of_client.select,
        session_store=of_client,
        session_context=b"test",
    ).with_server(
        credentials=None,
        client_auth="required",
        client_trust=ca.trust,
        verify=of_server.verify,
        select_credentials=of_server.select,
        ticket_store=SlowTicketStore(of_server),
    )
    tasks: dict[str, trio.lowlevel.Task] = {}

    async def shake(role: str, stream: AnyStream) -> None:
        tasks[role] = trio.lowlevel.current_task()
        await stream.do_handshake()
        await stream.send_all(role.encode())  # with the tickets of TLS 1.3
        assert await stream.receive_some()

    async with paired(hooked, SOCKET) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(shake, "client", client)
        nursery.start_soon(shake, "server", server)
    assert of_client.tasks.keys() == {"take", "verify", "select", "sign", "put"}
    assert of_server.tasks.keys() == {"verify", "select", "sign", "staple", "put"}
    assert {*of_client.tasks.values()} == {tasks["client"]}
    assert {*of_server.tasks.values()} == {tasks["server"]}


class SlowTicketStore:
    """A server's ticket store that notes its tasks."""

    def __init__(self, noter: TaskNoter) -> None:
        self._noter = noter

    async def put(self, name: bytes, state: bytes, lifetime: int) -> None:
        await self._noter.put()

    async def take(self, name: bytes) -> bytes | None:
        return None


@pytest.mark.parametrize("timed_out", [False, True], ids=["cancelled", "timed-out"])
async def test_cancelled_client_verification_is_no_empty_answer(
    ca: CA, timed_out: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """In TLS 1.3 the client's handshake is complete by then: close_notify would be its end."""

    async def verify(peer: Peer) -> None:
        await trio.sleep_forever()

    transports = await SOCKET.connect()
    client_config = ClientConfig(trust=ca.trust, credentials=ca.issue(SERVER_NAME))
    server_config = ServerConfig(
        credentials=ca.issue(SERVER_NAME),
        client_auth="required",
        client_trust=ca.trust,
        verify=verify,
    )
    client = TLSStream(transports[0], client_config, server_hostname=SERVER_NAME)
    server = TLSStream(transports[1], server_config, handshake_timeout=10)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            if timed_out:
                with pytest.raises(trio.BrokenResourceError, match="within 10 seconds"):
                    await server.do_handshake()
            else:
                await cancel_when_blocked(server.do_handshake)

        await client.do_handshake()
        with pytest.raises(trio.BrokenResourceError) as caught:
            await client.receive_some()
    assert isinstance(caught.value.__cause__, AlertReceived)
    assert caught.value.__cause__.alert is AlertDescription.internal_error
    await client.aclose()
    await server.aclose()
