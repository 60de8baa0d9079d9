"""Removes each security check from a copy of the package, and shows that a test fails without it.

``nox -s checks`` runs this module. Arguments are names of checks; without any, all checks are
removed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from removal import Removal
from removals import REMOVALS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "trio_tlsx"
TIMEOUT = 120  # seconds; one that hangs was not caught either

TESTS_PASSED, TESTS_FAILED = 0, 1  # pytest's own exit codes; the others say that it did not run


def python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the copy of the package before any other, the current directory included."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def run_tests(copy: Path, tests: Iterable[str], matching: str) -> int:
    options = ["-q", "-x", "-p", "no:cacheprovider"]
    if matching:
        options.append(f"-k{matching}")  # in one piece, as it may begin with a dash
    return python(copy, "-m", "pytest", *options, *tests).returncode


def fault_of(copy: Path, removal: Removal) -> str | None:
    """What is wrong with how this check is tested; None if its removal is noticed."""
    module = copy / PACKAGE / removal.module
    original = module.read_text()
    if original.count(removal.source) != 1:
        return f"its source stands {original.count(removal.source)} times in {removal.module}"
    if run_tests(copy, [removal.tests], removal.matching) != TESTS_PASSED:
        return "its tests do not pass as it is"
    module.write_text(original.replace(removal.source, removal.without))
    try:
        code = run_tests(copy, [removal.tests], removal.matching)
    except subprocess.TimeoutExpired:
        return "its tests do not end without it"
    finally:
        module.write_text(original)
    if code == TESTS_PASSED:
        return "no test fails without it"
    return None if code == TESTS_FAILED else f"pytest ended with {code}"


def main(names: list[str]) -> int:
    faults = 0
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / PACKAGE, copy / PACKAGE, ignore=ignored)
        found = python(copy, "-c", f"import {PACKAGE}; print({PACKAGE}.__file__)").stdout
        if not found.startswith(str(copy)):
            raise RuntimeError(f"the tests would not see the copy, but {found}")
        for removal in REMOVALS:
            if names and removal.check not in names:
                continue
            fault = fault_of(copy, removal)
            faults += fault is not None
            print(f"{'caught' if fault is None else 'FAULT '}  {removal.check}", end="")
            print("" if fault is None else f": {fault}", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
