"""Versions of TLS: code points and names."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["PROTOCOL_NAMES", "TLS12", "TLS13", "VERSION_NAMES", "alternatives"]

TLS12 = 0x0303
TLS13 = 0x0304
VERSION_NAMES = {
    0x0300: "SSL 3.0",
    0x0301: "TLS 1.0",
    0x0302: "TLS 1.1",
    TLS12: "TLS 1.2",
    TLS13: "TLS 1.3",
}

#: The versions that can be negotiated, by the names that OpenSSL and the stdlib's ``ssl`` use.
PROTOCOL_NAMES = {TLS13: "TLSv1.3", TLS12: "TLSv1.2"}


def alternatives(versions: Iterable[int]) -> str:
    """Return the names of versions for an error, such as ``"TLS 1.2 or TLS 1.3"``."""
    return " or ".join(VERSION_NAMES[version] for version in sorted(versions))
