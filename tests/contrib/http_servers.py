"""An ASGI application under hypercorn over our listener, and a proxy before it."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import hypercorn.config
import trio

from trio_tlsx import ClientConfig, ServerConfig
from trio_tlsx.contrib.hypercorn import serve
from trio_tlsx.io.listener import open_tls_over_tcp_listeners
from trio_tlsx.testing import CA

SECONDS = 20  # something hangs
HTTP = {"HTTP/1.1": ["http/1.1"], "HTTP/2": ["h2", "http/1.1"]}

ca = CA()
credentials = ca.issue("127.0.0.1", "localhost")
context_of_ca = partial(ssl.create_default_context, cadata=ca.pem.decode())


def config_for(version: str, trusting: CA = ca) -> ClientConfig:
    return ClientConfig(trust=trusting.trust, alpn_protocols=HTTP[version])


class Application:
    """Answers with what it got."""

    def __init__(self) -> None:
        self.lifespan: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{event}"
                self.lifespan.append(event)
                await send({"type": f"lifespan.{event}.complete"})
            return
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = [(b"x-scheme", scope["scheme"].encode()), (b"x-path", scope["path"].encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(body)})


@asynccontextmanager
async def serving(app: Application | None = None) -> AsyncGenerator[int, None]:
    """An application under hypercorn over our listener; gives the port."""
    app = app or Application()
    config = ServerConfig(credentials=credentials, alpn_protocols=HTTP["HTTP/2"])
    listeners = await open_tls_over_tcp_listeners(
        0, config, host="127.0.0.1", https_compatible=True
    )
    finish = trio.Event()
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            await nursery.start(
                partial(
                    serve, app, hypercorn.config.Config(), listeners, shutdown_trigger=finish.wait
                )
            )
            yield listeners[0].port
            finish.set()


async def connect_proxy(asked: list[bytes], stream: trio.abc.Stream) -> None:
    """A proxy that can do CONNECT, and nothing else."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.receive_some(1)
    request = head.split(b"\r\n")[0]
    asked.append(request)
    method, target, _ = request.split()
    assert method == b"CONNECT"
    host, _, port = target.decode().rpartition(":")

    async with await trio.open_tcp_stream(host, int(port)) as onward, stream:
        await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await forward(stream, onward)


async def socks_proxy(stream: trio.abc.Stream) -> None:
    """A proxy of SOCKS 5 (RFC 1928), without authentication, for IPv4."""
    assert await stream.receive_some() == b"\x05\x01\x00"
    await stream.send_all(b"\x05\x00")
    request = await stream.receive_some()
    assert request[:4] == b"\x05\x01\x00\x01"
    host = ".".join(map(str, request[4:8]))
    port = int.from_bytes(request[8:])
    async with await trio.open_tcp_stream(host, port) as onward, stream:
        await stream.send_all(b"\x05\x00\x00\x01" + bytes(6))
        await forward(stream, onward)


async def forward(stream: trio.abc.Stream, onward: trio.abc.Stream) -> None:
    """Copy in both directions, until one of them ends."""

    async def copy(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
        try:
            async for data in source:
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            logging.getLogger(__name__).info("%s", error)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(copy, stream, onward)
        nursery.start_soon(copy, onward, stream)
