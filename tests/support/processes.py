"""Find, start, read and end the programs that tests run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trio

TIMEOUT = 60  # seconds: something hangs

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"

CLI = (sys.executable, "-m", "trio_tlsx")

#: Where ``.ci/newer-peers`` puts programs of newer suites of Debian.
NEWER_PROGRAMS = ROOT / ".nox" / "peers" / "bin"


@dataclass(frozen=True)
class Result:
    """What a program left behind."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def error_lines(self) -> list[str]:
        return self.stderr.decode().splitlines()


async def run_program(
    command: Sequence[str | Path], stdin: bytes = b"", **environment: str | Path
) -> Result:
    """Run a program to its end, whatever its status is.

    Args:
        command: what to run.
        stdin: its standard input.
        environment: variables that are set for it beside those that are anyway.
    """
    with trio.fail_after(TIMEOUT):
        done = await trio.run_process(
            [str(word) for word in command],
            stdin=stdin,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=ROOT,
            env=_with(environment),
        )
    return Result(done.returncode, done.stdout, done.stderr)


def _with(environment: Mapping[str, str | Path]) -> dict[str, str]:
    return os.environ | {name: str(value) for name, value in environment.items()}


class Server:
    """A program that says when it listens, mostly with the port at the end, and serves."""

    def __init__(self, process: trio.Process, line: str) -> None:
        self.process = process
        self._line = line
        self.output = b""

    @property
    def port(self) -> int:
        """The port, which is the last word of what it said."""
        return int(self._line.replace(":", " ").split()[-1])

    async def read_output(self) -> None:
        """Read what is left of its output, up to its end."""
        stdout = self.process.stdout
        assert stdout is not None
        async for data in stdout:
            self.output += data


@asynccontextmanager
async def running(
    *command: str | Path, says: bytes = b"", **environment: str | Path
) -> AsyncGenerator[Server, None]:
    """A server for as long as the block lasts; standard error goes with standard output.

    Args:
        command: what to run.
        says: what is in the line that says where it listens; else that is the first.
        environment: variables that are set for it beside those that are anyway.
    """
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(
            partial(
                trio.run_process,
                [str(word) for word in command],
                stdin=b"",
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                cwd=ROOT,
                env=_with(environment),
            )
        )
        assert process.stdout is not None
        text = b""
        with trio.fail_after(TIMEOUT):
            while not (text.endswith(b"\n") and says in text.splitlines()[-1]):
                octet = await process.stdout.receive_some(1)
                assert octet, f"{command} ended too early: {text!r}"
                text += octet
        yield Server(process, text.decode().splitlines()[-1])
        nursery.cancel_scope.cancel()


def load_example(name: str) -> Any:
    """An example as a module, for its parts."""
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def free_port() -> int:
    """A port on which nobody listens just now, for programs that cannot say which they chose."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def peer_program(name: str, package: str | None = None) -> str:
    """The path of a program of somebody else's; skips where there is none, fails in CI.

    To be called in a fixture: what an async test raises loses its reason.
    """
    path = shutil.which(name)
    if path is None:
        _skip_without(name, package or name)
    return path


def newer_program(name: str) -> str:
    """The path of a program of a newer suite of Debian; skips without it, in CI too.

    To be called in a fixture, as :func:`peer_program`.
    """
    path = shutil.which(name, path=str(NEWER_PROGRAMS))
    if path is None:
        pytest.skip(f"a newer {name} is not here: nox -s newer_peers")
    return path


def newer_openssl(*version: int) -> str:
    """The path of an ``openssl`` of at least this version; skips without it, in CI too."""
    installed = shutil.which("openssl")
    if installed is not None and openssl_version(installed) >= version:
        return installed
    path = newer_program("openssl")
    if openssl_version(path) < version:
        pytest.skip(f"{path} is older than OpenSSL {'.'.join(map(str, version))}")
    return path


@cache
def openssl_version(program: str) -> tuple[int, ...]:
    """The major and minor version of an ``openssl``."""
    output = subprocess.run([program, "version"], capture_output=True, text=True, check=True)
    return tuple(map(int, output.stdout.split()[1].split(".")[:2]))


def peer_header(name: str, package: str) -> None:
    """Skip, or in CI fail, if the C compiler does not find a header of a peer's library."""
    compiler = peer_program("cc", "gcc")
    command = [compiler, "-fsyntax-only", "-include", name, "-x", "c", os.devnull]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        _skip_without(name, package)


def _skip_without(name: str, package: str) -> NoReturn:
    how = f"{name} is not installed: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(how)
    pytest.skip(how)
