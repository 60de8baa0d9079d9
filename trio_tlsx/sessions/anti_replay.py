"""The anti-replay cache: reject early data that was accepted before (RFC 9846 8)."""

from __future__ import annotations

import datetime
import os
from collections.abc import Awaitable
from typing import Protocol

from ..arguments import INT, Expected, check
from ..clock import EPOCH, MILLISECOND, Clock, utc_now
from ..errors import ConfigError

__all__ = ["AntiReplayCache", "MemoryAntiReplayCache"]

BUCKET = datetime.timedelta(seconds=10)


class AntiReplayCache(Protocol):
    """What tells the first of several equal ClientHellos from its replays.

    All servers that take the same tickets must ask the same one.
    """

    def claim(
        self, identifier: bytes, since: datetime.datetime, until: datetime.datetime
    ) -> Awaitable[bool] | bool:
        """Say whether nobody has claimed this ClientHello before, and note that somebody has now.

        It may be plain or async: an awaitable is awaited in the task that does the handshake, for
        a second at most. Should it raise, take longer or give anything but True, then the early
        data is rejected, and the handshake goes on without it.

        Args:
            identifier: names one ClientHello, in 32 to 64 bytes; nobody without its key can make
                another name for it.
            since: before this nobody can have claimed it. A register that was empty then, or that
                may have forgotten something since, must give False.
            until: from then on it need not be remembered: no server takes it any more whose clock
                is not 10 seconds behind.
        """
        ...


class MemoryAntiReplayCache:
    """A register for the servers of one process, in any number of threads.

    It refuses what could have been claimed before it was made, and everything in a process that
    was forked off: there it would not hear of what is claimed in the others.

    Args:
        max_entries: of how many ClientHellos it knows at the same time. One is known for 20
            seconds, or 30 if a client's clock runs fast: the default is good for 2,000 connections
            with early data in a second. When it is full, it refuses.
        clock: gives the time, with a time zone; the same as that of the configurations.

    Raises:
        ConfigError: there is no room for anything.
    """

    def __init__(
        self,
        max_entries: int = 2**16,
        *,
        clock: Clock = utc_now,
    ) -> None:
        check("max_entries", max_entries, Expected(INT, "a number of ClientHellos"))
        if max_entries < 1:
            raise ConfigError("a anti-replay cache needs room for one entry at least")
        self._max_entries = max_entries
        self._clock = clock
        self._started = clock() - MILLISECOND  # tickets know milliseconds
        self._process = os.getpid()
        # What is in the bucket n can be forgotten when n * BUCKET is over.
        self._buckets: dict[int, dict[bytes, object]] = {}
        self._forgotten = -1  # the last bucket that was, in case the clock is set back behind it

    def claim(self, identifier: bytes, since: datetime.datetime, until: datetime.datetime) -> bool:
        """Say whether this is the first claim; see :meth:`AntiReplayCache.claim`."""
        now = self._clock()
        self._forget(now)
        if since < self._started or until <= now or os.getpid() != self._process:
            return False
        if len(self) >= self._max_entries:
            return False
        # The same ClientHello always has the same end, so it is in the same bucket. Between
        # threads, setdefault decides: whose token stays was first.
        number = -((EPOCH - until) // BUCKET)
        if number <= self._forgotten:
            return False
        bucket = self._buckets.setdefault(number, {})
        token = object()
        return bucket.setdefault(identifier, token) is token

    def _forget(self, now: datetime.datetime) -> None:
        for number in tuple(self._buckets):
            if EPOCH + number * BUCKET <= now:
                self._forgotten = max(self._forgotten, number)
                self._buckets.pop(number, None)

    def __len__(self) -> int:
        return sum(map(len, tuple(self._buckets.values())))

    def __repr__(self) -> str:
        return f"<MemoryAntiReplayCache, {len(self)} of {self._max_entries} entries>"
