"""Ciphertext that was read before TLS began, and plaintext that an attacker inserted there."""

from __future__ import annotations

import pytest
import trio
from tls_pairs import MEMORY, SOCKET, Engine, Transports

from trio_tlsx.errors import TLSError
from trio_tlsx.io.stream import TLSStream

#: What an attacker adds behind the client's STARTTLS (CVE-2011-0411), behind the server's answer,
#: and behind an SSLRequest or its answer (CVE-2021-23214, CVE-2021-23222).
PLAINTEXT = [
    b"RSET\r\nMAIL FROM:<a@b.example>\r\n",
    b"250 mail.example\r\n",
    b"\x00\x00\x00\x08\x00\x03\x00\x00",
    b"E\x00\x00\x00\x08SFATAL\x00\x00",
]


@pytest.mark.parametrize("piece", [1, 5, 100, 2**16])
async def test_received_ciphertext_on_a_server(
    engine: Engine, transports: Transports, piece: int
) -> None:
    client_end, server_end = await transports.connect()
    async with trio.open_nursery() as nursery:
        client = engine.client(client_end)
        nursery.start_soon(client.do_handshake)
        received = await server_end.receive_some(piece)
        server = engine.server(server_end, received=received)
        await server.do_handshake()
        nursery.start_soon(client.send_all, b"hello")
        assert await server.receive_some() == b"hello"
    await trio.aclose_forcefully(client)
    await trio.aclose_forcefully(server)


@pytest.mark.parametrize("over", [MEMORY, SOCKET], ids=lambda over: over.name)
@pytest.mark.parametrize("plaintext", PLAINTEXT)
@pytest.mark.parametrize("role", ["client", "server"])
async def test_plaintext_received_before_ends_the_connection(
    native: Engine, over: Transports, role: str, plaintext: bytes
) -> None:
    """The peer that follows is an honest one."""
    client_end, server_end = await over.connect()
    received = {role: plaintext}
    client = native.client(client_end, received=received.get("client", b""))
    server = native.server(server_end, received=received.get("server", b""))
    ends = {"client": client, "server": server}
    attacked = ends.pop(role)
    [honest] = ends.values()

    async def expect_failure(stream: TLSStream[trio.abc.Stream]) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect_failure, honest)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await attacked.receive_some()
        assert isinstance(caught.value.__cause__, TLSError)
        assert caught.value.__cause__.alert is not None
        await trio.aclose_forcefully(attacked)


async def test_what_unwrap_returns_can_be_received_by_the_next_stream(native: Engine) -> None:
    client_end, server_end = await SOCKET.connect()
    client, server = native.client(client_end), native.server(server_end)

    async def call() -> None:
        await client.do_handshake()
        below, rest = await client.unwrap()
        again = native.client(below, received=rest)
        await again.send_all(b"again")
        await trio.aclose_forcefully(again)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        assert await server.receive_some() == b""
        below, rest = await server.unwrap()
        again = native.server(below, received=rest)
        assert await again.receive_some() == b"again"
        await trio.aclose_forcefully(again)
