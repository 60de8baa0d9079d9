"""Extensions in the wrong message, unsolicited, unknown, doubled, and malformed ones."""

from __future__ import annotations

from collections.abc import Iterator

from deviations import (
    Row,
    extension,
    extension_first,
    extension_twice,
    rows,
    without_extension,
)
from scripted_clients import CertifiedClientPeer, NewestClientPeer, RetriedClientPeer
from scripted_servers import (
    AskingServerPeer,
    NewestServerPeer,
    RetryingServerPeer,
    StaplingServerPeer,
)

from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages.extensions import ExtensionType as E

PEERS = (AskingServerPeer, CertifiedClientPeer)

ZLIB_TWICE = b"\4\0\1\0\1"

#: RFC 9846 4.3: where each extension may stand.
TABLE = {
    E.server_name: "CH EE CR",
    E.max_fragment_length: "CH EE",
    E.status_request: "CH CR CT",
    E.supported_groups: "CH EE",
    E.signature_algorithms: "CH CR",
    E.application_layer_protocol_negotiation: "CH EE",
    E.signed_certificate_timestamp: "CH CR CT",
    E.client_certificate_type: "CH EE",
    E.server_certificate_type: "CH EE",
    E.padding: "CH",
    E.compress_certificate: "CH CR",
    E.record_size_limit: "CH EE",
    E.tls_cert_with_extern_psk: "CH SH",  # RFC 9973 5
    E.pre_shared_key: "CH SH",
    E.early_data: "CH EE NST",
    E.supported_versions: "CH SH HRR",
    E.cookie: "CH HRR",
    E.psk_key_exchange_modes: "CH",
    E.certificate_authorities: "CH CR",
    E.oid_filters: "CR",
    E.post_handshake_auth: "CH",
    E.signature_algorithms_cert: "CH CR",
    E.key_share: "CH SH HRR",
    E.ticket_request: "CH EE",  # RFC 9149 3
    E.encrypted_client_hello: "CH EE HRR",
}

PLACES = {
    "CH": (CertifiedClientPeer, "client_hello"),
    "SH": (AskingServerPeer, "server_hello"),
    "HRR": (RetryingServerPeer, "hello_retry_request"),
    "EE": (AskingServerPeer, "encrypted_extensions"),
    "CR": (AskingServerPeer, "certificate_request"),
    "CT": (AskingServerPeer, "certificate"),
    "asked EE": (StaplingServerPeer, "encrypted_extensions"),
    "asked CT": (StaplingServerPeer, "certificate"),
    "NST": (AskingServerPeer, "new_session_ticket"),
}
RESPONSES = ("SH", "HRR", "EE", "CT")

#: GREASE (RFC 8701), reserved, not assigned, private.
UNKNOWN = (0x0A0A, 0x5A5A, 0xFAFA, 40, 46, 0x1234, 0xFFFF)

#: What our client and our server do not ask for, and where it could be an answer.
UNSOLICITED = [
    ("SH", E.pre_shared_key, b"\0\0"),
    ("SH", E.tls_cert_with_extern_psk, b""),
    ("EE", E.early_data, b""),
    ("EE", E.ticket_request, b"\2"),
    ("EE", E.client_certificate_type, b"\2"),
    ("EE", E.server_certificate_type, b"\2"),
    ("CT", E.status_request, b"\1\0\0\1\0"),
    ("CT", E.signed_certificate_timestamp, b"\0\3\0\1a"),
]


def in_the_wrong_message() -> Iterator[Row]:
    for code, where in TABLE.items():
        for context, (peer, place) in PLACES.items():
            if context.split()[-1] not in where.split():
                deviations = {f"with-{code.name}": extension_first(code, b"\0\0")}
                yield from rows("4.3", [peer], [place], deviations, A.illegal_parameter)
        if "CT" not in where.split():
            deviations = {f"with-{code.name}": extension(code, b"")}
            yield from rows(
                "4.3", [CertifiedClientPeer], ["certificate"], deviations, A.illegal_parameter
            )


def unsolicited() -> Iterator[Row]:
    for context, code, octets in UNSOLICITED:
        peer, place = PLACES[context]
        deviations = {f"with-unsolicited-{code.name}": extension(code, octets)}
        yield from rows("4.3", [peer], [place], deviations, A.unsupported_extension)
    for code in (E.status_request, E.signed_certificate_timestamp):
        deviations = {f"with-unsolicited-{code.name}": extension(code, b"\1\0\0\1\0")}
        yield from rows(
            "4.3", [CertifiedClientPeer], ["certificate"], deviations, A.unsupported_extension
        )
    unknown = {f"with-extension-{code:#06x}": extension(code, b"") for code in UNKNOWN}
    for context in RESPONSES:
        peer, place = PLACES[context]
        yield from rows("4.3", [peer], [place], unknown, A.unsupported_extension)
    yield from rows(
        "4.3", [CertifiedClientPeer], ["certificate"], unknown, A.unsupported_extension
    )


#: In each message, those that it has anyway or may have.
TO_DOUBLE: dict[str, dict[int, bytes | None]] = {
    "CH": {
        E.server_name: None,
        E.supported_groups: None,
        E.signature_algorithms: None,
        E.application_layer_protocol_negotiation: None,
        E.record_size_limit: None,
        E.psk_key_exchange_modes: None,
        E.key_share: None,
        E.supported_versions: None,
        E.cookie: b"\0\1c",
        E.padding: b"",
        E.post_handshake_auth: b"",
        0x0A0A: b"",
        0x1234: b"what nobody knows",
    },
    "SH": {E.key_share: None, E.supported_versions: None, 0x0A0A: b""},
    "HRR": {E.key_share: None, E.supported_versions: None, E.cookie: None, 0x0A0A: b""},
    "EE": {
        E.server_name: None,
        E.application_layer_protocol_negotiation: None,
        E.record_size_limit: b"\x40\x01",
        E.supported_groups: b"\0\2\0\x1d",
        0x1234: b"",
    },
    "CR": {
        E.signature_algorithms: None,
        E.certificate_authorities: b"\0\3\0\1:",
        E.status_request: b"",
        0x1234: b"",
    },
    "CT": {E.status_request: b"", 0x1234: b""},
    "NST": {E.early_data: bytes(4), 0x0A0A: b""},
}


def doubled() -> Iterator[Row]:
    for context, bodies in TO_DOUBLE.items():
        peer, place = PLACES[context]
        deviations = {
            f"{E(code).name if code in list(E) else hex(code)}-twice": extension_twice(
                code, octets
            )
            for code, octets in bodies.items()
        }
        yield from rows("4.3", [peer], [place], deviations, A.illegal_parameter)
    twice = {"status_request-twice": extension_twice(E.status_request, b"")}
    yield from rows("4.3", [CertifiedClientPeer], ["certificate"], twice, A.illegal_parameter)


#: In hexadecimal: bodies that cannot be parsed, by message and extension.
MALFORMED = {
    ("4.3", "CH", E.server_name): "- 00 0000 0003000000 000400000161ff 0005000002 000401000161",
    ("4.3.7", "CH", E.supported_groups): "- 00 0000 000100 0003001d00 0002001dff 0004001d",
    ("4.3.3", "CH", E.signature_algorithms): "- 00 0000 000104 0003040300 0002040300 00040403",
    ("4.3.3", "CH", E.signature_algorithms_cert): "- 0000 000104 0002040300 00040403",
    ("4.3", "CH", E.application_layer_protocol_negotiation): (
        "- 00 0000 000100 00020268 0003026832ff 0004026832 000400026832 00020000"
    ),
    ("RFC 6066 4", "CH", E.max_fragment_length): "- 0101",
    ("4.3", "CH", E.record_size_limit): "- 40 400100",
    ("4.3.2", "CH", E.cookie): "- 00 0000 00026b 00016b6b",
    ("4.3.9", "CH", E.psk_key_exchange_modes): "- 00 0201 010100",
    ("4.3.6", "CH", E.post_handshake_auth): "00 0000",
    ("4.3.4", "CH", E.certificate_authorities): "- 0000 00020000 000300023a 000300013aff",
    (
        "4.3.8",
        "CH",
        E.key_share,
    ): "- 00 0001 0003001d00 0004001d0000 0002001d 0005001d000200 000000",
    ("4.3.1", "SH", E.supported_versions): "- 03 030400 020304",
    ("4.3.8", "SH", E.key_share): "- 00 001d 001d0000 001d0001 001d000100ff",
    ("4.3.1", "HRR", E.supported_versions): "- 03 030400",
    ("4.3.8", "HRR", E.key_share): "- 00 001700 0017000100",
    ("4.3.2", "HRR", E.cookie): "- 00 0000 00026b 00016b6b",
    ("4.3", "EE", E.application_layer_protocol_negotiation): (
        "- 0000 000100 00020268 0003026832ff 000c026832" + "08687474702f312e31 0002016800"
    ),
    ("4.3", "EE", E.record_size_limit): "- 40 400100",
    ("4.3", "EE", E.server_name): "00 000400000161",
    ("4.3.7", "EE", E.supported_groups): "- 0000 000100 0002001dff",
    ("4.3.3", "CR", E.signature_algorithms): "- 00 0000 000104 0002040300 00040403",
    ("RFC 8879 3", "CH", E.compress_certificate): "- 00 0100 03000100 020001ff 040001",
    ("RFC 8879 3", "CR", E.compress_certificate): "- 00 0100 03000100 020001ff 040001",
    ("4.3.3", "CR", E.signature_algorithms_cert): "- 0000 000104 0002040300",
    ("4.3.4", "CR", E.certificate_authorities): "- 0000 00020000 000300023a 000300013aff",
    ("4.5.1.1", "CR", E.status_request): "00 0100000000",
    ("4.5.1.1", "CR", E.signed_certificate_timestamp): "00",
    ("RFC 9973 5", "CH", E.tls_cert_with_extern_psk): "00",
    ("RFC 9149 3", "CH", E.ticket_request): "- 02 020100",
    ("RFC 9149 3", "asked EE", E.ticket_request): "- 0201",
    ("4.5.1.1", "asked CT", E.status_request): "- 01 01000000 0100000200 010000010000 020000010a",
    (
        "4.5.1.1",
        "asked CT",
        E.signed_certificate_timestamp,
    ): "- 0000 00020000 0003000200 0003000161ff",
}


def malformed() -> Iterator[Row]:
    for (section, context, code), bodies in MALFORMED.items():
        peer, place = PLACES[context]
        deviations = {
            f"{code.name}={octets}": extension(code, bytes.fromhex(octets.strip("-")))
            for octets in bodies.split()
        }
        yield from rows(section, [peer], [place], deviations, A.decode_error)


ROWS = [
    *in_the_wrong_message(),
    *unsolicited(),
    *doubled(),
    *malformed(),
    *rows(
        "9.2",
        PEERS,
        ["client_hello"],
        {
            f"without-{code.name}": without_extension(code)
            for code in (E.supported_groups, E.signature_algorithms, E.key_share)
        },
        A.missing_extension,
    ),
    *rows(
        "4.3.1",
        [NewestServerPeer, NewestClientPeer],
        ["client_hello", "server_hello"],
        {"without-supported_versions": without_extension(E.supported_versions)},
        A.protocol_version,
    ),
    # These are hellos of TLS 1.2, with a cipher suite or an extension of TLS 1.3.
    *rows(
        "4.3.1",
        [CertifiedClientPeer],
        ["client_hello"],
        {"without-supported_versions": without_extension(E.supported_versions)},
        A.handshake_failure,
    ),
    *rows(
        "4.3.1",
        [AskingServerPeer],
        ["server_hello"],
        {"without-supported_versions": without_extension(E.supported_versions)},
        A.unsupported_extension,
    ),
    *rows(
        "9.2",
        PEERS,
        ["server_hello"],
        {"without-key_share": without_extension(E.key_share)},
        A.missing_extension,
    ),
    *rows(
        "4.4.2",
        PEERS,
        ["certificate_request"],
        {"without-signature_algorithms": without_extension(E.signature_algorithms)},
        A.missing_extension,
    ),
    *rows(
        "4.2.4",
        [RetryingServerPeer],
        ["server_hello"],
        {"without-supported_versions": without_extension(E.supported_versions)},
        A.illegal_parameter,
    ),
    *rows(
        "4.3.2",
        [RetriedClientPeer],
        ["second_client_hello"],
        {"without-cookie": without_extension(E.cookie)},
        A.missing_extension,
    ),
    # RFC 8449 4: at least 64.
    *rows(
        "4.3",
        PEERS,
        ["client_hello", "encrypted_extensions"],
        {
            f"record_size_limit-{limit}": extension(E.record_size_limit, limit.to_bytes(2))
            for limit in (0, 1, 63)
        },
        A.illegal_parameter,
    ),
    *rows(
        "RFC 8879 3",
        PEERS,
        ["client_hello", "certificate_request"],
        {"compress_certificate-with-zlib-twice": extension(E.compress_certificate, ZLIB_TWICE)},
        A.illegal_parameter,
    ),
    # RFC 7301 3.2
    *rows(
        "4.3",
        [AskingServerPeer],
        ["encrypted_extensions"],
        {
            "chooses-another-protocol": extension(
                E.application_layer_protocol_negotiation, b"\0\3\2h3"
            ),
            "chooses-part-of-a-protocol": extension(
                E.application_layer_protocol_negotiation, b"\0\2\1h"
            ),
        },
        A.illegal_parameter,
    ),
    *rows(
        "6.2",
        [CertifiedClientPeer],
        ["client_hello"],
        {
            "offers-no-common-protocol": extension(
                E.application_layer_protocol_negotiation, b"\0\3\2h3"
            )
        },
        A.no_application_protocol,
    ),
]
