"""The limits of the built-in verifier: it rejects certificates that RFC 5280 or OpenSSL accepts.

``cryptography.x509.verification`` has the CA/B Forum's profile, and our policy cannot change all
parts of it. Each check here raises an error for one limit, with the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated

import cryptography
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa
from cryptography.x509.oid import (
    ExtensionOID,
    ObjectIdentifier,
    PublicKeyAlgorithmOID,
    SignatureAlgorithmOID,
)

from ..errors import AlertDescription, CertificateError
from ..pki.certificates import MALFORMED, UNREADABLE
from ..pki.describe import kind_of, quoted, subject_of
from ..pki.distinguished_names import DistinguishedName, issuer_name, subject_name
from ..pki.structure import encode_sequence, read_structure
from .candidate_paths import Path
from .name_constraints import Constrained, constrained_names

__all__ = [
    "OTHER_VERIFIER",
    "READ_BY_OPENSSL",
    "READ_BY_VERIFIER",
    "limits_of",
    "undecodable_name",
]

OTHER_VERIFIER = (
    "or have OpenSSL verify it: install trio-tlsx[openssl] and make the trust store with "
    'verifier="openssl"'
)

# The keys of CAs that the verifier accepts.
CURVES = ("secp256r1", "secp384r1", "secp521r1")
MLDSA = (mldsa.MLDSA44PublicKey, mldsa.MLDSA65PublicKey, mldsa.MLDSA87PublicKey)
CAN_VERIFY_MLDSA = int(cryptography.__version__.partition(".")[0]) >= 50

#: RFC 5280 4.1.2.2 has 20 octets, and one more is needed for a number whose first bit is set.
MAX_SERIAL_OCTETS = 21
#: RFC 5280 4.1.2.5: dates before it are to be UTCTime.
GENERALIZED_TIME_FROM = 2050
#: RFC 4055 3.1.
DEFAULT_SALT_LENGTH = 20

#: The extensions that the verifier reads; it refuses a critical one beside them.
READ_BY_VERIFIER: frozenset[ObjectIdentifier] = frozenset(
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

#: The critical extensions beside these that OpenSSL reads, with their names.
READ_BY_OPENSSL = {
    ExtensionOID.CRL_DISTRIBUTION_POINTS: "cRLDistributionPoints",
    ExtensionOID.CERTIFICATE_POLICIES: "certificatePolicies",
    ExtensionOID.POLICY_MAPPINGS: "policyMappings",
    ExtensionOID.POLICY_CONSTRAINTS: "policyConstraints",
    ExtensionOID.INHIBIT_ANY_POLICY: "inhibitAnyPolicy",
}

# RFC 1123 2.1, with a wildcard as its first label (RFC 9525 6.3).
HOST_PATTERN = re.compile(
    r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*",
    re.ASCII | re.IGNORECASE,
)


def limits_of(path: Path) -> list[CertificateError]:
    """Return all in a path that the built-in verifier refuses and OpenSSL accepts."""
    found: list[CertificateError] = []
    for check in _checks(path):
        try:
            check()
        except CertificateError as limit:
            found.append(limit)
        except UNREADABLE:
            pass  # nothing can be shown of it
    return found


def _checks(path: Path) -> Iterator[Callable[[], None]]:
    for depth, certificate in enumerate(path):
        yield partial(_check_serial_number, certificate)
        yield partial(_check_dates, certificate)
        yield partial(_check_critical_extensions, certificate)
        if depth:
            yield partial(_check_names, path[depth - 1], certificate)
            yield partial(_check_key, path[depth - 1], certificate)
            yield partial(_check_salt, path[depth - 1])
    yield partial(_check_name_constraints, path)


def is_subject_decodable(leaf: x509.Certificate) -> bool:
    """Return whether the built-in verifier can return the subject of a client's certificate."""
    try:
        _ = leaf.subject
    except MALFORMED:
        return False
    return True


def undecodable_name(leaf: x509.Certificate) -> CertificateError:
    """Return the error for a leaf that the built-in verifier accepts and then cannot decode."""
    return _limit(
        leaf,
        "has a subject that the built-in verifier cannot decode",
        "have it reissued with names in UTF-8",
        AlertDescription.bad_certificate,
    )


def _limit(
    certificate: x509.Certificate,
    fault: str,
    way_out: str,
    alert: AlertDescription = AlertDescription.certificate_unknown,
) -> CertificateError:
    return CertificateError(
        f"the certificate of {subject_of(certificate)} {fault}: {way_out}, {OTHER_VERIFIER}",
        alert,
        certificate=certificate,
    )


def _check_serial_number(certificate: x509.Certificate) -> None:
    number = certificate.serial_number
    octets = len(read_structure(certificate).serial_number.data)
    if number < 0:
        fault = f"has the negative serial number -{-number:x}"
    elif octets > MAX_SERIAL_OCTETS:
        fault = f"has a serial number of {octets} octets, and 20 are allowed"
    else:
        return
    raise _limit(certificate, f"{fault} (RFC 5280 4.1.2.2)", "have it reissued with another one")


def _check_dates(certificate: x509.Certificate) -> None:
    validity = read_structure(certificate).validity
    for moment in (validity.not_before, validity.not_after):
        if isinstance(moment, asn1.GeneralizedTime):
            year = moment.as_datetime().year
            if year < GENERALIZED_TIME_FROM:
                raise _limit(
                    certificate,
                    f"has a date of {year} as GeneralizedTime, and dates before 2050 have to be "
                    "UTCTime (RFC 5280 4.1.2.5)",
                    "have it reissued with that",
                )


def _check_critical_extensions(certificate: x509.Certificate) -> None:
    for extension in read_structure(certificate).extensions or ():
        if extension.critical and extension.oid in READ_BY_OPENSSL:
            raise _limit(
                certificate,
                f"has the critical extension {READ_BY_OPENSSL[extension.oid]} "
                f"({extension.oid.dotted_string}), which the built-in verifier does not read",
                "have it reissued with the extension not critical",
            )


def _check_names(child: x509.Certificate, issuer: x509.Certificate) -> None:
    names, other = issuer_name(child), subject_name(issuer)
    if names.der != other.der:
        raise _limit(
            child,
            f"has the name of its issuer as {quoted(names.text)}, in another encoding than its "
            f"issuer's own certificate, {quoted(other.text)}; both are equal by RFC 5280 7.1, but "
            "the built-in verifier compares them octet by octet",
            "have it reissued with exactly that name",
            AlertDescription.unknown_ca,
        )


def _check_key(child: x509.Certificate, issuer: x509.Certificate) -> None:
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
    raise _limit(
        child,
        f"is signed with the {kind} key of {subject_of(issuer)}; the built-in verifier accepts "
        "CAs with RSA, P-256, P-384 and P-521 keys, and with ML-DSA keys from cryptography 50 on",
        "have it issued by such a CA, or trust the certificate itself",
        AlertDescription.unsupported_certificate,
    )


# RFC 4055 3.1


@asn1.sequence
class _Hash:
    oid: ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class _Mask:
    oid: ObjectIdentifier
    hash: _Hash


@asn1.sequence
class _PssParameters:
    hash: Annotated[_Hash | None, asn1.Explicit(0)]
    mask: Annotated[_Mask | None, asn1.Explicit(1)]
    salt_length: Annotated[int | None, asn1.Explicit(2)]
    trailer: Annotated[int | None, asn1.Explicit(3)]


@asn1.sequence
class _PssAlgorithm:
    oid: ObjectIdentifier
    parameters: _PssParameters


def _check_salt(child: x509.Certificate) -> None:
    digest = child.signature_hash_algorithm
    if child.signature_algorithm_oid != SignatureAlgorithmOID.RSASSA_PSS or digest is None:
        return
    encoded = read_structure(child).signature
    parameters = asn1.decode_der(_PssAlgorithm, encode_sequence(encoded.data)).parameters
    salt = DEFAULT_SALT_LENGTH if parameters.salt_length is None else parameters.salt_length
    if salt != digest.digest_size:
        raise _limit(
            child,
            f"is signed with RSA-PSS and a salt of {salt} bytes; the built-in verifier accepts "
            f"one of {digest.digest_size}, as long as the hash",
            "have it issued with that",
            AlertDescription.unsupported_certificate,
        )


def _check_name_constraints(path: Path) -> None:
    for name in constrained_names(path):
        fault = _fault_of_constraint(name)
        if fault is not None:
            raise CertificateError(
                f"the CA {subject_of(name.ca)} has {fault}, which the built-in verifier cannot "
                f"apply to {name.shown}: reissue the CA's certificate without that, "
                f"{OTHER_VERIFIER}",
                AlertDescription.certificate_unknown,
                certificate=name.certificate,
            )


def _fault_of_constraint(name: Constrained) -> str | None:
    if name.kind is x509.DNSName:
        for base in (*name.permitted, *name.excluded):
            if not HOST_PATTERN.fullmatch(base):
                # RFC 5280 4.2.1.10 has such a dot for URIs only.
                dot = " with a leading dot" if base.startswith(".") else ""
                return f"the name constraint {quoted(base)}{dot}"
        if not HOST_PATTERN.fullmatch(name.value):
            return "name constraints on DNS names"
    if name.kind in (x509.DNSName, x509.IPAddress, x509.RFC822Name):
        return None
    if isinstance(name.value, DistinguishedName) and not _is_critical(name.ca):
        return None
    return f"name constraints on names of the type {name.kind.__name__}"


def _is_critical(ca: x509.Certificate) -> bool:
    return any(
        extension.critical
        for extension in read_structure(ca).extensions or ()
        if extension.oid == ExtensionOID.NAME_CONSTRAINTS
    )
