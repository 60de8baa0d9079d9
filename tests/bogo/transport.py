"""Ciphertext to and from a blocking socket."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

from later import settle

from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake.wants import Question, Want

__all__ = ["Transport"]

RECEIVE_SIZE = 65536


class Transport:
    """Moves ciphertext between the engine and a socket, a byte at a time if it is told to."""

    def __init__(self, connection: Connection, sock: socket.socket, *, one_by_one: bool) -> None:
        self._connection = connection
        self._socket = sock
        self._one_by_one = one_by_one
        self._received = memoryview(b"")

    def flush(self, at_most: int | None = None) -> None:
        """Send the output, or its first bytes."""
        step = 1 if self._one_by_one else None
        while (output := self._connection.pending_output()) and at_most != 0:
            try:
                count = self._socket.send(output[:step])
            except ConnectionError:
                count = len(output)  # what the peer made of it so far is what counts
            self._connection.bytes_sent(count)
            if at_most is not None:
                at_most -= count

    def fill(self) -> None:
        """Receive something."""
        if not self._received:
            with contextlib.suppress(ConnectionError):  # an end like any other
                self._received = memoryview(self._socket.recv(RECEIVE_SIZE))
        count = 1 if self._one_by_one else len(self._received)
        self._connection.receive_data(self._received[:count])
        self._received = self._received[count:]

    def handshake(self, answer_early_data: Callable[[], object]) -> None:
        while (want := self._connection.do_handshake()) is not Want.NOTHING:
            if want is Want.EARLY_DATA:
                answer_early_data()
                self.flush()  # the handshake does not wait for that
            else:
                self._see_to(want)

    def read(self, max_bytes: int) -> bytes:
        # What reading puts into the output leaves with the next write.
        while not isinstance(data := self._connection.read(max_bytes), bytes):
            self._see_to(data)
        return data

    def _see_to(self, want: Want | Question[Any]) -> None:
        if isinstance(want, Question):
            self._answer(want)
        elif want is Want.WRITE:
            self.flush()
        else:
            self.fill()

    def _answer(self, question: Question[Any]) -> None:
        awaitable, question.awaitable = question.awaitable, None
        if awaitable is None:
            raise RuntimeError("a question came without anything to await")
        self._connection.answer(settle(awaitable))

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._connection.write(rest) :]
            self.flush()

    def close(self) -> None:
        """End the connection such that the peer gets all that was sent, an alert above all."""
        self.flush()
        try:
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv(RECEIVE_SIZE):
                pass
        except OSError:
            pass  # the peer was faster
