"""The supervisor of a server in several processes, for the program that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import trio

from ..clock import utc_now
from ..io.endpoints import SocketAddress
from ..pki.ech import ECHKey
from ..sessions.anti_replay import MemoryAntiReplayCache
from .control_messages import Claim, UseECHKeys, UseTicketKeys
from .ech_rotation import SharedECHKeys
from .key_rotation import SharedTicketKeys
from .pool import WorkerPool

__all__ = ["Supervisor", "answer_claim"]

#: The longest time from a claim to its end: a ClientHello is fresh for 20 seconds, or 30 if the
#: client's clock runs fast. Without a limit, a worker could fill the cache permanently.
MAX_CLAIM_TIME = timedelta(seconds=60)


class Supervisor:
    """Control the workers of :func:`serve_in_processes`, which returns it to ``nursery.start``.

    Attributes:
        addresses: the addresses that the workers listen on, as :meth:`socket.socket.getsockname`.
    """

    addresses: list[SocketAddress]

    def __init__(
        self,
        pool: WorkerPool,
        keys: SharedTicketKeys,
        ech_keys: SharedECHKeys,
        sockets: Sequence[trio.socket.SocketType],
        drain_timeout: float,
    ) -> None:
        self.addresses = list(dict.fromkeys(sock.getsockname() for sock in sockets))
        self._pool = pool
        self._keys = keys
        self._ech_keys = ech_keys
        self._sockets = sockets
        self._drain_timeout = drain_timeout

    @property
    def port(self) -> int:
        """The TCP port of the first address; for port 0, the port that the system selected."""
        return int(self.addresses[0][1])

    @property
    def pids(self) -> tuple[int | None, ...]:
        """The process ID of each worker; None while it is being restarted."""
        return self._pool.pids

    async def restart_workers(self) -> None:
        """Replace all workers with new processes, one after the other; SIGHUP does the same.

        The new processes import the program again. Each worker drains when its successor has
        started. If cancelled, some workers are replaced and the others are not.

        If ``ech_keys`` is a function, it is called first. All workers can decrypt with the new
        keys before these become the current ones, when all workers are replaced. The previous keys
        still decrypt, until the next change.

        Raises:
            ConfigError: the ECH keys cannot be used. Nothing has changed. Other exceptions of the
                function are raised unchanged.
            WorkerError: a successor could not start. Its predecessor, and the workers that were
                not replaced yet, continue.
        """
        changed = self._ech_keys.load()
        if changed:
            self._send_ech_keys()
        await self._pool.replace_all()
        if changed:
            self._ech_keys.publish()
            self._send_ech_keys()

    def stop(self, drain_timeout: float | None = None) -> None:
        """Stop the workers, and with them :func:`serve_in_processes`; SIGTERM does the same.

        The workers serve the connections that are in the queues of the listening sockets, and
        accept no others. A second call can shorten the time, also to 0.

        Args:
            drain_timeout: the time for connections to finish, in seconds; by default that of
                :func:`serve_in_processes`.
        """
        self._pool.stop(self._drain_timeout if drain_timeout is None else drain_timeout)
        for sock in self._sockets:
            sock.close()

    def use_ticket_keys(self, keys: Sequence[bytes] = ()) -> None:
        """Replace the ticket keys of all workers, and with them all tickets.

        Args:
            keys: as for :meth:`TicketKeys.use`; the caller then rotates them. Without keys, the
                supervisor creates new ones and rotates them, and no older ticket can be used.

        Raises:
            ConfigError: a key has the wrong type or length.
        """
        self._keys.use(keys)
        self._pool.send(UseTicketKeys(self._keys.keys))

    def use_ech_keys(self, keys: ECHKey | Sequence[ECHKey]) -> None:
        """Replace the ECH keys of all workers.

        Args:
            keys: as for :meth:`ECHKeys.use`. First pass the new key as the last one, so that all
                workers can decrypt before one of them sends the new configuration.

        Raises:
            ConfigError: as for :meth:`ECHKeys.use`.
        """
        self._ech_keys.use(keys)
        self._send_ech_keys()

    def _send_ech_keys(self) -> None:
        self._pool.send(UseECHKeys(self._ech_keys.pem))

    def __repr__(self) -> str:
        return f"<Supervisor, pids {self.pids}>"


def answer_claim(cache: MemoryAntiReplayCache, claim: Claim) -> bool:
    """Answer a worker's claim."""
    if claim.until > utc_now() + MAX_CLAIM_TIME:
        return False
    return cache.claim(claim.identifier, claim.since, claim.until)
