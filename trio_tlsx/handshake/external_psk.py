"""External pre-shared keys in a ClientHello (RFC 9846 4.3.11)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from os import urandom
from typing import Any

from ..crypto.cipher_suites import CipherSuite
from ..errors import ConfigError
from ..sessions.external_psk import PSK_HASHES, ExternalPSK, FindPSK, HashName
from ..sessions.psk_import import ImportedIdentity, import_key
from .psk import Psk
from .questions import PSKWanted
from .steps import Handshake, Steps

__all__ = ["find_psks", "psks_of"]


def psks_of(external: ExternalPSK, suites: Iterable[CipherSuite]) -> Iterator[Psk[Any]]:
    """Return the PSKs of an external key for these suites, one for each hash if imported."""
    for suite in {suite.hash: suite for suite in suites}.values():
        if external.imported:
            identity = ImportedIdentity.of(external.identity, external.context, suite)
            secret = import_key(external.key, external.hash_function, identity, suite)
            yield Psk(identity.encode(), 0, suite, secret, external=external)
        elif suite.hash is external.hash_function:
            yield Psk(external.identity, 0, suite, external.key, external=external)


def find_psks(
    hs: Handshake,
    find: FindPSK | None,
    identities: Sequence[bytes],
    suites: Sequence[CipherSuite],
    *,
    needed: bool,
) -> Steps[Sequence[Psk[Any]]]:
    """Find the offered keys that this server has.

    Args:
        find: looks up a key; None if the server has no external keys.
        suites: the cipher suites that the keys must fit.
        needed: whether the handshake fails without a key, because the server has no certificate.
            Then an attacker must not learn which identities exist: each unknown identity gets a
            random key, so that the same computations end with the same alert as for a wrong binder
            (RFC 9846 6.2).
    """
    if find is None:
        return []
    answers: dict[bytes, ExternalPSK | None] = {}
    known: list[Psk[Any]] = []
    unknown: list[Psk[Any]] = []
    for identity in identities:
        placeholder = placeholder_psk(identity, suites[0])
        if placeholder is None:
            continue
        if placeholder.identity not in answers:
            answers[placeholder.identity] = yield from hs.ask(
                PSKWanted(placeholder.identity, find)
            )
        external = answers[placeholder.identity]
        psks: Sequence[Psk[Any]] = ()
        if external is not None and matches(external, placeholder):
            psks = offered_as(identity, external, suites)
        known += psks
        unknown += psks or offered_as(identity, placeholder, suites)
    return known if known or not needed else unknown


def offered_as(
    identity: bytes, external: ExternalPSK, suites: Sequence[CipherSuite]
) -> Sequence[Psk[Any]]:
    return [psk for psk in psks_of(external, suites) if psk.identity == identity]


def placeholder_psk(identity: bytes, suite: CipherSuite) -> ExternalPSK | None:
    """Return a random key with this identity; None if the identity cannot have a key."""
    imported = ImportedIdentity.decode(identity)
    key = urandom(32)
    try:
        if imported is None:
            name: HashName = next(
                name for name, function in PSK_HASHES.items() if function is suite.hash
            )
            return ExternalPSK(identity, key, hash=name, imported=False)
        return ExternalPSK(imported.external_identity, key, context=imported.context)
    except ConfigError:
        return None


def matches(external: ExternalPSK, placeholder: ExternalPSK) -> bool:
    return (external.imported, external.context) == (placeholder.imported, placeholder.context)
