"""The fields of a certificate that ``cryptography.x509`` does not return one by one.

``x509.Certificate.extensions`` raises if a single extension is malformed, and ``subject`` raises
if a single string is. The verifier reads only the fields that it needs, so it accepts
certificates that raise afterwards. The declarations below are for the decoder of
``cryptography.hazmat.asn1``; they return each field as it is in the certificate.
"""

from __future__ import annotations

import datetime
from typing import Annotated, TypeVar

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509.oid import ObjectIdentifier, SignatureAlgorithmOID

__all__ = ["TbsCertificate", "encode_sequence", "read_extension", "read_structure"]

_T = TypeVar("_T", bound=x509.ExtensionType)

SEQUENCE = 0x30
SHORT_LENGTHS = 0x80  # X.690 8.1.3: lengths below are their own encoding


@asn1.sequence
class EncodedExtension:
    """RFC 5280 4.1.2.9."""

    oid: ObjectIdentifier
    critical: Annotated[bool, asn1.Default(False)]
    value: bytes


@asn1.sequence
class Validity:
    """RFC 5280 4.1.2.5."""

    not_before: asn1.UTCTime | asn1.GeneralizedTime
    not_after: asn1.UTCTime | asn1.GeneralizedTime


@asn1.sequence
class TbsCertificate:
    """RFC 5280 4.1; the parts that this library does not read stay undecoded."""

    version: Annotated[int | None, asn1.Explicit(0)]
    serial_number: asn1.TLV
    signature: asn1.TLV
    issuer: asn1.TLV
    validity: Validity
    subject: asn1.TLV
    public_key: asn1.TLV
    issuer_unique_id: Annotated[asn1.BitString | None, asn1.Implicit(1)]
    subject_unique_id: Annotated[asn1.BitString | None, asn1.Implicit(2)]
    extensions: Annotated[list[EncodedExtension] | None, asn1.Explicit(3)]


def read_structure(certificate: x509.Certificate) -> TbsCertificate:
    """Decode the fields of a certificate, each by itself.

    Raises:
        ValueError: the certificate does not have the structure of RFC 5280 4.1.
    """
    return asn1.decode_der(TbsCertificate, certificate.tbs_certificate_bytes)


def encode_sequence(content: bytes | memoryview) -> bytes:
    """Return a SEQUENCE in DER, such as a name of which the decoder returned the content."""
    length = len(content)
    if length < SHORT_LENGTHS:
        return bytes((SEQUENCE, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((SEQUENCE, SHORT_LENGTHS | len(octets))) + octets + content


# One extension of many


@asn1.sequence
class _Algorithm:
    oid: ObjectIdentifier


@asn1.sequence
class _PublicKey:
    algorithm: _Algorithm
    key: asn1.BitString


@asn1.sequence
class _LoneTbs:
    version: Annotated[int, asn1.Explicit(0)]
    serial_number: int
    signature: _Algorithm
    issuer: list[_Algorithm]
    validity: Validity
    subject: list[_Algorithm]
    public_key: _PublicKey
    extensions: Annotated[list[EncodedExtension], asn1.Explicit(3)]


@asn1.sequence
class _LoneCertificate:
    tbs: _LoneTbs
    algorithm: _Algorithm
    signature: asn1.BitString


def read_extension(certificate: x509.Certificate, kind: type[_T]) -> _T | None:
    """Decode one extension of a certificate, whatever the others are like.

    Returns:
        The extension, or None if the certificate does not have it.

    Raises:
        ValueError: the certificate or this extension is malformed.
        cryptography.x509.DuplicateExtension: the certificate has it twice.
    """
    encoded = [e for e in read_structure(certificate).extensions or () if e.oid == kind.oid]
    if not encoded:
        return None
    # Only a certificate has extensions that ``cryptography`` decodes: one is made with this alone.
    extensions = x509.load_der_x509_certificate(_certificate_with(encoded)).extensions
    return extensions.get_extension_for_class(kind).value


# The other fields of such a certificate, which nothing reads.
_ALGORITHM = _Algorithm(oid=SignatureAlgorithmOID.ED25519)
_MOMENT = asn1.UTCTime(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
_NOTHING = asn1.BitString(b"", 0)


def _certificate_with(extensions: list[EncodedExtension]) -> bytes:
    tbs = _LoneTbs(
        version=x509.Version.v3.value,
        serial_number=1,
        signature=_ALGORITHM,
        issuer=[],
        validity=Validity(not_before=_MOMENT, not_after=_MOMENT),
        subject=[],
        public_key=_PublicKey(algorithm=_ALGORITHM, key=_NOTHING),
        extensions=extensions,
    )
    return asn1.encode_der(_LoneCertificate(tbs=tbs, algorithm=_ALGORITHM, signature=_NOTHING))
