"""Encrypt and authenticate tickets and stored sessions."""

from __future__ import annotations

import hmac
from os import urandom

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["KEY_LENGTH", "seal", "unseal"]

KEY_LENGTH = 32
SALT_LENGTH = 32

# Each seal has a key of its own, so there is nothing for a nonce to tell apart, and no limit to
# how much one of our keys may seal.
NONCE = bytes(12)


def seal(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Encrypt and authenticate (AES-256-GCM) under a key of 32 bytes.

    What it is sealed for, ``context``, is authenticated too, but is not in the result.
    """
    salt = urandom(SALT_LENGTH)
    return salt + _aead(key, salt).encrypt(NONCE, plaintext, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes | None:
    """What was sealed; None if it was altered, or sealed with another key or context."""
    salt, ciphertext = sealed[:SALT_LENGTH], sealed[SALT_LENGTH:]
    try:
        return _aead(key, salt).decrypt(NONCE, ciphertext, context)
    except InvalidTag:
        return None


def _aead(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(hmac.digest(key, salt, "sha256"))
