"""The transcript hash (RFC 9846 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..messages.codec import opaque24, uint8
from ..messages.handshake import HandshakeType
from .cipher_suites import CipherSuite, HashState

__all__ = ["Transcript", "message_hash"]


class Transcript:
    """The hash over the handshake messages so far.

    Until the cipher suite is known the messages themselves are kept.

    Attributes:
        add: a function that adds a message.
        digest: a function that returns the hash so far. Both are methods of the hash itself once
            there is one: each message of a handshake passes them.
        retried: whether there was a HelloRetryRequest.
    """

    __slots__ = ("_hash", "_messages", "add", "digest", "retried")

    def __init__(self) -> None:
        self._messages: list[bytes] = []
        self.add: Callable[[bytes], None] = self._messages.append
        self.digest: Callable[[], bytes] = _no_digest
        self._hash: HashState | None = None
        self.retried: bool = False

    def start(self, suite: CipherSuite) -> None:
        """Hash with the suite's hash from here on; the messages so far count."""
        self._hash = suite.hash(b"".join(self._messages))
        self.add, self.digest = self._hash.update, self._hash.digest
        self._messages.clear()

    def retry(self, suite: CipherSuite) -> None:
        """Let a synthetic message with its hash take the first ClientHello's place.

        The messages so far are that and a HelloRetryRequest.
        """
        self.retried = True
        client_hello, *retry = self._messages
        self._messages[:] = [message_hash(suite, client_hello), *retry]

    def replace(self, index: int, message: bytes) -> None:
        """Let a message take another one's place, as the inner hello of ECH takes the outer's."""
        self._messages[index] = message

    @property
    def messages(self) -> Sequence[bytes]:
        """The messages so far; there are none any more once :meth:`start` was called."""
        return self._messages

    def digest_by(self, suite: CipherSuite) -> bytes:
        """Return the hash so far, whether or not :meth:`start` was called with this suite."""
        if self._hash is None:
            return suite.hash(b"".join(self._messages)).digest()
        return self._hash.digest()


def message_hash(suite: CipherSuite, client_hello: bytes) -> bytes:
    """Return the message that stands for a ClientHello before a HelloRetryRequest (4.1.1)."""
    return uint8(HandshakeType.message_hash) + opaque24(suite.hash(client_hello).digest())


def _no_digest() -> bytes:
    raise RuntimeError("the cipher suite is not known yet")
