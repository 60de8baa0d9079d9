"""Events of ``on_event``, and the line in the log of a successful handshake."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing

from trio_tlsx import (
    ClientConfig,
    ConfigError,
    ConnectionClosed,
    ConnectionEvent,
    HandshakeCompleted,
    HandshakeFailed,
    KeysUpdated,
    ServerConfig,
    TicketReceived,
    TicketsSent,
    TLSStream,
    Truncated,
)
from trio_tlsx.errors import AlertDescription
from trio_tlsx.testing import CA

NAME = "test.example"
AUTHORITY = CA()

Stream = TLSStream[Any]
Config = ClientConfig | ServerConfig


class Events:
    """Both sides of connections over memory streams, and their events."""

    def __init__(
        self, version: str = "TLSv1.3", client: dict[str, Any] | None = None, **server: Any
    ) -> None:
        self.of_client: list[ConnectionEvent] = []
        self.of_server: list[ConnectionEvent] = []
        options: dict[str, Any] = {
            "groups": ["x25519", "P-256"],
            "versions": [version],
            **(client or {}),
        }
        self.client_config = ClientConfig(
            trust=AUTHORITY.trust, on_event=self.of_client.append, **options
        )
        self.server_config = ServerConfig(
            credentials=AUTHORITY.issue(NAME),
            on_event=self.of_server.append,
            versions=[version],
            **server,
        )

    def streams(self) -> tuple[Stream, Stream]:
        below = trio.testing.memory_stream_pair()
        return (
            TLSStream(below[0], self.client_config, server_hostname=NAME),
            TLSStream(below[1], self.server_config),
        )

    @property
    def kinds(self) -> tuple[list[str], list[str]]:
        """The names of the events' types, of the client and of the server."""
        client, server = (
            [type(event).__name__ for event in events]
            for events in (self.of_client, self.of_server)
        )
        return client, server


async def at_once(*functions: Callable[[], Awaitable[object]]) -> None:
    """Run functions at once, and ignore that a connection breaks."""

    async def run(function: Callable[[], Awaitable[object]]) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await function()

    async with trio.open_nursery() as nursery:
        for function in functions:
            nursery.start_soon(run, function)


async def test_events_of_a_connection_from_handshake_to_end() -> None:
    events = Events()
    client, server = events.streams()
    await at_once(client.do_handshake, server.do_handshake)
    [completed] = events.of_client
    assert isinstance(completed, HandshakeCompleted)
    assert not completed.server_side
    assert completed.server_hostname == NAME
    assert completed.negotiated == client.negotiated
    assert 0 < completed.duration < 60

    await client.send_all(b"question")
    assert await server.receive_some() == b"question"
    await server.send_all(b"the answer")
    assert await client.receive_some() == b"the answer"
    await server.update_keys()
    await server.aclose()
    assert await client.receive_some() == b""
    await client.aclose()
    assert events.kinds == (
        [
            "HandshakeCompleted",
            "TicketReceived",
            "TicketReceived",
            "KeysUpdated",
            "ConnectionClosed",
        ],
        ["HandshakeCompleted", "TicketsSent", "KeysUpdated", "ConnectionClosed"],
    )
    sent, updated, closed = events.of_server[1:]
    assert isinstance(sent, TicketsSent)
    assert sent.count == 2
    assert isinstance(updated, KeysUpdated)
    assert updated.direction == "sent"
    assert isinstance(closed, ConnectionClosed)
    assert (closed.reason, closed.error) == ("clean", None)
    assert (closed.bytes_sent, closed.bytes_received) == (10, 8)
    assert closed.server_side
    assert closed.server_hostname is None
    received, closed = events.of_client[3:]
    assert isinstance(received, KeysUpdated)
    assert received.direction == "received"
    assert isinstance(closed, ConnectionClosed)
    assert (closed.reason, closed.bytes_sent, closed.bytes_received) == ("clean", 8, 10)
    assert isinstance(events.of_client[1], TicketReceived)


async def test_events_of_a_connection_of_tls_1_2() -> None:
    """The ticket is a part of the handshake."""
    events = Events("TLSv1.2")
    for _ in range(2):
        client, server = events.streams()
        await at_once(client.do_handshake, server.do_handshake)
        await server.send_all(b"the answer")
        assert await client.receive_some() == b"the answer"
        await at_once(client.aclose, server.aclose)
    kinds = events.kinds
    assert kinds[0] == ["TicketReceived", "HandshakeCompleted", "ConnectionClosed"] * 2
    assert kinds[1] == ["HandshakeCompleted", "TicketsSent", "ConnectionClosed"] * 2
    results = [e.negotiated for e in events.of_client if isinstance(e, HandshakeCompleted)]
    assert [(n.version, n.resumed) for n in results] == [("TLSv1.2", False), ("TLSv1.2", True)]


@pytest.mark.parametrize("size", [1, 100, 2**14, 100_000])
async def test_bytes_are_counted_over_sockets(size: int, version: str) -> None:
    events = Events(version)
    below = [trio.SocketStream(trio.socket.from_stdlib_socket(s)) for s in socket.socketpair()]
    client = TLSStream(below[0], events.client_config, server_hostname=NAME)
    server = TLSStream(below[1], events.server_config)
    await at_once(client.do_handshake, server.do_handshake)

    async def receive() -> None:
        async for _ in server:
            pass
        await server.aclose()

    async def send() -> None:
        for _ in range(5):
            await client.send_all(bytes(size))
        await client.aclose()

    await at_once(receive, send)
    counted = [events.of_client[-1], events.of_server[-1]]
    assert [
        (event.bytes_sent, event.bytes_received)
        for event in counted
        if isinstance(event, ConnectionClosed)
    ] == [(5 * size, 0), (0, 5 * size)]


async def test_resumption_and_retry_are_in_the_result() -> None:
    events = Events(
        client={"key_shares": ["x25519"], "groups": ["x25519", "P-256"]}, groups=["P-256"]
    )
    for _ in range(2):
        client, server = events.streams()
        await at_once(client.do_handshake, server.do_handshake)
        await server.send_all(b"x")
        await client.receive_some()
        await at_once(client.aclose, server.aclose)
    for side in (events.of_client, events.of_server):
        results = [e.negotiated for e in side if isinstance(e, HandshakeCompleted)]
        assert [n.resumed for n in results] == [False, True]
        assert [n.hello_retry_request for n in results] == [True, True]
    assert not Events().of_client


async def test_refused_certificate_is_a_failure_on_both_sides(version: str) -> None:
    events = Events(version)
    events.client_config = replace(events.client_config, trust=CA().trust)
    client, server = events.streams()
    await at_once(client.do_handshake, server.do_handshake)
    await at_once(client.aclose, server.aclose)
    [refused], [told] = events.of_client, events.of_server
    assert isinstance(refused, HandshakeFailed)
    assert isinstance(told, HandshakeFailed)
    assert (refused.alert, refused.refused_by) == (AlertDescription.unknown_ca, "us")
    assert (told.alert, told.refused_by) == (AlertDescription.unknown_ca, "peer")
    assert refused.duration > 0


async def test_timeout_is_told_from_a_cancellation(
    autojump_clock: trio.testing.MockClock, version: str
) -> None:
    events = Events(version)
    below = trio.testing.memory_stream_pair()[0]
    stream = TLSStream(below, events.server_config, handshake_timeout=5)
    await at_once(stream.do_handshake)
    await stream.aclose()
    [event] = events.of_server
    assert isinstance(event, HandshakeFailed)
    assert str(event.error) == "the handshake was not complete within 5 seconds"
    assert event.refused_by == "us"


async def test_stream_closed_before_its_handshake(version: str) -> None:
    events = Events(version)
    client, server = events.streams()
    await trio.aclose_forcefully(client)
    await trio.aclose_forcefully(server)
    assert events.kinds == (["HandshakeFailed"], ["HandshakeFailed"])
    [event] = events.of_client
    assert isinstance(event, HandshakeFailed)
    assert (event.alert, event.duration) == (None, 0)


@pytest.mark.parametrize("reason", ["truncated", "abandoned", "reset", "failed"])
async def test_reasons_of_the_end(reason: str, version: str) -> None:
    events = Events(version)
    client, server = events.streams()
    await at_once(client.do_handshake, server.do_handshake)
    if reason == "truncated":
        await client.transport_stream.aclose()
        await at_once(server.receive_some)
    elif reason == "failed":
        await client.transport_stream.send_all(b"\x17\x03\x03\x00\x11" + bytes(17))
        await at_once(server.receive_some)
    elif reason == "reset":

        async def broken(max_bytes: int | None = None) -> bytes:
            raise trio.BrokenResourceError("reset by peer")

        server.transport_stream.receive_some = broken
        await at_once(server.receive_some)
    await trio.aclose_forcefully(server)
    await trio.aclose_forcefully(server)  # it is reported once
    closed = events.of_server[-1]
    assert isinstance(closed, ConnectionClosed)
    assert closed.reason == reason
    assert (closed.error is None) == (reason == "abandoned")
    assert isinstance(closed.error, Truncated) == (reason == "truncated")
    assert [type(event) for event in events.of_server].count(ConnectionClosed) == 1


async def test_exception_of_on_event_reaches_the_log_and_not_the_connection(
    caplog: pytest.LogCaptureFixture, version: str
) -> None:
    def fail(event: ConnectionEvent) -> None:
        raise ZeroDivisionError

    events = Events(version)
    events.client_config = replace(events.client_config, on_event=fail)
    client, server = events.streams()
    await at_once(client.do_handshake, server.do_handshake)
    await client.send_all(b"x")
    assert await server.receive_some() == b"x"
    await at_once(client.aclose, server.aclose)
    assert "on_event failed with HandshakeCompleted" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_successful_handshake_is_one_line_at_debug(
    caplog: pytest.LogCaptureFixture, version: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="trio_tlsx")
    events = Events(version)
    events.client_config = replace(events.client_config, on_event=None)
    client, server = events.streams()
    await at_once(client.do_handshake, server.do_handshake)
    lines = sorted(record.getMessage() for record in caplog.records)
    assert len(lines) == 2
    assert lines[0].startswith(f"TLS handshake as client of {NAME} completed in ")
    suite = {
        "TLSv1.3": "TLS_AES_128_GCM_SHA256",
        "TLSv1.2": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    }[version]
    assert lines[0].endswith(f" ms: {version}, {suite}, x25519")
    assert lines[1].startswith("TLS handshake as server completed in ")


@pytest.mark.parametrize("kind", [ClientConfig, ServerConfig])
def test_async_function_is_rejected(kind: Callable[..., Config]) -> None:
    async def on_event(event: ConnectionEvent) -> None:
        """Cannot be awaited."""

    with pytest.raises(ConfigError, match=r"on_event is .*; pass a function that is not async"):
        kind(on_event=on_event)
