"""How this project is run, tested, checked and documented: ``nox -s demo tests lint docs``."""

from __future__ import annotations

import sys

import nox

nox.needs_version = ">=2025.2"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "lint", "docs"]

# Those of the three that are installed; and whichever nox itself runs on, so that one always is.
PYTHONS = list(dict.fromkeys(["3.11", "3.12", "3.13", "{}.{}".format(*sys.version_info)]))


@nox.session
def demo(session: nox.Session) -> None:
    """Draw a handshake, echo, cancel, measure: everything in one process."""
    session.install("-q", ".[cli]")
    session.run("trio-tlsx", "demo", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the test suite; arguments after ``--`` go to pytest."""
    session.install("-q", ".[test]")
    session.run("pytest", *session.posargs)


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


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.install("-q", ".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", "docs/_build/html")
