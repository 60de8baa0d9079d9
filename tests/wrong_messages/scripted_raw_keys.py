"""Scripted peers with raw public keys (RFC 7250)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric import ec
from scripted_clients import CertifiedClientPeer
from scripted_peer import AnyMessage
from scripted_peers12 import CertifiedClientPeer12, ServerPeer12
from scripted_servers import ServerPeer

from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import ClientHello, EncryptedExtensions, ServerHello
from trio_tlsx.messages.handshake12 import Certificate12, RawCertificate12
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.pki.trust import TrustStore

__all__ = [
    "RAW_KEY",
    "RawClientPeer",
    "RawClientPeer12",
    "RawServerPeer",
    "RawServerPeer12",
    "StaplingRawServerPeer12",
]

PRIVATE_KEY = ec.generate_private_key(ec.SECP256R1())
RAW_KEY = Credentials.from_raw_key(PRIVATE_KEY)
TRUST = TrustStore.from_public_keys([PRIVATE_KEY.public_key()])

OFFERED = b"\1\2"  # a list of RawPublicKey
SELECTED = b"\2"


def raw(message: AnyMessage) -> AnyMessage:
    """The message with the extension or in the form that a raw public key needs."""
    if isinstance(message, EncryptedExtensions | ServerHello):
        extensions = {**message.extensions, E.server_certificate_type: SELECTED}
        return replace(message, extensions=extensions)
    if isinstance(message, ClientHello):
        extensions = {E.client_certificate_type: OFFERED, **message.extensions}
        return replace(message, extensions=extensions)
    if isinstance(message, Certificate12):
        return RawCertificate12(message.certificate_list[0])
    return message


class RawServerPeer(ServerPeer):
    """One with a raw public key, the only type that the client accepts."""

    engine_config: ClassVar = replace(ServerPeer.engine_config, trust=TRUST, ocsp_stapling=True)

    def __init__(self, deviations: Mapping[str, Any], **how: Any) -> None:
        super().__init__(deviations, **how)
        self.signer = RAW_KEY

    def step(self, place: str, message: AnyMessage) -> None:
        super().step(place, raw(message) if place == "encrypted_extensions" else message)


class RawClientPeer(CertifiedClientPeer):
    """One with a raw public key, the only type that the server accepts."""

    engine_config: ClassVar = replace(CertifiedClientPeer.engine_config, client_trust=TRUST)

    def __init__(self, deviations: Mapping[str, Any], **how: Any) -> None:
        super().__init__(deviations, **how)
        self.signer = RAW_KEY

    def step(self, place: str, message: AnyMessage) -> None:
        super().step(place, raw(message) if place == "client_hello" else message)


class RawServerPeer12(ServerPeer12):
    """The server in TLS 1.2."""

    engine_config: ClassVar = replace(ServerPeer12.engine_config, trust=TRUST, ocsp_stapling=True)

    def __init__(self, deviations: Mapping[str, Any], **how: Any) -> None:
        super().__init__(deviations, **how)
        self.signer = RAW_KEY

    def step(self, place: str, message: AnyMessage) -> None:
        is_changed = place in ("server_hello", "certificate")
        super().step(place, raw(message) if is_changed else message)


class StaplingRawServerPeer12(RawServerPeer12):
    """One that staples an OCSP response, which is about no certificate."""

    places: ClassVar = ("certificate_status", *RawServerPeer12.places)


class RawClientPeer12(CertifiedClientPeer12):
    """The client in TLS 1.2."""

    engine_config: ClassVar = replace(CertifiedClientPeer12.engine_config, client_trust=TRUST)

    def __init__(self, deviations: Mapping[str, Any], **how: Any) -> None:
        super().__init__(deviations, **how)
        self.signer = RAW_KEY

    def step(self, place: str, message: AnyMessage) -> None:
        is_changed = place in ("client_hello", "certificate")
        super().step(place, raw(message) if is_changed else message)
