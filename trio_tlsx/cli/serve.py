"""``trio-tlsx serve``: an echo server, or a server of one HTTP page."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import trio
from cryptography import x509

from ..config.server import ServerConfig
from ..io.listener import TLSListener, handshake_first, open_tls_over_tcp_listeners, peer_of
from ..io.stream import TLSStream
from ..pki.credentials import Credentials
from ..pki.describe import one_line, socket_address, subject_of
from ..pki.pinning import spki_pin
from ..pki.reloading import ReloadingCredentials
from .failures import describe
from .page import answer_request

__all__ = ["DRAIN_SECONDS", "ECHO", "HTTP", "Service", "reloads", "serve"]

HANDSHAKE_SECONDS = 10

#: After SIGTERM: how long connections may go on, and how long closing one may take, in seconds.
DRAIN_SECONDS = 5
CLOSE_SECONDS = 2

logger: logging.Logger = logging.getLogger("trio_tlsx.cli")


class Service(NamedTuple):
    """A service for connections.

    Attributes:
        handle: serves one connection; its arguments are the stream and the name of the client.
        alpn_protocols: the names of the service in ALPN.
    """

    handle: Callable[[TLSStream[trio.SocketStream], str], Awaitable[None]]
    alpn_protocols: tuple[str, ...] = ()


async def _echo(stream: TLSStream[trio.SocketStream], client: str) -> None:
    async for data in stream:
        await stream.send_all(data)


async def _echo_early_data(stream: TLSStream[trio.SocketStream]) -> None:
    """Echo early data. An echo is safe to replay."""
    while data := await stream.receive_replayable_early_data():
        await stream.answer_early_data(data)


ECHO = Service(_echo)
HTTP = Service(answer_request, ("http/1.1",))


def reloads(credentials: ReloadingCredentials) -> Callable[[object], Credentials]:
    """Return a ``select_credentials`` that logs when the files were reloaded."""

    def select(request: object) -> Credentials:
        before = credentials.current
        now = credentials(request)
        if now is not before:
            logger.info("certificate reloaded, public key pin %s", spki_pin(now.chain[0]))
        return now

    return select


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
        service: what to do with a connection.
        config: what to negotiate.
        certificate: the server's own certificate, whose pin is printed.
        host: the address to listen on.
        port: the port to listen on.
        log: the file for the log; standard error by default.
        drain: how long connections may go on after SIGTERM, in seconds.
    """
    _log_to(log)
    handle = handshake_first(
        partial(_serve_one, service, config.max_early_data_size > 0),
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
        _announce(listeners, certificate)
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


def _announce(
    listeners: Sequence[TLSListener[trio.SocketStream]], certificate: x509.Certificate
) -> None:
    addresses = ", ".join(socket_address(listener.local_address) for listener in listeners)
    click.echo(f"listening on {addresses}")
    click.echo(f"public key pin {spki_pin(certificate)}")


async def _serve_one(
    service: Service, takes_early_data: bool, stream: TLSStream[trio.SocketStream]
) -> None:
    client = peer_of(stream.transport_stream)
    try:
        if takes_early_data:
            await _echo_early_data(stream)
        logger.info("%s: %s", client, _summary(stream))
        await service.handle(stream, client)
        await stream.aclose()
    except trio.BrokenResourceError as error:
        logger.info("%s: %s", client, describe(error))


def _summary(stream: TLSStream[trio.SocketStream]) -> str:
    settled = stream.negotiated
    facts = [settled.version, settled.cipher_suite, settled.group]
    if settled.alpn_protocol:
        facts.append(f"ALPN {settled.alpn_protocol}")
    if settled.server_name:
        facts.append(f"for {settled.server_name}")
    if settled.peer_certificates:
        facts.append(f"from {subject_of(settled.peer_certificates[0])}")
    if settled.resumed:
        facts.append("resumed")
    if settled.early_data_accepted:
        facts.append("early data")
    return ", ".join(fact for fact in facts if fact)


class _Lines(logging.Formatter):
    """Formats each entry as one line, in which nothing steers a terminal."""

    converter = staticmethod(time.gmtime)

    def formatMessage(self, record: logging.LogRecord) -> str:
        return one_line(super().formatMessage(record))


def _log_to(log: Path | None) -> None:
    if log is None:
        handler, form = logging.StreamHandler(sys.stderr), "%(message)s"
    else:
        handler, form = logging.FileHandler(log, encoding="utf-8"), "%(asctime)s %(message)s"
    handler.setFormatter(_Lines(form, "%Y-%m-%dT%H:%M:%SZ"))
    logging.getLogger().addHandler(handler)
    logger.setLevel(logging.INFO)
