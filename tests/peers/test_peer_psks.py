"""Pre-shared keys instead of certificates; no peer here imports them (RFC 9258)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import trio
from authority import Authority
from conversations import PeerRole, Tap
from openssl_peer import OpenSSLPeer
from processes import free_port, peer_program, run_program, running
from stdlib_peer import FIRST_PYTHON_WITH_PSKS, StdlibPeer
from tlslite_peer import TLSLitePeer

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.errors import AlertDescription, AlertReceived, ProtocolError
from trio_tlsx.io.listener import open_tls_over_tcp_stream, serve_tls_over_tcp
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.sessions.external_psk import ExternalPSK

A_BIT = 1000  # bytes

NAME, KEY = "client 1", bytes(range(1, 33))
PSK = ExternalPSK(NAME.encode(), KEY, imported=False)

PEERS: Sequence[OpenSSLPeer | TLSLitePeer | StdlibPeer] = [
    OpenSSLPeer(),
    TLSLitePeer(),
    *([StdlibPeer()] if sys.version_info >= FIRST_PYTHON_WITH_PSKS else []),
]
EACH = pytest.mark.parametrize(
    "peer_role",
    [PeerRole(peer, role) for peer in PEERS for role in ("client", "server")],
    ids=str,
)


def ours(peer_role: PeerRole, psk: ExternalPSK = PSK, **changed: Any) -> dict[str, Any]:
    """Keys only, unless something else is said."""
    without = {"trust": None} if peer_role.role == "server" else {"credentials": None}
    return {**without, "psks": [psk], **changed}


def theirs(
    identity: str = NAME, key: bytes = KEY, digest: str = "sha256", **changed: Any
) -> dict[str, Any]:
    without = {"credentials": None, "trust": None}
    return {**without, "psk": (identity, key, digest), "echo": A_BIT, **changed}


@EACH
async def test_peer_and_we_share_a_psk(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(authority, ours=ours(peer_role), theirs=theirs()) as us:
        await us.converse()
        assert us.stream.negotiated.psk_identity == NAME.encode()
        assert us.stream.negotiated.peer_certificates == ()
        assert us.stream.negotiated.group is not None
    assert us.saw.alert == AlertDescription.close_notify


@EACH
async def test_peer_psk_after_hello_retry_request(
    peer_role: PeerRole, authority: Authority
) -> None:
    tap = Tap()
    if peer_role.role == "server":
        config, part = ours(peer_role, groups=["x25519", "secp384r1"]), theirs(group="secp384r1")
    else:
        config, part = ours(peer_role, groups=["secp384r1"]), theirs()
    async with peer_role.connect(authority, ours=config, theirs=part, tap=tap) as us:
        await us.converse()
        assert us.stream.negotiated.psk_identity == NAME.encode()
    assert tap.retried


@pytest.mark.parametrize("role", ["client", "server"])
async def test_peer_psk_with_sha384(
    role: Literal["client", "server"], authority: Authority
) -> None:
    peer_role = PeerRole(TLSLitePeer(), role)
    psk = ExternalPSK(NAME.encode(), KEY, hash="SHA384", imported=False)
    async with peer_role.connect(
        authority, ours=ours(peer_role, psk), theirs=theirs(digest="sha384")
    ) as us:
        await us.converse()
        assert us.stream.negotiated.psk_identity == NAME.encode()
        assert us.stream.negotiated.cipher_suite == "TLS_AES_256_GCM_SHA384"


@EACH
async def test_peer_psk_with_a_wrong_key(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(
        authority, ours=ours(peer_role), theirs=theirs(key=bytes(32))
    ) as us:
        error = await us.fail()
    if peer_role.role == "client":
        assert isinstance(error, ProtocolError)
        assert error.alert == us.saw.alert == AlertDescription.decrypt_error
    else:
        assert isinstance(error, AlertReceived)


@EACH
async def test_peer_psk_with_an_unknown_identity(
    peer_role: PeerRole, authority: Authority
) -> None:
    """It goes on with certificates where there are any."""
    known: dict[str, Any] = {"credentials": authority.files()}
    if peer_role.role == "client":
        known = {"trust": authority.ca_file, "server_name": "test.example"}
    mixed: dict[str, Any] = {"trust": authority.ca.trust}
    if peer_role.role == "client":
        mixed = {"credentials": authority.credentials()}
    async with peer_role.connect(
        authority, ours=ours(peer_role, **mixed), theirs=theirs("client 2", **known)
    ) as us:
        await us.converse()
        assert us.stream.negotiated.psk_identity is None


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
async def test_peer_psk_with_an_unknown_identity_without_certificates(
    peer: OpenSSLPeer, authority: Authority
) -> None:
    peer_role = PeerRole(peer, "client")
    async with peer_role.connect(authority, ours=ours(peer_role), theirs=theirs("client 2")) as us:
        error = await us.fail()
    assert error.alert == us.saw.alert == AlertDescription.decrypt_error


# GnuTLS

PRIORITY = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK:+PSK"


@pytest.fixture
def gnutls_cli() -> str:
    return peer_program("gnutls-cli", "gnutls-bin")


@pytest.fixture
def gnutls_serv() -> str:
    return peer_program("gnutls-serv", "gnutls-bin")


async def test_gnutls_cli_psk(gnutls_cli: str) -> None:
    known: list[bytes | None] = []

    async def echo(stream: TLSStream[trio.SocketStream]) -> None:
        known.append(stream.negotiated.psk_identity)
        async for data in stream:
            await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        config = ServerConfig(psks=[PSK])
        serve = partial(serve_tls_over_tcp, echo, 0, config, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        port = listener.port
        command = [gnutls_cli, "--port", str(port), "127.0.0.1"]
        command += ["--priority", PRIORITY, "--pskusername", NAME, "--pskkey", KEY.hex()]
        result = await run_program(command, stdin=b"hello\n")
        nursery.cancel_scope.cancel()
    assert result.status == 0, result.stdout + result.stderr
    assert b"PSK authentication" in result.stdout
    assert known == [PSK.identity]


async def test_gnutls_serv_psk(gnutls_serv: str, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(f"{NAME}:{KEY.hex()}\n")
    port = free_port()
    command = [gnutls_serv, "--port", str(port), "--echo", "--priority", PRIORITY]
    command += ["--pskpasswd", str(passwords)]
    config = ClientConfig(psks=[PSK])
    async with running(*command, says=b"listening"):
        stream = await open_tls_over_tcp_stream("127.0.0.1", port, config=config)
        await stream.send_all(b"hello\n")
        assert await stream.receive_some() == b"hello\n"
        assert stream.negotiated.psk_identity == PSK.identity
        await stream.aclose()
