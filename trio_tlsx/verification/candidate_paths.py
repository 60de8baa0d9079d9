"""The paths that a chain offers, whatever else is wrong with its certificates.

The verifier's refusal names one path at most, and not always the one that was meant. This search
collects all, within bounds: a path is a row of certificates each of which was signed with the key
of the next. It ends at a trusted certificate.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from cryptography import x509

from ..pki.certificates import MALFORMED, extension_of
from ..pki.distinguished_names import Canonical, issuer_name, subject_name
from ..pki.issuance import SignatureChecks
from ..pki.trust import TrustStore

__all__ = ["Candidates", "Path", "find_candidates", "is_self_issued", "on_the_way"]

Path: TypeAlias = tuple[x509.Certificate, ...]

Issuers: TypeAlias = dict[x509.Certificate, list[x509.Certificate]]

#: Of all paths so many are looked at, and none that has more certificates than that.
MAX_PATHS = 32
MAX_PATH_LENGTH = 12


@dataclass(slots=True)
class Candidates:
    """The result of the search.

    Attributes:
        issuers: for each certificate that was reached, the certificates that issued it: the
            signature is right, or cannot be checked here.
        others: for each certificate that was reached, those that have its issuer's name but did
            not sign it.
        trusted: the trusted certificates that were reached.
        complete: whether all signatures were checked within the bounds.
    """

    issuers: Issuers = field(default_factory=Issuers)
    others: Issuers = field(default_factory=Issuers)
    trusted: set[x509.Certificate] = field(default_factory=set[x509.Certificate])
    complete: bool = True

    def paths(self, leaf: x509.Certificate) -> list[Path]:
        """Return paths from the leaf to a trusted certificate, at most ``MAX_PATHS``."""
        return [
            *itertools.islice(
                self._extend((leaf,), _leading_to(self.trusted, self.issuers)), MAX_PATHS
            )
        ]

    def _extend(self, path: Path, leading: set[x509.Certificate]) -> Iterator[Path]:
        if path[-1] in self.trusted:
            yield path
        elif len(path) < MAX_PATH_LENGTH:
            for issuer in self.issuers[path[-1]]:
                if issuer in leading and issuer not in path:
                    yield from self._extend((*path, issuer), leading)


def on_the_way(chain: Sequence[x509.Certificate], trust: TrustStore) -> list[x509.Certificate]:
    """Return the certificates that may be between the leaf and a trusted one, by their names.

    A peer may send many certificates. Without those that cannot matter, the search for a path
    is short; if no names lead to a trusted certificate, nothing is left, and no signature is
    checked.

    Args:
        chain: the certificates that the peer sent, the leaf first.
        trust: the trusted certificates.
    """
    leaf, *others = dict.fromkeys(chain)
    by_subject: dict[Canonical, list[x509.Certificate]] = {}
    for certificate in others:
        by_subject.setdefault(subject_name(certificate).canonical, []).append(certificate)
    above: Issuers = {}
    waiting = [leaf]
    for child in waiting:  # grows as issuers are found
        above[child] = by_subject.get(issuer_name(child).canonical, [])
        new = [issuer for issuer in above[child] if issuer not in above]
        above.update((issuer, []) for issuer in new)
        waiting += new
    ends = {c for c in above if c in trust or trust.with_subject(issuer_name(c).canonical)}
    leading = _leading_to(ends, above)
    return [certificate for certificate in others if certificate in leading]


def find_candidates(
    chain: Sequence[x509.Certificate], trust: TrustStore, checks: SignatureChecks
) -> Candidates:
    """Find the certificates above the leaf, from the leaf on.

    Args:
        chain: the certificates that the peer sent, the leaf first.
        trust: the trusted certificates.
        checks: the signatures that may still be checked.
    """
    found = Candidates()
    sent = list(dict.fromkeys(chain))
    # If the names alone lead to no trusted certificate, signatures add nothing.
    leaf = chain[0]
    by_signature = bool(
        on_the_way(chain, trust) or trust.with_subject(issuer_name(leaf).canonical)
    )
    waiting = [leaf]
    for child in waiting:  # grows as issuers are found
        found.issuers[child], found.others[child] = [], []
        if child in trust:
            found.trusted.add(child)
            continue
        for issuer in _named_as_issuer(child, sent, trust):
            if not checks:
                found.complete = False
                break
            if by_signature and checks.is_signed_by(child, issuer) is False:
                found.others[child].append(issuer)
                continue
            found.issuers[child].append(issuer)
            if issuer not in waiting:
                waiting.append(issuer)
    return found


def _leading_to(ends: Iterable[x509.Certificate], issuers: Issuers) -> set[x509.Certificate]:
    """Return the certificates from which one of the ends can be reached."""
    below: Issuers = {}
    for child, above in issuers.items():
        for issuer in above:
            below.setdefault(issuer, []).append(child)
    leading = set(ends)
    waiting = [*leading]
    for issuer in waiting:  # grows as certificates are found
        new = [child for child in below.get(issuer, ()) if child not in leading]
        leading.update(new)
        waiting += new
    return leading


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Return whether subject and issuer of a certificate are the same (RFC 5280 3.2)."""
    return subject_name(certificate).canonical == issuer_name(certificate).canonical


def _named_as_issuer(
    child: x509.Certificate, sent: Sequence[x509.Certificate], trust: TrustStore
) -> list[x509.Certificate]:
    """Return the certificates with the name of a certificate's issuer, the likeliest first."""
    name = issuer_name(child).canonical
    known = [*trust.with_subject(name), *(c for c in sent if subject_name(c).canonical == name)]
    key_identifier = _authority_key_identifier(child)
    return sorted(
        (issuer for issuer in dict.fromkeys(known) if issuer != child),
        key=lambda issuer: key_identifier is None or _key_identifier(issuer) != key_identifier,
    )


def _authority_key_identifier(child: x509.Certificate) -> bytes | None:
    try:
        extension = extension_of(child, x509.AuthorityKeyIdentifier)
    except MALFORMED:
        return None
    return extension.key_identifier if extension else None


def _key_identifier(issuer: x509.Certificate) -> bytes | None:
    try:
        extension = extension_of(issuer, x509.SubjectKeyIdentifier)
    except MALFORMED:
        return None
    return extension.digest if extension else None
