"""Exporters and channel bindings of TLS 1.2 (RFC 5705, RFC 5929)."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509

from .exporter import TLS_EXPORTER_LABEL, TLS_EXPORTER_LENGTH, tls_server_end_point
from .key_schedule12 import MasterSecret

__all__ = ["Exporter12"]

MAX_EXPORTER_CONTEXT_LENGTH = 2**16 - 1  # RFC 5705 4: a two-byte length
MAX_EXPORT_LENGTH = 2**14  # in bytes, a limit of our own

#: The labels of the protocol itself export nothing (RFC 5705 6, RFC 7627 4).
RESERVED_LABELS = frozenset(
    {
        "client finished",
        "server finished",
        "master secret",
        "extended master secret",
        "key expansion",
    }
)


@dataclass(slots=True, eq=False)
class Exporter12:
    """The exporter of a TLS 1.2 connection.

    Attributes:
        secret: the master secret; None without an extended one, which must not export (RFC 7627
            5.4): another connection may have the same.
        tls_unique: the first Finished of the handshake (RFC 5929 3); None likewise.
    """

    secret: MasterSecret | None = field(repr=False)
    tls_unique: bytes | None = field(repr=False)

    def export(self, label: str, context: bytes | None, length: int) -> bytes:
        """Export keying material; see :class:`~.exporter.Exporter`."""
        if self.secret is None:
            raise RuntimeError(
                "this connection exports nothing, because it has no extended master secret "
                "(RFC 7627 5.4): the peer does not support it"
            )
        if not label.isascii() or label in RESERVED_LABELS:
            raise ValueError(
                f"an exporter's label is ASCII and not one of TLS itself: {label!r} is not allowed"
            )
        if not 1 <= length <= MAX_EXPORT_LENGTH:
            raise ValueError(f"TLS 1.2 exports 1 to {MAX_EXPORT_LENGTH} bytes here, not {length}")
        if context is not None and len(context) > MAX_EXPORTER_CONTEXT_LENGTH:
            raise ValueError(
                f"an exporter's context has at most {MAX_EXPORTER_CONTEXT_LENGTH} bytes, "
                f"not {len(context)}"
            )
        return self.secret.export(label, context, length)

    def channel_binding(
        self, kind: str, server_certificate: x509.Certificate | None
    ) -> bytes | None:
        """Return a channel binding; see :class:`~.exporter.Exporter`."""
        if kind == "tls-unique":
            return self.tls_unique
        if kind == "tls-exporter":
            if self.secret is None:
                return None
            # RFC 9266 2: the context is empty, which is not the same as none.
            return self.secret.export(TLS_EXPORTER_LABEL, b"", TLS_EXPORTER_LENGTH)
        if kind == "tls-server-end-point":
            return None if server_certificate is None else tls_server_end_point(server_certificate)
        raise ValueError(
            f"unknown channel binding {kind!r}: known are tls-unique, tls-exporter and "
            "tls-server-end-point"
        )
