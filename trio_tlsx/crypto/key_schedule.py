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

from ..messages.codec import opaque8, uint16
from .cipher_suites import CipherSuite, Hash

__all__ = [
    "EarlySecret",
    "HandshakeSecret",
    "LogSecret",
    "MainSecret",
    "exported_keying_material",
    "finished_verify_data",
    "imported_psk",
    "next_traffic_secret",
    "ticket_psk",
    "traffic_keys",
]

IV_LENGTH = 12

#: Receives each secret that may be logged: its name in a key log (RFC 9850 2.1), and the secret.
LogSecret: TypeAlias = Callable[[str, bytes], object]

_INNER_PAD = bytes(octet ^ 0x36 for octet in range(256))
_OUTER_PAD = bytes(octet ^ 0x5C for octet in range(256))


@lru_cache(maxsize=8)
def _block_size(digest: Hash) -> int:
    return digest().block_size


@lru_cache(maxsize=8)
def _hash_of_no_messages(digest: Hash) -> bytes:
    return digest().digest()


def hmac(digest: Hash, key: bytes, message: bytes) -> bytes:
    """Compute an HMAC (RFC 2104), in 0.6 of the time that :func:`hmac.digest` takes here.

    A handshake computes some 40 of them, over keys no longer than a hash block.
    """
    key = key.ljust(_block_size(digest), b"\0")
    inner = digest(key.translate(_INNER_PAD) + message).digest()
    return digest(key.translate(_OUTER_PAD) + inner).digest()


@lru_cache(maxsize=256)
def _hkdf_label(label: str, length: int) -> bytes:
    """Encode the part of an HkdfLabel before its context."""
    return uint16(length) + opaque8(b"tls13 " + label.encode("ascii"))


def expand_label(digest: Hash, secret: bytes, label: str, context: bytes, length: int) -> bytes:
    """Compute HKDF-Expand-Label (RFC 9846 7.1); ``length`` is in bytes."""
    info = b"".join((_hkdf_label(label, length), bytes((len(context),)), context))
    block = output = hmac(digest, secret, info + b"\x01")
    counter = 2
    while len(output) < length:
        block = hmac(digest, secret, block + info + bytes((counter,)))
        output += block
        counter += 1
    return output[:length]


# The stages


class _Stage:
    """A secret of the diagram's middle column, which other secrets are derived from."""

    __slots__ = ("_key_log", "_secret", "_suite")

    def __init__(self, suite: CipherSuite, secret: bytes, key_log: LogSecret | None) -> None:
        self._suite = suite
        self._secret = secret
        self._key_log = key_log

    def _derive(self, label: str, transcript_hash: bytes, log_name: str | None = None) -> bytes:
        """Compute Derive-Secret; log the result as ``log_name``."""
        suite = self._suite
        secret = expand_label(suite.hash, self._secret, label, transcript_hash, suite.hash_length)
        if log_name is not None and self._key_log is not None:
            self._key_log(log_name, secret)
        return secret

    def _derive_without_messages(self, label: str) -> bytes:
        return self._derive(label, _hash_of_no_messages(self._suite.hash))

    def _extract_next(self, input_keying_material: bytes | None) -> bytes:
        """Compute the secret of the next stage; None stands for the RFC's zeros."""
        suite = self._suite
        salt = self._derive_without_messages("derived")
        if input_keying_material is None:
            input_keying_material = bytes(suite.hash_length)
        return hmac(suite.hash, salt, input_keying_material)


class EarlySecret(_Stage):
    """The Early Secret: what can be derived before the ServerHello.

    Args:
        psk: the pre-shared key; None for a handshake without one.
        key_log: receives the secrets that may be logged.
    """

    __slots__ = ()

    def __init__(
        self, suite: CipherSuite, psk: bytes | None = None, key_log: LogSecret | None = None
    ) -> None:
        zeros = bytes(suite.hash_length)
        super().__init__(suite, hmac(suite.hash, zeros, zeros if psk is None else psk), key_log)

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
        return HandshakeSecret(self._suite, self._extract_next(shared_secret), self._key_log)


class HandshakeSecret(_Stage):
    """The Handshake Secret: what protects the messages after the ServerHello."""

    __slots__ = ()

    def client_handshake_traffic(self, hello_hash: bytes) -> bytes:
        """Derive client_handshake_traffic_secret from the transcript up to the ServerHello."""
        return self._derive("c hs traffic", hello_hash, "CLIENT_HANDSHAKE_TRAFFIC_SECRET")

    def server_handshake_traffic(self, hello_hash: bytes) -> bytes:
        """Derive server_handshake_traffic_secret from the transcript up to the ServerHello."""
        return self._derive("s hs traffic", hello_hash, "SERVER_HANDSHAKE_TRAFFIC_SECRET")

    def main_secret(self) -> MainSecret:
        """Return the next stage."""
        return MainSecret(self._suite, self._extract_next(None), self._key_log)


class MainSecret(_Stage):
    """The Main Secret: what outlives the handshake."""

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


# What is made of the secrets


def traffic_keys(suite: CipherSuite, traffic_secret: bytes) -> tuple[bytes, bytes]:
    """Derive the key and the IV of a traffic secret (RFC 9846 7.3)."""
    return (
        expand_label(suite.hash, traffic_secret, "key", b"", suite.key_length),
        expand_label(suite.hash, traffic_secret, "iv", b"", IV_LENGTH),
    )


def next_traffic_secret(suite: CipherSuite, traffic_secret: bytes) -> bytes:
    """Derive the traffic secret of the next generation (RFC 9846 7.2)."""
    return expand_label(suite.hash, traffic_secret, "traffic upd", b"", suite.hash_length)


def finished_verify_data(suite: CipherSuite, base_key: bytes, transcript_hash: bytes) -> bytes:
    """Compute the verify_data of a Finished message, or a binder (RFC 9846 4.5.3, 4.3.11.2).

    Args:
        base_key: the sender's handshake traffic secret, or the binder key.
    """
    key = expand_label(suite.hash, base_key, "finished", b"", suite.hash_length)
    return hmac(suite.hash, key, transcript_hash)


def ticket_psk(suite: CipherSuite, resumption_secret: bytes, ticket_nonce: bytes) -> bytes:
    """Derive the PSK of a ticket (RFC 9846 4.7.1)."""
    return expand_label(
        suite.hash, resumption_secret, "resumption", ticket_nonce, suite.hash_length
    )


def imported_psk(digest: Hash, external_psk: bytes, identity: bytes, length: int) -> bytes:
    """Derive an imported PSK (RFC 9258 5.1).

    Args:
        digest: the hash function of the external PSK; the target's may be another.
        identity: the encoded ImportedIdentity.
        length: the length of the target's hash, in bytes.
    """
    extracted = hmac(digest, b"", external_psk)  # no salt, which equals one of zeros
    return expand_label(digest, extracted, "derived psk", digest(identity).digest(), length)


def exported_keying_material(
    suite: CipherSuite, exporter_secret: bytes, label: str, context: bytes, length: int
) -> bytes:
    """Compute TLS-Exporter(label, context, length) (RFC 9846 7.5); ``length`` is in bytes."""
    no_messages = _hash_of_no_messages(suite.hash)
    derived = expand_label(suite.hash, exporter_secret, label, no_messages, suite.hash_length)
    return expand_label(suite.hash, derived, "exporter", suite.hash(context).digest(), length)
