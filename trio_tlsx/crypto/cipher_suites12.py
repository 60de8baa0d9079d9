"""The cipher suites of TLS 1.2 that can be negotiated (RFC 5289, RFC 7905).

All of them have an ephemeral key exchange and an AEAD. There is no suite with CBC, static RSA or
finite-field Diffie-Hellman.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from ..messages.versions import TLS12
from .cipher_suites import (
    AEAD,
    CHACHA20_POLY1305_RECORDS_PER_KEY,
    GCM_RECORDS_PER_KEY,
    CipherSuite,
    Hash,
)

__all__ = ["CIPHER_SUITES_12", "CipherSuite12"]


@dataclass(slots=True, eq=False)
class CipherSuite12(CipherSuite):
    """A cipher suite of TLS 1.2; its hash is that of the PRF (RFC 5246 5).

    Attributes:
        authentication: the kind of the server's key: ``"ECDSA"``, which includes EdDSA
            (RFC 8422 2.1), or ``"RSA"``.
        implicit_iv_length: bytes of the nonce that come from the key block.
        explicit_nonce_length: bytes of the nonce that each record carries (RFC 5288 3).
    """

    authentication: Literal["ECDSA", "RSA"] = "ECDSA"
    implicit_iv_length: int = 4
    explicit_nonce_length: int = 8
    version: int = TLS12

    @property
    def openssl_name(self) -> str:
        """OpenSSL's name of the suite, which the stdlib uses too."""
        name = self.name.removeprefix("TLS_").replace("_WITH", "").replace("AES_", "AES")
        return name.replace("POLY1305_SHA256", "POLY1305").replace("_", "-")


def _gcm(
    code: int, name: str, authentication: Literal["ECDSA", "RSA"], digest: Hash, key_length: int
) -> CipherSuite12:
    return CipherSuite12(
        code,
        name,
        digest,
        len(digest().digest()),
        AESGCM,
        key_length,
        GCM_RECORDS_PER_KEY,
        authentication=authentication,
    )


def _chacha20(code: int, name: str, authentication: Literal["ECDSA", "RSA"]) -> CipherSuite12:
    aead: Callable[[bytes], AEAD] = ChaCha20Poly1305
    return CipherSuite12(
        code,
        name,
        hashlib.sha256,
        32,
        aead,
        32,
        CHACHA20_POLY1305_RECORDS_PER_KEY,
        authentication=authentication,
        implicit_iv_length=12,
        explicit_nonce_length=0,
    )


_aes_128 = partial(_gcm, digest=hashlib.sha256, key_length=16)
_aes_256 = partial(_gcm, digest=hashlib.sha384, key_length=32)

#: In order of preference, by code point. A key of the server fits one half of them.
CIPHER_SUITES_12 = {
    suite.code: suite
    for suite in (
        _aes_128(0xC02B, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDSA"),
        _aes_128(0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "RSA"),
        _aes_256(0xC02C, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDSA"),
        _aes_256(0xC030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "RSA"),
        _chacha20(0xCCA9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDSA"),
        _chacha20(0xCCA8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "RSA"),
    )
}
