"""The cipher suites that can be negotiated (RFC 9846 B.4)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from ..messages.codec import Buffer
from ..messages.versions import PROTOCOL_NAMES, TLS13

__all__ = ["AEAD", "CIPHER_SUITES", "CipherSuite", "Hash", "HashState"]


class HashState(Protocol):
    """A hash under way, as :mod:`hashlib` makes it."""

    @property
    def block_size(self) -> int: ...
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class Hash(Protocol):
    """A hash function, such as :func:`hashlib.sha256`."""

    def __call__(self, data: bytes = b"", /) -> HashState: ...


class AEAD(Protocol):
    """The part of ``cryptography``'s AEAD classes that the record layer uses."""

    def encrypt(self, nonce: Buffer, data: Buffer, associated_data: Buffer | None) -> bytes: ...
    def decrypt(self, nonce: Buffer, data: Buffer, associated_data: Buffer | None) -> bytes: ...
    def encrypt_into(
        self, nonce: Buffer, data: Buffer, associated_data: Buffer | None, buf: Buffer
    ) -> int: ...
    def decrypt_into(
        self, nonce: Buffer, data: Buffer, associated_data: Buffer | None, buf: Buffer
    ) -> int: ...


@dataclass(slots=True, eq=False)
class CipherSuite:
    """An AEAD with a hash for HKDF.

    Attributes:
        version: the version of TLS that the suite belongs to.
        key_length: bytes of the AEAD's key.
        records_per_key: how many full records one key may protect (RFC 9846 5.5).
    """

    code: int
    name: str
    hash: Hash
    hash_length: int
    aead: Callable[[bytes], AEAD]
    key_length: int
    records_per_key: int
    version: int = TLS13

    @property
    def protocol(self) -> str:
        """The name of the version, such as ``"TLSv1.3"``."""
        return PROTOCOL_NAMES[self.version]

    @property
    def openssl_name(self) -> str:
        """OpenSSL's name of the suite, which the stdlib uses too: in TLS 1.3 the same name."""
        return self.name


# RFC 9846 5.5: AES-GCM may protect 2^24.5 full-size records under a key; for ChaCha20-Poly1305
# the sequence number would wrap first.
GCM_RECORDS_PER_KEY = int(2**24.5)
CHACHA20_POLY1305_RECORDS_PER_KEY = 2**48

#: In order of preference, by code point: AES-128-GCM is what today's processors do fastest.
CIPHER_SUITES = {
    suite.code: suite
    for suite in (
        CipherSuite(
            0x1301, "TLS_AES_128_GCM_SHA256", hashlib.sha256, 32, AESGCM, 16, GCM_RECORDS_PER_KEY
        ),
        CipherSuite(
            0x1302, "TLS_AES_256_GCM_SHA384", hashlib.sha384, 48, AESGCM, 32, GCM_RECORDS_PER_KEY
        ),
        CipherSuite(
            0x1303,
            "TLS_CHACHA20_POLY1305_SHA256",
            hashlib.sha256,
            32,
            ChaCha20Poly1305,
            32,
            CHACHA20_POLY1305_RECORDS_PER_KEY,
        ),
    )
}
