"""The transcript hash (RFC 9846 4.1)."""

from __future__ import annotations

from .messages import HandshakeType
from .suites import CipherSuite, Hash
from .wire import opaque24, uint8

__all__ = ["Transcript"]


class Transcript:
    """The hash over the handshake messages so far.

    Until the cipher suite is known the messages themselves are kept.
    """

    __slots__ = ("_hash", "_octets", "_suite_hash")

    def __init__(self) -> None:
        self._octets = b""
        self._suite_hash: Hash | None = None
        self._hash = None

    def add(self, message: bytes) -> None:
        if self._hash is None:
            self._octets += message
        else:
            self._hash.update(message)

    def use(self, suite: CipherSuite) -> None:
        """Hash with the suite's hash from here on; what came before counts."""
        if self._hash is None:
            self._suite_hash = suite.hash
            self._hash = suite.hash(self._octets)
            self._octets = b""

    def digest(self) -> bytes:
        if self._hash is None:
            raise RuntimeError("the cipher suite is not known yet")
        return self._hash.digest()

    def replace_with_message_hash(self) -> None:
        """Put a synthetic message in the place of the first ClientHello (RFC 9846 4.1)."""
        if self._suite_hash is None:
            raise RuntimeError("the cipher suite is not known yet")
        synthetic = uint8(HandshakeType.message_hash) + opaque24(self.digest())
        self._hash = self._suite_hash(synthetic)
