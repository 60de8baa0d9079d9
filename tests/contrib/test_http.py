"""The installed httpx and httpcore as clients, hypercorn as the server, and a proxy between."""

from __future__ import annotations

import socket
import sys
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from http_packages import PACKAGES, HTTPPackage
from http_servers import (
    HTTP,
    Application,
    ca,
    config_for,
    connect_proxy,
    context_of_ca,
    credentials,
    serving,
)
from processes import EXAMPLES, running

from trio_tlsx import ClientConfig, ServerConfig, TLSListener, TLSStream, handshake_first
from trio_tlsx.errors import CertificateError
from trio_tlsx.testing import CA, write_pem_files


@pytest.fixture(params=PACKAGES, ids=lambda package: package.name)
def package(request: pytest.FixtureRequest) -> HTTPPackage:
    return request.param


@pytest.mark.parametrize("version", HTTP)
async def test_httpx_and_hypercorn(package: HTTPPackage, version: str) -> None:
    body = bytes(range(256)) * 1000
    app = Application()
    async with serving(app) as port:
        assert app.lifespan == ["startup"]
        transport = package.http_transport(config_for(version), http2=version == "HTTP/2")
        async with package.httpx.AsyncClient(transport=transport) as client:
            for path in ("/first", "/second"):
                response = await client.post(f"https://127.0.0.1:{port}{path}", content=body)
                assert response.status_code == 200
                assert response.http_version == version
                assert response.headers["x-scheme"] == "https"
                assert response.headers["x-path"] == path
                assert response.content == body
            stream = response.extensions["network_stream"]
            tls = stream.get_extra_info("ssl_object")
            assert isinstance(tls, TLSStream)
            assert tls.version() == "TLSv1.3"
            assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
    assert app.lifespan == ["startup", "shutdown"]


async def test_many_requests_on_one_connection_of_http2(package: HTTPPackage) -> None:
    connections: set[int] = set()

    async with serving() as port:
        transport = package.http_transport(config_for("HTTP/2"), http2=True)
        async with package.httpx.AsyncClient(transport=transport) as client:

            async def request(number: int) -> None:
                content = str(number).encode() * 10_000
                response = await client.post(f"https://127.0.0.1:{port}/", content=content)
                assert response.content == content
                connections.add(
                    response.extensions["network_stream"].get_extra_info("socket").fileno()
                )

            await request(0)
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(request, number)
    assert len(connections) == 1


@pytest.mark.parametrize("version", HTTP)
async def test_plain_httpx_against_our_server(package: HTTPPackage, version: str) -> None:
    async with (
        serving() as port,
        package.httpx.AsyncClient(verify=context_of_ca(), http2=version == "HTTP/2") as client,
    ):
        response = await client.post(f"https://127.0.0.1:{port}/", content=b"hello")
        assert response.http_version == version
        assert response.content == b"hello"


@pytest.mark.parametrize("version", HTTP)
async def test_the_context_of_httpx_over_our_stream(package: HTTPPackage, version: str) -> None:
    http2 = version == "HTTP/2"
    transport = package.http_transport(verify=context_of_ca(), http2=http2)
    async with serving() as port, package.httpx.AsyncClient(transport=transport) as client:
        response = await client.post(f"https://127.0.0.1:{port}/", content=b"hello")
        assert response.http_version == version
        assert response.content == b"hello"


async def test_tls_errors_become_httpx_errors(
    package: HTTPPackage, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as port:
        distrustful = package.http_transport(config_for("HTTP/1.1", trusting=CA()))
        async with package.httpx.AsyncClient(transport=distrustful) as client:
            with pytest.raises(package.httpx.ConnectError, match="another CA") as caught:
                await client.get(f"https://127.0.0.1:{port}/")
        cause: BaseException | None = caught.value
        while cause is not None and not isinstance(cause, CertificateError):
            cause = cause.__cause__ or cause.__context__  # httpcore raises "from None"
        assert cause is not None
        await trio.testing.wait_all_tasks_blocked()
        [line] = [r.getMessage() for r in caplog.records if r.name == "trio_tlsx"]
        assert "the peer sent the alert unknown_ca" in line

    [closed] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = closed.socket.getsockname()[1]
    await closed.aclose()
    transport = package.http_transport(config_for("HTTP/1.1"))
    async with package.httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(package.httpx.ConnectError):
            await client.get(f"https://127.0.0.1:{port}/")


async def test_httpx_timeout_with_a_silent_server(package: HTTPPackage) -> None:
    [silent] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with silent:
        port = silent.socket.getsockname()[1]
        transport = package.http_transport(config_for("HTTP/1.1"))
        async with package.httpx.AsyncClient(transport=transport) as client:
            with pytest.raises(package.httpx.ConnectTimeout, match=r"0\.05 seconds"):
                await client.get(f"https://127.0.0.1:{port}/", timeout=0.05)


@pytest.mark.parametrize("version", HTTP)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_httpx_through_a_proxy(package: HTTPPackage, scheme: str, version: str) -> None:
    """With an https proxy it is TLS in TLS; the proxy is of another CA, and speaks HTTP/1.1."""
    proxy_ca = CA()
    proxy_config = ServerConfig(credentials=proxy_ca.issue("localhost"))
    asked: list[bytes] = []
    configs = {
        "localhost": config_for("HTTP/1.1", trusting=proxy_ca),
        "127.0.0.1": config_for(version),
    }
    async with serving() as port, trio.open_nursery() as nursery:
        [tcp_listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        proxy_port = tcp_listener.socket.getsockname()[1]
        handler = partial(connect_proxy, asked)
        if scheme == "https":
            listener = TLSListener(tcp_listener, proxy_config, https_compatible=True)
            serve_proxy = partial(trio.serve_listeners, handshake_first(handler), [listener])
            nursery.start_soon(serve_proxy)
        else:
            nursery.start_soon(trio.serve_listeners, handler, [tcp_listener])
        proxy = f"{scheme}://localhost:{proxy_port}"
        transport = package.http_transport(
            configs.__getitem__, proxy=proxy, http2=version == "HTTP/2"
        )
        async with package.httpx.AsyncClient(transport=transport) as client:
            for _ in range(2):
                response = await client.post(f"https://127.0.0.1:{port}/", content=b"hello")
                assert response.http_version == version
                assert response.content == b"hello"
                inner = response.extensions["network_stream"].get_extra_info("ssl_object")
                below = trio.SocketStream if scheme == "http" else TLSStream
                assert type(inner.transport_stream) is below
        nursery.cancel_scope.cancel()
    assert asked == [b"CONNECT 127.0.0.1:%d HTTP/1.1" % port]


async def test_httpcore_without_httpx(package: HTTPPackage) -> None:
    backend = package.backend(config_for("HTTP/2"))
    async with (
        serving() as port,
        package.httpcore.AsyncConnectionPool(http2=True, network_backend=backend) as pool,
    ):
        response = await pool.request("POST", f"https://127.0.0.1:{port}/", content=b"hello")
        assert response.content == b"hello"
        assert "HTTP/2" in repr(pool.connections)


async def test_httpcore_over_a_unix_socket(package: HTTPPackage, tmp_path: Path) -> None:
    async def answer(stream: TLSStream[trio.SocketStream]) -> None:
        async with stream:
            assert await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
            assert await stream.receive_some() == b"", "it is kept open for the next request"

    path = tmp_path / "socket"
    with trio.socket.socket(trio.socket.AF_UNIX) as sock:
        await sock.bind(str(path))
        sock.listen()
        config = ServerConfig(credentials=credentials)
        listener = TLSListener(trio.SocketListener(sock), config, https_compatible=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.serve_listeners, handshake_first(answer), [listener]))
            options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
            transport = package.http_transport(
                ClientConfig(trust=ca.trust), uds=str(path), socket_options=options
            )
            async with package.httpx.AsyncClient(transport=transport) as client:
                response = await client.get("https://localhost/")
                stream = response.extensions["network_stream"]
                below = stream.get_extra_info("socket")
                assert below.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert response.content == b"hello"
            nursery.cancel_scope.cancel()


async def test_httpx_with_an_impossible_host_name(package: HTTPPackage) -> None:
    transport = package.http_transport(ClientConfig(trust=ca.trust))
    async with serving() as port, package.httpx.AsyncClient(transport=transport) as client:
        request = client.build_request("GET", f"https://127.0.0.1:{port}/")
        request.extensions["sni_hostname"] = "under_score..example"
        with pytest.raises(package.httpx.ConnectError):
            await client.send(request)


@pytest.mark.parametrize("version", HTTP)
async def test_httpx_example(package: HTTPPackage, version: str, tmp_path: Path) -> None:
    files = write_pem_files(credentials, tmp_path)
    async with running(sys.executable, EXAMPLES / "hypercorn_server.py", *files, "0") as server:
        transport = package.http_transport(config_for(version), http2=version == "HTTP/2")
        async with package.httpx.AsyncClient(transport=transport) as client:
            response = await client.get(f"https://127.0.0.1:{server.port}/")
            assert response.http_version == version
            assert response.text == version.removesuffix(".0") + "\n"
