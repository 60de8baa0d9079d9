"""The certificate of ``trio-tlsx serve --self-signed``; it exists only in memory."""

from __future__ import annotations

import contextlib

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from ..errors import ConfigError
from ..pki.server_name import ServerName
from ..testing import CA

__all__ = ["self_signed_pem"]

#: The names by which a client on this machine may connect.
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def self_signed_pem(host: str) -> tuple[str, str]:
    """Create a certificate for ``host`` and for the local names of this machine.

    Returns:
        The certificate and its key, in PEM.
    """
    issuer = CA(
        "trio-tlsx self-signed",
        extensions=[
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.SubjectAlternativeName(_names(host)), False),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        ],
        without=[x509.KeyUsage],
    )
    key = issuer.private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return issuer.pem.decode(), key.decode()


def _names(host: str) -> list[x509.GeneralName]:
    names: dict[x509.GeneralName, None] = {}
    for text in (host, *LOCAL_NAMES):
        # Skip names that no client can request: the empty host, 0.0.0.0.
        with contextlib.suppress(ConfigError):
            name = ServerName.parse(text)
            if name.address is None or not name.address.is_unspecified:
                names[name.subject] = None
    return list(names)
