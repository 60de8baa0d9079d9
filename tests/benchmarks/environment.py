"""Describe the environment of a run: the machine, the build of Python, and all versions."""

from __future__ import annotations

import os
import platform
import ssl
import subprocess
import sys
import sysconfig
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cryptography.hazmat.backends.openssl import backend

import trio_tlsx

from .pairs import ROOT

PACKAGES = (
    "trio",
    "cryptography",
    "uvloop",
    "aiofastnet",
    "anyio",
    "pyopenssl",
    "tlslite-ng",
    "siotls",
)


def describe(command: str) -> dict[str, Any]:
    return {
        "command": command,
        "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": commit(),
        "trio_tlsx": trio_tlsx.__version__,
        "python": platform.python_version(),
        "compiler": platform.python_compiler(),
        "profile-guided": profile_guided(),
        "ssl": ssl.OPENSSL_VERSION,
        "cryptography's OpenSSL": backend.openssl_version_text(),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": operating_system(),
        "load before": load(),
        "packages": versions(),
    }


def profile_guided() -> bool:
    """Return whether this Python was built with profile-guided optimization (PGO).

    CPython's own switch is --enable-optimizations. Debian runs the profiling itself instead, and
    clears the flag that uses the profile before it installs; other builds without PGO keep it.
    """
    if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        return True
    flags = (sysconfig.get_config_var(f"PGO_PROF_{kind}_FLAG") for kind in ("GEN", "USE"))
    return tuple(map(bool, flags)) == (True, False)


def load() -> float:
    """Return the average number of processes that ran in the last minute."""
    return round(os.getloadavg()[0], 2)


def versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def operating_system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return sys.platform


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout.strip()
