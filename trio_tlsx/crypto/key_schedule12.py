"""The keys of TLS 1.2: the PRF and what is derived with it (RFC 5246 5, 6.3, 8.1).

All labels of TLS 1.2 are in this module.
"""

from __future__ import annotations

from typing import NamedTuple

from ..messages.codec import uint16
from .cipher_suites import Hash
from .cipher_suites12 import CipherSuite12
from .key_schedule import HmacKey, LogSecret

__all__ = ["VERIFY_DATA_LENGTH", "DirectionKeys", "MasterSecret", "prf"]

MASTER_SECRET_LENGTH = 48  # RFC 5246 8.1
MIN_BLOCK_LENGTH = 64  # of the hash functions of all suites, in bytes
VERIFY_DATA_LENGTH = 12  # RFC 5246 7.4.9, of all suites here

LOG_NAME = "CLIENT_RANDOM"  # RFC 9850 2.2


def prf(digest: Hash, secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """Compute the PRF (RFC 5246 5); ``length`` is in bytes."""
    if len(secret) > MIN_BLOCK_LENGTH and len(secret) > digest().block_size:
        secret = digest(secret).digest()  # RFC 2104 2, for the 66 bytes of P-521
    hmac = HmacKey(digest, secret).hmac
    seed = label + seed
    block = hmac(seed)
    output = hmac(block + seed)
    while len(output) < length:
        block = hmac(block)
        output += hmac(block + seed)
    return output[:length]


class DirectionKeys(NamedTuple):
    """The keys of one direction (RFC 5246 6.3); a suite with an AEAD has no MAC key."""

    key: bytes
    iv: bytes

    def __repr__(self) -> str:
        return "<DirectionKeys>"


class MasterSecret:
    """The master secret of a session, and what is derived from it.

    Args:
        secret: 48 bytes.
        randoms: of this connection, the client's and then the server's.
    """

    __slots__ = ("_client_random", "_server_random", "_suite", "secret")

    def __init__(self, suite: CipherSuite12, secret: bytes, randoms: tuple[bytes, bytes]) -> None:
        self._suite = suite
        self.secret: bytes = secret
        self._client_random, self._server_random = randoms

    @classmethod
    def derive(
        cls,
        suite: CipherSuite12,
        premaster_secret: bytes,
        randoms: tuple[bytes, bytes],
        session_hash: bytes | None,
    ) -> MasterSecret:
        """Derive the master secret of a full handshake.

        Args:
            premaster_secret: the shared secret of the key exchange (RFC 8422 5.10).
            session_hash: the hash of the transcript up to the ClientKeyExchange, for an extended
                master secret (RFC 7627 4); None for one that depends on the randoms only.
        """
        if session_hash is None:
            label, seed = b"master secret", b"".join(randoms)
        else:
            label, seed = b"extended master secret", session_hash
        secret = prf(suite.hash, premaster_secret, label, seed, MASTER_SECRET_LENGTH)
        return cls(suite, secret, randoms)

    def _expand(self, label: bytes, seed: bytes, length: int) -> bytes:
        return prf(self._suite.hash, self.secret, label, seed, length)

    def log(self, key_log: LogSecret | None) -> None:
        """Write the secret to a key log, if there is one."""
        if key_log is not None:
            key_log(LOG_NAME, self.secret)

    def traffic_keys(self) -> tuple[DirectionKeys, DirectionKeys]:
        """Derive the keys of the client's direction and those of the server's."""
        key_length, iv_length = self._suite.key_length, self._suite.implicit_iv_length
        seed = self._server_random + self._client_random  # the other way round than elsewhere
        block = self._expand(b"key expansion", seed, 2 * (key_length + iv_length))
        ivs = 2 * key_length
        return (
            DirectionKeys(block[:key_length], block[ivs : ivs + iv_length]),
            DirectionKeys(block[key_length:ivs], block[ivs + iv_length :]),
        )

    def client_finished(self, transcript_hash: bytes) -> bytes:
        """Compute the verify_data of the client's Finished (RFC 5246 7.4.9)."""
        return self._expand(b"client finished", transcript_hash, VERIFY_DATA_LENGTH)

    def server_finished(self, transcript_hash: bytes) -> bytes:
        """Compute the verify_data of the server's Finished."""
        return self._expand(b"server finished", transcript_hash, VERIFY_DATA_LENGTH)

    def export(self, label: str, context: bytes | None, length: int) -> bytes:
        """Export keying material (RFC 5705 4); no context differs from an empty one."""
        seed = self._client_random + self._server_random
        if context is not None:
            seed += uint16(len(context)) + context
        return self._expand(label.encode("ascii"), seed, length)
