"""Wrong values in hellos: versions, echoes, selections, signatures, Finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from deviations import (
    Row,
    altered,
    but,
    extension,
    extension_changed,
    extension_first,
    extensions_of,
    one_bit_wrong,
    rows,
    with_extensions,
    without_extension,
)
from scripted_clients import (
    CertifiedClientPeer,
    NewestClientPeer,
    RetriedClientPeer,
    UncookiedClientPeer,
)
from scripted_peer import P256, P384, X25519
from scripted_servers import AskingServerPeer, NewestServerPeer, RetryingServerPeer

from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.extensions import encode_key_share_entry, encode_uint16_list
from trio_tlsx.messages.handshake import HELLO_RETRY_REQUEST_RANDOM

PEERS = (AskingServerPeer, CertifiedClientPeer)
GREASE = 0x1A1A
X25519MLKEM768 = 0x11EC

Change: TypeAlias = Callable[[bytes], bytes]

LEGACY_VERSIONS = (0x0000, 0x0002, 0x0300, 0x0301, 0x0302, 0x0304, 0x0400, GREASE, 0xFEFD)
UNKNOWN_VERSIONS = (0x0000, 0x0300, 0x0302, 0x0305, 0x0400, 0x7F1C, GREASE)
TLS12 = 0x0303
#: TLS 1.3 ones that we do not offer, of TLS 1.2, not any suite, SCSVs, GREASE, reserved.
SUITES = (0x1304, 0x1305, 0x1300, 0xC02F, 0x009C, 0x0000, 0x00FF, 0x5600, GREASE, 0xFFFF)


def server_hellos() -> Iterator[Row]:
    for peers, places in [
        ([AskingServerPeer], ["server_hello"]),
        ([RetryingServerPeer], ["hello_retry_request", "server_hello"]),
    ]:
        table = partial(rows, peers=peers, places=places)
        yield from table(
            section="4.2.3",
            deviations={
                f"legacy_version-{v:#06x}": but(legacy_version=v) for v in LEGACY_VERSIONS
            },
            alert=A.protocol_version,
        )
        yield from table(
            section="4.3.1",
            deviations={
                f"selects-version-{v:#06x}": extension(E.supported_versions, v.to_bytes(2))
                for v in (*UNKNOWN_VERSIONS, TLS12)
            },
            alert=A.illegal_parameter,
        )
        yield from table(
            section="4.2.3",
            deviations={
                "session-id-empty": but(legacy_session_id_echo=b""),
                "session-id-zeros": but(legacy_session_id_echo=bytes(32)),
                "session-id-cut-short": echo(lambda echoed: echoed[:-1]),
                "session-id-first-bit": echo(one_bit_wrong),
                "session-id-last-bit": echo(lambda echoed: one_bit_wrong(echoed, -1)),
                "compression-1": but(legacy_compression_method=1),
                "compression-255": but(legacy_compression_method=255),
                **{f"suite-{suite:#06x}": but(cipher_suite=suite) for suite in SUITES},
            },
            alert=A.illegal_parameter,
        )
        yield from table(
            section="4.2.3",
            deviations={"session-id-of-33-octets": echo(lambda echoed: echoed + b"\0")},
            alert=A.decode_error,
        )


def echo(change: Change) -> Any:
    def altered_echo(message: Any) -> Any:
        return replace(message, legacy_session_id_echo=change(message.legacy_session_id_echo))

    return altered(altered_echo)


def downgraded(sentinel: bytes, version: int) -> Any:
    """A ServerHello of TLS 1.2 or older from a server that could have done better."""

    def change(message: Any) -> Any:
        return replace(
            message,
            legacy_version=version,
            random=b"r" * (32 - len(sentinel)) + sentinel,
            extensions={},
        )

    return altered(change)


def share_of(group: int, key_exchange: bytes) -> Any:
    return extension(E.key_share, encode_key_share_entry(group, key_exchange))


POINT = GROUPS[P256].generate().public
#: RFC 9846 4.3.8.2 and 7.4.2: key shares that no honest peer has.
BAD_X25519 = {
    "zeros": bytes(32),
    "point-of-small-order": b"\x01" + bytes(31),
    "another-point-of-small-order": bytes.fromhex(
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"
    ),
    "31-octets": b"\x09" * 31,
    "33-octets": b"\x09" * 33,
    "1-octet": b"\x09",
    "point-of-p256": POINT,
}
BAD_P256 = {
    "off-the-curve": one_bit_wrong(POINT, -1),
    "compressed": (b"\x02" if POINT[-1] % 2 == 0 else b"\x03") + POINT[1:33],
    "hybrid": (b"\x06" if POINT[-1] % 2 == 0 else b"\x07") + POINT[1:],
    "infinity": b"\0",
    "zeros": b"\x04" + bytes(64),
    "cut-short": POINT[:-1],
    "one-octet-more": POINT + b"\0",
    "without-its-form": POINT[1:],
    "coordinates-too-large": b"\x04" + b"\xff" * 64,
}


def key_shares() -> Iterator[Row]:
    for peer, place, group, bad in [
        (AskingServerPeer, "server_hello", X25519, BAD_X25519),
        (RetryingServerPeer, "server_hello", P256, BAD_P256),
    ]:
        deviations = {f"share-{what}": share_of(group, octets) for what, octets in bad.items()}
        yield from rows("4.3.8.2", [peer], [place], deviations, A.illegal_parameter)
    for peer, place, group, bad in [
        (CertifiedClientPeer, "client_hello", X25519, BAD_X25519),
        (RetriedClientPeer, "second_client_hello", P256, BAD_P256),
    ]:
        deviations = {
            f"share-{what}": extension(E.key_share, one_share(group, octets))
            for what, octets in bad.items()
        }
        yield from rows("4.3.8.2", [peer], [place], deviations, A.illegal_parameter)
    groups = {"not-offered": P384, "none": 0, "grease": GREASE, "hybrid": X25519MLKEM768}
    chosen = {f"group-{what}": share_of(group, POINT) for what, group in groups.items()}
    yield from rows("4.3.8", [AskingServerPeer], ["server_hello"], chosen, A.illegal_parameter)
    chosen = {"group-without-a-share": share_of(P256, POINT)}
    yield from rows("4.3.8", [AskingServerPeer], ["server_hello"], chosen, A.illegal_parameter)
    chosen = {"group-of-before": share_of(X25519, b"\x09" * 32)}
    yield from rows("4.3.8", [RetryingServerPeer], ["server_hello"], chosen, A.illegal_parameter)
    asked = {f"asks-for-{w}": extension(E.key_share, g.to_bytes(2)) for w, g in groups.items()}
    asked["asks-for-what-it-has"] = extension(E.key_share, X25519.to_bytes(2))
    yield from rows(
        "4.3.8", [RetryingServerPeer], ["hello_retry_request"], asked, A.illegal_parameter
    )
    offered = {
        f"share-for-group-{what}": extension_changed(
            E.key_share, partial(another_share, group=group, octets=POINT)
        )
        for what, group in {"not-offered": P384, "grease": GREASE, "none": 0}.items()
    }
    offered["two-shares-for-one-group"] = extension_changed(
        E.key_share, partial(another_share, group=X25519, octets=b"\x09" * 32)
    )
    yield from rows("4.3.8", [CertifiedClientPeer], ["client_hello"], offered, A.illegal_parameter)
    again = {
        "another-share-too": extension_changed(
            E.key_share, partial(another_share, group=X25519, octets=b"\x09" * 32)
        ),
        "no-share": extension(E.key_share, b"\0\0"),
        "share-for-another-group": extension(E.key_share, one_share(X25519, b"\x09" * 32)),
    }
    yield from rows(
        "4.2.2", [RetriedClientPeer], ["second_client_hello"], again, A.illegal_parameter
    )


def one_share(group: int, octets: bytes) -> bytes:
    entry = encode_key_share_entry(group, octets)
    return len(entry).to_bytes(2) + entry


def another_share(shares: bytes, *, group: int, octets: bytes) -> bytes:
    entries = shares[2:] + encode_key_share_entry(group, octets)
    return len(entries).to_bytes(2) + entries


# What may not change between the two ClientHellos (RFC 9846 4.2.2)

SECOND_HELLO: Mapping[str, Any] = {
    "random-changed": but(random=b"Q" * 32),
    "session-id-changed": but(legacy_session_id=b"T" * 32),
    "session-id-gone": but(legacy_session_id=b""),
    "suite-added": but(cipher_suites=(0x1301, 0x1302)),
    "suite-changed": but(cipher_suites=(0x1302,)),
    "server_name-changed": extension(E.server_name, b"\0\4\0\0\1x"),
    "server_name-gone": without_extension(E.server_name),
    "groups-changed": extension(E.supported_groups, encode_uint16_list([P256])),
    "groups-reordered": extension(E.supported_groups, encode_uint16_list([P256, X25519])),
    "schemes-changed": extension(E.signature_algorithms, encode_uint16_list([0x0403])),
    "alpn-gone": without_extension(E.application_layer_protocol_negotiation),
    "alpn-changed": extension(E.application_layer_protocol_negotiation, b"\0\6\2h2\2h3"),
    "record_size_limit-changed": extension(E.record_size_limit, b"\x10\0"),
    "versions-changed": extension(E.supported_versions, b"\4\3\4\3\3"),
    "psk-modes-changed": extension(E.psk_key_exchange_modes, b"\1\0"),
    "unknown-extension-added": extension(0x1234, b""),
    "grease-added": extension(GREASE, b""),
    "ticket_request-added": extension(E.ticket_request, b"\2\1"),
    "post_handshake_auth-added": extension(E.post_handshake_auth, b""),
    "early_data-added": extension(E.early_data, b""),
    "cookie-first-bit": extension_changed(E.cookie, lambda c: one_bit_wrong(c, 2)),
    "cookie-last-bit": extension_changed(E.cookie, lambda c: one_bit_wrong(c, -1)),
    "cookie-cut-short": extension_changed(E.cookie, lambda c: b"\0\x1f" + c[2:-1]),
    "cookie-longer": extension_changed(E.cookie, lambda c: b"\0\x21" + c[2:] + b"\0"),
    "cookie-of-zeros": extension(E.cookie, b"\0\x20" + bytes(32)),
}


# Who the peer is


CLIENT_HELLO: Mapping[str, Mapping[str, Any]] = {
    "decode_error": {
        "session-id-of-33-octets": but(legacy_session_id=bytes(33)),
        "no-suites": but(cipher_suites=()),
        "no-compression": but(legacy_compression_methods=b""),
    },
    "illegal_parameter": {
        "compression-1": but(legacy_compression_methods=b"\1"),
        "compression-0-1": but(legacy_compression_methods=b"\0\1"),
        "compression-1-0": but(legacy_compression_methods=b"\1\0"),
        "compression-0-0": but(legacy_compression_methods=b"\0\0"),
        "psk-not-last": extension_first(E.pre_shared_key, bytes(40)),
        "cookie-unasked": extension(E.cookie, b"\0\x20" + bytes(32)),
        "shares-not-of-its-groups": extension(E.supported_groups, encode_uint16_list([P256])),
    },
    "handshake_failure": {
        "suites-of-tls-1.2": but(cipher_suites=(0xC02F, 0xC030, 0x009C)),
        "suites-unknown": but(cipher_suites=(0x1304, 0x1305, 0x13FF, 0x00FF)),
        "suites-of-grease": but(cipher_suites=(GREASE, 0xFAFA)),
        "groups-unknown": altered(
            lambda m: with_extensions(
                m,
                {
                    **extensions_of(m),
                    E.supported_groups: encode_uint16_list([GREASE, P384, 0x0019]),
                    E.key_share: b"\0\0",
                },
            )
        ),
        "schemes-of-other-keys": extension(
            E.signature_algorithms, encode_uint16_list([0x0807, 0x0804])
        ),
        "schemes-for-certificates": extension(
            E.signature_algorithms, encode_uint16_list([0x0401, 0x0501])
        ),
        "schemes-of-grease": extension(E.signature_algorithms, encode_uint16_list([GREASE])),
    },
    "protocol_version": {
        **{f"legacy_version-{v:#06x}": but(legacy_version=v) for v in LEGACY_VERSIONS},
        **{
            f"offers-version-{v:#06x}": extension(E.supported_versions, b"\2" + v.to_bytes(2))
            for v in UNKNOWN_VERSIONS
        },
        "offers-only-old-versions": extension(E.supported_versions, b"\4\3\2\3\1"),
        "offers-nothing-but-grease": extension(E.supported_versions, b"\4\x0a\x0a\xfa\xfa"),
        "of-tls-1.1": but(legacy_version=0x0302, extensions={}),
    },
}

#: Whether a ClientHello of a cipher suite of TLS 1.3 alone has no version or no suite in common
#: with the server depends on the server's versions.
CLIENT_HELLO_OF_TLS_12: Mapping[str, Any] = {
    "offers-version-0x0303": extension(E.supported_versions, b"\2\3\3"),
    "offers-version-0x0303-and-older": extension(E.supported_versions, b"\6\3\3\3\2\3\1"),
    "of-tls-1.2": but(extensions={}),
}


ROWS = [
    *server_hellos(),
    *rows(
        "4.2.3",
        [AskingServerPeer],
        ["server_hello"],
        {
            f"downgrade-sentinel-{end}-in-{version:#06x}": downgraded(
                b"DOWNGRD" + bytes((end,)), version
            )
            for end in (0, 1)
            for version in (0x0301, 0x0302, 0x0303)
        },
        A.illegal_parameter,
    ),
    *rows(
        "4.2.3",
        [AskingServerPeer],
        ["server_hello"],
        {
            f"of-version-{version:#06x}": downgraded(b"", version)
            for version in (0x0300, 0x0301, 0x0302)
        },
        A.protocol_version,
    ),
    *rows(
        "4.2.3",
        [NewestServerPeer],
        ["server_hello"],
        {"of-version-0x0303": downgraded(b"", TLS12)},
        A.protocol_version,
    ),
    *rows(
        "4.2.3",
        [AskingServerPeer],
        ["server_hello"],
        {"of-version-0x0303-with-a-suite-of-tls-1.3": downgraded(b"", TLS12)},
        A.illegal_parameter,
    ),
    *rows(
        "4.2.4",
        [RetryingServerPeer],
        ["server_hello"],
        {
            "changes-the-suite-to-1302": but(cipher_suite=0x1302),
            "changes-the-suite-to-1303": but(cipher_suite=0x1303),
        },
        A.illegal_parameter,
    ),
    *rows(
        "4.2.4",
        [RetryingServerPeer],
        ["server_hello"],
        {
            "asks-again": altered(
                lambda m: replace(
                    m,
                    random=HELLO_RETRY_REQUEST_RANDOM,
                    extensions={E.supported_versions: b"\3\4", E.cookie: b"\0\1c"},
                )
            )
        },
        A.unexpected_message,
    ),
    *rows(
        "4.2.4",
        [RetryingServerPeer],
        ["hello_retry_request"],
        {
            "asks-for-no-change": but(extensions={E.supported_versions: b"\3\4"}),
            "asks-for-what-is-there": but(
                extensions={E.supported_versions: b"\3\4", E.key_share: X25519.to_bytes(2)}
            ),
        },
        A.illegal_parameter,
    ),
    *key_shares(),
    *rows(
        "4.2.2", [RetriedClientPeer], ["second_client_hello"], SECOND_HELLO, A.illegal_parameter
    ),
    *rows(
        "4.3.2",
        [UncookiedClientPeer],
        ["second_client_hello"],
        {"cookie-unasked": extension(E.cookie, b"\0\x20" + bytes(32))},
        A.illegal_parameter,
    ),
    *(
        row
        for alert, deviations in CLIENT_HELLO.items()
        for row in rows("4.2.2", [CertifiedClientPeer], ["client_hello"], deviations, A[alert])
    ),
    *(
        row
        for peer, alert in (
            (NewestClientPeer, A.protocol_version),
            (CertifiedClientPeer, A.handshake_failure),
        )
        for row in rows("4.2.2", [peer], ["client_hello"], CLIENT_HELLO_OF_TLS_12, alert)
    ),
]
