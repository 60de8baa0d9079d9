"""TLS 1.2 with GnuTLS's programs: suites, keys, tickets, ALPN, much data, the end."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from authority import SERVER_NAME, Authority
from conversations import payload
from peer import SAFETY_NET
from processes import free_port, peer_program, run_program, running

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.cipher_suites12 import CIPHER_SUITES_12
from trio_tlsx.io.listener import serve_tls_over_tcp
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.pki.negotiated import Negotiated

ONLY_12 = "NORMAL:-VERS-ALL:+VERS-TLS1.2"
A_LOT = 2**20  # bytes
GROUPS = ["x25519", "secp256r1", "secp384r1"]
KINDS = {"P-256": "ECDSA", "ed25519": "ECDSA", "RSA-2048": "RSA"}


def suites_for(key_type: str) -> list[str]:
    """The cipher suites that a key of this type fits."""
    kind = KINDS[key_type]
    return [suite.name for suite in CIPHER_SUITES_12.values() if suite.authentication == kind]


@pytest.fixture
def gnutls_cli() -> str:
    return peer_program("gnutls-cli", "gnutls-bin")


@pytest.fixture
def gnutls_serv() -> str:
    return peer_program("gnutls-serv", "gnutls-bin")


@pytest.mark.parametrize("key_type", KINDS)
async def test_gnutls_serv_with_each_suite(
    gnutls_serv: str, authority: Authority, key_type: str
) -> None:
    chain, key = authority.files(key_type)
    port = free_port()
    command = [gnutls_serv, "--port", str(port), "--echo", "--disable-client-cert"]
    command += ["--x509certfile", str(chain), "--x509keyfile", str(key), "--priority", ONLY_12]
    command += ["--alpn", "http/1.1"]
    async with running(*command, says=b"listening"):
        for suite, group in zip(suites_for(key_type), GROUPS, strict=True):
            config = ClientConfig(
                trust=authority.ca.trust,
                cipher_suites=[suite, "TLS_AES_128_GCM_SHA256"],
                groups=[group] if key_type != "P-256" else GROUPS,
                alpn_protocols=["h2", "http/1.1"],
            )
            for resumed in (False, True):
                with trio.fail_after(SAFETY_NET):
                    transport = await trio.open_tcp_stream("127.0.0.1", port)
                    stream = TLSStream(transport, config, server_hostname=SERVER_NAME)
                    async with stream:
                        await stream.send_all(b"hello\n")
                        assert await stream.receive_some() == b"hello\n"
                        await stream.send_eof()
                        assert await stream.receive_some() == b""
                    negotiated = stream.negotiated
                    assert (negotiated.cipher_suite, negotiated.resumed) == (suite, resumed)
                    assert negotiated.alpn_protocol == "http/1.1"


@pytest.mark.parametrize("key_type", KINDS)
async def test_gnutls_cli_with_each_suite(
    gnutls_cli: str, authority: Authority, key_type: str
) -> None:
    """It resumes by itself."""
    seen: list[Negotiated] = []

    async def echo(stream: TLSStream[trio.SocketStream]) -> None:
        seen.append(stream.negotiated)
        async for data in stream:
            await stream.send_all(data)

    for suite, group in zip(suites_for(key_type), GROUPS, strict=True):
        config = ServerConfig(
            credentials=authority.credentials(key_type),
            cipher_suites=[suite, "TLS_AES_128_GCM_SHA256"],
            groups=[group] if key_type != "P-256" else GROUPS,
        )
        async with trio.open_nursery() as nursery:
            serve = partial(serve_tls_over_tcp, echo, 0, config, host="127.0.0.1")
            [listener] = await nursery.start(serve)
            command = [gnutls_cli, "--port", str(listener.port), "127.0.0.1", "--resume"]
            command += ["--x509cafile", str(authority.ca_file), "--priority", ONLY_12]
            command += ["--verify-hostname", SERVER_NAME, "--sni-hostname", SERVER_NAME]
            result = await run_program(command, stdin=b"hello\n")
            nursery.cancel_scope.cancel()
        assert result.status == 0, result.stderr
        assert b"hello" in result.stdout
        assert result.stdout.count(b"*** This is a resumed session") == 1
        assert [(n.cipher_suite, n.resumed) for n in seen] == [(suite, False), (suite, True)]
        seen.clear()


async def test_gnutls_cli_with_much_data_and_alpn(gnutls_cli: str, authority: Authority) -> None:
    """It reads and prints in small pieces, too slowly for more."""
    seen: list[Negotiated] = []

    async def echo(stream: TLSStream[trio.SocketStream]) -> None:
        seen.append(stream.negotiated)
        async for data in stream:
            await stream.send_all(data)

    config = ServerConfig(credentials=authority.credentials(), alpn_protocols=["h2", "http/1.1"])
    data = payload(A_LOT)
    async with trio.open_nursery() as nursery:
        serve = partial(serve_tls_over_tcp, echo, 0, config, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        command = [gnutls_cli, "--port", str(listener.port), "127.0.0.1", "--alpn", "http/1.1"]
        command += ["--x509cafile", str(authority.ca_file), "--priority", ONLY_12]
        command += ["--verify-hostname", SERVER_NAME, "--sni-hostname", SERVER_NAME]
        result = await run_program(command, stdin=data)
        nursery.cancel_scope.cancel()
    assert result.stdout.translate(None, bytes(range(128))) == data
    assert [(n.version, n.alpn_protocol) for n in seen] == [("TLSv1.2", "http/1.1")]
