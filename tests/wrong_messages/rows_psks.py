"""Pre-shared keys that are offered or selected wrongly, and messages that do not match them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from deviations import altered, before, extension, rows, without_extension
from scripted_clients import ClientPeer, RetriedClientPeer
from scripted_peer import SUITE, AnyMessage, Deviation, Peer
from scripted_servers import RetryingServerPeer, ServerPeer

from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.handshake.external_psk import psks_of
from trio_tlsx.handshake.psk import OfferedPsks, Psk, with_psks
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import Certificate, CertificateRequest, ClientHello
from trio_tlsx.sessions.external_psk import ExternalPSK

KEY = ExternalPSK(b"client 1", bytes(range(32)))
[PSK] = psks_of(KEY, [SUITE])
SHA384 = "TLS_AES_256_GCM_SHA384"


class PskServerPeer(ServerPeer):
    """One that has the key; the client offers it for SHA-256 first, then for SHA-384."""

    places: ClassVar = ("server_hello", "encrypted_extensions", "finished", "key_update")
    psk: ClassVar[Psk[Any] | None] = PSK
    engine_config: ClassVar = replace(
        ServerPeer.engine_config,
        psks=[KEY],
        trust=None,
        credentials=None,
        cipher_suites=[SUITE.name, SHA384],
    )


class RetryingPskServerPeer(RetryingServerPeer, PskServerPeer):
    """One that wants another key share first: only the key for SHA-256 is offered again."""

    places: ClassVar = ("hello_retry_request", *PskServerPeer.places)
    engine_config: ClassVar = PskServerPeer.engine_config


class PskClientPeer(ClientPeer):
    """One that has the key, before a server that has nothing else."""

    psk: ClassVar[Psk[Any] | None] = PSK
    engine_config: ClassVar = replace(ClientPeer.engine_config, psks=[KEY], credentials=None)


class RetriedPskClientPeer(RetriedClientPeer, PskClientPeer):
    """One that is asked for another key share."""

    engine_config: ClassVar = replace(
        RetriedClientPeer.engine_config, psks=[KEY], credentials=None
    )


def offering(*psks: Psk[Any]) -> Deviation:
    """Offer these keys instead, with good binders."""

    def deviation(peer: Peer, message: AnyMessage) -> None:
        assert isinstance(message, ClientHello)
        assert isinstance(peer, ClientPeer)
        peer.send(with_psks(message, psks, peer.before))

    return deviation


def with_binders(change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Deviation:
    """Alter the list of binders, which is of one."""

    def alter(message: Any) -> ClientHello:
        offered = OfferedPsks.decode(message.extensions[E.pre_shared_key])
        changed = replace(offered, binders=change(offered.binders))
        extensions = {**message.extensions, E.pre_shared_key: changed.encode()}
        return replace(message, extensions=extensions)

    return altered(alter)


WRONG_KEYS: Mapping[str, Deviation] = {
    "another-key": offering(replace(PSK, secret=bytes(32))),
    "not-imported": offering(replace(PSK, external=replace(KEY, imported=False))),
    "as-a-session": offering(replace(PSK, external=None)),
    "a-binder-of-zeros": with_binders(lambda binders: (bytes(32),)),
    "a-binder-of-33-octets": with_binders(lambda binders: (binders[0] + b"\0",)),
    "a-binder-of-255-octets": with_binders(lambda binders: (bytes(255),)),
}

UNKNOWN: Mapping[str, Deviation] = {
    "another-identity": offering(*psks_of(replace(KEY, identity=b"client 2"), [SUITE])),
    "another-context": offering(*psks_of(replace(KEY, context=b"context"), [SUITE])),
    "an-identity-of-one-octet": offering(replace(PSK, identity=b"x")),
}

MALFORMED: Mapping[str, Deviation] = {
    "without-identities": extension(E.pre_shared_key, b"\0\0\0\x21\x20" + bytes(32)),
    "without-binders": extension(E.pre_shared_key, b"\0\7\0\1x\0\0\0\0\0\0"),
    "a-binder-of-31-octets": with_binders(lambda binders: (bytes(31),)),
}

OUT_OF_PLACE: Mapping[str, Deviation] = {
    "two-binders": with_binders(lambda binders: binders * 2),
    "an-extension-behind-it": extension(E.padding, b"\0"),
}

#: The second is found out before it is asked for another key share.
CLIENTS = (PskClientPeer, RetriedPskClientPeer)

ROWS = [
    *rows(
        "4.3.11",
        [PskServerPeer, RetryingPskServerPeer],
        ["server_hello"],
        {f"chooses-{index}": extension(E.pre_shared_key, index.to_bytes(2)) for index in (2, 999)},
        A.illegal_parameter,
    ),
    *rows(
        "4.3.11",
        [PskServerPeer, RetryingPskServerPeer],
        ["server_hello"],
        {
            "chooses-1-of-another-hash": extension(E.pre_shared_key, b"\0\1"),
            "without-key_share": without_extension(E.key_share),
        },
        A.illegal_parameter,
    ),
    *rows(
        "4.3.11",
        [PskServerPeer, RetryingPskServerPeer],
        ["server_hello"],
        {"chooses-none": without_extension(E.pre_shared_key)},
        A.missing_extension,
    ),
    *rows(
        "4.2.1",
        [PskServerPeer],
        ["finished"],
        {
            "certificate_request-before-it": before(
                CertificateRequest(b"", {E.signature_algorithms: b"\0\2\4\3"})
            ),
            "certificate-before-it": before(Certificate(b"", ())),
        },
        A.unexpected_message,
    ),
    *rows(
        "4.3.11",
        [PskClientPeer, RetriedPskClientPeer],
        ["client_hello"],
        MALFORMED,
        A.decode_error,
    ),
    *rows(
        "4.3.9",
        [PskClientPeer],
        ["client_hello"],
        {"without-modes": without_extension(E.psk_key_exchange_modes)},
        A.missing_extension,
    ),
    *rows(
        "4.2.1",
        [PskClientPeer],
        ["client_hello"],
        {
            "no-key-exchange-wanted": extension(E.psk_key_exchange_modes, b"\1\0"),
            "without-pre_shared_key": without_extension(E.pre_shared_key),
        },
        A.handshake_failure,
    ),
    *rows("4.3.11", CLIENTS, ["client_hello"], WRONG_KEYS, A.decrypt_error),
    *rows("4.3.11", [RetriedPskClientPeer], ["second_client_hello"], WRONG_KEYS, A.decrypt_error),
    *rows("6.2", CLIENTS, ["client_hello"], UNKNOWN, A.decrypt_error),
    *rows("4.2.2", [RetriedPskClientPeer], ["second_client_hello"], UNKNOWN, A.illegal_parameter),
    *rows("4.3.11", [PskClientPeer], ["client_hello"], OUT_OF_PLACE, A.illegal_parameter),
    *rows(
        "4.2.2",
        [RetriedPskClientPeer],
        ["second_client_hello"],
        {"without-keys": offering()},
        A.missing_extension,
    ),
]
