"""The ECH keys of all workers, in the supervisor (RFC 9849)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..arguments import CALLABLE, Expected, any_of, check
from ..pki.ech import ECHKey
from ..pki.ech_keys import ONE_OR_SEVERAL_KEYS, ECHKeys, OneOrSeveralKeys

__all__ = ["ECHKeySource", "SharedECHKeys"]

ECHKeySource: TypeAlias = "OneOrSeveralKeys | Callable[[], OneOrSeveralKeys]"

_SOURCE = Expected(
    any_of(ONE_OR_SEVERAL_KEYS.predicate, CALLABLE),
    f"{ONE_OR_SEVERAL_KEYS.advice}, or a function that returns them",
)


class SharedECHKeys(ECHKeys):
    """ECH keys that change in all workers together.

    The workers receive a change at slightly different times. So each can decrypt with a new key
    before one of them sends the new configuration: the second attempt of a client is accepted.

    Args:
        source: the keys, the current one first; or a function that returns them, which
            :meth:`load` calls again.

    Raises:
        ConfigError: an argument has the wrong type.
    """

    def __init__(self, source: ECHKeySource = ()) -> None:
        check("ech_keys", source, _SOURCE)
        self._source = source if callable(source) else None
        super().__init__(source() if callable(source) else source)
        self._published = self._loaded = self.keys

    @property
    def pem(self) -> tuple[bytes, ...]:
        """The keys in PEM, as the workers receive them."""
        return tuple(key.to_pem() for key in self.keys)

    def load(self) -> bool:
        """Call the function again; return whether its keys have changed.

        At first new keys only decrypt. Call :meth:`publish` when all workers have them.

        Raises:
            ConfigError: the keys cannot be used; see :meth:`ECHKeys.use`.
        """
        if self._source is None:
            return False
        loaded = ECHKeys(self._source()).keys
        if _configs(loaded) == _configs(self._published):
            return False
        before = self.keys
        self.use(loaded)  # checks them
        self.use(_each_once(*before, *loaded))
        self._loaded = loaded
        return True

    def publish(self) -> None:
        """Make the loaded keys the current ones; the previous keys still decrypt."""
        self.use(_each_once(*self._loaded, *self._published))
        self._published = self._loaded


def _configs(keys: tuple[ECHKey, ...]) -> list[bytes]:
    return [key.config.encoded for key in keys]


def _each_once(*keys: ECHKey) -> tuple[ECHKey, ...]:
    found: dict[bytes, ECHKey] = {}
    for key in keys:
        found.setdefault(key.config.encoded, key)
    return tuple(found.values())
