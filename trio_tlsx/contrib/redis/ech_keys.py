"""ECH keys in Redis, which all servers rotate together (RFC 9849)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import trio

from ...arguments import INT, Expected, check
from ...errors import ConfigError
from ...pki.ech import DEFAULT_NAME_LENGTH, ECHKey, KemName
from ...pki.ech_keys import ECHKeys
from .connections import RedisConnections
from .rotation import KeyRotation

__all__ = ["RedisECHKeys"]

#: How long a key decrypts after it was current, in seconds. Resolvers may cache its configuration
#: for this time.
DEFAULT_ECH_LIFETIME = 24 * 3600
MAX_ECH_LIFETIME = 366 * 24 * 3600

#: The keys that a server proposes at a time: of the present period and the next.
MAX_PROPOSED = 2


class RedisECHKeys(ECHKeys):
    """ECH keys that all servers with the same Redis server share and rotate.

    A key is the current one for half of ``lifetime``, and decrypts for one ``lifetime`` more. All
    servers have it half of ``lifetime`` before it becomes the current one. So if one server
    rejects a client, each server accepts the client's second attempt. Pass the object as
    ``ech_keys`` to each configuration, start :meth:`run` in a nursery, and publish the result of
    :meth:`wait_config_list`.

    The time is that of Redis, so the clocks of the servers do not matter. Redis never sees a
    private key: each one is encrypted with a key-encryption key. Until the first answer of Redis,
    the object has a key of its own, which no other server has. If Redis fails later, the object
    uses the keys that it has.

    Args:
        redis: the connections, whose ``run`` has been started.
        key_encryption_keys: 32 random bytes each. The first encrypts, all decrypt. To replace one,
            first add the new key at the end on all servers, then move it to the front, and remove
            the old one after ``lifetime``. They can be those of :class:`RedisTicketKeys`.
        public_name: the public name of all keys, as for :meth:`ECHKey.generate`.
        kem: the key exchange of new keys, as for :meth:`ECHKey.generate`.
        maximum_name_length: as for :meth:`ECHKey.generate`.
        lifetime: how long a key decrypts after it was current, in seconds, 2 to 31,622,400 (a
            year). Set it to at least twice the TTL of the DNS records.
        prefix: the start of the keys in Redis.

    Raises:
        ConfigError: an argument has the wrong type, a key has the wrong length, the public name is
            invalid, or the lifetime is out of range.
    """

    def __init__(
        self,
        redis: RedisConnections,
        key_encryption_keys: Sequence[bytes],
        public_name: str,
        *,
        kem: KemName = "X25519",
        maximum_name_length: int = DEFAULT_NAME_LENGTH,
        lifetime: int = DEFAULT_ECH_LIFETIME,
        prefix: str = "trio-tlsx",
    ) -> None:
        check("lifetime", lifetime, Expected(INT, "a number of seconds"))
        if lifetime > MAX_ECH_LIFETIME:
            raise ConfigError(f"lifetime is {lifetime}; pass at most {MAX_ECH_LIFETIME} seconds")
        self._public_name = public_name
        self._kem: KemName = kem
        self._maximum_name_length = maximum_name_length
        self._loaded: dict[bytes, ECHKey] = {}  # those that are in Redis
        self._proposed: deque[ECHKey] = deque(maxlen=MAX_PROPOSED)
        self._changed = trio.Event()
        self._shared = False
        super().__init__(self._generate())
        self._rotation = KeyRotation(
            "ECH keys",
            f"ech-keys:{lifetime}:{public_name}",
            redis,
            key_encryption_keys,
            lifetime,
            prefix,
            create=self._create,
            is_key=self._is_key,
            use=self._use_pem,
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

    async def wait_config_list(self, published: bytes | None = None) -> bytes:
        """Wait until the current configuration differs from the published one, and return it.

        If cancelled, nothing has changed.

        Args:
            published: the ECHConfigList that this method returned last. On the first call pass
                None; the method then waits until Redis has answered.

        Returns:
            The ECHConfigList to publish in DNS. All servers can decrypt a ClientHello that is
            encrypted to it.
        """
        await trio.lowlevel.checkpoint()
        while not self._shared or self.keys[0].config_list == published:
            await self._changed.wait()
        return self.keys[0].config_list

    def _generate(self) -> ECHKey:
        return ECHKey.generate(
            self._public_name,
            kem=self._kem,
            maximum_name_length=self._maximum_name_length,
            other_ids=[key.config.config_id for key in (*self._loaded.values(), *self._proposed)],
        )

    def _create(self) -> bytes:
        key = self._generate()
        self._proposed.append(key)
        return key.to_pem()

    def _is_key(self, pem: bytes) -> bool:
        """Return whether this is a key for the same public name, of this or another server."""
        if pem not in self._loaded:
            try:
                key = ECHKey.from_pem(pem)
            except ConfigError:
                return False
            if key.config.public_name != self._public_name:
                return False
            self._loaded[pem] = key
        return True

    def _use_pem(self, keys: Sequence[bytes]) -> None:
        self._loaded = {pem: self._loaded[pem] for pem in keys}
        self.use(tuple(self._loaded.values()))
        self._shared = True
        self._changed.set()
        self._changed = trio.Event()

    def __repr__(self) -> str:
        return f"<RedisECHKeys, {len(self._rotation.known)} keys, {self.problem or 'shared'}>"
