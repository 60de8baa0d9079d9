"""Measure the start: imports, and the first handshake of a new process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

from .contenders import PLACES, Contender
from .measurement import Bench, progress
from .pairs import ROOT, ContenderFailed
from .settings import Setting

OURS = "import trio_tlsx as t; t.TLSStream, t.ClientConfig, t.ServerConfig, t.Credentials"

#: What a program runs to be able to use TLS. trio and ssl are imported before.
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


def run_python(*arguments: str, environment: dict[str, str] | None = None) -> tuple[str, str]:
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
    """The same as Python's own report has it, which slows imports down."""
    _, report = run_python("-X", "importtime", "-c", f"import trio; {OURS}")
    ours = report.partition("| trio\n")[2]  # each line comes after those of what it imports
    us = sum(map(int, re.findall(r"^import time: +(\d+) \|", ours, re.MULTILINE)))
    bench.results.find_or_add(
        "startup", "import beyond trio and ssl, -X importtime", "", "trio_tlsx", "ms", ""
    ).add({"ms": us / 1e3})


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
