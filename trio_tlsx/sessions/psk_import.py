"""Import external pre-shared keys for a version of TLS and a hash (RFC 9258)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from ..crypto.cipher_suites import CipherSuite, Hash
from ..crypto.key_schedule import imported_psk
from ..errors import ProtocolError
from ..messages.codec import Reader, opaque16, uint16
from ..messages.versions import TLS13

__all__ = ["ImportedIdentity", "import_key"]

#: RFC 9258 10: the hash functions for which a key can be imported.
TARGET_KDFS: Mapping[Hash, int] = {hashlib.sha256: 0x0001, hashlib.sha384: 0x0002}


class ImportedIdentity(NamedTuple):
    """The identity of an imported key in a ClientHello (RFC 9258 5.1)."""

    external_identity: bytes
    context: bytes
    target_protocol: int
    target_kdf: int

    @classmethod
    def of(cls, external_identity: bytes, context: bytes, target: CipherSuite) -> ImportedIdentity:
        """Return the identity of a key that is imported for the ``target`` cipher suite."""
        return cls(external_identity, context, TLS13, TARGET_KDFS[target.hash])

    @classmethod
    def decode(cls, identity: bytes) -> ImportedIdentity | None:
        """Decode an identity; return None if it is not the identity of an imported key."""
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
        """Encode the identity as a ClientHello carries it."""
        return b"".join(
            (
                opaque16(self.external_identity),
                opaque16(self.context),
                uint16(self.target_protocol),
                uint16(self.target_kdf),
            )
        )


def import_key(key: bytes, digest: Hash, identity: ImportedIdentity, target: CipherSuite) -> bytes:
    """Derive the key for ``target`` from an external key (RFC 9258 5.1).

    Args:
        key: the external key.
        digest: the hash function of the external key; that of the target may differ.
        identity: the identity of the imported key.
        target: the cipher suite.
    """
    return imported_psk(digest, key, identity.encode(), target.hash_length)
