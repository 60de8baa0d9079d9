"""Messages that are missing, repeated, out of order, or never allowed at this place."""

from __future__ import annotations

from deviations import (
    Row,
    along_with,
    before,
    doubled,
    doubled_in_one_record,
    instead,
    missing,
    rows,
)
from scripted_clients import CertifiedClientPeer, ClientPeer, RetriedClientPeer
from scripted_peer import TYPE_AT, header
from scripted_servers import AskingServerPeer, NewestServerPeer, RetryingServerPeer, ServerPeer

from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages.handshake import (
    EncryptedExtensions,
    HandshakeType,
    KeyUpdate,
    NewSessionTicket,
)
from trio_tlsx.messages.handshake12 import HelloRequest

PEERS = (
    ServerPeer,
    AskingServerPeer,
    RetryingServerPeer,
    ClientPeer,
    CertifiedClientPeer,
    RetriedClientPeer,
)
ONE_OF_EACH_ROLE = (AskingServerPeer, CertifiedClientPeer)
BEFORE_THE_DATA = (
    "certificate_request",
    "certificate",
    "certificate_verify",
    "encrypted_extensions",
)
KEY_UPDATE = KeyUpdate(request_update=False)
TICKET = NewSessionTicket(3600, 1, b"", b"ticket", {})

#: Types that RFC 9846 4 reserves, and some that nobody has ever defined.
UNKNOWN_TYPES = (0, 3, 6, 12, 14, 16, 21, 22, 23, 77, 254, 255)


def names_of_types(place: str, allowed: tuple[HandshakeType, ...]) -> list[HandshakeType]:
    return [t for t in HandshakeType if t is not TYPE_AT[place] and t not in allowed]


#: What may stand at a place beside what the script has there.
ALSO_ALLOWED = {
    "certificate_request": (HandshakeType.certificate,),
    "new_session_ticket": (HandshakeType.key_update,),
}
ALSO_ALLOWED_TO_A_SERVER = {"key_update": (HandshakeType.new_session_ticket,)}


def other_types() -> list[Row]:
    """The whole table of which message may stand where."""
    found: list[Row] = []
    for peer in (AskingServerPeer, RetryingServerPeer, CertifiedClientPeer, RetriedClientPeer):
        for place in peer.places:
            if peer is RetryingServerPeer and place not in ("hello_retry_request", "server_hello"):
                continue
            if peer is RetriedClientPeer and place != "second_client_hello":
                continue
            allowed = ALSO_ALLOWED.get(place, ())
            if peer.role == "client":
                allowed += ALSO_ALLOWED_TO_A_SERVER.get(place, ())
            if peer.role == "client" and place == peer.places[0]:
                # A server of TLS 1.2 may send it first (RFC 5246 7.4.1.1).
                allowed += (HandshakeType.hello_request,)
            section = "4.7" if place in ("new_session_ticket", "key_update") else "4"
            if place == "certificate":  # in place of an optional request it is just early
                allowed += (HandshakeType.certificate_request,) if peer.role == "client" else ()
            wrong = {t.name: int(t) for t in names_of_types(place, allowed)}
            wrong |= {
                f"type-{code}": code for code in UNKNOWN_TYPES if code not in (*allowed, 254)
            }
            deviations = {
                f"{name}-instead": instead(header(code, 1) + b"\0") for name, code in wrong.items()
            }
            found += rows(section, [peer], [place], deviations, A.unexpected_message)
    return found


ROWS = [
    # Missing: what comes next is not expected, or is under keys that are not there yet.
    *rows("4", PEERS, BEFORE_THE_DATA[1:], {"missing": missing}, A.unexpected_message),
    *rows("5", PEERS, ["server_hello"], {"missing": missing}, A.unexpected_message),
    *rows("5.2", PEERS, ["finished", "key_update"], {"missing": missing}, A.bad_record_mac),
    # Doubled.
    *rows("4", PEERS, BEFORE_THE_DATA, {"doubled": doubled}, A.unexpected_message),
    *rows(
        "4",
        PEERS,
        BEFORE_THE_DATA,
        {"doubled-in-one-record": doubled_in_one_record},
        A.unexpected_message,
    ),
    *rows("5", PEERS, ["server_hello"], {"doubled": doubled}, A.unexpected_message),
    *rows("5.2", PEERS, ["finished", "key_update"], {"doubled": doubled}, A.bad_record_mac),
    *rows(
        "4.2.4",
        [RetryingServerPeer],
        ["hello_retry_request"],
        {"doubled": doubled},
        A.unexpected_message,
    ),
    *rows("5", PEERS, ["second_client_hello"], {"doubled": doubled}, A.unexpected_message),
    # Across a change of keys.
    *rows(
        "5.1",
        PEERS,
        ["hello_retry_request", "server_hello", "finished", "key_update", "second_client_hello"],
        {
            "doubled-in-one-record": doubled_in_one_record,
            "along-with-encrypted-extensions": along_with(EncryptedExtensions({})),
            "along-with-a-key-update": along_with(KEY_UPDATE),
            "along-with-a-ticket": along_with(TICKET),
            "along-with-one-octet-more": along_with(b"\x08"),
            "along-with-a-header": along_with(header(HandshakeType.finished, 32)),
        },
        A.unexpected_message,
    ),
    *rows(
        "5.1",
        [ClientPeer],
        ["client_hello"],
        {
            "doubled-in-one-record": doubled_in_one_record,
            "along-with-a-finished": along_with(header(20, 32) + bytes(32)),
            "along-with-one-octet-more": along_with(b"\x14"),
        },
        A.unexpected_message,
    ),
    # Too early.
    *rows(
        "4.7.3",
        ONE_OF_EACH_ROLE,
        ("server_hello", "client_hello", "finished", *BEFORE_THE_DATA),
        {"after-a-key-update": before(KEY_UPDATE)},
        A.unexpected_message,
    ),
    *rows(
        "4.7.1",
        ONE_OF_EACH_ROLE,
        ("server_hello", "client_hello", "finished", *BEFORE_THE_DATA),
        {"after-a-ticket": before(TICKET)},
        A.unexpected_message,
    ),
    *rows(
        "4.7.2",
        [AskingServerPeer],
        ["new_session_ticket", "key_update"],
        {"after-a-certificate-request": before(header(13, 3) + bytes(3))},
        A.unexpected_message,
    ),
    *rows(
        "4.7",
        [CertifiedClientPeer],
        ["key_update"],
        {"after-a-ticket": before(TICKET)},
        A.unexpected_message,
    ),
    *other_types(),
    # A client of TLS 1.3 alone ignores none.
    *rows(
        "4",
        [NewestServerPeer],
        ["server_hello"],
        {"after-a-hello_request": before(HelloRequest())},
        A.unexpected_message,
    ),
]
