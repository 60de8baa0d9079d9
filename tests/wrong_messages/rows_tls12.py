"""Wrong messages in TLS 1.2; sections without another RFC are of RFC 5246."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, cast

from deviations import (
    Row,
    along_with,
    announced,
    before,
    body,
    but,
    cut_in_half,
    cut_short,
    doubled,
    empty,
    extension,
    instead,
    interrupted_by,
    missing,
    octets,
    only_one_octet,
    record,
    rows,
    trailing,
    without_extension,
    wrong_finished,
)
from scripted_peer import (
    P256,
    P384,
    SERVER_NAME,
    AnyMessage,
    Deviation,
    Peer,
    authority,
    header,
    strangers_credentials,
)
from scripted_peers12 import (
    CLIENT_RANDOM,
    SERVER_RANDOM,
    AnyPeer12,
    AskingServerPeer12,
    CertifiedClientPeer12,
    ClientPeer12,
    Peer12,
    ServerPeer12,
)

from trio_tlsx.crypto.signatures import SignatureScheme as S
from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import CertificateVerify, Finished, HandshakeType
from trio_tlsx.messages.handshake12 import (
    Certificate12,
    ClientKeyExchange,
    HelloRequest,
    NewSessionTicket12,
    ServerHelloDone,
)
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.record.message_reader import (
    MAX_CERTIFICATE_LENGTH,
    MAX_CLIENT_HELLO_LENGTH,
    MAX_FINISHED_LENGTH,
    MAX_SERVER_HELLO_LENGTH,
)
from trio_tlsx.record.protection import ContentType as C
from trio_tlsx.record.protection import record_header

SERVERS = (ServerPeer12, AskingServerPeer12)
CLIENTS = (ClientPeer12, CertifiedClientPeer12)
ONE_OF_EACH_ROLE = (AskingServerPeer12, CertifiedClientPeer12)
BOTH = (*SERVERS, *CLIENTS)

AFTER_THE_HELLO = (
    "certificate",
    "server_key_exchange",
    "client_key_exchange",
    "certificate_verify",
    "server_hello_done",
)
MALFORMED = {
    "empty": empty,
    "cut-in-half": cut_in_half,
    "cut-short": cut_short,
    "trailing-octet": trailing,
    "only-one-octet": only_one_octet,
}

#: What may stand at a place instead of what the script has there.
ALSO_ALLOWED = {
    "certificate_request": {HandshakeType.server_hello_done},
    "server_hello_done": {HandshakeType.certificate_request},
    "certificate_status": {HandshakeType.server_key_exchange},
}


def other_types(peers: Iterable[type[AnyPeer12]], *places: str) -> Iterator[Row]:
    """The whole table of which message may stand where, at these places or at all."""
    for peer in peers:
        for place in places or peer.places:
            if place == "change_cipher_spec":
                continue
            allowed = {*ALSO_ALLOWED.get(place, ())}
            if place != "application_data":
                allowed.add(HandshakeType[place])
            elif peer.role == "server":
                allowed.add(HandshakeType.client_hello)  # a request to renegotiate
            if peer.role == "client":
                allowed.add(HandshakeType.hello_request)  # which is ignored, without an octet
            deviations = {
                f"{t.name}-instead": instead(header(t, 1) + b"\0")
                for t in HandshakeType
                if t not in allowed
            }
            yield from rows("7.4", [peer], [place], deviations, A.unexpected_message)


def raw(content: bytes, content_type: int) -> Deviation:
    """Instead of the message, a record without protection."""
    return lambda peer, _: peer.octets(record_header(content_type, len(content)) + content)


def records_of(*contents: bytes) -> Deviation:
    def deviation(peer: Peer, _: AnyMessage) -> None:
        for content in contents:
            peer.record(content, C.change_cipher_spec)

    return deviation


def early_change_cipher_spec(peer: Peer, message: AnyMessage) -> None:
    peer.record(b"\x01", C.change_cipher_spec)
    peer.send(message)


def finished_before_it(peer: Peer, _: AnyMessage) -> None:
    """Finished without protection, and then change_cipher_spec."""
    peer.send(Finished(bytes(12)))
    peer.record(b"\x01", C.change_cipher_spec)


def key_exchange(**how: Any) -> Deviation:
    """Another ServerKeyExchange, with a right signature for what it says."""
    return lambda peer, _: peer.send(cast("ServerPeer12", peer).key_exchange(**how))


def verified(content: Any = None, **how: Any) -> Deviation:
    """Another CertificateVerify, over this content or else what it should be."""

    def deviation(peer: Peer, _: AnyMessage) -> None:
        whole = b"".join(peer.transcript.messages) if content is None else content
        scheme = how.get("scheme", S.ecdsa_secp256r1_sha256)
        peer.send(CertificateVerify(scheme, cast("Peer12", peer).sign_content(whole, **how)))

    return deviation


def renamed(random: bytes) -> Deviation:
    """Another random in the ServerHello, which both sides then use."""

    def deviation(peer: Peer, message: Any) -> None:
        server = cast("ServerPeer12", peer)
        server.randoms = server.randoms[0], random
        peer.send(replace(message, random=random))

    return deviation


def certified_by(credentials: Credentials) -> Deviation:
    """Another chain, whose key then signs the key exchange."""

    def deviation(peer: Peer, _: AnyMessage) -> None:
        peer.signer = credentials
        peer.send(Certificate12(credentials.der_chain))

    return deviation


def curve_type(code: int) -> Deviation:
    """A ServerKeyExchange with another ECCurveType."""
    return body(lambda octets: bytes((code,)) + octets[1:])


def finished_of_the_other(peer: Peer) -> Finished:
    known = cast("ServerPeer12 | ClientPeer12", peer)
    is_client = isinstance(known, ClientPeer12)
    make = known.secret.server_finished if is_client else known.secret.client_finished
    return Finished(make(known.digest()))


def application_data_first(peer: Peer, message: AnyMessage) -> None:
    peer.send_data()
    peer.send(message)


ROWS = [
    *other_types(ONE_OF_EACH_ROLE),
    # Missing and doubled messages.
    *rows("7.3", BOTH, AFTER_THE_HELLO[:-1], {"missing": missing}, A.unexpected_message),
    *rows("7.3", BOTH, [*AFTER_THE_HELLO, "server_hello"], {"doubled": doubled},
          A.unexpected_message),
    *rows("7.3", SERVERS, ["server_hello"], {"missing": missing}, A.unexpected_message),
    *rows("7.3", CLIENTS, ["client_hello"], {"doubled": doubled}, A.unexpected_message),
    *rows("7.3", SERVERS, ["server_hello_done"], {
        "and-another-message-in-its-record": along_with(ServerHelloDone()),
        "change-cipher-spec-instead": records_of(b"\x01"),
    }, A.unexpected_message),
    *rows("7.3", CLIENTS, ["client_hello"],
          {"and-another-message-in-its-record": along_with(ClientKeyExchange(bytes(32)))},
          A.unexpected_message),
    *rows("7.3", BOTH, ["finished"],
          {"and-another-message-in-its-record": along_with(Finished(bytes(12)))},
          A.unexpected_message),
    *rows("7.3", SERVERS, ["finished"], {"missing": missing}, A.unexpected_message),
    *rows("7.3", BOTH, ["finished"], {"behind-data": application_data_first},
          A.unexpected_message),
    # Syntax.
    *rows("4", ONE_OF_EACH_ROLE,
          ["server_hello", "client_hello", "certificate", "server_key_exchange",
           "certificate_request", "client_key_exchange", "certificate_verify", "finished"],
          MALFORMED, A.decode_error),
    *rows("4", SERVERS, ["server_hello_done"], {"trailing-octet": trailing}, A.decode_error),
    *rows("7.4", SERVERS, ["server_hello"],
          {"announced-too-long": announced(MAX_SERVER_HELLO_LENGTH + 1)}, A.illegal_parameter),
    *rows("7.4", CLIENTS, ["client_hello"],
          {"announced-too-long": announced(MAX_CLIENT_HELLO_LENGTH + 1)}, A.illegal_parameter),
    *rows("7.4", ONE_OF_EACH_ROLE, ["certificate"],
          {"announced-too-long": announced(MAX_CERTIFICATE_LENGTH + 1)}, A.illegal_parameter),
    *rows("7.4", ONE_OF_EACH_ROLE,
          ["server_key_exchange", "certificate_request", "server_hello_done",
           "client_key_exchange", "certificate_verify"],
          {"announced-too-long": announced(MAX_SERVER_HELLO_LENGTH + 1)}, A.illegal_parameter),
    *rows("7.4.9", BOTH, ["finished"],
          {"announced-too-long": announced(MAX_FINISHED_LENGTH + 1)}, A.decode_error),
    # change_cipher_spec.
    *rows("7.1", BOTH, ["change_cipher_spec"], {
        "missing": missing,
        "doubled": records_of(b"\x01", b"\x01"),
        "empty": records_of(b""),
        "of-two-octets": records_of(b"\x01\x01"),
        "of-another-value": records_of(b"\x02"),
        "behind-finished": finished_before_it,
    }, A.unexpected_message),
    *rows("7.1", BOTH,
          ["server_hello", "certificate", "client_key_exchange", "server_hello_done"],
          {"change-cipher-spec-before": early_change_cipher_spec}, A.unexpected_message),
    *rows("7.1", BOTH, ["certificate", "server_key_exchange", "client_key_exchange"],
          {"interrupted-by-change-cipher-spec": interrupted_by(b"\x01", C.change_cipher_spec)},
          A.unexpected_message),
    *rows("7.1", BOTH, ["finished"], {"change-cipher-spec-behind":
          lambda peer, message: (peer.send(message), peer.record(b"\x01", C.change_cipher_spec),
                                 None)[-1]}, A.unexpected_message),
    # Finished.
    *rows("7.4.9", BOTH, ["finished"],
          {
              "first-octet-wrong": wrong_finished(0),
              "last-octet-wrong": wrong_finished(11),
              "of-the-other-side": lambda peer, _: peer.send(finished_of_the_other(peer)),
              "of-zeros": instead(Finished(bytes(12))),
          }, A.decrypt_error),
    # Records.
    *rows("6.2.3.3", BOTH, ["finished", "application_data"],
          {
              "not-protected": raw(bytes(64), C.handshake),
              "close-notify-not-protected": raw(b"\x01\x00", C.alert),
              "long-alert-not-protected": raw(bytes(64), C.alert),
              "data-not-protected": raw(bytes(64), C.application_data),
          }, A.bad_record_mac),
    *rows("6.2.1", BOTH, ["certificate", "client_key_exchange"],
          {"behind-an-empty-record": record(b"", C.handshake)}, A.unexpected_message),
    *rows("7.1", ONE_OF_EACH_ROLE, ["certificate"],
          {"interrupted-by-data": interrupted_by(b"data", C.application_data)},
          A.unexpected_message),
    *rows("6.2", BOTH, ["certificate", "finished"],
          {"behind-an-unknown-type": octets(record_header(99, 1) + b"\0")},
          A.unexpected_message),
    *rows("7.2", BOTH, ["application_data"],
          {"change-cipher-spec": lambda peer, _: peer.record(b"\x01", C.change_cipher_spec)},
          A.unexpected_message),
    # The ServerHello.
    *rows("7.4.1.3", SERVERS, ["server_hello"], {
        "suite-of-another-key": but(cipher_suite=0xC02F),
    }, A.illegal_parameter),
    *rows("7.4.1.3", SERVERS, ["server_hello"], {
        "suite-with-cbc": but(cipher_suite=0xC009),
        "suite-of-tls-1.3": but(cipher_suite=0x1301),
        "compression": but(legacy_compression_method=1),
        "protocol-not-offered": extension(
            E.application_layer_protocol_negotiation, b"\0\x03\x02h3"
        ),
    }, A.illegal_parameter),
    *rows("RFC 9846 4.2.3", SERVERS, ["server_hello"], {
        "sentinel-of-1.2": renamed(b"r" * 24 + b"DOWNGRD\x01"),
        "sentinel-of-1.1": renamed(b"r" * 24 + b"DOWNGRD\x00"),
    }, A.illegal_parameter),
    *rows("RFC 9846 4.3.1", SERVERS, ["server_hello"],
          {"selects-1.2-by-extension": extension(E.supported_versions, b"\x03\x03")},
          A.illegal_parameter),
    *rows("RFC 9846 E.4", SERVERS, ["server_hello"], {"echoes-the-compatibility-id":
          lambda peer, m: peer.send(replace(
              cast("Any", m),
              legacy_session_id_echo=cast("ServerPeer12", peer).hello.legacy_session_id))},
          A.illegal_parameter),
    *rows("7.4.1.3", SERVERS, ["server_hello"], {
        "version-1.1": but(legacy_version=0x0302),
        "version-1.4": but(legacy_version=0x0305),
    }, A.protocol_version),
    *rows("7.4.1.4", SERVERS, ["server_hello"], {
        "key-share": extension(E.key_share, b"\0\x1d\0\x01x"),
        "unknown": extension(0x1234, b""),
        "ticket-not-offered": extension(E.session_ticket, b""),
        "status-not-offered": extension(E.status_request, b""),
        "signature-algorithms": extension(E.signature_algorithms, b"\0\x02\x04\x03"),
        "max-fragment-length": extension(E.max_fragment_length, b"\x01"),
    }, A.unsupported_extension),
    *rows("RFC 5746 3.4", SERVERS, ["server_hello"], {
        "no-secure-renegotiation": without_extension(E.renegotiation_info),
        "an-earlier-handshake": extension(E.renegotiation_info, b"\x01x"),
    }, A.handshake_failure),
    *rows("RFC 8422 5.1.2", SERVERS, ["server_hello"],
          {"compressed-points": extension(E.ec_point_formats, b"\x01\x01")}, A.illegal_parameter),
    *rows("RFC 7627 5.1", SERVERS, ["server_hello"],
          {"extended-master-secret-with-a-body": extension(E.extended_master_secret, b"\0")},
          A.decode_error),
    # Certificate and ServerKeyExchange.
    *rows("7.4.2", SERVERS, ["certificate"], {"none": instead(Certificate12(()))},
          A.decode_error),
    *rows("RFC 8422 5.3", SERVERS, ["certificate"], {"on-a-curve-not-offered":
          certified_by(authority.issue(SERVER_NAME, key_type="P-384"))}, A.illegal_parameter),
    *rows("RFC 8422 5.4", SERVERS, ["server_key_exchange"], {
        "group-not-offered": key_exchange(group=P384),
        "group-of-tls-1.3-only": key_exchange(group=0x11EC),
        "zero-point": key_exchange(public=bytes(32)),
        "short-point": key_exchange(public=bytes(31)),
        "long-point": key_exchange(public=bytes(33)),
        "point-off-the-curve": key_exchange(group=P256, public=b"\x04" + bytes(range(64))),
        "compressed-point": key_exchange(group=P256, public=b"\x02" + bytes(range(32))),
        "point-at-infinity": key_exchange(group=P256, public=b"\0"),
        "explicit-prime-curve": curve_type(1),
        "explicit-char2-curve": curve_type(2),
        "curve-type-of-none": curve_type(0),
        "scheme-of-tls-1.3-only": but(algorithm=0x0905),
        "scheme-not-offered": but(algorithm=0x0203),
        "scheme-of-another-key": but(algorithm=S.rsa_pss_rsae_sha256),
    }, A.illegal_parameter),
    *rows("4", SERVERS, ["server_key_exchange"],
          {"empty-point": key_exchange(public=b"")}, A.decode_error),
    *rows("RFC 8422 5.4", SERVERS, ["server_key_exchange"], {
        "signed-with-another-key": key_exchange(by=strangers_credentials),
        "signed-for-another-client": key_exchange(randoms=(bytes(32), SERVER_RANDOM)),
        "signature-wrong": but(signature=b"signature"),
        "another-point-than-signed": but(public=bytes(range(32))),
        "another-hash-than-it-says": but(algorithm=S.ecdsa_secp384r1_sha384),
    }, A.decrypt_error),
    # The ClientHello.
    *rows("7.4.1.2", CLIENTS, ["client_hello"],
          {"no-null-compression": but(legacy_compression_methods=b"\x01")}, A.illegal_parameter),
    *rows("7.4.1.2", CLIENTS, ["client_hello"], {
        "no-common-suite": but(cipher_suites=(0xC009, 0x009C)),
        "suite-of-another-key": but(cipher_suites=(0xC02F,)),
        "suites-of-tls-1.3": but(cipher_suites=(0x1301,)),
        "no-common-group": extension(E.supported_groups, b"\0\x02\0\x18"),
        "no-supported-groups": without_extension(E.supported_groups),
        "not-the-curve-of-the-certificate": extension(E.supported_groups, b"\0\x02\0\x1d"),
        "no-signature-algorithms": without_extension(E.signature_algorithms),
        "no-common-scheme": extension(E.signature_algorithms, b"\0\x02\x02\x03"),
    }, A.handshake_failure),
    *rows("RFC 5746 3.6", CLIENTS, ["client_hello"],
          {"an-earlier-handshake": extension(E.renegotiation_info, b"\x01x")},
          A.handshake_failure),
    *rows("RFC 7507 3", CLIENTS, ["client_hello"],
          {"fallback": but(cipher_suites=(0xC02B, 0x5600))}, A.inappropriate_fallback),
    *rows("RFC 8422 5.1.2", CLIENTS, ["client_hello"],
          {"compressed-points": extension(E.ec_point_formats, b"\x01\x01")}, A.illegal_parameter),
    *rows("RFC 7301 3.2", CLIENTS, ["client_hello"], {"no-common-protocol": extension(
          E.application_layer_protocol_negotiation, b"\0\x03\x02h3")},
          A.no_application_protocol),
    *rows("RFC 9846 4.3.1", CLIENTS, ["client_hello"], {
        "version-1.1": but(legacy_version=0x0302),
        "versions-1.1-only": extension(E.supported_versions, b"\x02\x03\x02"),
    }, A.protocol_version),
    # The client's certificate and key exchange.
    *rows("7.4.6", [CertifiedClientPeer12], ["certificate"],
          {"none": instead(Certificate12(()))}, A.handshake_failure),
    *rows("RFC 8422 5.11", CLIENTS, ["client_key_exchange"], {
        "zero-point": instead(ClientKeyExchange(bytes(32))),
        "short-point": instead(ClientKeyExchange(bytes(31))),
        "long-point": instead(ClientKeyExchange(bytes(33))),
    }, A.illegal_parameter),
    *rows("7.4.8", [CertifiedClientPeer12], ["certificate_verify"], {
        "signed-with-another-key": verified(by=strangers_credentials),
        "of-another-handshake": verified(CLIENT_RANDOM),
        "signature-wrong": but(signature=b"signature"),
    }, A.decrypt_error),
    *rows("4", CLIENTS, ["client_key_exchange"],
          {"empty-point": instead(ClientKeyExchange(b""))}, A.decode_error),
    *rows("7.4.8", [CertifiedClientPeer12], ["certificate_verify"], {
        "scheme-not-offered": but(algorithm=0x0203),
        "scheme-of-another-key": but(algorithm=S.rsa_pss_rsae_sha256),
    }, A.illegal_parameter),
    # Tickets and renegotiation.
    *rows("RFC 5077 3.3", SERVERS, ["change_cipher_spec"],
          {"behind-a-ticket-not-promised": lambda peer, _: peer.send(
              NewSessionTicket12(3600, b"ticket"))}, A.unexpected_message),
    *rows("RFC 5077 3.3", SERVERS, ["application_data"], {
        "ticket": instead(NewSessionTicket12(3600, b"ticket")),
    }, A.unexpected_message),
    *rows("7.4.1.1", SERVERS, ["certificate"],
          {"behind-many-hello-requests": before(*[HelloRequest()] * 5)}, A.unexpected_message),
    *rows("7.4.1.1", CLIENTS, ["application_data"], {
        "hello-request": instead(HelloRequest()),
    }, A.unexpected_message),
    # Alerts.
    *rows("7.2", BOTH, ["certificate", "client_key_exchange"], {
        "behind-an-alert-of-an-unknown-level": record(b"\x03\x70", C.alert),
    }, A.illegal_parameter),
    *rows("7.2.2", BOTH, ["certificate", "client_key_exchange"], {
        "behind-many-warnings": lambda peer, message: (
            [peer.record(b"\x01\x70", C.alert) for _ in range(5)], peer.send(message), None)[-1],
    }, A.unexpected_message),
]  # fmt: skip
