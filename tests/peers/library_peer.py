"""Peers that are Python libraries: each talks over a blocking socket in a thread of its own."""

from __future__ import annotations

import socket
from abc import abstractmethod
from typing import Protocol

import trio
from peer import SAFETY_NET, CannotDoThat, Part, Peer, Role, Saw

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

    def close(self) -> bool:
        """Send ``close_notify``, wait for the other side's; whether it came for certain."""
        ...

    def alert_in(self, error: Exception) -> AlertDescription | None:
        """The alert from the other side that ``error`` is about."""
        ...


def play(session: Session, part: Part) -> Saw:
    """Play the part."""
    try:
        session.handshake()
        data = b""
        while len(data) < part.echo:
            more = session.receive(part.echo - len(data))
            if not more:
                return Saw(AlertDescription.close_notify, f"after {len(data)} bytes")
            data += more
        session.send(data)
        if not part.closes_first and session.receive(1):
            return Saw(None, "it got data instead of the end")
        if not session.close():
            return Saw(None, "it does not know whether its close_notify was answered")
    except session.errors as error:
        return Saw(session.alert_in(error), repr(error))
    return Saw(AlertDescription.close_notify)


class LibraryPeer(Peer):
    """A peer that is a Python library."""

    def check(self, part: Part) -> None:
        """Raise CannotDoThat for a part that the library has no way to play."""
        if part.cookie:
            raise CannotDoThat

    @abstractmethod
    def session(self, sock: socket.socket, role: Role, part: Part) -> Session:
        """Prepare a connection over ``sock``, which blocks, for a while at most."""

    async def serve(
        self, part: Part, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
    ) -> Saw:
        self.check(part)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(SAFETY_NET)
            task_status.started(listener.getsockname()[1])

            def accept_and_play() -> Saw:
                return self._play(listener.accept()[0], "server", part)

            return await trio.to_thread.run_sync(accept_and_play)

    async def call(self, part: Part, port: int) -> Saw:
        self.check(part)

        def connect_and_play() -> Saw:
            return self._play(socket.create_connection(("127.0.0.1", port)), "client", part)

        return await trio.to_thread.run_sync(connect_and_play)

    def _play(self, sock: socket.socket, role: Role, part: Part) -> Saw:
        with sock:
            sock.settimeout(SAFETY_NET)
            session = self.session(sock, role, part)
            with session.socket:
                return play(session, part)
