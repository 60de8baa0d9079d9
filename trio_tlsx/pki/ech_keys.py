"""The keys of Encrypted Client Hello that a server has, which change while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ..arguments import Expected, any_of, check, instance_of, sequence_of
from ..errors import ConfigError
from .credentials import Credentials
from .ech import ECHKey

__all__ = ["ONE_OR_SEVERAL_KEYS", "ECHKeys", "OneOrSeveralKeys", "check_public_names"]

OneOrSeveralKeys: TypeAlias = "ECHKey | Sequence[ECHKey]"

#: The most keys of one server: each has a ``config_id`` of its own.
MAX_ECH_KEYS = 255

ONE_OR_SEVERAL_KEYS = Expected(
    any_of(instance_of(ECHKey), sequence_of(instance_of(ECHKey))),
    "an ECHKey, such as ECHKey.from_pem(pem), or several in a list",
)


class ECHKeys:
    """Hold a server's ECH keys, which the program can replace while the server runs.

    Pass the object as ``ServerConfig(ech_keys=)``. Several configurations may share it.

    Args:
        keys: an :class:`ECHKey`, or several, the current one first. All of them decrypt. A client
            that used none of them receives the configuration of the first. Without keys the server
            has no Encrypted Client Hello.

    Attributes:
        public_names: the public names of the first keys. Later keys have no others, since each
            configuration verifies once that it has a certificate for each of them.

    Raises:
        ConfigError: an argument has the wrong type, or there are more than 255 keys.
    """

    public_names: frozenset[str]

    def __init__(self, keys: OneOrSeveralKeys = ()) -> None:
        self._keys = _listed(keys)
        self.public_names = frozenset(key.config.public_name for key in self._keys)

    @property
    def keys(self) -> tuple[ECHKey, ...]:
        """The keys, the current one first."""
        return self._keys

    def use(self, keys: OneOrSeveralKeys) -> None:
        """Replace the keys.

        Args:
            keys: an :class:`ECHKey`, or several, the current one first. Keep passing the previous
                keys, after the new one, for as long as clients may have their configurations. If
                several servers share the keys, first pass the new key to all of them as the last
                one, so that each can decrypt before one of them sends the new configuration.

        Raises:
            ConfigError: there is no key or more than 255, a key has the wrong type, or its public
                name is not in ``public_names``.
        """
        keys = _listed(keys)
        if not keys:
            raise ConfigError("keys is empty: pass at least one ECH key, the current one")
        for key in keys:
            if (name := key.config.public_name) not in self.public_names:
                raise ConfigError(
                    f"the public name of an ECH key is {name!r}, which none of the first keys "
                    f"has: pass keys for {', '.join(map(repr, sorted(self.public_names)))}, or "
                    "create another configuration"
                )
        self._keys = keys

    def __repr__(self) -> str:
        return f"<ECHKeys, {len(self._keys)} keys>"


def check_public_names(keys: ECHKeys, candidates: Sequence[Credentials]) -> None:
    """Check that a server has a certificate for each public name (RFC 9849 8.1.1).

    Raises:
        ConfigError: none of the credentials is for a public name.
    """
    for name in sorted(keys.public_names):
        # RFC 9525 6.3: a wildcard matches exactly one label.
        names = {name.lower(), "*." + name.lower().partition(".")[2]}
        if all(names.isdisjoint(credentials.dns_names) for credentials in candidates):
            raise ConfigError(
                f"no certificate is for {name!r}, the public name of an ECH key: without one a "
                "client with an old configuration cannot get the current one"
            )


def _listed(keys: OneOrSeveralKeys) -> tuple[ECHKey, ...]:
    check("keys", keys, ONE_OR_SEVERAL_KEYS)
    if isinstance(keys, ECHKey):
        return (keys,)
    if len(keys) > MAX_ECH_KEYS:
        raise ConfigError(f"there are {len(keys)} ECH keys; pass at most {MAX_ECH_KEYS}")
    return tuple(keys)
