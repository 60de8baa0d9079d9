"""The services of ``trio-tlsx serve``: an echo, or one HTTP page; and the log of connections."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import trio

from ..io.listener import peer_of
from ..io.stream import TLSStream
from ..pki.describe import one_line, subject_of
from .failures import describe
from .page import answer_request

__all__ = ["ECHO", "HTTP", "Service", "log_to", "serve_one"]

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


async def serve_one(
    service: Service, takes_early_data: bool, stream: TLSStream[trio.SocketStream]
) -> None:
    """Serve one connection, and log what it is, or why it broke."""
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
    if settled.ech_accepted:
        facts.append("name hidden")
    if settled.peer_certificates:
        facts.append(f"from {subject_of(settled.peer_certificates[0])}")
    if settled.peer_raw_public_key is not None:
        facts.append(f"from the key {settled.peer_raw_public_key.pin}")
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


def log_to(log: Path | None) -> None:
    """Log to a file; without one to standard error."""
    if log is None:
        handler, form = logging.StreamHandler(sys.stderr), "%(message)s"
    else:
        handler, form = logging.FileHandler(log, encoding="utf-8"), "%(asctime)s %(message)s"
    handler.setFormatter(_Lines(form, "%Y-%m-%dT%H:%M:%SZ"))
    logging.getLogger().addHandler(handler)
    logger.setLevel(logging.INFO)
