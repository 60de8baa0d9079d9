"""The ``tls`` extension of the ASGI scope under anycorn, on asyncio and on trio."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anycorn.config import Config
from anyio.abc import SocketAttribute
from anyio_pairs import on_each_backend
from cryptography import x509

from trio_tlsx import ClientConfig, ServerConfig
from trio_tlsx.contrib.anycorn import serve
from trio_tlsx.contrib.anyio import TLSListener, connect_tls
from trio_tlsx.testing import CA, write_pem_files

HOST = "127.0.0.1"
SECONDS = 60

ca = CA()
client_ca = CA()
credentials = ca.issue("localhost", HOST)
alice = client_ca.issue("alice.example")

CONFIG = ServerConfig(
    credentials=credentials,
    client_auth="optional",
    client_trust=client_ca.trust,
    alpn_protocols=["h2", "http/1.1"],
)


class Recorder:
    """An application that keeps the scopes that it is called with."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.lifespan: list[str] = []
        self.called: anyio.Event | None = None
        self.may_answer: anyio.Event | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                message = await receive()
                self.lifespan.append(message["type"])
                await send({"type": f"{message['type']}.complete"})
            return
        self.scopes.append(scope)
        if self.called is not None and self.may_answer is not None:
            self.called.set()
            await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


@asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncGenerator[int]:
    tcp = await anyio.create_tcp_listener(local_host=HOST)
    listener = TLSListener(tcp, CONFIG)
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            await tasks.start(partial(serve, app, Config(), [listener], **options))
            yield listener.extra(SocketAttribute.local_port)
            if not options:
                tasks.cancel_scope.cancel()


def client_context(folder: Path, with_certificate: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca.pem.decode())
    if with_certificate:
        context.load_cert_chain(*write_pem_files(alice, folder))
    return context


async def get(port: int, context: ssl.SSLContext, http2: bool = False) -> httpx.Response:
    async with httpx.AsyncClient(verify=context, http2=http2, trust_env=False) as client:
        return await client.get(f"https://localhost:{port}/")


@pytest.mark.parametrize("http2", [False, True])
@on_each_backend
async def test_the_extension_of_a_client_with_a_certificate(tmp_path: Path, http2: bool) -> None:
    app = Recorder()
    async with serving(app) as port:
        response = await get(port, client_context(tmp_path, True), http2)
        assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    [scope] = app.scopes
    tls = scope["extensions"]["tls"]
    certificates = [tls["server_cert"], *tls["client_cert_chain"]]
    assert [x509.load_pem_x509_certificate(pem.encode()) for pem in certificates] == [
        credentials.chain[0],
        *alice.chain,
    ]
    assert tls["client_cert_name"] == alice.chain[0].subject.rfc4514_string()
    assert tls["client_cert_error"] is None
    assert tls["tls_version"] == 0x0304
    assert tls["cipher_suite"] in (0x1301, 0x1302)
    assert scope["scheme"] == "https"


@on_each_backend
async def test_the_extension_of_a_client_without_a_certificate(tmp_path: Path) -> None:
    app = Recorder()
    async with serving(app) as port:
        await get(port, client_context(tmp_path, False))
    tls = app.scopes[0]["extensions"]["tls"]
    assert (tls["client_cert_chain"], tls["client_cert_name"]) == ([], None)


@on_each_backend
async def test_open_connections_finish_after_the_shutdown(tmp_path: Path) -> None:
    app, stop = Recorder(), anyio.Event()
    app.called, app.may_answer = anyio.Event(), anyio.Event()
    async with serving(app, shutdown_trigger=stop.wait) as port:
        stream = await connect_tls(
            HOST, port, config=ClientConfig(trust=ca.trust, alpn_protocols=["http/1.1"])
        )
        async with stream:
            await stream.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await app.called.wait()
            stop.set()
            await anyio.wait_all_tasks_blocked()
            app.may_answer.set()
            assert (await stream.receive()).startswith(b"HTTP/1.1 204")
        with pytest.raises(OSError, match="connect"):
            await connect_tls(HOST, port, config=ClientConfig(trust=ca.trust))
    assert app.lifespan == ["lifespan.startup", "lifespan.shutdown"]
