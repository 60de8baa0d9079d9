"""Control messages over a socket pair, in both directions."""

from __future__ import annotations

import socket
from typing import Generic, TypeVar

import trio

from ..errors import ProtocolError
from ..messages.codec import take_bytes, uint24
from .control_messages import (
    MAX_CONTROL_MESSAGE,
    TO_SUPERVISOR,
    TO_WORKER,
    ToSupervisor,
    ToWorker,
    decode,
    encode,
)

__all__ = ["Channel", "channel_to_supervisor", "channel_to_worker"]

T_Sent = TypeVar("T_Sent", ToWorker, ToSupervisor)
T_Received = TypeVar("T_Received", ToWorker, ToSupervisor)

#: The most messages that wait to be sent. If there are more, the other process hangs.
MAX_QUEUED_MESSAGES = 1024

LENGTH_SIZE = 3


class Channel(Generic[T_Sent, T_Received]):
    """One end of the connection between the supervisor and a worker.

    Sending never waits: messages are queued, and :meth:`run_sending` sends them in its own task.
    So a cancelled caller never sends half a message, and no process waits for another one that is
    paused.

    Args:
        end: one end of a socket pair; the channel owns it.
        types: the messages that the other process sends.
    """

    def __init__(self, end: socket.socket, types: tuple[type[T_Received], ...]) -> None:
        self._types = types
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(end))
        self._received = bytearray()
        self._queue, self._queued = trio.open_memory_channel[bytes](MAX_QUEUED_MESSAGES)

    def send_nowait(self, message: T_Sent) -> None:
        """Queue a message.

        Raises:
            trio.WouldBlock: too many messages are queued; nothing was queued now.
            trio.BrokenResourceError: the other process has ended, or the channel is closed.
        """
        octets = encode(message)
        self._queue.send_nowait(uint24(len(octets)) + octets)

    async def run_sending(self) -> None:
        """Send the queue, until :meth:`finish_sending` or until the other process has ended."""
        with self._queued:
            async for octets in self._queued:
                batch = [octets]
                while True:
                    try:
                        batch.append(self._queued.receive_nowait())
                    except (trio.WouldBlock, trio.EndOfChannel):
                        break
                try:
                    await self._stream.send_all(b"".join(batch))
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return

    def finish_sending(self) -> None:
        """Close the queue; :meth:`run_sending` returns when all messages are sent."""
        self._queue.close()

    async def receive(self) -> T_Received | None:
        """Return the next message; None if the other process has ended.

        If cancelled, no message is lost.

        Raises:
            ProtocolError: the message is too long or malformed.
        """
        header = await self._take(LENGTH_SIZE)
        if header is None:
            return None
        length = int.from_bytes(header)
        if length > MAX_CONTROL_MESSAGE:
            raise ProtocolError(f"a control message of {length} octets is too long")
        octets = await self._take(LENGTH_SIZE + length)
        if octets is None:
            return None
        take_bytes(self._received, LENGTH_SIZE + length)
        return decode(octets[LENGTH_SIZE:], self._types)

    async def _take(self, count: int) -> bytes | None:
        """Return the first ``count`` received octets, which stay in the buffer."""
        while len(self._received) < count:
            try:
                data = await self._stream.receive_some()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            self._received += data
        return bytes(self._received[:count])

    def close(self) -> None:
        """Close this end."""
        self._queue.close()
        self._queued.close()
        self._stream.socket.close()


def channel_to_worker(end: socket.socket) -> Channel[ToWorker, ToSupervisor]:
    """Return the supervisor's end of a channel."""
    return Channel(end, TO_SUPERVISOR)


def channel_to_supervisor(end: socket.socket) -> Channel[ToSupervisor, ToWorker]:
    """Return a worker's end of a channel."""
    return Channel(end, TO_WORKER)
