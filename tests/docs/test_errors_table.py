"""The table in docs/errors.md: each of its lines happens, on each engine that can."""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import re
import socket
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


# What a line of the table says


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


# What happens


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


@happens("the peer sent an unexpected message")
async def _(subject: Subject) -> Outcome:
    finished = b"\x14\0\0\x20" + bytes(32)
    return await meet_plain(
        subject.server_config(), b"\x16\3\3" + len(finished).to_bytes(2) + finished
    )


@happens("the peer sent a message that cannot be decoded")
async def _(subject: Subject) -> Outcome:
    hello = b"\1\0\0\4\3\3\0\0"
    return await meet_plain(subject.server_config(), b"\x16\3\1" + len(hello).to_bytes(2) + hello)


@happens("a record was modified in transit")
async def _(subject: Subject) -> Outcome:
    return await after_handshake(subject, b"\x17\3\3\0\x20" + bytes(32))


@happens("the peer sent a record that is too long")
async def _(subject: Subject) -> Outcome:
    return await after_handshake(subject, b"\x17\3\3\xff\xff" + bytes(2**16 - 1))


@happens("the peer does not speak TLS")
async def _(subject: Subject) -> Outcome:
    return await meet_plain(
        subject.server_config(), b"GET / HTTP/1.1\r\nHost: test.example\r\n\r\n"
    )


@happens("the two sides have no version in common")
async def _(subject: Subject) -> Outcome:
    config = subject.server_config()
    if isinstance(config, ssl.SSLContext):
        config.minimum_version = ssl.TLSVersion.TLSv1_3
    old = ssl.create_default_context(cadata=CA_OF_ALL.pem.decode())
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = old.wrap_bio(into, out, server_hostname=SERVER_NAME)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return await meet_plain(config, out.read())


@happens("the two sides have no key exchange group in common")
async def _(subject: Subject) -> Outcome:
    config = subject.server_config()
    if isinstance(config, ssl.SSLContext):
        config.set_ecdh_curve("secp384r1")
    else:
        config = dataclasses.replace(config, groups=["secp384r1"])
    return await meet(config, dataclasses.replace(NATIVE_CLIENT, groups=["secp256r1"]))


@happens("the two sides have no signature scheme in common")
async def _(subject: Subject) -> Outcome:
    return await meet(
        subject.server_config(),
        dataclasses.replace(NATIVE_CLIENT, signature_schemes=["rsa_pss_rsae_sha256"]),
    )


@happens("the two sides have no application protocol in common")
async def _(subject: Subject) -> Outcome:
    assert subject.native
    return await meet(
        dataclasses.replace(NATIVE_SERVER, alpn_protocols=["h2"]),
        dataclasses.replace(NATIVE_CLIENT, alpn_protocols=["http/1.1"]),
    )


@happens("`select_credentials` returned None for the server name")
async def _(subject: Subject) -> Outcome:
    assert subject.native
    return await meet(ServerConfig(select_credentials=lambda hello: None), NATIVE_CLIENT)


@happens(
    "the client has the wrong pre-shared key; "
    "or the server has only pre-shared keys, and none with the client's identity"
)
async def _(subject: Subject) -> Outcome:
    assert subject.native
    stranger = ExternalPSK(b"client 2", bytes(32))
    return await meet(ServerConfig(psks=[PSK]), ClientConfig(psks=[stranger]))


@happens("the client accepts only pre-shared keys, and the server has only certificates")
async def _(subject: Subject) -> Outcome:
    assert subject.native
    return await meet(ClientConfig(psks=[PSK]), NATIVE_SERVER)


@happens("the peer's certificate is from an untrusted CA")
async def _(subject: Subject) -> Outcome:
    return await meet(subject.client_config(trusting=CA()), NATIVE_SERVER)


def server_with(credentials: Credentials) -> ServerConfig:
    return ServerConfig(credentials=credentials)


@happens("the peer's certificate has expired")
async def _(subject: Subject) -> Outcome:
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    expired = CA_OF_ALL.issue(SERVER_NAME, not_before=now - 2 * day, not_after=now - day)
    return await meet(subject.client_config(), server_with(expired))


@happens("the server's certificate is for another name")
async def _(subject: Subject) -> Outcome:
    other = CA_OF_ALL.issue("other.example")
    return await meet(subject.client_config(), server_with(other))


@happens("the server requires a client certificate, and the client sent none")
async def _(subject: Subject) -> Outcome:
    config = subject.server_config()
    if isinstance(config, ssl.SSLContext):
        config.verify_mode = ssl.CERT_REQUIRED
    else:
        config = dataclasses.replace(config, client_auth="required", client_trust=CA_OF_ALL.trust)
    return await meet(config, NATIVE_CLIENT)


@happens("a hook or a signer of this side failed")
async def _(subject: Subject) -> Outcome:
    assert subject.native

    def select(hello: object) -> None:
        raise KeyError("the database")

    outcome = await meet(ServerConfig(select_credentials=select), NATIVE_CLIENT)
    assert outcome.error.__cause__ is not None
    assert isinstance(outcome.error.__cause__.__cause__, KeyError)
    return outcome


@happens("the peer rejected the connection, for example our certificate")
async def _(subject: Subject) -> Outcome:
    return await meet(
        subject.server_config(), dataclasses.replace(NATIVE_CLIENT, trust=CA().trust)
    )


@happens("the peer ended the connection during this side's handshake")
async def _(subject: Subject) -> Outcome:
    warnings = b"\x15\3\3\0\2\1\x5a" + b"\x15\3\3\0\2\1\0"
    outcome = await meet_plain(subject.server_config(), warnings)
    return dataclasses.replace(outcome, from_peer=("user_canceled", "close_notify"))


@happens("the peer closed the connection before it sent anything")
async def _(subject: Subject) -> Outcome:
    return await meet_plain(subject.server_config())


@happens("the transport ended without `close_notify`")
async def _(subject: Subject) -> Outcome:
    us, peer = await established(subject)
    await peer.transport_stream.aclose()
    return Outcome(await use(us))


@happens("the transport failed, for example by a reset")
async def _(subject: Subject) -> Outcome:
    ours, peer = await sockets()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await peer.aclose()
    return Outcome(await use(over(ours, subject.server_config())))


@happens("the handshake took longer than `handshake_timeout`")
async def _(subject: Subject) -> Outcome:
    ours, peer = await sockets()
    us = over(ours, subject.server_config(), handshake_timeout=0)
    return await use_against(us, peer)


@happens("this side cancelled the handshake midway")
async def _(subject: Subject) -> Outcome:
    ours, peer = await sockets()
    us = over(ours, subject.client_config())
    await blocked_and_cancelled(us.do_handshake)
    return await use_against(us, peer)


async def blocked_and_cancelled(
    function: Callable[..., Awaitable[object]], *arguments: Any
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(function, *arguments)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


@happens("`send_eof` or `unwrap` after a `send_all` that was cancelled midway")
async def _(subject: Subject) -> Outcome:
    us, peer = await established(subject)
    await blocked_and_cancelled(us.send_all, bytes(2**26))
    error = await failure(us.send_eof)
    assert type(await failure(us.unwrap)) is type(error)
    await us.aclose()
    peer_error = await use(peer)
    return Outcome(error, *alerts_of(peer_error))


@happens("`send_all` after another that was cancelled midway, over a transport that is no socket")
async def _(subject: Subject) -> Outcome:
    ours, theirs = trio.testing.lockstep_stream_pair()
    us, peer = over(ours, subject.server_config()), over(theirs, NATIVE_CLIENT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(us.do_handshake)
        nursery.start_soon(peer.do_handshake)
    await blocked_and_cancelled(us.send_all, bytes(2**20))
    error = await failure(us.send_all, b"x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(us.aclose)
        peer_error = await use(peer)
    return Outcome(error, *alerts_of(peer_error))


@happens("`unwrap` while received data is unread")
async def _(subject: Subject) -> Outcome:
    us, peer = await established(subject)
    await peer.send_all(b"x")
    error = await failure(us.unwrap)
    await us.aclose()
    assert await peer.receive_some() == b""
    await peer.aclose()
    return Outcome(error, to_peer=("close_notify",))


@happens("`send_all` after `send_eof`")
async def _(subject: Subject) -> Outcome:
    us, peer = await established(subject)
    await us.send_eof()
    error = await failure(us.send_all, b"x")
    assert await peer.receive_some() == b""
    await us.aclose()
    await peer.aclose()
    return Outcome(error, to_peer=("close_notify",))


@happens("any call after `aclose`")
async def _(subject: Subject) -> Outcome:
    us, peer = await established(subject)
    await us.aclose()
    error = await failure(us.receive_some)
    assert type(await failure(us.send_all, b"x")) is type(error)
    assert await peer.receive_some() == b""
    await peer.aclose()
    return Outcome(error, to_peer=("close_notify",))


@happens("two tasks call the same method concurrently")
async def _(subject: Subject) -> Outcome:
    us, peer = await established(subject)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(us.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError) as caught:
            await us.receive_some()
        await peer.send_all(b"to the first")
    await trio.aclose_forcefully(us)
    await trio.aclose_forcefully(peer)
    return Outcome(caught.value)


@happens("`negotiated` is read before the handshake")
async def _(subject: Subject) -> Outcome:
    ours, peer = await sockets()
    async with ours, peer:
        with pytest.raises(trio.NeedHandshakeError) as caught:
            _ = over(ours, subject.server_config()).negotiated
    return Outcome(caught.value)


# The table and what happens


def qualified(name: str) -> type[BaseException]:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module or "builtins"), attribute)


LINES = [("native", native_line(cells)) for cells in table()] + [
    ("openssl", line) for cells in table() if (line := openssl_line(cells)) is not None
]


def test_each_line_has_its_scenario() -> None:
    assert [cells[0] for cells in table()] == list(SCENARIOS)


@pytest.mark.parametrize(
    ("engine", "line"), LINES, ids=[f"{engine}: {line.what}" for engine, line in LINES]
)
async def test_line(engine: str, line: Line, tmp_path: Path) -> None:
    with trio.fail_after(SECONDS):
        seen = await SCENARIOS[line.what](Subject(engine, tmp_path))
    assert type(seen.error) is qualified(line.exception)
    assert str(seen.error)
    cause = seen.error.__cause__
    assert type(cause) is (qualified(line.cause) if line.cause else type(None))
    assert seen.to_peer == line.to_peer
    assert seen.from_peer == line.from_peer
    if isinstance(cause, TLSError) and cause.alert is not None:
        alerts = line.to_peer if cause.refused_by == "us" else line.from_peer
        assert cause.alert.name == alerts[-1]
