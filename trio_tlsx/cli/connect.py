"""``trio-tlsx connect``: a pipe to a TLS server, like ``openssl s_client``."""

from __future__ import annotations

import json
import math
import os
from typing import Literal, TypeAlias

import click
import trio
from rich.console import Console

from ..config.client import ClientConfig
from ..io.stream import TLSStream
from ..pki.server_name import ServerName
from .failures import describe
from .report import Facts, certificate_facts, connection_facts, print_facts

__all__ = ["Style", "connect"]

Style: TypeAlias = Literal["prose", "json", "none"]

CONNECT_TIMEOUT = 30  # seconds, for the connection and the handshake together
CHUNK = 2**16

#: After the end of standard input the server may still send data. If it sends none for this many
#: seconds, the command ends.
LINGER = 5


async def connect(
    host: str,
    port: int,
    server_name: str,
    config: ClientConfig,
    style: Style,
    early_data: bytes = b"",
) -> None:
    """Connect, describe the connection, and copy bytes in both directions until either ends."""
    where = f"{host}:{port}"
    ServerName.parse(server_name)  # report an invalid name before connecting
    try:
        with trio.fail_after(CONNECT_TIMEOUT):
            stream = TLSStream(
                await trio.open_tcp_stream(host, port),
                config,
                server_hostname=server_name,
                server_port=port,
                early_data=early_data,
            )
            await stream.do_handshake()
    except OSError as error:
        raise click.ClickException(f"cannot connect to {where}: {describe(error)}") from error
    except trio.BrokenResourceError as error:
        raise click.ClickException(f"handshake with {where} failed: {error}") from error
    except trio.TooSlowError:
        raise click.ClickException(
            f"{where} did not complete the handshake within {CONNECT_TIMEOUT} s"
        ) from None

    async with stream:
        facts = connection_facts(stream.negotiated, verified=not config.insecure_skip_verification)
        if early_data:
            facts["early_data_accepted"] = stream.negotiated.early_data_accepted
        _describe(stream, where, style, facts)
        await _pipe(stream)


def _describe(
    stream: TLSStream[trio.SocketStream], where: str, style: Style, facts: Facts
) -> None:
    chain = [certificate_facts(c) for c in stream.negotiated.peer_certificates]
    if style == "json":
        click.echo(json.dumps({"peer": where, **facts, "certificates": chain}))
    elif style == "prose":
        console = Console(highlight=False)
        console.print(f"connected to {where}", style="bold", markup=False)
        print_facts(console, facts)
        for index, certificate in enumerate(chain):
            console.print(f"certificate {index}", style="bold")
            print_facts(console, certificate)


async def _pipe(stream: TLSStream[trio.SocketStream]) -> None:
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


async def _send_input(stream: TLSStream[trio.SocketStream], silence: trio.CancelScope) -> None:
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


async def _receive_output(stream: TLSStream[trio.SocketStream], silence: trio.CancelScope) -> None:
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
