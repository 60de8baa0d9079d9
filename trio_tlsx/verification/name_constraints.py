"""Name constraints: the names for which a CA may issue certificates (RFC 5280 4.2.1.10).

The verifier of ``cryptography`` applies them to subjectAltName alone, and not all kinds. This
module applies them to all names of a certificate: constraints on DNS names, IP addresses and URIs
bind subjectAltName, those on directory names bind the subject as well, and those on mail addresses
bind the subject's emailAddress if there is no subjectAltName.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.x509.oid import NameOID

from ..errors import AlertDescription, CertificateError
from ..pki.certificates import MALFORMED, extension_of
from ..pki.describe import quoted, subject_of
from ..pki.distinguished_names import DistinguishedName, canonical_name, issuer_name, subject_name

__all__ = ["Constrained", "check_name_constraints", "constrained_names"]

Kind: TypeAlias = type[x509.GeneralName]


@dataclass(frozen=True, slots=True)
class Constrained:
    """A name of a certificate and the constraints of its kind that a CA above it has.

    Attributes:
        ca: the CA.
        certificate: the certificate that has the name.
        kind: the form of the name.
        value: the name.
        permitted: the constraints of this form, one of which the name has to match if there are
            any.
        excluded: the constraints of this form that the name must not match.
    """

    ca: x509.Certificate
    certificate: x509.Certificate
    kind: Kind
    value: Any
    permitted: tuple[Any, ...]
    excluded: tuple[Any, ...]

    @property
    def is_violated(self) -> bool:
        """Whether the constraints exclude the name; False for kinds that are not in MATCHES."""
        matches = MATCHES.get(self.kind)
        if matches is None:
            return False
        if self.permitted and not any(matches(self.value, p, False) for p in self.permitted):
            return True
        return any(matches(self.value, e, True) for e in self.excluded)

    @property
    def shown(self) -> str:
        """The name as text, in quotes."""
        if isinstance(self.value, DistinguishedName):
            return quoted(self.value.text)
        return quoted(str(self.value))


def check_name_constraints(path: Sequence[x509.Certificate]) -> None:
    """Check the names of all certificates against the constraints of the CAs above them.

    Args:
        path: from the leaf to the trusted certificate.

    Raises:
        CertificateError: a certificate has a name that a CA above it may not certify, or names or
            constraints that cannot be read.
    """
    for name in constrained_names(path):
        if name.is_violated:
            raise CertificateError(
                f"the CA {subject_of(name.ca)} may not issue a certificate for {name.shown}: its "
                "name constraints exclude it; get a certificate from another CA",
                AlertDescription.certificate_unknown,
                certificate=name.certificate,
            )


def constrained_names(path: Sequence[x509.Certificate]) -> Iterator[Constrained]:
    """Yield each name that a CA of the path has constraints for.

    Args:
        path: from the leaf to the trusted certificate.

    Raises:
        CertificateError: names or constraints cannot be read.
    """
    for depth, ca in enumerate(path[1:], start=1):
        constraints = _read(ca, x509.NameConstraints, "name constraints")
        if constraints is None:
            continue
        for below, certificate in enumerate(path[:depth]):
            # A CA may reissue itself; only the leaf is held to its name even then.
            if not below or not _is_self_issued(certificate):
                yield from _constrained(ca, constraints, certificate)


def _constrained(
    ca: x509.Certificate, constraints: x509.NameConstraints, certificate: x509.Certificate
) -> Iterator[Constrained]:
    permitted = constraints.permitted_subtrees or ()
    excluded = constraints.excluded_subtrees or ()
    for kind, value in _names(certificate):
        of_kind = tuple(
            tuple(base.value for base in subtrees if isinstance(base, kind))
            for subtrees in (permitted, excluded)
        )
        if any(of_kind):
            yield Constrained(ca, certificate, kind, value, *of_kind)


def _names(certificate: x509.Certificate) -> Iterator[tuple[Kind, Any]]:
    san = _read(certificate, x509.SubjectAlternativeName, "subjectAltName")
    for name in san or ():
        yield type(name), name.value
    subject = subject_name(certificate)
    if subject.rdns:
        yield x509.DirectoryName, subject
    if san is None:
        for kind, value in (pair for rdn in subject.rdns for pair in rdn):
            if kind == NameOID.EMAIL_ADDRESS:
                yield x509.RFC822Name, value


def _is_self_issued(certificate: x509.Certificate) -> bool:
    return subject_name(certificate).canonical == issuer_name(certificate).canonical


def _read(certificate: x509.Certificate, kind: type[Any], what: str) -> Any:
    try:
        return extension_of(certificate, kind)
    except MALFORMED as error:
        raise CertificateError(
            f"the {what} of the certificate of {subject_of(certificate)} cannot be read, so "
            "name constraints cannot be checked: have it reissued",
            certificate=certificate,
        ) from error


# Whether a name is within a constraint. The last argument is true for an excluded subtree: a
# wildcard name is excluded if one of the names that it stands for is.


def _directory_name_matches(name: Any, base: x509.Name, excluded: bool) -> bool:
    whole = name.canonical if isinstance(name, DistinguishedName) else canonical_name(name)
    within = canonical_name(base)
    start = whole[: len(within)]
    if excluded and not all(map(_is_text, start)):
        return True  # a part that cannot be read may be the excluded one
    return start == within


def _is_text(part: frozenset[tuple[Any, str | bytes]]) -> bool:
    return bool(part) and all(isinstance(value, str) for _, value in part)


def _dns_name_matches(name: str, base: str, excluded: bool) -> bool:
    name, base = name.lower(), base.lower()
    if not name.startswith("*."):
        return _is_host_within(name, base)
    parent = name.removeprefix("*.")
    if _is_host_within(parent, base):
        return True
    label = base.removesuffix(f".{parent}")
    return excluded and label != base and "." not in label


def _is_host_within(host: str, base: str) -> bool:
    if not base or base.startswith("."):
        return host.endswith(base)
    return host == base or host.endswith(f".{base}")


def _address_matches(address: Any, base: Any, excluded: bool) -> bool:
    del excluded
    known = ipaddress.IPv4Address | ipaddress.IPv6Address
    networks = ipaddress.IPv4Network | ipaddress.IPv6Network
    return isinstance(address, known) and isinstance(base, networks) and address in base


def _mail_address_matches(address: Any, base: str, excluded: bool) -> bool:
    if not isinstance(address, str) or "@" not in address:
        return excluded  # not a mail address: it is not permitted, and may be an excluded one
    mailbox, _, host = address.rpartition("@")
    host = host.lower()
    if "@" in base:
        base_mailbox, _, base_host = base.rpartition("@")
        return (mailbox, host) == (base_mailbox, base_host.lower())
    base = base.lower()
    return host.endswith(base) if base.startswith(".") else host == base


#: URIs, registered IDs and other names are not among them: the verifier refuses those that are
#: constrained.
MATCHES: dict[Kind, Callable[[Any, Any, bool], bool]] = {
    x509.DirectoryName: _directory_name_matches,
    x509.DNSName: _dns_name_matches,
    x509.IPAddress: _address_matches,
    x509.RFC822Name: _mail_address_matches,
}
