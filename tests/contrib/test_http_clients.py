"""What a program passes to HTTP clients: configurations, options, proxies of the environment."""

from __future__ import annotations

import ssl
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from http_packages import PACKAGES, HTTPPackage
from http_servers import ca, config_for, connect_proxy, serving, socks_proxy
from processes import EXAMPLES, run_program

from trio_tlsx import ClientConfig, ConfigError, ServerConfig, Session
from trio_tlsx.contrib import network
from trio_tlsx.testing import CA

HTTP2 = ["h2", "http/1.1"]


@pytest.fixture(params=PACKAGES, ids=lambda package: package.name)
def package(request: pytest.FixtureRequest) -> HTTPPackage:
    return request.param


@pytest.mark.parametrize(
    ("config", "options", "why"),
    [
        (ClientConfig(), {"verify": False}, "verify= has no effect .*insecure_skip_verification"),
        (ClientConfig(), {"verify": "ca.pem"}, r"verify= has no effect .*ClientConfig\(trust="),
        (ClientConfig(), {"cert": "c.pem"}, "cert= has no effect .*from_pem_files"),
        (ClientConfig(), {"http2": True}, r"pass alpn_protocols=\['h2', 'http/1.1'\]"),
        (ClientConfig(alpn_protocols=HTTP2), {}, "offers 'h2', and http2= is false"),
        (config_for, {"verify": False}, "verify= has no effect"),
        (False, {}, "config is False; .* insecure_skip_verification=True"),
        (True, {}, "config is True; pass a ClientConfig"),
        ("ca.pem", {}, r"of the type str; pass ClientConfig\(trust=PATH\)"),
        (ssl.create_default_context(), {}, "of the type SSLContext; pass verify=CONTEXT"),
        (object(), {}, "of the type object; pass a ClientConfig, or a function"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(
    package: HTTPPackage, config: Any, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        package.http_transport(config, **options)


def test_http2_without_h2(package: HTTPPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "find_spec", dict[str, None]().get)
    with pytest.raises(ConfigError, match=rf"needs the package h2.* '{package.name}\[http2\]'"):
        package.http_transport(ClientConfig(alpn_protocols=HTTP2), http2=True)


def test_a_server_configuration_is_for_no_client(package: HTTPPackage) -> None:
    with pytest.raises(ConfigError, match="config is of the type ServerConfig"):
        package.backend(ServerConfig(credentials=CA().issue("x.example")))


class SessionStore:
    """Keeps the last session of each server, and what it was asked for."""

    def __init__(self) -> None:
        self.sessions: dict[tuple[str, int | None], Session] = {}

    def put(self, session: Session) -> None:
        self.sessions[session.server_name, session.port] = session

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        return self.sessions.pop((server_name, port), None)


@pytest.mark.parametrize("through", ["", "http", "socks5"])
async def test_sessions_are_kept_by_name_and_port(package: HTTPPackage, through: str) -> None:
    store = SessionStore()
    config = ClientConfig(
        trust=ca.trust, alpn_protocols=["http/1.1"], session_store=store, session_context=b"test"
    )
    resumed: list[bool] = []
    async with serving() as port, trio.open_nursery() as nursery:
        options: dict[str, Any] = {}
        if through:
            proxy = socks_proxy if through == "socks5" else partial(connect_proxy, [])
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, proxy, [listener])
            options["proxy"] = f"{through}://127.0.0.1:{listener.socket.getsockname()[1]}"
        for _ in range(2):
            transport = package.http_transport(config, **options)
            async with package.httpx.AsyncClient(transport=transport) as client:
                response = await client.get(f"https://127.0.0.1:{port}/")
                tls = response.extensions["network_stream"].get_extra_info("ssl_object")
                resumed.append(tls.negotiated.resumed)
                assert list(store.sessions) == [("127.0.0.1", port)]
        nursery.cancel_scope.cancel()
    assert resumed == [False, True]


async def test_proxies_of_the_environment(
    package: HTTPPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    async with serving() as port, trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, partial(connect_proxy, asked), [listener])
        proxy_port = listener.socket.getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy_port}")
        monkeypatch.setenv("NO_PROXY", "localhost")
        config = config_for("HTTP/1.1")
        async with package.httpx.AsyncClient(
            transport=package.http_transport(config), mounts=package.mounts(config)
        ) as client:
            for host in ("127.0.0.1", "localhost"):
                response = await client.post(f"https://{host}:{port}/", content=b"hello")
                assert response.content == b"hello"
        nursery.cancel_scope.cancel()
    assert asked == [b"CONNECT 127.0.0.1:%d HTTP/1.1" % port]


@pytest.mark.parametrize("target", [b"x.example:99999", b"x.example:port", b"x.example"])
async def test_a_tunnel_without_a_port(package: HTTPPackage, target: bytes) -> None:
    """A server name goes with a port of TCP, or none."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        backend = package.backend(config_for("HTTP/1.1"))
        stream = await backend.connect_tcp("127.0.0.1", listener.socket.getsockname()[1])
        await stream.write(b"CONNECT " + target + b" HTTP/1.1\r\n\r\n")
        end = await listener.accept()
        await end.aclose()
        with pytest.raises(package.httpcore.ConnectError):
            await stream.start_tls(ssl.create_default_context(), "x.example")


async def test_the_example(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.pem)
    async with serving() as port:
        url = f"https://localhost:{port}/"
        result = await run_program([sys.executable, EXAMPLES / "http_client.py", url, ca_file])
    assert result.error_lines == []
    assert result.stdout.splitlines()[0] == b"HTTP/2 TLSv1.3 X25519MLKEM768"
