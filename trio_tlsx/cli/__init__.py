"""The command ``trio-tlsx``; it needs the extra ``cli``."""

from __future__ import annotations

import contextlib
import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command with the process's arguments, and exit with its status."""
    _fill_standard_descriptors()
    try:
        from .commands import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich"):
            raise
        sys.exit(
            f"trio-tlsx: the command line needs {error.name}, which is not installed: "
            "pip install 'trio-tlsx[cli]'"
        )
    sys.exit(run())


def _fill_standard_descriptors() -> None:
    # If a standard descriptor is closed, the next socket gets its number, and output that is meant
    # for standard output goes into the socket.
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            continue
        os.open(os.devnull, os.O_RDWR)
