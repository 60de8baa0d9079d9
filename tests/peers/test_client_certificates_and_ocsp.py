"""Client certificates and stapled OCSP responses, with other TLS programs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio
from cryptography.x509.ocsp import OCSPCertStatus
from ocsp_responses import DAY, GOOD, NOW, REVOKED, response
from processes import free_port, peer_program, run_program, running

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    ClientConfig,
    Credentials,
    Negotiated,
    ServerConfig,
    TLSStream,
    check_stapled_ocsp,
    open_tls_over_tcp_stream,
    serve_tls_over_tcp,
)
from trio_tlsx.testing import CA, write_pem_files

ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"


@pytest.fixture
def files(ca: CA, tmp_path: Path) -> tuple[Path, Path, Path]:
    """The CA, and a client's certificate and key."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.pem)
    return ca_file, *write_pem_files(ca.issue("client.example"), tmp_path)


@pytest.fixture(params=["TLSv1.3", "TLSv1.2"])
def version(request: pytest.FixtureRequest) -> str:
    """The only version of ours."""
    return request.param


@asynccontextmanager
async def serving(
    ca: CA, version: str, status: OCSPCertStatus = GOOD
) -> AsyncGenerator[tuple[int, list[Negotiated]], None]:
    """A server that staples and wants certificates: its port, and what it has settled."""
    leaf = ca.issue("localhost")
    # curl looks for the issuer among what was sent, where the root need not be.
    leaf = Credentials([*leaf.chain, ca.certificate], leaf.signer)
    staple = response(ca, leaf.chain[0], status)
    config = ServerConfig(
        versions=[version],
        credentials=leaf.stapling(staple),
        client_auth="required",
        client_trust=ca.trust,
    )
    settled: list[Negotiated] = []

    async def answer(stream: TLSStream[trio.SocketStream]) -> None:
        settled.append(stream.negotiated)
        try:
            async with stream:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += await stream.receive_some() or b"\r\n\r\n"
                await stream.send_all(ANSWER)
        except trio.BrokenResourceError:
            return

    async with trio.open_nursery() as nursery:
        serve = partial(serve_tls_over_tcp, answer, 0, config, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        yield listener.port, settled
        nursery.cancel_scope.cancel()


async def test_curl_with_client_certificate_and_ocsp(
    ca: CA, files: tuple[Path, Path, Path], version: str
) -> None:
    ca_file, cert, key = files
    curl = [peer_program("curl"), "-sS", "--tlsv1.2", "--cacert", ca_file, "--cert-status"]
    with_certificate = [*curl, "--cert", cert, "--key", key]
    async with serving(ca, version) as (port, settled):
        url = f"https://localhost:{port}/"
        result = await run_program(
            [*with_certificate, "--resolve", f"localhost:{port}:127.0.0.1", url]
        )
        assert (result.status, result.stdout) == (0, b"hello\n"), result.stderr
        [negotiated] = settled
        identity = negotiated.peer_identity
        assert identity is not None
        assert identity.dns_names == ("client.example",)
        refused = await run_program([*curl, url])
        assert refused.status != 0
        assert len(settled) == 1
    async with serving(ca, version, REVOKED) as (port, _):
        url = f"https://localhost:{port}/"
        result = await run_program(
            [*with_certificate, "--resolve", f"localhost:{port}:127.0.0.1", url]
        )
        assert result.status == 91  # CURLE_SSL_INVALIDCERTSTATUS


async def test_openssl_s_client_with_client_certificate_and_ocsp(
    ca: CA, files: tuple[Path, Path, Path], version: str
) -> None:
    ca_file, cert, key = files
    async with serving(ca, version) as (port, settled):
        command = [peer_program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}"]
        command += ["-servername", "localhost", "-status", "-CAfile", str(ca_file)]
        command += ["-verify_return_error", "-cert", str(cert), "-key", str(key), "-ign_eof"]
        result = await run_program(command, stdin=b"GET / HTTP/1.0\r\n\r\n")
        assert b"Cert Status: good" in result.stdout, result.stderr
        assert b"Acceptable client certificate CA names" in result.stdout
        assert b"hello\n" in result.stdout
        assert len(settled) == 1


async def test_gnutls_cli_with_client_certificate_and_ocsp(
    ca: CA, files: tuple[Path, Path, Path], version: str
) -> None:
    ca_file, cert, key = files
    async with serving(ca, version) as (port, settled):
        command = [peer_program("gnutls-cli", "gnutls-bin"), "--port", str(port), "--ocsp"]
        command += ["--x509cafile", str(ca_file), "--x509certfile", str(cert)]
        command += ["--x509keyfile", str(key), "--verify-hostname", "localhost", "127.0.0.1"]
        command += ["--sni-hostname", "localhost"]
        result = await run_program(command, stdin=b"GET / HTTP/1.0\r\n\r\n")
        assert b"Status: The certificate is trusted" in result.stdout, (
            result.stdout + result.stderr
        )
        assert len(settled) == 1


@dataclass(frozen=True)
class ServerProgram:
    """A server of somebody else's that staples and wants certificates.

    Attributes:
        name: of the program.
        package: what to install for it.
        options: how it is told, given the directory of its files and a port that is free.
        says: what it says once it listens.
        refuses_missing_in_12: its alert to a client of TLS 1.2 without a certificate.
        refuses_unknown, refuses_expired: its alerts to clients with certificates from a CA that it
            does not know, and with one that has expired.
    """

    name: str
    package: str
    options: Callable[[Path, int], Sequence[str | Path]]
    says: bytes
    refuses_missing_in_12: AlertDescription
    refuses_unknown: AlertDescription
    refuses_expired: AlertDescription

    @asynccontextmanager
    async def running(
        self, ca: CA, own: Path, status: OCSPCertStatus = GOOD
    ) -> AsyncGenerator[int, None]:
        """Serve, with files in a directory of its own; gives the port."""
        leaf = ca.issue("localhost")
        write_pem_files(leaf, own)
        (own / "ocsp.der").write_bytes(response(ca, leaf.chain[0], status))
        (own / "ca.pem").write_bytes(ca.pem)
        port = free_port()
        command = [peer_program(self.name, self.package), *self.options(own, port)]
        async with running(*command, says=self.says):
            yield port


def s_server_options(own: Path, port: int) -> Sequence[str | Path]:
    return [
        *("s_server", "-accept", f"127.0.0.1:{port}", "-www"),
        *("-cert", own / "cert.pem", "-key", own / "key.pem", "-CAfile", own / "ca.pem"),
        *("-status_file", own / "ocsp.der", "-Verify", "1", "-verify_return_error"),
    ]


def gnutls_serv_options(own: Path, port: int) -> Sequence[str | Path]:
    files = {"certfile": "cert.pem", "keyfile": "key.pem", "cafile": "ca.pem"}
    return [
        *("--port", str(port), "--http", "--require-client-cert", "--verify-client-cert"),
        *(f"--x509{option}={own / file}" for option, file in files.items()),
        *("--ocsp-response", own / "ocsp.der", "--ignore-ocsp-response-errors"),
    ]


SERVERS = [
    ServerProgram(
        "openssl",
        "openssl",
        s_server_options,
        b"ACCEPT",
        AlertDescription.handshake_failure,
        AlertDescription.unknown_ca,
        AlertDescription.certificate_expired,
    ),
    ServerProgram(
        "gnutls-serv",
        "gnutls-bin",
        gnutls_serv_options,
        b"listening",
        AlertDescription.decode_error,
        AlertDescription.access_denied,  # whatever the reason is
        AlertDescription.access_denied,
    ),
]


@pytest.fixture(params=SERVERS, ids=lambda program: program.name)
def program(request: pytest.FixtureRequest) -> ServerProgram:
    peer_program(request.param.name, request.param.package)
    return request.param


async def page(config: ClientConfig, port: int) -> bytes:
    """What the server answers."""
    stream = await open_tls_over_tcp_stream("localhost", port, config=config)
    try:
        await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
        return bytes(await stream.receive_some())
    finally:
        await trio.aclose_forcefully(stream)


async def test_server_program_that_staples_and_requests_a_certificate(
    ca: CA, program: ServerProgram, tmp_path: Path, version: str
) -> None:
    config = ClientConfig(
        versions=[version],
        trust=ca.trust,
        credentials=[CA("another").issue("other.example"), ca.issue("client.example")],
        verify=check_stapled_ocsp(must=True),
    )
    async with program.running(ca, tmp_path) as port:
        assert b"HTTP/1.0 200" in await page(config, port)


async def test_server_program_with_a_revoked_certificate(
    ca: CA, program: ServerProgram, tmp_path: Path, version: str
) -> None:
    config = ClientConfig(versions=[version], trust=ca.trust, verify=check_stapled_ocsp())
    async with program.running(ca, tmp_path, REVOKED) as port:
        with pytest.raises(trio.BrokenResourceError, match="was revoked") as refusal:
            await page(config, port)
        assert isinstance(refusal.value.__cause__, CertificateError)


async def test_server_program_that_rejects_our_certificate(
    ca: CA, program: ServerProgram, tmp_path: Path, version: str
) -> None:
    """In TLS 1.3 it says so with the first thing that we read: our handshake was over before."""
    missing = AlertDescription.certificate_required
    if version == "TLSv1.2":
        missing = program.refuses_missing_in_12
    expired = ca.issue("client.example", not_before=NOW - 2 * DAY, not_after=NOW - DAY)
    unknown = CA().issue("client.example")
    ours: list[tuple[Credentials | None, AlertDescription]] = [
        (None, missing),
        (unknown, program.refuses_unknown),
        (expired, program.refuses_expired),
    ]
    async with program.running(ca, tmp_path) as port:
        for credentials, alert in ours:
            # A list would be searched for what the server knows; a function is obeyed.
            config = ClientConfig(
                versions=[version], trust=ca.trust, select_credentials=lambda _, c=credentials: c
            )
            with pytest.raises(trio.BrokenResourceError) as refusal:
                await page(config, port)
            error = refusal.value.__cause__
            assert isinstance(error, AlertReceived)
            assert error.alert is alert
