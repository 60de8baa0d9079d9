"""Metrics for Prometheus, from the events of connections (extra ``prometheus``)."""

from __future__ import annotations

from .extras import ExtraImports

with ExtraImports("prometheus"):
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from ..config.events import (
    ConnectionClosed,
    ConnectionEvent,
    HandshakeCompleted,
    HandshakeFailed,
    KeysUpdated,
    TicketReceived,
    TicketsSent,
)

__all__ = ["PrometheusMetrics"]

#: The upper bounds of the histogram's buckets, in seconds: from a local handshake to a timeout.
HANDSHAKE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class PrometheusMetrics:
    """Count handshakes, refusals, bytes and connections. Pass an instance as ``on_event``.

    Use one instance for all configurations of a process. It can be used by several threads. No
    label has a value that a peer could choose freely.

    Args:
        registry: where the metrics are registered.

    Raises:
        ValueError: the registry has these metrics already.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"tls_{name}", text, labels, registry=registry)

        self._handshakes = counter(
            "handshakes",
            "Completed handshakes.",
            "role",
            "version",
            "cipher_suite",
            "group",
            "resumed",
        )
        self._seconds = Histogram(
            "tls_handshake_seconds",
            "Duration of completed handshakes.",
            ("role", "resumed"),
            buckets=HANDSHAKE_BUCKETS,
            registry=registry,
        )
        self._failures = counter(
            "handshake_failures",
            "Handshakes that failed, by the side that refused and its alert.",
            "role",
            "refused_by",
            "alert",
        )
        self._retries = counter("hello_retry_requests", "HelloRetryRequests.", "role")
        self._early_data = counter("early_data_accepted", "Accepted early data.", "role")
        self._client_certificates = counter("client_certificates", "Verified clients.")
        self._key_updates = counter("key_updates", "KeyUpdates.", "role", "direction")
        self._tickets = counter("tickets", "Session tickets, sent or received.", "role")
        self._open = Gauge(
            "tls_connections_open",
            "Connections whose handshake is complete.",
            ("role",),
            registry=registry,
        )
        self._closed = counter("connections_closed", "Closed connections.", "role", "reason")
        self._sent = counter("sent_bytes", "Sent application data.", "role")
        self._received = counter("received_bytes", "Received application data.", "role")

    def __call__(self, event: ConnectionEvent) -> None:
        """Count one event."""
        role = "server" if event.server_side else "client"
        match event:
            case HandshakeCompleted():
                self._count_handshake(role, event)
            case HandshakeFailed():
                alert = event.alert.name if event.alert else ""
                self._failures.labels(role, event.refused_by or "", alert).inc()
            case KeysUpdated():
                self._key_updates.labels(role, event.direction).inc()
            case TicketsSent():
                self._tickets.labels(role).inc(event.count)
            case TicketReceived():
                self._tickets.labels(role).inc()
            case ConnectionClosed():
                self._open.labels(role).dec()
                self._closed.labels(role, event.reason).inc()
                self._sent.labels(role).inc(event.bytes_sent)
                self._received.labels(role).inc(event.bytes_received)
            case _:
                pass

    def _count_handshake(self, role: str, event: HandshakeCompleted) -> None:
        negotiated = event.negotiated
        resumed = "true" if negotiated.resumed else "false"
        self._handshakes.labels(
            role, negotiated.version, negotiated.cipher_suite, negotiated.group or "", resumed
        ).inc()
        self._seconds.labels(role, resumed).observe(event.duration)
        self._open.labels(role).inc()
        if negotiated.hello_retry_request:
            self._retries.labels(role).inc()
        if negotiated.early_data_accepted:
            self._early_data.labels(role).inc()
        if event.server_side and (negotiated.peer_certificates or negotiated.peer_raw_public_key):
            self._client_certificates.inc()
