"""Early data (0-RTT) through the stream: its methods, replays and cancellation."""

from __future__ import annotations

import datetime
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest
import trio
import trio.testing
from early_data_streams import (
    EARLY,
    LATER,
    EarlyDataStreams,
    at_once,
    receive_early,
    receive_exactly,
)
from tls_pairs import (
    LOCKSTEP,
    MEMORY,
    SERVER_NAME,
    SOCKET,
    UNIX,
    AnyStream,
    Engine,
    Transports,
)

from trio_tlsx import (
    ConfigError,
    ServerConfig,
    TicketKeys,
    TLSListener,
    TLSStream,
    handshake_first,
    open_tls_over_tcp_stream,
    serve_tls_over_tcp,
)
from trio_tlsx.errors import HandshakeShutdown, Truncated
from trio_tlsx.testing import CA

OVER = pytest.mark.parametrize("over", [MEMORY, LOCKSTEP, SOCKET], ids=lambda over: over.name)


@pytest.fixture
def scenario(ca: CA) -> EarlyDataStreams:
    return EarlyDataStreams(ca)


@OVER
@pytest.mark.parametrize("max_bytes", [None, 5, 1000])
async def test_early_data_is_received_before_the_rest(
    scenario: EarlyDataStreams, over: Transports, max_bytes: int | None
) -> None:
    async with scenario.pair(over) as (client, server):

        async def call() -> None:
            await client.send_all(LATER)
            assert client.negotiated.early_data_accepted
            assert await client.receive_some() == b"answer"

        async def answer() -> None:
            assert await receive_early(server, max_bytes) == EARLY
            assert server.negotiated.early_data_accepted
            assert await server.receive_replayable_early_data() == b""
            assert await server.receive_some() == LATER
            await server.send_all(b"answer")

        await at_once(call, answer)


@OVER
@pytest.mark.parametrize("max_bytes", [None, 5])
async def test_one_method_receives_all_data_and_marks_what_is_early(
    scenario: EarlyDataStreams, over: Transports, max_bytes: int | None
) -> None:
    async with scenario.pair(over) as (client, server):

        async def call() -> None:
            await client.send_all(LATER)
            await client.send_eof()

        async def answer() -> None:
            received = {True: b"", False: b""}
            while True:
                data, early = await server.receive_some_or_replayable_early_data(max_bytes)
                if not data:
                    break
                assert early or received[True] == EARLY
                received[early] += data
            assert received == {True: EARLY, False: LATER}
            assert not early

        await at_once(call, answer)


async def test_early_data_is_received_before_the_handshake_is_complete(
    scenario: EarlyDataStreams,
) -> None:
    async with scenario.pair(MEMORY) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            assert await server.receive_replayable_early_data() == EARLY
            with pytest.raises(trio.NeedHandshakeError):
                _ = server.negotiated
            assert await server.receive_replayable_early_data() == b""
        assert server.negotiated.early_data_accepted


@OVER
@pytest.mark.parametrize("resend", [False, True])
async def test_early_data_is_not_accepted_unless_asked_for(
    scenario: EarlyDataStreams, over: Transports, resend: bool
) -> None:
    async with scenario.pair(over, resend_early_data=resend) as (client, server):

        async def call() -> None:
            await client.send_all(LATER)
            assert client.negotiated.resumed
            assert not client.negotiated.early_data_accepted

        async def answer() -> None:
            received = b""
            expected = EARLY + LATER if resend else LATER
            while len(received) < len(expected):
                received += await server.receive_some()
            assert received == expected
            assert await server.receive_replayable_early_data() == b""

        await at_once(call, answer)


@pytest.mark.parametrize("over", [MEMORY, SOCKET], ids=lambda over: over.name)
async def test_early_data_is_answered_before_the_handshake_is_complete(
    scenario: EarlyDataStreams, over: Transports
) -> None:
    answered = trio.Event()

    async def call(client: AnyStream) -> None:
        assert await client.receive_some() == b"answer"
        answered.set()
        await client.send_all(LATER)
        assert await client.receive_some() == b"and another"

    def exported(stream: AnyStream) -> bytes:
        return stream.export_early_keying_material("EXPERIMENTAL test", 32)

    async def answer(server: AnyStream) -> None:
        with pytest.raises(RuntimeError, match="early data"):
            exported(server)
        assert await server.receive_replayable_early_data() == EARLY
        assert exported(server) == exported(client)
        await server.answer_early_data(b"answer")
        with pytest.raises(trio.NeedHandshakeError):
            _ = server.negotiated
        await answered.wait()
        assert await receive_early(server) == b""
        assert server.negotiated.early_data_accepted
        assert await server.receive_some() == LATER
        await server.answer_early_data(b"and another")

    async with scenario.pair(over) as (client, server):
        await at_once(partial(call, client), partial(answer, server))


@pytest.mark.parametrize("over", [LOCKSTEP, UNIX], ids=lambda over: over.name)
async def test_early_data_receiver_does_not_wait_for_its_answer(
    scenario: EarlyDataStreams, over: Transports
) -> None:
    """The client sends all that it has to say before it reads any of it."""
    much = bytes(2**21)

    async def call(client: AnyStream) -> None:
        await client.send_all(much)
        assert len(await receive_exactly(client, len(much))) == len(much)

    async def serve(server: AnyStream) -> None:
        assert await server.receive_replayable_early_data() == EARLY
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.answer_early_data, much)
            await trio.testing.wait_all_tasks_blocked()
            assert await receive_early(server) == b""
            assert len(await receive_exactly(server, len(much))) == len(much)

    async with scenario.pair(over) as (client, server):
        with trio.fail_after(10):
            await at_once(partial(call, client), partial(serve, server))


@pytest.mark.parametrize("asked", [False, True])
async def test_rejected_early_data_is_answered_after_the_handshake(
    scenario: EarlyDataStreams, asked: bool
) -> None:
    scenario.server = replace(scenario.server, max_early_data_size=0, anti_replay_cache=None)

    async def answer(server: AnyStream) -> None:
        if asked:
            assert await server.receive_replayable_early_data() == b""
        await server.answer_early_data(b"answer")
        assert not server.negotiated.early_data_accepted

    async def call(client: AnyStream) -> None:
        assert await client.receive_some() == b"answer"

    async with scenario.pair(MEMORY) as (client, server):
        await at_once(partial(call, client), partial(answer, server))


async def test_unread_early_data_is_never_delivered_as_other_data(
    scenario: EarlyDataStreams,
) -> None:
    async with scenario.pair(MEMORY) as (client, server):

        async def answer() -> None:
            assert await server.receive_replayable_early_data(3) == EARLY[:3]
            assert await server.receive_some() == LATER
            assert await server.receive_replayable_early_data() == EARLY[3:]
            assert await server.receive_replayable_early_data() == b""

        await at_once(lambda: client.send_all(LATER), answer)


async def test_early_data_without_a_session(scenario: EarlyDataStreams) -> None:
    scenario.session_store.sessions.clear()
    async with scenario.pair(MEMORY) as (client, server):

        async def answer() -> None:
            assert await receive_early(server) == b""

        await at_once(client.do_handshake, answer)
        assert not client.negotiated.early_data_accepted


async def test_early_data_over_openssl_is_empty(native: Engine, openssl: Engine) -> None:
    transports = await MEMORY.connect()
    client, server = native.client(transports[0]), openssl.server(transports[1])

    async def answer() -> None:
        assert await receive_early(server) == b""

    await at_once(client.do_handshake, answer)
    with pytest.raises(ConfigError, match="early_data"):
        openssl.client(transports[0], early_data=b"x")
    with pytest.raises(ConfigError, match="early_data"):
        native.server(transports[1], early_data=b"x")


async def test_early_data_on_a_client_is_empty(scenario: EarlyDataStreams) -> None:
    async with scenario.pair(MEMORY) as (client, server):

        async def receive() -> None:
            assert await receive_early(client) == b""

        await at_once(receive, server.do_handshake)


@pytest.mark.parametrize("max_bytes", [0, -1])
async def test_early_data_max_bytes_of_zero_is_rejected(
    scenario: EarlyDataStreams, max_bytes: int
) -> None:
    async with scenario.pair(MEMORY) as (_, server):
        with pytest.raises(ValueError, match="max_bytes"):
            await server.receive_replayable_early_data(max_bytes)


async def test_early_data_is_received_by_one_task(scenario: EarlyDataStreams) -> None:
    async with scenario.pair(MEMORY) as (_, server), trio.open_nursery() as nursery:
        nursery.start_soon(server.receive_replayable_early_data)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await server.receive_replayable_early_data()
        with pytest.raises(trio.BusyResourceError):
            await server.receive_some()
        nursery.cancel_scope.cancel()


async def test_early_data_methods_are_checkpoints(scenario: EarlyDataStreams) -> None:
    async with scenario.pair(MEMORY) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            assert await server.receive_replayable_early_data(1) == EARLY[:1]
            with trio.testing.assert_checkpoints():
                assert await server.receive_replayable_early_data(1) == EARLY[1:2]
            assert await receive_early(server) == EARLY[2:]
            with trio.testing.assert_checkpoints():
                assert await server.receive_replayable_early_data() == b""
        await client.aclose()
        await server.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await server.receive_replayable_early_data()


async def test_early_data_of_a_client_that_breaks_off(scenario: EarlyDataStreams) -> None:
    async with scenario.pair(MEMORY) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            assert await server.receive_replayable_early_data() == EARLY
            nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(client)
        with pytest.raises(trio.BrokenResourceError) as broken:
            await server.receive_replayable_early_data()
        assert isinstance(broken.value.__cause__, HandshakeShutdown | Truncated)


# Replays


async def sent_again(flight: bytes, times: int, configs: list[ServerConfig]) -> int:
    """How often servers over TCP take early data that comes so often to each of them, at once."""
    taken: list[bytes] = []
    under_way, all_over = times * len(configs), trio.Event()

    async def handle(stream: TLSStream[trio.SocketStream]) -> None:
        nonlocal under_way
        with suppress(trio.BrokenResourceError):  # nobody completes these handshakes
            async with stream:
                while data := await stream.receive_replayable_early_data():
                    taken.append(data)
        under_way -= 1
        if not under_way:
            all_over.set()

    async def replay(port: int) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as attacker:
            await attacker.send_all(flight)
            assert await attacker.receive_some()

    async with trio.open_nursery() as servers:
        ports: list[int] = []
        for config in configs:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            ports.append(listeners[0].socket.getsockname()[1])
            tls = [TLSListener(listener, config) for listener in listeners]
            servers.start_soon(trio.serve_listeners, handle, tls)
        async with trio.open_nursery() as attackers:
            for port in ports * times:
                attackers.start_soon(replay, port)
        await all_over.wait()
        servers.cancel_scope.cancel()
    return taken.count(EARLY) if set(taken) <= {EARLY} else -1


async def test_concurrently_replayed_early_data_is_accepted_once(
    scenario: EarlyDataStreams,
) -> None:
    assert await sent_again(scenario.recorded(), 100, [scenario.server]) == 1


async def test_concurrently_replayed_early_data_to_two_servers_is_accepted_once(
    scenario: EarlyDataStreams,
) -> None:
    class Shared:
        """A cache that is asked over some network."""

        def __init__(self) -> None:
            self._known: set[bytes] = set()

        async def claim(
            self, identifier: bytes, since: datetime.datetime, until: datetime.datetime
        ) -> bool:
            await trio.lowlevel.checkpoint()
            first = identifier not in self._known
            self._known.add(identifier)
            await trio.lowlevel.checkpoint()
            return first

    cache = Shared()
    servers = [
        replace(scenario.server, ticket_keys=TicketKeys([bytes(32)]), anti_replay_cache=cache)
        for _ in range(2)
    ]
    assert await sent_again(scenario.recorded(), 50, servers) == 1


@pytest.mark.parametrize("fault", ["raises", "hangs"])
async def test_anti_replay_cache_that_cannot_answer(
    scenario: EarlyDataStreams, fault: str, autojump_clock: trio.testing.MockClock
) -> None:
    """It is not waited for any longer than a second, and nothing is taken without it."""

    class Faulty:
        async def claim(
            self, identifier: bytes, since: datetime.datetime, until: datetime.datetime
        ) -> bool:
            if fault == "hangs":
                await trio.sleep_forever()
            raise OSError("no connection")

    scenario.server = replace(scenario.server, anti_replay_cache=Faulty())
    async with scenario.pair(MEMORY) as (client, server):

        async def answer() -> None:
            assert await receive_early(server) == b""
            assert await server.receive_some() == LATER

        before = trio.current_time()
        await at_once(lambda: client.send_all(LATER), answer)
        assert trio.current_time() - before == (1 if fault == "hangs" else 0)
        assert client.negotiated.resumed
        assert not client.negotiated.early_data_accepted


# Listeners


async def test_early_data_with_serve_tls_over_tcp(scenario: EarlyDataStreams) -> None:
    received: list[bytes] = []

    async def handle(stream: TLSStream[trio.SocketStream]) -> None:
        received.append(await receive_early(stream))
        await stream.send_all(b"answer")
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        for early, expected in [(False, b""), (True, EARLY)]:
            serve = partial(
                serve_tls_over_tcp,
                handle,
                0,
                scenario.server,
                host="127.0.0.1",
                replayable_early_data=early,
            )
            [listener] = await nursery.start(serve)
            port = listener.port
            transport = await trio.open_tcp_stream("127.0.0.1", port)
            client = TLSStream(
                transport, scenario.client, server_hostname=SERVER_NAME, early_data=EARLY
            )
            async with client:
                assert await client.receive_some() == b"answer"
                assert client.negotiated.early_data_accepted == early
            assert received.pop() == expected
        nursery.cancel_scope.cancel()


async def test_early_data_handler_before_the_handshake_is_complete(
    scenario: EarlyDataStreams,
) -> None:
    async with scenario.pair(MEMORY) as (client, server):
        seen: list[bytes] = []

        async def handle(stream: AnyStream) -> None:
            seen.append(await receive_early(stream))

        handler = handshake_first(handle, replayable_early_data=True)
        await at_once(client.do_handshake, lambda: handler(server))
        assert seen == [EARLY]


async def test_early_data_of_a_client_over_tcp_is_checked_first() -> None:
    with pytest.raises(ConfigError, match="131072"):
        await open_tls_over_tcp_stream("test.example", 1, early_data=bytes(2**17 + 1))
