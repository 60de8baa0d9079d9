"""The command ``trio-tlsx``, which needs the extra ``cli``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command with the process's arguments and end the process with its status."""
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
