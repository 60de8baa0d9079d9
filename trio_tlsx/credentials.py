"""Who one is: a certificate chain, and something that signs for it."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from .engine.signatures import PrivateKey, SignatureScheme, schemes_for, sign

__all__ = ["Credentials", "PrivateKeySigner", "Signer"]


class Signer(Protocol):
    """Makes signatures with the key of one certificate, wherever that key lives."""

    @property
    def schemes(self) -> Sequence[SignatureScheme]:
        """What it can sign in, the most wanted first."""
        ...

    def sign(self, scheme: SignatureScheme, message: bytes) -> bytes | Awaitable[bytes]:
        """The signature of ``message``, or an awaitable of it."""
        ...


class PrivateKeySigner:
    """A signer whose key is in this process."""

    def __init__(self, private_key: PrivateKey, certificate: x509.Certificate) -> None:
        self._private_key = private_key
        self.schemes = schemes_for(certificate)

    def sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        """The signature of ``message``."""
        return sign(scheme, self._private_key, message)


class Credentials:
    """A certificate chain, leaf first, and what signs for the leaf."""

    def __init__(self, chain: Sequence[x509.Certificate], signer: Signer) -> None:
        self.chain = tuple(chain)
        self.der_chain = tuple(c.public_bytes(Encoding.DER) for c in self.chain)
        self.signer = signer
