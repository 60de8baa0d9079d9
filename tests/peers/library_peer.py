"""Peers that are Python libraries: each talks over a blocking socket in a thread of its own."""

from __future__ import annotations

import socket
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import trio
from peer import EXPORTED_LENGTH, SAFETY_NET, CannotDoThat, Part, Peer, Role, Saw

from trio_tlsx.errors import AlertDescription


class Session(Protocol):
    """One connection, in the library's own terms."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What it raises when the connection fails."""
        ...

    @property
    def socket(self) -> socket.socket:
        """What it talks over, to be closed at the end."""
        ...

    def handshake(self) -> None: ...

    def receive(self, max_bytes: int) -> bytes:
        """Application data; ``b""`` for ``close_notify`` and for nothing else."""
        ...

    def send(self, data: bytes) -> None: ...

    def update_keys(self) -> None:
        """Change the keys that it sends with, and ask for new ones."""
        ...

    def export(self, label: str, length: int) -> bytes: ...

    @property
    def resumed(self) -> bool: ...

    def close(self) -> bool:
        """Send ``close_notify``, wait for the other side's; whether it came for certain."""
        ...

    def alert_in(self, error: Exception) -> AlertDescription | None:
        """The alert from the other side that ``error`` is about."""
        ...


def play(session: Session, part: Part) -> Saw:
    """Play the part in one connection."""
    resumed, exported = None, None
    try:
        session.handshake()
        resumed = session.resumed
        if part.exports:
            exported = session.export(part.exports, EXPORTED_LENGTH)
        data = bytearray()
        left = part.echo
        while left:
            more = session.receive(left)
            if not more:
                return Saw(AlertDescription.close_notify, f"with {left} bytes to come")
            left -= len(more)
            if part.streams:
                session.send(more)
            else:
                data += more
        if part.updates_keys:
            session.update_keys()
        session.send(bytes(data))
        if part.leaves:
            return Saw(None, "it leaves")
        if not part.closes_first and session.receive(1):
            return Saw(None, "it got data instead of the end")
        if not session.close():
            return Saw(None, "it does not know whether its close_notify was answered")
    except session.errors as error:
        return Saw(session.alert_in(error), repr(error))
    return Saw(AlertDescription.close_notify, resumed=resumed, exported=exported)


class LibraryPeer(Peer):
    """A peer that is a Python library."""

    def check(self, part: Part) -> None:
        """Raise CannotDoThat for a part that the library has no way to play."""
        if part.cookie:
            raise CannotDoThat

    @abstractmethod
    def session(
        self, sock: socket.socket, role: Role, part: Part, previous: Session | None
    ) -> Session:
        """Prepare a connection over ``sock``, which blocks, for a while at most.

        Args:
            previous: what a client is to resume, and a server may be asked to.
        """

    async def serve(
        self, part: Part, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
    ) -> Sequence[Saw]:
        self.check(part)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(SAFETY_NET)
            task_status.started(listener.getsockname()[1])

            def accept() -> socket.socket:
                return listener.accept()[0]

            return await trio.to_thread.run_sync(self._play, accept, "server", part)

    async def call(self, part: Part, port: int) -> Sequence[Saw]:
        self.check(part)
        connect = partial(socket.create_connection, ("127.0.0.1", port))
        return await trio.to_thread.run_sync(self._play, connect, "client", part)

    def _play(self, connect: Callable[[], socket.socket], role: Role, part: Part) -> list[Saw]:
        session: Session | None = None
        saw: list[Saw] = []
        for _ in range(part.connections):
            with connect() as sock:
                sock.settimeout(SAFETY_NET)
                session = self.session(sock, role, part, session)
                with session.socket:
                    saw.append(play(session, part))
        return saw
