"""Raw public keys that are malformed, unsupported or unsolicited, and types not offered."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from deviations import (
    Row,
    but,
    extension,
    instead,
    missing,
    rows,
    signed,
    without_extension,
)
from scripted_clients import AnyPeer
from scripted_peer import CLIENT_CONTEXT, SERVER_CONTEXT, Deviation, credentials
from scripted_peers12 import AnyPeer12
from scripted_raw_keys import (
    RAW_KEY,
    RawClientPeer,
    RawClientPeer12,
    RawServerPeer,
    RawServerPeer12,
    StaplingRawServerPeer12,
)

from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import Extensions
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import CertificateEntry
from trio_tlsx.messages.handshake12 import RawCertificate12
from trio_tlsx.pki.public_keys import MAX_RAW_KEY_LENGTH

SPKI = RAW_KEY.der_chain[0]
X25519_SPKI = (
    x25519.X25519PrivateKey.generate()
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)
PKCS1 = (
    rsa.generate_private_key(65537, 2048)
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.PKCS1)
)

#: What is no SubjectPublicKeyInfo of a key.
MALFORMED = {
    "a-certificate": credentials.der_chain[0],
    "of-another-structure": PKCS1,
    "cut-short": SPKI[:-1],
    "trailing": SPKI + b"\0",
    "zeros": bytes(len(SPKI)),
    "not-on-the-curve": SPKI[:-64] + bytes(64),
    "too-long": SPKI + bytes(MAX_RAW_KEY_LENGTH),
    "no-algorithm": bytes.fromhex("3006300003020000"),
}
OCSP: Extensions = {E.status_request: ext.encode_certificate_status(b"response")}


def keys(*entries: CertificateEntry) -> Deviation:
    return but(certificate_list=entries)


def in_12(key: bytes) -> Deviation:
    return instead(RawCertificate12(key))


CLIENTS = (RawClientPeer, RawClientPeer12)


def selections(peer: type[AnyPeer | AnyPeer12], place: str) -> list[Row]:
    """Wrong selections of a server."""
    return [
        *rows(
            "RFC 7250 4.2",
            [peer],
            [place],
            {
                f"type-{code}-not-offered": extension(E.server_certificate_type, bytes((code,)))
                for code in (0, 1, 3, 255)
            },
            A.illegal_parameter,
        ),
        *rows(
            "RFC 7250 4.2",
            [peer],
            [place],
            {"no-type": without_extension(E.server_certificate_type)},
            A.unsupported_certificate,
        ),
        *rows(
            "6.2",
            [peer],
            [place],
            {
                "type-empty": extension(E.server_certificate_type, b""),
                "type-in-a-list": extension(E.server_certificate_type, b"\1\2"),
            },
            A.decode_error,
        ),
        *rows(
            "4.3",
            [peer],
            [place],
            {"type-unsolicited": extension(E.client_certificate_type, b"\2")},
            A.unsupported_extension,
        ),
    ]


ROWS = [
    *rows(
        "6.2",
        [RawServerPeer, RawClientPeer],
        ["certificate"],
        {f"raw-key-{what}": keys(CertificateEntry(key, {})) for what, key in MALFORMED.items()},
        A.bad_certificate,
    ),
    *rows(
        "RFC 5246 7.2.2",
        [RawServerPeer12, RawClientPeer12],
        ["certificate"],
        {f"raw-key-{what}": in_12(key) for what, key in MALFORMED.items()},
        A.bad_certificate,
    ),
    *rows(
        "6.2",
        [RawServerPeer, RawClientPeer],
        ["certificate"],
        {"raw-key-cannot-sign": keys(CertificateEntry(X25519_SPKI, {}))},
        A.unsupported_certificate,
    ),
    *rows(
        "RFC 5246 7.2.2",
        [RawServerPeer12, RawClientPeer12],
        ["certificate"],
        {"raw-key-cannot-sign": in_12(X25519_SPKI)},
        A.unsupported_certificate,
    ),
    *rows(
        "4.5.1",
        [RawServerPeer, RawClientPeer],
        ["certificate"],
        {"two-raw-keys": keys(CertificateEntry(SPKI, {}), CertificateEntry(SPKI, {}))},
        A.illegal_parameter,
    ),
    *rows(
        "RFC 6066 8",
        [RawServerPeer],
        ["certificate"],
        {"raw-key-with-ocsp": keys(CertificateEntry(SPKI, OCSP))},
        A.illegal_parameter,
    ),
    *rows(
        "4.3",
        [RawClientPeer],
        ["certificate"],
        {"raw-key-with-ocsp": keys(CertificateEntry(SPKI, OCSP))},
        A.unsupported_extension,
    ),
    *rows(
        "4.5.1.3",
        [RawServerPeer],
        ["certificate"],
        {"no-raw-key": keys(), "empty-raw-key": keys(CertificateEntry(b"", {}))},
        A.decode_error,
    ),
    *rows(
        "4.5.1.3", [RawClientPeer], ["certificate"], {"no-raw-key": keys()}, A.certificate_required
    ),
    *rows(
        "RFC 7250 3",
        [RawServerPeer12],
        ["certificate"],
        {"no-raw-key": in_12(b"")},
        A.decode_error,
    ),
    *rows(
        "RFC 6066 8",
        [StaplingRawServerPeer12],
        ["server_key_exchange"],
        {"raw-key-with-ocsp": but()},
        A.illegal_parameter,
    ),
    *rows(
        "RFC 5246 7.4.6",
        [RawClientPeer12],
        ["certificate"],
        {"no-raw-key": in_12(b"")},
        A.handshake_failure,
    ),
    *rows(
        "4",
        [RawServerPeer, RawClientPeer, RawClientPeer12],
        ["certificate_verify"],
        {"missing-for-a-raw-key": missing},
        A.unexpected_message,
    ),
    *rows(
        "4.5.2",
        [RawServerPeer],
        ["certificate_verify"],
        {"by-another-key": signed(lambda peer: peer.sign(SERVER_CONTEXT, by=credentials))},
        A.decrypt_error,
    ),
    *rows(
        "4.5.2",
        [RawClientPeer],
        ["certificate_verify"],
        {"by-another-key": signed(lambda peer: peer.sign(CLIENT_CONTEXT, by=credentials))},
        A.decrypt_error,
    ),
    *selections(RawServerPeer, "encrypted_extensions"),
    *selections(RawServerPeer12, "server_hello"),
    *rows(
        "RFC 7250 3",
        CLIENTS,
        ["client_hello"],
        {
            "types-empty": extension(E.client_certificate_type, b"\0"),
            "types-cut-short": extension(E.client_certificate_type, b"\3\2\0"),
            "types-trailing": extension(E.client_certificate_type, b"\1\2\0"),
            "types-missing": extension(E.client_certificate_type, b""),
            "server-types-empty": extension(E.server_certificate_type, b"\0"),
        },
        A.decode_error,
    ),
    *rows(
        "RFC 7250 4.1",
        CLIENTS,
        ["client_hello"],
        {
            "types-default-alone": extension(E.client_certificate_type, b"\1\0"),
            "server-types-default-alone": extension(E.server_certificate_type, b"\1\0"),
        },
        A.illegal_parameter,
    ),
    *rows(
        "RFC 7250 4.2",
        CLIENTS,
        ["client_hello"],
        {
            "types-unknown": extension(E.client_certificate_type, b"\1\5"),
            "types-others": extension(E.client_certificate_type, b"\2\0\5"),
            "no-types": without_extension(E.client_certificate_type),
            "server-types-others": extension(E.server_certificate_type, b"\1\2"),
        },
        A.unsupported_certificate,
    ),
]
