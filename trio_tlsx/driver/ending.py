"""The end of a connection: its cause, and the exception that every later call raises."""

from __future__ import annotations

from typing import ClassVar

from ..engine.interface import Engine
from .ciphertext import Pump
from .conflict import ConflictDetector
from .library import AsyncLibrary
from .raised import drop_tracebacks, to_keep
from .transport import Transport

__all__ = ["Ending"]


class Ending:
    """Stores the cause of the end of a connection, or of one direction of it.

    Args:
        engine: the engine of the connection.
        transport: moves ciphertext in and out of the stream below.

    Attributes:
        library: the async library that the driver waits with.
        pump: moves the ciphertext. Once its ``send_failure`` is set, nothing more can be sent, but
            receiving continues.
        receiving: taken by the task that receives data.
        closing: a task is closing the stream, so that nothing more can be sent.
        closed: this side has closed the stream.
        failure: the error that broke the connection in both directions: of the protocol, of the
            transport, or of a handshake that was given up.
        send_ended: ``close_notify`` was queued; nothing can be sent after it.
        alerted: the last message, sent or still queued, is the alert that explains the end.
    """

    __slots__ = (
        "_engine",
        "alerted",
        "closed",
        "closing",
        "failure",
        "pump",
        "receiving",
        "send_ended",
    )

    library: ClassVar[AsyncLibrary]

    def __init__(self, engine: Engine, transport: Transport) -> None:
        library = self.library
        self.pump: Pump = Pump(engine, transport, library)
        self.receiving: ConflictDetector = library.ConflictDetector(
            "another task is currently receiving data on this TLSStream"
        )
        self.closing: bool = False
        self.closed: bool = False
        self.failure: Exception | None = None
        self.send_ended: bool = False
        self.alerted: bool = False
        self._engine = engine

    def check_usable(self) -> None:
        """Raise the error that every method raises once the connection is closed or broken."""
        if self.closed:
            raise self.library.ClosedResourceError("this TLSStream was closed")
        if self.failure is not None:
            raise self.broken(self.failure) from self.failure

    def check_sendable(self) -> None:
        """Raise the error of a send that is not possible now or any more."""
        ended = self.closed or self.closing or self.send_ended
        if ended or self.failure or self.pump.send_failure:
            self.check_usable()
            self.check_not_closing()
            self.check_unbroken_sending()
            raise self.library.ClosedResourceError("can't send data after sending EOF")

    def check_not_closing(self) -> None:
        """Raise ``ClosedResourceError`` while another task closes the stream."""
        if self.closing:
            raise self.library.ClosedResourceError("another task is closing this TLSStream")

    def check_unbroken_sending(self) -> None:
        """Raise the error that broke sending, if there is one."""
        if (error := self.pump.send_failure) is not None:
            raise self.broken(error) from error

    def note_failure(self, error: Exception) -> None:
        """Make every later call raise this error: the connection failed in both directions."""
        self.failure = self.failure or to_keep(error, self.library)
        self.pump.data_phase = None
        self.receiving.wake()

    def note_closed(self) -> None:
        """Make every later call raise that this side has closed the stream."""
        if not self.closed:
            self._engine.note_closed(self.failure or self.pump.send_failure)
        self.closed = True
        self.pump.data_phase = None
        self.receiving.wake()

    def note_closing(self) -> None:
        """Make every later send raise that a task is closing the stream."""
        self.closing = True
        self.pump.data_phase = None

    async def fail(self, error: Exception) -> Exception:
        """Record the failure, send the alert, and return the exception to raise."""
        self.note_failure(error)
        drop_tracebacks(error)
        self.alerted = self.alerted or bool(self._engine.pending_output())
        await self.pump.flush_alert()
        return self.broken(error)

    def broken(self, error: BaseException) -> Exception:
        """Return the ``BrokenResourceError`` to raise for ``error``."""
        return self.library.BrokenResourceError(str(error) or type(error).__name__)
