"""Faults of the certificates on a path, by RFC 5280 and by the policy of this library.

Each check reads the certificate itself. It raises only for a fault that it has found, never
because all other checks have passed.

With the built-in verifier these checks only explain: ``verify`` has rejected the chain, and
``diagnosis`` looks for the fault to report. With ``openssl_verifier`` they decide, because
OpenSSL's path building does not check all of this.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from cryptography import x509

from ..errors import AlertDescription, CertificateError
from ..pki.certificates import UNREADABLE, extension_of
from ..pki.describe import date, issuer_of, subject_of
from ..pki.issuance import SIGNATURE_HASHES
from ..pki.structure import read_structure
from .builtin_limits import READ_BY_OPENSSL, READ_BY_VERIFIER
from .candidate_paths import Path, is_self_issued
from .name_constraints import check_name_constraints
from .policy import (
    MAX_INTERMEDIATES,
    Purpose,
    check_ca_key,
    check_extended_key_usage,
    check_leaf_key,
)

__all__ = [
    "check_dates",
    "check_extensions",
    "check_is_ca",
    "check_path_length",
    "faults_of",
    "unknown_issuer",
    "untrusted_root",
]

KNOWN_EXTENSIONS = READ_BY_VERIFIER | READ_BY_OPENSSL.keys()


def untrusted_root(root: x509.Certificate, purpose: Purpose, *, is_leaf: bool) -> CertificateError:
    """Return the error for a chain that ends with a certificate that is not trusted."""
    sentence = (
        "is self-signed and is not among the trusted ones"
        if is_leaf
        else "is at the end of the chain and is not among the trusted ones"
    )
    return CertificateError(
        f"the certificate of {subject_of(root)} {sentence}: "
        f"if it is the right one, add it to the trust store ({purpose.trust_argument}=)",
        AlertDescription.unknown_ca,
        certificate=root,
    )


def unknown_issuer(child: x509.Certificate, purpose: Purpose) -> CertificateError:
    """Return the error for a chain that ends below a trusted certificate."""
    return CertificateError(
        f"the certificate of {subject_of(child)} was issued by {issuer_of(child)}, which is "
        "neither trusted nor sent by the peer: an intermediate certificate may be missing from "
        "the peer's chain, or the CA's certificate from the trust store "
        f"({purpose.trust_argument}=)",
        AlertDescription.unknown_ca,
        certificate=child,
    )


def faults_of(path: Path, purpose: Purpose, at: datetime.datetime) -> list[CertificateError]:
    """Return all that is wrong with a path that leads to a trusted certificate.

    Args:
        path: from the leaf to the trusted certificate.
        purpose: the use of the leaf.
        at: the time at which the path has to be valid.
    """
    found: list[CertificateError] = []
    for certificate, check in _checks(path, purpose, at):
        try:
            check()
        except CertificateError as fault:
            found.append(fault)
        except UNREADABLE:
            found.append(
                CertificateError(
                    f"a part of the certificate of {subject_of(certificate)} that is needed to "
                    "verify it is malformed: have it reissued",
                    certificate=certificate,
                )
            )
    return found


def _checks(
    path: Path, purpose: Purpose, at: datetime.datetime
) -> Iterator[tuple[x509.Certificate, Callable[[], None]]]:
    below = 0
    for depth, certificate in enumerate(path):
        yield certificate, partial(check_dates, certificate, at)
        yield certificate, partial(check_extensions, certificate)
        yield certificate, partial(_check_purpose, certificate, purpose)
        if depth == 0:
            yield certificate, partial(_check_form_of_leaf, certificate, purpose)
            yield certificate, partial(_check_leaf_key, certificate)
            continue
        yield certificate, partial(check_is_ca, certificate)
        yield certificate, partial(_check_ca_key, certificate)
        yield certificate, partial(check_path_length, certificate, below)
        yield path[depth - 1], partial(_check_hash, path[depth - 1])
        # RFC 5280 4.2.1.9: self-issued certificates do not count.
        below += not is_self_issued(certificate)
    yield path[0], partial(_check_length, path)
    yield path[0], partial(check_name_constraints, path)


def check_dates(certificate: x509.Certificate, at: datetime.datetime) -> None:
    """CertificateError if a certificate is not valid at this time (RFC 5280 4.1.2.5)."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    now = at.replace(microsecond=0)  # certificates count seconds, and the last one is included
    if now > end:
        sentence = f"expired on {date(end)}, and it is {date(at)} now: it has to be renewed"
    elif now < begin:
        sentence = (
            f"is not valid before {date(begin)}, and it is {date(at)} now: "
            "check the clock of this machine and of the one that issued it"
        )
    else:
        return
    raise CertificateError(
        f"the certificate of {subject_of(certificate)} {sentence}",
        AlertDescription.certificate_expired,
        certificate=certificate,
    )


def check_extensions(certificate: x509.Certificate) -> None:
    """CertificateError if an extension is there twice, or is critical and unknown."""
    extensions = read_structure(certificate).extensions or ()
    kinds = [extension.oid for extension in extensions]
    for extension in extensions:
        if kinds.count(extension.oid) > 1:
            raise CertificateError(
                f"the certificate of {subject_of(certificate)} has the extension "
                f"{extension.oid.dotted_string} twice (RFC 5280 4.2): have it reissued",
                certificate=certificate,
            )
        if extension.critical and extension.oid not in KNOWN_EXTENSIONS:
            raise CertificateError(
                f"the certificate of {subject_of(certificate)} has the critical extension "
                f"{extension.oid.dotted_string}, which this library does not know (RFC 5280 4.2): "
                "have it reissued without it, or with it not critical",
                AlertDescription.certificate_unknown,
                certificate=certificate,
            )


def _check_purpose(certificate: x509.Certificate, purpose: Purpose) -> None:
    usages = extension_of(certificate, x509.ExtendedKeyUsage)
    check_extended_key_usage(certificate, usages, purpose)


def _check_leaf_key(leaf: x509.Certificate) -> None:
    check_leaf_key(leaf, extension_of(leaf, x509.KeyUsage))


def _check_ca_key(ca: x509.Certificate) -> None:
    check_ca_key(ca, extension_of(ca, x509.KeyUsage))


def _check_form_of_leaf(leaf: x509.Certificate, purpose: Purpose) -> None:
    if leaf.version is not x509.Version.v3:
        raise CertificateError(
            f"the certificate of {subject_of(leaf)} is of X.509 version 1, which has no "
            "extensions: have it issued in version 3",
            AlertDescription.unsupported_certificate,
            certificate=leaf,
        )
    san = extension_of(leaf, x509.SubjectAlternativeName)
    if purpose.role == "server" and san is None:
        raise CertificateError(
            f"the certificate of {subject_of(leaf)} names no host: it has no subjectAltName, and "
            "the subject's common name does not count (RFC 9525 2); have it issued with one",
            certificate=leaf,
        )


def check_is_ca(ca: x509.Certificate) -> None:
    """CertificateError unless this is a CA's certificate (RFC 5280 4.2.1.9)."""
    constraints = extension_of(ca, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        # Without the extension (as in version 1) a CA cannot be told from any leaf that the same
        # CA ever issued (RFC 5280 4.2.1.9).
        fault = "lacks basicConstraints" if constraints is None else "says CA:FALSE"
        raise CertificateError(
            f"the certificate of {subject_of(ca)} is not a CA's, for it {fault}, but issued "
            "another one: reissue it with basicConstraints CA:TRUE",
            AlertDescription.unknown_ca,
            certificate=ca,
        )


def check_path_length(ca: x509.Certificate, below: int) -> None:
    """CertificateError if a CA has more CAs below itself than it allows (RFC 5280 4.2.1.9).

    Args:
        ca: the CA.
        below: how many CAs are between this one and the leaf.
    """
    constraints = extension_of(ca, x509.BasicConstraints)
    limit = constraints.path_length if constraints else None
    if limit is not None and below > limit:
        raise CertificateError(
            f"the CA {subject_of(ca)} allows {limit} CAs below itself (its path length), "
            f"and this chain has {below}: get a certificate from a CA higher up",
            AlertDescription.unknown_ca,
            certificate=ca,
        )


def _check_hash(child: x509.Certificate) -> None:
    digest = child.signature_hash_algorithm
    if digest and digest.name not in SIGNATURE_HASHES:
        # RFC 9846 4.5.1.3 has this alert for MD5 and SHA-1.
        raise CertificateError(
            f"the certificate of {subject_of(child)} is signed with {digest.name.upper()}, which "
            "is not accepted: have it issued with SHA-256",
            certificate=child,
        )


def _check_length(path: Sequence[x509.Certificate]) -> None:
    between = sum(not is_self_issued(ca) for ca in path[1:-1])
    if between > MAX_INTERMEDIATES:
        raise CertificateError(
            f"the chain leads over {between} intermediate CAs; {MAX_INTERMEDIATES} are accepted: "
            "trust one of them",
            AlertDescription.unknown_ca,
            certificate=path[0],
        )
