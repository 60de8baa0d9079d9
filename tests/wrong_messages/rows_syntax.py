"""Messages that are empty, truncated, too long, or followed by extra bytes."""

from __future__ import annotations

from deviations import (
    announced,
    body,
    cut_in_half,
    cut_short,
    empty,
    extension_changed,
    only_one_octet,
    rows,
    trailing,
)
from scripted_clients import CertifiedClientPeer, RetriedClientPeer
from scripted_servers import AskingServerPeer, RetryingServerPeer

from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.record.message_reader import (
    MAX_CERTIFICATE_LENGTH,
    MAX_CLIENT_HELLO_LENGTH,
    MAX_FINISHED_LENGTH,
    MAX_MESSAGE_LENGTH,
    MAX_SERVER_HELLO_LENGTH,
)

ALL = (AskingServerPeer, CertifiedClientPeer)
RETRIES = (RetryingServerPeer, RetriedClientPeer)
HELLOS = ("client_hello", "server_hello")
SECOND_HELLOS = ("hello_retry_request", "second_client_hello")
OTHERS = (
    "encrypted_extensions",
    "certificate_request",
    "certificate",
    "certificate_verify",
    "new_session_ticket",
    "finished",
)
MALFORMED = {
    "empty": empty,
    "cut-in-half": cut_in_half,
    "cut-short": cut_short,
    "trailing-octet": trailing,
    "only-one-octet": only_one_octet,
}

ROWS = [
    *rows("6.2", ALL, (*HELLOS, *OTHERS), MALFORMED, A.decode_error),
    *rows("6.2", RETRIES, SECOND_HELLOS, MALFORMED, A.decode_error),
    *rows(
        "4.7.3", ALL, ["key_update"], {"empty": empty, "trailing-octet": trailing}, A.decode_error
    ),
    *rows(
        "4.7.3",
        ALL,
        ["key_update"],
        {
            "asks-for-2": body(lambda octets: b"\x02"),
            "asks-for-255": body(lambda octets: b"\xff"),
        },
        A.illegal_parameter,
    ),
    # The extensions' length goes past the end, or leaves something behind them.
    *rows(
        "6.2",
        ALL,
        ["encrypted_extensions"],
        {
            "extensions-too-long": body(lambda o: (len(o) - 1).to_bytes(2) + o[2:]),
            "extensions-too-short": body(lambda o: (len(o) - 3).to_bytes(2) + o[2:]),
            "half-an-extension": body(lambda o: b"\0\3" + o[2:5]),
        },
        A.decode_error,
    ),
    # Behind the others an unknown extension, of which the last octet is missing.
    *rows(
        "4.3",
        ALL,
        ["certificate_request"],
        {
            "longer-extension-than-its-block": body(
                lambda o: o[:1] + (len(o) + 1).to_bytes(2) + o[3:] + b"\xff\1\0\1"
            )
        },
        A.decode_error,
    ),
    *rows(
        "6.2",
        ALL,
        ["certificate"],
        {
            "context-too-long": body(lambda o: b"\xff" + o[1:]),
            "list-too-long": body(lambda o: o[:1] + (len(o) - 3).to_bytes(3) + o[4:]),
            "list-too-short": body(lambda o: o[:1] + (len(o) - 5).to_bytes(3) + o[4:]),
            "entry-without-extensions": body(lambda o: o[:1] + (len(o) - 6).to_bytes(3) + o[4:-2]),
            "entry-of-no-octets": body(lambda o: b"\0\0\0\5\0\0\0\0\0"),
        },
        A.decode_error,
    ),
    *rows(
        "6.2",
        ALL,
        ["certificate_verify"],
        {
            "signature-too-long": body(lambda o: o[:2] + (len(o) - 3).to_bytes(2) + o[4:]),
            "signature-too-short": body(lambda o: o[:2] + (len(o) - 5).to_bytes(2) + o[4:]),
        },
        A.decode_error,
    ),
    *rows(
        "4.7.1",
        ALL,
        ["new_session_ticket"],
        {"ticket-of-no-octets": body(lambda o: bytes(8) + b"\0" + b"\0\0" + b"\0\0")},
        A.decode_error,
    ),
    *rows(
        "4.3.1",
        ALL,
        ["client_hello"],
        {
            "versions-trailing": extension_changed(E.supported_versions, lambda o: o + b"\0"),
            "versions-odd": extension_changed(E.supported_versions, lambda o: b"\3\3\4\3"),
            "versions-none": extension_changed(E.supported_versions, lambda o: b"\0"),
            "versions-no-octets": extension_changed(E.supported_versions, lambda o: b""),
        },
        A.decode_error,
    ),
    # Longer than any honest message: said in the header, and none of it waited for.
    *rows(
        "6.2",
        ALL,
        [place for place in HELLOS if "client" in place],
        {"announced-too-long": announced(MAX_CLIENT_HELLO_LENGTH + 1)},
        A.illegal_parameter,
    ),
    *rows(
        "6.2",
        ALL,
        [place for place in HELLOS if "client" not in place],
        {"announced-too-long": announced(MAX_SERVER_HELLO_LENGTH + 1)},
        A.illegal_parameter,
    ),
    # RFC 9846 4.5.3: its length is the hash's, so that any other is a fault of syntax.
    *rows(
        "4.5.3",
        ALL,
        ["finished"],
        {
            "announced-too-long": announced(MAX_FINISHED_LENGTH + 1),
            "announced-2^24-1": announced(2**24 - 1),
        },
        A.decode_error,
    ),
    *rows(
        "6.2",
        ALL,
        ["certificate"],
        {"announced-too-long": announced(MAX_CERTIFICATE_LENGTH + 1)},
        A.illegal_parameter,
    ),
    *rows(
        "6.2",
        ALL,
        [
            "encrypted_extensions",
            "certificate_request",
            "certificate_verify",
            "new_session_ticket",
            "key_update",
        ],
        {
            "announced-too-long": announced(MAX_MESSAGE_LENGTH + 1),
            "announced-2^24-1": announced(2**24 - 1),
        },
        A.illegal_parameter,
    ),
]
