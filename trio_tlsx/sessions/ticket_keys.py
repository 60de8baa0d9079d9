"""The keys that encrypt a server's session tickets (RFC 9846 4.7.1)."""

from __future__ import annotations

import datetime
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import urandom

from ..arguments import BYTES, CLOCK, INT, Expected, check, sequence_of
from ..clock import Clock, utc_now
from ..errors import ConfigError
from .sealing import KEY_LENGTH, seal, unseal

__all__ = ["TicketKeys"]

KEYS = Expected(sequence_of(BYTES), "a list of keys of 32 random bytes, [secrets.token_bytes(32)]")

NAME_LENGTH = 8

DEFAULT_LIFETIME = 2 * 3600
MAX_LIFETIME = 7 * 24 * 3600  # RFC 9846 4.7.1


@dataclass(slots=True, eq=False)
class _TicketKey:
    """One key. Its name is on each ticket that it sealed, and reveals nothing about the key."""

    name: bytes
    key: bytes = field(repr=False)
    since: datetime.datetime

    @classmethod
    def make(cls, key: bytes, since: datetime.datetime) -> _TicketKey:
        name = hmac.digest(key, b"trio-tlsx ticket key name", "sha256")[:NAME_LENGTH]
        return cls(name, key, since)


class TicketKeys:
    """Encrypt session tickets, and decrypt the tickets that were encrypted with the same keys.

    Without ``keys`` the object creates its own, and rotates them. A key encrypts tickets for
    ``lifetime`` seconds. It then decrypts them until its last ticket expires, and is discarded:
    an attacker who breaks in later cannot decrypt recorded tickets. Only this object can decrypt
    such tickets; several configurations may share it.

    Processes and machines with the same ``keys`` accept each other's tickets. The caller has to
    rotate such keys, with :meth:`use`.

    Args:
        keys: 32 random bytes each. The first encrypts, all decrypt.
        lifetime: the lifetime of a ticket, in seconds, 1 to 604,800 (a week).
        clock: returns the time, with a time zone.

    Raises:
        ConfigError: an argument has the wrong type, a key has the wrong length, or the lifetime
            is out of range.
    """

    def __init__(
        self,
        keys: Sequence[bytes] = (),
        *,
        lifetime: int = DEFAULT_LIFETIME,
        clock: Clock = utc_now,
    ) -> None:
        check("lifetime", lifetime, Expected(INT, "a number of seconds"))
        check("clock", clock, CLOCK)
        check("keys", keys, KEYS)
        if not 1 <= lifetime <= MAX_LIFETIME:
            raise ConfigError(
                f"the lifetime of tickets is {lifetime} seconds; pass 1 to {MAX_LIFETIME}"
            )
        self.lifetime = lifetime
        self._clock = clock
        self._rotates = not keys
        self._keys: tuple[_TicketKey, ...] = ()
        if keys:
            self.use(keys)

    def use(self, keys: Sequence[bytes]) -> None:
        """Replace the keys.

        Args:
            keys: 32 random bytes each. The first encrypts, all decrypt. Keep passing the previous
                keys, after the new one, until their tickets have expired. If several servers
                share the keys, first pass the new key to all of them as the last one, so that
                each can decrypt before any encrypts with it.

        Raises:
            ConfigError: there is no key, or a key has the wrong type or length.
        """
        check("keys", keys, KEYS)
        if not keys:
            raise ConfigError("keys is empty: pass at least one ticket key, which encrypts")
        for key in keys:
            if len(key) != KEY_LENGTH:
                raise ConfigError(
                    f"a ticket key has {len(key)} bytes, not {KEY_LENGTH}: "
                    f"pass secrets.token_bytes({KEY_LENGTH})"
                )
        self._rotates = False
        now = self._clock()
        self._keys = tuple(_TicketKey.make(bytes(key), now) for key in keys)

    def seal(self, state: bytes, context: bytes) -> bytes:
        """Encrypt ``state`` into a ticket; ``context`` is needed to open it again."""
        self._rotate()
        newest = self._keys[0]
        return newest.name + seal(newest.key, state, context)

    def open(self, ticket: bytes, context: bytes) -> bytes | None:
        """Return the state; None if no key opens the ticket, or it has another context."""
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
        # A key seals for one lifetime; its last ticket expires one lifetime later.
        keys = tuple(key for key in self._keys if now - key.since < 2 * lifetime)
        if not keys or now - keys[0].since >= lifetime:
            keys = (_TicketKey.make(urandom(KEY_LENGTH), now), *keys)
        self._keys = keys

    def __repr__(self) -> str:
        return f"<TicketKeys, {len(self._keys)} keys>"
