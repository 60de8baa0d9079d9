"""The addresses of streams and listeners; None without a socket."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from tls_pairs import MEMORY, SOCKET, UNIX, Engine, paired, socket_of

from trio_tlsx.config.server import ServerConfig
from trio_tlsx.io.listener import TLSListener, open_tls_over_tcp_listeners
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.testing import CA

CONFIG = ServerConfig(credentials=CA().issue("test.example"))


async def test_both_ends_of_a_connection(engine: Engine) -> None:
    async with paired(engine, SOCKET) as (client, server):
        assert client.local_address == server.remote_address == socket_of(client).getsockname()
        assert server.local_address == client.remote_address == socket_of(client).getpeername()


async def test_tls_in_tls(native: Engine) -> None:
    async with paired(native, SOCKET) as (client, _):
        inner = TLSStream(client, native.client_config, server_hostname="test.example")
        assert inner.local_address == client.local_address
        assert inner.remote_address == client.remote_address


async def test_addresses_of_a_stream_without_a_socket(native: Engine) -> None:
    async with paired(native, MEMORY) as (client, _):
        assert client.local_address is None
        assert client.remote_address is None


async def test_addresses_of_a_unix_socket_without_a_name(native: Engine) -> None:
    async with paired(native, UNIX) as (client, _):
        assert client.remote_address == ""


async def test_addresses_of_a_closed_stream(native: Engine) -> None:
    async with paired(native, SOCKET) as (client, _):
        await trio.aclose_forcefully(client)
        assert client.local_address is None
        assert client.remote_address is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_port_of_a_listener(host: str) -> None:
    try:
        [listener] = await open_tls_over_tcp_listeners(0, CONFIG, host=host)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    async with listener:
        address = listener.local_address
        assert isinstance(address, tuple)
        assert address[:2] == (host, listener.port)
        assert listener.port > 0
        assert listener.socket.getsockname() == address
    assert listener.local_address is None
    with pytest.raises(RuntimeError, match="has no TCP port: it is closed"):
        _ = listener.port


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    async def accept(self) -> trio.abc.Stream:
        return trio.testing.memory_stream_pair()[0]

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def test_address_of_a_listener_without_a_socket() -> None:
    listener = TLSListener(MemoryListener(), CONFIG)
    assert listener.local_address is None
    with pytest.raises(RuntimeError, match=r"MemoryListener object .* not over a TCP socket"):
        _ = listener.port
    with pytest.raises(RuntimeError, match=r"MemoryListener object .* not over a socket"):
        _ = listener.socket
