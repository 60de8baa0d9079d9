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

MIN_KEY_LENGTH = 16  # RFC 9257 6: there must be 128 bits of entropy in it

#: In bytes, each. All that a client offers has to go into one extension, beside a ticket.
MAX_IDENTITY_LENGTH = MAX_CONTEXT_LENGTH = 1024

#: Keys that a client offers.
MAX_PSKS = 4

HashName: TypeAlias = Literal["SHA256", "SHA384"]

PSK_HASHES: Mapping[HashName, Hash] = {"SHA256": hashlib.sha256, "SHA384": hashlib.sha384}


@dataclass(frozen=True, slots=True)
class ExternalPSK:
    """A pre-shared key, which one client and one server were given beforehand.

    Having it, both know who the other is, and need no certificates. It is for one client and one
    server: of several who have the same key each can pass for any other (RFC 9257 4.1).

    Args:
        identity: what the server looks the key up by: 1 to 1,024 bytes. Anybody on the way can
            read it, and know a client again by it.
        key: random bytes, 16 at least; best made by :func:`secrets.token_bytes`. A password will
            not do: who has recorded one handshake can try all of them (RFC 9846 2.2).
        context: where the key is from, and who is to use it with whom: up to 1,024 bytes, which
            both sides must give alike. With the roles in it, a peer that has the key too cannot
            be made to talk to itself (RFC 9258 A). Only for imported keys.
        hash: the hash function that goes with the key.
        imported: use a key that is derived from this one for each hash of the cipher suites
            (RFC 9258), as both sides must. Without it the key itself is used, and only with
            cipher suites of its hash, as peers want it that know nothing of RFC 9258.

    Raises:
        ConfigError: something is of the wrong length or kind.
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
                raise ConfigError(f"the {name} of a PSK is bytes, not {type(octets).__name__}")
        if not 1 <= len(self.identity) <= MAX_IDENTITY_LENGTH:
            raise ConfigError(
                f"the identity of a PSK has {len(self.identity)} bytes; "
                f"1 to {MAX_IDENTITY_LENGTH} are allowed"
            )
        if len(self.key) < MIN_KEY_LENGTH:
            raise ConfigError(
                f"a PSK has {len(self.key)} bytes; it needs {MIN_KEY_LENGTH} random ones at least"
            )
        if len(self.context) > MAX_CONTEXT_LENGTH:
            raise ConfigError(
                f"the context of a PSK has {len(self.context)} bytes; "
                f"at most {MAX_CONTEXT_LENGTH} are allowed"
            )
        if self.hash not in PSK_HASHES:
            known = " or ".join(map(repr, PSK_HASHES))
            raise ConfigError(f"the hash of a PSK is {known}, not {self.hash!r}")
        if self.imported:
            return
        if self.context:
            raise ConfigError("a PSK has a context only if it is imported")
        if ImportedIdentity.decode(self.identity) is not None:
            # RFC 9258 8: nothing in the handshake would tell it from an imported one.
            raise ConfigError("the identity of this PSK looks like that of an imported one")

    @property
    def hash_function(self) -> Hash:
        """What ``hash`` names."""
        return PSK_HASHES[self.hash]


#: Gives the key of an identity, at once or later; None where there is none.
FindPSK: TypeAlias = Callable[[bytes], ExternalPSK | Awaitable[ExternalPSK | None] | None]

#: The keys of a server: all of them, or by their identities, or what looks them up.
PSKs: TypeAlias = Sequence[ExternalPSK] | Mapping[bytes, ExternalPSK] | FindPSK


def list_psks(psks: Sequence[ExternalPSK]) -> tuple[ExternalPSK, ...]:
    """The keys that a client offers, checked."""
    listed = tuple(psks)
    if len({psk.identity for psk in listed}) < len(listed):
        raise ConfigError("several of the psks have the same identity")
    return listed


def psk_finder(psks: PSKs) -> FindPSK | None:
    """What gives a server its keys; None where it has none."""
    if callable(psks):
        return psks
    if isinstance(psks, Mapping):
        return psks.get
    by_identity = {psk.identity: psk for psk in list_psks(psks)}
    return by_identity.get if by_identity else None
