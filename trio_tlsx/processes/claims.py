"""The anti-replay cache of a worker, which asks the supervisor's one cache for all workers."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable

import trio

from .control_messages import Claim

__all__ = ["SharedAntiReplayCache"]

#: The time for an answer, in seconds. The handshake waits for it, so it is short.
CLAIM_SECONDS = 0.5

#: The most claims of one worker that wait for answers at the same time.
MAX_OPEN_CLAIMS = 512


class _Answer:
    """The answer to one claim; False until there is one."""

    def __init__(self) -> None:
        self.arrived = trio.Event()
        self.first = False


class SharedAntiReplayCache:
    """An :class:`AntiReplayCache` that several processes share (RFC 9846 8.2).

    Of all claims of one identifier in all processes, one returns True. If the supervisor does not
    answer within half a second, or cannot be asked, the claim returns False.

    Args:
        ask: sends a claim to the supervisor, without waiting. It raises trio.WouldBlock or
            trio.BrokenResourceError if it cannot.
    """

    def __init__(self, ask: Callable[[Claim], None]) -> None:
        self._ask = ask
        self._numbers = itertools.count()
        self._open: dict[int, _Answer] = {}
        self._closed = False

    async def claim(
        self, identifier: bytes, since: datetime.datetime, until: datetime.datetime
    ) -> bool:
        """Return whether this is the first claim; see :meth:`AntiReplayCache.claim`.

        If cancelled, the identifier may be claimed already.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed or len(self._open) >= MAX_OPEN_CLAIMS:
            return False
        number = next(self._numbers) % 2**32
        answer = self._open[number] = _Answer()
        try:
            self._ask(Claim(number, identifier, since, until))
            with trio.move_on_after(CLAIM_SECONDS):
                await answer.arrived.wait()
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        finally:
            del self._open[number]
        return answer.first

    def answer(self, number: int, first: bool) -> None:
        """Store the supervisor's answer; ignore an answer that came too late."""
        if (answer := self._open.get(number)) is not None:
            answer.first = first
            answer.arrived.set()

    def close(self) -> None:
        """Reject all claims from now on, since the supervisor has ended."""
        self._closed = True
        for answer in self._open.values():
            answer.arrived.set()

    def __repr__(self) -> str:
        return f"<SharedAntiReplayCache, {len(self._open)} open claims>"
