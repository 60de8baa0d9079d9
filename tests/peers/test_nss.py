"""NSS's own programs: ``tstclnt``, a client, and ``selfserv``, a server of HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from authority import SERVER_NAME, Authority
from conversations import Tap, payload
from nss_databases import NICKNAME, make_database
from nss_peer import GET, page
from peer import SAFETY_NET
from processes import Result, Server, free_port, peer_program, run_program, running

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    ClientConfig,
    ServerConfig,
    TLSStream,
    Truncated,
)
from trio_tlsx.testing import CA

A_LOT = 2**20  # bytes
BLOCK = 2**14  # what selfserv sends at a time

#: NSS's numbers for alerts that came.
UNKNOWN_CA_ALERT = b"error -12195:"
BAD_CERTIFICATE_ALERT = b"error -12271:"


@pytest.fixture(autouse=True)
def nss() -> None:
    for program in ("certutil", "pk12util", "tstclnt", "selfserv"):
        peer_program(program, "libnss3-tools")


@dataclass(frozen=True)
class Databases:
    """What NSS's programs read: one that has a certificate, and two that only trust a CA."""

    own: str
    trusting: str
    of_another_ca: str


@pytest.fixture(scope="module")
def databases(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    peer_program("certutil", "libnss3-tools")
    directory = tmp_path_factory.mktemp("nss")
    return Databases(
        make_database(directory / "own", authority.ca.pem, authority.files()),
        make_database(directory / "trusting", authority.ca.pem),
        make_database(directory / "another", CA("another CA").pem),
    )


# tstclnt


async def tstclnt(
    database: str, port: int, request: Path, *options: str, name: str = SERVER_NAME
) -> Result:
    """Run the client: it sends a file, prints what it gets, and ends when the server closes."""
    command = ["tstclnt", "-4", "-h", "127.0.0.1", "-p", str(port), "-d", database, "-a", name]
    return await run_program([*command, "-V", "tls1.3:tls1.3", "-v", "-A", request, *options])


class OurServer:
    """Our side of one run of ``tstclnt``.

    Attributes:
        result: what the client left behind; there once the block has ended.
    """

    result: Result

    def __init__(self, listener: trio.SocketListener, config: ServerConfig) -> None:
        self._listener = listener
        self._config = config
        self.tap = Tap()

    async def accept(self) -> TLSStream[Tap]:
        return TLSStream(self.tap.over(await self._listener.accept()), self._config)


@asynccontextmanager
async def called_by(
    database: str,
    config: ServerConfig,
    directory: Path,
    *options: str,
    data: bytes = GET,
    name: str = SERVER_NAME,
) -> AsyncGenerator[OurServer, None]:
    """Have ``tstclnt`` call us and send data."""
    request = directory / "request"
    request.write_bytes(data)
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = OurServer(listener, config)

    async def call() -> None:
        port = listener.socket.getsockname()[1]
        server.result = await tstclnt(database, port, request, *options, name=name)

    with trio.fail_after(SAFETY_NET):
        async with listener, trio.open_nursery() as nursery:
            nursery.start_soon(call)
            yield server


async def echo(stream: TLSStream[Tap], data: bytes = GET) -> None:
    """Expect what the client sends; send it back and close."""
    async with stream:
        received = b""
        while len(received) < len(data):
            more = await stream.receive_some()
            assert more, "the end came before the data"
            received += more
        assert received == data
        await stream.send_all(received)


async def failure(stream: TLSStream[Tap]) -> BaseException | None:
    """Handshake and read up to the error; return its cause."""
    with pytest.raises(trio.BrokenResourceError) as caught:
        await stream.receive_some()
    await stream.aclose()
    return caught.value.__cause__


async def test_tstclnt_with_much_data(
    databases: Databases, authority: Authority, tmp_path: Path
) -> None:
    config = ServerConfig(credentials=authority.credentials())
    data = payload(A_LOT)
    async with called_by(databases.trusting, config, tmp_path, data=data) as server:
        await echo(await server.accept(), data)
    assert (server.result.status, server.result.stdout) == (0, data)


async def test_tstclnt_follows_a_hello_retry_request(
    databases: Databases, authority: Authority, tmp_path: Path
) -> None:
    config = ServerConfig(credentials=authority.credentials(), groups=["secp384r1"])
    async with called_by(databases.trusting, config, tmp_path) as server:
        await echo(await server.accept())
    assert server.tap.retried
    assert server.result.stdout == GET


async def test_tstclnt_resumes(databases: Databases, authority: Authority, tmp_path: Path) -> None:
    config = ServerConfig(credentials=authority.credentials())
    resumed: list[bool] = []
    async with called_by(databases.trusting, config, tmp_path, "-u", "-L", "2") as server:
        for _ in range(2):
            stream = await server.accept()
            await echo(stream)
            resumed.append(stream.negotiated.resumed)
    assert resumed == [False, True]
    assert b"1 stateless resumes" in server.result.stderr


def requiring(authority: Authority) -> ServerConfig:
    return ServerConfig(
        credentials=authority.credentials(),
        client_auth="required",
        client_trust=authority.ca.trust,
    )


async def test_tstclnt_sends_a_client_certificate(
    databases: Databases, authority: Authority, tmp_path: Path
) -> None:
    config = requiring(authority)
    async with called_by(databases.own, config, tmp_path, "-n", NICKNAME) as server:
        stream = await server.accept()
        await echo(stream)
    assert stream.negotiated.peer_certificates[0] == authority.credentials().chain[0]


async def test_we_refuse_tstclnt_without_certificate(
    databases: Databases, authority: Authority, tmp_path: Path
) -> None:
    async with called_by(databases.trusting, requiring(authority), tmp_path) as server:
        error = await failure(await server.accept())
    assert isinstance(error, CertificateError)
    assert b"SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT" in server.result.stderr


async def test_tstclnt_refuses_our_ca(
    databases: Databases, authority: Authority, tmp_path: Path
) -> None:
    config = ServerConfig(credentials=authority.credentials())
    async with called_by(databases.of_another_ca, config, tmp_path) as server:
        error = await failure(await server.accept())
    assert isinstance(error, AlertReceived)
    assert error.alert is AlertDescription.unknown_ca
    assert b"SEC_ERROR_UNKNOWN_ISSUER" in server.result.stderr


async def test_tstclnt_refuses_our_name(
    databases: Databases, authority: Authority, tmp_path: Path
) -> None:
    config = ServerConfig(credentials=authority.credentials())
    other = "other.example"
    async with called_by(databases.trusting, config, tmp_path, name=other) as server:
        error = await failure(await server.accept())
    assert isinstance(error, AlertReceived)
    assert error.alert is AlertDescription.bad_certificate
    assert b"SSL_ERROR_BAD_CERT_DOMAIN" in server.result.stderr


async def test_tstclnt_closes_first(
    databases: Databases, authority: Authority, tmp_path: Path
) -> None:
    config = ServerConfig(credentials=authority.credentials())
    async with (
        called_by(databases.trusting, config, tmp_path, "-Q") as server,
        await server.accept() as stream,
    ):
        assert b"".join([data async for data in stream]) == GET
    assert server.result.status == 0


# selfserv


@dataclass(frozen=True)
class SelfServ:
    """The server while it runs."""

    port: int
    server: Server

    async def connect(self, config: ClientConfig, *, name: str = SERVER_NAME) -> TLSStream[Tap]:
        transport = Tap().over(await trio.open_tcp_stream("127.0.0.1", self.port))
        return TLSStream(transport, config, server_hostname=name)

    async def printed(self) -> bytes:
        """End the server; return what it has printed."""
        self.server.process.terminate()
        await self.server.read_output()
        return self.server.output


@asynccontextmanager
async def selfserv(databases: Databases, *options: str) -> AsyncGenerator[SelfServ, None]:
    """Run the server. It listens on every interface, and has no option for that."""
    port = free_port()
    command: Sequence[str] = ["selfserv", "-d", databases.own, "-n", NICKNAME, "-p", str(port)]
    command = [*command, "-V", "tls1.3:tls1.3", "-v", *options]
    with trio.fail_after(SAFETY_NET):
        async with running(*command, says=b"About to call accept") as server:
            yield SelfServ(port, server)


async def test_selfserv_resumes(databases: Databases, authority: Authority) -> None:
    config = ClientConfig(trust=authority.ca.trust)
    async with selfserv(databases, "-u") as server:
        for resumed in (False, True):
            stream = await server.connect(config)
            assert GET in await page(stream)
            assert stream.negotiated.resumed is resumed


async def test_selfserv_with_much_data(databases: Databases, authority: Authority) -> None:
    config = ClientConfig(trust=authority.ca.trust)
    async with selfserv(databases, "-g", str(A_LOT // BLOCK)) as server:
        assert len(await page(await server.connect(config))) >= A_LOT


async def test_selfserv_asks_for_another_group(databases: Databases, authority: Authority) -> None:
    config = ClientConfig(trust=authority.ca.trust)
    async with selfserv(databases, "-I", "P384") as server:
        stream = await server.connect(config)
        await page(stream)
    assert stream.negotiated.group == "secp384r1"
    assert stream.transport_stream.retried


async def test_selfserv_verifies_our_client(databases: Databases, authority: Authority) -> None:
    trust = authority.ca.trust
    async with selfserv(databases, "-r", "-r") as server:
        config = ClientConfig(trust=trust, credentials=authority.credentials())
        await page(await server.connect(config))
        error = await failure(await server.connect(ClientConfig(trust=trust)))
        assert isinstance(error, AlertReceived)
        assert error.alert is AlertDescription.certificate_required
        credentials = CA("another CA").issue("client.example")
        config = ClientConfig(trust=trust, select_credentials=lambda _: credentials)
        error = await failure(await server.connect(config))
        assert isinstance(error, AlertReceived)
        assert error.alert is AlertDescription.unknown_ca


async def test_we_refuse_selfserv(
    databases: Databases, authority: Authority, stranger: Authority
) -> None:
    async with selfserv(databases) as server:
        config = ClientConfig(trust=stranger.ca.trust)
        error = await failure(await server.connect(config))
        assert isinstance(error, CertificateError)
        config = ClientConfig(trust=authority.ca.trust)
        error = await failure(await server.connect(config, name="other.example"))
        assert isinstance(error, CertificateError)
        # Nothing says when it has read the second alert; the next page comes after that.
        await page(await server.connect(config))
        printed = await server.printed()
    assert UNKNOWN_CA_ALERT in printed
    assert BAD_CERTIFICATE_ALERT in printed


async def test_selfserv_ends_without_close_notify(
    databases: Databases, authority: Authority
) -> None:
    async with selfserv(databases, "-u") as server:
        stream = await server.connect(ClientConfig(trust=authority.ca.trust))
        await stream.wait_session_ticket()  # then it has read all that we sent
        server.server.process.kill()
        error = await failure(stream)
    assert isinstance(error, Truncated)
