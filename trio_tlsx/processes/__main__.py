"""Run a worker: ``python -m trio_tlsx.processes DESCRIPTOR``. Only the supervisor starts it so."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import trio

from .worker_main import run_worker


def main() -> None:
    """Run a worker over the descriptor in the arguments."""
    # A terminal sends these to all its processes; only the supervisor decides what they mean.
    signal.signal(signal.SIGINT, _ignore)
    signal.signal(signal.SIGHUP, _ignore)
    trio.run(run_worker, int(sys.argv[1]))


def _ignore(number: int, frame: FrameType | None) -> None:
    """Ignore a signal. Unlike SIG_IGN, this does not apply to the programs that a worker runs."""


if __name__ == "__main__":
    main()
