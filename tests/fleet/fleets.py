"""Fleets of servers in processes of their own, and their clients."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from processes import ROOT, peer_program
from tls_pairs import SERVER_NAME

from trio_tlsx import ClientConfig, Connection, ECHRejected, Session, TLSStream
from trio_tlsx.testing import CA, write_pem_files

SAFETY_NET = 60  # seconds: something hangs

PUBLIC_NAME = "public.example"

NODE = Path(__file__).with_name("node.py")

HAPROXY = """\
global
    nbthread 1
defaults
    mode tcp
    timeout connect 20s
    timeout client 60s
    timeout server 60s
frontend front
    bind fd@{descriptor}
    default_backend back
backend back
    balance roundrobin
{servers}
"""


@dataclass(frozen=True)
class Answer:
    """What a node told a client.

    Attributes:
        node: its name.
        resumed: whether the session was resumed.
        early: the early data that it accepted.
        hidden: whether the client's name was hidden.
    """

    node: str
    resumed: bool
    early: str
    hidden: bool


@dataclass(frozen=True)
class Report:
    """What a node has counted."""

    accepted: list[str]
    refusals: dict[str, int]
    cache: str | None
    keys: str | None


class NodeProcess:
    """A node.

    Attributes:
        port: where it listens.
    """

    def __init__(self, process: trio.Process, port: int) -> None:
        self._process = process
        self.port = port

    async def report(self) -> Report:
        """Have it report when it has no connection."""
        assert self._process.stdin is not None
        with trio.fail_after(SAFETY_NET):
            await self._process.stdin.send_all(b"\n")
            return Report(**json.loads(await read_line(self._process)))


async def kill(process: trio.Process) -> None:
    """End a process at once; on a busy machine one takes long to end by itself."""
    process.kill()


async def read_line(process: trio.Process) -> bytes:
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        data = await process.stdout.receive_some()
        assert data, "the node has ended"
        line += data
    return line


class Sessions:
    """A session store that keeps all sessions, and hands out each once, the newest first."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []

    def put(self, session: Session) -> None:
        self.sessions.append(session)

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        return self.sessions.pop() if self.sessions else None


class Fleet:
    """Nodes with the same name, certificate and key-encryption key, and a client of theirs.

    Attributes:
        nodes: the nodes by their names.
        front: the port of the proxy, if there is one.
        flights: how often each early data of the client may have been accepted by a node.
    """

    def __init__(self, directory: Path) -> None:
        self.ca = CA()
        credentials = self.ca.issue(SERVER_NAME, PUBLIC_NAME)
        self.certificate, self.key = write_pem_files(credentials, directory)
        self.wrapping = secrets.token_hex(32)
        self.nodes: dict[str, NodeProcess] = {}
        self.front = 0
        self.sessions = Sessions()
        self.client = ClientConfig(
            trust=self.ca.trust, session_store=self.sessions, session_context=b"fleet"
        )
        self.flights = 0

    async def start(self, nursery: trio.Nursery, name: str, **options: Any) -> None:
        """Start a node, and wait until it listens."""
        files = {"certificate": str(self.certificate), "key": str(self.key)}
        arguments = {"name": name, "wrapping": self.wrapping, **files, **options}
        run = partial(
            trio.run_process,
            [sys.executable, str(NODE), json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
            cwd=ROOT,
            deliver_cancel=kill,
        )
        with trio.fail_after(SAFETY_NET):
            process: trio.Process = await nursery.start(run)
            self.nodes[name] = NodeProcess(process, int(await read_line(process)))

    async def shares_keys(self) -> None:
        """Wait until all nodes know the shared ticket keys."""
        with trio.fail_after(SAFETY_NET):
            for node in self.nodes.values():
                while (await node.report()).keys is not None:
                    pass  # the machine is busy

    async def connect(
        self, port: int, early: str = "", client: ClientConfig | None = None
    ) -> Answer:
        """Connect, send early data if there is some, and return the answer.

        The node must see the client's own address, also behind a proxy.
        """
        config = self.client if client is None else client
        with trio.fail_after(SAFETY_NET):
            transport = await trio.open_tcp_stream("127.0.0.1", port)
            address = transport.socket.getsockname()
            options: dict[str, Any] = {"early_data": early.encode()} if early else {}
            stream = TLSStream(transport, config, server_hostname=SERVER_NAME, **options)
            async with stream:
                answer = b"".join([bytes(data) async for data in stream])
        fields = json.loads(answer)
        assert tuple(fields.pop("client")) == address
        return Answer(**fields)

    async def uses_ech(self, port: int, configs: bytes) -> None:
        """Connect with a hidden name, which the node must accept."""
        client = ClientConfig(trust=self.ca.trust, ech=configs, resumption=False)
        answer = await self.connect(port, client=client)
        assert answer.hidden

    async def has_ech_rejected(self, port: int, configs: bytes) -> bytes:
        """Connect with configurations that no node has; return those to try again with."""
        with pytest.raises(trio.BrokenResourceError) as caught:
            await self.uses_ech(port, configs)
        rejected = caught.value.__cause__
        assert isinstance(rejected, ECHRejected)
        assert rejected.retry_configs is not None
        return rejected.retry_configs

    def recorded(self) -> tuple[str, bytes]:
        """Return new early data, and a client's first flight with it."""
        early = f"flight {self.flights}"
        self.flights += 1
        session = self.sessions.sessions[-1]
        client = Connection.client(self.client, SERVER_NAME, early_data=early.encode())
        client.do_handshake()
        self.sessions.put(session)  # the client uses the ticket again
        return early, client.data_to_send()

    async def sent_until_accepted(self, times: int) -> tuple[str, bytes]:
        """Send new flights through the proxy, each that often at once, until one is accepted.

        If the machine is very busy, the one claim that Redis grants may come too late.
        """
        with trio.fail_after(SAFETY_NET):
            while True:
                early, flight = self.recorded()
                await replay_often([self.front], flight, times)
                if (await self.accepted())[early]:
                    return early, flight

    async def accepted(self) -> Counter[str]:
        """Return how often each early data was accepted, by all nodes together."""
        counted: Counter[str] = Counter()
        for node in self.nodes.values():
            counted.update((await node.report()).accepted)
        return counted


async def replay(port: int, flight: bytes) -> None:
    """Send a recorded flight, and wait until the server has answered it."""
    with trio.fail_after(SAFETY_NET):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(flight)
            assert await stream.receive_some(), "the server closed the connection"


async def replay_often(ports: Sequence[int], flight: bytes, times: int) -> None:
    """Replay a flight that often at the same time, over all ports in turn."""
    async with trio.open_nursery() as nursery:
        for number in range(times):
            nursery.start_soon(replay, ports[number % len(ports)], flight)


@asynccontextmanager
async def fleet_of(
    directory: Path, nodes: dict[str, dict[str, Any]]
) -> AsyncGenerator[Fleet, None]:
    """Nodes with these options, for as long as the block lasts."""
    directory.mkdir(parents=True, exist_ok=True)
    fleet = Fleet(directory)
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as starting:
            for name, options in nodes.items():
                starting.start_soon(partial(fleet.start, nursery, name, **options))
        yield fleet
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def behind_haproxy(fleet: Fleet, directory: Path) -> AsyncGenerator[None, None]:
    """Run haproxy in front of the fleet: TCP, in turn, with the PROXY protocol."""
    program = peer_program("haproxy")
    servers = "\n".join(
        f"    server {name} 127.0.0.1:{node.port} send-proxy-v2"
        for name, node in fleet.nodes.items()
    )
    with socket.create_server(("127.0.0.1", 0), backlog=512) as front:
        configuration = directory / "haproxy.cfg"
        configuration.write_text(HAPROXY.format(descriptor=front.fileno(), servers=servers))
        async with trio.open_nursery() as nursery:
            run = partial(
                trio.run_process,
                [program, "-db", "-f", str(configuration)],
                stdin=b"",
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                pass_fds=[front.fileno()],
                deliver_cancel=kill,
            )
            await nursery.start(run)
            fleet.front = front.getsockname()[1]
            yield
            nursery.cancel_scope.cancel()
