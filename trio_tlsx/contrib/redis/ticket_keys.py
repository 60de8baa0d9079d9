"""Ticket keys in Redis, which all servers rotate together (RFC 9846 4.7.1)."""

from __future__ import annotations

from collections.abc import Sequence
from os import urandom

import trio

from ...clock import Clock, utc_now
from ...sessions.sealing import KEY_LENGTH
from ...sessions.ticket_keys import DEFAULT_LIFETIME, TicketKeys
from .connections import RedisConnections
from .rotation import KeyRotation

__all__ = ["RedisTicketKeys"]


class RedisTicketKeys(TicketKeys):
    """Ticket keys that all servers with the same Redis server share and rotate.

    A key encrypts for half of ``lifetime``, and decrypts for one ``lifetime`` more. Pass the
    object as ``ticket_keys`` to each configuration, and start :meth:`run` in a nursery.

    The time is that of Redis, so the clocks of the servers do not matter. Redis never sees a key:
    each one is encrypted with a key-encryption key. Until the first answer of Redis, the object
    uses a key of its own. If Redis fails later, the object uses the keys that it has.

    Args:
        redis: the connections, whose ``run`` has been started.
        key_encryption_keys: 32 random bytes each. The first encrypts, all decrypt. To replace one,
            first add the new key at the end on all servers, then move it to the front, and remove
            the old one after ``lifetime``.
        lifetime: the lifetime of a ticket, in seconds, 2 to 604,800 (a week).
        prefix: the start of the keys in Redis.
        clock: returns the time, with a time zone.

    Raises:
        ConfigError: an argument has the wrong type, a key has the wrong length, or the lifetime is
            out of range.
    """

    def __init__(
        self,
        redis: RedisConnections,
        key_encryption_keys: Sequence[bytes],
        *,
        lifetime: int = DEFAULT_LIFETIME,
        prefix: str = "trio-tlsx",
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(lifetime=lifetime, clock=clock)
        self._rotation = KeyRotation(
            "ticket keys",
            f"ticket-keys:{lifetime}",
            redis,
            key_encryption_keys,
            lifetime,
            prefix,
            create=lambda: urandom(KEY_LENGTH),
            is_key=lambda key: len(key) == KEY_LENGTH,
            use=self.use,
        )

    @property
    def problem(self) -> str | None:
        """Why the keys are not shared and current, as a sentence; None if they are."""
        return self._rotation.problem

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read, create and rotate the keys, until cancelled.

        ``await nursery.start(keys.run)`` returns after the first attempt, whatever its result is.
        """
        await self._rotation.run(task_status=task_status)

    def __repr__(self) -> str:
        return f"<RedisTicketKeys, {len(self._rotation.known)} keys, {self.problem or 'shared'}>"
