"""External pre-shared keys (RFC 9257)."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, TypeAlias

from ..crypto.cipher_suites import Hash
from ..errors import ConfigError
from .psk_import import ImportedIdentity

__all__ = ["ExternalPSK", "FindPSK", "PSKs", "list_psks", "psk_finder"]

MIN_KEY_LENGTH = 16  # RFC 9257 6: a key needs 128 bits of entropy

#: In bytes, each. All PSKs that a client offers must fit into one extension, with a ticket.
MAX_IDENTITY_LENGTH = MAX_CONTEXT_LENGTH = 1024

#: The most PSKs that a client offers.
MAX_PSKS = 4

HashName: TypeAlias = Literal["SHA256", "SHA384"]

PSK_HASHES: Mapping[HashName, Hash] = {"SHA256": hashlib.sha256, "SHA384": hashlib.sha384}


@dataclass(frozen=True, slots=True)
class ExternalPSK:
    """A pre-shared key that one client and one server have exchanged beforehand (RFC 9257).

    The key authenticates both peers to each other, so they need no certificates. Use each key for
    one client and one server only: peers that share a key can impersonate each other
    (RFC 9257 4.1).

    Args:
        identity: the name by which the server looks up the key: 1 to 1,024 bytes. The client
            sends it unencrypted, so observers can read it and can recognize the client by it.
        key: at least 16 random bytes, for example from :func:`secrets.token_bytes`. Do not use a
            password: an attacker who has recorded one handshake can test every password against
            it (RFC 9846 2.2).
        context: the origin of the key and the roles of the peers that use it: up to 1,024 bytes,
            the same on both peers. With the roles in it, an attacker cannot connect a peer that
            is both client and server to itself (RFC 9258 A). Only for imported keys.
        hash: the hash function of the key, ``"SHA256"`` or ``"SHA384"``.
        imported: derive another key from this one for each hash function of the cipher suites
            (RFC 9258). Both peers must do so. If it is false, the peers use the key itself, and
            only with cipher suites of its hash function; peers without RFC 9258 need this.

    Raises:
        ConfigError: an argument has the wrong type or length, ``hash`` is unknown, there is a
            ``context`` without ``imported``, or the identity of a key that is not imported has
            the form of an imported one.
    """

    identity: bytes
    key: bytes = field(repr=False)
    _: KW_ONLY
    context: bytes = b""
    hash: HashName = "SHA256"
    imported: bool = True

    def __post_init__(self) -> None:
        for name, octets in (
            ("identity", self.identity),
            ("key", self.key),
            ("context", self.context),
        ):
            if not isinstance(octets, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(
                    f"the {name} of a PSK is of type {type(octets).__name__}; pass bytes"
                )
        if not 1 <= len(self.identity) <= MAX_IDENTITY_LENGTH:
            raise ConfigError(
                f"the identity of a PSK has {len(self.identity)} bytes; "
                f"pass 1 to {MAX_IDENTITY_LENGTH}"
            )
        if len(self.key) < MIN_KEY_LENGTH:
            raise ConfigError(
                f"the key of a PSK has {len(self.key)} bytes; pass at least {MIN_KEY_LENGTH} "
                f"random bytes, secrets.token_bytes({2 * MIN_KEY_LENGTH})"
            )
        if len(self.context) > MAX_CONTEXT_LENGTH:
            raise ConfigError(
                f"the context of a PSK has {len(self.context)} bytes; "
                f"pass at most {MAX_CONTEXT_LENGTH}"
            )
        if self.hash not in PSK_HASHES:
            known = " or ".join(map(repr, PSK_HASHES))
            raise ConfigError(f"the hash of a PSK is {self.hash!r}; pass {known}")
        if self.imported:
            return
        if self.context:
            raise ConfigError("a PSK with imported=False has a context: leave out one of the two")
        if ImportedIdentity.decode(self.identity) is not None:
            # RFC 9258 8: nothing in the handshake would distinguish it from an imported one.
            raise ConfigError(
                "the identity of a PSK with imported=False has the form of an imported identity "
                "(RFC 9258): pass another identity"
            )

    @property
    def hash_function(self) -> Hash:
        """Return the hash function that ``hash`` names."""
        return PSK_HASHES[self.hash]


#: Returns the key of an identity, None if there is none, or an awaitable of either.
FindPSK: TypeAlias = Callable[[bytes], ExternalPSK | Awaitable[ExternalPSK | None] | None]

#: The keys of a server: a sequence, a mapping by identity, or a function that looks them up.
PSKs: TypeAlias = Sequence[ExternalPSK] | Mapping[bytes, ExternalPSK] | FindPSK


def list_psks(psks: Sequence[ExternalPSK]) -> tuple[ExternalPSK, ...]:
    """Return the keys as a tuple.

    Raises:
        ConfigError: two keys have the same identity.
    """
    listed = tuple(psks)
    if len({psk.identity for psk in listed}) < len(listed):
        raise ConfigError("two of the psks have the same identity: pass one key for each identity")
    return listed


def psk_finder(psks: PSKs) -> FindPSK | None:
    """Return a function that looks up a server's keys by identity; None if there are no keys.

    Raises:
        ConfigError: two keys of a sequence have the same identity.
    """
    if callable(psks):
        return psks
    if isinstance(psks, Mapping):
        return psks.get
    by_identity = {psk.identity: psk for psk in list_psks(psks)}
    return by_identity.get if by_identity else None
