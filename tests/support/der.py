"""Certificates that are built from single octets, because no library creates them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = [
    "CA_EXTENSIONS",
    "COMMON_NAME",
    "DAY",
    "HOST",
    "LEAF_EXTENSIONS",
    "NOW",
    "Authority",
    "Form",
    "bit_string",
    "extension",
    "generalized_time",
    "integer",
    "name",
    "object_identifier",
    "sequence",
    "tlv",
    "utc_time",
]

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
HOST = "a.example"
COMMON_NAME = "2.5.4.3"
UTF8_STRING = 0x0C


def tlv(tag: int, *content: bytes) -> bytes:
    """One element (X.690 8.1), with the shortest form of its length."""
    body = b"".join(content)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + body


def sequence(*elements: bytes) -> bytes:
    return tlv(0x30, *elements)


def integer(number: int) -> bytes:
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, signed=True))


def bit_string(content: bytes) -> bytes:
    return tlv(3, b"\0", content)


def object_identifier(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    content = b""
    for number in (40 * first + second, *rest):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.insert(0, 0x80 | number & 0x7F)
        content += bytes(groups)
    return tlv(6, content)


def name(text: str | bytes, tag: int = UTF8_STRING, kind: str = COMMON_NAME) -> bytes:
    """A name of one attribute, whose string has any tag."""
    value = text.encode() if isinstance(text, str) else text
    return sequence(tlv(0x31, sequence(object_identifier(kind), tlv(tag, value))))


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    flag = b"\x01\x01\xff" if critical else b""
    return sequence(object_identifier(dotted), flag, tlv(4, value))


def utc_time(moment: datetime.datetime) -> bytes:
    return tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())


def generalized_time(moment: datetime.datetime) -> bytes:
    return tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())


ECDSA_SHA256 = sequence(object_identifier("1.2.840.10045.4.3.2"))
IS_CA = extension("2.5.29.19", bytes.fromhex("30030101ff"), critical=True)
SIGNS_CERTIFICATES = extension("2.5.29.15", bytes.fromhex("03020106"), critical=True)
SIGNS = extension("2.5.29.15", bytes.fromhex("03020780"), critical=True)
HOSTS = extension("2.5.29.17", sequence(tlv(0x82, HOST.encode())))
SERVES = extension("2.5.29.37", sequence(object_identifier("1.3.6.1.5.5.7.3.1")))

CA_EXTENSIONS = (IS_CA, SIGNS_CERTIFICATES)
LEAF_EXTENSIONS = (HOSTS, SIGNS, SERVES)


@dataclass(frozen=True, kw_only=True)
class Form:
    """What is written into a certificate, beside the key."""

    subject: bytes = name("leaf")
    issuer: bytes = name("root")
    serial_number: bytes = integer(0x1234)
    extensions: Sequence[bytes] = LEAF_EXTENSIONS
    not_before: bytes = utc_time(NOW - 2 * DAY)
    not_after: bytes = utc_time(NOW + 30 * DAY)
    algorithm: bytes = ECDSA_SHA256
    sign: Callable[[bytes], bytes] | None = None


@dataclass(frozen=True)
class Authority:
    """Keys that sign whatever is asked for."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    leaf_key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def root(self, form: Form | None = None) -> x509.Certificate:
        """A certificate for this authority's own key."""
        form = form or Form(subject=name("root"), extensions=CA_EXTENSIONS)
        return self.issue(form, self.key)

    def issue(
        self, form: Form | None = None, key: ec.EllipticCurvePrivateKey | None = None
    ) -> x509.Certificate:
        """A certificate that this authority's key signs."""
        return x509.load_der_x509_certificate(self.encode(form or Form(), key or self.leaf_key))

    def encode(self, form: Form, key: ec.EllipticCurvePrivateKey) -> bytes:
        tbs = sequence(
            tlv(0xA0, integer(2)),
            form.serial_number,
            form.algorithm,
            form.issuer,
            sequence(form.not_before, form.not_after),
            form.subject,
            key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            tlv(0xA3, sequence(*form.extensions)),
        )
        signature = form.sign(tbs) if form.sign else self.key.sign(tbs, ec.ECDSA(SHA256()))
        return sequence(tbs, form.algorithm, bit_string(signature))
