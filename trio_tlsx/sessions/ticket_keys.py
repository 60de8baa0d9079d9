"""The keys that encrypt a server's session tickets (RFC 9846 4.7.1)."""

from __future__ import annotations

import datetime
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import urandom

from ..arguments import BYTES, CALLABLE, INT, Expected, check, sequence_of
from ..clock import Clock, utc_now
from ..errors import ConfigError
from .sealing import KEY_LENGTH, seal, unseal

__all__ = ["TicketKeys"]

KEYS = Expected(sequence_of(BYTES), "a list of keys of 32 random bytes, [secrets.token_bytes(32)]")

NAME_LENGTH = 8

DEFAULT_LIFETIME = 2 * 3600
MAX_LIFETIME = 7 * 24 * 3600  # RFC 9846 4.7.1


@dataclass(frozen=True, slots=True)
class _TicketKey:
    """One key; its name is on each ticket that it sealed, and says nothing about it."""

    name: bytes
    key: bytes = field(repr=False)
    since: datetime.datetime

    @classmethod
    def make(cls, key: bytes, since: datetime.datetime) -> _TicketKey:
        name = hmac.digest(key, b"trio-tlsx ticket key name", "sha256")[:NAME_LENGTH]
        return cls(name, key, since)


class TicketKeys:
    """Seals session tickets, and opens those that it or its like have sealed.

    Without keys from outside it makes its own, and a new one whenever the last is ``lifetime``
    old: that one still opens until its last ticket has ended, and is forgotten then, so that who
    breaks in later cannot open what was recorded before. Such tickets are good for this object
    only: share it between configurations, and it serves them all.

    Several processes or machines that share keys open each other's tickets. Whoever gives the
    keys rotates them: :meth:`use` takes the new ones.

    Args:
        keys: 32 random bytes each: the first seals, all open.
        lifetime: how long a ticket can be used, in seconds: at most a week.
        clock: gives the time, with a time zone.

    Raises:
        ConfigError: a key is of the wrong length, or the lifetime out of range.
    """

    def __init__(
        self,
        keys: Sequence[bytes] = (),
        *,
        lifetime: int = DEFAULT_LIFETIME,
        clock: Clock = utc_now,
    ) -> None:
        check("lifetime", lifetime, Expected(INT, "a number of seconds"))
        check("clock", clock, Expected(CALLABLE, "a function that returns the time"))
        check("keys", keys, KEYS)
        if not 1 <= lifetime <= MAX_LIFETIME:
            raise ConfigError(
                f"the lifetime of tickets is {lifetime} seconds; 1 to {MAX_LIFETIME} are allowed"
            )
        self.lifetime = lifetime
        self._clock = clock
        self._rotates = not keys
        self._keys: tuple[_TicketKey, ...] = ()
        if keys:
            self.use(keys)

    def use(self, keys: Sequence[bytes]) -> None:
        """Go on with keys from outside.

        Args:
            keys: 32 random bytes each: the first seals, all open. Give the keys before them too,
                for as long as their tickets shall be good; and give a new key to those who open
                before the first seals with it.

        Raises:
            ConfigError: there is no key, or one is of the wrong length.
        """
        check("keys", keys, KEYS)
        if not keys:
            raise ConfigError("there are no ticket keys: the first of them seals")
        for key in keys:
            if len(key) != KEY_LENGTH:
                raise ConfigError(f"a ticket key has {len(key)} bytes; it must have {KEY_LENGTH}")
        self._rotates = False
        now = self._clock()
        self._keys = tuple(_TicketKey.make(bytes(key), now) for key in keys)

    def seal(self, state: bytes, context: bytes) -> bytes:
        """A ticket that holds ``state`` and is good under ``context`` only."""
        self._rotate()
        newest = self._keys[0]
        return newest.name + seal(newest.key, state, context)

    def open(self, ticket: bytes, context: bytes) -> bytes | None:
        """The state; None where the ticket is not one of ours, or not of this context."""
        self._rotate()
        name, sealed = ticket[:NAME_LENGTH], ticket[NAME_LENGTH:]
        for key in self._keys:
            if key.name == name:
                return unseal(key.key, sealed, context)
        return None

    def _rotate(self) -> None:
        if not self._rotates:
            return
        now = self._clock()
        lifetime = datetime.timedelta(seconds=self.lifetime)
        # A key seals for one lifetime, and what it sealed last ends after another.
        keys = tuple(key for key in self._keys if now - key.since < 2 * lifetime)
        if not keys or now - keys[0].since >= lifetime:
            keys = (_TicketKey.make(urandom(KEY_LENGTH), now), *keys)
        self._keys = keys

    def __repr__(self) -> str:
        return f"<TicketKeys, {len(self._keys)} keys>"
