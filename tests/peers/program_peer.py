"""Peers that are small programs of ours, with the TLS library of another language.

All take the same arguments, ``name=value``, and print the same lines. A server prints ``port N``
once it listens. Each connection ends with a line ``saw alert=N resumed=B exported=HEX story=...``:
``alert`` is -1 if no alert was received, ``resumed`` is empty if the handshake failed, and
``story`` is a text for the reader of a failed test.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import trio
from peer import EXPORTED_LENGTH, CannotDoThat, Part, Peer, Role, Saw
from processes import peer_program

from trio_tlsx.errors import AlertDescription

PROGRAMS = Path(__file__).parent / "programs"

PORT = re.compile(rb"^port (\d+)$", re.MULTILINE)
SAW = re.compile(
    r"^saw alert=(-?\d+) resumed=(true|false|) exported=([0-9a-f]*) story=(.*)$", re.MULTILINE
)


@cache
def build_directory() -> Path:
    """The directory of compiled programs, made once for all tests of a process."""
    return Path(tempfile.mkdtemp(prefix="trio-tlsx-peers-"))


def compile_program(command: Sequence[str | Path], **environment: str) -> None:
    """Run a compiler; its messages are in the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr}")


class ProgramPeer(Peer):
    """A peer that is one of the programs in ``programs/``."""

    #: The programs that it needs, each with the Debian package that has it.
    needs: Sequence[tuple[str, str]]

    def require(self) -> None:
        for program, package in self.needs:
            peer_program(program, package)
        self.command()  # compiles it, which may take longer than a conversation may

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """Return the command that runs the program, without its arguments; compile it first."""

    def check(self, role: Role, part: Part) -> None:
        """Raise CannotDoThat for a part that the library has no way to play."""
        cannot = {
            "cookie": part.cookie,
            "update keys": part.updates_keys,
            "session ids": part.session_ids,
            "staple": part.staple,
        }
        for feature, asked in cannot.items():
            if asked and (role, feature) in self.cannot:
                raise CannotDoThat

    async def serve(
        self, part: Part, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
    ) -> Sequence[Saw]:
        self.check("server", part)
        return await self._run(part, ["role=server"], task_status)

    async def call(self, part: Part, port: int) -> Sequence[Saw]:
        self.check("client", part)
        return await self._run(part, ["role=client", f"port={port}"])

    async def _run(
        self,
        part: Part,
        arguments: Sequence[str],
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> Sequence[Saw]:
        command = [*self.command(), *arguments, *self.arguments_of(part)]
        printed = b""
        is_listening = False
        async with trio.open_nursery() as nursery:
            process: trio.Process = await nursery.start(
                partial(
                    trio.run_process,
                    [str(word) for word in command],
                    stdin=b"",
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            )
            assert process.stdout is not None
            async for chunk in process.stdout:
                printed += chunk
                if not is_listening and (match := PORT.search(printed)):
                    is_listening = True
                    task_status.started(int(match[1]))
        return self.read(printed.decode(), part.connections)

    def arguments_of(self, part: Part) -> Sequence[str]:
        """Return the part as arguments."""
        return arguments_of(part)

    def read(self, printed: str, connections: int) -> Sequence[Saw]:
        """Return what the program saw of each connection, from what it printed."""
        return read_outcomes(printed, connections)


def arguments_of(part: Part) -> Sequence[str]:
    """The part as arguments; what it leaves open is left out."""
    values: dict[str, object] = {
        "trust": part.trust,
        "name": part.server_name,
        "group": part.group,
        "alpn": ",".join(part.alpn_protocols),
        "tls12_only": part.tls12_only,
        "session_ids": part.session_ids,
        "echo": part.echo,
        "streams": part.streams,
        "closes_first": part.closes_first,
        "leaves": part.leaves,
        "cancels": part.cancels,
        "key_limit": part.key_limit,
        "connections": part.connections,
        "tickets": part.tickets,
        "update_keys": part.updates_keys,
        "exports": part.exports,
        "exported_length": EXPORTED_LENGTH,
        "staple": part.staple,
    }
    if part.credentials:
        values["cert"], values["key"] = part.credentials
    return [f"{name}={_written(value)}" for name, value in values.items() if value]


def _written(value: object) -> object:
    return int(value) if isinstance(value, bool) else value


def read_outcomes(printed: str, connections: int) -> Sequence[Saw]:
    """What the program saw of each connection, from what it printed."""
    lines = SAW.findall(printed)
    assert len(lines) == connections, printed
    return [
        Saw(
            AlertDescription(int(alert)) if int(alert) >= 0 else None,
            story,
            resumed=resumed == "true" if resumed else None,
            exported=bytes.fromhex(exported) if exported else None,
        )
        for alert, resumed, exported, story in lines
    ]
