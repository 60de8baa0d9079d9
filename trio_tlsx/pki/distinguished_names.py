"""Distinguished names (RFC 5280 4.1.2.4), also those that ``cryptography`` cannot decode.

``x509.Certificate.subject`` raises if a string is not what its type says, such as a TeletexString
in Latin-1, and if a part of the name is empty. Old CAs have such names, and the verifier accepts
them, since it compares names octet by octet.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509.oid import NameOID, ObjectIdentifier

from .certificates import MALFORMED
from .structure import encode_sequence, read_structure

__all__ = ["Canonical", "DistinguishedName", "canonical_name", "issuer_name", "subject_name"]

Attribute: TypeAlias = tuple[ObjectIdentifier, str | bytes]
Canonical: TypeAlias = tuple[frozenset[Attribute], ...]

#: The character sets of the string types, by their tags (X.680 8.4). A TeletexString is Latin-1
#: in practice.
ENCODINGS = {
    b"\x0c": "utf-8",
    b"\x12": "ascii",  # NumericString
    b"\x13": "latin-1",  # PrintableString: what CAs write into it is often not printable ASCII
    b"\x14": "latin-1",
    b"\x16": "latin-1",  # IA5String
    b"\x1a": "latin-1",  # VisibleString
    b"\x1c": "utf-32-be",
    b"\x1e": "utf-16-be",
}

#: RFC 4514 2.4.
SPECIAL = '"+,;<>\\'

#: RFC 4514 3.
SHORT_NAMES = {
    NameOID.COMMON_NAME: "CN",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COUNTRY_NAME: "C",
    NameOID.STREET_ADDRESS: "STREET",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.USER_ID: "UID",
}


class DistinguishedName(NamedTuple):
    """A name, as far as it can be decoded.

    Attributes:
        der: the name in DER. The verifier compares names by it.
        rdns: its parts, the outermost first; each has pairs of a type and a value. The value is
            bytes where it is not text. A part that cannot be decoded is empty.
    """

    der: bytes
    rdns: tuple[tuple[Attribute, ...], ...]

    @property
    def canonical(self) -> Canonical:
        """The name in the form in which names are compared (RFC 5280 7.1).

        The type of a string, its case and runs of white space do not matter.
        """
        return _canonical_rdns(self.rdns)

    @property
    def text(self) -> str:
        """The name as text, the innermost part first (RFC 4514)."""
        return ",".join("+".join(map(_attribute_text, rdn)) for rdn in reversed(self.rdns))


def subject_name(certificate: x509.Certificate) -> DistinguishedName:
    """Return the subject of any certificate that ``cryptography`` loads."""
    return _decode(read_structure(certificate).subject.data)


def issuer_name(certificate: x509.Certificate) -> DistinguishedName:
    """Return the issuer of any certificate that ``cryptography`` loads."""
    return _decode(read_structure(certificate).issuer.data)


# Decoding


@asn1.sequence
class _TypeAndValue:
    type: ObjectIdentifier
    value: asn1.TLV


@asn1.sequence
class _Name:
    parts: list[asn1.TLV]


@asn1.sequence
class _Part:
    attributes: list[_TypeAndValue]


def _decode(content: memoryview) -> DistinguishedName:
    der = encode_sequence(content)
    return DistinguishedName(der, _parts(der))


def _parts(name: bytes) -> tuple[tuple[Attribute, ...], ...]:
    try:
        parts = asn1.decode_der(_Name, encode_sequence(name)).parts
    except MALFORMED:
        return ((),)
    return tuple(_attributes(part.data) for part in parts)


def _attributes(part: memoryview) -> tuple[Attribute, ...]:
    """Decode a SET as if it were a SEQUENCE: the order in it does not matter here."""
    try:
        attributes = asn1.decode_der(_Part, encode_sequence(encode_sequence(part))).attributes
    except MALFORMED:
        return ()
    return tuple((attribute.type, _value(attribute.value)) for attribute in attributes)


def _value(value: asn1.TLV) -> str | bytes:
    octets = bytes(value.data)
    try:
        return octets.decode(ENCODINGS[value.tag_bytes])
    except (KeyError, UnicodeDecodeError):
        return octets


# Comparing and showing


def canonical_name(name: x509.Name) -> Canonical:
    """Return a name that ``cryptography`` has decoded in the form in which names are compared."""
    return _canonical_rdns(((pair.oid, pair.value) for pair in rdn) for rdn in name.rdns)


def _canonical_rdns(rdns: Iterable[Iterable[Attribute]]) -> Canonical:
    return tuple(frozenset(map(_canonical, rdn)) for rdn in rdns)


def _canonical(attribute: Attribute) -> Attribute:
    kind, value = attribute
    return kind, " ".join(value.casefold().split()) if isinstance(value, str) else value


def _attribute_text(attribute: Attribute) -> str:
    kind, value = attribute
    name = SHORT_NAMES.get(kind, kind.dotted_string)
    if isinstance(value, bytes):
        return f"{name}=#{value.hex()}"
    escaped = "".join(f"\\{c}" if c in SPECIAL else c for c in value)
    return f"{name}={escaped}"
