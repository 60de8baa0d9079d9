"""Versions of TLS: code points and names."""

from __future__ import annotations

__all__ = ["PROTOCOL_NAMES", "TLS12", "TLS13", "VERSION_NAMES"]

TLS12 = 0x0303
TLS13 = 0x0304
VERSION_NAMES = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", TLS12: "TLS 1.2"}

#: The versions that can be negotiated, by the names that OpenSSL and the stdlib's ``ssl`` use.
PROTOCOL_NAMES = {TLS13: "TLSv1.3", TLS12: "TLSv1.2"}
