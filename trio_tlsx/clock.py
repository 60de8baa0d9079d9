"""The clock, and the epoch and unit of stored times: milliseconds since 1970."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["EPOCH", "MILLISECOND", "Clock", "utc_now"]

#: Returns the time, with a time zone.
Clock: TypeAlias = Callable[[], datetime.datetime]

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MILLISECOND = datetime.timedelta(milliseconds=1)


def utc_now() -> datetime.datetime:
    """Return the time of this machine's clock, in UTC."""
    return datetime.datetime.now(datetime.UTC)
