"""A handshake as it goes by: who sent which messages when, and how large they were."""

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
from ..record.protection import HEADER_LENGTH, ContentType

__all__ = ["Timeline", "record_handshake"]

Direction: TypeAlias = Literal["sent", "received"]

CHUNK = 2**16


@dataclass
class Flight:
    """Messages that travelled together.

    Attributes:
        direction: as the client sees it.
        at: when it left or arrived, in seconds from the start.
        octets: the records.
        messages: the names of the handshake messages in them.
    """

    direction: Direction
    at: float
    octets: bytes
    messages: list[str]

    def labels(self) -> list[str]:
        """The messages, in braces if they were encrypted, as in RFC 9846 figure 1."""
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
    """A finished handshake.

    Attributes:
        flights: in the order in which they travelled.
        finished: when the client was done, in seconds from the start.
        engine: how much of that the client's engine took; the rest is the server's and the way.
    """

    flights: list[Flight]
    finished: float
    engine: float

    def draw(self, console: Console) -> None:
        """Draw it from top to bottom, the client on the left."""
        # Eighty columns hold it, also where a busy machine takes a tenth of a second.
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
            f"  {self.engine * 1e6:,.0f} µs of it are the client's engine; "
            "what stands in braces was encrypted"
        )


def content_types(octets: bytes) -> list[int]:
    """The content types of these records, as their headers say."""
    types: list[int] = []
    start = 0
    while start < len(octets):
        types.append(octets[start])
        length = int.from_bytes(octets[start + HEADER_LENGTH - 2 : start + HEADER_LENGTH])
        start += HEADER_LENGTH + length
    return types


async def record_handshake(
    transport: trio.SocketStream, config: ClientConfig, server_name: str
) -> tuple[Timeline, Negotiated]:
    """Drive a client's engine through a handshake and write down what goes by.

    This is the whole of what a driver does: ask the engine what it wants, see to that, ask again.
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
    async for _ in transport:  # until the server has ended its direction as well
        pass
    return timeline, connection.negotiated
