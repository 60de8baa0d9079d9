"""Why a chain was refused: the library's own words are for people, and name no alert."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import cryptography
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa
from cryptography.x509.oid import ExtensionOID, ObjectIdentifier, PublicKeyAlgorithmOID

from ..errors import AlertDescription, CertificateError
from .certificates import MALFORMED, extension_of
from .describe import date, issuer_of, kind_of, name_of, names_of, subject_of
from .issuance import is_signed_by
from .policy import (
    MAX_INTERMEDIATES,
    Purpose,
    check_ca_key,
    check_extended_key_usage,
    check_leaf_key,
)
from .server_name import ServerName
from .trust import TrustStore

__all__ = ["find_fault", "mismatch", "unexplained"]

#: A peer that is refused must not be able to make us check signatures for long.
MAX_SIGNATURE_CHECKS = 20

# What the library accepts as a CA's key and as a signature (the CA/B Forum's lists).
CURVES = ("secp256r1", "secp384r1", "secp521r1")
MLDSA = (mldsa.MLDSA44PublicKey, mldsa.MLDSA65PublicKey, mldsa.MLDSA87PublicKey)
CAN_VERIFY_MLDSA = int(cryptography.__version__.partition(".")[0]) >= 50
HASHES = ("sha256", "sha384", "sha512")

#: What the library can apply name constraints to.
CONSTRAINABLE = (x509.DNSName, x509.IPAddress, x509.RFC822Name)

#: The extensions that the library can judge; a critical one beside them is refused.
UNDERSTOOD: frozenset[ObjectIdentifier] = frozenset(
    {
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    }
)


def find_fault(
    chain: Sequence[x509.Certificate], purpose: Purpose, trust: TrustStore, at: datetime.datetime
) -> CertificateError | None:
    """What is wrong with a chain that was refused, apart from the names in it.

    Args:
        chain: what the peer sent, the leaf first; not empty.
        purpose: what the leaf has to be good for.
        trust: where the chain was to end.
        at: the time by which it was judged.
    """
    try:
        path = _find_path(chain, trust)
        for depth, certificate in enumerate(path):
            _check_dates(certificate, at)
            _check_critical_extensions(certificate)
            usages = extension_of(certificate, x509.ExtendedKeyUsage)
            check_extended_key_usage(certificate, usages, purpose)
            if depth == 0:
                _check_form_of_leaf(certificate, purpose)
                check_leaf_key(certificate, extension_of(certificate, x509.KeyUsage))
            else:
                _check_is_ca(certificate)
                check_ca_key(certificate, extension_of(certificate, x509.KeyUsage))
                _check_path_length(certificate, depth - 1)
                _check_algorithms(path[depth - 1], certificate)
        if len(path) - 2 > MAX_INTERMEDIATES:
            raise CertificateError(
                f"the chain leads over {len(path) - 2} intermediate CAs; "
                f"{MAX_INTERMEDIATES} are accepted",
                AlertDescription.unknown_ca,
                certificate=path[0],
            )
    except CertificateError as fault:
        return fault
    except MALFORMED as error:
        return CertificateError(f"a certificate of the {purpose.role} is malformed: {error!r}")
    return None


def mismatch(leaf: x509.Certificate, name: ServerName) -> CertificateError:
    """The refusal of a certificate with which all is well but whom it is for.

    OpenSSL and BoringSSL send ``bad_certificate`` for it; RFC 9846 6.2 names no alert.
    """
    return CertificateError(
        f"certificate is for {names_of(leaf) or 'no host'}, not {str(name)!r}", certificate=leaf
    )


def unexplained(
    chain: Sequence[x509.Certificate], purpose: Purpose, trust: TrustStore, refusal: Exception
) -> CertificateError:
    """The refusal of a chain in which ``find_fault`` found nothing; it stays refused.

    Name constraints are left to the library, so they are what is then suspected first.
    """
    for ca in _find_path(chain, trust):
        constraints = extension_of(ca, x509.NameConstraints)
        if constraints is None:
            continue
        if all(isinstance(base, CONSTRAINABLE) for base in _subtrees(constraints)):
            sentence = (
                f"the CA {subject_of(ca)} may not issue a certificate for "
                f"{names_of(chain[0]) or subject_of(chain[0])}: its name constraints exclude it"
            )
        else:
            sentence = (
                f"the CA {subject_of(ca)} has name constraints of a kind that cannot be checked "
                "here; DNS names, IP addresses and mail addresses can"
            )
        return CertificateError(
            sentence, AlertDescription.certificate_unknown, certificate=chain[0]
        )
    # The words are the library's, with names of the peer's in them: they stay in one line.
    return CertificateError(
        f"the {purpose.role}'s certificate chain is not acceptable: {str(refusal)!r}",
        AlertDescription.certificate_unknown,
        certificate=chain[0],
    )


def _subtrees(constraints: x509.NameConstraints) -> list[x509.GeneralName]:
    return [*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())]


# The way from the leaf to a trusted certificate


def _find_path(chain: Sequence[x509.Certificate], trust: TrustStore) -> list[x509.Certificate]:
    """The likeliest path, whatever else is wrong with it; CertificateError if there is none."""
    path = [chain[0]]
    checks = 0
    while path[-1] not in trust:
        child = path[-1]
        candidates = [*trust.with_subject(child.issuer)]
        candidates += [c for c in chain if c.subject == child.issuer and c not in candidates]
        candidates = [c for c in candidates if c not in path]
        if not candidates:
            raise _issuer_missing(child, chain[0])
        for issuer in candidates:
            checks += 1
            if checks > MAX_SIGNATURE_CHECKS or _signed_by(child, issuer):
                path.append(issuer)
                break
        else:
            raise _signature_wrong(child, candidates[0])
    return path


def _signed_by(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    # Where it cannot be checked, _check_algorithms says so.
    return is_signed_by(child, issuer) is not False


def _issuer_missing(child: x509.Certificate, leaf: x509.Certificate) -> CertificateError:
    if child.subject == child.issuer:
        which = "is self-signed" if child is leaf else "stands at the end of the chain"
        sentence = (
            f"the certificate of {subject_of(child)} {which} and is not among the trusted ones: "
            "if it is the right one, add it to the trust store"
        )
    else:
        sentence = (
            f"the certificate of {subject_of(child)} was issued by {issuer_of(child)}, which is "
            "neither trusted nor was it sent: the other side may have left out an intermediate "
            "certificate, or its CA's is missing in the trust store"
        )
    return CertificateError(sentence, AlertDescription.unknown_ca, certificate=child)


def _signature_wrong(child: x509.Certificate, issuer: x509.Certificate) -> CertificateError:
    authority = extension_of(child, x509.AuthorityKeyIdentifier)
    subject = extension_of(issuer, x509.SubjectKeyIdentifier)
    wanted = authority.key_identifier if authority else None
    if wanted and subject and wanted != subject.key_identifier:
        return CertificateError(
            f"the certificate of {subject_of(child)} was issued by another CA than the known one "
            f"of the same name, {subject_of(issuer)}: was that CA made anew? Its present "
            "certificate is missing in the trust store or in the chain",
            AlertDescription.unknown_ca,
            certificate=child,
        )
    return CertificateError(
        f"the signature of the certificate of {subject_of(child)} was not made with the key of "
        f"its issuer {subject_of(issuer)}: it was changed, or that CA was made anew",
        certificate=child,
    )


# What is wrong with one certificate of the path; policy.py has what the library does not check


def _check_dates(certificate: x509.Certificate, at: datetime.datetime) -> None:
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


def _check_critical_extensions(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in UNDERSTOOD:
            raise CertificateError(
                f"the certificate of {subject_of(certificate)} has a critical extension that is "
                f"not understood here, {extension.oid.dotted_string}",
                AlertDescription.certificate_unknown,
                certificate=certificate,
            )


def _check_is_ca(ca: x509.Certificate) -> None:
    constraints = extension_of(ca, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        # Without the extension (as in version 1) nothing tells a CA from any leaf that the same
        # CA ever issued; RFC 5280 4.2.1.9 forbids to take it for one.
        fault = "lacks basicConstraints" if constraints is None else "says CA:FALSE"
        raise CertificateError(
            f"the certificate of {subject_of(ca)} is not a CA's, for it {fault}, but issued "
            "another one: reissue it with basicConstraints CA:TRUE",
            AlertDescription.unknown_ca,
            certificate=ca,
        )


def _check_path_length(ca: x509.Certificate, below: int) -> None:
    """``below`` counts the CAs between this one and the leaf (RFC 5280 4.2.1.9)."""
    constraints = extension_of(ca, x509.BasicConstraints)
    limit = constraints.path_length if constraints else None
    if limit is not None and below > limit:
        raise CertificateError(
            f"the CA {subject_of(ca)} allows {limit} CAs below itself (its path length), "
            f"and this chain has {below}",
            AlertDescription.unknown_ca,
            certificate=ca,
        )


def _check_algorithms(child: x509.Certificate, issuer: x509.Certificate) -> None:
    digest = child.signature_hash_algorithm
    if digest and digest.name not in HASHES:
        # RFC 9846 4.5.1.3 has this alert for MD5 and SHA-1.
        raise CertificateError(
            f"the certificate of {subject_of(child)} is signed with {digest.name.upper()}, which "
            "is not accepted: have it issued with SHA-256",
            certificate=child,
        )
    key = issuer.public_key()
    if issuer.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5:
        return
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES:
        return
    if CAN_VERIFY_MLDSA and isinstance(key, MLDSA):
        return
    kind = kind_of(key)
    if isinstance(key, ec.EllipticCurvePublicKey):
        kind = key.curve.name
    elif isinstance(key, rsa.RSAPublicKey):
        kind = "RSA-PSS-only"
    raise CertificateError(
        f"the certificate of {subject_of(child)} is signed with the {kind} key of "
        f"{name_of(issuer.subject)}; chains are accepted from CAs with RSA, P-256, P-384 or P-521 "
        "keys, and ML-DSA keys from cryptography 50 on (a leaf may have any key, or be trusted "
        "itself)",
        AlertDescription.unsupported_certificate,
        certificate=child,
    )
