"""httpx, httpx2 and what they are built on, on asyncio: the same adapters as on trio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from anycorn.config import Config
from anyio.abc import SocketAttribute
from anyio_pairs import on_each_backend
from http_packages import PACKAGES, HTTPPackage

from trio_tlsx import ClientConfig, ServerConfig
from trio_tlsx.contrib.anycorn import serve
from trio_tlsx.contrib.anyio import TLSListener
from trio_tlsx.testing import CA

HOST = "127.0.0.1"
SECONDS = 60
HTTP = {"HTTP/1.1": ["http/1.1"], "HTTP/2": ["h2", "http/1.1"]}

ca = CA()
SERVER = ServerConfig(credentials=ca.issue("localhost"), alpn_protocols=HTTP["HTTP/2"])

with_each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda one: one.name)


async def greet(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError("nothing to start up or to shut down")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


@asynccontextmanager
async def serving() -> AsyncGenerator[int]:
    listener = TLSListener(await anyio.create_tcp_listener(local_host=HOST), SERVER)
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            await tasks.start(partial(serve, greet, Config(), [listener]))
            yield listener.extra(SocketAttribute.local_port)
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("version", HTTP)
@with_each_package
@on_each_backend
async def test_requests_resume_and_reuse(package: HTTPPackage, version: str) -> None:
    config = ClientConfig(trust=ca.trust, alpn_protocols=HTTP[version])
    resumed: list[bool] = []
    async with serving() as port:
        for _ in range(2):
            transport = package.http_transport(config, http2=version == "HTTP/2")
            async with package.httpx.AsyncClient(transport=transport) as client:
                await client.get(f"https://localhost:{port}/")
                response = await client.get(f"https://localhost:{port}/")
                assert (response.http_version, response.content) == (version, b"hello")
                stream = response.extensions["network_stream"].get_extra_info("ssl_object")
                resumed.append(stream.negotiated.resumed)
    assert resumed == [False, True]


@with_each_package
@on_each_backend
async def test_failed_handshake_is_the_packages_error(package: HTTPPackage) -> None:
    transport = package.http_transport(ClientConfig(trust=CA().trust))
    async with serving() as port, package.httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(package.httpx.ConnectError, match="certificate"):
            await client.get(f"https://localhost:{port}/")


@with_each_package
@on_each_backend
async def test_refused_connection_is_the_packages_error(package: HTTPPackage) -> None:
    transport = package.http_transport(ClientConfig(trust=ca.trust))
    async with package.httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(package.httpx.ConnectError):
            await client.get("https://127.0.0.1:1/")


@with_each_package
@on_each_backend
async def test_timeout_is_the_packages_error(package: HTTPPackage) -> None:
    async with await anyio.create_tcp_listener(local_host=HOST) as silent:
        port = silent.extra(SocketAttribute.local_port)
        transport = package.http_transport(ClientConfig(trust=ca.trust))
        timeout = package.httpx.Timeout(SECONDS, connect=0.01)
        async with package.httpx.AsyncClient(transport=transport, timeout=timeout) as client:
            with pytest.raises(package.httpx.ConnectTimeout):
                await client.get(f"https://localhost:{port}/")


@with_each_package
def test_in_a_program_of_asyncio_alone(package: HTTPPackage) -> None:
    async def main() -> bytes:
        config = ClientConfig(trust=ca.trust, alpn_protocols=["http/1.1"])
        async with (
            serving() as port,
            package.httpx.AsyncClient(transport=package.http_transport(config)) as client,
        ):
            response = await client.get(f"https://localhost:{port}/")
            return response.content

    assert asyncio.run(main()) == b"hello"
