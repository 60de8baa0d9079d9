"""Public keys without certificates (RFC 7250), and the pins of public keys (RFC 7469 2.4)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import ObjectIdentifier

from ..arguments import BYTES, Expected, any_of, check
from ..crypto.signatures import PublicKey, schemes_for
from ..errors import ConfigError
from .certificates import MALFORMED
from .describe import subject_of
from .pem import pem_blocks
from .structure import encode_sequence, read_structure

__all__ = [
    "Presented",
    "RawPublicKey",
    "certificate_of",
    "decode_pin",
    "label_of",
    "load_raw_public_key",
    "owner_of",
    "pin_of",
    "spki_of",
]

PIN_PREFIX = "sha256//"
DIGEST_LENGTH = 32

#: The longest raw public key that is decoded, in bytes of DER. Keys of ML-DSA-87 have 2,614 bytes,
#: and RSA keys of 8,192 bits have 1,062.
MAX_RAW_KEY_LENGTH = 2**12

PUBLIC_KEY_LABEL = "PUBLIC KEY"  # RFC 7468 13
KEY = Expected(
    any_of(lambda value: isinstance(value, PublicKey), BYTES),
    "an ECDSA, Ed25519, Ed448, RSA or ML-DSA public key of cryptography, or a "
    "SubjectPublicKeyInfo as bytes, in DER or PEM",
)


@asn1.sequence
class _SubjectPublicKeyInfo:
    """RFC 5280 4.1."""

    algorithm: asn1.TLV
    key: asn1.BitString


@dataclass(frozen=True, slots=True, repr=False)
class RawPublicKey:
    """A public key without a certificate (RFC 7250). Create it with :meth:`of`.

    Two of them are equal if they have the same encoding.

    Attributes:
        der: the key as a SubjectPublicKeyInfo (RFC 5280 4.1) in DER.
        public_key_algorithm_oid: the algorithm in it.
    """

    der: bytes
    public_key_algorithm_oid: ObjectIdentifier = field(compare=False)
    _key: PublicKeyTypes = field(compare=False)

    @classmethod
    def of(cls, key: PublicKey | bytes) -> Self:
        """Return the raw public key of a key.

        Args:
            key: a public key of ``cryptography``, or a SubjectPublicKeyInfo as bytes, in DER or
                PEM.

        Raises:
            ConfigError: ``key`` has the wrong type, cannot be decoded, or is of a kind that TLS
                cannot use.
        """
        check("key", key, KEY)
        if not isinstance(key, bytes):
            der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        elif b"-----BEGIN" in key:
            der = _read_pem(key)
        else:
            der = key
        try:
            loaded = load_raw_public_key(der)
            usable = schemes_for(loaded)
        except MALFORMED as error:
            raise ConfigError(
                f"the public key is no SubjectPublicKeyInfo that can be decoded ({error}): write "
                "it with `openssl pkey -pubout`"
            ) from error
        if not usable:
            raise ConfigError(
                "TLS has no signature scheme for this public key: create a key for P-256, P-384, "
                "P-521, Ed25519, Ed448, RSA or ML-DSA"
            )
        return cls(der, loaded.public_key_algorithm_oid, loaded.public_key())

    def public_key(self) -> PublicKeyTypes:
        """Return the key as an object of ``cryptography``."""
        return self._key

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the key's encoding."""
        return hashlib.sha256(self.der).digest()

    @property
    def pin(self) -> str:
        """The key's pin, as :func:`spki_pin` returns it."""
        return pin_of(self.der)

    def __repr__(self) -> str:
        return f"<RawPublicKey {self.pin}>"


@dataclass(slots=True, eq=False)
class Presented:
    """The content of a peer's Certificate: certificates, or one raw public key.

    Attributes:
        chain: the certificates, the peer's own first. Empty with a raw public key.
        raw_public_key: the key; None with certificates.
    """

    chain: tuple[x509.Certificate, ...]
    raw_public_key: RawPublicKey | None

    @property
    def leaf(self) -> x509.Certificate | RawPublicKey:
        """The certificate or the raw key that the peer must prove to hold the private key of."""
        return self.raw_public_key or self.chain[0]


def certificate_of(leaf: x509.Certificate | RawPublicKey) -> x509.Certificate | None:
    """Return the first item of a chain if it is a certificate, otherwise None."""
    return None if isinstance(leaf, RawPublicKey) else leaf


def label_of(leaf: x509.Certificate | RawPublicKey) -> str:
    """Return the subject of a certificate, or the pin of a raw public key."""
    return f"raw public key {leaf.pin}" if isinstance(leaf, RawPublicKey) else subject_of(leaf)


def owner_of(leaf: x509.Certificate | RawPublicKey) -> str:
    """Return the name of the first item of a chain for an error."""
    label = label_of(leaf)
    return f"the {label}" if isinstance(leaf, RawPublicKey) else f"the certificate of {label}"


def load_raw_public_key(der: bytes) -> RawPublicKey:
    """Decode a SubjectPublicKeyInfo.

    Raises:
        ValueError: it is too long, is malformed, or has a key that cannot be loaded (or one of
            ``MALFORMED``).
    """
    if len(der) > MAX_RAW_KEY_LENGTH:
        raise ValueError(f"a public key of {len(der)} bytes; at most {MAX_RAW_KEY_LENGTH} fit")
    # ``load_der_public_key`` alone would accept keys in other structures, too.
    algorithm = bytes(asn1.decode_der(_SubjectPublicKeyInfo, der).algorithm.data)
    oid_length = int.from_bytes(algorithm[1:2])
    oid = asn1.decode_der(ObjectIdentifier, algorithm[: 2 + oid_length])
    return RawPublicKey(der, oid, load_der_public_key(der))


def _read_pem(pem: bytes) -> bytes:
    blocks = [block.pem for block in pem_blocks(pem) if block.label == PUBLIC_KEY_LABEL]
    found = [block for block in blocks if block is not None]
    if len(found) != 1:
        raise ConfigError(
            f"the PEM has {len(found)} whole blocks {PUBLIC_KEY_LABEL!r}, not one: write it with "
            "`openssl pkey -pubout`"
        )
    lines = found[0].strip().splitlines()
    try:
        return base64.b64decode(b"".join(lines[1:-1]), validate=True)
    except binascii.Error as error:
        raise ConfigError("the public key is not in base64 between its lines of PEM") from error


# Pins


def spki_of(certificate: x509.Certificate | RawPublicKey) -> bytes:
    """Return the SubjectPublicKeyInfo in DER, exactly as the certificate has it."""
    if isinstance(certificate, RawPublicKey):
        return certificate.der
    # Keys of kinds that ``cryptography`` does not know have a pin, too.
    return encode_sequence(read_structure(certificate).public_key.data)


def pin_of(spki: bytes) -> str:
    """Return a pin in curl's form: ``"sha256//"`` and base64."""
    digest = hashlib.sha256(spki).digest()
    return PIN_PREFIX + base64.b64encode(digest).decode("ascii")


def decode_pin(pin: str) -> bytes:
    """Return the SHA-256 in a pin; ConfigError if it is no pin."""
    try:
        digest = base64.b64decode(pin.removeprefix(PIN_PREFIX), validate=True)
    except binascii.Error:
        digest = b""
    if not pin.startswith(PIN_PREFIX) or len(digest) != DIGEST_LENGTH:
        raise ConfigError(
            f"{pin!r} is no pin: it is 'sha256//' and the base64 of {DIGEST_LENGTH} bytes"
        )
    return digest
