"""A certificate in the format of :meth:`ssl.SSLSocket.getpeercert`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID as Access

from ..pki.certificates import MALFORMED, extension_of
from ..pki.distinguished_names import issuer_name, subject_name

__all__ = ["certificate_dict"]

_T = TypeVar("_T", bound=x509.ExtensionType)

#: OpenSSL's names of attribute types. OpenSSL shows the numbers of all other types.
ATTRIBUTE_NAMES = {
    "0.9.2342.19200300.100.1.1": "userId",
    "0.9.2342.19200300.100.1.25": "domainComponent",
    "1.2.643.100.1": "OGRN",
    "1.2.643.100.3": "SNILS",
    "1.2.643.3.131.1.1": "INN",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionLocalityName",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionStateOrProvinceName",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionCountryName",
    "2.5.4.3": "commonName",
    "2.5.4.4": "surname",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "countryName",
    "2.5.4.7": "localityName",
    "2.5.4.8": "stateOrProvinceName",
    "2.5.4.9": "streetAddress",
    "2.5.4.10": "organizationName",
    "2.5.4.11": "organizationalUnitName",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.16": "postalAddress",
    "2.5.4.17": "postalCode",
    "2.5.4.20": "telephoneNumber",
    "2.5.4.41": "name",
    "2.5.4.42": "givenName",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
}

#: English names of months; those of ``strftime`` depend on the locale.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

OTHER_NAME = ("othername", "<unsupported>")  # as in the stdlib


def certificate_dict(certificate: x509.Certificate) -> dict[str, Any]:
    """Return the dict of ``getpeercert()``, entry for entry."""
    entries: dict[str, Any] = {
        "subject": tuple(map(attributes, subject_name(certificate).rdns)),
        "issuer": tuple(map(attributes, issuer_name(certificate).rdns)),
        "version": certificate.version.value + 1,
        "serialNumber": whole_octets(certificate.serial_number),
        "notBefore": point_in_time(certificate.not_valid_before_utc),
        "notAfter": point_in_time(certificate.not_valid_after_utc),
    }
    lists = {
        "subjectAltName": map(general_name, find(certificate, x509.SubjectAlternativeName) or ()),
        "OCSP": access_uris(certificate, Access.OCSP),
        "caIssuers": access_uris(certificate, Access.CA_ISSUERS),
        "crlDistributionPoints": distribution_uris(certificate),
    }
    found = {key: tuple(values) for key, values in lists.items()}
    return entries | {key: values for key, values in found.items() if values}


def find(certificate: x509.Certificate, kind: type[_T]) -> _T | None:
    """Return the extension; None if it is missing or malformed, as OpenSSL omits it."""
    try:
        return extension_of(certificate, kind)
    except MALFORMED:
        return None


def attributes(
    part: Iterable[tuple[x509.ObjectIdentifier, str | bytes]],
) -> tuple[tuple[str, str], ...]:
    return tuple(
        (
            ATTRIBUTE_NAMES.get(kind.dotted_string, kind.dotted_string),
            value if isinstance(value, str) else value.hex(),
        )
        for kind, value in part
    )


def directory_name(name: x509.Name) -> tuple[tuple[tuple[str, str], ...], ...]:
    return tuple(attributes((pair.oid, pair.value) for pair in part) for part in name.rdns)


def whole_octets(number: int) -> str:
    digits = f"{abs(number):X}"
    return "-" * (number < 0) + "0" * (len(digits) % 2) + digits


def point_in_time(when: datetime) -> str:
    return f"{MONTHS[when.month - 1]} {when.day:2} {when:%H:%M:%S} {when.year} GMT"


def general_name(name: x509.GeneralName) -> tuple[str, Any]:
    match name:
        case x509.DNSName():
            return "DNS", name.value
        case x509.RFC822Name():
            return "email", name.value
        case x509.UniformResourceIdentifier():
            return "URI", name.value
        case x509.IPAddress():
            return "IP Address", address(name)
        case x509.DirectoryName():
            return "DirName", directory_name(name.value)
        case x509.RegisteredID():
            return "Registered ID", name.value.dotted_string
        case _:
            return OTHER_NAME


def address(name: x509.IPAddress) -> str:
    if not isinstance(name.value, ipaddress.IPv6Address):
        return str(name.value)
    return ":".join(f"{int(group, 16):X}" for group in name.value.exploded.split(":"))


def access_uris(certificate: x509.Certificate, method: x509.ObjectIdentifier) -> Iterator[str]:
    descriptions = find(certificate, x509.AuthorityInformationAccess) or ()
    return uris(d.access_location for d in descriptions if d.access_method == method)


def distribution_uris(certificate: x509.Certificate) -> Iterator[str]:
    points = find(certificate, x509.CRLDistributionPoints) or ()
    return uris(name for point in points for name in point.full_name or ())


def uris(names: Iterable[x509.GeneralName]) -> Iterator[str]:
    return (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
