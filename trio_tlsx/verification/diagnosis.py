"""Why the verifier refused a chain: its own words are for people, and name no alert.

The diagnosis looks for all paths from the leaf to a trusted certificate and for all that is wrong
with each. It reports a fault of the path that has the fewest, because every other path is worse.
If a path has no fault that can be seen, the diagnosis says that, and blames nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from ..errors import AlertDescription, CertificateError
from ..pki.certificates import MALFORMED, extension_of
from ..pki.describe import issuer_of, names_of, subject_of
from ..pki.issuance import SignatureChecks
from ..pki.server_name import ServerName
from ..pki.trust import TrustStore
from .builtin_limits import OTHER_VERIFIER, limits_of
from .candidate_paths import Candidates, find_candidates, is_self_issued
from .certificate_faults import faults_of, unknown_issuer, untrusted_root
from .policy import Purpose

#: A sentence names no more of a chain.
MAX_CERTIFICATES_NAMED = 4

__all__ = ["Diagnosis", "diagnose", "mismatch", "unexplained"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The reason why a chain was rejected.

    Attributes:
        fault: the error for a violation of the rules; None if none was found.
        limit: the error for a limit of the verifier that a valid chain exceeds; None if none was
            found.
    """

    fault: CertificateError | None
    limit: CertificateError | None


def diagnose(
    chain: Sequence[x509.Certificate], purpose: Purpose, trust: TrustStore, at: datetime.datetime
) -> Diagnosis:
    """Find the reason why a chain was rejected, apart from the server's name.

    Args:
        chain: the certificates that the peer sent, the leaf first; not empty.
        purpose: the use of the leaf.
        trust: the trusted certificates.
        at: the time at which it has to be valid.
    """
    candidates = find_candidates(chain, trust, SignatureChecks())
    paths = candidates.paths(chain[0])
    if not paths:
        return Diagnosis(_missing_link(candidates, chain[0], purpose), None)
    found = [(faults_of(path, purpose, at), limits_of(path)) for path in paths]
    faults, limits = min(found, key=lambda both: (len(both[0]), len(both[1])))
    return Diagnosis(next(iter(faults), None), next(iter(limits), None))


def mismatch(leaf: x509.Certificate, name: ServerName) -> CertificateError:
    """Return the error for a chain that is accepted under another name.

    OpenSSL and BoringSSL send ``bad_certificate`` for it; RFC 9846 6.2 names no alert.
    """
    return CertificateError(
        f"certificate is for {names_of(leaf) or 'no host'}, not {str(name)!r}", certificate=leaf
    )


def unexplained(chain: Sequence[x509.Certificate], purpose: Purpose) -> CertificateError:
    """Return the error for a chain that was refused without a reason that can be shown."""
    subjects = ", ".join(map(subject_of, chain[:MAX_CERTIFICATES_NAMED]))
    return CertificateError(
        f"the built-in verifier rejects the {purpose.role}'s certificate chain ({subjects}), and "
        "no reason for it can be shown: have the certificates checked with 'openssl verify', "
        f"{OTHER_VERIFIER}",
        AlertDescription.certificate_unknown,
        certificate=chain[0],
    )


# Errors if no path leads to a trusted certificate


def _missing_link(
    candidates: Candidates, leaf: x509.Certificate, purpose: Purpose
) -> CertificateError | None:
    """Return the error for the place where the chain ends; None if that cannot be shown."""
    reached = candidates.issuers
    for certificate in reached:
        if is_self_issued(certificate) and not candidates.others[certificate]:
            return untrusted_root(certificate, purpose, is_leaf=certificate is leaf)
    for certificate, issuers in reached.items():
        if not issuers and is_self_issued(certificate):
            return untrusted_root(certificate, purpose, is_leaf=certificate is leaf)
    if not candidates.complete:
        return None
    for certificate, issuers in reached.items():
        if not issuers and not candidates.others[certificate]:
            return unknown_issuer(certificate, purpose)
    for certificate, issuers in reached.items():
        if not issuers:
            return _wrong_signature(certificate, candidates.others[certificate])
    return None  # a ring


def _wrong_signature(
    child: x509.Certificate, namesakes: Sequence[x509.Certificate]
) -> CertificateError:
    issuer = issuer_of(child)
    if _is_of_another_key(child, namesakes):
        return CertificateError(
            f"the certificate of {subject_of(child)} was issued by another CA than the known one "
            f"of the same name, {issuer}: if that CA was made anew, its present certificate is "
            "missing from the trust store or from the chain",
            AlertDescription.unknown_ca,
            certificate=child,
        )
    return CertificateError(
        f"the signature of the certificate of {subject_of(child)} was not made with the key of "
        f"its issuer {issuer}, as it is known here: the certificate was changed, or that CA was "
        "made anew and its present certificate is missing",
        certificate=child,
    )


def _is_of_another_key(child: x509.Certificate, namesakes: Sequence[x509.Certificate]) -> bool:
    """Return whether the key identifiers show that none of these CAs is the issuer."""
    try:
        authority = extension_of(child, x509.AuthorityKeyIdentifier)
        subjects = [extension_of(ca, x509.SubjectKeyIdentifier) for ca in namesakes]
    except MALFORMED:
        return False
    wanted = authority.key_identifier if authority else None
    return wanted is not None and all(
        subject is not None and subject.key_identifier != wanted for subject in subjects
    )
