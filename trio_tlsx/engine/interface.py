"""The contract between an engine and its driver.

It is the contract of OpenSSL's ``SSL_do_handshake(3)``, expressed in Python. The driver calls
``do_handshake``, which runs until the handshake is complete or the engine needs something. The
driver does what the engine needs, and calls again. ``docs/contract.md`` compares this interface
with OpenSSL's.
"""

from __future__ import annotations

from ssl import SSLObject
from typing import Any, Protocol

from ..handshake.wants import Question, Want
from ..messages.codec import Buffer
from ..pki.negotiated import Negotiated
from ..record.receive import Incoming
from ..record.send import Outgoing
from ..sessions.client import Session
from .ssl_object import ConnectionNames

__all__ = ["Engine"]


class Engine(Protocol):
    """The interface of an engine, for its driver."""

    server_side: bool

    #: Set by a driver that can let other tasks run. The engine then may return ``Want.PAUSE``.
    pauses: bool

    @property
    def bytes_sealed(self) -> int:
        """Return how many bytes of application data were encrypted since the connection began."""
        ...

    @property
    def record_layer(self) -> tuple[Incoming, Outgoing] | None:
        """Return the two halves of the record layer, for data that bypasses the engine.

        None before the handshake is complete, and if the engine does not have its own record
        layer.
        """
        ...

    @property
    def session(self) -> Session | None:
        """Return the newest session that can be resumed; None before the first ticket arrives."""
        ...

    @property
    def keeps_sessions(self) -> bool:
        """Return whether received tickets become sessions."""
        ...

    @property
    def error_types(self) -> tuple[type[Exception], ...]:
        """Return the exceptions of a failed connection. Below, ``TLSError`` stands for these."""
        ...

    @property
    def handshake_complete(self) -> bool:
        """Return whether application data can be sent and received."""
        ...

    @property
    def can_write(self) -> bool:
        """Return whether data can be written.

        Before the handshake is complete, a server can only answer early data. Only the session's
        owner can decrypt the answer, but the early data itself may be a replay (RFC 9846 2.3).
        """
        ...

    @property
    def negotiated(self) -> Negotiated:
        """Return what was negotiated. Read it only after the handshake is complete."""
        ...

    @property
    def ssl_object(self) -> SSLObject | ConnectionNames:
        """Return an object with the names of ``ssl.SSLObject``, complete after the handshake."""
        ...

    def do_handshake(self) -> Want | Question[Any]:
        """Advance the handshake.

        Returns:
            ``Want.WRITE`` while output is pending (never ``READ`` then). ``Want.READ`` if input is
            missing. ``Want.NOTHING`` after the handshake is complete and flushed; another call
            does nothing. ``Want.EARLY_DATA`` if the driver accepts early data and some arrived.
            ``Want.PAUSE`` if ``pauses`` is set. Or a :class:`Question`.

            From the time when early data can be answered, only ``write`` adds output. So the
            handshake does not wait for it to be sent, since the peer may read only after it has
            sent everything. The caller of ``write`` sends the output.

        Raises:
            TLSError: the handshake failed. Its alert, if any, is in the output already. Another
                call raises the same error.
        """
        ...

    def answer(self, answer: object) -> None:
        """Answer the question that was returned last."""
        ...

    def refuse(self, error: Exception) -> None:
        """Report that the question has no answer. The next call raises, if it needs an answer."""
        ...

    def accept_early_data(self) -> None:
        """Accept early data on a server (RFC 9846 2.3). Early data can be replayed.

        Call it before the ClientHello is processed. If the configuration does not allow early
        data, the engine rejects it and continues the handshake.
        """
        ...

    def read_early_data(self, max_bytes: int | None = None) -> bytes:
        """Return received early data, at most ``max_bytes``; ``b""`` if there is none now.

        No early data arrives after the handshake is complete.
        """
        ...

    # Ciphertext in

    def receive_data(self, data: Buffer) -> None:
        """Pass received ciphertext in; ``b""`` is the end of the transport."""
        ...

    def receive_buffer(self) -> memoryview:
        """Return a buffer to receive ciphertext into, valid until the next call of any method."""
        ...

    def bytes_received(self, count: int) -> None:
        """Report how much of ``receive_buffer()`` was filled; 0 is the end of the transport."""
        ...

    def unread_ciphertext(self) -> bytes:
        """Return and remove the input after the last record: what followed ``close_notify``."""
        ...

    # Ciphertext out

    def data_to_send(self) -> bytes:
        """Return all pending output and remove it from the engine."""
        ...

    def pending_output(self) -> memoryview:
        """Return the output to send next, without removing it; empty if there is none."""
        ...

    def bytes_sent(self, count: int) -> None:
        """Report how much of ``pending_output()`` was sent."""
        ...

    def release_buffers(self) -> None:
        """Release large buffers that are empty. Call it before every wait."""
        ...

    # Application data

    def read(self, max_bytes: int | None = None) -> bytes | Want | Question[Any]:
        """Return received application data, at most ``max_bytes``, or what is missing.

        With 0 it returns no data, and processes only messages and alerts that arrived before the
        data.

        Returns:
            Data, or ``b""`` after the peer's ``close_notify``. ``Want.READ`` if input is missing.
            ``Want.WRITE`` if output must be sent first (only in a renegotiation of TLS 1.2 by
            OpenSSL; other output may wait for the next send). A :class:`Question` if a session
            ticket arrived and the session store is async. ``Want.PAUSE`` if ``pauses`` is set and
            there is more input to process.

        Raises:
            Truncated: the transport ended without ``close_notify``. Nothing can be sent any more.
            TLSError: the connection failed. Its alert, if any, is in the output already. Without
                an alert, the output is empty.
        """
        ...

    def pending(self) -> int:
        """Return how many bytes of decrypted application data wait for ``read``."""
        ...

    def write(self, data: memoryview) -> int | Want:
        """Encrypt the start of ``data`` into the output; return its length, 256 KiB at most.

        It returns 0 while a lot of output is pending. It returns ``Want.READ`` if input must be
        processed first (only in a renegotiation of TLS 1.2).
        """
        ...

    def update_keys(self, *, request_peer: bool = False) -> None:
        """Queue a KeyUpdate; later output is encrypted with new keys (RFC 9846 4.7.3).

        Args:
            request_peer: also request new keys from the peer, unless an earlier request was not
                answered yet.

        Raises:
            RuntimeError: TLS 1.2 has no KeyUpdate.
            NotImplementedError: this engine cannot.
        """
        ...

    def send_session_tickets(self) -> None:
        """Queue a server's session tickets now, unless they were queued before.

        Without this call, the server sends them with its first data, or with ``close_notify`` if
        the peer has not closed yet. In TLS 1.2 this does nothing: the ticket is part of the
        handshake.

        Raises:
            RuntimeError: the handshake is not complete, or this is a client.
        """
        ...

    def export_keying_material(
        self, label: str, length: int, context: bytes | None = None
    ) -> bytes:
        """Export keying material that both sides can derive from this connection (RFC 9846 7.5).

        Args:
            label: the purpose, 1 to 249 ASCII characters.
            length: the length of the keying material, in bytes.
            context: additional input that both sides have. None means no context, which in TLS 1.3
                is the same as an empty context, and in TLS 1.2 is not (RFC 5705 4).

        Raises:
            RuntimeError: the handshake is not complete; or in TLS 1.2 a side has no extended
                master secret (RFC 7627 5.4).
            ValueError: there can be no such label, or not so much keying material.
            NotImplementedError: this engine cannot.
        """
        ...

    def export_early_keying_material(self, label: str, length: int, context: bytes = b"") -> bytes:
        """Export keying material of early data, after the early data was sent or accepted.

        Raises:
            RuntimeError: no early data was sent, or it was not accepted.
            ValueError: there can be no such label, or not so much keying material.
            NotImplementedError: this engine cannot.
        """
        ...

    # The end

    def read_alert(self) -> bool:
        """Look for the peer's alert in the input, after the transport has failed.

        It discards the output. It processes input as ``do_handshake`` or ``read(0)`` does, but
        calls no hook. It stops at application data, and at a question that has no answer yet.

        Returns:
            True if all input was processed without an alert, so that reading more input may find
            one.

        Raises:
            TLSError: the peer sent an alert, or its input is wrong.
        """
        ...

    def shutdown(self) -> None:
        """Queue ``close_notify``; then nothing can be written. A second call does nothing."""
        ...

    def cancel_handshake(self, reason: str = ...) -> None:
        """Cancel an unfinished handshake, and queue the alerts that inform the peer.

        The alerts are ``user_canceled`` and ``close_notify`` (RFC 9846 6.1). A side that has
        already queued its Finished queues a fatal ``internal_error`` instead: the peer's
        handshake may be complete, and the peer would interpret ``close_notify`` as an empty
        answer.

        Args:
            reason: the message of the error that later calls raise.
        """
        ...

    def note_closed(self, error: BaseException | None = None) -> None:
        """Report to ``on_event`` that the driver has closed the transport.

        Args:
            error: why, if the connection did not end by itself; such as the transport's error.
        """
        ...
