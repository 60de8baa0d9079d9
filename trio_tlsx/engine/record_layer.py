"""Ciphertext in and out of an engine, through the two halves of its record layer."""

from __future__ import annotations

from ..messages.codec import Buffer
from ..record.receive import Incoming
from ..record.send import Outgoing

__all__ = ["RecordLayer"]


class RecordLayer:
    """The methods of an engine that move ciphertext; see :class:`~.interface.Engine`."""

    __slots__ = ("_incoming", "_outgoing")

    _incoming: Incoming
    _outgoing: Outgoing

    @property
    def bytes_sealed(self) -> int:
        return self._outgoing.bytes_sealed

    def receive_data(self, data: Buffer) -> None:
        """Pass received ciphertext in; ``b""`` is the end of the transport."""
        self._incoming.feed(data)

    def receive_buffer(self) -> memoryview:
        """Return a buffer to receive ciphertext into, valid until the next call of any method.

        Raises:
            RuntimeError: the limit of unread input is reached.
        """
        return self._incoming.room()

    def bytes_received(self, count: int) -> None:
        """Report how many bytes of ``receive_buffer()`` were filled; 0 is the transport's end."""
        self._incoming.filled(count)

    def unread_ciphertext(self) -> bytes:
        """Return and remove the input after the last record: what followed ``close_notify``."""
        return self._incoming.take_rest()

    def data_to_send(self) -> bytes:
        """Return all pending output and remove it from the engine."""
        output = bytes(self._outgoing.pending())
        self._outgoing.sent(len(output))
        return output

    def pending_output(self) -> memoryview:
        """Return the output to send next, without removing it; empty if there is none."""
        return self._outgoing.pending()

    def bytes_sent(self, count: int) -> None:
        """Report how many bytes of ``pending_output()`` were sent."""
        self._outgoing.sent(count)

    def release_buffers(self) -> None:
        """Release large buffers that are empty. Call it before every wait."""
        self._incoming.release()
