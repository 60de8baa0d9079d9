"""Raw public keys (RFC 7250) with OpenSSL from 3.2 on and with GnuTLS, in both versions."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from peer import SAFETY_NET
from processes import free_port, newer_openssl, peer_program, run_program, running

from trio_tlsx import ClientConfig, Credentials, RawPublicKey, ServerConfig, TrustStore
from trio_tlsx.io.listener import serve_tls_over_tcp
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.pki.negotiated import Negotiated

NAME = "test.example"
#: OpenSSL's flags and GnuTLS's priorities for each version.
OPENSSL_VERSIONS = {"TLSv1.3": "-tls1_3", "TLSv1.2": "-tls1_2"}
GNUTLS_TYPES = ":+CTYPE-SRV-RAWPK:+CTYPE-CLI-RAWPK"
GNUTLS_VERSIONS = {
    version: f"NORMAL:-VERS-ALL:+VERS-{version.replace('v', '')}{GNUTLS_TYPES}"
    for version in OPENSSL_VERSIONS
}

KEYS = {
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "RSA": rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
CLIENT_KEY = ec.generate_private_key(ec.SECP256R1())

keys = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)


class Files:
    """A private key and its public key in PEM."""

    def __init__(self, directory: Path, name: str, key: Any) -> None:
        self.key, self.public = directory / f"{name}.key", directory / f"{name}.pub"
        self.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        form = PublicFormat.SubjectPublicKeyInfo
        self.public.write_bytes(key.public_key().public_bytes(Encoding.PEM, form))


def trusting(key: Any) -> TrustStore:
    return TrustStore.from_public_keys([key.public_key()])


def options(version: str) -> Mapping[str, Any]:
    return {"versions": [version], "groups": ["x25519", "P-256"]}


def client_of(version: str, key: Any, *, authenticates: bool) -> ClientConfig:
    """A client that trusts a server's raw key, and has one too."""
    own = Credentials.from_raw_key(CLIENT_KEY) if authenticates else None
    return ClientConfig(trust=trusting(key), credentials=own, **options(version))


def server_of(version: str, key: Any) -> ServerConfig:
    """A server that has a raw key, and requires one of its clients."""
    return ServerConfig(
        credentials=Credentials.from_raw_key(key),
        client_auth="required",
        client_trust=trusting(CLIENT_KEY),
        **options(version),
    )


async def connect(port: int, config: ClientConfig, echo: bytes) -> Negotiated:
    """Connect to a peer, and have it answer a line."""
    with trio.fail_after(SAFETY_NET):
        transport = await trio.open_tcp_stream("127.0.0.1", port)
        async with TLSStream(transport, config, server_hostname=NAME) as stream:
            await stream.send_all(b"hello\n")
            assert await stream.receive_some() == echo
            return stream.negotiated


async def serve_once(config: ServerConfig, *command: str | Path) -> tuple[Negotiated, bytes]:
    """Have a peer connect to our server; return what is negotiated, and what the peer says."""
    seen: list[Negotiated] = []

    async def echo(stream: TLSStream[trio.SocketStream]) -> None:
        seen.append(stream.negotiated)
        await stream.send_all(await stream.receive_some())
        await stream.send_eof()  # at which s_client ends

    async with trio.open_nursery() as nursery:
        serve = partial(serve_tls_over_tcp, echo, 0, config, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        words = [str(word).replace("PORT", str(listener.port)) for word in command]
        done = await run_program(words, stdin=b"hello\n")
        nursery.cancel_scope.cancel()
    assert done.status == 0, done.stderr
    return seen[0], done.stdout + done.stderr


# OpenSSL


@pytest.fixture
def openssl() -> str:
    return newer_openssl(3, 2)


@keys
async def test_openssl_server(openssl: str, version: str, key: Any, tmp_path: Path) -> None:
    server, client = Files(tmp_path, "server", key), Files(tmp_path, "client", CLIENT_KEY)
    command = [openssl, "s_server", "-accept", "127.0.0.1:0", OPENSSL_VERSIONS[version], "-rev"]
    command += ["-key", str(server.key), "-cert", str(certificate(openssl, server, tmp_path))]
    command += ["-enable_server_rpk", "-enable_client_rpk", "-Verify", "1"]
    command += ["-verify_return_error", "-expected-rpks", str(client.public)]
    async with running(*command, says=b"ACCEPT") as peer:
        negotiated = await connect(
            peer.port, client_of(version, key, authenticates=True), b"olleh\n"
        )
    assert negotiated.version == version
    assert negotiated.peer_raw_public_key == RawPublicKey.of(key.public_key())


@keys
async def test_openssl_client(openssl: str, version: str, key: Any, tmp_path: Path) -> None:
    server, client = Files(tmp_path, "server", key), Files(tmp_path, "client", CLIENT_KEY)
    negotiated, output = await serve_once(
        server_of(version, key),
        *(openssl, "s_client", "-connect", "127.0.0.1:PORT", "-servername", NAME, "-quiet"),
        *(OPENSSL_VERSIONS[version], "-enable_server_rpk", "-enable_client_rpk"),
        *("-key", client.key, "-cert", certificate(openssl, client, tmp_path)),
        *("-expected-rpks", server.public, "-verify_return_error"),
    )
    assert b"hello" in output
    assert negotiated.version == version
    assert negotiated.peer_raw_public_key == RawPublicKey.of(CLIENT_KEY.public_key())


def certificate(openssl: str, files: Files, directory: Path) -> Path:
    """Make a certificate, without which OpenSSL's programs take no key; nobody sends it."""
    path = directory / f"{files.key.stem}.pem"
    command = [openssl, "req", "-x509", "-new", "-key", files.key, "-subj", "/CN=nobody"]
    subprocess.run(
        [*command, "-out", path, "-config", "/dev/null"], check=True, capture_output=True
    )
    return path


# GnuTLS


@keys
async def test_gnutls_server(version: str, key: Any, tmp_path: Path) -> None:
    program = peer_program("gnutls-serv", "gnutls-bin")
    server, port = Files(tmp_path, "server", key), free_port()
    command = [program, "--port", str(port), "--echo", "--priority", GNUTLS_VERSIONS[version]]
    command += ["--rawpkkeyfile", str(server.key), "--rawpkfile", str(server.public)]
    async with running(*command, "--disable-client-cert", says=b"listening"):
        config = client_of(version, key, authenticates=False)
        negotiated = await connect(port, config, b"hello\n")
    assert negotiated.version == version
    assert negotiated.peer_raw_public_key == RawPublicKey.of(key.public_key())


@keys
async def test_gnutls_client(version: str, key: Any, tmp_path: Path) -> None:
    program = peer_program("gnutls-cli", "gnutls-bin")
    client = Files(tmp_path, "client", CLIENT_KEY)
    negotiated, output = await serve_once(
        server_of(version, key),
        *(program, "--port", "PORT", "127.0.0.1", "--insecure", "--sni-hostname", NAME),
        *("--priority", GNUTLS_VERSIONS[version]),
        *("--rawpkkeyfile", client.key, "--rawpkfile", client.public),
    )
    assert b"hello" in output
    assert negotiated.version == version
    assert negotiated.peer_raw_public_key == RawPublicKey.of(CLIENT_KEY.public_key())
