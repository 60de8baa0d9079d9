"""CompressedCertificate messages (RFC 8879)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from ..errors import CertificateError, ProtocolError
from ..messages.extensions import (
    Extensions,
    ExtensionType,
    decode_compression_algorithms,
    encode_compression_algorithms,
)
from ..messages.handshake import Certificate, CompressedCertificate
from ..pki.compression import CertificateCompressor
from ..record.message_reader import MAX_CERTIFICATE_LENGTH

__all__ = ["compressed", "compressor_for", "decompressed", "message_types", "offer"]

Compressors: TypeAlias = Mapping[int, CertificateCompressor]
AnyCertificate: TypeAlias = Certificate | CompressedCertificate


def offer(compressors: Compressors) -> Extensions:
    """Return the extension that offers these algorithms to the peer."""
    if not compressors:
        return {}
    return {ExtensionType.compress_certificate: encode_compression_algorithms(compressors)}


def compressor_for(
    compressors: Compressors, requested: Extensions
) -> CertificateCompressor | None:
    """Return our most preferred algorithm that the peer offers; None if there is none."""
    body = requested.get(ExtensionType.compress_certificate)
    if body is None:
        return None
    known = decode_compression_algorithms(body)
    return next((c for code, c in compressors.items() if code in known), None)


def compressed(
    certificate: Certificate, compressor: CertificateCompressor
) -> CompressedCertificate:
    body = certificate.encode()
    return CompressedCertificate(compressor.algorithm, len(body), compressor.compress(body))


def message_types(compressors: Compressors) -> tuple[type[AnyCertificate], ...]:
    """Return the messages in which the peer may send its certificate."""
    return (Certificate, CompressedCertificate) if compressors else (Certificate,)


def decompressed(compressors: Compressors, message: AnyCertificate) -> Certificate:
    """Decompress the peer's Certificate, and check the length that it announced.

    Raises:
        ProtocolError: it is compressed as nobody offered; or as for any Certificate.
        CertificateError: it cannot be decompressed, or not to that length (RFC 8879 4).
    """
    if isinstance(message, Certificate):
        return message
    compressor = compressors.get(message.algorithm)
    if compressor is None:
        raise ProtocolError(
            f"the peer compressed its certificate with an algorithm ({message.algorithm}) "
            "that was not offered"
        )
    length = message.uncompressed_length
    if length > MAX_CERTIFICATE_LENGTH:
        raise CertificateError(
            f"the peer's certificate has {length} bytes without compression; "
            f"at most {MAX_CERTIFICATE_LENGTH} are allowed"
        )
    try:
        body = compressor.decompress(message.compressed_certificate_message, length)
    except ValueError as error:
        raise CertificateError("the peer's certificate cannot be decompressed") from error
    if len(body) != length:
        raise CertificateError(
            f"the peer's certificate has {len(body)} bytes without compression, "
            f"and it said {length}"
        )
    return Certificate.decode(body)
