"""The contract of :class:`trio_tlsx.contrib.anyio.TLSStream`, on asyncio and on trio."""

from __future__ import annotations

import ssl
from dataclasses import replace
from functools import partial

import anyio
import anyio.abc
import pytest
from anyio.streams.tls import TLSAttribute
from anyio_pairs import (
    Connect,
    client_over,
    connected,
    errors_of,
    handshake,
    lockstep,
    memory_of,
    on_each_backend,
    paired,
    receive_end,
    receive_exactly,
    server_over,
    sockets,
    together,
    with_each_transport,
)
from tls_pairs import Engine

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.contrib.anyio import ConnectionAttribute
from trio_tlsx.errors import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    ConfigError,
    ProtocolError,
    Truncated,
)
from trio_tlsx.testing import CA

MUCH = bytes(range(256)) * 2**12  # 1 MiB


def alert_in(error: Exception | None) -> AlertDescription | None:
    """The alert that a stream has received, by the error that it raised."""
    assert isinstance(error, anyio.BrokenResourceError)
    assert isinstance(error.__cause__, AlertReceived)
    return error.__cause__.alert


@with_each_transport
@on_each_backend
async def test_first_method_does_the_handshake(engine: Engine, connect: Connect) -> None:
    async with paired(engine, connect) as (client, server):

        async def echo() -> None:
            async with server:
                async for data in server:
                    await server.send(data)

        async def speak() -> None:
            await client.send(b"ping")
            assert await client.receive() == b"ping"
            await client.aclose()

        await together(echo, speak)


@with_each_transport
@on_each_backend
async def test_much_data_both_ways_at_once(engine: Engine, connect: Connect) -> None:
    async with connected(engine, connect) as (client, server):
        received: list[bytes] = []

        async def receive(stream: anyio.abc.ByteStream) -> None:
            received.append(await receive_exactly(stream, len(MUCH)))

        await together(
            partial(client.send, MUCH),
            partial(server.send, MUCH),
            partial(receive, client),
            partial(receive, server),
        )
        assert received == [MUCH, MUCH]


@with_each_transport
@on_each_backend
async def test_close_notify_is_the_end_of_the_stream(engine: Engine, connect: Connect) -> None:
    async with connected(engine, connect) as (client, server):
        await server.send(b"last")
        await server.aclose()
        assert await client.receive() == b"last"
        for _ in range(2):
            await receive_end(client)


@with_each_transport
@on_each_backend
async def test_half_close_leaves_the_other_direction_open(
    engine: Engine, connect: Connect
) -> None:
    async with connected(engine, connect) as (client, server):
        for one, other in ((client, server), (server, client)):
            await one.send_eof()
            await receive_end(other)
            with pytest.raises(anyio.ClosedResourceError):
                await one.send(b"late")
            if one is client:
                await server.send(b"still here")
                assert await client.receive() == b"still here"
        await together(client.aclose, server.aclose)


@on_each_backend
async def test_missing_close_notify_breaks_the_connection(engine: Engine) -> None:
    async with connected(engine) as (client, server):
        await anyio.aclose_forcefully(memory_of(server))
        await errors_of(client.receive)
        with pytest.raises(anyio.BrokenResourceError) as caught:
            await client.receive()
        cause = caught.value.__cause__
        assert isinstance(cause, ssl.SSLEOFError if engine.is_openssl else Truncated)
        assert client.has_raised(caught.value)


@on_each_backend
async def test_not_standard_compatible_stream_takes_any_end(engine: Engine) -> None:
    async with connected(engine, standard_compatible=False) as (client, server):
        await server.send(b"data")
        await server.aclose()  # no close_notify
        assert await client.receive() == b"data"
        await receive_end(client)


@with_each_transport
@on_each_backend
async def test_connection_that_is_cut_in_the_handshake(native: Engine, connect: Connect) -> None:
    async with paired(native, connect) as (client, server):
        await server.transport_stream.aclose()
        with pytest.raises(anyio.BrokenResourceError):
            await client.do_handshake()
        with pytest.raises(anyio.BrokenResourceError):
            await client.send(b"data")


@with_each_transport
@on_each_backend
async def test_rejected_certificate(native: Engine, connect: Connect) -> None:
    stranger = replace(native, client_config=ClientConfig(trust=CA().trust))
    async with paired(stranger, connect) as (client, server):
        errors = await errors_of(client.do_handshake, server.do_handshake)
        assert isinstance(errors[0], anyio.BrokenResourceError)
        assert isinstance(errors[0].__cause__, CertificateError)
        assert alert_in(errors[1]) is AlertDescription.unknown_ca
        again = await errors_of(client.receive, server.receive)
        assert [str(error) for error in again] == [str(error) for error in errors]


@on_each_backend
async def test_rejected_client_certificate(native: Engine, ca: CA) -> None:
    config = native.server_config
    assert isinstance(config, ServerConfig)
    asking = replace(config, client_auth="required", client_trust=ca.trust)
    async with paired(replace(native, server_config=asking)) as (client, server):
        errors = await errors_of(client.receive, server.receive)
        refusals = AlertDescription.certificate_required, AlertDescription.handshake_failure
        assert alert_in(errors[0]) in refusals  # the second one in TLS 1.2


@on_each_backend
async def test_client_certificate_and_alpn(native: Engine, ca: CA) -> None:
    assert isinstance(native.client_config, ClientConfig)
    assert isinstance(native.server_config, ServerConfig)
    mutual = replace(
        native,
        client_config=replace(
            native.client_config, credentials=ca.issue("client.example"), alpn_protocols=["h2"]
        ),
        server_config=replace(
            native.server_config,
            client_auth="required",
            client_trust=ca.trust,
            alpn_protocols=["http/1.1", "h2"],
        ),
    )
    async with connected(mutual) as (client, server):
        certificate = server.extra(TLSAttribute.peer_certificate)
        assert certificate is not None
        assert certificate["subjectAltName"] == (("DNS", "client.example"),)
        for stream in (client, server):
            assert stream.extra(TLSAttribute.alpn_protocol) == "h2"


@on_each_backend
async def test_typed_attributes(engine: Engine) -> None:
    async with paired(engine) as (client, server):
        assert client.extra(TLSAttribute.server_side) is False
        assert server.extra(TLSAttribute.server_side) is True
        assert client.extra(TLSAttribute.standard_compatible) is True
        with pytest.raises(anyio.TypedAttributeLookupError):
            client.extra(TLSAttribute.tls_version)
        await handshake(client, server)
        version = client.negotiated.version
        assert client.extra(TLSAttribute.tls_version) == version
        assert client.extra(TLSAttribute.cipher)[1] == version
        assert client.extra(TLSAttribute.alpn_protocol) is None
        assert client.extra(TLSAttribute.shared_ciphers) is None
        assert client.extra(TLSAttribute.peer_certificate_binary)
        assert server.extra(TLSAttribute.shared_ciphers)
        assert server.extra(TLSAttribute.peer_certificate) is None
        assert client.extra(ConnectionAttribute.negotiated) == client.negotiated


@on_each_backend
async def test_attributes_of_an_ssl_object(native: Engine, openssl: Engine) -> None:
    of_openssl = [TLSAttribute.ssl_object, TLSAttribute.channel_binding_tls_unique]
    async with connected(openssl) as (client, _):
        assert isinstance(client.extra(TLSAttribute.ssl_object), ssl.SSLObject)
        client.extra(TLSAttribute.channel_binding_tls_unique)
    async with connected(native) as (client, _):
        for attribute in of_openssl:
            with pytest.raises(anyio.TypedAttributeLookupError):
                client.extra(attribute)


@on_each_backend
async def test_attributes_of_tls_below_are_hidden(native: Engine, openssl: Engine) -> None:
    async with connected(openssl) as (outer_client, outer_server):
        client = client_over(outer_client, native)
        server = server_over(outer_server, native)
        with pytest.raises(anyio.TypedAttributeLookupError):
            client.extra(TLSAttribute.tls_version)
        await handshake(client, server)
        await client.send(b"TLS in TLS")
        assert await server.receive() == b"TLS in TLS"
        assert client.extra(TLSAttribute.ssl_object, None) is None


@on_each_backend
async def test_attributes_of_the_socket_below(native: Engine) -> None:
    async with connected(native, sockets) as (client, _):
        assert client.extra(anyio.abc.SocketAttribute.raw_socket).fileno() >= 0


@on_each_backend
async def test_results_of_the_handshake_before_it_is_complete(native: Engine) -> None:
    async with paired(native) as (client, server):
        with pytest.raises(RuntimeError, match="do_handshake"):
            _ = client.negotiated
        with pytest.raises(RuntimeError, match="do_handshake"):
            client.export_keying_material("EXPERIMENTAL", 32)
        await handshake(client, server)
        material = [s.export_keying_material("EXPERIMENTAL", 32) for s in (client, server)]
        assert material[0] == material[1]


@on_each_backend
async def test_max_bytes(engine: Engine) -> None:
    async with connected(engine) as (client, server):
        await client.send(b"abcdef")
        assert [await server.receive(2) for _ in range(3)] == [b"ab", b"cd", b"ef"]
        with pytest.raises(ValueError, match="max_bytes"):
            await server.receive(0)


@on_each_backend
async def test_second_task_is_busy(engine: Engine) -> None:
    async with connected(engine) as (client, server):

        async def receive_again() -> None:
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(anyio.BusyResourceError, match="task is currently receiving"):
                await client.receive()
            await server.send(b"x")

        await together(client.receive, receive_again)


@on_each_backend
async def test_second_sender_is_busy(native: Engine) -> None:
    async with connected(native, lockstep) as (client, server):

        async def send_again() -> None:
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(anyio.BusyResourceError, match="task is currently sending"):
                await client.send(b"second")
            assert await server.receive() == b"first"

        await together(partial(client.send, b"first"), send_again)


@with_each_transport
@on_each_backend
async def test_closed_stream(engine: Engine, connect: Connect) -> None:
    async with connected(engine, connect) as (client, _):
        for _ in range(2):
            await client.aclose()
        for method in (client.receive, client.send_eof, client.do_handshake):
            with pytest.raises(anyio.ClosedResourceError):
                await method()
        with pytest.raises(anyio.ClosedResourceError):
            await client.send(b"data")


@on_each_backend
async def test_unwrap_returns_the_stream_below(native: Engine) -> None:
    async with connected(native) as (client, server):
        results: list[tuple[anyio.abc.ByteStream, bytes]] = []

        async def unwrap_client() -> None:
            results.append(await client.unwrap())

        await together(unwrap_client, server.unwrap)
        [(below, rest)] = results
        assert isinstance(below, anyio.abc.ByteStream)
        assert rest == b""
        with pytest.raises(anyio.ClosedResourceError):
            await client.receive()


@on_each_backend
async def test_plaintext_received_before_tls_ends_the_connection(native: Engine) -> None:
    async with paired(native, received=b"250 OK\r\n") as (client, server):
        for error in await errors_of(client.do_handshake, server.do_handshake):
            assert isinstance(error, anyio.BrokenResourceError)
            assert isinstance(error.__cause__, ProtocolError)


@on_each_backend
async def test_observer_sees_the_messages(native: Engine) -> None:
    seen: list[str] = []

    def observe(direction: str, name: str, length: int) -> None:
        seen.append(f"{direction} {name}")

    async with paired(native, observer=observe) as (client, server):
        await handshake(client, server)
    assert seen[:2] == ["sent client_hello", "received client_hello"]


@on_each_backend
async def test_wrong_arguments(native: Engine) -> None:
    async with paired(native) as (client, _):
        with pytest.raises(ConfigError, match="server_hostname"):
            client_over(client.transport_stream, native, server_hostname=None)
