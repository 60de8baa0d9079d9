"""Compressed certificates that are malformed, have another length, or were not offered."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from deviations import (
    altered,
    before,
    but,
    cut_in_half,
    cut_short,
    doubled,
    empty,
    missing,
    only_one_octet,
    rows,
    trailing,
)
from scripted_clients import CertifiedClientPeer, CompressingClientPeer
from scripted_peer import ZLIB, Deviation
from scripted_servers import AskingServerPeer, CompressingServerPeer

from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages.handshake import Certificate, CompressedCertificate
from trio_tlsx.record.message_reader import MAX_CERTIFICATE_LENGTH

PEERS = (CompressingServerPeer, CompressingClientPeer)
PLACE = ("compressed_certificate",)

ANOTHER = zlib.compress(b"another")


def of(body: bytes, length: int | None = None) -> CompressedCertificate:
    return CompressedCertificate(
        ZLIB, len(body) if length is None else length, zlib.compress(body, 9)
    )


def holding(body: bytes, length: int | None = None) -> Deviation:
    """Compressed as it should be; it need not be a Certificate."""
    return altered(lambda _: of(body, length))


def compressed_as(change: Callable[[bytes], bytes]) -> Deviation:
    """With other octets in place of the compressed ones, and the right length."""

    def altered_message(message: CompressedCertificate) -> CompressedCertificate:
        octets = change(message.compressed_certificate_message)
        return CompressedCertificate(ZLIB, message.uncompressed_length, octets)

    return altered(altered_message)


def told(change: Callable[[int], int]) -> Deviation:
    """With another length than comes out."""

    def altered_message(message: CompressedCertificate) -> CompressedCertificate:
        length = change(message.uncompressed_length)
        return CompressedCertificate(ZLIB, length, message.compressed_certificate_message)

    return altered(altered_message)


ROWS = [
    *rows(
        "RFC 8879 4",
        PEERS,
        PLACE,
        {
            **{f"algorithm-{code}": but(algorithm=code) for code in (0, 2, 3, 257, 1234, 0xFFFF)},
        },
        A.illegal_parameter,
    ),
    *rows(
        "RFC 8879 4",
        PEERS,
        PLACE,
        {
            "length-one-more": told(lambda length: length + 1),
            "length-one-less": told(lambda length: length - 1),
            "length-zero": told(lambda length: 0),
            "length-at-the-limit": told(lambda length: MAX_CERTIFICATE_LENGTH),
            "length-beyond-the-limit": told(lambda length: MAX_CERTIFICATE_LENGTH + 1),
            "length-of-16-mebibytes": told(lambda length: 2**24 - 1),
            "really-longer-than-allowed": holding(bytes(MAX_CERTIFICATE_LENGTH + 1)),
            "bomb-that-says-so": holding(bytes(2**24 - 1)),
            "bomb-that-says-1000": holding(bytes(2**24), 1000),
            "bomb-at-the-limit": holding(bytes(2**24), MAX_CERTIFICATE_LENGTH),
            "nothing-in-it": holding(b"", 4),
            "not-compressed": altered(
                lambda _: CompressedCertificate(ZLIB, 8, Certificate(b"", ()).encode() * 2)
            ),
            "zeros": compressed_as(lambda octets: bytes(len(octets))),
            "of-another-checksum": compressed_as(lambda octets: octets[:-4] + bytes(4)),
            "without-its-checksum": compressed_as(lambda octets: octets[:-4]),
            "without-its-last-octet": compressed_as(lambda octets: octets[:-1]),
            "half-of-it": compressed_as(lambda octets: octets[: len(octets) // 2]),
            "one-octet-of-it": compressed_as(lambda octets: octets[:1]),
            "an-octet-behind-it": compressed_as(lambda octets: octets + b"\0"),
            "another-stream-behind-it": compressed_as(lambda octets: octets + ANOTHER),
            "another-stream-before-it": compressed_as(lambda octets: ANOTHER + octets),
            "deflated-without-a-header": compressed_as(lambda octets: octets[2:-4]),
        },
        A.bad_certificate,
    ),
    # What is in it is read as any Certificate is.
    *rows(
        "6.2",
        PEERS,
        PLACE,
        {
            "holds-what-is-no-certificate": holding(b"what is no certificate"),
            "holds-zeros": holding(bytes(1000)),
            "holds-an-octet-more": holding(Certificate(b"", ()).encode() + b"\0"),
            "holds-an-octet-less": holding(Certificate(b"", ()).encode()[:-1]),
        },
        A.decode_error,
    ),
    *rows(
        "RFC 8879 4",
        PEERS,
        PLACE,
        {
            "nothing-compressed": but(compressed_certificate_message=b""),
            "empty": empty,
            "cut-short": cut_short,
            "cut-in-half": cut_in_half,
            "only-one-octet": only_one_octet,
            "trailing": trailing,
        },
        A.decode_error,
    ),
    *rows(
        "4.5.1.3",
        [CompressingServerPeer],
        PLACE,
        {"holds-no-certificate-at-all": holding(Certificate(b"", ()).encode())},
        A.decode_error,
    ),
    *rows(
        "4.5.1.3",
        [CompressingClientPeer],
        PLACE,
        {"holds-no-certificate-at-all": holding(Certificate(b"", ()).encode())},
        A.certificate_required,
    ),
    *rows("4", PEERS, PLACE, {"missing": missing, "doubled": doubled}, A.unexpected_message),
    *rows(
        "4",
        PEERS,
        ["certificate_verify"],
        {"after-a-plain-certificate-too": before(Certificate(b"", ()))},
        A.unexpected_message,
    ),
    # Who did not offer it gets it from nobody.
    *rows(
        "RFC 8879 4",
        [AskingServerPeer, CertifiedClientPeer],
        ["certificate"],
        {"compressed": altered(lambda message: of(message.encode()))},
        A.unexpected_message,
    ),
]
