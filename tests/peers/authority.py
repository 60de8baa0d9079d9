"""Certificates for the peers, as objects and as files."""

from __future__ import annotations

import subprocess
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from processes import peer_program

from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.testing import CA, write_pem_files

SERVER_NAME = "test.example"

#: A key of RSA that may do PSS only; its certificates say so.
RSA_PSS = "RSA-PSS"

#: Which key signs in a scheme.
KEY_TYPES = {
    "ecdsa_secp256r1_sha256": "P-256",
    "ecdsa_secp384r1_sha384": "P-384",
    "ecdsa_secp521r1_sha512": "P-521",
    "ed25519": "ed25519",
    "ed448": "ed448",
    "rsa_pss_rsae_sha256": "RSA-2048",
    "rsa_pss_rsae_sha384": "RSA-2048",
    "rsa_pss_rsae_sha512": "RSA-2048",
    "rsa_pss_pss_sha256": RSA_PSS,
    "rsa_pss_pss_sha384": RSA_PSS,
    "rsa_pss_pss_sha512": RSA_PSS,
    "mldsa44": "ML-DSA-44",
    "mldsa65": "ML-DSA-65",
    "mldsa87": "ML-DSA-87",
}

#: What all certificates here are signed with.
CA_SCHEME = "ecdsa_secp256r1_sha256"


class Authority:
    """A CA, and certificates of all kinds for :data:`SERVER_NAME`.

    Args:
        directory: where the files go.

    Attributes:
        ca: the CA.
        ca_file: its certificate.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, tuple[Path, Path]] = {}
        self.ca = CA()
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_bytes(self.ca.pem)

    def files(self, key_type: str = "P-256") -> tuple[Path, Path]:
        """The files of a certificate and its key."""
        if key_type not in self._files:
            directory = self._directory / key_type
            directory.mkdir(exist_ok=True)
            if key_type == RSA_PSS:
                self._files[key_type] = self._issue_rsa_pss(directory)
            else:
                credentials = self.ca.issue(SERVER_NAME, key_type=key_type)
                self._files[key_type] = write_pem_files(credentials, directory)
        return self._files[key_type]

    def files_for(self, *names: str) -> tuple[Path, Path]:
        """The files of a certificate for other names, and its key."""
        key = " ".join(names)
        if key not in self._files:
            directory = self._directory / key
            directory.mkdir()
            self._files[key] = write_pem_files(self.ca.issue(*names), directory)
        return self._files[key]

    def credentials(self, key_type: str = "P-256") -> Credentials:
        """The same, for us."""
        return Credentials.from_pem_files(*self.files(key_type))

    def _issue_rsa_pss(self, directory: Path) -> tuple[Path, Path]:
        """Have OpenSSL do it: ``cryptography`` makes no such keys."""
        certificate, key = directory / "cert.pem", directory / "key.pem"
        subject = ["-subj", f"/CN={SERVER_NAME}", "-addext", f"subjectAltName=DNS:{SERVER_NAME}"]
        kind = ["-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048", "-noenc"]
        leaf = ["-addext", "basicConstraints=critical,CA:FALSE"]
        issuer = ["-CA", self.ca_file, "-CAkey", self._ca_key_file]
        files = ["-keyout", key, "-out", certificate]
        command = ["req", "-x509", *kind, *subject, *leaf, *issuer, *files]
        subprocess.run([peer_program("openssl"), *command], check=True, capture_output=True)
        return certificate, key

    @cached_property
    def _ca_key_file(self) -> Path:
        path = self._directory / "ca.key"
        path.write_bytes(
            self.ca.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return path
