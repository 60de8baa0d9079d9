"""``trio-tlsx serve``: an echo server, or a server of one HTTP page."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple, cast

import click
import trio
from cryptography import x509

from ..config.server import ServerConfig
from ..io.listener import TLSListener, peer_of, serve_tls_over_tcp
from ..io.stream import TLSStream
from ..pki.describe import printable, socket_address
from ..pki.pinning import spki_pin
from .failures import describe
from .page import answer_request

__all__ = ["ECHO", "HTTP", "Service", "address_of", "serve"]


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


async def serve(service: Service, config: ServerConfig, *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM.

    The first line of standard output is the address. Connections and failed handshakes are logged
    on standard error.
    """
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    takes_early_data = config.max_early_data_size > 0

    async def handle(stream: TLSStream[trio.SocketStream]) -> None:
        client = peer_of(stream.transport_stream)
        try:
            async with stream:
                if takes_early_data:
                    await _echo_early_data(stream)
                click.echo(f"{client}: {_summary(stream)}", err=True)
                await service.handle(stream, client)
        except trio.BrokenResourceError as error:
            click.echo(f"{client}: {describe(error)}", err=True)

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server = partial(
                serve_tls_over_tcp,
                handle,
                port,
                config,
                host=host,
                replayable_early_data=takes_early_data,
            )
            try:
                listeners = await nursery.start(server)
            except OSError as error:
                raise click.ClickException(
                    f"cannot listen on {host}:{port}: {describe(error)}"
                ) from error
            _announce(listeners, config.parameters.candidates[0].chain[0])
            async for _ in signals:
                break
            nursery.cancel_scope.cancel()


def _announce(
    listeners: Sequence[TLSListener[trio.SocketStream]], certificate: x509.Certificate
) -> None:
    click.echo(f"listening on {', '.join(socket_address(address_of(one)) for one in listeners)}")
    click.echo(f"public key pin {spki_pin(certificate)}")


def address_of(listener: TLSListener[trio.SocketStream]) -> tuple[str, int]:
    """Return the address of a listener: host and port, and for IPv6 two more elements."""
    below = cast("trio.SocketListener", listener.transport_listener)
    return below.socket.getsockname()


def _summary(stream: TLSStream[trio.SocketStream]) -> str:
    settled = stream.negotiated
    facts = [settled.version, settled.cipher_suite, settled.group]
    if settled.alpn_protocol:
        facts.append(f"ALPN {settled.alpn_protocol}")
    if settled.server_name:
        facts.append(f"for {settled.server_name}")
    if settled.resumed:
        facts.append("resumed")
    if settled.early_data_accepted:
        facts.append("early data")
    return printable(", ".join(fact for fact in facts if fact))
