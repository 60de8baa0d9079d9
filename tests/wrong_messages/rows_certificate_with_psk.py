"""Certificates together with an external pre-shared key, offered or selected wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from deviations import (
    Row,
    altered,
    extension,
    extension_first,
    missing,
    rows,
    without_extension,
)
from rows_psks import KEY, PSK, UNKNOWN, WRONG_KEYS, offering
from rows_tickets import ResumedClientPeer
from scripted_clients import CertifiedClientPeer, ClientPeer, RetriedClientPeer
from scripted_peer import Deviation
from scripted_servers import AskingServerPeer, RetryingServerPeer, ServerPeer

from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.handshake.psk import Psk
from trio_tlsx.messages.extensions import ExtensionType as E

FLAG = E.tls_cert_with_extern_psk


class BothServerPeer(AskingServerPeer):
    """One that has the key, and a certificate, and asks for the client's."""

    psk: ClassVar[Psk[Any] | None] = PSK
    with_certificate: ClassVar = True
    engine_config: ClassVar = replace(
        ServerPeer.engine_config, psks=[KEY], certificate_with_psk="required"
    )


class RetryingBothServerPeer(RetryingServerPeer, BothServerPeer):
    """One that wants another key share first."""

    places: ClassVar = ("hello_retry_request", *BothServerPeer.places)
    engine_config: ClassVar = BothServerPeer.engine_config


class AnySelectionServerPeer(BothServerPeer):
    """One whose client would do without the key."""

    engine_config: ClassVar = replace(
        BothServerPeer.engine_config, certificate_with_psk="optional", resumption=False
    )


class BothClientPeer(CertifiedClientPeer):
    """One that has the key, and a certificate that it is asked for."""

    psk: ClassVar[Psk[Any] | None] = PSK
    with_certificate: ClassVar = True
    engine_config: ClassVar = replace(
        CertifiedClientPeer.engine_config, psks=[KEY], certificate_with_psk="required"
    )


class RetriedBothClientPeer(RetriedClientPeer):
    """One that is asked for another key share."""

    psk: ClassVar[Psk[Any] | None] = PSK
    with_certificate: ClassVar = True
    engine_config: ClassVar = replace(
        RetriedClientPeer.engine_config, psks=[KEY], certificate_with_psk="required"
    )


class ResumedBothClientPeer(ResumedClientPeer):
    """One that offers a ticket, as if that were an external key."""

    with_certificate: ClassVar = True
    engine_config: ClassVar = replace(
        ClientPeer.engine_config, psks=[KEY], certificate_with_psk="optional"
    )


NO_KEY: Mapping[str, Deviation] = {
    "an-identity-that-no-key-has": offering(replace(PSK, identity=bytes(2000))),
}

ROWS: list[Row] = [
    # The selection of a server
    *rows(
        "RFC 9973 4",
        [BothServerPeer, RetryingBothServerPeer, AnySelectionServerPeer],
        ["server_hello"],
        {
            "with-the-flag-without-pre_shared_key": without_extension(E.pre_shared_key),
            "with-the-flag-without-key_share": without_extension(E.key_share),
            "the-key-without-the-flag": without_extension(FLAG),
        },
        A.missing_extension,
    ),
    *rows(
        "RFC 9973 5",
        [BothServerPeer],
        ["server_hello"],
        {"with-a-body": extension(FLAG, b"\0")},
        A.decode_error,
    ),
    *rows(
        "RFC 9973 5.2",
        [BothServerPeer],
        ["certificate", "certificate_verify"],
        {"left-out": missing},
        A.unexpected_message,
    ),
    # The offer of a client
    *rows(
        "RFC 9973 4",
        [BothClientPeer],
        ["client_hello"],
        {
            "with-the-flag-without-pre_shared_key": without_extension(E.pre_shared_key),
            "with-the-flag-without-modes": without_extension(E.psk_key_exchange_modes),
            "with-the-flag-without-key_share": without_extension(E.key_share),
            "without-the-flag": without_extension(FLAG),
        },
        A.missing_extension,
    ),
    *rows(
        "RFC 9973 4",
        [BothClientPeer, RetriedBothClientPeer],
        ["client_hello"],
        {
            "with-the-flag-and-early_data": extension_first(E.early_data, b""),
            "with-the-flag-without-psk_dhe_ke": extension(E.psk_key_exchange_modes, b"\1\0"),
        },
        A.illegal_parameter,
    ),
    *rows("RFC 9973 5.1", [ResumedBothClientPeer], ["client_hello"],
          {"a-session-with-the-flag": altered(lambda hello: hello)}, A.illegal_parameter),
    *rows(
        "RFC 9973 5",
        [RetriedBothClientPeer],
        ["second_client_hello"],
        {"without-the-flag": without_extension(FLAG)},
        A.illegal_parameter,
    ),
    *rows("4.3.11", [BothClientPeer], ["client_hello"], WRONG_KEYS, A.decrypt_error),
    *rows("6.2", [BothClientPeer], ["client_hello"], UNKNOWN, A.decrypt_error),
    *rows("RFC 9973 4", [BothClientPeer], ["client_hello"], NO_KEY, A.handshake_failure),
    *rows(
        "RFC 9973 5.2",
        [BothClientPeer],
        ["certificate", "certificate_verify"],
        {"left-out": missing},
        A.unexpected_message,
    ),
]  # fmt: skip
