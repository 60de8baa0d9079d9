"""Peers that use an external pre-shared key together with certificates (RFC 9973)."""

from __future__ import annotations

from dataclasses import replace

from engine_pairs import CLIENT, SERVER, authority

from trio_tlsx import ClientConfig, ExternalPSK, ServerConfig

PSK = ExternalPSK(b"group of sensors", bytes(range(32)))
STRANGER = ExternalPSK(b"another group", bytes(32))
IMPOSTOR = ExternalPSK(PSK.identity, bytes(32))

OPTIONAL_CLIENT: ClientConfig = replace(CLIENT, psks=[PSK], certificate_with_psk="optional")
REQUIRING_CLIENT: ClientConfig = replace(OPTIONAL_CLIENT, certificate_with_psk="required")
OPTIONAL_SERVER: ServerConfig = replace(SERVER, psks=[PSK], certificate_with_psk="optional")
REQUIRING_SERVER: ServerConfig = replace(OPTIONAL_SERVER, certificate_with_psk="required")

#: Those that know nothing of it: with certificates and the key.
PLAIN_CLIENT: ClientConfig = replace(CLIENT, psks=[PSK], trust=authority.trust)
PLAIN_SERVER: ServerConfig = replace(SERVER, psks=[PSK])
