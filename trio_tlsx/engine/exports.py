"""Keying material that the two sides of a connection share, for other protocols."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..crypto import exporter
from ..handshake.established import Established
from ..handshake.steps import EarlyData

__all__ = ["Exports"]


class Exports(ABC):
    """The methods of an engine that export keying material (RFC 9846 7.5)."""

    __slots__ = ()

    _early_data: EarlyData

    @abstractmethod
    def _complete(self) -> Established:
        """Return the result of the handshake; RuntimeError if it is not complete."""

    def export_keying_material(
        self, label: str, length: int, context: bytes | None = None
    ) -> bytes:
        """Export keying material; see :meth:`Engine.export_keying_material`."""
        return self._complete().exporter.export(label, context, length)

    def export_early_keying_material(self, label: str, length: int, context: bytes = b"") -> bytes:
        """Export keying material of early data; see the method of :class:`Engine`."""
        if self._early_data.exporter is None:
            raise RuntimeError("there is no early data that the server has accepted")
        suite, secret = self._early_data.exporter
        return exporter.export(suite, secret, label, context, length)

    def channel_binding(self, kind: str) -> bytes | None:
        """Return a channel binding, for an authentication protocol above TLS.

        Args:
            kind: ``"tls-exporter"`` (RFC 9266), ``"tls-server-end-point"`` (RFC 5929 4), or in
                TLS 1.2 ``"tls-unique"`` (RFC 5929 3).

        Returns:
            The binding; None where it is not defined: ``tls-server-end-point`` without a
            certificate, or for one that is signed with Ed25519 or Ed448; the others in TLS 1.2
            without the extended master secret.

        Raises:
            RuntimeError: the handshake is not complete.
            ValueError: there is no such binding in this version.
        """
        done = self._complete()
        return done.exporter.channel_binding(kind, done.server_certificate)
