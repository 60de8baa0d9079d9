"""STARTTLS on the command line, and plaintext that a server must not send before TLS."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import click
import pytest
import trio

from trio_tlsx.cli.dialing import Destination, connect_tls
from trio_tlsx.cli.starttls import Protocol
from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.testing import CA

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"

#: What a server sends first, and then in answer to each thing that it receives.
Script = Sequence[tuple[bytes, bytes]]

SMTP: Script = [
    (b"", b"220-mail.example\r\n220 ESMTP\r\n"),
    (b"EHLO [127.0.0.1]\r\n", b"250-mail.example\r\n250-8BITMIME\r\n250 starttls\r\n"),
    (b"STARTTLS\r\n", b"220 go ahead\r\n"),
]
IMAP: Script = [
    (b"", b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"),
    (b"a STARTTLS\r\n", b"* CAPABILITY IMAP4rev1\r\na OK begin\r\n"),
]
POSTGRES: Script = [(SSL_REQUEST, b"S")]
SCRIPTS: dict[Protocol, Script] = {"smtp": SMTP, "imap": IMAP, "postgres": POSTGRES}


async def converse(
    script: Script, credentials: ServerConfig | None, stream: trio.SocketStream
) -> None:
    """Play a script, then serve an echo over TLS."""
    async with stream:
        for expected, answer in script:
            received = b""
            while len(received) < len(expected):
                received += await stream.receive_some()
            assert received == expected
            await stream.send_all(answer)
        if credentials is None:
            async for _ in stream:  # until the client has gone
                pass
            return
        async with TLSStream(stream, credentials) as tls:
            async for data in tls:
                await tls.send_all(data)


@asynccontextmanager
async def server(
    script: Script, credentials: ServerConfig | None = None
) -> AsyncGenerator[int, None]:
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            partial(trio.serve_tcp, partial(converse, script, credentials), 0, host="127.0.0.1")
        )
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("protocol", SCRIPTS)
async def test_starttls(protocol: Protocol, ca: CA) -> None:
    config = ServerConfig(credentials=ca.issue("127.0.0.1"))
    async with server(SCRIPTS[protocol], config) as port:
        target = Destination("127.0.0.1", port, protocol)
        async with await connect_tls(target, "127.0.0.1", ClientConfig(trust=ca.trust)) as stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"


@pytest.mark.parametrize(
    ("protocol", "script", "why"),
    [
        ("smtp", [(b"", b"HTTP/1.1 400 \x1b[31m\r\n")], "is 'HTTP/1.1 400 \\x1b[31m'"),
        ("smtp", [(b"", b"554 go away\r\n")], "its greeting is '554 go away'"),
        ("smtp", [*SMTP[:1], (SMTP[1][0], b"250 mail.example\r\n")], "does not offer STARTTLS"),
        ("smtp", [*SMTP[:2], (SMTP[2][0], b"454 later\r\n")], "STARTTLS is '454 later'"),
        ("smtp", [*SMTP[:2], (SMTP[2][0], b"220 go\r\n250 ok\r\n")], "sent plaintext after"),
        ("smtp", [(b"", b"220-x\r\n" * 101)], "too many lines"),
        ("smtp", [(b"", b"2" * 2**13)], "too long a line"),
        ("imap", [(b"", b"* BYE full\r\n")], "its greeting is '* BYE full'"),
        ("imap", [*IMAP[:1], (IMAP[1][0], b"a BAD no\r\n")], "refuses STARTTLS: 'a BAD no'"),
        ("imap", [*IMAP[:1], (IMAP[1][0], b"a OK\r\n* OK more\r\n")], "sent plaintext after"),
        ("postgres", [(SSL_REQUEST, b"N")], "does not offer TLS"),
        ("postgres", [(SSL_REQUEST, b"E")], "does not speak PostgreSQL"),
        ("postgres", [(SSL_REQUEST, b"SR\x00\x00\x00\x08")], "does not speak TLS"),
    ],
)
async def test_starttls_that_fails(protocol: Protocol, script: Script, why: str) -> None:
    async with server(script) as port:
        target = Destination("127.0.0.1", port, protocol)
        config = ClientConfig(insecure_skip_verification=True)
        with pytest.raises(click.ClickException) as caught:
            await connect_tls(target, "127.0.0.1", config)
    assert f"127.0.0.1:{port}" in caught.value.message
    assert why in caught.value.message


@pytest.mark.parametrize("protocol", ["smtp", "postgres"])
async def test_starttls_server_closes_before_tls(protocol: Protocol) -> None:
    async def close(stream: trio.SocketStream) -> None:
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, close, 0, host="127.0.0.1"))
        target = Destination("127.0.0.1", listener.socket.getsockname()[1], protocol)
        with pytest.raises(click.ClickException):
            await target.open()
        nursery.cancel_scope.cancel()
