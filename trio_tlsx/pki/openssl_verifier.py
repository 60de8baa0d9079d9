"""The second verifier: OpenSSL builds the path, this library checks the certificates on it.

OpenSSL finds the path, and checks its signatures, path lengths, critical extensions and name
constraints. The rest is checked here, as for the built-in verifier: dates by the configuration's
clock, purposes, keys, hashes and basicConstraints; the caller checks the host name.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from ..errors import AlertDescription, CertificateError
from .certificates import MALFORMED, extension_of
from .describe import date, issuer_of, names_of, subject_of
from .distinguished_names import issuer_name, subject_name
from .issuance import is_signed_by
from .openssl_store import OpenSSLRefusal, OpenSSLStore
from .policy import (
    MAX_INTERMEDIATES,
    Purpose,
    check_ca_key,
    check_extended_key_usage,
    check_leaf_key,
)

__all__ = ["find_path"]

#: MD5 and SHA-1 are shorter, and collisions are known (RFC 9846 4.5.1.3).
MIN_DIGEST_BYTES = 28

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

#: The critical extensions that OpenSSL supports (``X509_supported_extension`` in 3 and 4).
SUPPORTED_BY_OPENSSL = frozenset(
    {
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.INHIBIT_ANY_POLICY,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.OCSP_NO_CHECK,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.POLICY_MAPPINGS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    }
)


def find_path(
    chain: Sequence[x509.Certificate],
    purpose: Purpose,
    store: OpenSSLStore,
    trusted: Sequence[x509.Certificate],
    at: datetime.datetime,
) -> tuple[x509.Certificate, ...]:
    """Find the path from a leaf to a trusted certificate, and check each certificate on it.

    Args:
        chain: what the peer sent, the leaf first; not empty.
        purpose: what the leaf has to be good for.
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
        raise _explain(refusal, chain, store, trusted, at) from refusal
    for depth, certificate in enumerate(path):
        try:
            _check(certificate, depth, purpose, at)
            if depth + 1 < len(path):  # nobody relies on the trusted certificate's own signature
                _check_hash(certificate)
        except MALFORMED as error:
            raise _malformed(certificate, error) from error
    if len(path) - 2 > MAX_INTERMEDIATES:
        raise CertificateError(
            f"the chain leads over {len(path) - 2} intermediate CAs; "
            f"{MAX_INTERMEDIATES} are accepted",
            AlertDescription.unknown_ca,
            certificate=path[0],
        )
    return path


# The checks that are not OpenSSL's


def _check(
    certificate: x509.Certificate, depth: int, purpose: Purpose, at: datetime.datetime
) -> None:
    _check_dates(certificate, at)
    usages = extension_of(certificate, x509.ExtendedKeyUsage)
    check_extended_key_usage(certificate, usages, purpose)
    key_usage = extension_of(certificate, x509.KeyUsage)
    if depth == 0:
        _check_form_of_leaf(certificate, purpose)
        check_leaf_key(certificate, key_usage)
    else:
        _check_is_ca(certificate)
        check_ca_key(certificate, key_usage)


def _check_dates(certificate: x509.Certificate, at: datetime.datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    now = at.replace(microsecond=0)  # certificates count seconds, and the last one is included
    if now > end:
        fault = f"expired on {date(end)}, and it is {date(at)} now: renew it"
    elif now < begin:
        fault = (
            f"is not valid before {date(begin)}, and it is {date(at)} now: "
            "check the clock of this machine and of the one that issued it"
        )
    else:
        return
    raise CertificateError(
        f"the certificate of {subject_of(certificate)} {fault}",
        AlertDescription.certificate_expired,
        certificate=certificate,
    )


def _check_form_of_leaf(leaf: x509.Certificate, purpose: Purpose) -> None:
    if leaf.version is not x509.Version.v3:
        raise CertificateError(
            f"the certificate of {subject_of(leaf)} is of X.509 version 1, which has no "
            "extensions: have it issued in version 3",
            AlertDescription.unsupported_certificate,
            certificate=leaf,
        )
    if purpose.role == "server" and extension_of(leaf, x509.SubjectAlternativeName) is None:
        raise CertificateError(
            f"the certificate of {subject_of(leaf)} names no host: it has no subjectAltName, and "
            "the subject's common name does not count (RFC 9525 2); have it issued with one",
            certificate=leaf,
        )


def _check_is_ca(ca: x509.Certificate) -> None:
    # OpenSSL accepts a root of version 1 and a CA that has keyUsage alone; RFC 5280 4.2.1.9
    # forbids both, since any leaf of the same CA would pass for one.
    constraints = extension_of(ca, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        fault = "lacks basicConstraints" if constraints is None else "says CA:FALSE"
        raise CertificateError(
            f"the certificate of {subject_of(ca)} is not a CA's, for it {fault}, but issued "
            "another one: reissue it with basicConstraints CA:TRUE",
            AlertDescription.unknown_ca,
            certificate=ca,
        )


def _check_hash(certificate: x509.Certificate) -> None:
    digest = certificate.signature_hash_algorithm
    if digest is not None and digest.digest_size < MIN_DIGEST_BYTES:
        raise CertificateError(
            f"the certificate of {subject_of(certificate)} is signed with {digest.name.upper()}, "
            "which is not accepted: have it issued with SHA-256",
            certificate=certificate,
        )


# What OpenSSL's numbers mean


def _explain(
    refusal: OpenSSLRefusal,
    chain: Sequence[x509.Certificate],
    store: OpenSSLStore,
    trusted: Sequence[x509.Certificate],
    at: datetime.datetime,
) -> CertificateError:
    at_fault, code = refusal.certificate, refusal.code
    if code in ISSUER_MISSING | SIGNATURE_WRONG | {SELF_SIGNED, SELF_SIGNED_ROOT}:
        for rejected in store.rejected_of(chain[1:]):
            if _names_as_issuer(at_fault, rejected.certificate):
                return rejected.fault
        return _no_issuer(refusal, chain, trusted)
    try:
        if code in (NOT_YET_VALID, EXPIRED):
            _check_dates(at_fault, at)
        elif code == INVALID_CA:
            _check_is_ca(at_fault)
            check_ca_key(at_fault, extension_of(at_fault, x509.KeyUsage))
        elif code == PATH_LENGTH_EXCEEDED:
            _path_too_long(at_fault, refusal.depth - 1)
        elif code == UNHANDLED_CRITICAL_EXTENSION:
            _check_critical_extensions(at_fault)
        elif code in OUTSIDE_CONSTRAINTS:
            _excluded(at_fault)
    except CertificateError as fault:
        return fault
    except MALFORMED as error:
        return _malformed(at_fault, error)
    return CertificateError(
        f"OpenSSL rejects the certificate of {subject_of(at_fault)}: {refusal.text} "
        f"(error {code})",
        ALERTS.get(code, AlertDescription.certificate_unknown),
        certificate=at_fault,
    )


def _malformed(certificate: x509.Certificate, error: Exception) -> CertificateError:
    return CertificateError(
        f"the certificate of {subject_of(certificate)} is malformed: {error!r}",
        certificate=certificate,
    )


def _path_too_long(ca: x509.Certificate, below: int) -> None:
    constraints = extension_of(ca, x509.BasicConstraints)
    if constraints is not None and constraints.path_length is not None:
        raise CertificateError(
            f"the CA {subject_of(ca)} allows {constraints.path_length} CAs below itself (its path "
            f"length), and this chain has {below}",
            AlertDescription.unknown_ca,
            certificate=ca,
        )


def _check_critical_extensions(certificate: x509.Certificate) -> None:
    unsupported = [
        extension.oid.dotted_string
        for extension in certificate.extensions
        if extension.critical and extension.oid not in SUPPORTED_BY_OPENSSL
    ]
    if unsupported:
        raise CertificateError(
            f"the certificate of {subject_of(certificate)} has a critical extension that OpenSSL "
            f"does not support, {', '.join(unsupported)}",
            AlertDescription.certificate_unknown,
            certificate=certificate,
        )


def _excluded(certificate: x509.Certificate) -> None:
    # OpenSSL tells neither the CA nor the name.
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
) -> CertificateError:
    child, code = refusal.certificate, refusal.code
    subject, alert = subject_of(child), AlertDescription.unknown_ca
    if code in (SELF_SIGNED, SELF_SIGNED_ROOT):
        which = "is self-signed" if code == SELF_SIGNED else "is at the end of the chain"
        sentence = (
            f"the certificate of {subject} {which} and is not among the trusted ones: "
            "if it is the right one, add it to the trust store"
        )
    elif namesakes := [ca for ca in trusted if _names_as_issuer(child, ca) and ca != child]:
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
        sentence = (
            f"the certificate of {subject} was issued by {issuer_of(child)}, which is neither "
            "trusted nor was it sent: the peer may have left out an intermediate certificate, or "
            "its CA's is missing in the trust store"
        )
    return CertificateError(sentence, alert, certificate=child)


def _names_as_issuer(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    return issuer_name(child).canonical == subject_name(issuer).canonical


def _another_ca(child: x509.Certificate, chain: Sequence[x509.Certificate]) -> bool:
    """Return whether the peer sent the CA that did sign ``child``."""
    candidates = [ca for ca in chain if ca != child and _names_as_issuer(child, ca)]
    return any(is_signed_by(child, ca) for ca in candidates[:MAX_ISSUERS_TRIED])
