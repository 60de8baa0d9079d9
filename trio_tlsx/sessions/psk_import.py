"""Import external pre-shared keys for a version of TLS and a hash (RFC 9258)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from ..crypto.cipher_suites import CipherSuite, Hash
from ..crypto.key_schedule import imported_psk
from ..errors import ProtocolError
from ..messages.codec import Reader, opaque16, uint16
from ..messages.versions import TLS13

__all__ = ["ImportedIdentity", "import_key"]

#: RFC 9258 10: the hashes that a key can be made fit for.
TARGET_KDFS: Mapping[Hash, int] = {hashlib.sha256: 0x0001, hashlib.sha384: 0x0002}


@dataclass(frozen=True, slots=True)
class ImportedIdentity:
    """What an imported key is called in a ClientHello (RFC 9258 5.1)."""

    external_identity: bytes
    context: bytes
    target_protocol: int
    target_kdf: int

    @classmethod
    def of(cls, external_identity: bytes, context: bytes, target: CipherSuite) -> ImportedIdentity:
        return cls(external_identity, context, TLS13, TARGET_KDFS[target.hash])

    @classmethod
    def decode(cls, identity: bytes) -> ImportedIdentity | None:
        """None where it is not in this form, and so no imported key's."""
        reader = Reader(identity, "identity")
        try:
            fields = (
                reader.opaque16(minimum=1),
                reader.opaque16(),
                reader.uint16(),
                reader.uint16(),
            )
            reader.finish()
        except ProtocolError:
            return None
        return cls(*fields)

    def encode(self) -> bytes:
        return b"".join(
            (
                opaque16(self.external_identity),
                opaque16(self.context),
                uint16(self.target_protocol),
                uint16(self.target_kdf),
            )
        )


def import_key(key: bytes, digest: Hash, identity: ImportedIdentity, target: CipherSuite) -> bytes:
    """The key to use with ``target`` in place of one from outside (RFC 9258 5.1).

    Args:
        digest: the hash that goes with the key from outside; the target's may be another.
    """
    return imported_psk(digest, key, identity.encode(), target.hash_length)
