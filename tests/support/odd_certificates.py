"""Certificates with a single field replaced by other DER, and signed again."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

SEQUENCE, SET, INTEGER, BIT_STRING, GENERALIZED_TIME = 0x30, 0x31, 0x02, 0x03, 0x18
UTF8_STRING, PRINTABLE_STRING = 0x0C, 0x13
COMMON_NAME = bytes.fromhex("0603550403")

# The places of the fields in a TBSCertificate of version 3 (RFC 5280 4.1).
SERIAL_NUMBER, ISSUER, VALIDITY, SUBJECT = 1, 3, 4, 5


def tlv(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def elements(encoded: bytes) -> Iterator[bytes]:
    """The elements of a SEQUENCE, each with its tag and length."""
    rest = content_of(encoded)
    while rest:
        size = len(rest) - len(behind(rest))
        yield rest[:size]
        rest = rest[size:]


def content_of(encoded: bytes) -> bytes:
    return encoded[header_length(encoded) :]


def header_length(encoded: bytes) -> int:
    return 2 + (encoded[1] & 0x7F if encoded[1] & 0x80 else 0)


def behind(encoded: bytes) -> bytes:
    """The octets after the first element."""
    header = header_length(encoded)
    length = encoded[1] if header == 2 else int.from_bytes(encoded[2:header])
    return encoded[header + length :]


def remade(certificate: x509.Certificate, issuer_key: object, **fields: bytes) -> x509.Certificate:
    """The same certificate with other fields, in DER, signed by a P-256 key."""
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    places = {
        "serial_number": SERIAL_NUMBER,
        "issuer": ISSUER,
        "validity": VALIDITY,
        "subject": SUBJECT,
    }
    tbs = [*elements(certificate.tbs_certificate_bytes)]
    for name, value in fields.items():
        tbs[places[name]] = value
    signed = tlv(SEQUENCE, b"".join(tbs))
    [_, algorithm, _] = elements(certificate.public_bytes(Encoding.DER))
    signature = tlv(BIT_STRING, b"\0" + issuer_key.sign(signed, ec.ECDSA(SHA256())))
    return x509.load_der_x509_certificate(tlv(SEQUENCE, signed + algorithm + signature))


def serial_number(value: int) -> bytes:
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, signed=True))


def generalized_validity(certificate: x509.Certificate) -> bytes:
    """The validity of a certificate as GeneralizedTime, which RFC 5280 4.1.2.5 reserves."""
    dates = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return tlv(SEQUENCE, b"".join(map(generalized_time, dates)))


def generalized_time(moment: datetime.datetime) -> bytes:
    return tlv(GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())


def common_name(text: str, string_type: int) -> bytes:
    """A distinguished name of one part."""
    attribute = tlv(SEQUENCE, COMMON_NAME + tlv(string_type, text.encode()))
    return tlv(SEQUENCE, tlv(SET, attribute))
