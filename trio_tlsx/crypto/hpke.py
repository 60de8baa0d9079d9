"""Hybrid Public Key Encryption in base mode (RFC 9180), as Encrypted Client Hello uses it.

``cryptography`` has HPKE for single messages without additional data. ECH encrypts two messages
in one context, both with additional data (RFC 9849 6.1.1, 6.1.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from ..messages.codec import uint16
from .cipher_suites import AEAD
from .groups import ECDHKey, EphemeralKey, X25519Key

__all__ = [
    "AEADS",
    "AEAD_TAG_LENGTH",
    "KDFS",
    "KEMS",
    "HPKEAead",
    "HPKEContext",
    "HPKEKdf",
    "HPKEKem",
    "HPKESuite",
    "setup_base_recipient",
    "setup_base_sender",
]

VERSION_LABEL = b"HPKE-v1"
MODE_BASE = b"\x00"
# Of each AEAD here (RFC 9180 7.3).
NONCE_LENGTH = 12
AEAD_TAG_LENGTH = 16


class HPKEKdf(NamedTuple):
    """A key derivation function (RFC 9180 7.2): HKDF with a hash."""

    code: int
    name: str
    hash: hashes.HashAlgorithm

    def extract(self, suite_id: bytes, salt: bytes, label: bytes, key_material: bytes) -> bytes:
        """Compute LabeledExtract (RFC 9180 4)."""
        return HKDF.extract(self.hash, salt, VERSION_LABEL + suite_id + label + key_material)

    def expand(self, suite_id: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
        """Compute LabeledExpand (RFC 9180 4); ``length`` is in bytes."""
        labeled_info = uint16(length) + VERSION_LABEL + suite_id + label + info
        return HKDFExpand(self.hash, length, labeled_info).derive(key)


class HPKEKem(NamedTuple):
    """A key encapsulation mechanism: Diffie-Hellman in a group, and HKDF (RFC 9180 4.1).

    Attributes:
        generate: makes a key pair.
    """

    code: int
    name: str
    kdf: HPKEKdf
    generate: Callable[[], EphemeralKey]

    def encapsulate(self, public_key: bytes, ephemeral: EphemeralKey) -> tuple[bytes, bytes]:
        """Return a shared secret and its encapsulation for the recipient.

        Raises:
            ValueError: the public key is not valid.
        """
        shared = self._shared_secret(ephemeral.exchange(public_key), ephemeral.public + public_key)
        return shared, ephemeral.public

    def decapsulate(self, enc: bytes, private_key: EphemeralKey) -> bytes:
        """Return the shared secret.

        Raises:
            ValueError: the encapsulated key is not valid.
        """
        return self._shared_secret(private_key.exchange(enc), enc + private_key.public)

    def _shared_secret(self, dh: bytes, context: bytes) -> bytes:
        suite_id = b"KEM" + uint16(self.code)
        key = self.kdf.extract(suite_id, b"", b"eae_prk", dh)
        length = self.kdf.hash.digest_size
        return self.kdf.expand(suite_id, key, b"shared_secret", context, length)


class HPKEAead(NamedTuple):
    """An AEAD (RFC 9180 7.3); ``key_length`` is in bytes."""

    code: int
    name: str
    aead: Callable[[bytes], AEAD]
    key_length: int


_HKDF_SHA256 = HPKEKdf(0x0001, "HKDF-SHA256", hashes.SHA256())

#: By code point, in order of preference; RFC 9849 9 requires the first of each.
KEMS = {
    kem.code: kem
    for kem in (
        HPKEKem(0x0020, "DHKEM(X25519, HKDF-SHA256)", _HKDF_SHA256, X25519Key),
        HPKEKem(
            0x0010, "DHKEM(P-256, HKDF-SHA256)", _HKDF_SHA256, partial(ECDHKey, ec.SECP256R1())
        ),
    )
}
KDFS = {kdf.code: kdf for kdf in (_HKDF_SHA256, HPKEKdf(0x0002, "HKDF-SHA384", hashes.SHA384()))}
AEADS = {
    aead.code: aead
    for aead in (
        HPKEAead(0x0001, "AES-128-GCM", AESGCM, 16),
        HPKEAead(0x0002, "AES-256-GCM", AESGCM, 32),
        HPKEAead(0x0003, "ChaCha20Poly1305", ChaCha20Poly1305, 32),
    )
}


class HPKESuite(NamedTuple):
    """The algorithms of one encryption."""

    kem: HPKEKem
    kdf: HPKEKdf
    aead: HPKEAead

    @property
    def id(self) -> bytes:
        """The ``suite_id`` of RFC 9180 5.1."""
        return b"HPKE" + uint16(self.kem.code) + uint16(self.kdf.code) + uint16(self.aead.code)


@dataclass(slots=True, eq=False)
class HPKEContext:
    """The keys that one sender and one recipient share, for messages in their order.

    Attributes:
        shared_secret: the secret of the KEM, for key logs.
    """

    suite: HPKESuite
    shared_secret: bytes = field(repr=False)
    _aead: AEAD = field(repr=False)
    _base_nonce: int = field(repr=False)
    _exporter_secret: bytes = field(repr=False)
    _sequence_number: int = field(default=0, repr=False)

    def seal(self, additional_data: bytes, plaintext: bytes) -> bytes:
        """Encrypt the next message."""
        nonce = self._nonce()
        self._sequence_number += 1
        return self._aead.encrypt(nonce, plaintext, additional_data)

    def open(self, additional_data: bytes, ciphertext: bytes) -> bytes:
        """Decrypt the next message.

        Raises:
            ValueError: the message is not authentic; the one that is may still come.
        """
        try:
            plaintext = self._aead.decrypt(self._nonce(), ciphertext, additional_data)
        except InvalidTag:
            raise ValueError("the message is not authentic") from None
        self._sequence_number += 1
        return plaintext

    def export(self, context: bytes, length: int) -> bytes:
        """Return a secret of ``length`` bytes that both sides know (RFC 9180 5.3)."""
        kdf = self.suite.kdf
        return kdf.expand(self.suite.id, self._exporter_secret, b"sec", context, length)

    def _nonce(self) -> bytes:
        # No context lives for the 2^96 messages after which a nonce would come again.
        return (self._base_nonce ^ self._sequence_number).to_bytes(NONCE_LENGTH)


def setup_base_sender(
    suite: HPKESuite, public_key: bytes, info: bytes, *, ephemeral: EphemeralKey | None = None
) -> tuple[bytes, HPKEContext]:
    """Encrypt to a public key: return the encapsulated key and the context (RFC 9180 5.1.1).

    Args:
        info: other data that both sides have, which the context is bound to.
        ephemeral: the sender's key pair, for tests with published vectors.

    Raises:
        ValueError: the public key is not valid.
    """
    shared_secret, enc = suite.kem.encapsulate(public_key, ephemeral or suite.kem.generate())
    return enc, _context(suite, shared_secret, info)


def setup_base_recipient(
    suite: HPKESuite, enc: bytes, private_key: EphemeralKey, info: bytes
) -> HPKEContext:
    """Return the context of a sender's encapsulated key (RFC 9180 5.1.1).

    Raises:
        ValueError: the encapsulated key is not valid.
    """
    return _context(suite, suite.kem.decapsulate(enc, private_key), info)


def _context(suite: HPKESuite, shared_secret: bytes, info: bytes) -> HPKEContext:
    """Compute KeySchedule (RFC 9180 5.1) in base mode: with an empty PSK and its empty name."""
    kdf, suite_id, key_length = suite.kdf, suite.id, suite.aead.key_length
    psk_id_hash = kdf.extract(suite_id, b"", b"psk_id_hash", b"")
    info_hash = kdf.extract(suite_id, b"", b"info_hash", info)
    context = MODE_BASE + psk_id_hash + info_hash
    secret = kdf.extract(suite_id, shared_secret, b"secret", b"")
    key = kdf.expand(suite_id, secret, b"key", context, key_length)
    base_nonce = kdf.expand(suite_id, secret, b"base_nonce", context, NONCE_LENGTH)
    exporter_secret = kdf.expand(suite_id, secret, b"exp", context, kdf.hash.digest_size)
    return HPKEContext(
        suite, shared_secret, suite.aead.aead(key), int.from_bytes(base_nonce), exporter_secret
    )
