"""A client that sends early data, and a server that accepts it, over each transport."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from early_data_scenarios import EARLY, ReusingSessionStore
from tls_pairs import (
    SERVER_NAME,
    AnyStream,
    Transports,
)

from trio_tlsx import (
    ClientConfig,
    Connection,
    MemoryAntiReplayCache,
    ServerConfig,
    TicketKeys,
    TLSStream,
)
from trio_tlsx.testing import CA


class EarlyDataStreams:
    """A client that has a ticket of a server which takes early data."""

    def __init__(self, ca: CA, **server_options: Any) -> None:
        self.session_store = ReusingSessionStore()
        self.client = ClientConfig(
            trust=ca.trust, session_store=self.session_store, session_context=b"test"
        )
        options: dict[str, Any] = {
            "ticket_keys": TicketKeys([bytes(32)]),
            "max_early_data_size": 1000,
            "anti_replay_cache": MemoryAntiReplayCache(),
            **server_options,
        }
        self.server = ServerConfig(credentials=ca.issue(SERVER_NAME), **options)
        self.get_ticket()

    def get_ticket(self) -> None:
        client = Connection.client(self.client, SERVER_NAME)
        server = Connection.server(self.server)
        for _ in range(3):
            client.do_handshake()
            server.receive_data(client.data_to_send())
            server.do_handshake()
            client.receive_data(server.data_to_send())
        server.write(memoryview(b"x"))
        client.receive_data(server.data_to_send())
        assert client.read() == b"x"

    @asynccontextmanager
    async def pair(
        self, over: Transports, **options: Any
    ) -> AsyncGenerator[tuple[AnyStream, AnyStream], None]:
        """A client that sends early data, and a server; closed by force at the end."""
        pair = await over.connect()
        try:
            options = {"server_hostname": SERVER_NAME, "early_data": EARLY, **options}
            yield TLSStream(pair[0], self.client, **options), TLSStream(pair[1], self.server)
        finally:
            for transport in pair:
                await trio.aclose_forcefully(transport)

    def recorded(self) -> bytes:
        """The first flight of a client, taken down on its way."""
        client = Connection.client(self.client, SERVER_NAME, early_data=EARLY)
        client.do_handshake()
        return client.data_to_send()


LATER = b"and later"


async def receive_early(stream: TLSStream[Any], max_bytes: int | None = None) -> bytes:
    """All early data."""
    data = b""
    while piece := await stream.receive_replayable_early_data(max_bytes):
        assert max_bytes is None or len(piece) <= max_bytes
        data += piece
    return data


async def receive_exactly(stream: AnyStream, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        data += await stream.receive_some()
    return bytes(data)


async def at_once(*functions: Callable[[], Awaitable[object]]) -> None:
    async with trio.open_nursery() as nursery:
        for function in functions:
            nursery.start_soon(function)
