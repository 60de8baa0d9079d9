"""Databases of NSS: what its programs read certificates from."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509 import load_pem_x509_certificate

PASSWORD = "a password"
NICKNAME = "own"


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


def make_database(
    directory: Path, trusted: bytes | None, credentials: tuple[Path, Path] | None = None
) -> str:
    """Make a database of NSS with a trusted CA, a certificate, or both; return its name."""
    directory.mkdir()
    database = f"sql:{directory}"
    run("certutil", "-N", "-d", database, "--empty-password")
    if trusted is not None:
        ca_file = directory / "ca.pem"
        ca_file.write_bytes(trusted)
        run("certutil", "-A", "-d", database, "-n", "ca", "-t", "CT,C,C", "-i", ca_file)
    if credentials is not None:
        chain, key_file = (path.read_bytes() for path in credentials)
        key = load_pem_private_key(key_file, None)
        assert isinstance(key, EllipticCurvePrivateKey)
        bundle = directory / "own.p12"
        bundle.write_bytes(
            serialize_key_and_certificates(
                NICKNAME.encode(),
                key,
                load_pem_x509_certificate(chain),
                None,
                BestAvailableEncryption(PASSWORD.encode()),
            )
        )
        run("pk12util", "-i", bundle, "-d", database, "-W", PASSWORD)
    return database
