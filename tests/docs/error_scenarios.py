"""The rows of the table in docs/errors.md, and connections that end as a row describes."""

from __future__ import annotations

import dataclasses
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio
import trio.testing
from processes import ROOT

from trio_tlsx import ClientConfig, Credentials, ExternalPSK, ServerConfig, TLSError, TLSStream
from trio_tlsx.errors import AlertDescription
from trio_tlsx.testing import CA, write_pem_files

SERVER_NAME = "test.example"


SECONDS = 10  # something hangs


ALERT = 21  # the record type


Config: TypeAlias = ClientConfig | ServerConfig | ssl.SSLContext


Stream: TypeAlias = TLSStream[trio.abc.Stream]


CA_OF_ALL = CA()


NATIVE_CLIENT = ClientConfig(trust=CA_OF_ALL.trust)


PSK = ExternalPSK(b"client 1", bytes(32))


NATIVE_SERVER = ServerConfig(credentials=CA_OF_ALL.issue(SERVER_NAME))


@dataclass(frozen=True)
class Line:
    """One line, for one of the engines."""

    what: str
    exception: str
    cause: str
    to_peer: tuple[str, ...]
    from_peer: tuple[str, ...]


CELL_OF_NAME = re.compile(r"\{exc\}`~?([\w.]+)`")


CELL_OF_ALERT = re.compile(r"(?<!\})`(\w+)`")


def table() -> list[list[str]]:
    """The cells of each line of the table, without its head."""
    text = (ROOT / "docs" / "errors.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def native_line(cells: Sequence[str]) -> Line:
    what, exception, cause, to_peer, from_peer, _ = cells
    return Line(
        what,
        "".join(CELL_OF_NAME.findall(exception)),
        "".join(CELL_OF_NAME.findall(cause)),
        tuple(CELL_OF_ALERT.findall(to_peer)),
        tuple(CELL_OF_ALERT.findall(from_peer)),
    )


def openssl_line(cells: Sequence[str]) -> Line | None:
    """The same with what the last cell says otherwise; None if OpenSSL cannot."""
    line, differently = native_line(cells), cells[-1]
    if differently == "does not happen":
        return None
    if cause := "".join(CELL_OF_NAME.findall(differently)):
        line = dataclasses.replace(line, cause=cause)
    if "no alert" in differently:
        line = dataclasses.replace(line, to_peer=())
    elif alerts := CELL_OF_ALERT.findall(differently):
        line = dataclasses.replace(line, to_peer=tuple(alerts))
    return line


@dataclass(frozen=True)
class Subject:
    """The side that the table calls "we", over one of the engines."""

    engine: str
    directory: Path

    @property
    def native(self) -> bool:
        return self.engine == "native"

    def client_config(self, trusting: CA = CA_OF_ALL) -> ClientConfig | ssl.SSLContext:
        if self.native:
            return ClientConfig(trust=trusting.trust)
        return ssl.create_default_context(cadata=trusting.pem.decode())

    def server_config(self, credentials: Credentials | None = None) -> ServerConfig | Any:
        credentials = credentials or CA_OF_ALL.issue(SERVER_NAME)
        if self.native:
            return ServerConfig(credentials=credentials)
        context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cadata=CA_OF_ALL.pem.decode()
        )
        context.load_cert_chain(*write_pem_files(credentials, self.directory))
        return context


@dataclass
class Outcome:
    """What was seen of one line."""

    error: Exception
    to_peer: tuple[str, ...] = ()
    from_peer: tuple[str, ...] = ()


Scenario: TypeAlias = Callable[[Subject], Awaitable[Outcome]]


SCENARIOS: dict[str, Scenario] = {}


def happens(what: str) -> Callable[[Scenario], Scenario]:
    """This makes that line of the table happen."""

    def register(scenario: Scenario) -> Scenario:
        SCENARIOS[what] = scenario
        return scenario

    return register


async def sockets() -> tuple[trio.SocketStream, trio.SocketStream]:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        client = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        return client, await listener.accept()


def over(transport: trio.abc.Stream, config: Config, **options: Any) -> Stream:
    """A client, or a server, by what the configuration is for."""
    is_client = isinstance(config, ClientConfig) or (
        isinstance(config, ssl.SSLContext) and config.protocol is ssl.PROTOCOL_TLS_CLIENT
    )
    if is_client:
        return TLSStream(transport, config, server_hostname=SERVER_NAME, **options)
    return TLSStream(transport, config, server_side=True, **options)


async def failure(function: Callable[..., Awaitable[object]], *arguments: Any) -> Exception:
    """What it raises."""
    with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)) as caught:
        await function(*arguments)
    return caught.value


async def use(stream: Stream) -> Exception:
    """Do the handshake and receive until that fails."""
    try:
        await stream.do_handshake()
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError as error:
        return error
    finally:
        await stream.aclose()
    raise AssertionError("it did not fail")


async def meet(us: Config, peer: Config) -> Outcome:
    """Let both sides do the handshake and receive; the peer's is the native engine."""
    our_transport, peer_transport = await sockets()
    errors: dict[str, Exception] = {}

    async def run(who: str, transport: trio.SocketStream, config: Config) -> None:
        errors[who] = await use(over(transport, config))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, "we", our_transport, us)
        nursery.start_soon(run, "peer", peer_transport, peer)
    return Outcome(errors["we"], *alerts_of(errors["peer"]))


def alerts_of(peer_error: Exception) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the peer got, and what it sent."""
    cause = peer_error.__cause__
    assert isinstance(cause, TLSError)
    alerts = () if cause.alert is None else (cause.alert.name,)
    return (alerts, ()) if cause.refused_by == "peer" else ((), alerts)


async def established(subject: Subject, **options: Any) -> tuple[Stream, Stream]:
    """Us, a server, and a client of the native engine after their handshake."""
    our_transport, peer_transport = await sockets()
    us = over(our_transport, subject.server_config(), **options)
    peer = over(peer_transport, NATIVE_CLIENT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(us.do_handshake)
        nursery.start_soon(peer.do_handshake)
    return us, peer


async def meet_plain(config: Config, data: bytes = b"") -> Outcome:
    """We meet a peer that says ``data`` in the clear, and no more."""
    ours, peer = await sockets()
    if data:
        await peer.send_all(data)
    await peer.send_eof()
    return await use_against(over(ours, config), peer)


async def use_against(us: Stream, peer: trio.SocketStream) -> Outcome:
    """Use our stream, and see which alerts come in the clear up to the end."""
    received = bytearray()

    async def receive_and_close() -> None:
        async with peer:
            async for data in peer:
                received.extend(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive_and_close)
        error = await use(us)
    alerts: list[str] = []
    while received:
        end = 5 + int.from_bytes(received[3:5])
        if received[0] == ALERT:
            alerts.append(AlertDescription(received[6]).name)
        del received[:end]
    return Outcome(error, tuple(alerts))


async def after_handshake(subject: Subject, record: bytes) -> Outcome:
    """We, a server, get this record after the handshake."""
    us, peer = await established(subject)
    await peer.transport_stream.send_all(record)
    peer_errors: list[Exception] = []

    async def use_peer() -> None:
        peer_errors.append(await use(peer))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use_peer)
        error = await use(us)
    return Outcome(error, *alerts_of(*peer_errors))


def server_with(credentials: Credentials) -> ServerConfig:
    return ServerConfig(credentials=credentials)


async def blocked_and_cancelled(
    function: Callable[..., Awaitable[object]], *arguments: Any
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(function, *arguments)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
