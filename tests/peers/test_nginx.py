"""nginx as the server: OpenSSL in a web server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio
from authority import RSA_PSS, SERVER_NAME, Authority
from conversations import Tap, payload
from ocsp_responses import GOOD, REVOKED, response
from peer import SAFETY_NET
from processes import Server, free_port, peer_program, running

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    ClientConfig,
    TLSStream,
    Truncated,
    check_stapled_ocsp,
)
from trio_tlsx.crypto.cipher_suites12 import CIPHER_SUITES_12

A_LOT = 2**20  # bytes

CONFIGURATION = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr info;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 2m;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols {version};
        {options}
        location / {{
            return 200 "early=$ssl_early_data resumed=$ssl_session_reused client=$ssl_client_s_dn";
        }}
        location /files/ {{
            root {directory};
            dav_methods PUT;
            create_full_put_path on;
        }}
    }}
}}
"""

GET = b"GET / HTTP/1.0\r\n\r\n"
GET_AND_STAY = b"GET / HTTP/1.1\r\nHost: test.example\r\n\r\n"


@dataclass(frozen=True)
class Nginx:
    """nginx while it runs."""

    port: int
    server: Server

    async def connect(
        self, config: ClientConfig, *, name: str = SERVER_NAME, tap: Tap | None = None
    ) -> TLSStream[trio.abc.Stream]:
        transport: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        if tap is not None:
            transport = tap.over(transport)
        return TLSStream(transport, config, server_hostname=name)

    async def log(self) -> bytes:
        """End nginx; return what it has written."""
        self.server.process.terminate()
        await self.server.read_output()
        return self.server.output


@pytest.fixture
def nginx() -> str:
    return peer_program("nginx", "nginx-light")


@asynccontextmanager
async def serving(
    program: str,
    authority: Authority,
    directory: Path,
    *options: str,
    version: str = "TLSv1.3",
    key_type: str = "P-256",
) -> AsyncGenerator[Nginx, None]:
    """Run nginx with options of its ``server`` block."""
    certificate, key = authority.files(key_type)
    port = free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            directory=directory,
            port=port,
            certificate=certificate,
            key=key,
            version=version,
            options="\n        ".join(f"{option};" for option in options),
        )
    )
    command = [program, "-e", "stderr", "-p", directory, "-c", configuration]
    with trio.fail_after(SAFETY_NET):
        async with running(*command, says=b"OS: ") as server:
            yield Nginx(port, server)


async def answer_to(stream: TLSStream[trio.abc.Stream], request: bytes) -> bytes:
    """Send a request; return all of the answer. nginx closes first."""
    async with stream:
        await stream.send_all(request)
        return b"".join([data async for data in stream])


async def exchange(stream: TLSStream[trio.abc.Stream], request: bytes = GET) -> bytes:
    """Send a request; return the body of the answer."""
    answer = await answer_to(stream, request)
    headers, _, body = answer.partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 20"), answer
    return body


def trusting(authority: Authority) -> ClientConfig:
    return ClientConfig(trust=authority.ca.trust)


each_version = pytest.mark.parametrize("version", ["TLSv1.3", "TLSv1.2"])


@each_version
async def test_nginx_page_and_resumption(
    nginx: str, authority: Authority, tmp_path: Path, version: str
) -> None:
    config = trusting(authority)
    async with serving(nginx, authority, tmp_path, version=version) as server:
        for resumed in (b".", b"r"):
            stream = await server.connect(config)
            assert await exchange(stream) == b"early= resumed=" + resumed + b" client="
            assert stream.negotiated.resumed is (resumed == b"r")
            assert stream.negotiated.version == version


@pytest.mark.parametrize("key_type", ["P-256", "P-384", "ed25519", "RSA-2048", RSA_PSS])
async def test_nginx_with_each_suite_of_tls12(
    nginx: str, authority: Authority, tmp_path: Path, key_type: str
) -> None:
    kind = "RSA" if key_type in ("RSA-2048", RSA_PSS) else "ECDSA"
    suites = [suite.name for suite in CIPHER_SUITES_12.values() if suite.authentication == kind]
    async with serving(nginx, authority, tmp_path, version="TLSv1.2", key_type=key_type) as server:
        for suite in suites:
            config = replace(trusting(authority), cipher_suites=[suite, "TLS_AES_128_GCM_SHA256"])
            stream = await server.connect(config)
            await exchange(stream)
            negotiated = stream.negotiated
            assert (negotiated.version, negotiated.cipher_suite) == ("TLSv1.2", suite)


@each_version
async def test_nginx_staples_an_ocsp_response(
    nginx: str, authority: Authority, tmp_path: Path, version: str
) -> None:
    staple = tmp_path / "ocsp.der"
    leaf = authority.credentials().chain[0]
    config = replace(trusting(authority), verify=check_stapled_ocsp(must=True))
    options = ("ssl_stapling on", f"ssl_stapling_file {staple}")
    for status in (GOOD, REVOKED):
        staple.write_bytes(response(authority.ca, leaf, status))
        async with serving(nginx, authority, tmp_path, *options, version=version) as server:
            stream = await server.connect(config)
            if status is GOOD:
                await exchange(stream)
                continue
            with pytest.raises(trio.BrokenResourceError, match="was revoked"):
                await exchange(stream)


@each_version
async def test_nginx_with_much_data(
    nginx: str, authority: Authority, tmp_path: Path, version: str
) -> None:
    config = trusting(authority)
    data = payload(A_LOT)
    put = f"PUT /files/data HTTP/1.0\r\nContent-Length: {A_LOT}\r\n\r\n".encode()
    async with serving(nginx, authority, tmp_path, version=version) as server:
        await exchange(await server.connect(config), put + data)
        got = await exchange(await server.connect(config), b"GET /files/data HTTP/1.0\r\n\r\n")
    assert got == data


async def test_nginx_accepts_early_data(nginx: str, authority: Authority, tmp_path: Path) -> None:
    config = trusting(authority)
    async with serving(nginx, authority, tmp_path, "ssl_early_data on") as server:
        await exchange(await server.connect(config))
        transport = await trio.open_tcp_stream("127.0.0.1", server.port)
        stream = TLSStream(transport, config, server_hostname=SERVER_NAME, early_data=GET)
        async with stream:
            answer = b"".join([data async for data in stream])
    assert stream.negotiated.early_data_accepted
    assert answer.endswith(b"early=1 resumed=r client=")


async def test_nginx_asks_for_another_group(
    nginx: str, authority: Authority, tmp_path: Path
) -> None:
    tap = Tap()
    async with serving(nginx, authority, tmp_path, "ssl_ecdh_curve secp384r1") as server:
        stream = await server.connect(trusting(authority), tap=tap)
        await exchange(stream)
    assert stream.negotiated.group == "secp384r1"
    assert tap.retried


@each_version
async def test_nginx_selects_an_application_protocol(
    nginx: str, authority: Authority, tmp_path: Path, version: str
) -> None:
    trust = authority.ca.trust
    async with serving(nginx, authority, tmp_path, version=version) as server:
        config = ClientConfig(trust=trust, alpn_protocols=["other", "http/1.1"])
        stream = await server.connect(config)
        await exchange(stream)
        assert stream.negotiated.alpn_protocol == "http/1.1"
        config = ClientConfig(trust=trust, alpn_protocols=["other"])
        with pytest.raises(trio.BrokenResourceError) as caught:
            await exchange(await server.connect(config))
    assert isinstance(caught.value.__cause__, AlertReceived)
    assert caught.value.__cause__.alert is AlertDescription.no_application_protocol


def verifying_clients(authority: Authority) -> Sequence[str]:
    return ("ssl_verify_client on", f"ssl_client_certificate {authority.ca_file}")


@each_version
async def test_nginx_gets_our_client_certificate(
    nginx: str, authority: Authority, tmp_path: Path, version: str
) -> None:
    config = ClientConfig(
        trust=authority.ca.trust, credentials=authority.ca.issue("client.example")
    )
    options = verifying_clients(authority)
    async with serving(nginx, authority, tmp_path, *options, version=version) as server:
        for resumed in (False, True):
            stream = await server.connect(config)
            assert b"client=CN=client.example" in await exchange(stream)
            assert stream.negotiated.resumed is resumed


@each_version
@pytest.mark.parametrize("certificate", ["none", "of another CA"])
async def test_nginx_refuses_our_client_certificate(
    nginx: str,
    authority: Authority,
    stranger: Authority,
    tmp_path: Path,
    certificate: str,
    version: str,
) -> None:
    """It says so in HTTP, and not with an alert."""
    ours = None if certificate == "none" else stranger.credentials()
    config = ClientConfig(trust=authority.ca.trust, select_credentials=lambda _: ours)
    options = verifying_clients(authority)
    async with serving(nginx, authority, tmp_path, *options, version=version) as server:
        answer = await answer_to(await server.connect(config), GET)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"certificate" in answer


@each_version
async def test_we_refuse_nginx_of_another_ca(
    nginx: str, authority: Authority, stranger: Authority, tmp_path: Path, version: str
) -> None:
    async with serving(nginx, authority, tmp_path, version=version) as server:
        with pytest.raises(trio.BrokenResourceError) as caught:
            await exchange(await server.connect(trusting(stranger)))
        log = await server.log()
    assert isinstance(caught.value.__cause__, CertificateError)
    assert b"SSL alert number %d)" % AlertDescription.unknown_ca in log


@each_version
async def test_we_refuse_nginx_of_another_name(
    nginx: str, authority: Authority, tmp_path: Path, version: str
) -> None:
    async with serving(nginx, authority, tmp_path, version=version) as server:
        config = trusting(authority)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await exchange(await server.connect(config, name="other.example"))
        log = await server.log()
    assert isinstance(caught.value.__cause__, CertificateError)
    assert b"SSL alert number %d)" % AlertDescription.bad_certificate in log


async def expect_truncation(stream: TLSStream[trio.abc.Stream]) -> None:
    with pytest.raises(trio.BrokenResourceError) as caught:
        await stream.receive_some()
    assert isinstance(caught.value.__cause__, Truncated)
    await stream.aclose()


@each_version
async def test_nginx_closes_after_us_without_close_notify(
    nginx: str, authority: Authority, tmp_path: Path, version: str
) -> None:
    async with serving(nginx, authority, tmp_path, version=version) as server:
        stream = await server.connect(trusting(authority))
        await stream.send_all(GET_AND_STAY)
        assert await stream.receive_some()
        await stream.send_eof()
        await expect_truncation(stream)


@each_version
async def test_nginx_ends_without_close_notify(
    nginx: str, authority: Authority, tmp_path: Path, version: str
) -> None:
    async with serving(nginx, authority, tmp_path, version=version) as server:
        stream = await server.connect(trusting(authority))
        await stream.send_all(GET_AND_STAY)
        assert await stream.receive_some()
        server.server.process.kill()
        await expect_truncation(stream)
