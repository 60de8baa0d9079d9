"""OpenSSL's own programs: ``openssl s_client`` and ``openssl s_server``.

These programs print the data that they receive, and send the data that they read. The tests use
only bytes of 128 and more, to distinguish data from other output of the programs.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import ClassVar

import trio
from peer import (
    EXPORTED_LENGTH,
    CannotDoThat,
    Inabilities,
    Inability,
    Part,
    Peer,
    Role,
    Saw,
    inabilities_of_openssl,
)
from processes import openssl_version, peer_program

from trio_tlsx.errors import AlertDescription

TEXT = bytes(range(128))
DATA = bytes(range(128, 256))

LISTENING = re.compile(rb"^ACCEPT .*:(\d+)$", re.MULTILINE)

#: What ``-msg`` prints of an alert that has come: a title, and its two bytes on the next line.
ALERT = re.compile(rb"^<<< [^\n]*\bAlert\b[^\n]*\n +[0-9a-f]{2} ([0-9a-f]{2})", re.MULTILINE)

#: What ``-msg`` prints of a KeyUpdate that has left.
KEY_UPDATE = re.compile(rb"^>>> [^\n]*\bKeyUpdate\b", re.MULTILINE)

REUSED = re.compile(rb"^Reused(?:, TLSv1\.[23]| session-id)", re.MULTILINE)

EXPORTED = re.compile(rb"^ +Keying material: ([0-9A-F]+)$", re.MULTILINE)

#: What a server prints last of a connection.
CLOSED = b"\nCONNECTION CLOSED\n"

ONLY_BEHIND_A_PAGE = Inability("it sends close_notify first only behind a page", CannotDoThat)

NEVER_LEAVES = Inability("it sends close_notify whenever it ends", CannotDoThat)


def installed_version() -> tuple[int, ...]:
    """The program's version; the empty one where it is not installed."""
    program = shutil.which("openssl")
    return () if program is None else openssl_version(program)


class OpenSSLPeer(Peer):
    name = "openssl"
    cannot: ClassVar[Inabilities] = {
        ("client", "leave"): NEVER_LEAVES,
        ("server", "leave"): NEVER_LEAVES,
        ("client", "hear our answer"): Inability("it does not read on", AssertionError),
        ("server", "close first"): ONLY_BEHIND_A_PAGE,
        ("server", "hear our answer"): ONLY_BEHIND_A_PAGE,
        **inabilities_of_openssl(installed_version(), RuntimeError),
    }

    def program(self) -> str:
        """Return the path of the program, or skip."""
        return peer_program("openssl")

    def require(self) -> None:
        self.program()

    async def serve(
        self, part: Part, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
    ) -> Sequence[Saw]:
        arguments: list[str | Path] = ["s_server", "-accept", "127.0.0.1:0"]
        arguments += ["-naccept", str(part.connections), *self.options("server", part)]
        if part.tickets is not None:
            arguments += ["-num_tickets", str(part.tickets)]
        if part.trust:
            arguments += ["-Verify", "1"]
        if part.cookie:
            arguments += ["-stateless"]
        if part.http:
            arguments += ["-www"]
        if part.early_data:
            arguments += ["-early_data"]
        if part.staple:
            arguments += ["-status_file", part.staple]
        if not part.credentials:
            arguments += ["-nocert"]
        if part.closes_first or part.leaves:
            raise CannotDoThat
        command = [self.program(), *arguments]
        printed = await run(command, part, part.connections, task_status)
        return list(map(self.read, printed.split(CLOSED)[: part.connections]))

    async def call(self, part: Part, port: int) -> Sequence[Saw]:
        if part.leaves:
            raise CannotDoThat
        arguments: list[str | Path] = ["s_client", "-connect", f"127.0.0.1:{port}"]
        arguments += self.options("client", part)
        if part.falls_back:
            arguments += ["-fallback_scsv"]
        if part.staple:
            arguments += ["-status"]
        if part.server_name:
            arguments += ["-servername", part.server_name, "-verify_hostname", part.server_name]
        saw: list[Saw] = []
        with tempfile.TemporaryDirectory() as directory:
            session = Path(directory, "session.pem")
            early_data = Path(directory, "early-data")
            early_data.write_bytes(part.early_data)
            for _ in range(part.connections):
                resumption = ["-sess_out", session]
                if session.exists():
                    resumption += ["-sess_in", session]
                    resumption += ["-early_data", early_data] if part.early_data else []
                printed = await run([self.program(), *arguments, *resumption], part)
                if part.staple:
                    assert b"OCSP Response Status: successful" in printed
                saw.append(self.read(printed))
        return saw

    def options(self, role: Role, part: Part) -> list[str | Path]:
        """Return the arguments that both programs understand."""
        return common(part)

    def read(self, printed: bytes) -> Saw:
        """Return what the program saw in one connection, from what it printed."""
        return read_story(printed)


def common(part: Part) -> list[str | Path]:
    """The arguments that both programs understand."""
    # Of much data -msg would print too much; the alerts are then missing.
    arguments: list[str | Path] = [] if part.streams else ["-msg"]
    if part.credentials:
        chain, key = part.credentials
        arguments += ["-cert", chain, "-key", key]
    if part.trust:
        arguments += ["-CAfile", part.trust, "-verify_return_error"]
    if part.group:
        arguments += ["-groups", part.group]
    if part.alpn_protocols:
        arguments += ["-alpn", ",".join(part.alpn_protocols)]
    if part.tls12_only:
        arguments += ["-no_tls1_3"]
    if part.session_ids:
        arguments += ["-no_ticket"]
    if part.psk:
        identity, key, _ = part.psk
        arguments += ["-psk_identity", identity, "-psk", key.hex()]
    if part.exports:
        arguments += ["-keymatexport", part.exports]
        arguments += ["-keymatexportlen", str(EXPORTED_LENGTH)]
    return arguments


def read_story(printed: bytes) -> Saw:
    """What the program saw in one connection, from what it printed."""
    alerts = ALERT.findall(printed)
    exported = EXPORTED.search(printed)
    return Saw(
        AlertDescription(int(alerts[-1], 16)) if alerts else None,
        printed.decode(),
        resumed=REUSED.search(printed) is not None,
        exported=bytes.fromhex(exported[1].decode()) if exported else None,
    )


async def run(
    command: Sequence[str | Path],
    part: Part,
    connections: int = 1,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> bytes:
    """Run the program to its end; a server's port is what it starts with.

    Returns:
        What it printed, without the data.
    """
    printed, received = bytearray(), bytearray()
    is_listening = False
    answered = 0
    keys_updated = trio.Event()

    async def answer(data: bytes) -> None:
        if part.updates_keys:
            # Only as all that there is to read is it a command.
            await stdin.send_all(b"K\n")
            await keys_updated.wait()
        await stdin.send_all(data)
        if part.closes_first:
            await stdin.aclose()

    async def send_back(pieces: trio.MemoryReceiveChannel[bytes]) -> None:
        async for piece in pieces:
            await stdin.send_all(piece)

    async with started(command) as (stdin, stdout), trio.open_nursery() as nursery:
        # Without a limit: the program may not read on while its output is not read.
        streamed, pieces = trio.open_memory_channel[bytes](math.inf)
        nursery.start_soon(send_back, pieces)
        async for chunk in stdout:
            printed += chunk.translate(None, DATA)
            data = bytes(chunk.translate(None, TEXT))
            if part.streams:
                streamed.send_nowait(data)
            else:
                received += data
            if not is_listening and (match := LISTENING.search(printed)):
                is_listening = True
                task_status.started(int(match[1]))
            if KEY_UPDATE.search(printed):
                keys_updated.set()
            while not part.streams and answered < connections and len(received) >= part.echo:
                answered += 1
                nursery.start_soon(answer, bytes(received[: part.echo]))
                del received[: part.echo]
        nursery.cancel_scope.cancel()
    return bytes(printed)


@asynccontextmanager
async def started(
    command: Sequence[str | Path],
) -> AsyncGenerator[tuple[trio.abc.SendStream, trio.abc.ReceiveStream], None]:
    """The program while it runs: its standard input, and its output and errors together."""
    pipe = subprocess.PIPE
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process,
            [str(word) for word in command],
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.STDOUT,
            check=False,
        )
        process: trio.Process = await nursery.start(start)
        assert process.stdin is not None
        assert process.stdout is not None
        async with process.stdin, process.stdout:
            yield process.stdin, process.stdout
