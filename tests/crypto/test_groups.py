"""Key exchanges with independent implementations of the other side: ``cryptography`` and kyber-py.

The order of a hybrid's parts is that of RFC 10024.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

from typing import Protocol

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from kyber_py.ml_kem import ML_KEM_768, ML_KEM_1024
from kyber_py.ml_kem.ml_kem import ML_KEM

from trio_tlsx.crypto.groups import GROUPS, Group

KNOWN = {group.name: group for group in GROUPS.values()}


class Part(Protocol):
    """A part of a key exchange: its two lengths, and what either side does."""

    lengths: tuple[int, int]  # of the client's key_exchange and of the server's

    def begin(self) -> tuple[bytes, object]: ...

    def finish(self, key: object, answer: bytes) -> bytes: ...

    def respond(self, share: bytes) -> tuple[bytes, bytes]: ...


class MLKEM:
    def __init__(self, kem: ML_KEM, lengths: tuple[int, int]) -> None:
        self._kem = kem
        self.lengths = lengths

    def begin(self) -> tuple[bytes, object]:
        return self._kem.keygen()

    def finish(self, key: object, answer: bytes) -> bytes:
        assert isinstance(key, bytes)
        return self._kem.decaps(key, answer)

    def respond(self, share: bytes) -> tuple[bytes, bytes]:
        secret, ciphertext = self._kem.encaps(share)
        return ciphertext, secret


class X25519:
    lengths: tuple[int, int] = (32, 32)

    def begin(self) -> tuple[bytes, object]:
        key = x25519.X25519PrivateKey.generate()
        return key.public_key().public_bytes_raw(), key

    def finish(self, key: object, answer: bytes) -> bytes:
        assert isinstance(key, x25519.X25519PrivateKey)
        return key.exchange(x25519.X25519PublicKey.from_public_bytes(answer))

    def respond(self, share: bytes) -> tuple[bytes, bytes]:
        public, key = self.begin()
        return public, self.finish(key, share)


class ECDH:
    def __init__(self, curve: ec.EllipticCurve, length: int) -> None:
        self._curve = curve
        self.lengths = (length, length)

    def begin(self) -> tuple[bytes, object]:
        key = ec.generate_private_key(self._curve)
        return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), key

    def finish(self, key: object, answer: bytes) -> bytes:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        point = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, answer)
        return key.exchange(ec.ECDH(), point)

    def respond(self, share: bytes) -> tuple[bytes, bytes]:
        public, key = self.begin()
        return public, self.finish(key, share)


MLKEM768 = MLKEM(ML_KEM_768, (1184, 1088))
MLKEM1024 = MLKEM(ML_KEM_1024, (1568, 1568))
P256 = ECDH(ec.SECP256R1(), 65)
P384 = ECDH(ec.SECP384R1(), 97)
P521 = ECDH(ec.SECP521R1(), 133)

#: The code point and the parts of each group.
GROUP_PARTS: dict[str, tuple[int, tuple[Part, ...]]] = {
    "secp256r1": (0x0017, (P256,)),
    "secp384r1": (0x0018, (P384,)),
    "secp521r1": (0x0019, (P521,)),
    "x25519": (0x001D, (X25519(),)),
    "MLKEM768": (0x0201, (MLKEM768,)),
    "MLKEM1024": (0x0202, (MLKEM1024,)),
    "SecP256r1MLKEM768": (0x11EB, (P256, MLKEM768)),
    "X25519MLKEM768": (0x11EC, (MLKEM768, X25519())),
    "SecP384r1MLKEM1024": (0x11ED, (P384, MLKEM1024)),
}
each_group = pytest.mark.parametrize("name", GROUP_PARTS)


def test_every_group_has_an_independent_implementation() -> None:
    assert {name: code for name, (code, _) in GROUP_PARTS.items()} == {
        group.name: group.code for group in GROUPS.values()
    }


@each_group
def test_key_exchange_with_an_independent_client(name: str) -> None:
    _, parts = GROUP_PARTS[name]
    begun = [part.begin() for part in parts]
    answer, secret = KNOWN[name].respond(b"".join(share for share, _ in begun))
    secrets = b""
    for part, (_, key) in zip(parts, begun, strict=True):
        length = part.lengths[1]
        secrets += part.finish(key, answer[:length])
        answer = answer[length:]
    assert not answer
    assert secrets == secret


@each_group
def test_key_exchange_with_an_independent_server(name: str) -> None:
    key = KNOWN[name].generate()
    rest, answer, secrets = key.public, b"", b""
    for part in GROUP_PARTS[name][1]:
        length = part.lengths[0]
        public, secret = part.respond(rest[:length])
        answer, secrets, rest = answer + public, secrets + secret, rest[length:]
    assert not rest
    assert key.exchange(answer) == secrets


@pytest.mark.parametrize("group", KNOWN.values(), ids=KNOWN)
def test_keys_of_a_group_are_fresh_each_time(group: Group) -> None:
    share = group.generate().public
    one, other = group.respond(share), group.respond(share)
    assert one[0] != other[0]
    assert one[1] != other[1]
    assert share != group.generate().public
