"""The life of a worker, from its first message to its end."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Awaitable
from contextlib import suppress
from importlib import import_module
from types import FrameType
from typing import Any, cast

import trio

from ..pki.describe import one_line
from ..pki.ech import ECHKey
from ..pki.ech_keys import ECHKeys
from ..sessions.ticket_keys import TicketKeys
from .channel import Channel, channel_to_supervisor
from .claims import SharedAntiReplayCache
from .control_messages import (
    ClaimAnswer,
    DrainRequest,
    Failed,
    ReplaceRequest,
    Start,
    Started,
    ToSupervisor,
    ToWorker,
    UseECHKeys,
    UseTicketKeys,
)
from .draining import Draining
from .listening import inherited_listeners
from .worker import Worker

__all__ = ["main"]

#: The time to send the last messages, in seconds.
LAST_MESSAGES_SECONDS = 1


class _Link:
    """A worker's link to its supervisor: handles its messages, and reports to it."""

    def __init__(self, channel: Channel[ToSupervisor, ToWorker], start: Start) -> None:
        self.channel = channel
        self.ticket_keys = TicketKeys(start.ticket_keys, lifetime=start.ticket_lifetime)
        self.ech_keys = ECHKeys([ECHKey.from_pem(pem) for pem in start.ech_keys])
        self.cache = SharedAntiReplayCache(channel.send_nowait)
        self.draining = Draining()
        self.started = False
        self._drain_timeout = start.drain_timeout

    def report(self, message: ToSupervisor) -> None:
        """Send a message; do nothing if the supervisor has ended."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            self.channel.send_nowait(message)

    def report_started(self) -> None:
        self.started = True
        self.report(Started())

    async def handle_messages(self) -> None:
        """Handle the supervisor's messages; drain when it has ended: nobody rotates the keys."""
        while (message := await self.channel.receive()) is not None:
            match message:
                case UseTicketKeys():
                    self.ticket_keys.use(message.keys)
                case UseECHKeys():
                    self.ech_keys.use([ECHKey.from_pem(pem) for pem in message.keys])
                case ClaimAnswer():
                    self.cache.answer(message.question, message.first)
                case DrainRequest():
                    self.draining.begin(message.seconds, last=message.last)
                case Start():
                    pass  # it has started
        self.cache.close()
        self.draining.begin(self._drain_timeout, last=True)

    async def request_successor(self) -> None:
        """On SIGTERM, request a successor. The supervisor then sends DrainRequest."""
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                self.report(ReplaceRequest())


def main() -> None:
    """Run the worker whose end of the channel is the descriptor in this process's arguments."""
    # A terminal sends these to all its processes; only the supervisor decides what they mean.
    signal.signal(signal.SIGINT, _ignore)
    signal.signal(signal.SIGHUP, _ignore)
    trio.run(_run_worker, int(sys.argv[1]))


def _ignore(number: int, frame: FrameType | None) -> None:
    """Ignore a signal. Unlike SIG_IGN, this does not apply to the programs that a worker runs."""


async def _run_worker(descriptor: int) -> None:
    os.set_inheritable(descriptor, False)
    channel = channel_to_supervisor(socket.socket(fileno=descriptor))
    start = await channel.receive()
    if not isinstance(start, Start):
        return  # the supervisor has ended already
    link = _Link(channel, start)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.handle_messages)
        nursery.start_soon(link.request_successor)
        all_sent = trio.Event()

        async def send() -> None:
            await channel.run_sending()
            all_sent.set()

        nursery.start_soon(send)
        try:
            await _call_function(start, link)
        except Exception as error:
            # Any exception of the application ends the worker; the supervisor logs it.
            link.report(Failed(_describe(error)))
            raise
        finally:
            channel.finish_sending()
            with trio.move_on_after(LAST_MESSAGES_SECONDS, shield=True):
                await all_sent.wait()
            nursery.cancel_scope.cancel()


async def _call_function(start: Start, link: _Link) -> None:
    function = _load(start.function)
    worker = Worker(
        start.number,
        inherited_listeners(start.listeners),
        link.ticket_keys,
        link.ech_keys,
        link.cache,
        link.draining,
        link.report_started,
    )
    with link.draining.scope:
        result = function(worker, *start.arguments)
        if not isinstance(result, Awaitable):
            raise TypeError(
                f"{start.function} returned a {type(result).__name__}: pass an async function"
            )
        await result
    if not link.started and not link.draining.begun:
        raise RuntimeError(
            f"{start.function} returned without a call of worker.started() or worker.serve()"
        )


def _describe(error: BaseException) -> str:
    """Return one line about an exception; of a group, about its first one."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        error = group.exceptions[0]
    return one_line(f"{type(error).__name__}: {error}")


def _load(name: str) -> Any:
    module, _, attributes = name.partition(":")
    value: Any = import_module(module)
    for attribute in attributes.split("."):
        value = getattr(value, attribute)
    return value
