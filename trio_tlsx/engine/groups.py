"""The key exchanges that can be negotiated (RFC 9846 4.3.8; X25519MLKEM768: RFC 10024).

A key exchange is two moves: one side makes a key share, the other answers it. For Diffie-Hellman
the answer is a key share too; for a KEM it is a ciphertext.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["GROUPS", "EphemeralKey", "Group"]

logger = logging.getLogger("trio_tlsx")

MLKEM768_PUBLIC_KEY_LENGTH = 1184
MLKEM768_CIPHERTEXT_LENGTH = 1088


class EphemeralKey(Protocol):
    """The private half of a key share that this side made for one handshake."""

    @property
    def public(self) -> bytes:
        """The ``key_exchange`` octets for the peer."""
        ...

    def exchange(self, peer: bytes) -> bytes:
        """The shared secret, from the peer's ``key_exchange``; ValueError if that is no good."""
        ...


@dataclass(frozen=True, slots=True)
class Group:
    """A key exchange.

    Attributes:
        generate: make the client's half.
        respond: from the client's ``key_exchange`` make the server's and the shared secret;
            ValueError if the client's is no good.
        classical_part: of a hybrid, the code point of the group that its classical half is.
    """

    code: int
    name: str
    generate: Callable[[], EphemeralKey]
    respond: Callable[[bytes], tuple[bytes, bytes]]
    classical_part: int | None = None


class X25519Key:
    """RFC 7748; an all-zero secret is refused by ``cryptography`` (RFC 9846 7.4.2)."""

    def __init__(self, private_key: x25519.X25519PrivateKey | None = None) -> None:
        self._private_key = private_key or x25519.X25519PrivateKey.generate()
        self.public = self._private_key.public_key().public_bytes_raw()

    def exchange(self, peer: bytes) -> bytes:
        return self._private_key.exchange(x25519.X25519PublicKey.from_public_bytes(peer))


class ECDHKey:
    """A NIST curve; ``cryptography`` checks that the peer's point is on it."""

    def __init__(
        self, curve: ec.EllipticCurve, private_key: ec.EllipticCurvePrivateKey | None = None
    ) -> None:
        self._curve = curve
        self._private_key = private_key or ec.generate_private_key(curve)
        self.public = self._private_key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )

    def exchange(self, peer: bytes) -> bytes:
        # RFC 9846 4.3.8.2: only the uncompressed form, and never the point at infinity.
        if not peer.startswith(b"\x04"):
            raise ValueError("the point is not in uncompressed form")
        point = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, peer)
        return self._private_key.exchange(ec.ECDH(), point)


class X25519MLKEM768Key:
    """RFC 10024: ML-KEM-768 first, X25519 second, in the shares and in the secret."""

    def __init__(self) -> None:
        self._decapsulation_key = mlkem.MLKEM768PrivateKey.generate()
        self._x25519 = X25519Key()
        encapsulation_key = self._decapsulation_key.public_key().public_bytes_raw()
        self.public = encapsulation_key + self._x25519.public

    def exchange(self, peer: bytes) -> bytes:
        ciphertext = peer[:MLKEM768_CIPHERTEXT_LENGTH]
        secret = self._decapsulation_key.decapsulate(ciphertext)
        return secret + self._x25519.exchange(peer[MLKEM768_CIPHERTEXT_LENGTH:])


def _respond_x25519mlkem768(peer: bytes) -> tuple[bytes, bytes]:
    encapsulation_key = mlkem.MLKEM768PublicKey.from_public_bytes(
        peer[:MLKEM768_PUBLIC_KEY_LENGTH]
    )
    own = X25519Key()
    x25519_secret = own.exchange(peer[MLKEM768_PUBLIC_KEY_LENGTH:])
    mlkem_secret, ciphertext = encapsulation_key.encapsulate()
    return ciphertext + own.public, mlkem_secret + x25519_secret


def _diffie_hellman(code: int, name: str, generate: Callable[[], EphemeralKey]) -> Group:
    def respond(peer: bytes) -> tuple[bytes, bytes]:
        own = generate()
        return own.public, own.exchange(peer)

    return Group(code, name, generate, respond)


def _mlkem_is_available() -> bool:
    try:
        mlkem.MLKEM768PrivateKey.generate()
    except UnsupportedAlgorithm:
        logger.warning(
            "this build of cryptography has no ML-KEM: "
            "X25519MLKEM768 is neither offered nor accepted"
        )
        return False
    return True


_X25519MLKEM768 = Group(
    0x11EC, "X25519MLKEM768", X25519MLKEM768Key, _respond_x25519mlkem768, classical_part=0x001D
)

#: In order of preference, by code point.
GROUPS = {
    group.code: group
    for group in (
        *((_X25519MLKEM768,) if _mlkem_is_available() else ()),
        _diffie_hellman(0x001D, "x25519", X25519Key),
        _diffie_hellman(0x0017, "secp256r1", lambda: ECDHKey(ec.SECP256R1())),
        _diffie_hellman(0x0018, "secp384r1", lambda: ECDHKey(ec.SECP384R1())),
    )
}
