"""The contract between an engine and its driver.

It is the contract of OpenSSL's ``SSL_do_handshake(3)`` in Python's terms. The driver calls
``do_handshake``, which runs until the handshake is finished or the engine wants something. The
driver does what is wanted and calls again. ``docs/contract.md`` maps one onto the other.
"""

from __future__ import annotations

from ssl import SSLObject
from typing import Any, Protocol

from ..handshake.wants import Question, Want
from ..messages.codec import Buffer
from ..pki.negotiated import Negotiated
from ..sessions.client import Session
from .ssl_object import ConnectionNames

__all__ = ["Engine"]


class Engine(Protocol):
    """What a driver may rely on, whichever engine it has."""

    server_side: bool
    bytes_sealed: int  #: how much application data has become records since the connection began

    #: The driver sets it to have ``Want.PAUSE`` returned where it may let other tasks run.
    pauses: bool

    @property
    def session(self) -> Session | None:
        """The newest session that can be resumed later; None before a ticket has come."""
        ...

    @property
    def keeps_sessions(self) -> bool:
        """Whether tickets that come make sessions."""
        ...

    @property
    def error_types(self) -> tuple[type[Exception], ...]:
        """What the methods raise when the connection failed; ``TLSError`` below stands for it."""
        ...

    @property
    def handshake_complete(self) -> bool:
        """Whether application data can flow."""
        ...

    @property
    def can_write(self) -> bool:
        """Whether data can be written; before the handshake is complete only to answer early data.

        Who reads the answer then is whom the session belongs to, and nobody else; but that it is
        they who have sent the early data just now, nobody has shown (RFC 9846 2.3).
        """
        ...

    @property
    def negotiated(self) -> Negotiated:
        """What the handshake settled; to be read only once it is complete."""
        ...

    @property
    def ssl_object(self) -> SSLObject | ConnectionNames:
        """What answers to the stdlib's names; what the handshake settles, only once complete."""
        ...

    def do_handshake(self) -> Want | Question[Any]:
        """Go on with the handshake.

        ``Want.WRITE`` while output is pending (never ``READ`` then), ``Want.READ`` where input is
        missing, ``Want.NOTHING`` once finished and flushed (calling again does nothing),
        ``Want.EARLY_DATA`` where it was asked for, ``Want.PAUSE`` if ``pauses`` is set, or a
        :class:`Question`. Where early data can be answered, the handshake has no more output of
        its own, and that of ``write`` is left to the caller of ``write``: the peer need not read
        it before it has sent everything.

        Raises:
            TLSError: it failed; the alert, if any, is in the output already. Calling again raises
                the same error.
        """
        ...

    def answer(self, answer: object) -> None:
        """Answer the question that was returned last."""
        ...

    def refuse(self, error: Exception) -> None:
        """Say that the question could not be answered; the next call raises."""
        ...

    def accept_early_data(self) -> None:
        """Say that this side, a server, will read early data (RFC 9846 2.3), which is replayable.

        It helps only before the ClientHello was processed, and where the configuration allows it:
        otherwise early data is rejected, and the handshake goes on without.
        """
        ...

    def read_early_data(self, max_bytes: int | None = None) -> bytes:
        """Give early data that has come, at most ``max_bytes``; ``b""`` if there is none now.

        Once the handshake is complete no more of it comes.
        """
        ...

    # Ciphertext in

    def receive_data(self, data: Buffer) -> None:
        """Pass received ciphertext in; ``b""`` is the end of the transport."""
        ...

    def receive_buffer(self) -> memoryview:
        """Room for ciphertext, to ``recv_into``; good until the next call of any method."""
        ...

    def bytes_received(self, count: int) -> None:
        """Say how much of ``receive_buffer()`` was filled; 0 is the transport's end."""
        ...

    def unread_ciphertext(self) -> bytes:
        """Give up the input that no record was read from (what followed ``close_notify``)."""
        ...

    # Ciphertext out

    def data_to_send(self) -> bytes:
        """Return all pending output and remove it from the engine."""
        ...

    def pending_output(self) -> memoryview:
        """Look at the output that leaves next; empty where there is none."""
        ...

    def bytes_sent(self, count: int) -> None:
        """Say how much of ``pending_output()`` has left."""
        ...

    def release_buffers(self) -> None:
        """Give big buffers back that hold nothing; to be called before every wait."""
        ...

    # Application data

    def read(self, max_bytes: int | None = None) -> bytes | Want | Question[Any]:
        """Give received application data, at most ``max_bytes``, or say what is missing.

        With 0 it takes nothing, and looks for what may have come instead of data.

        ``b""`` says that the peer sent ``close_notify``. ``Want.READ`` asks for input, and
        ``Want.WRITE`` for output to leave before the peer can go on (only in a renegotiation of
        TLS 1.2, which is OpenSSL's; else what is queued may wait for the next send). A
        :class:`Question` comes with a session ticket, where the session store is async.
        ``Want.PAUSE`` comes if ``pauses`` is set: there is more to process already.

        Raises:
            Truncated: the transport ended without ``close_notify``; nothing can be sent either.
            TLSError: the connection failed; the alert, if any, is in the output already.
                Without one nothing is: there is nobody left to read it.
        """
        ...

    def pending(self) -> int:
        """Return how many bytes of decrypted application data wait for ``read``."""
        ...

    def write(self, data: memoryview) -> int | Want:
        """Seal the head of ``data`` into the output, 256 KiB at most; return how much that was.

        ``Want.READ`` instead, with nothing sealed, where input must come first (only in a
        renegotiation of TLS 1.2). Nothing is sealed either while a lot of output is pending.
        """
        ...

    def update_keys(self, *, request_peer: bool = False) -> None:
        """Queue a KeyUpdate: what follows is sealed under new keys (RFC 9846 4.7.3).

        Args:
            request_peer: ask the peer to do so too, unless it was asked and has not answered yet.

        Raises:
            NotImplementedError: this engine cannot.
        """
        ...

    def send_session_tickets(self) -> None:
        """Queue a server's session tickets now, unless they were queued before.

        Otherwise they leave with the first data, or with ``close_notify`` if the peer has not
        closed yet.

        Raises:
            RuntimeError: the handshake is not complete, or this is a client.
        """
        ...

    def export_keying_material(self, label: str, length: int, context: bytes = b"") -> bytes:
        """Keying material that both sides can derive from this connection (RFC 9846 7.5).

        Args:
            label: what it is for, 1 to 249 ASCII characters.
            length: how much of it, in bytes.
            context: what else it shall depend on.

        Raises:
            RuntimeError: the handshake is not complete.
            ValueError: there can be no such label, or not so much keying material.
            NotImplementedError: this engine cannot.
        """
        ...

    def export_early_keying_material(self, label: str, length: int, context: bytes = b"") -> bytes:
        """The same for early data, as soon as that was sent or accepted.

        Raises:
            RuntimeError: no early data was sent, or it was not accepted.
            ValueError: there can be no such label, or not so much keying material.
            NotImplementedError: this engine cannot.
        """
        ...

    # The end

    def read_alert(self) -> bool:
        """Look for the alert of a peer that broke the connection, once nothing can be sent.

        It drops the output, and processes input as ``do_handshake`` or ``read(0)`` would, but asks
        no question. It stops at application data, and where a question is open.

        Returns:
            Whether all input was processed, so that more input may help.

        Raises:
            TLSError: the peer sent an alert, or its input is wrong.
        """
        ...

    def shutdown(self) -> None:
        """Queue ``close_notify``; nothing can be written afterwards. Twice does no harm."""
        ...

    def cancel_handshake(self) -> None:
        """Give up an unfinished handshake, and queue the alerts that say so to the peer.

        They are ``user_canceled`` and ``close_notify`` (RFC 9846 6.1). A server that has already
        made its Finished queues a fatal ``internal_error`` instead, since its client's handshake
        may be complete: the client must not take ``close_notify`` for an empty answer.
        """
        ...
