"""The properties of a stream about its connection, which are available without waiting."""

from __future__ import annotations

from ..engine.interface import Engine
from ..pki.negotiated import Negotiated
from .driver import Driver

__all__ = ["ConnectionInfo"]


class ConnectionInfo:
    """Facts about the connection, and keying material for other protocols.

    Before the handshake is complete, its results raise :exc:`trio.NeedHandshakeError`; in a
    program over anyio they raise :exc:`RuntimeError`.
    """

    _engine: Engine
    _driver: Driver

    @property
    def server_side(self) -> bool:
        """Whether this side is the server."""
        return self._engine.server_side

    @property
    def negotiated(self) -> Negotiated:
        """The result of the handshake.

        Raises:
            NeedHandshakeError: the handshake is not complete.
            CertificateError: over an ``ssl.SSLContext``, OpenSSL can read the peer's certificate,
                and ``cryptography`` cannot.
        """
        if not self._engine.handshake_complete:
            raise self._driver.library.NeedHandshakeError(
                "call do_handshake() before reading 'negotiated'"
            )
        return self._engine.negotiated

    @property
    def bytes_sealed(self) -> int:
        """How much application data has become records since the connection began, in bytes.

        All of it has left or will leave with the next send. If a ``send_all`` is cancelled, the
        increase during that call is how much of its data belongs to the stream.
        """
        return self._engine.bytes_sealed

    def export_keying_material(
        self, label: str, length: int, context: bytes | None = None
    ) -> bytes:
        """Derive keying material that only the two sides of this connection can (RFC 9846 7.5).

        Args:
            label: the purpose, 1 to 249 ASCII characters. Registered labels begin with
                ``EXPORTER``, your own with ``EXPERIMENTAL``.
            length: the length of the result, in bytes.
            context: other data that the result depends on; None for none, which in TLS 1.3 is
                the same as ``b""``, and in TLS 1.2 is not (RFC 5705 4).

        Raises:
            NeedHandshakeError: the handshake is not complete.
            RuntimeError: in TLS 1.2, a side has no extended master secret (RFC 7627 5.4).
            ValueError: the label or the length is not allowed.
            NotImplementedError: with an :class:`ssl.SSLContext`; the stdlib cannot.
        """
        if not self._engine.handshake_complete:
            raise self._driver.library.NeedHandshakeError(
                "call do_handshake() before exporting keying material"
            )
        return self._engine.export_keying_material(label, length, context)

    def export_early_keying_material(self, label: str, length: int, context: bytes = b"") -> bytes:
        """Derive keying material that goes with early data, once that was sent or accepted.

        A replay of the early data derives the same material at the server: it does not show that
        the client is there now (RFC 9846 F.5.1). The arguments are those of
        :meth:`export_keying_material`.

        Raises:
            RuntimeError: no early data was sent, or it was not accepted.
            ValueError: the label or the length is not allowed.
            NotImplementedError: with an :class:`ssl.SSLContext`; the stdlib cannot.
        """
        return self._engine.export_early_keying_material(label, length, context)
