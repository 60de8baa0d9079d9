"""Certificates that deviate from RFC 5280, each in one way or, at random, in several.

A deviation changes the leaf or its CA. Changed certificates are signed again, so the deviation is
their only fault.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from cryptography import x509
from der import (
    CA_EXTENSIONS,
    COMMON_NAME,
    DAY,
    HOST,
    NOW,
    Authority,
    Form,
    extension,
    generalized_time,
    integer,
    name,
    object_identifier,
    sequence,
    tlv,
    utc_time,
)

__all__ = ["DEVIATIONS", "Case", "cases", "random_case"]

Change: TypeAlias = Callable[[Form], Form]

AUTHORITY = Authority()
ROOT_FORM = Form(subject=name("root"), extensions=CA_EXTENSIONS)

STRING_TYPES = {
    "UTF8String": 0x0C,
    "NumericString": 0x12,
    "PrintableString": 0x13,
    "TeletexString": 0x14,
    "VideotexString": 0x15,
    "IA5String": 0x16,
    "VisibleString": 0x1A,
    "GeneralString": 0x1B,
    "UniversalString": 0x1C,
    "BMPString": 0x1E,
    "OCTET STRING": 0x04,
    "INTEGER": 0x02,
}
CONTENTS = {
    "ASCII": b"leaf",
    "Latin-1": b"Autorit\xe9",
    "UTF-16": "leaf".encode("utf-16-be"),
    "no octets": b"",
    "a zero octet": b"le\0af",
}
KINDS = {
    "authorityInfoAccess": "1.3.6.1.5.5.7.1.1",
    "tlsFeature": "1.3.6.1.5.5.7.1.24",
    "subjectKeyIdentifier": "2.5.29.14",
    "keyUsage": "2.5.29.15",
    "subjectAltName": "2.5.29.17",
    "issuerAltName": "2.5.29.18",
    "basicConstraints": "2.5.29.19",
    "nameConstraints": "2.5.29.30",
    "cRLDistributionPoints": "2.5.29.31",
    "certificatePolicies": "2.5.29.32",
    "policyMappings": "2.5.29.33",
    "authorityKeyIdentifier": "2.5.29.35",
    "policyConstraints": "2.5.29.36",
    "extKeyUsage": "2.5.29.37",
    "inhibitAnyPolicy": "2.5.29.54",
    "certificate timestamps": "1.3.6.1.4.1.11129.2.4.2",
    "an unknown extension": "1.2.3.4",
}
GARBAGE = {"garbled": b"\x30\x03\x02\x01", "of another type": b"\x05\x00", "empty": b""}

GENERAL_NAMES = {
    "an otherName": tlv(0xA0, object_identifier("1.2.3"), tlv(0xA0, b"\x05\x00")),
    "a mail address": tlv(0x81, b"me@a.example"),
    "a malformed mail address": tlv(0x81, b"\xff@"),
    "a dNSName in UTF-8": tlv(0x82, "bücher.example".encode()),
    "an empty dNSName": tlv(0x82, b""),
    "an underscore": tlv(0x82, b"my_db"),
    "an x400Address": tlv(0xA3),
    "a directoryName": tlv(0xA4, name("leaf")),
    "a directoryName in Latin-1": tlv(0xA4, name(b"\xe9", 0x14)),
    "an ediPartyName": tlv(0xA5, tlv(0xA1, tlv(0x0C, b"x"))),
    "a URI": tlv(0x86, b"spiffe://example/a"),
    "a URI with a space": tlv(0x86, b"http://a b/\xff"),
    "an IP address": tlv(0x87, bytes(4)),
    "an IP address of 5 octets": tlv(0x87, bytes(5)),
    "a registeredID": tlv(0x88, b"\x2a\x03"),
    "an unknown form": tlv(0x89, b"x"),
}


def _with_names(**names: bytes) -> Change:
    return lambda form: replace(form, **names)


def _adding(added: bytes) -> Change:
    return lambda form: replace(form, extensions=(*form.extensions, added))


def _replacing(dotted: str, by: bytes) -> Change:
    """Replace an extension, or add it if the form does not have it."""
    number = object_identifier(dotted)
    return lambda form: replace(
        form, extensions=(*(e for e in form.extensions if number not in e), by)
    )


def _of_names() -> Iterator[tuple[str, Change]]:
    for kind, tag in STRING_TYPES.items():
        for what, content in CONTENTS.items():
            yield f"subject as {kind}, {what}", _with_names(subject=name(content, tag))
    attribute = sequence(object_identifier(COMMON_NAME), tlv(0x0C, b"leaf"))
    other = sequence(object_identifier("2.5.4.10"), tlv(0x0C, b"us"))
    yield "subject without a part", _with_names(subject=sequence())
    yield "subject with an empty part", _with_names(subject=sequence(tlv(0x31)))
    yield "subject with a part twice", _with_names(subject=sequence(*[tlv(0x31, attribute)] * 2))
    for what, both in (
        ("in order", (other, attribute)),
        ("out of order", (attribute, other)),
        ("that are equal", (attribute, attribute)),
    ):
        yield (
            f"subject with two attributes {what}",
            _with_names(subject=sequence(tlv(0x31, *both))),
        )
    yield (
        "subject with a mail address",
        _with_names(subject=name("me@a.example", 0x16, "1.2.840.113549.1.9.1")),
    )
    yield "subject of 300 characters", _with_names(subject=name("x" * 300))


def _of_issuers() -> Iterator[tuple[str, Change]]:
    yield "issuer as PrintableString", _with_names(issuer=name("root", 0x13))
    yield "issuer as BMPString", _with_names(issuer=name("root".encode("utf-16-be"), 0x1E))
    yield "issuer in capitals", _with_names(issuer=name("ROOT"))
    yield "issuer with spaces around it", _with_names(issuer=name(" root  "))
    yield "issuer without a part", _with_names(issuer=sequence())


def _of_extensions() -> Iterator[tuple[str, Change]]:
    for kind, dotted in KINDS.items():
        for what, value in GARBAGE.items():
            yield f"{kind} {what}", _replacing(dotted, extension(dotted, value))
        yield (
            f"{kind} garbled and critical",
            _replacing(dotted, extension(dotted, GARBAGE["garbled"], critical=True)),
        )
    not_a_ca = bytes.fromhex("3003010100")
    yield (
        "basicConstraints with an encoded default",
        _replacing("2.5.29.19", extension("2.5.29.19", not_a_ca, critical=True)),
    )
    encoded = sequence(object_identifier("1.2.3.4"), b"\x01\x01\x00", tlv(4, b"\x05\x00"))
    yield "an extension with critical FALSE encoded", _adding(encoded)
    yield "an extension twice", lambda form: _adding(form.extensions[-1])(form)
    yield "no extensions", lambda form: replace(form, extensions=())
    yield (
        "keyUsage without a bit",
        _replacing("2.5.29.15", extension("2.5.29.15", b"\x03\x01\x00", critical=True)),
    )
    policies = sequence(sequence(object_identifier("1.2.3.4")))
    yield "certificatePolicies, critical", _adding(extension("2.5.29.32", policies, critical=True))
    yield (
        "an unknown critical extension",
        _adding(extension("1.2.3.4", b"\x05\x00", critical=True)),
    )
    for what, base in GENERAL_NAMES.items():
        constraint = sequence(tlv(0xA1, sequence(base)))
        yield f"name constraints on {what}", _adding(extension("2.5.29.30", constraint))


def _of_alternative_names() -> Iterator[tuple[str, Change]]:
    host = tlv(0x82, HOST.encode())
    for what, encoded in GENERAL_NAMES.items():
        value = sequence(host, encoded)
        yield f"subjectAltName with {what}", _replacing("2.5.29.17", extension("2.5.29.17", value))
    yield (
        "subjectAltName without a name",
        _replacing("2.5.29.17", extension("2.5.29.17", sequence())),
    )


def _of_numbers_and_times() -> Iterator[tuple[str, Change]]:
    for what, number in (
        ("0", integer(0)),
        ("-1", integer(-1)),
        ("negative, of 16 octets", integer(-(2**120))),
        ("of 20 octets and a zero", integer(2**159)),
        ("of 26 octets", integer(2**200)),
        ("of 300 octets", integer(2**2392)),
        ("with a zero too many", tlv(2, b"\0\x01")),
        ("without an octet", tlv(2)),
    ):
        yield f"serial number {what}", _with_names(serial_number=number)
    for what, moment in (
        ("GeneralizedTime before 2050", generalized_time(NOW - DAY)),
        ("GeneralizedTime with a fraction", tlv(0x18, b"20200101000000.5Z")),
        ("UTCTime without seconds", tlv(0x17, b"2001010000Z")),
        ("UTCTime with a zone", tlv(0x17, b"200101000000+0100")),
        ("in the year 1950", utc_time(NOW.replace(year=1950, day=1))),
        ("in the year 0001", tlv(0x18, b"00010101000000Z")),
        ("of the 30th of February", tlv(0x17, b"200230000000Z")),
    ):
        yield f"notBefore: {what}", _with_names(not_before=moment)
    yield (
        "notAfter: never (RFC 5280 4.1.2.5)",
        _with_names(not_after=tlv(0x18, b"99991231235959Z")),
    )


DEVIATIONS: dict[str, Change] = dict(
    change
    for changes in (
        _of_names(),
        _of_issuers(),
        _of_extensions(),
        _of_alternative_names(),
        _of_numbers_and_times(),
    )
    for change in changes
)


@dataclass(frozen=True)
class Case:
    """A chain, the certificate that is trusted, and what is odd about them.

    Attributes:
        what: the deviations.
        chain: the leaf and its CA, in DER; they need not be certificates that can be loaded.
    """

    what: str
    chain: tuple[bytes, bytes]

    @property
    def certificates(self) -> list[x509.Certificate]:
        """The chain; an error of ``cryptography`` where it cannot be loaded."""
        return [x509.load_der_x509_certificate(der) for der in self.chain]


def cases() -> Iterator[Case]:
    """Each deviation by itself, in the leaf and in its CA."""
    for what, change in DEVIATIONS.items():
        yield _case(f"{what}, leaf", change(Form()), ROOT_FORM)
        root = change(ROOT_FORM)
        if what.startswith("issuer"):
            continue
        # The CA stays the issuer by its name, whatever that is.
        yield _case(f"{what}, CA", Form(issuer=root.subject), replace(root, issuer=root.subject))


def random_case(seed: int) -> Case:
    """Several deviations at once; the same for the same seed."""
    chosen = random.Random(seed)
    leaf, root = Form(), ROOT_FORM
    what: list[str] = []
    for _ in range(chosen.randint(1, 4)):
        deviation = chosen.choice(list(DEVIATIONS))
        if chosen.random() < 0.6:
            leaf = DEVIATIONS[deviation](leaf)
        else:
            root = DEVIATIONS[deviation](root)
            leaf, root = replace(leaf, issuer=root.subject), replace(root, issuer=root.subject)
        what.append(deviation)
    return _case(", ".join(what), leaf, root)


def _case(what: str, leaf: Form, root: Form) -> Case:
    return Case(
        what,
        (
            AUTHORITY.encode(leaf, AUTHORITY.leaf_key),
            AUTHORITY.encode(root, AUTHORITY.key),
        ),
    )
