"""The second verifier: OpenSSL builds the path, this library checks the certificates on it.

OpenSSL finds the path, and checks its signatures, path lengths, critical extensions and name
constraints. The rest is checked here, as for the built-in verifier: dates by the configuration's
clock, purposes, keys, hashes and basicConstraints; the caller checks the host name.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509

from ..errors import AlertDescription, CertificateError
from ..pki.certificates import UNREADABLE, extension_of
from ..pki.describe import issuer_of, names_of, subject_of
from ..pki.distinguished_names import issuer_name, subject_name
from ..pki.issuance import is_signed_by
from ..pki.openssl_store import OpenSSLRefusal, OpenSSLStore
from .certificate_faults import (
    check_dates,
    check_extensions,
    check_is_ca,
    check_path_length,
    faults_of,
    unknown_issuer,
    untrusted_root,
)
from .policy import Purpose, check_ca_key

__all__ = ["find_path"]

#: A peer that is rejected must not be able to make us check signatures for long.
MAX_ISSUERS_TRIED = 4

# X509_STORE_CTX_get_error(3) of OpenSSL 3 and 4. Numbers that are not here get OpenSSL's words.
ISSUER_MISSING = frozenset({2, 20, 21})
SIGNATURE_WRONG = frozenset({4, 7})
NOT_YET_VALID, EXPIRED = 9, 10
SELF_SIGNED, SELF_SIGNED_ROOT = 18, 19
PATH_TOO_LONG = 22
PATH_LENGTH_EXCEEDED = 25
UNHANDLED_CRITICAL_EXTENSION = 34
OUTSIDE_CONSTRAINTS = frozenset({47, 48})
INVALID_CA = 79

#: Alerts for the numbers that get OpenSSL's words; the others get ``certificate_unknown``.
ALERTS = {
    6: AlertDescription.bad_certificate,  # unable to decode issuer public key
    13: AlertDescription.bad_certificate,  # format error in notBefore
    14: AlertDescription.bad_certificate,  # format error in notAfter
    PATH_TOO_LONG: AlertDescription.unknown_ca,
    24: AlertDescription.unknown_ca,  # no issuer public key; an invalid CA before OpenSSL 3
    INVALID_CA: AlertDescription.unknown_ca,
}


def find_path(
    chain: Sequence[x509.Certificate],
    purpose: Purpose,
    store: OpenSSLStore,
    trusted: Sequence[x509.Certificate],
    at: datetime.datetime,
) -> tuple[x509.Certificate, ...]:
    """Find the path from a leaf to a trusted certificate, and check each certificate on it.

    Args:
        chain: the certificates that the peer sent, the leaf first; not empty.
        purpose: the use that the leaf must be valid for.
        store: the trusted certificates, for OpenSSL.
        trusted: the same.
        at: the time by which dates are checked, with its time zone.

    Returns:
        The path, from the leaf to a trusted certificate.

    Raises:
        CertificateError: there is no path, or a certificate on it is not acceptable.
    """
    try:
        path = store.find_path(chain[0], chain[1:], at)
    except OpenSSLRefusal as refusal:
        raise _explain(refusal, chain, store, trusted, at, purpose) from refusal
    for fault in faults_of(path, purpose, at):
        raise fault
    return path


# The meaning of OpenSSL's error numbers


def _explain(
    refusal: OpenSSLRefusal,
    chain: Sequence[x509.Certificate],
    store: OpenSSLStore,
    trusted: Sequence[x509.Certificate],
    at: datetime.datetime,
    purpose: Purpose,
) -> CertificateError:
    at_fault, code = refusal.certificate, refusal.code
    if code in ISSUER_MISSING | SIGNATURE_WRONG | {SELF_SIGNED, SELF_SIGNED_ROOT}:
        for rejected in store.rejected_of(chain[1:]):
            if _names_as_issuer(at_fault, rejected.certificate):
                return rejected.fault
        return _no_issuer(refusal, chain, trusted, purpose)
    try:
        if code in (NOT_YET_VALID, EXPIRED):
            check_dates(at_fault, at)
        elif code == INVALID_CA:
            check_is_ca(at_fault)
            check_ca_key(at_fault, extension_of(at_fault, x509.KeyUsage))
        elif code == PATH_LENGTH_EXCEEDED:
            check_path_length(at_fault, refusal.depth - 1)
        elif code == UNHANDLED_CRITICAL_EXTENSION:
            check_extensions(at_fault)
        elif code in OUTSIDE_CONSTRAINTS:
            _excluded(at_fault)
    except CertificateError as fault:
        return fault
    except UNREADABLE:
        pass  # OpenSSL's words will do
    return CertificateError(
        f"OpenSSL rejects the certificate of {subject_of(at_fault)}: {refusal.text} "
        f"(error {code})",
        ALERTS.get(code, AlertDescription.certificate_unknown),
        certificate=at_fault,
    )


def _excluded(certificate: x509.Certificate) -> None:
    # OpenSSL reports neither the CA nor the name.
    names = [subject_of(certificate), *filter(None, [names_of(certificate)])]
    raise CertificateError(
        f"a CA above it may not issue a certificate for {', '.join(names)}: its name constraints "
        "exclude it",
        AlertDescription.certificate_unknown,
        certificate=certificate,
    )


def _no_issuer(
    refusal: OpenSSLRefusal,
    chain: Sequence[x509.Certificate],
    trusted: Sequence[x509.Certificate],
    purpose: Purpose,
) -> CertificateError:
    child, code = refusal.certificate, refusal.code
    subject, alert = subject_of(child), AlertDescription.unknown_ca
    if code in (SELF_SIGNED, SELF_SIGNED_ROOT):
        return untrusted_root(child, purpose, is_leaf=code == SELF_SIGNED)
    if namesakes := [ca for ca in trusted if _names_as_issuer(child, ca) and ca != child]:
        if code in SIGNATURE_WRONG and not _another_ca(child, chain):
            sentence = (
                f"the signature of the certificate of {subject} was not made with the key of its "
                f"issuer {subject_of(namesakes[0])}: it was changed, or that CA was made anew"
            )
            alert = AlertDescription.bad_certificate
        else:
            sentence = (
                f"the certificate of {subject} was issued by another CA than the trusted one of "
                f"the same name, {subject_of(namesakes[0])}: if that CA was made anew, add its "
                "present certificate to the trust store"
            )
    elif code in SIGNATURE_WRONG:
        sentence = (
            f"the signature of the certificate of {subject} was not made with the key of its "
            f"issuer {issuer_of(child)}: it was changed, or that CA was made anew"
        )
        alert = AlertDescription.bad_certificate
    else:
        return unknown_issuer(child, purpose)
    return CertificateError(sentence, alert, certificate=child)


def _names_as_issuer(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    return issuer_name(child).canonical == subject_name(issuer).canonical


def _another_ca(child: x509.Certificate, chain: Sequence[x509.Certificate]) -> bool:
    """Return whether the peer sent the CA that did sign ``child``."""
    candidates = [ca for ca in chain if ca != child and _names_as_issuer(child, ca)]
    return any(is_signed_by(child, ca) for ca in candidates[:MAX_ISSUERS_TRIED])
