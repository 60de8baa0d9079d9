"""A certificate for ``trio-tlsx serve --self-signed``, gone when the process ends."""

from __future__ import annotations

import contextlib

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from ..errors import ConfigError
from ..pki.credentials import Credentials, PrivateKeySigner
from ..pki.server_name import ServerName
from ..testing import CA

__all__ = ["self_signed"]

#: What a client on this machine may call it.
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def self_signed(host: str) -> Credentials:
    """Make a key and a certificate for ``host`` and for this machine's own names."""
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
        # What no client can ask for is left out: the empty host, 0.0.0.0.
        with contextlib.suppress(ConfigError):
            name = ServerName.parse(text)
            if name.address is None or not name.address.is_unspecified:
                names[name.subject] = None
    return list(names)
