"""Metrics for OpenTelemetry, from the events of connections (extra ``opentelemetry``)."""

from __future__ import annotations

from .extras import ExtraImports

with ExtraImports("opentelemetry"):
    from opentelemetry.metrics import MeterProvider, get_meter_provider

from .._version import __version__
from ..config.events import (
    ConnectionClosed,
    ConnectionEvent,
    HandshakeCompleted,
    HandshakeFailed,
    KeysUpdated,
    TicketReceived,
    TicketsSent,
)

__all__ = ["OpenTelemetryMetrics"]

#: The attributes that OpenTelemetry's semantic conventions define for TLS; in development there.
PROTOCOL = "tls.protocol.name"
VERSION = "tls.protocol.version"
CIPHER = "tls.cipher"
CURVE = "tls.curve"
RESUMED = "tls.resumed"

#: Ours, where the conventions define none.
ROLE = "tls.role"
REFUSED_BY = "tls.refused_by"
ALERT = "tls.alert"
REASON = "tls.close_reason"
DIRECTION = "tls.direction"


class OpenTelemetryMetrics:
    """Record handshakes, refusals, bytes and connections. Pass an instance as ``on_event``.

    No attribute has a value that a peer could choose freely.

    Args:
        provider: creates the instruments; by default the global one.
    """

    def __init__(self, provider: MeterProvider | None = None) -> None:
        meter = (provider or get_meter_provider()).get_meter("trio_tlsx", __version__)
        counter = meter.create_counter
        self._handshakes = counter("tls.handshakes", "{handshake}", "Completed handshakes")
        self._seconds = meter.create_histogram(
            "tls.handshake.duration", "s", "Duration of completed handshakes"
        )
        self._failures = counter("tls.handshake.failures", "{handshake}", "Failed handshakes")
        self._retries = counter("tls.hello_retry_requests", "{request}", "HelloRetryRequests")
        self._early_data = counter("tls.early_data.accepted", "{handshake}", "Accepted 0-RTT")
        self._client_certificates = counter(
            "tls.client_certificates", "{certificate}", "Verified clients"
        )
        self._key_updates = counter("tls.key_updates", "{update}", "KeyUpdates")
        self._tickets = counter("tls.tickets", "{ticket}", "Session tickets, sent or received")
        self._open = meter.create_up_down_counter(
            "tls.connections.open", "{connection}", "Connections whose handshake is complete"
        )
        self._closed = counter("tls.connections.closed", "{connection}", "Closed connections")
        self._sent = counter("tls.sent", "By", "Sent application data")
        self._received = counter("tls.received", "By", "Received application data")

    def __call__(self, event: ConnectionEvent) -> None:
        """Record one event."""
        role = {ROLE: "server" if event.server_side else "client"}
        match event:
            case HandshakeCompleted():
                self._record_handshake(role, event)
            case HandshakeFailed():
                alert = event.alert.name if event.alert else ""
                self._failures.add(1, role | {REFUSED_BY: event.refused_by or "", ALERT: alert})
            case KeysUpdated():
                self._key_updates.add(1, role | {DIRECTION: event.direction})
            case TicketsSent():
                self._tickets.add(event.count, role)
            case TicketReceived():
                self._tickets.add(1, role)
            case ConnectionClosed():
                self._open.add(-1, role)
                self._closed.add(1, role | {REASON: event.reason})
                self._sent.add(event.bytes_sent, role)
                self._received.add(event.bytes_received, role)
            case _:
                pass

    def _record_handshake(self, role: dict[str, str], event: HandshakeCompleted) -> None:
        negotiated = event.negotiated
        attributes = role | {
            PROTOCOL: "tls",
            VERSION: negotiated.version.removeprefix("TLSv"),
            CIPHER: negotiated.cipher_suite,
            CURVE: negotiated.group or "",
            RESUMED: negotiated.resumed,
        }
        self._handshakes.add(1, attributes)
        self._seconds.record(event.duration, role | {RESUMED: negotiated.resumed})
        self._open.add(1, role)
        if negotiated.hello_retry_request:
            self._retries.add(1, role)
        if negotiated.early_data_accepted:
            self._early_data.add(1, role)
        if event.server_side and (negotiated.peer_certificates or negotiated.peer_raw_public_key):
            self._client_certificates.add(1, role)
