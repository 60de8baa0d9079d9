"""The transports over the streams of trio.

A transport moves data directly between the engine's buffers and the stream below. Over a
:class:`trio.SocketStream` on POSIX that is one system call on the descriptor. The call is tried
first, and only ``EAGAIN`` makes the transport wait: mostly there is nothing to wait for.

The socket keeps its descriptor. The transport reads its number anew before each call, with no
``await`` in between, so that the kernel cannot have given the number to another file since.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress

import trio

from ..driver.transport import (
    DISCARD_BYTES,
    LINGER_BYTES,
    LINGER_SECONDS,
    RECEIVE_BYTES,
    Transport,
    discard_input,
)
from ..engine.interface import Engine
from ..record.protection import MAX_PLAINTEXT_LENGTH, RECORD_OVERHEAD
from .proxy_protocol import ProxiedStream

__all__ = ["transport_over"]

#: So many bytes of one read are a whole record of full size.
BULK_BYTES = MAX_PLAINTEXT_LENGTH + RECORD_OVERHEAD


def transport_over(stream: trio.abc.Stream) -> Transport:
    """Return the fastest transport over ``stream``."""
    if isinstance(stream, ProxiedStream) and os.name == "posix":
        return ProxiedTransport(stream)
    if not isinstance(stream, trio.SocketStream):
        return StreamTransport(stream)
    if os.name == "posix":
        return DescriptorTransport(stream.socket)
    return SocketTransport(stream.socket)


class StreamTransport(Transport):
    """Over any ``trio.abc.Stream``; a cancelled ``send_all`` may have stopped anywhere."""

    __slots__ = ("_stream",)

    resumes = False

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__()
        self._stream = stream

    async def receive(self, engine: Engine) -> int:
        engine.release_buffers()
        data = await self._stream.receive_some()
        if data:
            engine.receive_data(data)
        return len(data)

    async def send(self, engine: Engine) -> None:
        if not engine.pending_output():
            await trio.lowlevel.cancel_shielded_checkpoint()
        while data := engine.data_to_send():
            self.started = True
            await self._stream.send_all(data)


class SocketTransport(Transport):
    """Over a socket by trio's own methods, for Windows, which cannot read from a descriptor."""

    __slots__ = ("socket",)

    resumes = True

    def __init__(self, sock: trio.socket.SocketType) -> None:
        super().__init__()
        self.socket: trio.socket.SocketType = sock

    async def receive(self, engine: Engine) -> int:
        engine.release_buffers()
        try:
            data = await self.socket.recv(RECEIVE_BYTES)
        except OSError as error:
            raise self.translated(error) from error
        if data:
            engine.receive_data(data)
        return len(data)

    async def send(self, engine: Engine) -> None:
        if not engine.pending_output():
            await trio.lowlevel.cancel_shielded_checkpoint()
        # A copy: during the wait another task may make the engine queue more.
        while data := bytes(engine.pending_output()):
            try:
                count = await self.socket.send(data)
            except OSError as error:
                raise self.translated(error) from error
            self.started = True
            # Less, if the connection failed meanwhile and the engine dropped its output.
            engine.bytes_sent(min(count, len(engine.pending_output())))

    def translated(self, error: OSError) -> Exception:
        """Return the error that a ``trio.abc.Stream`` raises for ``error``."""
        # The frames of its traceback refer to the stream, and the stream keeps the error.
        error.__traceback__ = None
        if error.errno in (errno.EBADF, errno.ENOTSOCK) or self.socket.fileno() == -1:
            return trio.ClosedResourceError("this socket was already closed")
        return trio.BrokenResourceError(f"the connection broke: {error.strerror or error}")

    async def linger(self) -> None:
        with suppress(OSError):  # the peer may have gone before
            self.socket.shutdown(socket.SHUT_WR)
        self.discard_input()
        # Another task that receives or closes the socket ends this too.
        ended = (OSError, trio.BusyResourceError, trio.ClosedResourceError)
        with trio.move_on_after(LINGER_SECONDS), suppress(*ended):
            left = LINGER_BYTES
            while left > 0 and (data := await self.socket.recv(DISCARD_BYTES)):
                left -= len(data)


class DescriptorTransport(SocketTransport):
    """Over a socket by system calls on its descriptor, without a copy in between.

    Attributes:
        expects_bulk: the last read returned so much that a large buffer is worth its cost.
        read_error: an exception of a read by the short path; the next read here raises it.
    """

    __slots__ = ("expects_bulk", "read_error")

    started: bool

    def __init__(self, sock: trio.socket.SocketType) -> None:
        super().__init__(sock)
        self.expects_bulk: bool = False
        self.read_error: OSError | None = None

    async def receive(self, engine: Engine) -> int:
        while True:
            engine.release_buffers()
            await trio.lowlevel.wait_readable(self.descriptor())
            try:
                return self._receive(engine)
            except BlockingIOError:
                continue
            except OSError as error:
                raise self.translated(error) from error

    def receive_nowait(self, engine: Engine) -> int | None:
        try:
            return self._receive(engine)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self.translated(error) from error

    def _receive(self, engine: Engine) -> int:
        if self.read_error is not None:
            raise self.read_error  # the kernel reports it only once
        count = os.readv(self.descriptor(), (engine.receive_buffer(),))
        self.expects_bulk = count >= BULK_BYTES
        if count:
            engine.bytes_received(count)
        return count

    async def send(self, engine: Engine) -> None:
        waited = False
        while pending := engine.pending_output():
            descriptor = self.descriptor()
            try:
                count = os.write(descriptor, pending)
            except BlockingIOError:
                del pending
                engine.release_buffers()
                await trio.lowlevel.wait_writable(descriptor)
                waited = True
                continue
            except OSError as error:
                raise self.translated(error) from error
            self.started = True
            engine.bytes_sent(count)
        if not waited:
            await trio.lowlevel.cancel_shielded_checkpoint()

    def send_nowait(self, engine: Engine) -> bool:
        try:
            while pending := engine.pending_output():
                engine.bytes_sent(os.write(self.descriptor(), pending))
                self.started = True
        except (OSError, trio.ClosedResourceError):
            return False  # if it failed, send() raises why
        return True

    def discard_input(self) -> None:
        discard_input(self.socket.fileno())

    def descriptor(self) -> int:
        """Return the descriptor's number, to be used before the next ``await``."""
        descriptor = self.socket.fileno()
        if descriptor == -1:
            raise trio.ClosedResourceError("this socket was already closed")
        return descriptor


class ProxiedTransport(DescriptorTransport):
    """Over a socket whose first octets are a header of the PROXY protocol."""

    def __init__(self, stream: ProxiedStream) -> None:
        super().__init__(stream.transport_stream.socket)
        self._stream = stream

    async def receive(self, engine: Engine) -> int:
        if self._stream.proxy_header is None:
            await self._stream.read_header()
        return await super().receive(engine)

    def receive_nowait(self, engine: Engine) -> int | None:
        return None if self._stream.proxy_header is None else super().receive_nowait(engine)
