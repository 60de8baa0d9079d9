"""Exporters and channel bindings (RFC 9846 7.5)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from .cipher_suites import CipherSuite
from .key_schedule import exported_keying_material

__all__ = ["Exporter", "Exporter13", "export", "tls_server_end_point"]

MAX_EXPORTER_LABEL_LENGTH = 255 - len(b"tls13 ")  # RFC 9846 7.1: a one-byte length
MAX_EXPORT_HASHES = 255  # RFC 5869 2.3: the most that HKDF-Expand returns, in hashes

TLS_EXPORTER_LABEL = "EXPORTER-Channel-Binding"  # RFC 9266 4.1
TLS_EXPORTER_LENGTH = 32


class Exporter(Protocol):
    """The exporter of one connection, by the rules of its version."""

    def export(self, label: str, context: bytes | None, length: int) -> bytes:
        """Export keying material; ``length`` is in bytes.

        Raises:
            ValueError: the label or the length is not possible.
            RuntimeError: this connection exports nothing.
        """
        ...

    def channel_binding(
        self, kind: str, server_certificate: x509.Certificate | None
    ) -> bytes | None:
        """Return a channel binding; None if this kind is not defined for the connection.

        Raises:
            ValueError: this version has no such binding.
        """
        ...


@dataclass(slots=True, eq=False)
class Exporter13:
    """The exporter of a TLS 1.3 connection, with its exporter secret."""

    suite: CipherSuite
    secret: bytes = field(repr=False)

    def export(self, label: str, context: bytes | None, length: int) -> bytes:
        """Compute TLS-Exporter; no context is the same as an empty one (RFC 9846 7.5)."""
        return export(self.suite, self.secret, label, context or b"", length)

    def channel_binding(
        self, kind: str, server_certificate: x509.Certificate | None
    ) -> bytes | None:
        """Return a channel binding; see :class:`Exporter`."""
        return channel_binding(kind, self.suite, self.secret, server_certificate)


def export(suite: CipherSuite, secret: bytes, label: str, context: bytes, length: int) -> bytes:
    """TLS-Exporter(label, context, length) from an exporter secret; ``length`` in bytes.

    Raises:
        ValueError: the label or the length is not possible.
    """
    if not (label.isascii() and 1 <= len(label) <= MAX_EXPORTER_LABEL_LENGTH):
        raise ValueError(
            f"an exporter's label is 1 to {MAX_EXPORTER_LABEL_LENGTH} ASCII characters"
        )
    longest = MAX_EXPORT_HASHES * suite.hash_length
    if not 1 <= length <= longest:
        raise ValueError(f"{suite.name} can export 1 to {longest} bytes, not {length}")
    return exported_keying_material(suite, secret, label, context, length)


def channel_binding(
    kind: str, suite: CipherSuite, secret: bytes, server_certificate: x509.Certificate | None
) -> bytes | None:
    """Return a channel binding; None if this kind is not defined for the connection.

    Args:
        secret: the exporter's.

    Raises:
        ValueError: there is no such binding in TLS 1.3.
    """
    if kind == "tls-exporter":
        return tls_exporter(suite, secret)
    if kind == "tls-server-end-point":
        return None if server_certificate is None else tls_server_end_point(server_certificate)
    if kind == "tls-unique":
        raise ValueError(
            "tls-unique is not defined for TLS 1.3, where a Finished message no longer names "
            "the connection (RFC 9846 C.5): ask for tls-exporter"
        )
    raise ValueError(
        f"unknown channel binding {kind!r}: known are tls-exporter and tls-server-end-point"
    )


def tls_exporter(suite: CipherSuite, secret: bytes) -> bytes:
    """The channel binding ``tls-exporter`` (RFC 9266)."""
    return export(suite, secret, TLS_EXPORTER_LABEL, b"", TLS_EXPORTER_LENGTH)


def tls_server_end_point(certificate: x509.Certificate) -> bytes | None:
    """The channel binding ``tls-server-end-point`` (RFC 5929 4.1).

    None for a certificate whose signature has no hash function of its own (Ed25519, Ed448): the
    RFC does not define the binding for it.
    """
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    # RFC 5929 4.1: too weak a hash function gives way to SHA-256.
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    der = certificate.public_bytes(Encoding.DER)
    return hashlib.new(name, der).digest()
