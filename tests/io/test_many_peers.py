"""A server with thousands of hostile peers, and a server without free descriptors.

No test measures time. The wait of an honest client is counted in the steps of tasks before the
server answers it.
"""

from __future__ import annotations

import errno
import gc
import os
import socket
import struct
import sys
import threading
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeAlias

import pytest
import trio
import trio.testing
from tls_pairs import SERVER_NAME, Engine

from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.io.listener import HANDSHAKE_TIMEOUT, serve_tls_over_tcp
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.io.transport import LINGER_SECONDS
from trio_tlsx.messages.info import ClientHello
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.testing import CA

if sys.platform != "win32":
    import resource

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs descriptor limits")

TCPStream: TypeAlias = TLSStream[trio.SocketStream]

PEERS = 2400
DESCRIPTORS = 2 * PEERS + 200  # both ends are here

#: What tasks may do for one connection before it waits for its peer, or refuses it: the accept
#: loop goes round, the connection's own task starts, tries to read, says its alert and closes.
STEPS_PER_PEER = 8
STEPS_OF_AN_HONEST_CLIENT = 50  # connecting, handshake, echo; both sides

#: What a handshake that goes nowhere may hold on to, in bytes, without the kernel's buffers.
BYTES_PER_IDLE_HANDSHAKE = 16 * 1024

WAITING = 1000  # handshakes, for a hook
#: What one of them may hold on to: it may be past the key exchange. In bytes, as above.
BYTES_PER_WAITING_HANDSHAKE = 32 * 1024
SLOW_NAME = "slow.example"  # whose hook it is

RESETS = 20  # of each kind
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # for SO_LINGER

ALERT, HANDSHAKE = b"\x15", b"\x16"  # how their records begin

SILENT, ONE_BYTE, GARBAGE = b"", b"\x16", b"not TLS at all\r\n"


class StepCounter(trio.abc.Instrument):
    """Counts how often any task is run."""

    def __init__(self) -> None:
        self.steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1


@contextmanager
def counted_steps() -> Generator[StepCounter, None, None]:
    counter = StepCounter()
    trio.lowlevel.add_instrument(counter)
    try:
        yield counter
    finally:
        trio.lowlevel.remove_instrument(counter)


@contextmanager
def descriptor_limit(count: int) -> Generator[None, None, None]:
    """At most so many descriptors while the block lasts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def many_descriptors() -> Generator[None, None, None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.skip(f"needs {DESCRIPTORS} descriptors, and only {hard} are to be had: ulimit -Hn")
    with descriptor_limit(soft if soft >= DESCRIPTORS else DESCRIPTORS):
        yield


async def echo(stream: TCPStream) -> None:
    async with stream:
        async for chunk in stream:
            await stream.send_all(chunk)


@asynccontextmanager
async def serving(
    engine: Engine, handler: Callable[[TCPStream], Any] = echo
) -> AsyncGenerator[int, None]:
    """A server; gives its port."""
    async with trio.open_nursery() as nursery:
        serve = partial(
            serve_tls_over_tcp, handler, 0, engine.server_config, host="127.0.0.1", backlog=PEERS
        )
        [listener] = await nursery.start(serve)
        yield listener.port
        nursery.cancel_scope.cancel()


def connected(port: int, say: bytes) -> socket.socket:
    """A peer that says this much and no more."""
    peer = socket.create_connection(("127.0.0.1", port))
    if say:
        peer.sendall(say)
    return peer


def close_all(peers: list[socket.socket]) -> None:
    for peer in peers:
        peer.close()


async def assert_echoes(
    engine: Engine, port: int, sock: socket.socket | None = None, name: str = SERVER_NAME
) -> None:
    """An honest client is served, over a socket of its own if it has one already."""
    if sock is None:
        transport = await trio.open_tcp_stream("127.0.0.1", port)
    else:
        transport = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    stream = TLSStream(transport, engine.client_config, server_hostname=name)
    async with stream:
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"


@pytest.mark.usefixtures("many_descriptors")
async def test_honest_client_among_thousands_of_rude_ones(
    native: Engine, mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    honest = socket.socket()
    async with serving(native) as port:
        # All are there before the server sees the first, and the honest client is the last.
        peers = [
            connected(port, (SILENT, ONE_BYTE, GARBAGE)[number % 3]) for number in range(PEERS)
        ]
        idle = PEERS - PEERS // 3
        honest.connect(("127.0.0.1", port))
        with counted_steps() as all_of_them:
            await assert_echoes(native, port, honest)
        assert all_of_them.steps <= PEERS * STEPS_PER_PEER + STEPS_OF_AN_HONEST_CLIENT

        # The garbage is refused, the others wait: they cost the next client nothing.
        await trio.testing.wait_all_tasks_blocked()
        with counted_steps() as one_client:
            await assert_echoes(native, port)
        assert one_client.steps <= STEPS_OF_AN_HONEST_CLIENT
        refused = [record for record in caplog.records if record.name == "trio_tlsx"]
        assert len(refused) == PEERS // 3

        # Nobody keeps a connection for ever: each is told, and closed.
        mock_clock.jump(HANDSHAKE_TIMEOUT)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(LINGER_SECONDS)
        await trio.testing.wait_all_tasks_blocked()
        for peer in peers:
            while peer.recv(1024):
                pass
        assert len(caplog.records) == len(refused) + idle
        await assert_echoes(native, port)
        print(
            f"\n{PEERS} peers at once: {all_of_them.steps / PEERS:.1f} steps each; "
            f"an honest client among {idle} idle ones: {one_client.steps} steps"
        )
    close_all(peers)


async def memory_until_blocked() -> int:
    """Return how many bytes are allocated until all tasks wait, and are in use then."""
    gc.collect()
    tracemalloc.start()
    try:
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("many_descriptors")
@pytest.mark.parametrize("say", [SILENT, ONE_BYTE], ids=["silent", "one byte"])
async def test_memory_of_idle_handshakes(native: Engine, say: bytes) -> None:
    async with serving(native) as port:
        await assert_echoes(native, port)  # what is made once has been made
        peers = [connected(port, say) for _ in range(PEERS)]
        held = await memory_until_blocked()
        assert trio.lowlevel.current_statistics().tasks_living > PEERS, "one task for each"
        print(f"\nan idle handshake holds {held / PEERS:,.0f} bytes")
        assert 0 < held / PEERS <= BYTES_PER_IDLE_HANDSHAKE
        await assert_echoes(native, port)
    close_all(peers)


class SlowHook:
    """Selects credentials, or signs for them, when it is let."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self.schemes: Sequence[SignatureScheme] = credentials.signer.schemes
        self.go = trio.Event()
        self.waiting = 0

    async def _wait(self) -> None:
        self.waiting += 1
        try:
            await self.go.wait()
        finally:
            self.waiting -= 1

    async def _select(self) -> Credentials:
        await self._wait()
        return self._credentials

    async def sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        await self._wait()
        signature = self._credentials.signer.sign(scheme, message)
        assert isinstance(signature, bytes)
        return signature

    def selecting(self, others: Credentials) -> dict[str, Any]:
        """It selects, for its name only."""

        def select(hello: ClientHello) -> Credentials | Awaitable[Credentials]:
            return self._select() if hello.server_name == SLOW_NAME else others

        return {"credentials": None, "select_credentials": select}

    def signing(self, others: Credentials) -> dict[str, Any]:
        """It signs, for its name only."""
        return {"credentials": [others, Credentials(self._credentials.chain, self)]}


@pytest.mark.usefixtures("many_descriptors")
@pytest.mark.parametrize("configure", [SlowHook.selecting, SlowHook.signing])
async def test_thousand_handshakes_that_wait_for_a_hook(
    native: Engine,
    ca: CA,
    configure: Callable[[SlowHook, Credentials], dict[str, Any]],
    mock_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are so many small objects, not threads, and handshakes without a hook pass them."""
    hook = SlowHook(ca.issue(SLOW_NAME))
    engine = native.with_server(**configure(hook, ca.issue(SERVER_NAME)))
    hello = client_hello(engine, SLOW_NAME)
    async with serving(engine) as port:
        await assert_echoes(engine, port)
        threads = threading.active_count()
        # Some have said more by then, to be read later.
        peers = [connected(port, hello + (SILENT, ONE_BYTE)[i % 2]) for i in range(WAITING)]
        held = await memory_until_blocked()
        assert hook.waiting == WAITING
        assert threading.active_count() <= threads  # idle ones of other tests may end
        print(f"\na handshake that waits for a hook holds {held / WAITING:,.0f} bytes")
        assert 0 < held / WAITING <= BYTES_PER_WAITING_HANDSHAKE
        with counted_steps() as one_client:
            await assert_echoes(engine, port)
        assert one_client.steps <= STEPS_OF_AN_HONEST_CLIENT
        assert hook.waiting == WAITING

        # None waits for ever: the hook is cancelled, its peer told, and the next one may pass.
        mock_clock.jump(HANDSHAKE_TIMEOUT)
        await trio.testing.wait_all_tasks_blocked()
        assert hook.waiting == 0
        assert len(caplog.records) == WAITING
        mock_clock.jump(LINGER_SECONDS)
        await trio.testing.wait_all_tasks_blocked()
        for peer in peers:
            assert peer.recv(4096).startswith((ALERT, HANDSHAKE))
        hook.go.set()
        await assert_echoes(engine, port, name=SLOW_NAME)
    close_all(peers)


async def test_exhausted_descriptors_of_a_server_among_many_peers(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """Peers take all there are; when they go, the client that had to wait is served."""

    def failures() -> list[Any]:
        return [record for record in caplog.records if record.name == "trio.serve_listeners"]

    honest = socket.socket()
    peers = [socket.socket() for _ in range(10)]
    async with serving(engine) as port:
        one_is_free = os.dup(0) + 1
        os.close(one_is_free - 1)
        with descriptor_limit(one_is_free):
            for peer in peers:
                peer.connect(("127.0.0.1", port))
            await trio.testing.wait_all_tasks_blocked()
            [failure] = failures()
            assert errno.errorcode[errno.EMFILE] in failure.getMessage()
            honest.connect(("127.0.0.1", port))
            close_all(peers)
            with trio.fail_after(10):
                await assert_echoes(engine, port, honest)


def reset(sock: socket.socket | trio.SocketStream) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    if isinstance(sock, trio.SocketStream):
        sock.socket.close()
    else:
        sock.close()


async def test_thousands_of_peers_that_reset(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """During accept, in the handshake, and while the server closes."""
    resets = trio.Event()
    closed = 0

    async def close_after_the_reset(stream: TCPStream) -> None:
        """Say goodbye to who has gone."""
        nonlocal closed
        if await stream.receive_some() == b"hello":  # the honest one
            await stream.send_all(b"hello")
        else:
            await resets.wait()
        await stream.aclose()
        closed += 1

    async with serving(engine, close_after_the_reset) as port:
        for _ in range(RESETS):
            reset(connected(port, SILENT))
            reset(connected(port, ONE_BYTE))
        await trio.testing.wait_all_tasks_blocked()
        await assert_echoes(engine, port)

        for _ in range(RESETS):
            peer = connected(port, client_hello(engine))
            await trio.testing.wait_all_tasks_blocked()  # the server waits for what comes next
            reset(peer)
        for _ in range(RESETS):
            peer = connected(port, GARBAGE)
            await trio.testing.wait_all_tasks_blocked()  # it has said its alert, and lingers
            reset(peer)
        await trio.testing.wait_all_tasks_blocked()
        await assert_echoes(engine, port)
        failed = [record for record in caplog.records if record.name == "trio_tlsx"]
        assert len(failed) == 4 * RESETS

        for _ in range(RESETS):
            transport = await trio.open_tcp_stream("127.0.0.1", port)
            stream = TLSStream(transport, engine.client_config, server_hostname=SERVER_NAME)
            await stream.send_all(b"bye")
            await trio.testing.wait_all_tasks_blocked()
            reset(transport)
        resets.set()
        await trio.testing.wait_all_tasks_blocked()
        await assert_echoes(engine, port)
        await trio.testing.wait_all_tasks_blocked()
    assert closed == RESETS + 3
    assert len(failed) == len(caplog.records)


def client_hello(engine: Engine, name: str = SERVER_NAME) -> bytes:
    """The first flight of an honest client."""
    transport, _ = trio.testing.memory_stream_pair()
    stream = engine.client(transport, server_hostname=name)
    connection = stream._engine  # pyright: ignore[reportPrivateUsage]
    connection.do_handshake()
    return connection.data_to_send()
