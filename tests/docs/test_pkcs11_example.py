"""The example of a key in a PKCS#11 token, with SoftHSM."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio
from cryptography import x509
from processes import EXAMPLES, Server, load_example, peer_program, run_program, running

from trio_tlsx import (
    ClientConfig,
    Credentials,
    Negotiated,
    SignatureScheme,
    open_tls_over_tcp_stream,
)
from trio_tlsx.testing import CA, write_pem_files

PROGRAM = EXAMPLES / "pkcs11_signer.py"
TOKEN = "throw-away"
PIN = "314159"

KEY_TYPES = {
    "ecdsa_secp256r1_sha256": "P-256",
    "ecdsa_secp384r1_sha384": "P-384",
    "rsa_pss_rsae_sha256": "RSA-2048",
    "rsa_pss_rsae_sha384": "RSA-2048",
    "rsa_pss_rsae_sha512": "RSA-2048",
}


@pytest.fixture(scope="module")
def ca() -> CA:
    return CA()


class Token:
    """A token of SoftHSM's, in files below a directory."""

    def __init__(self, utility: str, directory: Path) -> None:
        self._utility = utility
        self._directory = directory
        # Where a package puts the one it puts the other.
        self.module = Path(utility).parents[1] / "lib" / "softhsm" / "libsofthsm2.so"
        storage = directory / "tokens"
        storage.mkdir()
        self.configuration = directory / "softhsm2.conf"
        self.configuration.write_text(
            f"directories.tokendir = {storage}\nobjectstore.backend = file\n"
        )
        self._run("--init-token", "--free", "--label", TOKEN, "--so-pin", PIN, "--pin", PIN)

    def _run(self, *arguments: str | Path) -> None:
        subprocess.run(
            [self._utility, *map(str, arguments)],
            check=True,
            capture_output=True,
            env=os.environ | {"SOFTHSM2_CONF": str(self.configuration)},
        )

    def take_over(self, label: str, number: int, credentials: Credentials) -> Path:
        """Move the key into the token; give the file of its certificate."""
        own = self._directory / label
        own.mkdir()
        certificate, key = write_pem_files(credentials, own)
        own_name = ("--label", label, "--id", f"{number:02x}")
        self._run("--import", key, "--token", TOKEN, "--pin", PIN, *own_name)
        key.unlink()
        return certificate


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    utility = peer_program("softhsm2-util", "softhsm2")
    return Token(utility, tmp_path_factory.mktemp("softhsm"))


@pytest.fixture(scope="module")
def certificates(ca: CA, token: Token) -> dict[str, Path]:
    """The files of certificates whose keys are in the token, by the kinds and labels of those."""
    return {
        key_type: token.take_over(key_type, number, ca.issue("localhost", key_type=key_type))
        for number, key_type in enumerate(dict.fromkeys(KEY_TYPES.values()), 1)
    }


@asynccontextmanager
async def serving(token: Token, label: str, certificate: Path) -> AsyncGenerator[Server, None]:
    command = [sys.executable, PROGRAM, token.module, TOKEN, label, certificate, "0"]
    async with running(*command, SOFTHSM2_CONF=token.configuration, PKCS11_PIN=PIN) as server:
        yield server


async def call(port: int, config: ClientConfig) -> Negotiated:
    stream = await open_tls_over_tcp_stream("localhost", port, config=config)
    async with stream:
        assert await stream.receive_some() == b"hello\n"
        return stream.negotiated


@pytest.mark.parametrize("scheme", KEY_TYPES)
async def test_pkcs11_token_signs(
    ca: CA, token: Token, certificates: dict[str, Path], scheme: str
) -> None:
    label = KEY_TYPES[scheme]
    config = ClientConfig(trust=ca.trust, signature_schemes=[scheme], resumption=False)
    async with serving(token, label, certificates[label]) as server:
        for _ in range(2):
            negotiated = await call(server.port, config)
            assert negotiated.signature_scheme == scheme


@pytest.mark.parametrize("key_type", ["P-256", "RSA-2048"])
async def test_pkcs11_many_connections_at_once(
    ca: CA, token: Token, certificates: dict[str, Path], key_type: str
) -> None:
    config = ClientConfig(trust=ca.trust, resumption=False)
    async with (
        serving(token, key_type, certificates[key_type]) as server,
        trio.open_nursery() as nursery,
    ):
        for _ in range(20):
            nursery.start_soon(call, server.port, config)


async def test_pkcs11_key_of_another_certificate_is_rejected(
    ca: CA, token: Token, certificates: dict[str, Path], tmp_path: Path
) -> None:
    """The peer notices, and the server goes on."""
    other, _ = write_pem_files(ca.issue("localhost"), tmp_path)
    config = ClientConfig(trust=ca.trust)
    async with serving(token, "P-256", other) as server:
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError, match="does not hold the key"):
                await call(server.port, config)


async def test_pkcs11_without_the_pin(token: Token, certificates: dict[str, Path]) -> None:
    command = [sys.executable, PROGRAM, token.module, TOKEN, "P-256", certificates["P-256"], "0"]
    result = await run_program(command, SOFTHSM2_CONF=token.configuration, PKCS11_PIN="0000")
    assert result.status == 1
    assert "PinIncorrect" in result.error_lines[-1]


# Where it signs: with a key of ours, which tells


MakeSigner: TypeAlias = Callable[[x509.Certificate, object], Any]


@pytest.fixture(scope="module")
def make_signer() -> MakeSigner:
    return load_example("pkcs11_signer").PKCS11Signer


class SlowKey:
    """A key that takes until it is told to go on."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self.go = threading.Event()
        self.under_way = 0
        self.signed = 0

    def sign(self, data: bytes, **parameters: object) -> bytes:
        self.under_way += 1
        assert self.under_way == 1, "a session does one thing at a time"
        trio.from_thread.run_sync(self.asked.set)  # RuntimeError in the event loop's own thread
        assert self.go.wait(60)
        self.under_way -= 1
        self.signed += 1
        return b"\x01" * 64


SCHEME = SignatureScheme.ecdsa_secp256r1_sha256


async def test_pkcs11_signing_does_not_block_the_event_loop(
    ca: CA, make_signer: MakeSigner
) -> None:
    key = SlowKey()
    signer = make_signer(ca.issue("localhost").chain[0], key)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(signer.sign, SCHEME, b"one")
        nursery.start_soon(signer.sign, SCHEME, b"another")
        await key.asked.wait()
        assert not key.signed
        key.go.set()
    assert key.signed == 2


async def test_pkcs11_cancelled_handshake_does_not_wait(ca: CA, make_signer: MakeSigner) -> None:
    key = SlowKey()
    signer = make_signer(ca.issue("localhost").chain[0], key)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(signer.sign, SCHEME, b"one")
            await key.asked.wait()
            nursery.cancel_scope.cancel()
        assert key.under_way == 1
    finally:
        key.go.set()
