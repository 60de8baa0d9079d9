"""The driver for anyio, over either of its backends."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

from .extras import ExtraImports

with ExtraImports("anyio"):
    import anyio
    import anyio.abc
    import anyio.lowlevel
    from anyio.abc import SocketAttribute

from ..driver.conflict import ConflictDetector, ParkingLot
from ..driver.driver import Driver
from ..driver.library import AsyncLibrary
from ..driver.transport import (
    DISCARD_BYTES,
    LINGER_BYTES,
    LINGER_SECONDS,
    RECEIVE_BYTES,
    Transport,
    discard_input,
)
from ..engine.interface import Engine

__all__ = ["ANYIO", "AnyioDriver", "ByteStreamTransport"]

#: The exceptions of a stream below that another task closes or breaks.
ENDED = (
    OSError,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.BusyResourceError,
    anyio.ClosedResourceError,
)


class BusyTLSStreamError(anyio.BusyResourceError):
    """anyio's exception, with a message of ours."""

    def __init__(self, complaint: str) -> None:
        Exception.__init__(self, complaint)


class ParkedTasks:
    """A place where tasks wait until another task wakes all of them; true while a task waits."""

    __slots__ = ("_event", "_waiting")

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._waiting = 0

    def __bool__(self) -> bool:
        return self._waiting > 0

    async def park(self) -> None:
        """Wait for :meth:`unpark_all`."""
        event = self._event
        self._waiting += 1
        try:
            await event.wait()
        finally:
            if event is self._event:
                self._waiting -= 1

    def unpark_all(self) -> None:
        """Wake all tasks that wait."""
        self._event.set()
        self._event = anyio.Event()
        self._waiting = 0


class AnyioConflictDetector(ConflictDetector):
    """A conflict detector with anyio's exception."""

    __slots__ = ()

    busy_error: ClassVar[type[Exception]] = BusyTLSStreamError
    parking_lot: ClassVar[type[ParkingLot]] = ParkedTasks


ANYIO = AsyncLibrary(
    BrokenResourceError=anyio.BrokenResourceError,
    ClosedResourceError=anyio.ClosedResourceError,
    EndOfChannel=anyio.EndOfStream,
    NeedHandshakeError=RuntimeError,
    TooSlowError=TimeoutError,
    ConflictDetector=AnyioConflictDetector,
    CancelScope=anyio.CancelScope,
    Lock=anyio.Lock,
    cancelled_class=anyio.get_cancelled_exc_class,
    checkpoint=anyio.lowlevel.checkpoint,
    checkpoint_if_cancelled=anyio.lowlevel.checkpoint_if_cancelled,
    cancel_shielded_checkpoint=anyio.lowlevel.cancel_shielded_checkpoint,
    current_time=anyio.current_time,
    fail_after=anyio.fail_after,
    move_on_after=anyio.move_on_after,
    aclose_forcefully=anyio.aclose_forcefully,
)


class AnyioDriver(Driver):
    """Runs one engine through its connection, in a program over anyio."""

    __slots__ = ()

    library = ANYIO


class ByteStreamTransport(Transport):
    """Over any byte stream of anyio; a cancelled ``send`` may have stopped anywhere."""

    __slots__ = ("_stream",)

    resumes = False

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        super().__init__()
        self._stream = stream

    async def receive(self, engine: Engine) -> int:
        """Receive once; see :meth:`Transport.receive`."""
        engine.release_buffers()
        try:
            data = await self._stream.receive(RECEIVE_BYTES)
        except anyio.EndOfStream:
            return 0
        except (anyio.BrokenResourceError, OSError) as error:
            raise _explained(error) from error
        if data:
            engine.receive_data(data)
        return len(data)

    async def send(self, engine: Engine) -> None:
        """Send all the output; see :meth:`Transport.send`."""
        if not engine.pending_output():
            await anyio.lowlevel.cancel_shielded_checkpoint()
        try:
            while data := engine.data_to_send():
                self.started = True
                await self._stream.send(data)
        except (anyio.BrokenResourceError, OSError) as error:
            raise _explained(error) from error

    def discard_input(self) -> None:
        """Discard what has come over a socket; see :meth:`Transport.discard_input`."""
        if isinstance(self._stream, anyio.abc.SocketStream):
            sock = self._stream.extra(SocketAttribute.raw_socket, None)
            if sock is not None:
                discard_input(sock.fileno())

    async def linger(self) -> None:
        """Wait over a socket until the alert may have arrived; see :meth:`Transport.linger`."""
        if not isinstance(self._stream, anyio.abc.SocketStream):
            return
        with anyio.move_on_after(LINGER_SECONDS), suppress(*ENDED):
            await self._stream.send_eof()
            left = LINGER_BYTES
            while left > 0:
                left -= len(await self._stream.receive(DISCARD_BYTES))


def _explained(error: Exception) -> anyio.BrokenResourceError:
    """Return the exception for a broken transport, with the reason in its text."""
    reason = str(error) or str(error.__cause__ or "") or type(error).__name__
    error.__traceback__ = None  # its frames refer to the stream, and the stream keeps the error
    return anyio.BrokenResourceError(f"the connection broke: {reason}")
