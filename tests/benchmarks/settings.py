"""Define the settings that both sides of a measured connection share."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

HOST = "127.0.0.1"
NAME = "test.example"

AES_128 = "TLS_AES_128_GCM_SHA256"
AES_256 = "TLS_AES_256_GCM_SHA384"
CHACHA20 = "TLS_CHACHA20_POLY1305_SHA256"
SUITES = (AES_128, AES_256, CHACHA20)
AES_128_12 = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"  #: the suite of TLS 1.2
OPENSSL_AES_128_12 = "ECDHE-ECDSA-AES128-GCM-SHA256"

X25519 = "x25519"
DEFAULT_GROUPS = "default"  #: what each library offers and selects by itself

#: The key types of the servers' certificates, and of the CAs above them.
KEY_TYPES = {"ECDSA": "P-256", "RSA": "RSA-2048"}


@dataclass(frozen=True)
class Setting:
    """A certificate, a cipher suite, key exchanges, and the tickets that a server sends.

    Attributes:
        suite: one of TLS 1.3, or ``AES_128_12`` for a connection of TLS 1.2.
        groups: ``X25519`` or ``DEFAULT_GROUPS``.
        tickets: if it is not 0, clients resume with them.
    """

    certificate: str = "ECDSA"
    suite: str = AES_128
    groups: str = X25519
    tickets: int = 0

    @property
    def is_tls12(self) -> bool:
        return self.suite == AES_128_12

    @property
    def suite_names(self) -> tuple[str, ...]:
        """Return the names by which libraries report the suite."""
        return (AES_128_12, OPENSSL_AES_128_12) if self.is_tls12 else (self.suite,)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Setting:
        return cls(**json.loads(text))

    @property
    def openssl_configuration(self) -> str:
        """Return the OpenSSL configuration file for this setting.

        The stdlib's ``ssl`` has no functions for suites and groups before Python 3.15, and
        pyOpenSSL has none for groups and tickets. OpenSSL reads all three from a file.
        """
        # RFC 8422 5.3: in TLS 1.2 the curve of the certificate is one of the client's groups.
        groups = "X25519:P-256" if self.is_tls12 else "X25519"
        groups = f"Groups = {groups}\n" if self.groups == X25519 else ""
        if self.is_tls12:
            version = f"MaxProtocol = TLSv1.2\nCipherString = {OPENSSL_AES_128_12}\n"
        else:
            version = f"MinProtocol = TLSv1.3\nCiphersuites = {self.suite}\n"
        return (
            "openssl_conf = openssl\n[openssl]\nssl_conf = modules\n"
            "[modules]\nsystem_default = tls\n"
            f"[tls]\n{version}NumTickets = {self.tickets}\n{groups}"
        )


#: A connection of TLS 1.2; otherwise as ``Setting()``.
TLS12 = Setting(suite=AES_128_12)


class PKI:
    """PEM files in a directory: for each key type a root CA, a chain of two, and its key.

    `certificates.py` writes them.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def ca(self, setting: Setting) -> Path:
        return self.directory / setting.certificate / "ca.pem"

    def chain(self, setting: Setting) -> Path:
        return self.directory / setting.certificate / "cert.pem"

    def key(self, setting: Setting) -> Path:
        return self.directory / setting.certificate / "key.pem"

    def environment(self, setting: Setting) -> dict[str, str]:
        """Return the environment of a process whose OpenSSL has to keep to a setting."""
        path = self.directory / f"{abs(hash(setting))}.cnf"
        path.write_text(setting.openssl_configuration)
        return {**os.environ, "OPENSSL_CONF": str(path)}
