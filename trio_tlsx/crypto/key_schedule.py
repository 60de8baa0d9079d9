"""The key schedule (RFC 9846 7.1): one class for each secret of the RFC's diagram.

::

                   0
                   |
         PSK -> HKDF-Extract = EarlySecret
                   |
    (EC)DHE -> HKDF-Extract = HandshakeSecret
                   |
           0 -> HKDF-Extract = MainSecret

Each stage derives the secrets that exist in it, and the next stage. All labels of TLS 1.3 are in
this module.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from ..messages.codec import opaque8, uint8, uint16
from .cipher_suites import CipherSuite, Hash

__all__ = [
    "EarlySecret",
    "HandshakeSecret",
    "HmacKey",
    "LogSecret",
    "MainSecret",
    "ech_confirmation",
    "exported_keying_material",
    "finished_verify_data",
    "imported_psk",
    "next_traffic_secret",
    "ticket_psk",
    "traffic_keys",
]

IV_LENGTH = 12
ECH_CONFIRMATION_LENGTH = 8  # RFC 9849 5, 7.2

#: Receives each secret that may be logged: its name in a key log (RFC 9850 2.1), and the secret.
LogSecret: TypeAlias = Callable[[str, bytes], object]

_INNER_PAD = bytes(octet ^ 0x36 for octet in range(256))
_OUTER_PAD = bytes(octet ^ 0x5C for octet in range(256))


@lru_cache(maxsize=8)
def _hash_of_no_messages(digest: Hash) -> bytes:
    return digest().digest()


@lru_cache(maxsize=8)
def _block_size(digest: Hash) -> int:
    return digest().block_size


class HmacKey:
    """A key of HMAC (RFC 2104) no longer than a hash block, padded once for all its messages.

    A handshake computes some 40 HMACs. One takes 0.75 us here; with :func:`hmac.digest` 1.6 us.
    Copies of the hash states after the pads would be faster from the fifth message of a key on.
    """

    __slots__ = ("digest", "padded")

    def __init__(self, digest: Hash, key: bytes) -> None:
        block = key.ljust(_block_size(digest), b"\0")
        self.digest: Hash = digest
        self.padded: tuple[bytes, bytes] = block.translate(_INNER_PAD), block.translate(_OUTER_PAD)

    def hmac(self, message: bytes) -> bytes:
        digest, (inner, outer) = self.digest, self.padded
        return digest(outer + digest(inner + message).digest()).digest()


@lru_cache(maxsize=256)
def _hkdf_label(label: str, length: int, context_length: int) -> bytes:
    """Encode an HkdfLabel (RFC 9846 7.1) up to its context."""
    return uint16(length) + opaque8(b"tls13 " + label.encode("ascii")) + uint8(context_length)


@lru_cache(maxsize=32)
def _only_block(label: str, length: int, context: bytes = b"") -> bytes:
    """Return the HMAC's message for an HKDF-Expand-Label of at most one hash."""
    return _hkdf_label(label, length, len(context)) + context + b"\x01"


def expand_label(key: HmacKey, label: str, context: bytes, length: int) -> bytes:
    """Compute HKDF-Expand-Label (RFC 9846 7.1); ``length`` is in bytes."""
    info = _hkdf_label(label, length, len(context)) + context
    block = output = key.hmac(info + b"\x01")
    counter = 2
    while len(output) < length:
        block = key.hmac(block + info + uint8(counter))
        output += block
        counter += 1
    return output[:length]


# The stages


class _Stage:
    """A secret of the diagram's middle column, which other secrets are derived from."""

    __slots__ = ("_key", "_suite", "key_log")

    def __init__(self, suite: CipherSuite, key: HmacKey, key_log: LogSecret | None) -> None:
        self._suite = suite
        self._key = key
        self.key_log: LogSecret | None = key_log

    def _derive(self, label: str, transcript_hash: bytes, log_name: str | None = None) -> bytes:
        """Compute Derive-Secret; log the result as ``log_name``.

        The result is one hash long, so HKDF-Expand is a single HMAC.
        """
        length = self._suite.hash_length
        secret = self._key.hmac(_hkdf_label(label, length, length) + transcript_hash + b"\x01")
        if log_name is not None and self.key_log is not None:
            self.key_log(log_name, secret)
        return secret

    def _derive_without_messages(self, label: str) -> bytes:
        return self._derive(label, _hash_of_no_messages(self._suite.hash))

    def _next_salt(self) -> HmacKey:
        return _salt_after(self._key)

    def _extract_next(self, input_keying_material: bytes | None) -> HmacKey:
        """Compute the secret of the next stage; None stands for the RFC's zeros."""
        suite = self._suite
        if input_keying_material is None:
            input_keying_material = bytes(suite.hash_length)
        return HmacKey(suite.hash, self._next_salt().hmac(input_keying_material))


class EarlySecret(_Stage):
    """The Early Secret, for the secrets that exist before the ServerHello.

    Args:
        psk: the pre-shared key; None for a handshake without one.
        key_log: receives the secrets that may be logged.
    """

    __slots__ = ("_has_psk",)

    def __init__(
        self, suite: CipherSuite, psk: bytes | None = None, key_log: LogSecret | None = None
    ) -> None:
        self._has_psk = psk is not None
        key = early_key_without_psk(suite.hash) if psk is None else _extract(suite.hash, psk)
        super().__init__(suite, key, key_log)

    def _next_salt(self) -> HmacKey:
        return super()._next_salt() if self._has_psk else salt_without_psk(self._suite.hash)

    def resumption_binder_key(self) -> bytes:
        """Derive the binder key of a ticket's PSK."""
        return self._derive_without_messages("res binder")

    def external_binder_key(self) -> bytes:
        """Derive the binder key of an external PSK that is not imported."""
        return self._derive_without_messages("ext binder")

    def imported_binder_key(self) -> bytes:
        """Derive the binder key of an imported PSK (RFC 9258 5.2)."""
        return self._derive_without_messages("imp binder")

    def client_early_traffic(self, hello_hash: bytes) -> bytes:
        """Derive client_early_traffic_secret from the transcript up to the ClientHello."""
        return self._derive("c e traffic", hello_hash, "CLIENT_EARLY_TRAFFIC_SECRET")

    def early_exporter(self, hello_hash: bytes) -> bytes:
        """Derive early_exporter_secret from the transcript up to the ClientHello."""
        return self._derive("e exp master", hello_hash, "EARLY_EXPORTER_SECRET")

    def handshake_secret(self, shared_secret: bytes | None) -> HandshakeSecret:
        """Return the next stage.

        Args:
            shared_secret: the key exchange's; None if there was no key exchange.
        """
        return HandshakeSecret(self._suite, self._extract_next(shared_secret), self.key_log)


def _salt_after(key: HmacKey) -> HmacKey:
    """Return the salt of the stage after the one with this secret."""
    no_messages = _hash_of_no_messages(key.digest)
    return HmacKey(key.digest, key.hmac(_only_block("derived", len(no_messages), no_messages)))


def _extract(digest: Hash, psk: bytes) -> HmacKey:
    """Compute the Early Secret; zeros are the salt, as they are of HMAC's padding."""
    return HmacKey(digest, _zeros(digest).hmac(psk))


@lru_cache(maxsize=8)
def _zeros(digest: Hash) -> HmacKey:
    return HmacKey(digest, b"")


# Without a PSK the Early Secret and the salt after it are constants, and not secret.


@lru_cache(maxsize=8)
def early_key_without_psk(digest: Hash) -> HmacKey:
    return _extract(digest, bytes(len(_hash_of_no_messages(digest))))


@lru_cache(maxsize=8)
def salt_without_psk(digest: Hash) -> HmacKey:
    return _salt_after(early_key_without_psk(digest))


class HandshakeSecret(_Stage):
    """The Handshake Secret, for the keys of the messages after the ServerHello."""

    __slots__ = ()

    def client_handshake_traffic(self, hello_hash: bytes) -> bytes:
        """Derive client_handshake_traffic_secret from the transcript up to the ServerHello."""
        return self._derive("c hs traffic", hello_hash, "CLIENT_HANDSHAKE_TRAFFIC_SECRET")

    def server_handshake_traffic(self, hello_hash: bytes) -> bytes:
        """Derive server_handshake_traffic_secret from the transcript up to the ServerHello."""
        return self._derive("s hs traffic", hello_hash, "SERVER_HANDSHAKE_TRAFFIC_SECRET")

    def main_secret(self) -> MainSecret:
        """Return the next stage."""
        return MainSecret(self._suite, self._extract_next(None), self.key_log)


class MainSecret(_Stage):
    """The Main Secret, for the secrets that outlive the handshake."""

    __slots__ = ()

    def client_application_traffic(self, server_finished_hash: bytes) -> bytes:
        """Derive client_application_traffic_secret_0.

        Args:
            server_finished_hash: the hash of the transcript up to the server's Finished.
        """
        return self._derive("c ap traffic", server_finished_hash, "CLIENT_TRAFFIC_SECRET_0")

    def server_application_traffic(self, server_finished_hash: bytes) -> bytes:
        """Derive server_application_traffic_secret_0 from the same transcript."""
        return self._derive("s ap traffic", server_finished_hash, "SERVER_TRAFFIC_SECRET_0")

    def exporter(self, server_finished_hash: bytes) -> bytes:
        """Derive exporter_secret from the same transcript."""
        return self._derive("exp master", server_finished_hash, "EXPORTER_SECRET")

    def resumption(self, client_finished_hash: bytes) -> bytes:
        """Derive resumption_secret from the transcript up to the client's Finished."""
        return self._derive("res master", client_finished_hash)


# Values derived from the secrets


def traffic_keys(suite: CipherSuite, traffic_secret: bytes) -> tuple[bytes, bytes]:
    """Derive the key and the IV of a traffic secret (RFC 9846 7.3)."""
    secret, length = HmacKey(suite.hash, traffic_secret), suite.key_length
    return (
        secret.hmac(_only_block("key", length))[:length],
        secret.hmac(_only_block("iv", IV_LENGTH))[:IV_LENGTH],
    )


def next_traffic_secret(suite: CipherSuite, traffic_secret: bytes) -> bytes:
    """Derive the traffic secret of the next generation (RFC 9846 7.2)."""
    return HmacKey(suite.hash, traffic_secret).hmac(_only_block("traffic upd", suite.hash_length))


def finished_verify_data(suite: CipherSuite, base_key: bytes, transcript_hash: bytes) -> bytes:
    """Compute the verify_data of a Finished message, or a binder (RFC 9846 4.5.3, 4.3.11.2).

    Args:
        base_key: the sender's handshake traffic secret, or the binder key.
    """
    key = HmacKey(suite.hash, base_key).hmac(_only_block("finished", suite.hash_length))
    return HmacKey(suite.hash, key).hmac(transcript_hash)


def ech_confirmation(
    suite: CipherSuite, inner_random: bytes, transcript_hash: bytes, *, retry: bool
) -> bytes:
    """Compute the confirmation that a server accepted the inner hello (RFC 9849 7.2).

    Args:
        inner_random: the random of the inner hello.
        transcript_hash: over all messages up to the server's, with zeros for the confirmation.
        retry: whether the confirmation is that of a HelloRetryRequest.
    """
    label = "hrr ech accept confirmation" if retry else "ech accept confirmation"
    no_salt = HmacKey(suite.hash, bytes(suite.hash_length))
    secret = HmacKey(suite.hash, no_salt.hmac(inner_random))
    return expand_label(secret, label, transcript_hash, ECH_CONFIRMATION_LENGTH)


def ticket_psk(suite: CipherSuite, resumption_secret: bytes, ticket_nonce: bytes) -> bytes:
    """Derive the PSK of a ticket (RFC 9846 4.7.1)."""
    secret = HmacKey(suite.hash, resumption_secret)
    return expand_label(secret, "resumption", ticket_nonce, suite.hash_length)


def imported_psk(digest: Hash, external_psk: bytes, identity: bytes, length: int) -> bytes:
    """Derive an imported PSK (RFC 9258 5.1).

    Args:
        digest: the hash function of the external PSK; the target's may be another.
        identity: the encoded ImportedIdentity.
        length: the length of the target's hash, in bytes.
    """
    return expand_label(
        _extract(digest, external_psk), "derived psk", digest(identity).digest(), length
    )


def exported_keying_material(
    suite: CipherSuite, exporter_secret: bytes, label: str, context: bytes, length: int
) -> bytes:
    """Compute TLS-Exporter(label, context, length) (RFC 9846 7.5); ``length`` is in bytes."""
    no_messages = _hash_of_no_messages(suite.hash)
    secret = HmacKey(suite.hash, exporter_secret)
    derived = expand_label(secret, label, no_messages, suite.hash_length)
    context_hash = suite.hash(context).digest()
    return expand_label(HmacKey(suite.hash, derived), "exporter", context_hash, length)
