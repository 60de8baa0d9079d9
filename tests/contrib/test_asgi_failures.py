"""A client that makes hypercorn or anycorn raise ends its own connection, and no other."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anycorn.config
import anycorn.tcp_server
import anyio
import h2.config
import h2.connection
import h2.events
import hypercorn.config
import pytest
import trio
from anyio.abc import SocketAttribute

import trio_tlsx.contrib.anyio
from trio_tlsx import ClientConfig, ServerConfig, TLSStream, open_tls_over_tcp_stream
from trio_tlsx.contrib import anycorn as our_anycorn
from trio_tlsx.contrib import hypercorn as our_hypercorn
from trio_tlsx.io.listener import open_tls_over_tcp_listeners
from trio_tlsx.testing import CA

SECONDS = 20  # something hangs

ca = CA()
SERVER = ServerConfig(credentials=ca.issue("localhost"), alpn_protocols=["h2", "http/1.1"])
CLIENT = ClientConfig(trust=ca.trust, alpn_protocols=["h2"])
REQUEST = [
    (":method", "POST"),
    (":path", "/"),
    (":scheme", "https"),
    (":authority", "localhost"),
]


async def answer_without_reading(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError("nothing to start up or to shut down")
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def on_hypercorn() -> AsyncGenerator[int, None]:
    listeners = [*await open_tls_over_tcp_listeners(0, SERVER, host="127.0.0.1")]
    serve = partial(
        our_hypercorn.serve, answer_without_reading, hypercorn.config.Config(), listeners
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        yield listeners[0].port
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def on_anycorn() -> AsyncGenerator[int, None]:
    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
    listener = trio_tlsx.contrib.anyio.TLSListener(tcp, SERVER)
    serve = partial(our_anycorn.serve, answer_without_reading, anycorn.config.Config(), [listener])
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


class Client:
    """A client of HTTP/2 that sends what it is told to."""

    def __init__(self, stream: TLSStream[trio.SocketStream]) -> None:
        self._stream = stream
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.connection.initiate_connection()

    async def flush(self) -> None:
        await self._stream.send_all(self.connection.data_to_send())

    async def wait_response(self) -> None:
        """Receive until the response of a stream is complete."""
        while True:
            events = self.connection.receive_data(bytes(await self._stream.receive_some()))
            if any(isinstance(event, h2.events.StreamEnded) for event in events):
                return


async def connected(port: int) -> tuple[TLSStream[trio.SocketStream], Client]:
    stream = await open_tls_over_tcp_stream("localhost", port, config=CLIENT)
    return stream, Client(stream)


async def request(port: int) -> None:
    """Send a request, and receive its response."""
    stream, client = await connected(port)
    client.connection.send_headers(1, REQUEST, end_stream=True)
    await client.flush()
    await client.wait_response()
    await trio.aclose_forcefully(stream)


async def test_body_after_the_response(caplog: pytest.LogCaptureFixture) -> None:
    """Hypercorn has forgotten the stream that the body belongs to."""
    with trio.fail_after(SECONDS):
        async with on_hypercorn() as port:
            stream, client = await connected(port)
            client.connection.send_headers(1, REQUEST)
            await client.flush()
            await client.wait_response()
            client.connection.send_data(1, b"late", end_stream=True)
            await client.flush()
            while await stream.receive_some():
                pass
            await trio.aclose_forcefully(stream)
            await request(port)
    [record] = [record for record in caplog.records if record.name == "trio_tlsx"]
    assert record.getMessage().startswith("the HTTP connection with 127.0.0.1:")
    assert "KeyError: 1" in caplog.text


async def test_fault_of_anycorn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(anycorn.tcp_server.TCPServer):
        async def run(self) -> None:
            await self.stream.aclose()
            raise RuntimeError("a fault of anycorn")

    with trio.fail_after(SECONDS):
        async with on_anycorn() as port:
            with monkeypatch.context() as faulty:
                faulty.setattr(our_anycorn, "TCPServer", Failing)
                stream, _ = await connected(port)
                while await stream.receive_some():
                    pass
                await trio.aclose_forcefully(stream)
            await request(port)
    [record] = [record for record in caplog.records if record.name == "trio_tlsx"]
    assert record.getMessage().startswith("the HTTP connection with 127.0.0.1:")
    assert "a fault of anycorn" in caplog.text
