"""Metrics of a running server, as Prometheus scrapes them and as OpenTelemetry exports them."""

from __future__ import annotations

import re
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
import trio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from processes import ROOT
from prometheus_client.parser import text_string_to_metric_families

from trio_tlsx import (
    ClientConfig,
    ServerConfig,
    TLSStream,
    open_tls_over_tcp_stream,
    serve_tls_over_tcp,
)
from trio_tlsx.contrib import opentelemetry, prometheus
from trio_tlsx.testing import CA

AUTHORITY = CA()
METRIC = re.compile(r"`(tls_\w+)`")


async def serve_some_connections(on_event: Any) -> None:
    """Serve a full, a resumed, a refused and an early connection, and a KeyUpdate."""
    server = ServerConfig(
        credentials=AUTHORITY.issue("localhost"),
        groups=["P-256"],
        client_auth="optional",
        client_trust=AUTHORITY.trust,
        on_event=on_event,
    )
    client = ClientConfig(
        trust=AUTHORITY.trust,
        groups=["x25519", "P-256"],
        key_shares=["x25519"],
        credentials=AUTHORITY.issue("client"),
    )

    async def echo(stream: TLSStream[trio.SocketStream]) -> None:
        async with stream:
            async for data in stream:
                await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(
            partial(serve_tls_over_tcp, echo, 0, server, host="127.0.0.1")
        )
        for _ in range(2):
            async with await open_tls_over_tcp_stream(
                "localhost", listener.port, config=client
            ) as stream:
                await stream.send_all(b"12345")
                await stream.update_keys()
                assert await stream.receive_some() == b"12345"
                await stream.send_eof()
                assert await stream.receive_some() == b""
        stranger = ClientConfig(trust=CA().trust)
        refused = await open_tls_over_tcp_stream("localhost", listener.port, config=stranger)
        with pytest.raises(trio.BrokenResourceError):
            await refused.do_handshake()
        await refused.aclose()
        with trio.fail_after(10):
            while not on_event.is_over():
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


class Watched:
    """Passes events on, and knows when the three connections are over."""

    def __init__(self, metrics: Any) -> None:
        self._metrics = metrics
        self._over = 0

    def __call__(self, event: Any) -> None:
        self._metrics(event)
        self._over += type(event).__name__ in ("ConnectionClosed", "HandshakeFailed")

    def is_over(self) -> bool:
        return self._over == 3


def documented() -> set[str]:
    """The metrics in the table of the page."""
    page = (ROOT / "docs" / "logging.md").read_text()
    table = page.partition("| metric |")[2].partition("\n\n")[0]
    return set(METRIC.findall(table))


async def test_prometheus_scrapes_a_running_server() -> None:
    registry = prometheus_client.CollectorRegistry()
    await serve_some_connections(Watched(prometheus.PrometheusMetrics(registry)))
    exporter, thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
    try:
        port = exporter.server_port
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
            text = response.read().decode()
    finally:
        exporter.shutdown()
        exporter.server_close()
        thread.join()
    families = list(text_string_to_metric_families(text))
    values = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
    server, suite = ("role", "server"), ("cipher_suite", "TLS_AES_128_GCM_SHA256")
    common = [suite, ("group", "secp256r1")]
    version = ("version", "TLSv1.3")
    for resumed in ("true", "false"):
        label = ("resumed", resumed)
        assert values["tls_handshakes_total", *common, label, server, version] == 1
        assert values["tls_handshake_seconds_count", label, server] == 1
    failed = ("alert", "unknown_ca"), ("refused_by", "peer"), server
    assert values["tls_handshake_failures_total", *failed] == 1
    assert values["tls_hello_retry_requests_total", server] == 2
    assert values["tls_client_certificates_total",] == 2
    assert values["tls_key_updates_total", ("direction", "received"), server] == 2
    assert values["tls_connections_open", server] == 0
    assert values["tls_connections_closed_total", ("reason", "clean"), server] == 2
    assert values["tls_sent_bytes_total", server] == 10
    assert values["tls_received_bytes_total", server] == 10
    assert values["tls_tickets_total", server] >= 3

    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in families
        if not family.name.endswith("_created")
    }
    assert names == documented()


async def test_opentelemetry_exports_the_same() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    await serve_some_connections(Watched(opentelemetry.OpenTelemetryMetrics(provider)))
    data: Any = reader.get_metrics_data()
    points = {
        (metric.name, *sorted(point.attributes.items())): point
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    }
    server = ("tls.role", "server")
    handshake = points[
        "tls.handshakes",
        ("tls.cipher", "TLS_AES_128_GCM_SHA256"),
        ("tls.curve", "secp256r1"),
        ("tls.protocol.name", "tls"),
        ("tls.protocol.version", "1.3"),
        ("tls.resumed", True),
        server,
    ]
    assert handshake.value == 1
    assert points["tls.handshake.duration", ("tls.resumed", False), server].count == 1
    failed = ("tls.alert", "unknown_ca"), ("tls.refused_by", "peer"), server
    assert points["tls.handshake.failures", *failed].value == 1
    assert points["tls.hello_retry_requests", server].value == 2
    assert points["tls.client_certificates", server].value == 2
    assert points["tls.key_updates", ("tls.direction", "received"), server].value == 2
    assert points["tls.connections.open", server].value == 0
    assert points["tls.connections.closed", ("tls.close_reason", "clean"), server].value == 2
    assert points["tls.sent", server].value == points["tls.received", server].value == 10


@pytest.mark.parametrize("module", ["prometheus", "opentelemetry"])
def test_no_attribute_is_a_name_that_a_peer_chooses(module: str) -> None:
    source = (Path(prometheus.__file__).parent / f"{module}.py").read_text()
    assert "server_name" not in source
    assert "server_hostname" not in source
