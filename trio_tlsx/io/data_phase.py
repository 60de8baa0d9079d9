"""The data phase: ordinary application data, by one system call and without the engine.

A :class:`DataPhase` exists while nothing but data is expected: from the end of the handshake to
the first failure, the first ``close_notify`` of this side, or its close. So its existence is the
check that the stream is usable. It seals one record or a batch of records and writes them with one
system call, and it opens the records that one system call has read. It leaves everything else to
the driver and the engine, and it decides no error: input that it cannot open goes to the engine,
which opens it again and finds the fault.

A round trip of 100 octets takes two thirds of the time that it takes through driver and engine.
"""

from __future__ import annotations

import os

import trio

from ..driver.conflict import ConflictDetector
from ..record.protection import MAX_RECORD_LENGTH
from ..record.receive import Incoming
from ..record.send import Outgoing
from .transport import BULK_BYTES, DescriptorTransport

__all__ = ["DataPhase"]


class DataPhase:
    """Moves records of application data, one or a batch by each system call.

    Args:
        transport: the transport, which is over a descriptor.
        receiving: taken by the task that waits for ciphertext.
        incoming, outgoing: the record layer of a complete handshake.
    """

    __slots__ = ("_incoming", "_outgoing", "_receiving", "_socket", "_transport")

    def __init__(
        self,
        transport: DescriptorTransport,
        receiving: ConflictDetector,
        incoming: Incoming,
        outgoing: Outgoing,
    ) -> None:
        self._transport = transport
        self._socket = transport.socket
        self._receiving = receiving
        self._incoming = incoming
        self._outgoing = outgoing

    def send(self, data: bytes | memoryview) -> int | None:
        """Send ``data``; return None if all of it has left.

        Otherwise return how much of it was sealed, which is a batch at most. The driver sends what
        is queued of that, and the rest.
        """
        record = self._outgoing.seal_data(data)
        if not record:
            return self._send_batch(memoryview(data))
        try:
            unsent = record[os.write(self._socket.fileno(), record) :]
        except OSError:  # the driver waits, or finds the fault again
            unsent = record
        if not unsent:
            return None
        self._outgoing.keep_unsent(unsent)
        return len(data)

    def _send_batch(self, data: memoryview) -> int | None:
        outgoing = self._outgoing
        sealed_before = outgoing.bytes_sealed
        records = outgoing.seal_batch(data)
        if not records:
            return 0
        try:
            unsent = records[os.write(self._socket.fileno(), records) :]
        except OSError:
            unsent = records
        outgoing.keep_unsent(unsent)
        sealed = outgoing.bytes_sealed - sealed_before
        return None if sealed == len(data) and not unsent else sealed

    def receive(self, max_bytes: int | None) -> bytes | None:
        """Return the data of the next record, or more; None if nothing has arrived.

        The result is empty if the driver must ask the engine, or read by itself.
        """
        incoming, transport = self._incoming, self._transport
        if incoming.partial_length != 0 or transport.expects_bulk or self._receiving.taken:
            return self._receive_run(max_bytes)
        try:
            record = os.read(self._socket.fileno(), MAX_RECORD_LENGTH)
        except BlockingIOError:
            return None
        except OSError as error:
            transport.read_error = error.with_traceback(None)
            return b""
        data = incoming.open_data(record, max_bytes)
        if not data and record:  # the driver finds the end of the transport again
            incoming.feed(record)
            if len(record) >= BULK_BYTES:
                transport.expects_bulk = True
                return incoming.open_run(0, max_bytes)
        return data

    def _receive_run(self, max_bytes: int | None) -> bytes | None:
        incoming, transport = self._incoming, self._transport
        if incoming.partial_length is None or self._receiving.taken:
            return b""
        try:
            count = os.readv(self._socket.fileno(), (incoming.room(),))
            transport.expects_bulk = count >= BULK_BYTES
            return incoming.open_run(count, max_bytes)
        except BlockingIOError:
            return None
        except OSError as error:
            transport.read_error = error.with_traceback(None)
            return b""
        finally:
            incoming.release()  # it may be long until the next call

    async def wait_readable(self) -> None:
        """Wait until there may be input. Cancelling it changes nothing."""
        with self._receiving:
            await trio.lowlevel.wait_readable(self._transport.descriptor())
