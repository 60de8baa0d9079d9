"""Keys from outside as they stand in a ClientHello: offered, and found again (RFC 9846 4.3.11)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from os import urandom
from typing import Any

from ..config import ServerConfig
from ..errors import ConfigError
from ..external_psk import ExternalPSK
from .handshake import Handshake, Steps
from .importer import ImportedIdentity, import_key
from .psk import Psk
from .questions import PSKWanted
from .suites import CipherSuite

__all__ = ["find_psks", "psks_of"]


def psks_of(external: ExternalPSK, suites: Iterable[CipherSuite]) -> Iterator[Psk[Any]]:
    """What a key is with these suites: imported, a key for each of their hashes."""
    for suite in {suite.hash: suite for suite in suites}.values():
        if external.imported:
            identity = ImportedIdentity.of(external.identity, external.context, suite)
            secret = import_key(external.key, external.hash_function, identity, suite)
            yield Psk(identity.encode(), 0, suite, secret, external=external)
        elif suite.hash is external.hash_function:
            yield Psk(external.identity, 0, suite, external.key, external=external)


def find_psks(
    hs: Handshake, config: ServerConfig, identities: Sequence[bytes], *, needed: bool
) -> Steps[Sequence[Psk[Any]]]:
    """Those of the keys offered that this server has.

    Args:
        needed: there are no certificates to go on with. Whoever guesses at identities shall not
            learn then which of them exist (RFC 9846 6.2): the others get a key that nobody has,
            and fail as a wrong binder does.
    """
    if config.find_psk is None:
        return []
    supposed = [psk for psk in map(suppose, identities) if psk is not None]
    found: list[ExternalPSK] = []
    for identity in dict.fromkeys(psk.identity for psk in supposed):
        psk = yield from hs.ask(PSKWanted(identity, config.find_psk))
        if psk is not None:
            found.append(psk)
    known = offered_among(identities, found, config)
    return known if known or not needed else offered_among(identities, supposed, config)


def suppose(identity: bytes) -> ExternalPSK | None:
    """A key of this identity that nobody has; None where there can be no such key."""
    imported = ImportedIdentity.decode(identity)
    try:
        if imported is None:
            return ExternalPSK(identity, urandom(32), imported=False)
        return ExternalPSK(imported.external_identity, urandom(32), context=imported.context)
    except ConfigError:
        return None


def offered_among(
    identities: Sequence[bytes], externals: Iterable[ExternalPSK], config: ServerConfig
) -> Sequence[Psk[Any]]:
    suites = config.suite_table.values()
    psks = {psk.identity: psk for external in externals for psk in psks_of(external, suites)}
    return [psks[identity] for identity in identities if identity in psks]
