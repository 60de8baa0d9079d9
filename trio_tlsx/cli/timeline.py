"""Record a handshake: the messages of each flight, their time and their size."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal, TypeAlias

import click
import trio
from rich import box
from rich.console import Console
from rich.table import Table

from ..config.client import ClientConfig
from ..engine.connection import Connection
from ..handshake.wants import Want
from ..pki.negotiated import Negotiated
from ..record.protection import RECORD_HEADER_LENGTH, ContentType

__all__ = ["Timeline", "record_handshake"]

Direction: TypeAlias = Literal["sent", "received"]

CHUNK = 2**16


@dataclass
class Flight:
    """Messages that were sent together.

    Attributes:
        direction: the direction from the client's point of view.
        at: the time when the flight was sent or received, in seconds from the start.
        octets: the records.
        messages: the names of the handshake messages in the records.
    """

    direction: Direction
    at: float
    octets: bytes
    messages: list[str]

    def labels(self) -> list[str]:
        """Return the messages; encrypted ones are in braces, as in RFC 9846 figure 1."""
        messages = iter(self.messages)
        labels: list[str] = []
        for content_type in content_types(self.octets):
            if content_type == ContentType.handshake:
                labels.append(next(messages, "?"))
            elif content_type == ContentType.change_cipher_spec:
                labels.append("(ChangeCipherSpec)")
        return labels + [f"{{{message}}}" for message in messages]


@dataclass
class Timeline:
    """A complete handshake.

    Attributes:
        flights: the flights, in order.
        finished: the time when the client was finished, in seconds from the start.
        engine: the part of that time that the client's engine used, in seconds. The rest is the
            server and the network.
    """

    flights: list[Flight]
    finished: float
    engine: float

    def draw(self, console: Console) -> None:
        """Draw the flights from top to bottom, the client on the left."""
        # The table fits into 80 columns, even if a busy machine needs a tenth of a second.
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("µs", justify="right", style="cyan", no_wrap=True)
        table.add_column("client", no_wrap=True)
        table.add_column("on the wire", justify="center", no_wrap=True)
        table.add_column("server", no_wrap=True)
        for flight in self.flights:
            records = len(content_types(flight.octets))
            size = f"{len(flight.octets):,} B, {records} record{'s'[: records > 1]}"
            labels = "\n".join(flight.labels())
            at = f"{flight.at * 1e6:,.0f}"
            if flight.direction == "sent":
                table.add_row(at, labels, f"─ {size} ─▶", "")
            else:
                table.add_row(at, "", f"◀─ {size} ─", labels)
        table.add_row(f"{self.finished * 1e6:,.0f}", "finished", "", "")
        console.print(table)
        console.print(
            f"  {self.engine * 1e6:,.0f} µs of this in the client's engine; "
            "messages in braces are encrypted"
        )


def content_types(octets: bytes) -> list[int]:
    """Return the content types of the records, from their headers."""
    types: list[int] = []
    start = 0
    while start < len(octets):
        types.append(octets[start])
        length = int.from_bytes(
            octets[start + RECORD_HEADER_LENGTH - 2 : start + RECORD_HEADER_LENGTH]
        )
        start += RECORD_HEADER_LENGTH + length
    return types


async def record_handshake(
    transport: trio.SocketStream, config: ClientConfig, server_name: str
) -> tuple[Timeline, Negotiated]:
    """Drive a client's engine through a handshake, and record the flights.

    This is a complete driver: it asks the engine what it needs, provides that, and asks again.
    """
    flights: list[Flight] = []
    names: dict[Direction, list[str]] = {"sent": [], "received": []}

    def observe(direction: Direction, message: str, length: int) -> None:
        # client_hello is ClientHello in the RFC's text
        names[direction].append("".join(word.capitalize() for word in message.split("_")))

    engine_time = 0.0
    start = time.perf_counter()
    connection = Connection.client(config, server_name, observer=observe)
    while True:
        asked = time.perf_counter()
        want = connection.do_handshake()
        engine_time += time.perf_counter() - asked
        if want is Want.NOTHING:
            timeline = Timeline(flights, time.perf_counter() - start, engine_time)
            break
        if want is Want.WRITE:
            octets = connection.data_to_send()
            flights.append(
                Flight("sent", time.perf_counter() - start, octets, names["sent"].copy())
            )
            names["sent"].clear()
            await transport.send_all(octets)
        elif want is Want.READ:
            octets: bytes = await transport.receive_some(CHUNK)
            at = time.perf_counter() - start
            if flights[-1].direction == "received":
                flights[-1].octets += octets
            else:
                names["received"] = []
                flights.append(Flight("received", at, octets, names["received"]))
            connection.receive_data(octets)
        else:
            raise click.ClickException(f"the client asked a question: {want!r}")
    connection.shutdown()
    await transport.send_all(connection.data_to_send())
    async for _ in transport:  # until the server closes its direction too
        pass
    return timeline, connection.negotiated
