"""The process of one worker, from its start to its end, in the supervisor."""

from __future__ import annotations

import math
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence

import trio

from ..errors import ProtocolError
from ..pki.describe import in_seconds
from .channel import channel_to_worker
from .control_messages import (
    Claim,
    ClaimAnswer,
    DrainRequest,
    Failed,
    ReplaceRequest,
    Started,
    ToWorker,
)

__all__ = ["WorkerProcess", "start_process"]

#: The time between the end of a worker's function and that of its process, in seconds. It is
#: longer than a connection may take to close.
STOP_SECONDS = 5

#: The time to read the last messages of a worker that has ended, in seconds.
LAST_REPORTS_SECONDS = 1


async def start_process(
    number: int, function: str, listeners: Sequence[int], start_timeout: float
) -> WorkerProcess:
    """Start a new process of Python, which waits for its :class:`Start`.

    Args:
        number: the number of the worker.
        function: the function that the worker will call. It is an argument of the process only so
            that a list of processes shows it.
        listeners: the descriptors that the worker inherits beside its end of the channel.
        start_timeout: the time for the worker to report that it has started, in seconds.

    Raises:
        OSError: the system cannot start a process.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            end = theirs.fileno()
            process = await trio.lowlevel.open_process(
                [sys.executable, *_options(), "-c", _program(), str(end), function],
                stdin=subprocess.DEVNULL,
                pass_fds=[end, *listeners],
            )
    except BaseException:
        ours.close()
        raise
    return WorkerProcess(number, process, ours, start_timeout)


def _options() -> list[str]:
    """Return the options of this interpreter, for another one.

    ``-P`` keeps Python from adding the current directory to ``sys.path``, as ``-c`` would.
    """
    flags = sys.flags
    options = ["-P", *(f"-W{option}" for option in sys.warnoptions)]
    options += ["-I"] if flags.isolated else []
    options += ["-E"] if flags.ignore_environment else []
    options += ["-s"] if flags.no_user_site else []
    options += ["-O"] * flags.optimize
    options += ["-Xdev"] if flags.dev_mode else []
    return options


def _program() -> str:
    """Return a program that runs a worker of this package, from the same ``sys.path``."""
    return (
        f"import sys; sys.path[:] = {sys.path!r}; "
        "from trio_tlsx.processes.worker_main import main; main()"
    )


class WorkerProcess:
    """The process of a worker, from its start until it has ended, while :meth:`run` runs.

    Args:
        number: the number of the worker.
        process: the process.
        end: the supervisor's end of the channel.
        start_timeout: the time for the worker to report that it has started, in seconds.

    Attributes:
        pid: the process ID.
        started: whether the worker has reported that it accepts connections.
        ended: whether the process has ended.
        end_reason: why the process ended, as a clause without a subject.
    """

    def __init__(
        self, number: int, process: trio.Process, end: socket.socket, start_timeout: float
    ) -> None:
        self.number = number
        self.pid: int = process.pid
        self.started: bool = False
        self.ended: bool = False
        self.end_reason: str = ""
        self._process = process
        self._channel = channel_to_worker(end)
        self._settled = trio.Event()
        self._all_received = trio.Event()
        self._start_timeout = start_timeout
        self._draining = False
        self._began = trio.current_time()
        # The process is killed at the deadline of this scope.
        self._life = trio.CancelScope(deadline=trio.current_time() + start_timeout)

    async def run(
        self, claim: Callable[[Claim], bool], replace: Callable[[WorkerProcess], None]
    ) -> None:
        """Exchange messages with the worker until its process has ended. If cancelled, kill it.

        Args:
            claim: answers the worker's claims.
            replace: called when the worker requests a successor.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._channel.run_sending)
                nursery.start_soon(self._handle_messages, claim, replace)
                with self._life:
                    await self._process.wait()
                if self._life.cancelled_caught:
                    self._kill_overdue()
                    await self._process.wait()
                with trio.move_on_after(LAST_REPORTS_SECONDS):
                    await self._all_received.wait()
                nursery.cancel_scope.cancel()
        finally:
            self.kill()
            with trio.CancelScope(shield=True):
                await self._process.wait()
            self._channel.close()
            self.end_reason = self.end_reason or _describe(self._process.returncode)
            self.ended = True
            self._settled.set()

    @property
    def uptime(self) -> float:
        """The time since its start, in seconds."""
        return trio.current_time() - self._began

    async def wait_started(self) -> bool:
        """Wait until the worker has started or ended; return whether it runs."""
        await self._settled.wait()
        return self.started and not self.ended

    def send(self, message: ToWorker) -> None:
        """Send a message. A worker that does not read its messages is killed."""
        try:
            self._channel.send_nowait(message)
        except trio.WouldBlock:
            self.end_reason = "was killed: it read no messages"
            self.kill()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it has ended

    def drain(self, seconds: float, *, last: bool) -> None:
        """Send DrainRequest with this time; kill the worker if it has not ended soon after."""
        self._draining = True
        self._limit_life(seconds + STOP_SECONDS)
        self.send(DrainRequest(seconds, last))

    def kill(self) -> None:
        """Kill the process, if it has not ended."""
        if self._process.returncode is None:
            self._process.kill()

    def _limit_life(self, seconds: float) -> None:
        self._life.deadline = min(self._life.deadline, trio.current_time() + seconds)

    def _kill_overdue(self) -> None:
        if self._draining:
            self.end_reason = "was killed: it did not end in its time to drain"
        elif not self.started:
            self.end_reason = (
                "was killed: it did not call worker.started() or worker.serve() within "
                f"{in_seconds(self._start_timeout)}"
            )
        self.kill()

    async def _handle_messages(
        self, claim: Callable[[Claim], bool], replace: Callable[[WorkerProcess], None]
    ) -> None:
        try:
            while (message := await self._channel.receive()) is not None:
                match message:
                    case Claim():
                        self.send(ClaimAnswer(message.question, claim(message)))
                    case Started():
                        self.started = True
                        if not self._draining:
                            self._life.deadline = math.inf
                        self._settled.set()
                    case Failed():
                        self.end_reason = f"failed: {message.reason}"
                    case ReplaceRequest():
                        replace(self)
        except ProtocolError as error:
            self.end_reason = f"was killed: {error}"
            self.kill()
        # The worker has closed the channel, so it ends soon, or it hangs and is killed.
        self._limit_life(STOP_SECONDS)
        self._all_received.set()

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.number}, pid {self.pid}>"


def _describe(status: int | None) -> str:
    if status is None or status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"was ended by signal {-status}"
