"""The example of OCSP stapling, with OpenSSL's responder and with clients that verify."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from processes import EXAMPLES, Result, free_port, peer_program, run_program, running

from trio_tlsx import ClientConfig, TrustStore, check_stapled_ocsp, open_tls_over_tcp_stream
from trio_tlsx.testing import CA, write_pem_files

PROGRAM = EXAMPLES / "ocsp_stapling.py"

CURLE_SSL_INVALIDCERTSTATUS = 91

VALID, REVOKED = "V", "R"  # in the index of a CA, as openssl-ca(1) writes it


class Responder:
    """``openssl ocsp``, for one certificate of a CA.

    Attributes:
        openssl: the program.
        cert, key: the files of that certificate, the CA's behind it, and of its key.
        ca_file: the CA's.
    """

    def __init__(self, openssl: str, ca: CA, directory: Path) -> None:
        self.openssl = openssl
        self._directory = directory
        self._port = free_port()
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_bytes(ca.pem)
        self._certificate = self._issue(ca)
        own = directory / "responder"
        own.mkdir()
        usage = [ExtendedKeyUsageOID.OCSP_SIGNING]
        self._own = write_pem_files(ca.issue("ocsp.example", extended_key_usage=usage), own)

    def _issue(self, ca: CA) -> x509.Certificate:
        url = x509.UniformResourceIdentifier(f"http://127.0.0.1:{self._port}/")
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, url)
        extension = x509.AuthorityInformationAccess([access])
        leaf = ca.issue("localhost", extensions=[(extension, False)])
        self.cert, self.key = write_pem_files(leaf, self._directory)
        self.cert.write_bytes(self.cert.read_bytes() + ca.pem)
        return leaf.chain[0]

    @asynccontextmanager
    async def running(self, status: str) -> AsyncGenerator[None, None]:
        """Answer that the certificate has this status, for as long as the block lasts."""
        since, until = ("261101000000Z", "491231235959Z")
        when = since if status == REVOKED else ""
        serial = f"{self._certificate.serial_number:040X}"
        index = self._directory / "index.txt"
        index.write_text(f"{status}\t{until}\t{when}\t{serial}\tunknown\t/CN=localhost\n")
        cert, key = self._own
        command = [self.openssl, "ocsp", "-index", index, "-port", str(self._port)]
        command += ["-rsigner", cert, "-rkey", key, "-CA", self.ca_file, "-nmin", "60"]
        async with running(*command, says=b"waiting"):
            yield


@pytest.fixture
def responder(tmp_path: Path) -> Responder:
    return Responder(peer_program("openssl"), CA(), tmp_path)


@pytest.fixture
def curl() -> str:
    return peer_program("curl")


@asynccontextmanager
async def serving(responder: Responder) -> AsyncGenerator[int, None]:
    async with running(sys.executable, PROGRAM, responder.cert, responder.key, "0") as server:
        yield server.port


async def call(responder: Responder, port: int) -> bytes:
    trust = TrustStore.from_pem_file(responder.ca_file)
    config = ClientConfig(trust=trust, verify=check_stapled_ocsp(must=True), resumption=False)
    stream = await open_tls_over_tcp_stream("localhost", port, config=config)
    async with stream:
        await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
        return await stream.receive_some()


async def s_client(responder: Responder, port: int) -> bytes:
    command = [responder.openssl, "s_client", "-connect", f"127.0.0.1:{port}", "-status"]
    result = await run_program([*command, "-CAfile", responder.ca_file, "-verify_return_error"])
    return result.stdout


async def with_curl(responder: Responder, curl: str, port: int) -> Result:
    command = [curl, "-sS", "--cacert", responder.ca_file, "--cert-status"]
    command += ["--resolve", f"localhost:{port}:127.0.0.1", f"https://localhost:{port}/"]
    return await run_program(command)


async def test_ocsp_responder_example_good(responder: Responder, curl: str) -> None:
    async with serving(responder) as port:
        async with responder.running(VALID):
            assert b"200 OK" in await call(responder, port)
            assert b"Cert Status: good" in await s_client(responder, port)
            assert (await with_curl(responder, curl, port)).stdout == b"hello\n"
        # The response is kept, and nobody needs the responder any more.
        assert b"200 OK" in await call(responder, port)


async def test_ocsp_responder_example_revoked(responder: Responder, curl: str) -> None:
    async with serving(responder) as port, responder.running(REVOKED):
        with pytest.raises(trio.BrokenResourceError, match="was revoked"):
            await call(responder, port)
        assert b"Cert Status: revoked" in await s_client(responder, port)
        refused = await with_curl(responder, curl, port)
        assert refused.status == CURLE_SSL_INVALIDCERTSTATUS


async def test_ocsp_responder_example_without_responder(responder: Responder, curl: str) -> None:
    async with serving(responder) as port:
        with pytest.raises(trio.BrokenResourceError, match="there is no OCSP response"):
            await call(responder, port)
        assert b"OCSP response: no response sent" in await s_client(responder, port)
        refused = await with_curl(responder, curl, port)
        assert refused.status == CURLE_SSL_INVALIDCERTSTATUS
