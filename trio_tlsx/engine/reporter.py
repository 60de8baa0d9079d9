"""Report what happens in one connection: events for ``on_event``, and a line in the log."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Literal

from ..config.events import (
    ConnectionClosed,
    ConnectionEvent,
    HandshakeCompleted,
    HandshakeFailed,
    KeysUpdated,
    OnEvent,
    TicketReceived,
    TicketsSent,
)
from ..errors import TLSError, Truncated
from ..pki.negotiated import Negotiated
from ..record.receive import Incoming
from ..record.send import Outgoing

__all__ = ["Reporter", "reporter_for"]

logger: logging.Logger = logging.getLogger("trio_tlsx")


def reporter_for(
    on_event: OnEvent | None, server_side: bool, server_hostname: str | None
) -> Reporter | None:
    """Return a reporter of a connection's events; None if there is no hook and no debug log."""
    if on_event is None and not logger.isEnabledFor(logging.DEBUG):
        return None
    return Reporter(on_event, server_side, server_hostname)


class Reporter:
    """Reports the events of one connection.

    An exception of ``on_event`` is logged and does not reach the connection.
    """

    __slots__ = ("_began", "_closed", "_handshake_over", "_host", "_on_event", "_server_side")

    def __init__(
        self, on_event: OnEvent | None, server_side: bool, server_hostname: str | None
    ) -> None:
        self._on_event = on_event
        self._server_side = server_side
        self._host = server_hostname
        self._began: float | None = None  # start of the handshake, then of the data phase
        self._handshake_over = False
        self._closed = False

    def handshake_started(self) -> None:
        """Measure the handshake's duration from the first call on."""
        if self._began is None:
            self._began = perf_counter()

    def handshake_completed(self, negotiated: Negotiated) -> None:
        """Report the result of a handshake."""
        duration = self._restart_clock()
        self._handshake_over = True
        logger.debug(
            "TLS handshake as %s completed in %.1f ms: %s, %s, %s%s%s",
            "server" if self._server_side else f"client of {self._host}",
            1000 * duration,
            negotiated.version,
            negotiated.cipher_suite,
            negotiated.group or "no key exchange",
            ", resumed" if negotiated.resumed else "",
            ", with early data" if negotiated.early_data_accepted else "",
        )
        self._report(HandshakeCompleted, duration=duration, negotiated=negotiated)

    def failed(self, error: BaseException) -> None:
        """Report a failed handshake, once. After the handshake :meth:`closed` reports it."""
        if not self._handshake_over:
            self._handshake_over = self._closed = True
            self._report(HandshakeFailed, duration=self._restart_clock(), error=error)

    def keys_updated(self, direction: Literal["sent", "received"]) -> None:
        """Report new keys of one direction."""
        self._report(KeysUpdated, direction=direction)

    def tickets_sent(self, count: int) -> None:
        """Report queued session tickets."""
        self._report(TicketsSent, count=count)

    def ticket_received(self) -> None:
        """Report a received session ticket that was stored as a session."""
        self._report(TicketReceived)

    def closed(
        self,
        error: BaseException | None,
        incoming: Incoming,
        outgoing: Outgoing,
        *,
        with_close_notify: bool,
    ) -> None:
        """Report the end of a connection, once.

        Args:
            error: the error that ended the connection; None if there was none.
            incoming, outgoing: the record layer, which counts the bytes.
            with_close_notify: whether one of the two sides has sent ``close_notify``.
        """
        if not self._handshake_over:
            self.failed(error or TLSError("this side closed before the handshake was complete"))
        if self._closed:
            return
        self._closed = True
        reason = "abandoned"
        if isinstance(error, Truncated):
            reason = "truncated"
        elif isinstance(error, TLSError):
            reason = "failed"
        elif error is not None:
            reason = "reset"
        elif with_close_notify:
            reason = "clean"
        self._report(
            ConnectionClosed,
            reason=reason,
            error=error,
            duration=self._restart_clock(),
            bytes_sent=outgoing.bytes_sealed,
            bytes_received=incoming.bytes_opened,
        )

    def _restart_clock(self) -> float:
        """Return the seconds since the last call."""
        now = perf_counter()
        began, self._began = self._began, now
        return 0.0 if began is None else now - began

    def _report(self, event_type: type[ConnectionEvent], **attributes: object) -> None:
        if self._on_event is None:
            return
        event = event_type(
            server_side=self._server_side,
            server_hostname=self._host,
            **attributes,
        )
        try:
            self._on_event(event)
        except Exception:
            logger.exception("on_event failed with %s", event_type.__name__)
