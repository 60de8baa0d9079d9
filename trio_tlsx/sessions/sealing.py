"""Encrypt and authenticate tickets and stored sessions."""

from __future__ import annotations

import hmac
from os import urandom

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["KEY_LENGTH", "seal", "unseal"]

KEY_LENGTH = 32
SALT_LENGTH = 32

# Each sealed text has its own key, derived from a random salt. So the nonce can be constant, and
# one key can seal any amount of data.
NONCE = bytes(12)


def seal(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Encrypt and authenticate with AES-256-GCM, under a key of 32 bytes.

    Args:
        key: 32 bytes.
        plaintext: the data to encrypt.
        context: authenticated too, but not part of the result; :func:`unseal` needs the same.
    """
    salt = urandom(SALT_LENGTH)
    return salt + _aead(key, salt).encrypt(NONCE, plaintext, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes | None:
    """Return the plaintext; None if it was altered, or sealed with another key or context."""
    salt, ciphertext = sealed[:SALT_LENGTH], sealed[SALT_LENGTH:]
    try:
        return _aead(key, salt).decrypt(NONCE, ciphertext, context)
    except InvalidTag:
        return None


def _aead(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(hmac.digest(key, salt, "sha256"))
