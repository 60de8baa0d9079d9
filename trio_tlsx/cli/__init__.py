"""The command ``trio-tlsx``, which needs the extra ``cli``."""

from __future__ import annotations

import contextlib
import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command with the process's arguments and end the process with its status."""
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
    # One that we were started without would go to the next socket, and what is meant for
    # standard output into it.
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            continue
        os.open(os.devnull, os.O_RDWR)
