"""The ticket keys of all workers, in the supervisor."""

from __future__ import annotations

from collections.abc import Sequence
from os import urandom

from ..sessions.sealing import KEY_LENGTH
from ..sessions.ticket_keys import DEFAULT_LIFETIME, TicketKeys

__all__ = ["SharedTicketKeys"]


class SharedTicketKeys:
    """Ticket keys that rotate in all workers together.

    The workers receive a change at slightly different times. So each has the next key before one
    of them encrypts with it: every worker can decrypt the tickets of the others.

    Args:
        keys: 32 random bytes each: the first encrypts, all decrypt. Without keys the object
            creates its own, which :meth:`rotate` replaces.
        lifetime: the lifetime of a ticket, in seconds.

    Raises:
        ConfigError: a key has the wrong type or length, or the lifetime is out of range.

    Attributes:
        lifetime: the lifetime of a ticket, in seconds.
        keys: the keys, in the order that :meth:`TicketKeys.use` expects.
        rotates: whether the keys are the object's own.
    """

    keys: tuple[bytes, ...]
    rotates: bool

    def __init__(self, keys: Sequence[bytes] = (), lifetime: int = DEFAULT_LIFETIME) -> None:
        TicketKeys(lifetime=lifetime)  # checks it
        self.lifetime = lifetime
        self.use(keys)

    def use(self, keys: Sequence[bytes] = ()) -> None:
        """Replace all keys; without ``keys``, create new ones.

        Raises:
            ConfigError: a key has the wrong type or length.
        """
        TicketKeys(keys)  # checks them
        self.rotates = not keys
        self.keys = tuple(keys) or (urandom(KEY_LENGTH), urandom(KEY_LENGTH))

    def rotate(self) -> None:
        """Encrypt with the next key, and create the one after it.

        The previous key still decrypts: its last tickets expire one lifetime later.
        """
        current, following = self.keys[0], self.keys[-1]
        self.keys = (following, current, urandom(KEY_LENGTH))

    def __repr__(self) -> str:
        return f"<SharedTicketKeys, {len(self.keys)} keys>"
