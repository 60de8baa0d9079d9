"""The handshake of a stream: which task runs it, its result, and its failures."""

from __future__ import annotations

import ssl
from typing import Any, NoReturn, cast

import pytest
import trio
import trio.testing
from tls_pairs import (
    LOCKSTEP,
    MEMORY,
    SERVER_NAME,
    SOCKET,
    AnyStream,
    Engine,
    Transports,
    cancel_when_blocked,
    close_both,
    connected,
    handshake,
    memory_of,
    memory_transports,
    paired,
)

from trio_tlsx.errors import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    ConfigError,
    HandshakeShutdown,
    ProtocolError,
)
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.sessions.client import MemorySessionStore
from trio_tlsx.testing import CA


async def test_stream_negotiated(engine: Engine, transports: Transports) -> None:
    async with paired(engine, transports) as (client, server), client, server:
        for stream in (client, server):
            with pytest.raises(trio.NeedHandshakeError):
                _ = stream.negotiated
        await handshake(client, server)
        assert client.negotiated.version == server.negotiated.version == engine.version
        assert client.negotiated.cipher_suite == server.negotiated.cipher_suite
        assert client.negotiated.server_name == SERVER_NAME
        assert client.negotiated.alpn_protocol is None
        assert client.negotiated.resumed == server.negotiated.resumed
        assert client.negotiated.peer_certificates
        assert not server.negotiated.peer_certificates
        assert server.server_side
        assert not client.server_side
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.aclose)
            nursery.start_soon(server.aclose)


async def test_handshake_awaited_by_many_tasks(engine: Engine, transports: Transports) -> None:
    async with paired(engine, transports) as (client, server):
        done: list[AnyStream] = []

        async def shake(stream: AnyStream) -> None:
            await stream.do_handshake()
            done.append(stream)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(shake, client)
                nursery.start_soon(shake, server)
            nursery.start_soon(client.send_all, b"x")
            assert await server.receive_some() == b"x"
        assert len(done) == 10
        with trio.testing.assert_checkpoints():
            await client.do_handshake()


@pytest.mark.parametrize("method", ["do_handshake", "receive_some"])
async def test_server_that_speaks_first(
    engine: Engine, transports: Transports, method: str
) -> None:
    """The client's Finished waits for no data: the server waits for it before it speaks."""
    async with paired(engine, transports) as (client, server):

        async def greet() -> None:
            await server.do_handshake()
            await server.send_all(b"hello")

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(greet)
                greeting = await getattr(client, method)()
            assert (greeting or await client.receive_some()) == b"hello"


@pytest.mark.parametrize("resumed", [False, True])
async def test_finished_leaves_with_the_data_of_the_first_send_all(
    engine: Engine, resumed: bool
) -> None:
    if not engine.is_openssl:
        engine = engine.with_client(session_store=MemorySessionStore(), session_context=b"test")
    if resumed:
        async with connected(engine, MEMORY) as (client, server):
            await server.send_all(b"and tickets")
            await client.receive_some()
    async with paired(engine, MEMORY) as (client, server):
        sent = 0
        memory = memory_of(client)[0]
        deliver = memory.send_all_hook
        assert deliver is not None

        async def count() -> None:
            nonlocal sent
            sent += 1
            await deliver()

        memory.send_all_hook = count
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, b"x")
            assert await server.receive_some() == b"x"
        # The ClientHello, and Finished with the data. In a full handshake of TLS 1.2 the server's
        # Finished is the last.
        assert sent == (3 if engine.version == "TLSv1.2" and not resumed else 2)


async def test_cancelled_handshake_is_taken_over_by_a_waiting_task(
    engine: Engine, transports: Transports
) -> None:
    async with paired(engine, transports) as (client, server):
        async with trio.open_nursery() as nursery:
            first = trio.CancelScope()
            finished: list[str] = []

            async def first_task() -> None:
                with first:
                    await client.do_handshake()

            async def other_task(name: str) -> None:
                await client.do_handshake()
                finished.append(name)

            nursery.start_soon(first_task)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(other_task, "second")
            nursery.start_soon(other_task, "third")
            await trio.testing.wait_all_tasks_blocked()
            first.cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert first.cancelled_caught
            assert not finished
            nursery.start_soon(server.do_handshake)
        assert sorted(finished) == ["second", "third"]


async def test_handshake_cancelled_before_it_sent_anything_can_restart(
    engine: Engine, transports: Transports
) -> None:
    async with paired(engine, transports) as (client, server):
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.do_handshake()
        assert scope.cancelled_caught
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.do_handshake)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        await handshake(client, server)


async def test_cancelled_handshake_is_a_handshake_shutdown_at_the_peer(native: Engine) -> None:
    async with paired(native, SOCKET) as (client, server):
        await cancel_when_blocked(client.do_handshake)
        with pytest.raises(trio.BrokenResourceError, match="cancelled half way"):
            await client.do_handshake()
        with pytest.raises(trio.BrokenResourceError, match="close_notify") as caught:
            await server.do_handshake()
        assert isinstance(caught.value.__cause__, HandshakeShutdown)
        assert caught.value.__cause__.alert is AlertDescription.close_notify
        await client.aclose()
        await server.aclose()


async def test_aclose_sends_the_alerts_of_a_cancelled_handshake(native: Engine) -> None:
    """In memory nothing can be sent without waiting, so the refusal waits for aclose()."""
    async with paired(native, MEMORY) as (client, server):
        await cancel_when_blocked(client.do_handshake)
        await client.aclose()
        with pytest.raises(trio.BrokenResourceError) as caught:
            await server.do_handshake()
        assert isinstance(caught.value.__cause__, HandshakeShutdown)
        assert caught.value.__cause__.alert is AlertDescription.close_notify


async def test_handshake_cancelled_in_the_middle_of_a_send(engine: Engine) -> None:
    async with paired(engine, LOCKSTEP) as (client, _server):
        await cancel_when_blocked(client.do_handshake)
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError, match="cancelled half way"):
                await client.do_handshake()
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"x")
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()
        await client.aclose()


async def test_handshake_timeout(native: Engine, autojump_clock: trio.testing.MockClock) -> None:
    async with paired(native, MEMORY, handshake_timeout=10) as (client, server):
        began = trio.current_time()
        with pytest.raises(trio.BrokenResourceError, match="within 10 seconds") as caught:
            await server.do_handshake()
        assert trio.current_time() - began == pytest.approx(10)
        assert isinstance(caught.value.__cause__, trio.TooSlowError)
        with pytest.raises(trio.BrokenResourceError):
            await server.receive_some()
        with pytest.raises(trio.BrokenResourceError) as refused:
            await client.do_handshake()
        assert isinstance(refused.value.__cause__, HandshakeShutdown)


async def refused_by_client(
    client: AnyStream, server: AnyStream
) -> tuple[trio.BrokenResourceError, trio.BrokenResourceError]:
    """Do a handshake that the client refuses; give the errors of both sides."""
    errors: dict[AnyStream, trio.BrokenResourceError] = {}

    async def shake(stream: AnyStream) -> None:
        try:
            await stream.do_handshake()
            await stream.receive_some()  # a server's first chance to see what the client refuses
        except trio.BrokenResourceError as error:
            errors[stream] = error

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shake, client)
            nursery.start_soon(shake, server)
        await close_both(client, server)
    return errors[client], errors[server]


async def test_alert_is_sent_before_the_exception_is_raised(
    native: Engine, transports: Transports
) -> None:
    """Without it the peer would wait for ever (trio issue 3413)."""
    client_transport, server_transport = await transports.connect()
    client = native.with_client(trust=CA().trust).client(client_transport)
    ours, theirs = await refused_by_client(client, native.server(server_transport))
    assert isinstance(ours.__cause__, CertificateError)
    assert str(ours) == str(ours.__cause__) != ""
    assert isinstance(theirs.__cause__, AlertReceived)
    assert theirs.__cause__.alert is ours.__cause__.alert is AlertDescription.unknown_ca


async def test_alert_of_openssl_is_sent(openssl: Engine, transports: Transports) -> None:
    client_transport, server_transport = await transports.connect()
    client = TLSStream(client_transport, ssl.create_default_context(), server_hostname=SERVER_NAME)
    ours, theirs = await refused_by_client(client, openssl.server(server_transport))
    assert isinstance(ours.__cause__, ssl.SSLCertVerificationError)
    assert isinstance(theirs.__cause__, ssl.SSLError)
    assert "UNKNOWN_CA" in str(theirs)


async def test_trios_own_stream_drops_the_alert(openssl: Engine) -> None:
    """What this library is measured against: trio issue 3413."""
    client_transport, server_transport = await memory_transports()
    client = trio.SSLStream(
        client_transport, ssl.create_default_context(), server_hostname=SERVER_NAME
    )
    server = openssl.server(server_transport)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.do_handshake)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await client.do_handshake()
        assert str(caught.value) == ""
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert nursery.cancel_scope.cancelled_caught, "the peer was told"


async def test_handshake_with_a_peer_without_tls(engine: Engine, transports: Transports) -> None:
    plain, transport = await transports.connect()
    server = engine.server(transport)
    await plain.send_all(b"GET / HTTP/1.1\r\nHost: test.example\r\n\r\n")
    with pytest.raises(trio.BrokenResourceError) as caught:
        await server.do_handshake()
    assert isinstance(caught.value.__cause__, ProtocolError | ssl.SSLError)
    assert "HTTP" in str(caught.value)
    async with plain, trio.open_nursery() as nursery:
        nursery.start_soon(server.aclose)
        async for _ in plain:
            pass


@pytest.mark.parametrize("https_compatible", [False, True])
async def test_eof_before_the_handshake(
    engine: Engine, transports: Transports, https_compatible: bool
) -> None:
    plain, transport = await transports.connect()
    server = engine.server(transport, https_compatible=https_compatible)
    await plain.aclose()
    if https_compatible:
        with trio.testing.assert_checkpoints():
            assert await server.receive_some() == b""
        assert await server.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError) as caught:
        await server.do_handshake()
    assert isinstance(caught.value.__cause__, HandshakeShutdown | ssl.SSLEOFError)
    with pytest.raises(trio.BrokenResourceError):
        await server.send_all(b"x")
    await server.aclose()


async def test_errors_of_the_transport_pass_through(engine: Engine) -> None:
    client_transport, _ = trio.testing.memory_stream_pair()

    async def fault() -> NoReturn:
        raise KeyError("of the transport")

    client_transport.send_stream.send_all_hook = fault
    client = engine.client(client_transport)
    with pytest.raises(KeyError), trio.testing.assert_checkpoints():
        await client.do_handshake()
    with pytest.raises(trio.BrokenResourceError):
        await client.do_handshake()


def test_role_and_server_hostname_must_match_the_configuration(
    native: Engine, openssl: Engine
) -> None:
    transport, _ = trio.testing.memory_stream_pair()
    with pytest.raises(ConfigError, match="server_hostname"):
        TLSStream(transport, native.client_config)
    with pytest.raises(ConfigError, match="server_side"):
        TLSStream(transport, native.client_config, server_hostname="x", server_side=True)
    with pytest.raises(ConfigError, match="server_side"):
        TLSStream(transport, native.server_config, server_side=False)
    with pytest.raises(ConfigError, match="for clients"):
        TLSStream(transport, native.server_config, server_hostname="x")
    with pytest.raises(ConfigError, match="bare host name"):
        TLSStream(transport, native.client_config, server_hostname="https://x")
    for engine in (native, openssl):
        with pytest.raises(ConfigError, match="not ASCII"):
            TLSStream(transport, engine.client_config, server_hostname=b"\xff")
    with pytest.raises(TypeError, match="not NoneType"):
        TLSStream(transport, cast(Any, None))
    with pytest.raises(ValueError, match="server_hostname"):
        TLSStream(transport, openssl.client_config)


async def test_aclose_of_an_unused_stream_handshakes_first(
    engine: Engine, transports: Transports
) -> None:
    async with paired(engine, transports) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(client.aclose)
        with trio.testing.assert_checkpoints():
            assert await server.receive_some() == b""
        await server.aclose()


async def test_aclose_during_a_handshake(engine: Engine, transports: Transports) -> None:
    async with paired(engine, transports) as (client, _server):

        async def expect_closed(stream: AnyStream) -> None:
            with pytest.raises(trio.ClosedResourceError):
                await stream.do_handshake()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_closed, client)
            nursery.start_soon(expect_closed, client)
            await trio.testing.wait_all_tasks_blocked()
            await trio.aclose_forcefully(client)


async def test_tls_in_tls(engine: Engine, native: Engine, transports: Transports) -> None:
    async with connected(native, transports) as outer:
        client, server = engine.pair(outer)
        await handshake(client, server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, bytes(300_000))
            received = 0
            while received < 300_000:
                received += len(await server.receive_some())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.aclose)
            assert await server.receive_some() == b""
            await server.aclose()
