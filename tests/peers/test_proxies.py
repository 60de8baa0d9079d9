"""haproxy and nginx in front of our server: they forward TLS with the PROXY protocol."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from authority import SERVER_NAME, Authority
from peer import SAFETY_NET
from processes import free_port, peer_program, running
from test_haproxy import running_haproxy

from trio_tlsx import (
    ClientConfig,
    ProxyProtocolListener,
    ServerConfig,
    TLSListener,
    TLSStream,
)

STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

NGINX = """\
daemon off;
master_process off;
load_module {module};
pid {directory}/nginx.pid;
error_log stderr info;
events {{}}
stream {{
    server {{
        listen 127.0.0.1:{port};
        proxy_pass 127.0.0.1:{back};
        proxy_protocol on;
    }}
}}
"""


async def exchange(listener: trio.SocketListener, authority: Authority, port: int) -> None:
    """Connect through the proxy; the server learns the client's address, not the proxy's."""
    tls_listener = TLSListener(
        ProxyProtocolListener(listener, trusted=["127.0.0.1"]),
        ServerConfig(credentials=authority.credentials()),
    )
    config = ClientConfig(trust=authority.ca.trust)
    for _ in range(2):  # a full handshake, then a resumed one
        transport = await trio.open_tcp_stream("127.0.0.1", port)
        client = TLSStream(transport, config, server_hostname=SERVER_NAME)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            server = await tls_listener.accept()
            await server.do_handshake()
        assert server.remote_address == transport.socket.getsockname()
        header = server.transport_stream.proxy_header
        assert header is not None
        assert header.destination == ("127.0.0.1", port)
        await server.send_all(b"x")
        assert await client.receive_some() == b"x"
        await client.aclose()
        assert await server.receive_some() == b""
        await server.aclose()


@pytest.fixture
def haproxy() -> str:
    return peer_program("haproxy")


@pytest.fixture
def nginx() -> str:
    if not STREAM_MODULE.exists():
        peer_program(STREAM_MODULE.name, "libnginx-mod-stream")  # skips, or fails in CI
    return peer_program("nginx", "nginx-light")


@pytest.mark.parametrize(
    "option", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"]
)
async def test_server_behind_haproxy(
    haproxy: str, authority: Authority, tmp_path: Path, option: str
) -> None:
    async with running_haproxy(haproxy, tmp_path, server=option) as proxy:
        await exchange(proxy.back, authority, proxy.port)


async def test_server_behind_nginx(nginx: str, authority: Authority, tmp_path: Path) -> None:
    [back] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = free_port()
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        NGINX.format(
            module=STREAM_MODULE,
            directory=tmp_path,
            port=port,
            back=back.socket.getsockname()[1],
        )
    )
    command = [nginx, "-e", "stderr", "-p", tmp_path, "-c", configuration]
    with trio.fail_after(SAFETY_NET):
        async with back, running(*command, says=b"OS: "):
            await exchange(back, authority, port)
