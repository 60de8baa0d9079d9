"""The workers of a supervisor: their starts, restarts, replacements and ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import trio

from .back_off import BackOff
from .control_messages import Claim, Start, ToWorker
from .process import WorkerProcess, start_process

__all__ = ["WorkerError", "WorkerPool"]

_log = logging.getLogger("trio_tlsx")


class WorkerError(RuntimeError):
    """A worker could not start. The message has the number of the worker and the reason."""


class _Slot:
    """The place of one worker, which its successors take over."""

    def __init__(self, number: int, listeners: Sequence[int]) -> None:
        self.number = number
        self.listeners = listeners
        self.back_off = BackOff()
        self.lock = trio.Lock()  # one successor at a time
        self.current: WorkerProcess | None = None


class WorkerPool:
    """Keeps one worker running for each slot.

    Args:
        function: the name of the function that the workers call.
        listeners: the listening descriptors of each slot.
        make_start: returns the first message for the worker of a slot.
        claim: answers the claims of workers.
        start_timeout: the time for a worker to start, in seconds.
        drain_timeout: the time for a worker to drain when it is replaced, in seconds.
    """

    def __init__(
        self,
        function: str,
        listeners: Sequence[Sequence[int]],
        make_start: Callable[[int, Sequence[int]], Start],
        claim: Callable[[Claim], bool],
        *,
        start_timeout: float,
        drain_timeout: float,
    ) -> None:
        self._function = function
        self._slots = [_Slot(number, each) for number, each in enumerate(listeners)]
        self._make_start = make_start
        self._claim = claim
        self._start_timeout = start_timeout
        self._drain_timeout = drain_timeout
        self._stop_seconds = drain_timeout
        self._processes: set[WorkerProcess] = set()
        self._nursery: trio.Nursery  # of run()
        self._failure: WorkerError | None = None
        self._stopping = trio.Event()
        self._all_started = trio.Event()

    @property
    def pids(self) -> tuple[int | None, ...]:
        """The process of the worker of each slot; None while it has none."""
        return tuple(None if slot.current is None else slot.current.pid for slot in self._slots)

    async def run(self) -> None:
        """Run the workers until :meth:`stop`, and until all of them have ended.

        Raises:
            WorkerError: one of the first workers could not start; the others were stopped.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            async with trio.open_nursery() as starting:
                for slot in self._slots:
                    starting.start_soon(self._start_initial, slot)
            self._all_started.set()
            await self._stopping.wait()
        if self._failure is not None:
            raise self._failure

    async def wait_all_started(self) -> None:
        """Wait until the first workers have started. If one cannot start, :meth:`run` raises."""
        await self._all_started.wait()

    def stop(self, seconds: float) -> None:
        """Drain all workers within this time. A second call can only shorten the time."""
        self._stop_seconds = min(self._stop_seconds, seconds) if self.stopping else seconds
        self._stopping.set()
        for process in self._processes:
            process.drain(self._stop_seconds, last=True)

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopping.is_set()

    def send(self, message: ToWorker) -> None:
        """Send a message to each worker, including those that drain."""
        for process in self._processes:
            process.send(message)

    async def replace_all(self) -> None:
        """Replace one worker after the other, each when its successor has started.

        If cancelled, some workers are replaced and the others are not.

        Raises:
            WorkerError: a successor could not start. Its predecessor and the rest continue.
        """
        for slot in self._slots:
            if not self.stopping:
                await self._start(slot, slot.current)

    async def _start_initial(self, slot: _Slot) -> None:
        try:
            await self._start(slot, None)
        except WorkerError as error:
            if not self.stopping:
                self._failure = error
                self.stop(0)

    async def _start(self, slot: _Slot, predecessor: WorkerProcess | None) -> None:
        """Start a worker, and drain its predecessor when the worker has started.

        Do nothing if another task has already replaced the predecessor.
        """
        async with slot.lock:
            if slot.current is not predecessor or self.stopping:
                return
            process = await self._launch(slot)
            try:
                started = await process.wait_started()
            except BaseException:
                process.drain(0, last=False)
                raise
            if not started:
                raise WorkerError(f"worker {slot.number} could not start: it {process.end_reason}")
            slot.current = process
            _log.info("worker %d started, pid %d", slot.number, process.pid)
        if predecessor is not None:
            predecessor.drain(self._drain_timeout, last=False)

    async def _launch(self, slot: _Slot) -> WorkerProcess:
        try:
            process = await start_process(
                slot.number, self._function, slot.listeners, self._start_timeout
            )
        except OSError as error:
            raise WorkerError(f"worker {slot.number} could not start: {error}") from error
        self._processes.add(process)  # from now on it gets every change of the keys
        process.send(self._make_start(slot.number, slot.listeners))
        if self.stopping:
            process.drain(self._stop_seconds, last=True)
        self._nursery.start_soon(self._run_process, slot, process)
        return process

    async def _run_process(self, slot: _Slot, process: WorkerProcess) -> None:
        try:
            await process.run(self._claim, partial(self._handle_replace_request, slot))
        finally:
            self._processes.discard(process)
        if slot.current is process:
            slot.current = None
            if not self.stopping:
                _log.warning("worker %d, pid %d, %s", slot.number, process.pid, process.end_reason)
                self._nursery.start_soon(self._restart, slot, process.uptime)

    async def _restart(self, slot: _Slot, uptime: float) -> None:
        """Start a worker again after a wait that grows with each failure."""
        while True:
            delay = slot.back_off.delay_after(uptime)
            with trio.move_on_after(delay):
                await self._stopping.wait()
            try:
                return await self._start(slot, None)
            except WorkerError as error:
                _log.warning("%s", error)
                uptime = 0

    def _handle_replace_request(self, slot: _Slot, process: WorkerProcess) -> None:
        """Replace the worker that requests it, unless another has replaced it already."""
        if slot.current is process:
            self._nursery.start_soon(self._replace, slot, process)

    async def _replace(self, slot: _Slot, process: WorkerProcess) -> None:
        try:
            await self._start(slot, process)
        except WorkerError as error:
            _log.warning("%s", error)
            process.drain(self._drain_timeout, last=False)
