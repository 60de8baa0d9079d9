"""Count the calls, system calls and task steps of a piece of code.

Counts are the same on every machine and under every load, so a test can compare them with a limit.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import trio

import trio_tlsx

PACKAGE = str(Path(trio_tlsx.__file__).parent)
SYSTEM_CALLS = {"readv", "read", "write", "writev", "recv", "recv_into", "send"}


class Counts:
    """The cost of a piece of code, so far.

    Attributes:
        calls: the calls of functions of the package, and its calls of functions in C.
        system_calls: those of its calls that move octets.
        task_steps: how often trio ran a task.
    """

    def __init__(self) -> None:
        self.calls = self.system_calls = self.task_steps = 0

    def on_profile_event(self, frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "c_call") and frame.f_code.co_filename.startswith(PACKAGE):
            self.calls += 1
            if event == "c_call" and getattr(argument, "__name__", "") in SYSTEM_CALLS:
                self.system_calls += 1


class StepCounter(trio.abc.Instrument):
    """Counts the steps of all tasks of a run."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._counts.task_steps += 1


@contextmanager
def counting() -> Generator[Counts]:
    """Count the calls of this thread for as long as the block lasts."""
    counts = Counts()
    sys.setprofile(counts.on_profile_event)
    try:
        yield counts
    finally:
        sys.setprofile(None)


@contextmanager
def counting_steps() -> Generator[Counts]:
    """The same in a trio run, with its task steps."""
    with counting() as counts:
        counter = StepCounter(counts)
        trio.lowlevel.add_instrument(counter)
        try:
            yield counts
        finally:
            trio.lowlevel.remove_instrument(counter)
