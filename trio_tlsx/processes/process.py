"""One worker as the supervisor sees it: a process from its start to its end."""

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

#: The time to read what a dead worker has sent, in seconds.
LAST_WORDS_SECONDS = 1


async def start_process(
    number: int, function: str, listeners: Sequence[int], start_timeout: float
) -> WorkerProcess:
    """Start a new process of Python, which waits for its :class:`Start`.

    Args:
        number: which of the workers it is.
        function: the function that it will call; in its arguments only for the list of processes.
        listeners: the descriptors that it inherits beside its end of the channel.
        start_timeout: the time in which it has to report that it has started, in seconds.

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

    With ``-P`` no module is imported from the current directory because of how it was started.
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
    """Return a program that runs a worker of this very package, wherever it was imported from."""
    return (
        f"import sys; sys.path[:] = {sys.path!r}; "
        "from trio_tlsx.processes.worker_main import main; main()"
    )


class WorkerProcess:
    """A worker that was started, until it has ended. :meth:`run` has to run meanwhile.

    Args:
        number: which of the workers it is.
        process: its process.
        end: the supervisor's end of the channel.
        start_timeout: the time in which it has to report that it has started, in seconds.

    Attributes:
        pid: the number of its process.
        started: whether it has reported that it accepts connections.
        ended: whether its process has ended.
        end: why it ended, in words.
    """

    def __init__(
        self, number: int, process: trio.Process, end: socket.socket, start_timeout: float
    ) -> None:
        self.number = number
        self.pid: int = process.pid
        self.started: bool = False
        self.ended: bool = False
        self.end: str = ""
        self._process = process
        self._channel = channel_to_worker(end)
        self._settled = trio.Event()
        self._heard_all = trio.Event()
        self._start_timeout = start_timeout
        self._draining = False
        self._began = trio.current_time()
        # When its deadline has come, the process is killed.
        self._life = trio.CancelScope(deadline=trio.current_time() + start_timeout)

    async def run(
        self, claim: Callable[[Claim], bool], replace: Callable[[WorkerProcess], None]
    ) -> None:
        """Talk to the worker until its process has ended. If cancelled, kill it.

        Args:
            claim: answers its claims.
            replace: called when it asks for a successor.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._channel.run_sending)
                nursery.start_soon(self._listen, claim, replace)
                with self._life:
                    await self._process.wait()
                if self._life.cancelled_caught:
                    self._kill_late()
                    await self._process.wait()
                with trio.move_on_after(LAST_WORDS_SECONDS):
                    await self._heard_all.wait()
                nursery.cancel_scope.cancel()
        finally:
            self.kill()
            with trio.CancelScope(shield=True):
                await self._process.wait()
            self._channel.close()
            self.end = self.end or _describe(self._process.returncode)
            self.ended = True
            self._settled.set()

    @property
    def lived(self) -> float:
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
            self.end = "was killed: it read no messages"
            self.kill()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it has ended

    def drain(self, seconds: float, *, last: bool) -> None:
        """Tell the worker to drain within this time; kill it if it has not ended soon after."""
        self._draining = True
        self._limit_life(seconds + STOP_SECONDS)
        self.send(DrainRequest(seconds, last))

    def kill(self) -> None:
        """Kill the process, if it has not ended."""
        if self._process.returncode is None:
            self._process.kill()

    def _limit_life(self, seconds: float) -> None:
        self._life.deadline = min(self._life.deadline, trio.current_time() + seconds)

    def _kill_late(self) -> None:
        if self._draining:
            self.end = "was killed: it did not end in its time to drain"
        elif not self.started:
            self.end = (
                "was killed: it did not call worker.started() or worker.serve() within "
                f"{in_seconds(self._start_timeout)}"
            )
        self.kill()

    async def _listen(
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
                        self.end = f"failed: {message.reason}"
                    case ReplaceRequest():
                        replace(self)
        except ProtocolError as error:
            self.end = f"was killed: {error}"
            self.kill()
        # A process that closes its channel ends, or hangs.
        self._limit_life(STOP_SECONDS)
        self._heard_all.set()

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.number}, pid {self.pid}>"


def _describe(status: int | None) -> str:
    if status is None or status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"was ended by signal {-status}"
