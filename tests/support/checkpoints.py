"""Calls that are cancelled at each of their checkpoints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from tls_pairs import Cutter

MAX_CHECKPOINTS = 200


SECONDS = 5  # for one attempt, after which it hangs


class Cut:
    """Calls a method and cancels it after so many yields."""

    def __init__(self, yields: int) -> None:
        self._yields = yields
        self.reached = False  # the checkpoint
        self.caught = False  # the cancellation, which not every yield lets through

    async def __call__(self, method: Callable[[], Awaitable[object]]) -> None:
        with trio.CancelScope() as scope:
            cutter = Cutter(scope, self._yields)
            trio.lowlevel.add_instrument(cutter)
            try:
                await method()
            finally:
                trio.lowlevel.remove_instrument(cutter)
        self.reached = scope.cancel_called
        self.caught = scope.cancelled_caught


async def cut_everywhere(attempt: Callable[[Cut], Awaitable[None]]) -> None:
    caught = 0
    for yields in range(MAX_CHECKPOINTS):
        cut = Cut(yields)
        with trio.fail_after(SECONDS):
            await attempt(cut)
        caught += cut.caught
        if not cut.reached:
            assert caught
            return
    raise AssertionError("it does not come to an end")


async def goes_on(method: Callable[[], Awaitable[object]]) -> bool:
    """Whether it can be called after a cancellation; where not, it is to say why."""
    try:
        await method()
    except trio.BrokenResourceError as error:
        if "cancelled half way" not in str(error):
            raise
        return False
    return True
