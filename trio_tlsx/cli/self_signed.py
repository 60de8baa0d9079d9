"""The certificate of ``trio-tlsx serve --self-signed``; it exists only in this process."""

from __future__ import annotations

import contextlib

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from ..errors import ConfigError
from ..pki.credentials import Credentials, PrivateKeySigner
from ..pki.server_name import ServerName
from ..testing import CA

__all__ = ["self_signed"]

#: The names by which a client on this machine may connect.
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def self_signed(host: str) -> Credentials:
    """Create a key and a certificate for ``host`` and for the local names of this machine."""
    issuer = CA(
        "trio-tlsx self-signed",
        extensions=[
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.SubjectAlternativeName(_names(host)), False),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        ],
        without=[x509.KeyUsage],
    )
    signer = PrivateKeySigner(issuer.private_key, issuer.certificate)
    return Credentials([issuer.certificate], signer)


def _names(host: str) -> list[x509.GeneralName]:
    names: dict[x509.GeneralName, None] = {}
    for text in (host, *LOCAL_NAMES):
        # Skip names that no client can request: the empty host, 0.0.0.0.
        with contextlib.suppress(ConfigError):
            name = ServerName.parse(text)
            if name.address is None or not name.address.is_unspecified:
                names[name.subject] = None
    return list(names)
