"""The key exchange groups (RFC 9846 4.3.8).

A key exchange is two moves: one side makes a key share, the other answers it. For Diffie-Hellman
the answer is a key share too; for a KEM it is a ciphertext. A hybrid (RFC 10024) does two at once,
so that its secret holds as long as one of them does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .availability import is_available

__all__ = ["DEFAULT_GROUPS", "GROUPS", "EphemeralKey", "Group", "generate_key_shares"]

logger: logging.Logger = logging.getLogger("trio_tlsx")


class EphemeralKey(Protocol):
    """The private half of a key share that this side made for one handshake."""

    @property
    def public(self) -> bytes:
        """The ``key_exchange`` octets for the peer."""
        ...

    def exchange(self, peer: bytes) -> bytes:
        """The shared secret, from the peer's ``key_exchange``; ValueError if that is no good."""
        ...


class Group(NamedTuple):
    """A key exchange.

    Attributes:
        generate: make the client's half.
        respond: from the client's ``key_exchange`` make the server's and the shared secret;
            ValueError if the client's is no good.
        client_length: of the client's ``key_exchange``, in bytes.
        server_length: of the server's.
        is_post_quantum: it withstands quantum computers as well.
        components: of a hybrid, the two groups that it consists of.
    """

    code: int
    name: str
    generate: Callable[[], EphemeralKey]
    respond: Callable[[bytes], tuple[bytes, bytes]]
    client_length: int
    server_length: int
    is_post_quantum: bool
    components: tuple[Group, ...] = ()


def generate_key_shares(groups: Iterable[Group]) -> dict[int, EphemeralKey]:
    """Generate the keys for the key shares of one ClientHello, by group.

    RFC 9846 4.3.8 requires independent keys. RFC 9954 3.2 makes one exception: if an algorithm is
    in several groups, their shares in one ClientHello may have the same key. So X25519MLKEM768 and
    X25519 share an X25519 key here, which saves a key generation of 40 us. The key is in no other
    ClientHello, not even in the second of the same handshake. ML-KEM keys are not shared: RFC 9954
    2 recommends against it.
    """
    shared: dict[int, EphemeralKey] = {}
    return {group.code: _key_of(group, shared) for group in groups}


def _key_of(group: Group, shared: dict[int, EphemeralKey]) -> EphemeralKey:
    # No closure: one that calls itself is a cycle, which would keep the private key.
    if group.components:
        first, second = group.components
        return HybridKey(_key_of(first, shared), _key_of(second, shared), first.server_length)
    if group.is_post_quantum:
        return group.generate()
    if group.code not in shared:
        shared[group.code] = group.generate()
    return shared[group.code]


class X25519Key:
    """RFC 7748; an all-zero secret is refused by ``cryptography`` (RFC 9846 7.4.2)."""

    def __init__(self, private_key: x25519.X25519PrivateKey | None = None) -> None:
        self._private_key = private_key or x25519.X25519PrivateKey.generate()
        self.public: bytes = self._private_key.public_key().public_bytes_raw()

    def exchange(self, peer: bytes) -> bytes:
        return self._private_key.exchange(x25519.X25519PublicKey.from_public_bytes(peer))


class ECDHKey:
    """A NIST curve; ``cryptography`` checks that the peer's point is on it."""

    def __init__(
        self, curve: ec.EllipticCurve, private_key: ec.EllipticCurvePrivateKey | None = None
    ) -> None:
        self._curve = curve
        self._private_key = private_key or ec.generate_private_key(curve)
        self.public: bytes = self._private_key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )

    def exchange(self, peer: bytes) -> bytes:
        # RFC 9846 4.3.8.2: only the uncompressed form, and never the point at infinity.
        if not peer.startswith(b"\x04"):
            raise ValueError("the point is not in uncompressed form")
        point = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, peer)
        return self._private_key.exchange(ec.ECDH(), point)


class MLKEMKey:
    """FIPS 203; ``cryptography`` checks the peer's encapsulation key (7.2) and lengths."""

    def __init__(self, private_key: mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey) -> None:
        self._private_key = private_key
        self.public: bytes = private_key.public_key().public_bytes_raw()

    def exchange(self, peer: bytes) -> bytes:
        return self._private_key.decapsulate(peer)


class HybridKey:
    """RFC 10024: two key shares one behind the other, and so the secrets.

    Args:
        split: where the second part of the peer's ``key_exchange`` begins.
    """

    def __init__(self, first: EphemeralKey, second: EphemeralKey, split: int) -> None:
        self._first, self._second, self._split = first, second, split
        self.public: bytes = first.public + second.public

    def exchange(self, peer: bytes) -> bytes:
        first, second = peer[: self._split], peer[self._split :]
        return self._first.exchange(first) + self._second.exchange(second)


def _diffie_hellman(
    code: int, name: str, generate: Callable[[], EphemeralKey], length: int
) -> Group:
    def respond(peer: bytes) -> tuple[bytes, bytes]:
        own = generate()
        return own.public, own.exchange(peer)

    return Group(code, name, generate, respond, length, length, is_post_quantum=False)


def _ecdh(code: int, curve: ec.EllipticCurve) -> Group:
    coordinate = (curve.key_size + 7) // 8
    return _diffie_hellman(code, curve.name, partial(ECDHKey, curve), 1 + 2 * coordinate)


def _mlkem(
    code: int,
    name: str,
    private_key: type[mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey],
    public_key: type[mlkem.MLKEM768PublicKey | mlkem.MLKEM1024PublicKey],
    lengths: tuple[int, int],
) -> Group:
    def generate() -> MLKEMKey:
        return MLKEMKey(private_key.generate())

    def respond(peer: bytes) -> tuple[bytes, bytes]:
        secret, ciphertext = public_key.from_public_bytes(peer).encapsulate()
        return ciphertext, secret

    return Group(code, name, generate, respond, *lengths, is_post_quantum=True)


def _hybrid(code: int, name: str, first: Group, second: Group) -> Group:
    def generate() -> HybridKey:
        return HybridKey(first.generate(), second.generate(), first.server_length)

    def respond(peer: bytes) -> tuple[bytes, bytes]:
        one, secret = first.respond(peer[: first.client_length])
        other, further = second.respond(peer[first.client_length :])
        return one + other, secret + further

    return Group(
        code,
        name,
        generate,
        respond,
        first.client_length + second.client_length,
        first.server_length + second.server_length,
        is_post_quantum=True,
        components=(first, second),
    )


_X25519 = _diffie_hellman(0x001D, "x25519", X25519Key, 32)
_SECP256R1 = _ecdh(0x0017, ec.SECP256R1())
_SECP384R1 = _ecdh(0x0018, ec.SECP384R1())
_SECP521R1 = _ecdh(0x0019, ec.SECP521R1())

# ML-KEM by itself: draft-ietf-tls-mlkem. FIPS 203, table 3: how long an encapsulation key and a
# ciphertext are.
_MLKEM768 = _mlkem(
    0x0201, "MLKEM768", mlkem.MLKEM768PrivateKey, mlkem.MLKEM768PublicKey, (1184, 1088)
)
_MLKEM1024 = _mlkem(
    0x0202, "MLKEM1024", mlkem.MLKEM1024PrivateKey, mlkem.MLKEM1024PublicKey, (1568, 1568)
)

# RFC 10024: ML-KEM comes first beside X25519, and second beside a curve of NIST's.
_X25519MLKEM768 = _hybrid(0x11EC, "X25519MLKEM768", _MLKEM768, _X25519)
_SECP256R1MLKEM768 = _hybrid(0x11EB, "SecP256r1MLKEM768", _SECP256R1, _MLKEM768)
_SECP384R1MLKEM1024 = _hybrid(0x11ED, "SecP384r1MLKEM1024", _SECP384R1, _MLKEM1024)


def _available(*groups: Group) -> tuple[Group, ...]:
    return tuple(group for group in groups if _HAS_MLKEM or not group.is_post_quantum)


_HAS_MLKEM = is_available(mlkem.MLKEM768PublicKey.from_public_bytes)
if not _HAS_MLKEM:
    logger.warning(
        "this build of cryptography has no ML-KEM: "
        "X25519MLKEM768 and its like are neither offered nor accepted"
    )

#: The default groups, most preferred first.
DEFAULT_GROUPS = _available(_X25519MLKEM768, _X25519, _SECP256R1, _SECP384R1)

#: All that can be negotiated, by code point.
GROUPS = {
    group.code: group
    for group in (
        *DEFAULT_GROUPS,
        *_available(_SECP256R1MLKEM768, _SECP384R1MLKEM1024, _SECP521R1, _MLKEM1024, _MLKEM768),
    )
}
