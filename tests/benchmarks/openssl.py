"""Measure the limit of handshakes with the programs `openssl s_time` and `openssl s_server`."""

from __future__ import annotations

import resource
import shutil
import socket
import subprocess
import time

from .measurement import Bench, progress
from .pairs import ContenderFailed, cpu_seconds
from .settings import HOST, PKI, Setting

NAME = "openssl s_time"
PAGE = "page"  #: the file that s_server sends in place of an echo
PAGE_BYTES = 100
GRACE_SECONDS = 20
NEW, REUSED = b"*", b"r"  #: what s_time prints for a handshake


def s_time(bench: Bench, part: str, case: str, setting: Setting) -> None:
    """Count the handshakes of a second or two in each round."""
    if not shutil.which("openssl"):
        bench.results.missing[NAME] = "there is no program openssl"
        return
    (bench.pki.directory / PAGE).write_bytes(bytes(PAGE_BYTES))
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    server = start_server(bench.pki, setting, port)
    try:
        wait_for(server)
        for number in range(bench.results.rounds):
            progress(f"{part}: {NAME}, round {number + 1} of {bench.results.rounds}")
            figures = run_client(bench, setting, port, server.pid)
            bench.results.find_or_add(part, case, "X25519", NAME, "us", "handshake").add(figures)
    except (ContenderFailed, subprocess.TimeoutExpired) as error:
        bench.fail(NAME, part, error)
    finally:
        server.kill()
        server.communicate()


def start_server(pki: PKI, setting: Setting, port: int) -> subprocess.Popen[bytes]:
    chain, key = pki.chain(setting), pki.key(setting)
    return subprocess.Popen(
        [
            *("openssl", "s_server", "-accept", f"{HOST}:{port}", "-WWW"),
            *("-cert", chain, "-cert_chain", chain, "-key", key),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=pki.directory,
        env=pki.environment(setting),
    )


def wait_for(server: subprocess.Popen[bytes]) -> None:
    """Wait for the line that s_server prints when it listens; afterwards it prints nothing."""
    if not any(line.startswith(b"ACCEPT") for line in server.stdout or ()):
        raise ContenderFailed("openssl s_server does not listen")


def run_client(bench: Bench, setting: Setting, port: int, server: int) -> dict[str, float]:
    kind, mark = ("-reuse", REUSED) if setting.tickets else ("-new", NEW)
    server_before, client_before = cpu_seconds(server), children_seconds()
    start = time.perf_counter()
    done = subprocess.run(
        [
            *("openssl", "s_time", "-connect", f"{HOST}:{port}", kind, "-www", f"/{PAGE}"),
            *("-time", str(bench.sizes.s_time_seconds), "-CAfile", bench.pki.ca(setting)),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=bench.pki.environment(setting),
        timeout=bench.sizes.s_time_seconds + GRACE_SECONDS,
    )
    seconds = time.perf_counter() - start
    marks = max(done.stdout.split(), key=len, default=b"")
    if not marks or marks.strip(mark):
        raise ContenderFailed(f"the handshakes were not all {kind}: {done.stderr[-200:]!r}")
    return {
        "us": seconds / len(marks) * 1e6,
        "client CPU us": (children_seconds() - client_before) / len(marks) * 1e6,
        "server CPU us": (cpu_seconds(server) - server_before) / len(marks) * 1e6,
    }


def children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
