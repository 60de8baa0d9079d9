"""All parts of the benchmarks run, with tiny amounts. No test checks a duration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT

SECONDS = 600  #: it takes about ten on a quiet machine

PARTS = {
    "bulk",
    "ping-pong",
    "full handshake",
    "resumed handshake",
    "in memory",
    "memory",
    "requests",
    "startup",
    "primitives",
    "counts",
    "versions",
    "several processes",
    "hooks",
}
CASES_OF_TLS12 = {
    ("bulk", "writes of 64 KiB, TLS 1.2"),
    ("full handshake", "ECDSA certificate, TLS 1.2"),
    ("in memory", "full, TLS 1.2"),
    ("counts", "64 KiB, TLS 1.2"),
    ("versions", "full handshake in memory"),
    ("versions", "writes of 64 KiB"),
}
CONTENDERS = {"trio_tlsx", "trio.SSLStream", "asyncio", "blocking ssl", "raw trio TCP"}


def test_the_documentation_has_the_committed_figures() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.page", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr


def test_each_part_of_the_profile_runs() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.profile", "--smoke", "--rows", "50"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("details") == 9
    assert "X25519PrivateKey.exchange" in done.stdout


@pytest.mark.timeout(SECONDS + 10)
def test_smoke_run_measures_every_part(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    command = [sys.executable, "-m", "tests.benchmarks", "--smoke", "--json", path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    results = json.loads(path.read_text())
    assert results["failures"] == []
    figures = results["figures"]
    assert {figure["part"] for figure in figures} == PARTS
    assert {figure["contender"] for figure in figures} >= CONTENDERS
    for figure in figures:
        for values in figure["values"].values():
            assert values
            assert all(isinstance(value, int | float) for value in values)
    assert {(figure["part"], figure["case"]) for figure in figures} >= CASES_OF_TLS12
    for row in results["on_the_wire"]:
        seen = row["seen"]
        assert seen["suite"] == row["suite"]
        assert seen["resumed"] == (row["tickets"] > 0)
        assert row["groups"] == "default" or seen["group"] == "x25519"
    assert "bulk: writes of 64 KiB, MB/s" in done.stdout
    assert results["environment"]["profile-guided"] in (True, False)
