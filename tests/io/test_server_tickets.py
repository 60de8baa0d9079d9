"""Session tickets of servers that send no data, and clients that read nothing."""

from __future__ import annotations

import socket
import ssl
from dataclasses import replace

import pytest
import trio
from checkpoints import Cut, cut_everywhere
from tls_pairs import MEMORY, SERVER_NAME, SOCKET, Engine, connected

from trio_tlsx import (
    ClientConfig,
    ConnectionEvent,
    ServerConfig,
    TicketsSent,
    open_tls_over_tcp_listeners,
)
from trio_tlsx.testing import CA

#: More than a server takes in at once, and less than the kernel holds for it.
LENGTH = 300_000


def write_all_and_close(port: int, context: ssl.SSLContext) -> None:
    """A log source: it writes, never reads, and closes its socket."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LENGTH)
    plain.connect(("127.0.0.1", port))
    with context.wrap_socket(plain, server_hostname=SERVER_NAME) as client:
        client.sendall(bytes(LENGTH))


async def test_tickets_do_not_reset_a_client_that_never_reads(native: Engine, ca: CA) -> None:
    """The server is slow; tickets would be answered by a reset, which discards what has come."""
    context = ssl.create_default_context(cadata=ca.pem.decode())
    [listener] = await open_tls_over_tcp_listeners(0, native.server_config, host="127.0.0.1")
    async with listener, trio.open_nursery() as nursery:
        has_closed = trio.Event()

        @nursery.start_soon
        async def _() -> None:
            await trio.to_thread.run_sync(write_all_and_close, listener.port, context)
            has_closed.set()

        async with await listener.accept() as server:
            received = len(await server.receive_some(1))
            await has_closed.wait()
            with pytest.raises(trio.BrokenResourceError, match="close_notify"):  # noqa: PT012
                while True:
                    received += len(await server.receive_some(1000))
        assert received == LENGTH


async def session_after(engine: Engine, method: str) -> None:
    """A client has a ticket after the server has called the method, and no data."""
    async with connected(engine, MEMORY) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(getattr(server, method))
        with trio.fail_after(5):
            assert await client.wait_session_ticket() is client.session
            nursery.start_soon(client.receive_some)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("method", ["send_session_tickets", "send_eof", "aclose"])
async def test_tickets_of_a_server_that_sends_no_data(native: Engine, method: str) -> None:
    await session_after(native, method)


async def test_right_after_the_handshake(native: Engine) -> None:
    assert isinstance(native.server_config, ServerConfig)
    config = replace(native.server_config, tickets_after_handshake=True)
    await session_after(replace(native, server_config=config), "wait_send_all_might_not_block")


async def test_client_says_how_many_tickets_it_wants(native: Engine) -> None:
    events: list[ConnectionEvent] = []
    engine = native.with_client(versions=["TLSv1.3"], tickets_wanted=(3, 4)).with_server(
        versions=["TLSv1.3"], on_event=events.append
    )
    for _ in range(2):
        async with connected(engine, MEMORY) as (client, server):
            await server.send_all(b"data")
            assert await client.receive_some() == b"data"
    assert [event.count for event in events if isinstance(event, TicketsSent)] == [3, 4]


async def test_over_an_ssl_context(openssl: Engine, ca: CA) -> None:
    engine = replace(openssl, client_config=ClientConfig(trust=ca.trust))
    await session_after(engine, "send_session_tickets")
    async with connected(openssl, MEMORY) as (client, _):
        with pytest.raises(RuntimeError, match="only a server"):
            await client.send_session_tickets()


async def test_only_a_server_sends_tickets(native: Engine) -> None:
    async with connected(native, MEMORY) as (client, _):
        with pytest.raises(RuntimeError, match="only a server"):
            await client.send_session_tickets()


async def test_cancelled_anywhere(native: Engine) -> None:
    """Over a socket the tickets leave with the next send at the latest, once."""

    async def attempt(cut: Cut) -> None:
        async with connected(native, SOCKET) as (client, server):
            await cut(server.send_session_tickets)
            await server.send_session_tickets()
            await server.send_all(b"data")
            assert await client.receive_some() == b"data"
            assert client.session is not None

    await cut_everywhere(attempt)
