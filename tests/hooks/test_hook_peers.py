"""Client certificates and stapled OCSP responses, with other people's programs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from cryptography.x509.ocsp import OCSPCertStatus
from processes import peer_program, run_program
from test_revocation import GOOD, REVOKED, response

from trio_tlsx import (
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


@asynccontextmanager
async def serving(
    ca: CA, status: OCSPCertStatus = GOOD
) -> AsyncGenerator[tuple[int, list[Negotiated]], None]:
    """A server that staples and wants certificates: its port, and what it has settled."""
    leaf = ca.issue("localhost")
    # curl looks for the issuer among what was sent, where the root need not be.
    leaf = Credentials([*leaf.chain, ca.certificate], leaf.signer)
    staple = response(ca, leaf.chain[0], status)
    config = ServerConfig(
        credentials=leaf.stapling(staple), client_auth="required", client_trust=ca.trust
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
        yield listener.transport_listener.socket.getsockname()[1], settled
        nursery.cancel_scope.cancel()


async def test_curl(ca: CA, files: tuple[Path, Path, Path]) -> None:
    ca_file, cert, key = files
    curl = [peer_program("curl"), "-sS", "--tlsv1.3", "--cacert", ca_file, "--cert-status"]
    with_certificate = [*curl, "--cert", cert, "--key", key]
    async with serving(ca) as (port, settled):
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
    async with serving(ca, REVOKED) as (port, _):
        url = f"https://localhost:{port}/"
        result = await run_program(
            [*with_certificate, "--resolve", f"localhost:{port}:127.0.0.1", url]
        )
        assert result.status == 91  # CURLE_SSL_INVALIDCERTSTATUS


async def test_openssl_s_client(ca: CA, files: tuple[Path, Path, Path]) -> None:
    ca_file, cert, key = files
    async with serving(ca) as (port, settled):
        command = [peer_program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}"]
        command += ["-servername", "localhost", "-status", "-CAfile", str(ca_file)]
        command += ["-verify_return_error", "-cert", str(cert), "-key", str(key), "-ign_eof"]
        result = await run_program(command, stdin=b"GET / HTTP/1.0\r\n\r\n")
        assert b"Cert Status: good" in result.stdout, result.stderr
        assert b"Acceptable client certificate CA names" in result.stdout
        assert b"hello\n" in result.stdout
        assert len(settled) == 1


async def test_gnutls_cli(ca: CA, files: tuple[Path, Path, Path]) -> None:
    ca_file, cert, key = files
    async with serving(ca) as (port, settled):
        command = [peer_program("gnutls-cli", "gnutls-bin"), "--port", str(port), "--ocsp"]
        command += ["--x509cafile", str(ca_file), "--x509certfile", str(cert)]
        command += ["--x509keyfile", str(key), "--verify-hostname", "localhost", "127.0.0.1"]
        command += ["--sni-hostname", "localhost"]
        result = await run_program(command, stdin=b"GET / HTTP/1.0\r\n\r\n")
        assert b"Status: The certificate is trusted" in result.stdout, (
            result.stdout + result.stderr
        )
        assert len(settled) == 1


@asynccontextmanager
async def s_server(
    ca: CA, directory: Path, status: OCSPCertStatus = GOOD
) -> AsyncGenerator[int, None]:
    """``openssl s_server`` that staples and wants certificates; its port."""
    openssl = peer_program("openssl")
    leaf = ca.issue("localhost")
    own = directory / "server"
    own.mkdir()
    cert, key = write_pem_files(leaf, own)
    staple = own / "ocsp.der"
    staple.write_bytes(response(ca, leaf.chain[0], status))
    (own / "ca.pem").write_bytes(ca.pem)
    command = [openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", str(cert), "-key", str(key)]
    command += ["-status_file", str(staple), "-Verify", "1", "-verify_return_error"]
    command += ["-CAfile", str(own / "ca.pem"), "-www"]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(
                trio.run_process,
                command,
                stdin=b"",
                capture_stdout=False,
                check=False,
                stdout=-1,
                stderr=-2,
            )
        )
        text = b""
        while b"ACCEPT" not in text or not text.endswith(b"\n"):
            octet = await process.stdout.receive_some(1)
            assert octet, text
            text += octet
        yield int(text.split(b"ACCEPT")[1].strip().rpartition(b":")[2])
        nursery.cancel_scope.cancel()


async def test_openssl_s_server(ca: CA, tmp_path: Path) -> None:
    config = ClientConfig(
        trust=ca.trust,
        credentials=[CA("another").issue("other.example"), ca.issue("client.example")],
        verify=check_stapled_ocsp(must=True),
    )
    async with s_server(ca, tmp_path) as port:
        stream = await open_tls_over_tcp_stream("localhost", port, config=config)
        async with stream:
            await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
            assert b"HTTP/1.0 200" in await stream.receive_some()


async def test_openssl_s_server_with_a_revoked_certificate(ca: CA, tmp_path: Path) -> None:
    config = ClientConfig(trust=ca.trust, verify=check_stapled_ocsp())
    async with s_server(ca, tmp_path, REVOKED) as port:
        stream = await open_tls_over_tcp_stream("localhost", port, config=config)
        with pytest.raises(trio.BrokenResourceError, match="was revoked") as refusal:
            await stream.do_handshake()
        assert isinstance(refusal.value.__cause__, CertificateError)
        await trio.aclose_forcefully(stream)
