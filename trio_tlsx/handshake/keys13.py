"""The keys of a TLS 1.3 handshake, as both sides derive them from its transcript."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..crypto.cipher_suites import CipherSuite
from ..crypto.key_schedule import EarlySecret, HandshakeSecret, MainSecret
from .psk import Psk
from .steps import Handshake

__all__ = ["ApplicationKeys", "HandshakeKeys"]


@dataclass(slots=True, eq=False)
class HandshakeKeys:
    """The Handshake Secret, and the handshake traffic secrets of both sides."""

    suite: CipherSuite
    secret: HandshakeSecret
    client_traffic: bytes = field(repr=False)
    server_traffic: bytes = field(repr=False)

    @classmethod
    def derive(
        cls,
        hs: Handshake,
        suite: CipherSuite,
        psk: Psk[Any] | None,
        shared_secret: bytes | None,
    ) -> HandshakeKeys:
        """Derive the keys, with the ServerHello as the last message of the transcript."""
        early = (
            EarlySecret(suite, None, hs.key_log) if psk is None else psk.early_secret(hs.key_log)
        )
        secret = early.handshake_secret(shared_secret)
        digest = hs.transcript.digest()
        return cls(
            suite,
            secret,
            secret.client_handshake_traffic(digest),
            secret.server_handshake_traffic(digest),
        )


@dataclass(slots=True, eq=False)
class ApplicationKeys:
    """The Main Secret, and the secrets derived from it at the server's Finished."""

    suite: CipherSuite
    secret: MainSecret
    client_traffic: bytes = field(repr=False)
    server_traffic: bytes = field(repr=False)
    exporter: bytes = field(repr=False)

    @classmethod
    def derive(cls, hs: Handshake, keys: HandshakeKeys) -> ApplicationKeys:
        """Derive the keys, with the server's Finished as the last message of the transcript."""
        secret = keys.secret.main_secret()
        digest = hs.transcript.digest()
        return cls(
            keys.suite,
            secret,
            secret.client_application_traffic(digest),
            secret.server_application_traffic(digest),
            secret.exporter(digest),
        )
