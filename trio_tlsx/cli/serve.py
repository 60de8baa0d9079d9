"""``trio-tlsx serve`` in one process."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import click
import trio
from cryptography import x509

from ..config.server import ServerConfig
from ..io.endpoints import SocketAddress
from ..io.listener import TLSListener, handshake_first, open_tls_over_tcp_listeners
from ..io.stream import TLSStream
from ..pki.describe import socket_address
from ..pki.pinning import spki_pin
from .failures import describe
from .services import Service, log_to, serve_one

__all__ = ["DRAIN_SECONDS", "announce", "serve"]

HANDSHAKE_SECONDS = 10

#: After SIGTERM: how long connections may go on, and how long closing one may take, in seconds.
DRAIN_SECONDS = 5
CLOSE_SECONDS = 2

logger: logging.Logger = logging.getLogger("trio_tlsx.cli")


async def serve(
    service: Service,
    config: ServerConfig,
    certificate: x509.Certificate,
    *,
    host: str,
    port: int,
    log: Path | None,
    drain: float,
) -> None:
    """Serve until SIGINT or SIGTERM.

    The first line of standard output is the address.

    Args:
        service: handles each connection.
        config: the configuration.
        certificate: the server's own certificate, whose pin is printed.
        host: the address to listen on.
        port: the port to listen on.
        log: the file for the log; standard error by default.
        drain: how long connections may continue after SIGTERM, in seconds.
    """
    log_to(log)
    handle = handshake_first(
        partial(serve_one, service, config.max_early_data_size > 0),
        replayable_early_data=config.max_early_data_size > 0,
    )

    async def handle_and_close(stream: TLSStream[trio.SocketStream]) -> None:
        try:
            await handle(stream)
        finally:
            # A cancelled aclose() sends no close_notify, so it is shielded.
            with (
                trio.move_on_after(CLOSE_SECONDS, shield=True),
                suppress(trio.BrokenResourceError),
            ):
                await stream.aclose()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        listeners = await _listen(host, port, config)
        announce([listener.local_address for listener in listeners], certificate)
        async with trio.open_nursery() as watching:
            async with trio.open_nursery() as connections:
                accepting = trio.CancelScope()
                watching.start_soon(_stop_at_signal, signals, accepting, connections, drain)
                with accepting:
                    await trio.serve_listeners(
                        handle_and_close, listeners, handler_nursery=connections
                    )
            watching.cancel_scope.cancel()


async def _stop_at_signal(
    signals: AsyncIterator[int],
    accepting: trio.CancelScope,
    connections: trio.Nursery,
    drain: float,
) -> None:
    """Stop accepting at the first signal; end connections after ``drain``, or at the second."""
    number = await anext(signals)
    logger.info("stopping; %d connections open", len(connections.child_tasks))
    accepting.cancel()
    if number == signal.SIGTERM:
        connections.cancel_scope.deadline = trio.current_time() + drain
        await anext(signals)
    connections.cancel_scope.cancel()


async def _listen(
    host: str, port: int, config: ServerConfig
) -> list[TLSListener[trio.SocketStream]]:
    try:
        return await open_tls_over_tcp_listeners(
            port, config, host=host, handshake_timeout=HANDSHAKE_SECONDS
        )
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {describe(error)}") from error


def announce(addresses: Sequence[SocketAddress | None], certificate: x509.Certificate) -> None:
    """Print the addresses, and the pin of the certificate."""
    click.echo(f"listening on {', '.join(map(socket_address, addresses))}")
    click.echo(f"public key pin {spki_pin(certificate)}")
