"""Wrong messages of stapling, tickets and resumption in TLS 1.2; sections are of RFC 5246."""

from __future__ import annotations

from deviations import (
    announced,
    but,
    doubled,
    extension,
    instead,
    missing,
    rows,
    without_extension,
    wrong_finished,
)
from rows_tls12 import MALFORMED, other_types, raw, records_of
from scripted_peers12 import ResumingByIdServerPeer12, ResumingServerPeer12
from scripted_sessions12 import (
    ResumingClientPeer12,
    StaplingServerPeer12,
    TicketServerPeer12,
)

from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake12 import HelloRequest, NewSessionTicket12
from trio_tlsx.record.message_reader import MAX_SERVER_HELLO_LENGTH
from trio_tlsx.record.protection import ContentType as C

RESUMING = (ResumingServerPeer12, ResumingByIdServerPeer12)
TICKET_SERVERS = (TicketServerPeer12, ResumingServerPeer12)
ALL_RESUMING = (*RESUMING, ResumingClientPeer12)

ROWS = [
    *other_types([StaplingServerPeer12], "certificate_status", "server_key_exchange"),
    *other_types([TicketServerPeer12], "new_session_ticket"),
    *other_types([ResumingServerPeer12, ResumingClientPeer12]),
    # Stapling.
    *rows("RFC 6066 8", [StaplingServerPeer12], ["certificate_status"],
          {"doubled": doubled}, A.unexpected_message),
    *rows("4", [StaplingServerPeer12], ["certificate_status"], MALFORMED, A.decode_error),
    *rows("RFC 6066 8", [StaplingServerPeer12], ["certificate_status"],
          {"announced-too-long": announced(MAX_SERVER_HELLO_LENGTH + 1)}, A.illegal_parameter),
    *rows("RFC 6066 8", [StaplingServerPeer12], ["server_hello"],
          {"promises-no-status": without_extension(E.status_request)}, A.unexpected_message),
    # Tickets of full handshakes.
    *rows("RFC 5077 3.3", [TicketServerPeer12], ["server_hello"],
          {"promises-no-ticket": without_extension(E.session_ticket)}, A.unexpected_message),
    *rows("RFC 5077 3.3", TICKET_SERVERS, ["new_session_ticket"],
          {"missing": missing, "doubled": doubled}, A.unexpected_message),
    *rows("4", TICKET_SERVERS, ["new_session_ticket"], MALFORMED, A.decode_error),
    *rows("7.4", TICKET_SERVERS, ["new_session_ticket"],
          {"announced-too-long": announced(MAX_SERVER_HELLO_LENGTH + 1)}, A.illegal_parameter),
    *rows("7.1", [TicketServerPeer12], ["new_session_ticket"],
          {"change-cipher-spec-instead": records_of(b"\x01")}, A.unexpected_message),
    # The hellos of a resumption.
    *rows("7.4.1.3", RESUMING, ["server_hello"], {
        "another-suite": but(cipher_suite=0xC02C),
        "compression": but(legacy_compression_method=1),
    }, A.illegal_parameter),
    *rows("7.4.1.3", RESUMING, ["server_hello"],
          {"version-1.1": but(legacy_version=0x0302)}, A.protocol_version),
    *rows("RFC 7627 5.3", RESUMING, ["server_hello"],
          {"drops-the-extended-master-secret": without_extension(E.extended_master_secret)},
          A.handshake_failure),
    *rows("RFC 5746 3.4", RESUMING, ["server_hello"], {
        "no-secure-renegotiation": without_extension(E.renegotiation_info),
        "an-earlier-handshake": extension(E.renegotiation_info, b"\x01x"),
    }, A.handshake_failure),
    *rows("RFC 5077 3.3", [ResumingServerPeer12], ["server_hello"],
          {"promises-no-ticket": without_extension(E.session_ticket)}, A.unexpected_message),
    *rows("RFC 5077 3.3", [ResumingByIdServerPeer12], ["server_hello"],
          {"promises-a-ticket": extension(E.session_ticket, b"")}, A.unexpected_message),
    *rows("RFC 7627 5.3", [ResumingClientPeer12], ["client_hello"],
          {"drops-the-extended-master-secret": without_extension(E.extended_master_secret)},
          A.handshake_failure),
    *rows("RFC 5746 3.6", [ResumingClientPeer12], ["client_hello"],
          {"an-earlier-handshake": extension(E.renegotiation_info, b"\x01x")},
          A.handshake_failure),
    # Their change of keys.
    *rows("RFC 5077 3.3", [ResumingByIdServerPeer12], ["change_cipher_spec"],
          {"behind-a-ticket-not-promised": lambda peer, _: peer.send(
              NewSessionTicket12(3600, b"ticket"))}, A.unexpected_message),
    *rows("7.1", ALL_RESUMING, ["change_cipher_spec"], {
        "missing": missing,
        "doubled": records_of(b"\x01", b"\x01"),
        "empty": records_of(b""),
        "of-two-octets": records_of(b"\x01\x01"),
    }, A.unexpected_message),
    *rows("7.4.1.1", [ResumingClientPeer12], ["change_cipher_spec"],
          {"hello-request-instead": instead(HelloRequest())}, A.unexpected_message),
    *rows("4", ALL_RESUMING, ["finished"], MALFORMED, A.decode_error),
    *rows("7.4.9", ALL_RESUMING, ["finished"],
          {"first-octet-wrong": wrong_finished(0), "last-octet-wrong": wrong_finished(11)},
          A.decrypt_error),
    *rows("7.3", ALL_RESUMING, ["finished"], {"doubled": doubled}, A.unexpected_message),
    *rows("6.2.3.3", ALL_RESUMING, ["finished"],
          {"not-protected": raw(bytes(64), C.handshake)}, A.bad_record_mac),
]  # fmt: skip
