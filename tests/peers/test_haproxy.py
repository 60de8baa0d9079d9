"""haproxy, which terminates TLS in front of a server, or starts TLS to a server."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from authority import SERVER_NAME, Authority
from conversations import Tap, payload
from peer import SAFETY_NET
from processes import peer_program

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    ClientConfig,
    ServerConfig,
    TLSStream,
    Truncated,
)

A_BIT = 1000  # bytes
A_LOT = 2**20

CONFIGURATION = """\
global
    nbthread 1
    log stdout format raw daemon
defaults
    mode tcp
    log global
    option dontlog-normal
    error-log-format "failed: %[ssl_fc_err,and({reason})]"
    retries 0
    timeout connect {timeout}s
    timeout client {timeout}s
    timeout server {timeout}s
frontend front
    bind fd@{descriptor} {bind}
    default_backend back
backend back
    server back 127.0.0.1:{port} {server}
"""

#: The bits of OpenSSL's number of an error that are its reason. For an alert that came, that is
#: 1000 plus the alert's number.
REASON = 2**23 - 1
ALERT = 1000


@dataclass(frozen=True)
class HAProxy:
    """haproxy while it runs, between us and us.

    Attributes:
        process: the program.
        port: where it listens.
        back: where it connects to.
    """

    process: trio.Process
    port: int
    back: trio.SocketListener

    async def connect(self, tap: Tap | None = None) -> trio.abc.Stream:
        transport: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        return transport if tap is None else tap.over(transport)

    async def logged_error(self) -> int:
        """The number in the line that it writes about a connection that failed."""
        assert self.process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            line += await self.process.stdout.receive_some()
        _, _, number = line.partition(b"failed: ")
        return int(number)


@pytest.fixture
def haproxy() -> str:
    return peer_program("haproxy")


@asynccontextmanager
async def running_haproxy(
    program: str, directory: Path, *, bind: str = "", server: str = ""
) -> AsyncGenerator[HAProxy, None]:
    """Run haproxy with these options; it inherits the socket on which it listens."""
    [back] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    configuration = directory / "haproxy.cfg"
    with socket.create_server(("127.0.0.1", 0)) as front, trio.fail_after(SAFETY_NET):
        configuration.write_text(
            CONFIGURATION.format(
                descriptor=front.fileno(),
                bind=bind,
                port=back.socket.getsockname()[1],
                server=server,
                reason=REASON,
                timeout=SAFETY_NET,
            )
        )
        async with back, trio.open_nursery() as nursery:
            run = partial(
                trio.run_process,
                [program, "-db", "-f", str(configuration)],
                stdin=b"",
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                pass_fds=[front.fileno()],
            )
            process: trio.Process = await nursery.start(run)
            yield HAProxy(process, front.getsockname()[1], back)
            nursery.cancel_scope.cancel()


async def expect_end(stream: trio.abc.ReceiveStream) -> None:
    assert await stream.receive_some() == b""


async def expect_data(stream: trio.abc.ReceiveStream, data: bytes) -> None:
    received = b""
    while len(received) < len(data):
        more = await stream.receive_some()
        assert more, "the end came before the data"
        received += more
    assert received == data


async def send(sender: trio.abc.SendStream, receiver: trio.abc.ReceiveStream, size: int) -> None:
    """Send data from one end to the other; expect it there."""
    data = payload(size)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.send_all, data)
        await expect_data(receiver, data)


# haproxy as the server


@asynccontextmanager
async def serving(
    program: str, authority: Authority, directory: Path, *options: str
) -> AsyncGenerator[HAProxy, None]:
    """Have haproxy end TLS; what it decrypts goes to the listener ``back``."""
    certificate, key = authority.files()
    both = directory / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    bind = " ".join(["ssl", "crt", str(both), *options])
    async with running_haproxy(program, directory, bind=bind) as proxy:
        yield proxy


@asynccontextmanager
async def client_through(
    proxy: HAProxy, config: ClientConfig, *, tap: Tap | None = None, **options: Any
) -> AsyncGenerator[tuple[TLSStream[trio.abc.Stream], trio.SocketStream], None]:
    """A client of ours, and the plain connection that comes out of haproxy."""
    transport = await proxy.connect(tap)
    client = TLSStream(transport, config, server_hostname=SERVER_NAME, **options)
    try:
        await client.do_handshake()
        async with await proxy.back.accept() as plain:
            yield client, plain
    finally:
        await trio.aclose_forcefully(client)


async def refused_by_haproxy(proxy: HAProxy, config: ClientConfig) -> AlertDescription | None:
    """The alert that our client gets."""
    stream = TLSStream(await proxy.connect(), config, server_hostname=SERVER_NAME)
    with pytest.raises(trio.BrokenResourceError) as caught:
        await stream.receive_some()
    await stream.aclose()
    assert isinstance(caught.value.__cause__, AlertReceived)
    return caught.value.__cause__.alert


async def test_haproxy_with_much_data_and_resumption(
    haproxy: str, authority: Authority, tmp_path: Path
) -> None:
    config = ClientConfig(trust=authority.ca.trust)
    async with serving(haproxy, authority, tmp_path) as proxy:
        for resumed in (False, True):
            async with client_through(proxy, config) as (client, plain):
                await send(client, plain, A_LOT)
                await send(plain, client, A_LOT)
                await client.send_eof()
                await expect_end(plain)
                await plain.aclose()
                await expect_end(client)
                assert client.negotiated.resumed is resumed


async def test_haproxy_closes_first(haproxy: str, authority: Authority, tmp_path: Path) -> None:
    config = ClientConfig(trust=authority.ca.trust)
    async with (
        serving(haproxy, authority, tmp_path) as proxy,
        client_through(proxy, config) as (client, plain),
    ):
        await send(client, plain, A_BIT)
        await plain.send_eof()
        await expect_end(client)
        await client.aclose()
        await expect_end(plain)


async def test_haproxy_ends_without_close_notify(
    haproxy: str, authority: Authority, tmp_path: Path
) -> None:
    config = ClientConfig(trust=authority.ca.trust)
    async with (
        serving(haproxy, authority, tmp_path) as proxy,
        client_through(proxy, config) as (client, plain),
    ):
        await send(client, plain, A_BIT)
        proxy.process.kill()
        with pytest.raises(trio.BrokenResourceError) as caught:
            await client.receive_some()
    assert isinstance(caught.value.__cause__, Truncated)


async def test_haproxy_accepts_early_data(
    haproxy: str, authority: Authority, tmp_path: Path
) -> None:
    config = ClientConfig(trust=authority.ca.trust)
    async with serving(haproxy, authority, tmp_path, "allow-0rtt") as proxy:
        async with client_through(proxy, config) as (client, plain):
            await send(plain, client, A_BIT)
        async with client_through(proxy, config, early_data=b"early") as (client, plain):
            await expect_data(plain, b"early")
            assert client.negotiated.early_data_accepted


async def test_haproxy_asks_for_another_group(
    haproxy: str, authority: Authority, tmp_path: Path
) -> None:
    tap = Tap()
    config = ClientConfig(trust=authority.ca.trust, alpn_protocols=["other", "http/1.1"])
    options = ["curves", "P-384", "alpn", "http/1.1"]
    async with (
        serving(haproxy, authority, tmp_path, *options) as proxy,
        client_through(proxy, config, tap=tap) as (client, plain),
    ):
        await send(client, plain, A_BIT)
        assert client.negotiated.group == "secp384r1"
        assert client.negotiated.alpn_protocol == "http/1.1"
    assert tap.retried


async def test_haproxy_verifies_our_client(
    haproxy: str, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    trust = authority.ca.trust
    options = ["verify", "required", "ca-file", str(authority.ca_file)]
    async with serving(haproxy, authority, tmp_path, *options) as proxy:
        config = ClientConfig(trust=trust, credentials=authority.credentials())
        async with client_through(proxy, config) as (client, plain):
            await send(client, plain, A_BIT)
        alert = await refused_by_haproxy(proxy, ClientConfig(trust=trust))
        assert alert is AlertDescription.certificate_required
        config = ClientConfig(trust=trust, select_credentials=lambda _: stranger.credentials())
        assert await refused_by_haproxy(proxy, config) is AlertDescription.unknown_ca


@pytest.mark.parametrize(
    "alert", [AlertDescription.unknown_ca, AlertDescription.bad_certificate], ids=lambda a: a.name
)
async def test_we_refuse_haproxy(
    haproxy: str,
    authority: Authority,
    stranger: Authority,
    tmp_path: Path,
    alert: AlertDescription,
) -> None:
    wrong_ca = alert is AlertDescription.unknown_ca
    config = ClientConfig(trust=(stranger if wrong_ca else authority).ca.trust)
    name = SERVER_NAME if wrong_ca else "other.example"
    async with serving(haproxy, authority, tmp_path) as proxy:
        stream = TLSStream(await proxy.connect(), config, server_hostname=name)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await stream.do_handshake()
        await stream.aclose()
        assert await proxy.logged_error() == ALERT + alert
    assert isinstance(caught.value.__cause__, CertificateError)


# haproxy as the client


@asynccontextmanager
async def calling(
    program: str, trust: Path, directory: Path, *options: str, name: str = SERVER_NAME
) -> AsyncGenerator[HAProxy, None]:
    """Have haproxy begin TLS towards the listener ``back``."""
    verify = ["ssl", "verify", "required", "ca-file", str(trust), "sni", f"str({name})"]
    server = " ".join([*verify, *options])
    async with running_haproxy(program, directory, server=server) as proxy:
        yield proxy


@asynccontextmanager
async def server_behind(
    proxy: HAProxy, config: ServerConfig, tap: Tap | None = None
) -> AsyncGenerator[tuple[TLSStream[trio.abc.Stream], trio.SocketStream], None]:
    """A server of ours, and the plain connection that goes into haproxy."""
    async with await trio.open_tcp_stream("127.0.0.1", proxy.port) as plain:
        transport: trio.abc.Stream = await proxy.back.accept()
        if tap is not None:
            transport = tap.over(transport)
        server = TLSStream[trio.abc.Stream](transport, config)
        try:
            yield server, plain
        finally:
            await trio.aclose_forcefully(server)


async def test_haproxy_calls_with_much_data_and_resumption(
    haproxy: str, authority: Authority, tmp_path: Path
) -> None:
    config = ServerConfig(credentials=authority.credentials())
    async with calling(haproxy, authority.ca_file, tmp_path) as proxy:
        for resumed in (False, True):
            async with server_behind(proxy, config) as (server, plain):
                await send(plain, server, A_LOT)
                await send(server, plain, A_LOT)
                await plain.send_eof()
                await expect_end(server)
                await server.aclose()
                await expect_end(plain)
                assert server.negotiated.resumed is resumed
                assert server.negotiated.server_name == SERVER_NAME


async def test_we_close_before_haproxy(haproxy: str, authority: Authority, tmp_path: Path) -> None:
    config = ServerConfig(credentials=authority.credentials())
    async with (
        calling(haproxy, authority.ca_file, tmp_path) as proxy,
        server_behind(proxy, config) as (server, plain),
    ):
        await send(plain, server, A_BIT)
        await server.send_eof()
        await expect_end(plain)
        await plain.aclose()
        await expect_end(server)


async def test_haproxy_follows_a_hello_retry_request(
    haproxy: str, authority: Authority, tmp_path: Path
) -> None:
    tap = Tap()
    config = ServerConfig(
        credentials=authority.credentials(),
        groups=["secp384r1"],
        alpn_protocols=["h2", "http/1.1"],
    )
    options = ["alpn", "other,http/1.1"]
    async with (
        calling(haproxy, authority.ca_file, tmp_path, *options) as proxy,
        server_behind(proxy, config, tap) as (server, plain),
    ):
        await send(plain, server, A_BIT)
        assert server.negotiated.alpn_protocol == "http/1.1"
    assert tap.retried


async def test_haproxy_sends_a_client_certificate(
    haproxy: str, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.files()
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    config = ServerConfig(
        credentials=authority.credentials(),
        client_auth="required",
        client_trust=authority.ca.trust,
    )
    async with (
        calling(haproxy, authority.ca_file, tmp_path, "crt", str(both)) as proxy,
        server_behind(proxy, config) as (server, plain),
    ):
        await send(plain, server, A_BIT)
        leaf = authority.credentials().chain[0]
        assert server.negotiated.peer_certificates[0] == leaf


async def test_we_refuse_haproxy_without_certificate(
    haproxy: str, authority: Authority, tmp_path: Path
) -> None:
    config = ServerConfig(
        credentials=authority.credentials(),
        client_auth="required",
        client_trust=authority.ca.trust,
    )
    async with (
        calling(haproxy, authority.ca_file, tmp_path) as proxy,
        server_behind(proxy, config) as (server, plain),
    ):
        with pytest.raises(trio.BrokenResourceError) as caught:
            await server.do_handshake()
        await expect_end(plain)
    assert isinstance(caught.value.__cause__, CertificateError)
    assert caught.value.__cause__.alert is AlertDescription.certificate_required


@pytest.mark.parametrize("wrong", ["CA", "name"])
async def test_haproxy_refuses_our_server(
    haproxy: str, authority: Authority, stranger: Authority, tmp_path: Path, wrong: str
) -> None:
    trust = stranger.ca_file if wrong == "CA" else authority.ca_file
    name = "other.example" if wrong == "name" else SERVER_NAME
    config = ServerConfig(credentials=authority.credentials())
    async with (
        calling(haproxy, trust, tmp_path, name=name) as proxy,
        server_behind(proxy, config) as (server, _),
    ):
        with pytest.raises(trio.BrokenResourceError) as caught:
            await server.do_handshake()
    error = caught.value.__cause__
    assert isinstance(error, AlertReceived)
    # It checks the name itself, and then has no alert of its own.
    alerts = {"CA": AlertDescription.unknown_ca, "name": AlertDescription.internal_error}
    assert error.alert is alerts[wrong]
