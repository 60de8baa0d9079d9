"""The plaintext before TLS in SMTP, IMAP and PostgreSQL, from the client's side."""

from __future__ import annotations

from typing import Literal, TypeAlias

import click
import trio

__all__ = ["STARTTLS", "Protocol", "request_starttls"]

Protocol: TypeAlias = Literal["smtp", "imap", "postgres"]

#: The protocols, and their ports.
STARTTLS: dict[Protocol, int] = {"smtp": 25, "imap": 143, "postgres": 5432}

#: Limits of what a server sends before TLS: lines, and bytes in a line (RFC 5321 4.5.3.1.5: 512).
MAX_LINES = 100
MAX_LINE = 2**12
CHUNK = 2**12

#: PostgreSQL's SSLRequest: its length, then the code of the request.
SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)


async def request_starttls(stream: trio.abc.Stream, protocol: Protocol, where: str) -> None:
    """Ask the server to start TLS; the next octet that it sends belongs to TLS.

    Args:
        stream: the connection.
        protocol: the protocol that the server speaks.
        where: the name of the server in errors.

    Raises:
        click.ClickException: the server does not start TLS, or it sent more plaintext with its
            answer. An attacker can add such plaintext (CVE-2011-0411).
    """
    try:
        if protocol == "postgres":
            await _request_of_postgres(stream, where)
            return
        lines = _Lines(stream, where)
        await (_request_of_smtp(lines) if protocol == "smtp" else _request_of_imap(lines))
        lines.check_empty()
    except trio.BrokenResourceError as error:
        raise click.ClickException(f"{where} broke the connection before TLS: {error}") from error


class _Lines:
    """The lines of a text protocol."""

    def __init__(self, stream: trio.abc.Stream, where: str) -> None:
        self._stream = stream
        self._where = where
        self._received = b""
        self._count = 0

    def error(self, fault: str) -> click.ClickException:
        return click.ClickException(f"{self._where} {fault}")

    async def send(self, line: str) -> None:
        await self._stream.send_all(line.encode() + b"\r\n")

    async def receive(self) -> str:
        while b"\n" not in self._received:
            if len(self._received) > MAX_LINE:
                raise self.error("sends too long a line before TLS")
            data = await self._stream.receive_some(CHUNK)
            if not data:
                raise self.error("closed the connection before TLS")
            self._received += data
        self._count += 1
        if self._count > MAX_LINES:
            raise self.error("sends too many lines before TLS")
        line, _, self._received = self._received.partition(b"\n")
        return line.decode("latin-1").rstrip("\r")

    def check_empty(self) -> None:
        if self._received:
            raise self.error(
                "sent plaintext after its answer to STARTTLS, which an attacker may have added"
            )


async def _request_of_smtp(lines: _Lines) -> None:
    """RFC 3207."""
    await _expect_of_smtp(lines, "220", "greeting")
    await lines.send("EHLO [127.0.0.1]")
    offers = await _expect_of_smtp(lines, "250", "answer to EHLO")
    if "STARTTLS" not in [offer.upper() for offer in offers]:
        raise lines.error("does not offer STARTTLS")
    await lines.send("STARTTLS")
    await _expect_of_smtp(lines, "220", "answer to STARTTLS")


async def _expect_of_smtp(lines: _Lines, code: str, what: str) -> list[str]:
    """Return the texts of a reply, which may have several lines (RFC 5321 4.2.1)."""
    texts: list[str] = []
    while True:
        line = await lines.receive()
        if line[:3] != code:
            raise lines.error(f"does not speak SMTP, or refuses; its {what} is {line[:200]!r}")
        texts.append(line[4:].strip())
        if line[3:4] != "-":
            return texts


async def _request_of_imap(lines: _Lines) -> None:
    """RFC 9051 6.2.1."""
    greeting = await lines.receive()
    if not greeting.upper().startswith("* OK"):
        raise lines.error(f"does not speak IMAP, or refuses; its greeting is {greeting[:200]!r}")
    await lines.send("a STARTTLS")
    while not (line := await lines.receive()).startswith("a "):
        pass
    if not line.upper().startswith("A OK"):
        raise lines.error(f"refuses STARTTLS: {line[:200]!r}")


async def _request_of_postgres(stream: trio.abc.Stream, where: str) -> None:
    """PostgreSQL's protocol 3.0, "SSL Session Encryption"."""
    await stream.send_all(SSL_REQUEST)
    # One octet, so that whatever follows it is read as TLS (CVE-2021-23222).
    answer = await stream.receive_some(1)
    if answer == b"N":
        raise click.ClickException(f"{where} does not offer TLS: its ssl is off")
    if answer != b"S":
        raise click.ClickException(f"{where} does not speak PostgreSQL's protocol")
