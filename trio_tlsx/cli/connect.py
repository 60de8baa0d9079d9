"""``trio-tlsx connect``: a pipe to a TLS server, like ``openssl s_client``."""

from __future__ import annotations

import json
import math
import os
from typing import Literal, TypeAlias

import click
import trio
from cryptography.hazmat.primitives.serialization import Encoding
from rich.console import Console

from ..config.client import ClientConfig
from ..io.stream import TLSStream
from ..pki.server_name import ServerName
from .dialing import Destination, connect_tls, useless_options
from .failures import with_advice
from .report import Facts, certificate_facts, connection_facts, print_facts, print_heading

__all__ = ["Style", "connect"]

#: How to describe the connection. ``"pem"`` prints the chain and ends the connection.
Style: TypeAlias = Literal["prose", "json", "pem", "none"]

CHUNK = 2**16

#: After the end of standard input the server may still send data. If it sends none for this many
#: seconds, the command ends.
LINGER = 5


async def connect(
    target: Destination,
    server_name: str,
    config: ClientConfig,
    style: Style,
    early_data: bytes = b"",
) -> None:
    """Connect, describe the connection, and copy bytes in both directions until either ends.

    Args:
        target: the server to connect to.
        server_name: the name that the certificate is verified for.
        config: the configuration.
        style: how to describe the connection.
        early_data: sent with the first message, if the session allows it.

    Raises:
        click.ClickException: the connection failed.
    """
    ServerName.parse(server_name)  # report an invalid name before connecting
    stream = await connect_tls(target, server_name, config, early_data)
    async with stream:
        facts = connection_facts(stream.negotiated, verified=not config.insecure_skip_verification)
        if early_data:
            facts["early_data_accepted"] = stream.negotiated.early_data_accepted
        _describe(stream, str(target), style, facts)
        if style == "pem":
            return
        try:
            await _pipe(stream)
        except trio.BrokenResourceError as error:
            advised = with_advice(error, server_name, without=useless_options(config))
            raise click.ClickException(advised) from error


def _describe(stream: TLSStream[trio.abc.Stream], where: str, style: Style, facts: Facts) -> None:
    certificates = stream.negotiated.peer_certificates
    if style == "pem":
        for certificate in certificates:
            click.echo(certificate.public_bytes(Encoding.PEM), nl=False)
    chain = [certificate_facts(c) for c in certificates]
    if style == "json":
        click.echo(json.dumps({"peer": where, **facts, "certificates": chain}))
    elif style == "prose":
        console = Console(highlight=False)
        print_heading(console, f"connected to {where}")
        print_facts(console, facts)
        for index, certificate in enumerate(chain):
            print_heading(console, f"certificate {index}")
            print_facts(console, certificate)


async def _pipe(stream: TLSStream[trio.abc.Stream]) -> None:
    failure: trio.BrokenResourceError | None = None
    async with trio.open_nursery() as nursery:
        silence = trio.CancelScope()
        nursery.start_soon(_send_input, stream, silence)
        try:
            with silence:
                await _receive_output(stream, silence)
        except trio.BrokenResourceError as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _send_input(stream: TLSStream[trio.abc.Stream], silence: trio.CancelScope) -> None:
    # A file cannot be polled. A terminal or a pipe could be made non-blocking, but this would
    # affect every process that shares it. So a thread reads. An abandoned one ends with this
    # process.
    try:
        while data := await trio.to_thread.run_sync(_read_input, abandon_on_cancel=True):
            await stream.send_all(data)
        await stream.send_eof()
    except trio.BrokenResourceError:
        return  # the receiving task gets the same error and reports it
    silence.deadline = trio.current_time() + LINGER


def _read_input() -> bytes:
    return os.read(0, CHUNK)


async def _receive_output(stream: TLSStream[trio.abc.Stream], silence: trio.CancelScope) -> None:
    async for data in stream:
        if silence.deadline != math.inf:
            silence.deadline = trio.current_time() + LINGER
        try:
            await trio.to_thread.run_sync(_write_output, data, abandon_on_cancel=True)
        except BrokenPipeError:
            return  # the reader of our output is gone


def _write_output(data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
