"""Measure the start: imports, and the first handshake of a new process."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from contextlib import suppress

from .contenders import PLACES, Contender
from .measurement import Bench, progress
from .pairs import ROOT, ContenderFailed
from .settings import Setting

OURS = "import trio_tlsx as t; t.TLSStream, t.ClientConfig, t.ServerConfig, t.Credentials"

#: The imports that a program needs to use TLS. trio and ssl are imported before.
STATEMENTS = {
    "trio_tlsx": OURS,
    "asyncio": "import asyncio",
    "uvloop": "import uvloop",
    "aiofastnet": "import aiofastnet",
    "anyio on trio": "import anyio, anyio.streams.tls, anyio._backends._trio",
    "pyOpenSSL": "import OpenSSL.SSL",
    "tlslite-ng": "import tlslite.api",
    "siotls": "import siotls.connection",
    "cryptography.x509 alone": "import cryptography.x509",
}
IMPORT = """
import json, sys, time
import trio, ssl
modules, start = len(sys.modules), time.process_time()
{statement}
ms = (time.process_time() - start) * 1e3
print(json.dumps({{"CPU ms": ms, "modules": len(sys.modules) - modules}}))
"""
SECONDS = 60


def startup(bench: Bench) -> None:
    """Import in fresh processes; connect once in fresh processes."""
    for statement in STATEMENTS.values():
        with suppress(ContenderFailed):
            run_python("-c", IMPORT.format(statement=statement))  # compiles the modules
    for number in range(bench.results.rounds):
        progress(f"startup: imports, round {number + 1}")
        for name, statement in STATEMENTS.items():
            if name in bench.sizes.contenders or name not in PLACES:
                imports(bench, name, statement)
        import_time(bench)
    setting = Setting()
    pairs = bench.start(
        (name, setting) for name, contender in bench.contenders.items() if contender.slowness == 1
    )
    try:
        for number in range(bench.results.rounds):
            progress(f"startup: first handshakes, round {number + 1}")
            for pair in pairs.values():
                first_handshake(bench, pair.contender, pair.port, setting)
    finally:
        for pair in pairs.values():
            pair.end()


@functools.cache
def bytecode_cache() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for bytecode; Python removes it at its exit."""
    return tempfile.TemporaryDirectory()


def run_python(*arguments: str, environment: dict[str, str] | None = None) -> tuple[str, str]:
    """Run a new process of this Python; return its output and its errors.

    It loads cached bytecode, as it does where pip has installed the modules, even if this process
    writes none.
    """
    environment = {**(environment or os.environ), "PYTHONPYCACHEPREFIX": bytecode_cache().name}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=SECONDS,
    )
    if done.returncode:
        raise ContenderFailed(done.stderr.strip().splitlines()[-1])
    return done.stdout, done.stderr


def imports(bench: Bench, name: str, statement: str) -> None:
    if name in bench.results.missing:
        return
    try:
        output, _ = run_python("-c", IMPORT.format(statement=statement))
    except ContenderFailed as error:
        bench.results.missing.setdefault(name, str(error))
        return
    bench.results.find_or_add("startup", "import beyond trio and ssl", "", name, "CPU ms", "").add(
        json.loads(output)
    )


def import_time(bench: Bench) -> None:
    """Sum up Python's own report of our imports; the report itself slows them down."""
    us = sum(import_report().values())
    bench.results.find_or_add(
        "startup", "import beyond trio and ssl, -X importtime", "", "trio_tlsx", "ms", ""
    ).add({"ms": us / 1e3})


def import_report() -> dict[str, int]:
    """Return the modules that a program imports beyond trio, with the microseconds of each."""
    _, report = run_python("-X", "importtime", "-c", f"import trio; {OURS}")
    ours = report.partition("| trio\n")[2]  # each line comes after those of what it imports
    lines = re.findall(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", ours, re.MULTILINE)
    return {module: int(us) for us, module in lines}


def first_handshake(bench: Bench, contender: type[Contender], port: int, setting: Setting) -> None:
    arguments = [contender.name, str(bench.pki.directory), setting.to_json(), str(port)]
    environment = {**os.environ, **bench.pki.environment(setting)}
    try:
        output, _ = run_python("-m", "tests.benchmarks.first", *arguments, environment=environment)
    except ContenderFailed as error:
        bench.fail(contender.name, "startup, first handshake", error)
        return
    bench.results.find_or_add(
        "startup", "first connection of a process", "", contender.name, "ms", ""
    ).add(json.loads(output))
