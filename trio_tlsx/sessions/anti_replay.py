"""The anti-replay cache: reject early data that was accepted before (RFC 9846 8)."""

from __future__ import annotations

import datetime
import os
from collections.abc import Awaitable
from typing import Protocol

from ..arguments import CLOCK, INT, Expected, check
from ..clock import EPOCH, MILLISECOND, Clock, utc_now
from ..errors import ConfigError

__all__ = ["AntiReplayCache", "MemoryAntiReplayCache"]

BUCKET = datetime.timedelta(seconds=10)


class AntiReplayCache(Protocol):
    """Remember the ClientHellos with accepted early data, and reject their replays.

    All servers that accept the same tickets must share one cache.
    """

    def claim(
        self, identifier: bytes, since: datetime.datetime, until: datetime.datetime
    ) -> Awaitable[bool] | bool:
        """Claim a ClientHello: return True only for the first claim of this identifier.

        The method may be plain or async. The task that does the handshake awaits an awaitable for
        at most one second; cancelling that task cancels it. If the method raises, takes longer or
        returns anything but True, the server rejects the early data and continues the handshake
        without it.

        Args:
            identifier: identifies one ClientHello, 32 to 64 bytes. Nobody can compute a second
                identifier for the same ClientHello without the PSK.
            since: no server can have claimed the identifier before this time. A cache that was
                empty at this time, or that may have lost an entry since, must return False.
            until: the cache may forget the identifier from this time on. By then every server
                rejects the ClientHello, unless its clock is more than 10 seconds behind.
        """
        ...


class MemoryAntiReplayCache:
    """Store claims in memory, for the servers of one process, in any number of threads.

    The cache rejects every ClientHello that another cache could have accepted before this one was
    created. In a forked process it rejects all of them, because it cannot see the claims of the
    other processes.

    Args:
        max_entries: the most ClientHellos to remember at the same time. Each is remembered for 20
            seconds, or for 30 if the client's clock runs fast. The default is enough for 2,000
            connections with early data per second. A full cache rejects further early data.
        clock: returns the time, with a time zone; pass the clock of the configurations.

    Raises:
        ConfigError: an argument has the wrong type, or ``max_entries`` is below 1.
    """

    def __init__(
        self,
        max_entries: int = 2**16,
        *,
        clock: Clock = utc_now,
    ) -> None:
        check("max_entries", max_entries, Expected(INT, "a number of ClientHellos"))
        check("clock", clock, CLOCK)
        if max_entries < 1:
            raise ConfigError(f"max_entries is {max_entries}; pass at least 1")
        self._max_entries = max_entries
        self._clock = clock
        self._started = clock() - MILLISECOND  # tickets store their times in milliseconds
        self._process = os.getpid()
        # The entries of bucket n can be forgotten at the time n * BUCKET.
        self._buckets: dict[int, dict[bytes, object]] = {}
        # The last forgotten bucket; the clock may be set back to before its time.
        self._forgotten = -1

    def claim(self, identifier: bytes, since: datetime.datetime, until: datetime.datetime) -> bool:
        """Return whether this is the first claim; see :meth:`AntiReplayCache.claim`."""
        now = self._clock()
        self._forget(now)
        if since < self._started or until <= now or os.getpid() != self._process:
            return False
        if len(self) >= self._max_entries:
            return False
        # The same ClientHello always has the same end, so it is in the same bucket. Between
        # threads, setdefault decides: the claim whose token is stored was the first.
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
