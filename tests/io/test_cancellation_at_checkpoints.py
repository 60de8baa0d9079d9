"""Every method of a stream, cancelled at each of its checkpoints, and its state afterwards.

Each attempt starts with a new connection. The first attempt cancels before the method has yielded,
the next one after it has yielded once, and so on, until a call completes. So the tests find out
themselves how often a method yields. Only the kernel's segments of a TCP stream differ between
runs.
"""

from __future__ import annotations

import inspect
import random
import ssl
from contextlib import suppress

import pytest
import trio
from checkpoints import Cut, cut_everywhere, goes_on
from tls_pairs import AnyStream, Engine, Transports, connected, paired

from trio_tlsx.errors import AlertDescription, AlertReceived, HandshakeShutdown, Truncated
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.sessions.client import MemorySessionStore, Session

HELLO = b"hello from the peer"
DATA = random.Random(3).randbytes(300_000)

Pair = tuple[AnyStream, AnyStream]


class Peer:
    """The other side: it says hello, then listens to the end."""

    def __init__(self, stream: AnyStream) -> None:
        self.stream = stream
        self.received = b""
        self.error: trio.BrokenResourceError | None = None
        self.close_notify = False

    async def run(self) -> None:
        try:
            await self.stream.send_all(HELLO)
        except trio.BrokenResourceError as error:
            self.error = error
        await self.listen()

    async def listen(self) -> None:
        try:
            async for chunk in self.stream:
                self.received += chunk
            self.close_notify = True
        except trio.BrokenResourceError as error:
            self.error = self.error or error
        await self.stream.aclose()

    def assert_truncated(self) -> None:
        """It was not told that this is the end."""
        assert not self.close_notify
        assert self.error is not None
        assert isinstance(self.error.__cause__, Truncated | ssl.SSLEOFError)


def assert_closed(stream: AnyStream) -> None:
    if isinstance(stream.transport_stream, trio.SocketStream):
        assert stream.transport_stream.socket.fileno() == -1


@pytest.fixture(params=[0, 1], ids=["client", "server"])
def role(request: pytest.FixtureRequest) -> int:
    """The side that is cancelled."""
    return request.param


async def send_hello(stream: AnyStream) -> None:
    await stream.send_all(b"hello")


def test_every_method_has_a_cancellation_test() -> None:
    """None is added without being cancelled here."""
    public = {
        name
        for name in dir(TLSStream)
        if not name.startswith("_") and inspect.iscoroutinefunction(getattr(TLSStream, name))
    }
    assert public == {
        "aclose",
        "answer_early_data",  # in test_early_data_cancellation.py
        "do_handshake",
        "receive_replayable_early_data",  # in test_early_data_cancellation.py
        "receive_some",
        "receive_some_or_replayable_early_data",  # in test_early_data_cancellation.py
        "send_all",
        "send_eof",
        "send_session_tickets",  # in test_server_tickets.py
        "unwrap",
        "update_keys",
        "wait_send_all_might_not_block",
        "wait_session_ticket",
    }


@pytest.mark.parametrize("method", ["do_handshake", "receive_some", "send_all", "send_eof"])
async def test_cancelled_handshake_at_each_checkpoint(
    engine: Engine, transports: Transports, role: int, method: str
) -> None:
    """Cut in the handshake, a stream is usable, or broken, and then the peer was told."""
    told: list[BaseException | None] = []

    async def attempt(cut: Cut) -> None:
        async with paired(engine, transports) as pair:
            subject, peer = pair[role], Peer(pair[1 - role])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.run)
                if method == "send_all":
                    await cut(lambda: send_hello(subject))
                else:
                    await cut(getattr(subject, method))
                usable = await goes_on(subject.do_handshake)
                assert usable or cut.caught
                await subject.aclose()
            assert_closed(subject)
            assert not cut.caught or method == "send_all" or not peer.received
            if usable:
                # It was cut after the handshake, or before it began.
                assert peer.close_notify or method in ("send_all", "send_eof")
                assert peer.close_notify or not transports.is_socket or method == "send_all"
            else:
                assert peer.error is not None
                assert not peer.close_notify
                told.append(peer.error.__cause__)

    await cut_everywhere(attempt)
    assert told
    # A side whose Finished has left sends internal_error; in TLS 1.2 that can be a client too.
    has_finished = role == 1 or engine.version == "TLSv1.2"
    orderly = HandshakeShutdown | AlertReceived if has_finished else HandshakeShutdown
    refusals = [cause for cause in told if isinstance(cause, orderly)]
    if transports.is_socket:
        assert all(isinstance(cause, ssl.SSLError) for cause in told) or refusals == told
    if not engine.is_openssl:
        # In memory nothing can be sent behind a send that was cut: some see a mere end.
        alerts = {refusal.alert for refusal in refusals}
        assert {AlertDescription.close_notify, AlertDescription.internal_error} & alerts
        assert not transports.is_socket or None not in alerts


async def test_cancelled_receive_some_at_each_checkpoint(
    engine: Engine, transports: Transports, role: int
) -> None:
    """Nothing is lost."""

    async def attempt(cut: Cut) -> None:
        async with connected(engine, transports) as pair, trio.open_nursery() as nursery:
            subject, peer = pair[role], Peer(pair[1 - role])
            received = b""

            async def receive() -> None:
                nonlocal received
                received += await subject.receive_some(5)

            nursery.start_soon(peer.run)
            await cut(receive)
            while len(received) < len(HELLO):
                await receive()
            assert received == HELLO
            await subject.send_all(b"and the other direction works")
            await subject.aclose()
        assert peer.received == b"and the other direction works"
        assert peer.close_notify
        assert_closed(subject)

    await cut_everywhere(attempt)


class ThoughtfulStore:
    """Yields before it does anything; what it was cut short in it has not done."""

    def __init__(self) -> None:
        self.sessions = MemorySessionStore()

    async def put(self, session: Session) -> None:
        await trio.lowlevel.checkpoint()
        self.sessions.put(session)

    async def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        await trio.lowlevel.checkpoint()
        return self.sessions.take(server_name, port, context)


async def test_cancelled_wait_session_ticket_at_each_checkpoint(
    native: Engine, transports: Transports
) -> None:
    """No ticket is lost, none is kept twice, and nor is the data behind them."""
    tickets = 2 if native.version == "TLSv1.3" else 1

    async def attempt(cut: Cut) -> None:
        store = ThoughtfulStore()
        engine = native.with_client(session_store=store, session_context=b"test")
        async with connected(engine, transports) as pair, trio.open_nursery() as nursery:
            subject, peer = pair[0], Peer(pair[1])
            nursery.start_soon(peer.run)
            await cut(subject.wait_session_ticket)
            session = await subject.wait_session_ticket()
            assert session is subject.session
            assert await subject.receive_some() == HELLO
            assert len(store.sessions) == tickets
            await subject.aclose()

    await cut_everywhere(attempt)


async def test_cancelled_send_all_at_each_checkpoint(
    engine: Engine, transports: Transports, role: int
) -> None:
    """No record is cut over a socket; over a stream sending is over; receiving always goes on."""

    async def attempt(cut: Cut) -> None:
        async with connected(engine, transports) as pair, trio.open_nursery() as nursery:
            subject, peer = pair[role], Peer(pair[1 - role])
            nursery.start_soon(peer.run)
            await cut(lambda: subject.send_all(DATA))
            sealed = subject.bytes_sealed
            assert await subject.receive_some() == HELLO
            begun = cut.caught and sealed > 0
            if transports.is_socket or not begun:
                await subject.send_all(DATA[sealed:])
            else:
                with pytest.raises(trio.BrokenResourceError, match="cancelled half way"):
                    await subject.send_all(DATA[sealed:])
            await subject.aclose()
        assert_closed(subject)
        if transports.is_socket or not begun:
            assert peer.received == DATA
        else:
            assert DATA.startswith(peer.received)
        if begun:
            peer.assert_truncated()
        else:
            assert peer.close_notify

    await cut_everywhere(attempt)


@pytest.mark.parametrize("method", ["send_eof", "update_keys", "wait_send_all_might_not_block"])
async def test_cancelled_methods_without_data_at_each_checkpoint(
    engine: Engine, transports: Transports, role: int, method: str
) -> None:
    """It can be called again; where it cannot, over a stream, that is said."""
    if method == "update_keys" and engine.name != "native":
        async with connected(engine, transports) as pair:
            with pytest.raises(RuntimeError, match="KeyUpdate"):
                await pair[role].update_keys()
        return

    async def attempt(cut: Cut) -> None:
        async with connected(engine, transports) as pair, trio.open_nursery() as nursery:
            subject, peer = pair[role], Peer(pair[1 - role])
            nursery.start_soon(peer.run)
            await cut(getattr(subject, method))
            broken = not await goes_on(getattr(subject, method))
            if not broken and method != "send_eof":
                await subject.send_all(DATA)
            if broken:
                assert cut.caught
                assert not transports.is_socket
                assert method != "wait_send_all_might_not_block"
            assert await subject.receive_some() == HELLO
            await subject.aclose()
        assert_closed(subject)
        assert peer.close_notify or broken
        assert broken or method == "send_eof" or peer.received == DATA

    await cut_everywhere(attempt)


async def test_cancelled_unwrap_at_each_checkpoint(
    engine: Engine, transports: Transports, role: int
) -> None:
    """It can be called again; over a stream, unless our own close_notify was cut."""

    async def attempt(cut: Cut) -> None:
        async with connected(engine, transports) as pair, trio.open_nursery() as nursery:
            subject, other = pair[role], pair[1 - role]
            below = subject.transport_stream
            ended = False

            async def answer() -> None:
                nonlocal ended
                with suppress(trio.BrokenResourceError):
                    ended = await other.receive_some() == b""
                    await other.unwrap()

            async def unwrap() -> None:
                assert await subject.unwrap() == (below, b"")

            nursery.start_soon(answer)
            await cut(unwrap)
            if cut.caught and not await goes_on(unwrap):
                assert not transports.is_socket
                await subject.aclose()
                return
            assert ended
            await below.aclose()

    await cut_everywhere(attempt)


async def test_cancelled_aclose_at_each_checkpoint(
    engine: Engine, transports: Transports, role: int
) -> None:
    """It always closes, and a peer that was not told so sees no clean end."""

    async def attempt(cut: Cut) -> None:
        async with connected(engine, transports) as pair, trio.open_nursery() as nursery:
            subject, peer = pair[role], Peer(pair[1 - role])
            nursery.start_soon(peer.listen)
            await cut(subject.aclose)
            assert_closed(subject)
            for method in (subject.receive_some, lambda: send_hello(subject), subject.unwrap):
                with pytest.raises(trio.ClosedResourceError):
                    await method()
        if not peer.close_notify:
            assert cut.caught
            peer.assert_truncated()

    await cut_everywhere(attempt)


async def test_cancelled_aclose_before_the_handshake_at_each_checkpoint(
    engine: Engine, transports: Transports, role: int
) -> None:
    async def attempt(cut: Cut) -> None:
        async with paired(engine, transports) as pair, trio.open_nursery() as nursery:
            subject, peer = pair[role], Peer(pair[1 - role])
            nursery.start_soon(peer.listen)
            await cut(subject.aclose)
            assert_closed(subject)
        assert peer.close_notify or cut.caught
        assert not peer.received

    await cut_everywhere(attempt)
