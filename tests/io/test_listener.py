"""Servers over TCP: each handshake runs in its own task, and no error ends the accept loop."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn, cast

import pytest
import trio
import trio.testing
from early_data_scenarios import EARLY
from early_data_streams import EarlyDataStreams
from tls_pairs import SERVER_NAME, Engine, stays_blocked

from trio_tlsx.errors import CertificateError, ConfigError
from trio_tlsx.io.listener import (
    TLSListener,
    handshake_first,
    open_tls_over_tcp_listeners,
    open_tls_over_tcp_stream,
    serve_tls_over_tcp,
)
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.testing import CA

TCPStream = TLSStream[trio.SocketStream]


async def echo(stream: TCPStream) -> None:
    async with stream:
        async for chunk in stream:
            await stream.send_all(chunk)


@asynccontextmanager
async def serving(
    engine: Engine, handler: Callable[[TCPStream], Any] = echo, **options: Any
) -> AsyncGenerator[int, None]:
    """A server; gives its port."""
    async with trio.open_nursery() as nursery:
        serve = partial(
            serve_tls_over_tcp, handler, 0, engine.server_config, host="127.0.0.1", **options
        )
        [listener] = await nursery.start(serve)
        yield listener.port
        nursery.cancel_scope.cancel()


async def connect(engine: Engine, port: int) -> TCPStream:
    transport = await trio.open_tcp_stream("127.0.0.1", port)
    return TLSStream(transport, engine.client_config, server_hostname=SERVER_NAME)


async def assert_echoes(engine: Engine, port: int) -> None:
    async with await connect(engine, port) as stream:
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"
        await stream.send_eof()
        assert await stream.receive_some() == b""


async def test_serve_tls_over_tcp(engine: Engine) -> None:
    async with serving(engine) as port, trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(assert_echoes, engine, port)


async def send_and_wait(port: int, data: bytes) -> bytes:
    """What a server answers to ``data`` before it closes."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(data)
        answer = bytearray()
        async for chunk in stream:
            answer += chunk
        return bytes(answer)


async def test_peer_without_tls_is_logged_in_one_line(
    native: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(native) as port:
        answer = await send_and_wait(port, b"GET / HTTP/1.1\r\n\r\n")
        assert answer[:1] == b"\x15", "an alert"
        await assert_echoes(native, port)
    [record] = [record for record in caplog.records if record.name == "trio_tlsx"]
    line = record.getMessage()
    assert record.levelno == logging.WARNING
    assert "\n" not in line
    assert "127.0.0.1:" in line
    assert "we sent the alert" in line
    assert "HTTP" in line
    assert record.exc_info is None


async def test_logged_input_of_a_peer_is_bounded(
    native: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    protocols = ["\x01" * 100 + f" protocol {number}" for number in range(500)]
    engine = native.with_client(alpn_protocols=protocols).with_server(alpn_protocols=["h2"])
    async with serving(engine) as port:
        client = await connect(engine, port)
        with pytest.raises(trio.BrokenResourceError):
            await client.do_handshake()
        await trio.aclose_forcefully(client)
    [line] = [r.getMessage() for r in caplog.records if r.name == "trio_tlsx"]
    assert "offers the ALPN protocols" in line
    assert line.endswith("...")
    assert len(line) < 700


async def test_peer_without_tls_over_openssl_is_logged(
    openssl: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(openssl) as port:
        await send_and_wait(port, b"GET / HTTP/1.1\r\n\r\n")
        await assert_echoes(openssl, port)
    [record] = [record for record in caplog.records if record.name == "trio_tlsx"]
    assert "127.0.0.1:" in record.getMessage()
    assert "http request" in record.getMessage()


async def test_client_that_rejects_the_certificate_is_logged(
    native: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(native) as port:
        transport = await trio.open_tcp_stream("127.0.0.1", port)
        async with native.with_client(trust=CA().trust).client(transport) as stream:
            with pytest.raises(trio.BrokenResourceError) as caught:
                await stream.do_handshake()
            assert isinstance(caught.value.__cause__, CertificateError)
        await assert_echoes(native, port)
    [line] = [r.getMessage() for r in caplog.records if r.name == "trio_tlsx"]
    assert "the peer sent the alert unknown_ca" in line


async def test_silent_client_is_timed_out(
    native: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(native, handshake_timeout=0.1) as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as silent:
            await assert_echoes(native, port)
            answer = bytearray()
            with trio.fail_after(5):
                async for chunk in silent:
                    answer += chunk
        # user_canceled and close_notify, in the clear
        assert answer == b"\x15\x03\x03\0\x02\x01\x5a" + b"\x15\x03\x03\0\x02\x01\x00"
    [line] = [r.getMessage() for r in caplog.records if r.name == "trio_tlsx"]
    assert "not complete within 0.1 seconds" in line


async def test_clients_that_disconnect_do_not_end_the_server(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(engine) as port:
        for say in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            if say:
                await stream.send_all(say)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await stream.aclose()  # with a reset
        await assert_echoes(engine, port)
        await trio.testing.wait_all_tasks_blocked()
    assert len([r for r in caplog.records if r.name == "trio_tlsx"]) == 3


async def test_exhausted_descriptors_do_not_end_the_server(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    accept = trio.SocketListener.accept
    failures = [errno.EMFILE, errno.ENFILE]

    async def failing_accept(self: trio.SocketListener) -> trio.SocketStream:
        stream = await accept(self)
        if failures:
            await stream.aclose()
            raise OSError(failures.pop(), "no descriptors")
        return stream

    monkeypatch.setattr(trio.SocketListener, "accept", failing_accept)
    async with serving(engine) as port:
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError):
                await assert_echoes(engine, port)
        await assert_echoes(engine, port)
    assert not failures
    assert sum(record.name == "trio.serve_listeners" for record in caplog.records) == 2


async def test_error_of_a_handler_is_raised(native: Engine) -> None:
    async def handler(stream: TCPStream) -> None:
        raise KeyError("of the handler")

    with trio.fail_after(5), pytest.RaisesGroup(KeyError, flatten_subgroups=True):
        async with serving(native, handler) as port, await connect(native, port) as stream:
            await stream.do_handshake()
            await trio.sleep_forever()


async def test_handler_nursery(native: Engine) -> None:
    async with trio.open_nursery() as handlers:
        async with serving(native, handler_nursery=handlers) as port:
            stream = await connect(native, port)
            await stream.send_all(b"x")
            assert await stream.receive_some() == b"x"
        await stream.send_all(b"y")  # the server has ended, its handlers have not
        assert await stream.receive_some() == b"y"
        await stream.aclose()


async def test_tls_listener(engine: Engine) -> None:
    listeners = await open_tls_over_tcp_listeners(0, engine.server_config, host="127.0.0.1")
    [listener] = listeners
    tcp_listener = listener.transport_listener
    assert isinstance(tcp_listener, trio.SocketListener)
    assert await stays_blocked(listener.accept)
    port = tcp_listener.socket.getsockname()[1]
    async with await connect(engine, port) as client:
        server = await listener.accept()
        assert server.server_side
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            nursery.start_soon(server.do_handshake)
        await server.aclose()
    await listener.aclose()
    assert tcp_listener.socket.fileno() == -1
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()


async def test_handshake_first_over_memory(
    native: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    plain, transport = trio.testing.memory_stream_pair()
    handled = False

    async def handler(stream: TLSStream[Any]) -> None:
        nonlocal handled
        handled = True

    await plain.send_all(b"not TLS at all")
    await handshake_first(handler)(native.server(transport))
    assert not handled
    [line] = [r.getMessage() for r in caplog.records if r.name == "trio_tlsx"]
    assert "StapledStream" in line


async def test_open_tls_over_tcp_stream(engine: Engine, openssl: Engine) -> None:
    async with serving(engine) as port:
        stream = await open_tls_over_tcp_stream("127.0.0.1", port, config=engine.client_config)
        with pytest.raises(trio.BrokenResourceError, match=r"127\.0\.0\.1"):
            await stream.do_handshake()
        await stream.aclose()
        context = openssl.client_config
        assert isinstance(context, ssl.SSLContext)
        with pytest.raises(TypeError, match="two names"):
            await open_tls_over_tcp_stream(
                "127.0.0.1", port, config=engine.client_config, ssl_context=context
            )


async def test_connecting_by_name(native: Engine, ca: CA) -> None:
    by_name = native.with_server(credentials=ca.issue("localhost"))
    async with serving(by_name) as port:
        for host in ("localhost", b"localhost"):
            async with await open_tls_over_tcp_stream(
                host, port, config=by_name.client_config
            ) as stream:
                await stream.send_all(b"x")
                assert await stream.receive_some() == b"x"
                assert stream.negotiated.server_name == "localhost"


async def test_connecting_by_address_to_a_server_with_a_name(engine: Engine) -> None:
    async with (
        serving(engine) as port,
        await open_tls_over_tcp_stream(
            "127.0.0.1",
            port,
            config=engine.client_config,
            server_hostname=SERVER_NAME,
            local_address="127.0.0.2",
        ) as stream,
    ):
        await stream.send_all(b"x")
        assert await stream.receive_some() == b"x"
        match stream.local_address:
            case (str(host), *_):
                assert host == "127.0.0.2"
            case _:
                pytest.fail("it has no address")


async def test_connecting_with_a_handshake_timeout(
    engine: Engine, autojump_clock: trio.testing.MockClock
) -> None:
    [silent] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with silent:
        stream = await open_tls_over_tcp_stream(
            "127.0.0.1",
            silent.socket.getsockname()[1],
            config=engine.client_config,
            handshake_timeout=5,
        )
        with pytest.raises(trio.BrokenResourceError, match="within 5 seconds"):
            await stream.do_handshake()
        await trio.aclose_forcefully(stream)


async def test_connecting_with_early_data_that_is_sent_again(ca: CA) -> None:
    early = EarlyDataStreams(ca)
    engine = Engine("native", early.client, replace(early.server, max_early_data_size=0))
    async with (
        serving(engine) as port,
        await open_tls_over_tcp_stream(
            "127.0.0.1",
            port,
            config=early.client,
            server_hostname=SERVER_NAME,
            early_data=EARLY,
            resend_early_data=True,
        ) as stream,
    ):
        assert await stream.receive_some() == EARLY
        assert not stream.negotiated.early_data_accepted


async def test_delay_between_the_attempts_to_connect(
    native: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []

    def connect(*_: Any, happy_eyeballs_delay: float, **__: Any) -> NoReturn:
        delays.append(happy_eyeballs_delay)
        raise OSError("unreachable")

    monkeypatch.setattr(trio, "open_tcp_stream", connect)
    with pytest.raises(OSError, match="unreachable"):
        await open_tls_over_tcp_stream(
            "test.example", 443, config=native.client_config, happy_eyeballs_delay=7
        )
    assert delays == [7]


async def test_impossible_host_name_is_rejected_before_connecting(
    native: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("it connected")

    monkeypatch.setattr(trio, "open_tcp_stream", connect)
    for host in ("0177.0.0.1", b"\xff"):
        with pytest.raises(ConfigError, match=r"neither a DNS name nor|is no host name"):
            await open_tls_over_tcp_stream(host, 443, config=native.client_config)
    with pytest.raises(TypeError, match="not object"):
        await open_tls_over_tcp_stream("x", 443, config=cast(Any, object()))


async def test_listener_rejects_a_client_configuration(native: Engine) -> None:
    async def refuse(error: type[Exception], config: Any) -> None:
        with pytest.raises(error):
            await open_tls_over_tcp_listeners(0, config, host="127.0.0.1")
        [tcp_listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with tcp_listener:
            with pytest.raises(error):
                TLSListener(tcp_listener, config)

    await refuse(ConfigError, native.client_config)
    await refuse(TypeError, None)


async def test_listener_closes_a_connection_that_cannot_be_wrapped(
    openssl: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    [listener] = await open_tls_over_tcp_listeners(0, openssl.server_config, host="127.0.0.1")

    def fail(*_: Any, **__: Any) -> NoReturn:
        raise MemoryError

    async with listener, await trio.open_tcp_stream("127.0.0.1", listener.port) as plain:
        monkeypatch.setattr(ssl.SSLContext, "wrap_bio", fail)
        with pytest.raises(MemoryError):
            await listener.accept()
        with trio.fail_after(5):
            assert await plain.receive_some() == b""
