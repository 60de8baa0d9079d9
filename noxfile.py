"""How this project is run, tested, checked and documented: ``nox -s demo tests lint docs``.

While one works, ``nox -s quick -p 3.13`` is enough.
"""

from __future__ import annotations

import glob
import shutil
import sys

import nox

nox.needs_version = ">=2025.2"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "lint", "docs"]

# Those of them that are installed; and whichever nox itself runs on, so that one always is.
PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
if (nox_runs_on := "{}.{}".format(*sys.version_info)) not in PYTHONS:
    PYTHONS.append(nox_runs_on)

# The core of the suite: our own code, in less than a minute on two cores. Other programs, long
# tables and long tests are in the whole suite only.
QUICK = [
    "tests/messages",
    "tests/crypto",
    "tests/record",
    "tests/pki",
    "tests/sessions",
    "tests/config",
    "tests/handshake",
    "tests/engine",
    "tests/io",
    "tests/trio_ssl",
    "--ignore=tests/io/test_many_peers.py",
    "--ignore=tests/record/test_alterations_and_truncations.py",
]

# The tests of processes and of servers with Redis. The faults of Redis take the longest time,
# mostly waiting, so they come first.
FLEET = [
    "tests/fleet/test_redis_faults.py",
    "tests/fleet",
    "tests/processes",
    "tests/cli/test_cli_processes.py",
    "tests/docs/test_several_processes_example.py",
    "tests/docs/test_runbook.py",
    *glob.glob("tests/contrib/test_redis_*.py"),
]

# A process for each core, up to four. "-n0" among a session's own arguments is for a debugger.
PROCESSES = ["-n", "auto", "--maxprocesses", "4", "--dist", "worksteal"]


@nox.session
def demo(session: nox.Session) -> None:
    """Draw a handshake, echo, cancel, measure: everything in one process."""
    session.install("-q", ".[cli]")
    session.run("trio-tlsx", "demo", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the test suite; arguments after ``--`` go to pytest."""
    session.install("-q", ".[test,peers]")
    session.run("pytest", *PROCESSES, *session.posargs)


@nox.session(python=PYTHONS)
def quick(session: nox.Session) -> None:
    """Run the core of the test suite, likewise."""
    session.install("-q", ".[test]")
    session.run("pytest", *PROCESSES, *QUICK, *session.posargs, env={"TRIO_TLSX_STORM": "200"})


@nox.session(venv_backend="none")
def newer_peers(session: nox.Session) -> None:
    """Unpack the peers that only newer suites of Debian have; nothing is installed."""
    session.run(".ci/newer-peers", ".nox/peers", external=True)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure branch coverage of the test suite; it must not fall below the limit."""
    session.install("-q", ".[test,peers]")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *PROCESSES, *session.posargs)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed and memory beside every rival, on the Python that runs nox."""
    session.install("-q", ".")
    extras = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]
    for package in extras["bench"]:  # the report names those that this Python cannot install
        session.run_install("python", "-m", "pip", "install", "-q", package, success_codes=[0, 1])
    session.run("python", "-m", "tests.benchmarks", *session.posargs)


@nox.session
def fleet(session: nox.Session) -> None:
    """Run several servers with Redis behind haproxy, and let Redis fail in every way."""
    session.install("-q", ".[test]")
    missing = [package for package in ("redis-server", "haproxy") if not shutil.which(package)]
    if missing:
        apt_get = [*(["sudo"] if shutil.which("sudo") else []), "apt-get"]
        session.run(*apt_get, "update", "-q", external=True)
        options = ["install", "-q", "-y", "--no-install-recommends"]
        session.run(*apt_get, *options, *missing, external=True)
    session.run("pytest", *PROCESSES, *FLEET, *session.posargs, env={"CI": "true"})


@nox.session
def checks(session: nox.Session) -> None:
    """Take each security check out, and see that a test fails without it."""
    session.install("-q", ".[test]")
    session.run("python", "tests/checks/remove_checks.py", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and types."""
    session.install("-q", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("pyright")
    # What users see is typed whole.
    session.run("pyright", "--ignoreexternal", "--verifytypes", "trio_tlsx")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.install("-q", ".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", "docs/_build/html")
