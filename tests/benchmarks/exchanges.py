"""Exchanges between both ends of a connection, in one process over a socket pair."""

from __future__ import annotations

from typing import Any

import trio

from .on_trio import OnTrio
from .programs import PING, receive, send


async def connected(contender: OnTrio) -> tuple[Any, Any]:
    """Return both ends of a connection that was used once."""
    client, server = contender.pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, server)
        await client.send_all(PING)
        await receive(client, len(PING))
    return client, server


async def echo(server: Any) -> None:
    await receive(server, len(PING))
    await server.send_all(PING)


async def round_trip(client: Any, server: Any) -> None:
    """Send 100 octets there and back; neither end waits for the other."""
    for one, other in ((client, server), (server, client)):
        await one.send_all(PING)
        await receive(other, len(PING))


async def transfer(client: Any, server: Any, total: int, write_bytes: int) -> None:
    """Send from the client to the server."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, client, total, write_bytes)
        await receive(server, total)


async def connection(client: Any, server: Any) -> None:
    """Complete the handshake, echo and close."""

    async def serve() -> None:
        await echo(server)
        await server.receive_some()
        await server.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await client.send_all(PING)
        await receive(client, len(PING))
        await client.aclose()
