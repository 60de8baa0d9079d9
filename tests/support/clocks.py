"""A clock for configurations that only the test moves."""

from __future__ import annotations

import datetime


class ManualClock:
    """A clock that stands still until the test moves it.

    Args:
        now: the time at first; the present one, in whole seconds, if it is not given.
    """

    def __init__(self, now: datetime.datetime | None = None) -> None:
        self.now = now or datetime.datetime.now(datetime.UTC).replace(microsecond=0)

    def __call__(self) -> datetime.datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)
