"""docs/examples/raw_keys.py: both sides, with their keys and with another one."""

from __future__ import annotations

import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from processes import EXAMPLES, run_program, running

PROGRAM = (sys.executable, EXAMPLES / "raw_keys.py")


def write_key(directory: Path, name: str) -> tuple[Path, Path]:
    """Write a private key and its public key, as OpenSSL does."""
    key = ed25519.Ed25519PrivateKey.generate()
    private, public = directory / f"{name}.pem", directory / f"{name}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    form = PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, form))
    return private, public


async def test_both_sides_know_each_other(tmp_path: Path) -> None:
    server_key, server_public = write_key(tmp_path, "server")
    client_key, client_public = write_key(tmp_path, "client")
    other_key, other_public = write_key(tmp_path, "other")
    async with running(*PROGRAM, "serve", server_key, client_public) as server:
        connect = (*PROGRAM, "connect", str(server.port))
        done = await run_program([*connect, client_key, server_public])
        assert done.stdout == b"b'hello'\n", done.stderr
        wrong_server = await run_program([*connect, client_key, other_public])
        assert wrong_server.status != 0
        assert b"is not trusted" in wrong_server.stderr
        wrong_client = await run_program([*connect, other_key, server_public])
        assert wrong_client.status != 0
