"""The ``tls`` extension of the ASGI scope under hypercorn, and Starlette that authorizes by it."""

from __future__ import annotations

import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import hypercorn.config
import pytest
import trio
import trio.testing
import trio_websocket
from cryptography import x509
from http_servers import HTTP, SECONDS
from processes import EXAMPLES, running

from trio_tlsx import (
    ClientConfig,
    Credentials,
    ProxyProtocolListener,
    ReloadingCredentials,
    ServerConfig,
    TLSListener,
    TLSStream,
    open_tls_over_tcp_listeners,
    open_tls_over_tcp_stream,
)
from trio_tlsx.contrib.asgi import server_certificate, tls_extension
from trio_tlsx.contrib.httpx import http_transport
from trio_tlsx.contrib.hypercorn import serve
from trio_tlsx.testing import CA, write_pem_files

ca = CA()
client_ca = CA()
server_credentials = ca.issue("localhost", "127.0.0.1")
alice = client_ca.issue("alice.example")
bob = client_ca.issue("bob.example")


class Recorder:
    """An application that keeps the scopes that it is called with."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError("nothing to start up or to shut down")
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
            return
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


@asynccontextmanager
async def serving(app: Any, listeners: list[TLSListener[Any]]) -> AsyncGenerator[int, None]:
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve, app, hypercorn.config.Config(), listeners))
            yield listeners[0].port
            nursery.cancel_scope.cancel()


async def listen(config: ServerConfig | ssl.SSLContext) -> list[TLSListener[Any]]:
    return [*await open_tls_over_tcp_listeners(0, config, host="127.0.0.1", https_compatible=True)]


def config_for(version: str, credentials: Credentials | None = None) -> ClientConfig:
    return ClientConfig(trust=ca.trust, alpn_protocols=HTTP[version], credentials=credentials)


def server_config(**options: Any) -> ServerConfig:
    return ServerConfig(
        credentials=server_credentials,
        client_auth="optional",
        client_trust=client_ca.trust,
        alpn_protocols=HTTP["HTTP/2"],
        **options,
    )


async def get(port: int, version: str, credentials: Credentials | None = None) -> None:
    transport = http_transport(config_for(version, credentials), http2=version == "HTTP/2")
    async with httpx.AsyncClient(transport=transport) as client:
        for _ in range(2):
            await client.get(f"https://localhost:{port}/")


@pytest.mark.parametrize("version", HTTP)
async def test_the_extension_of_a_client_with_a_certificate(version: str) -> None:
    app = Recorder()
    async with serving(app, await listen(server_config())) as port:
        await get(port, version, alice)
    first, second = (scope["extensions"]["tls"] for scope in app.scopes)
    assert first == second
    assert first is not second, "an application may write into its scope"
    assert (
        x509.load_pem_x509_certificate(first["server_cert"].encode())
        == (server_credentials.chain[0])
    )
    sent = [x509.load_pem_x509_certificate(pem.encode()) for pem in first["client_cert_chain"]]
    assert sent == list(alice.chain)
    assert first["client_cert_name"] == alice.chain[0].subject.rfc4514_string()
    assert first["client_cert_error"] is None
    assert first["tls_version"] == 0x0304
    assert first["cipher_suite"] == 0x1301


async def test_the_extension_of_a_client_without_a_certificate() -> None:
    app = Recorder()
    async with serving(app, await listen(server_config())) as port:
        await get(port, "HTTP/1.1")
    tls = app.scopes[0]["extensions"]["tls"]
    assert (tls["client_cert_chain"], tls["client_cert_name"]) == ([], None)


async def test_the_extension_of_a_connection_of_tls_1_2() -> None:
    app = Recorder()
    versions = {"versions": ["TLSv1.2"]}
    config = replace(config_for("HTTP/1.1"), **versions)
    async with (
        serving(app, await listen(server_config(**versions))) as port,
        httpx.AsyncClient(transport=http_transport(config)) as client,
    ):
        await client.get(f"https://localhost:{port}/")
    tls = app.scopes[0]["extensions"]["tls"]
    assert (tls["tls_version"], tls["cipher_suite"]) == (0x0303, 0xC02B)


async def test_the_extension_of_a_client_that_resumes() -> None:
    app = Recorder()
    config = config_for("HTTP/1.1", alice)
    resumed: list[bool] = []
    async with serving(app, await listen(server_config())) as port:
        for _ in range(2):
            async with httpx.AsyncClient(transport=http_transport(config)) as client:
                response = await client.get(f"https://localhost:{port}/")
                stream = response.extensions["network_stream"].get_extra_info("ssl_object")
                resumed.append(stream.negotiated.resumed)
    assert resumed == [False, True]
    first, second = (scope["extensions"]["tls"] for scope in app.scopes)
    assert first == second


async def test_the_extension_of_a_websocket() -> None:
    app = Recorder()
    async with serving(app, await listen(server_config())) as port:
        config = ClientConfig(trust=ca.trust, credentials=bob)
        stream = await open_tls_over_tcp_stream("localhost", port, config=config)
        async with trio.open_nursery() as nursery:
            await trio_websocket.wrap_client_stream(nursery, cast(Any, stream), "localhost", "/")
            nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(stream)
    [scope] = app.scopes
    assert scope["type"] == "websocket"
    assert len(scope["extensions"]["tls"]["client_cert_chain"]) == len(bob.chain)


async def test_the_extension_over_openssl(tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*write_pem_files(server_credentials, tmp_path))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    app = Recorder()
    async with serving(app, await listen(context)) as port:
        verify = ssl.create_default_context(cadata=ca.pem.decode())
        async with httpx.AsyncClient(verify=verify) as client:
            await client.get(f"https://localhost:{port}/")
    tls = app.scopes[0]["extensions"]["tls"]
    assert tls["server_cert"] is None
    assert tls["tls_version"] == 0x0303
    assert tls["cipher_suite"] is None


async def test_the_address_of_a_client_behind_a_proxy() -> None:
    """Its address is in the scope; the proxy's is the socket's."""
    [tcp_listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy_listener = ProxyProtocolListener(tcp_listener, trusted=["127.0.0.1"])
    app = Recorder()
    listener = TLSListener(proxy_listener, server_config(), https_compatible=True)
    async with serving(app, [listener]) as port:
        tcp_stream = await trio.open_tcp_stream("127.0.0.1", port)
        await tcp_stream.send_all(b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\n")
        stream = TLSStream(tcp_stream, config_for("HTTP/1.1"), server_hostname="localhost")
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 204")
        await trio.aclose_forcefully(stream)
    [scope] = app.scopes
    assert scope["client"] == ("192.0.2.7", 4711)
    assert scope["extensions"]["tls"]["tls_version"] == 0x0304


def test_which_certificate_a_server_has(tmp_path: Path) -> None:
    other = ca.issue("other.example")
    pem = server_certificate(server_config())
    assert pem is not None
    assert x509.load_pem_x509_certificate(pem.encode()) == server_credentials.chain[0]
    assert server_certificate(ServerConfig(credentials=[server_credentials, other])) is None
    assert server_certificate(ServerConfig(select_credentials=lambda hello: other)) is None
    files = write_pem_files(other, tmp_path)
    reloading = ReloadingCredentials.from_pem_files(*files)
    pem = server_certificate(ServerConfig(select_credentials=reloading))
    assert pem is not None
    assert x509.load_pem_x509_certificate(pem.encode()) == other.chain[0]


async def test_the_extension_before_the_handshake() -> None:
    stream = TLSStream(trio.testing.memory_stream_pair()[0], server_config())
    with pytest.raises(trio.NeedHandshakeError):
        tls_extension(stream)


# Starlette


@pytest.mark.parametrize("version", HTTP)
async def test_starlette_authorizes_by_client_certificates(version: str, tmp_path: Path) -> None:
    files = write_pem_files(server_credentials, tmp_path)
    ca_file = tmp_path / "clients.pem"
    ca_file.write_bytes(client_ca.pem)
    program = (sys.executable, EXAMPLES / "starlette_clients.py")
    async with running(*program, *files, ca_file, "0", "alice.example") as server:

        async def ask(credentials: Credentials | None, method: str) -> tuple[int, str]:
            transport = http_transport(config_for(version, credentials), http2=version == "HTTP/2")
            async with httpx.AsyncClient(transport=transport) as client:
                response = await client.request(method, f"https://localhost:{server.port}/")
                return response.status_code, response.text

        assert await ask(alice, "GET") == (200, "alice.example over 0x0304\n")
        assert await ask(alice, "POST") == (200, "0 bytes\n")
        assert await ask(bob, "GET") == (200, "bob.example over 0x0304\n")
        assert (await ask(bob, "POST"))[0] == 403
        assert (await ask(None, "GET"))[0] == 401
        with pytest.raises(httpx.TransportError):
            await ask(CA().issue("alice.example"), "GET")
