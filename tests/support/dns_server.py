"""An authoritative DNS server on loopback, over UDP and TCP."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import dns.asyncresolver
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import trio
from dns.rcode import NXDOMAIN, Rcode
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rrset import RRset, from_text

from trio_tlsx.contrib.dns import resolver_at

HOST = "127.0.0.1"
TTL = 60
MAX_CNAMES = 4

#: A name and the type of its records.
Question = tuple[dns.name.Name, dns.rdatatype.RdataType]


def question(name: str, kind: str) -> Question:
    return dns.name.from_text(name), dns.rdatatype.from_text(kind)


def ech_parameter(config_list: bytes) -> str:
    return f'ech="{base64.b64encode(config_list).decode()}"'


@dataclass
class DNSServer:
    """The records of a server, and the faults that it has on purpose.

    Attributes:
        rrsets: its records.
        rcodes: the questions that are answered with an error.
        silent: the questions that are not answered.
        truncates: whether answers over UDP have no records, so that the client asks over TCP.
        before: makes packets that are sent before the answer over UDP.
        sender: sends them; by default the server's own socket.
        over_tcp: makes what is sent over TCP from the answer with its length.
        hangs_after_answer: whether connections over TCP stay open after the answer.
        asked: the questions that came, with the transport.
    """

    rrsets: dict[Question, RRset] = field(default_factory=dict[Question, RRset])
    rcodes: dict[Question, Rcode] = field(default_factory=dict[Question, Rcode])
    silent: set[Question] = field(default_factory=set[Question])
    truncates: bool = False
    before: Callable[[dns.message.Message], list[bytes]] = lambda _: []
    sender: trio.socket.SocketType | None = None
    over_tcp: Callable[[bytes], bytes] = lambda answer: answer
    hangs_after_answer: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    port: int = 0

    def add(self, name: str, kind: str, *texts: str) -> None:
        """Add the records of a name, as zone files have them."""
        self.rrsets[question(name, kind)] = from_text(name + ".", TTL, "IN", kind, *texts)

    def add_raw(self, name: str, kind: str, *values: bytes) -> None:
        """Add records of any content."""
        owner, rdtype = question(name, kind)
        rrset = RRset(owner, dns.rdataclass.IN, rdtype)
        rrset.update_ttl(TTL)
        for value in values:
            rrset.add(dns.rdata.GenericRdata(dns.rdataclass.IN, rdtype, value))
        self.rrsets[owner, rdtype] = rrset

    def questions(self, kind: str) -> list[str]:
        """Return the names whose records of a type were asked for."""
        return [name for name, asked, _ in self.asked if asked == kind]

    def resolver(self) -> dns.asyncresolver.Resolver:
        """Return a resolver that asks this server."""
        return resolver_at(HOST, self.port)

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        (asked,) = query.question
        key = asked.name, asked.rdtype
        kind = dns.rdatatype.to_text(asked.rdtype)
        self.asked.append((asked.name.to_text(omit_final_dot=True), kind, transport))
        if key in self.silent:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        if key in self.rcodes:
            response.set_rcode(self.rcodes[key])
        elif self.truncates and transport == "UDP":
            response.flags |= dns.flags.TC
        else:
            self._fill(response, *key)
        return response.to_wire(max_size=2**16 - 1)

    def _fill(
        self, response: dns.message.Message, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> None:
        for _ in range(MAX_CNAMES):
            cname = self.rrsets.get((name, dns.rdatatype.CNAME))
            if cname is None:
                break
            response.answer.append(cname)
            name = cast("CNAME", next(iter(cname))).target
        if rrset := self.rrsets.get((name, rdtype)):
            response.answer.append(rrset)
        elif not any(known == name for known, _ in self.rrsets):
            response.set_rcode(NXDOMAIN)

    async def serve_udp(self, sock: trio.socket.SocketType) -> None:
        while True:
            wire, address = await sock.recvfrom(2**16)
            for packet in self.before(dns.message.from_wire(wire)):
                await (self.sender or sock).sendto(packet, address)
            if (answer := self.answer(wire, "UDP")) is not None:
                await sock.sendto(answer, address)

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Answer one question over TCP, or over TLS over it."""
        received = bytearray()
        async with stream:
            async for data in stream:
                received += data
                if len(received) >= 2 and len(received) - 2 == int.from_bytes(received[:2]):
                    break
            if answer := self.answer(bytes(received[2:]), "TCP"):
                await stream.send_all(self.over_tcp(len(answer).to_bytes(2) + answer))
            if self.hangs_after_answer:
                await trio.sleep_forever()


@asynccontextmanager
async def running_dns() -> AsyncGenerator[DNSServer]:
    """A server without records."""
    server = DNSServer()
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host=HOST)
        server.port = listener.socket.getsockname()[1]
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            await sock.bind((HOST, server.port))
            nursery.start_soon(server.serve_udp, sock)
            nursery.start_soon(partial(trio.serve_listeners, server.serve_stream, [listener]))
            yield server
            nursery.cancel_scope.cancel()
