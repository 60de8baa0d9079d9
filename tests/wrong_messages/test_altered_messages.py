"""Messages that our own engine sends altered, one at a time, and the alert that rejects each.

The sender's transcript contains the altered message too. Both transcripts agree, so Finished and
the AEAD do not detect the alteration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
from engine_pairs import (
    ASKING_SERVER,
    CLIENT,
    SERVER,
    advance,
    connections,
    credentials,
    failure_of,
    outgoing,
    sealed,
    shake_hands,
)

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.groups import GROUPS, Group
from trio_tlsx.crypto.signatures import schemes_for
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, AlertReceived
from trio_tlsx.handshake.client import DOWNGRADE_SENTINELS
from trio_tlsx.handshake.steps import Handshake
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import (
    MESSAGE_HEADER_LENGTH,
    Certificate,
    CertificateEntry,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    EncryptedExtensions,
    Finished,
    KeyUpdate,
    Message,
    NewSessionTicket,
    ServerHello,
    encode_message,
)
from trio_tlsx.pki.credentials import Credentials, PrivateKeySigner

A, E = AlertDescription, ExtensionType

#: Gives the messages to send in place of one; none leaves it out.
Change: TypeAlias = Callable[[Any], list[Any]]

UNKNOWN = 0xFAFA


def given(code: int, body: bytes) -> Change:
    """With this extension, in place of one with the same code point."""

    def change(message: Any) -> list[Any]:
        return [replace(message, extensions={**message.extensions, code: body})]

    return change


def lacking(code: int) -> Change:
    def change(message: Any) -> list[Any]:
        rest: Mapping[int, bytes] = message.extensions
        return [replace(message, extensions={c: b for c, b in rest.items() if c != code})]

    return change


def having(**fields: Any) -> Change:
    def change(message: Any) -> list[Any]:
        return [replace(message, **fields)]

    return change


def left_out(_: Any) -> list[Any]:
    return []


def twice(message: Any) -> list[Any]:
    return [message, message]


def before(other: Message) -> Change:
    return lambda message: [other, message]


def first_octet_changed(message: Any) -> list[Any]:
    name = "signature" if isinstance(message, CertificateVerify) else "verify_data"
    octets: bytes = getattr(message, name)
    return [replace(message, **{name: bytes((octets[0] ^ 1,)) + octets[1:]})]


def extended_entries(code: int) -> Change:
    def change(message: Any) -> list[Any]:
        entries = tuple(replace(e, extensions={code: b""}) for e in message.certificate_list)
        return [replace(message, certificate_list=entries)]

    return change


TICKET = NewSessionTicket(1, 2, b"", b"ticket", {})
NOT_DER = (CertificateEntry(b"\x30\x03not DER", {}),)
OTHER_CERTIFICATE = (CertificateEntry(credentials("P-384").der_chain[0], {}),)
ZERO_SHARE = ext.encode_key_share_entry(0x001D, bytes(32))

#: name: the message, what becomes of it, the alert
FROM_SERVER: dict[str, tuple[type[Message], Change, AlertDescription]] = {
    "no ServerHello": (ServerHello, left_out, A.unexpected_message),
    "ServerHello twice": (ServerHello, twice, A.unexpected_message),
    "other session id": (ServerHello, having(legacy_session_id_echo=b"x"), A.illegal_parameter),
    "compression": (ServerHello, having(legacy_compression_method=1), A.illegal_parameter),
    "suite not offered": (ServerHello, having(cipher_suite=0x1399), A.illegal_parameter),
    "TLS 1.2 with a key share": (
        ServerHello,
        lacking(E.supported_versions),
        A.unsupported_extension,
    ),
    "TLS 1.2 with a suite of TLS 1.3": (ServerHello, having(extensions={}), A.illegal_parameter),
    "version not offered": (
        ServerHello,
        given(E.supported_versions, b"\x03\x03"),
        A.illegal_parameter,
    ),
    "no key share": (ServerHello, lacking(E.key_share), A.missing_extension),
    "low-order key share": (ServerHello, given(E.key_share, ZERO_SHARE), A.illegal_parameter),
    "key share of another group": (
        ServerHello,
        given(E.key_share, ext.encode_key_share_entry(0x0017, b"\4" * 65)),
        A.illegal_parameter,
    ),
    "answer in the wrong message": (ServerHello, given(E.server_name, b""), A.illegal_parameter),
    "answer to nothing": (ServerHello, given(UNKNOWN, b""), A.unsupported_extension),
    "session resumed though not offered": (
        ServerHello,
        given(E.pre_shared_key, b"\0\0"),
        A.unsupported_extension,
    ),
    "no EncryptedExtensions": (EncryptedExtensions, left_out, A.unexpected_message),
    "EncryptedExtensions twice": (EncryptedExtensions, twice, A.unexpected_message),
    "unknown answer": (EncryptedExtensions, given(UNKNOWN, b""), A.unsupported_extension),
    "accepted early data": (
        EncryptedExtensions,
        given(E.early_data, b""),
        A.unsupported_extension,
    ),
    "hello's extension": (EncryptedExtensions, given(E.key_share, b""), A.illegal_parameter),
    "server name with a name": (EncryptedExtensions, given(E.server_name, b"x"), A.decode_error),
    "two protocols": (
        EncryptedExtensions,
        given(E.application_layer_protocol_negotiation, ext.encode_alpn([b"one", b"two"])),
        A.decode_error,
    ),
    "protocol not offered": (
        EncryptedExtensions,
        given(E.application_layer_protocol_negotiation, ext.encode_alpn([b"other"])),
        A.illegal_parameter,
    ),
    "request with a context": (
        CertificateRequest,
        having(certificate_request_context=b"x"),
        A.illegal_parameter,
    ),
    "request without schemes": (
        CertificateRequest,
        lacking(E.signature_algorithms),
        A.missing_extension,
    ),
    "request twice": (CertificateRequest, twice, A.unexpected_message),
    "no Certificate": (Certificate, left_out, A.unexpected_message),
    "empty Certificate": (Certificate, having(certificate_list=()), A.decode_error),
    "Certificate with a context": (
        Certificate,
        having(certificate_request_context=b"x"),
        A.illegal_parameter,
    ),
    "no certificate at all in it": (
        Certificate,
        having(certificate_list=NOT_DER),
        A.bad_certificate,
    ),
    "certificate with what nobody asked for": (
        Certificate,
        extended_entries(E.signed_certificate_timestamp),
        A.unsupported_extension,
    ),
    "no CertificateVerify": (CertificateVerify, left_out, A.unexpected_message),
    "wrong signature": (CertificateVerify, first_octet_changed, A.decrypt_error),
    "scheme of certificates": (CertificateVerify, having(algorithm=0x0401), A.illegal_parameter),
    "scheme of another key": (CertificateVerify, having(algorithm=0x0807), A.illegal_parameter),
    "unknown scheme": (CertificateVerify, having(algorithm=UNKNOWN), A.illegal_parameter),
    "somebody else's certificate": (
        Certificate,
        having(certificate_list=OTHER_CERTIFICATE),
        A.illegal_parameter,
    ),
    "wrong Finished": (Finished, first_octet_changed, A.decrypt_error),
    "empty Finished": (Finished, having(verify_data=b""), A.decode_error),
    "ticket before Finished": (Finished, before(TICKET), A.unexpected_message),
    "KeyUpdate before Finished": (Finished, before(KeyUpdate(False)), A.unexpected_message),
}

FROM_CLIENT: dict[str, tuple[type[Message], Change, AlertDescription]] = {
    "older version": (
        ClientHello,
        given(E.supported_versions, ext.encode_supported_versions([0x0302, 0x0301])),
        A.protocol_version,
    ),
    "compression": (
        ClientHello,
        having(legacy_compression_methods=b"\1\0"),
        A.illegal_parameter,
    ),
    "no suite of ours": (ClientHello, having(cipher_suites=(0x1399,)), A.handshake_failure),
    "no groups": (ClientHello, lacking(E.supported_groups), A.missing_extension),
    "no key shares": (ClientHello, lacking(E.key_share), A.missing_extension),
    "no signature algorithms": (ClientHello, lacking(E.signature_algorithms), A.missing_extension),
    "share of a group not offered": (
        ClientHello,
        given(E.supported_groups, ext.encode_uint16_list([0x0017])),
        A.illegal_parameter,
    ),
    "low-order key share": (
        ClientHello,
        given(E.key_share, ext.encode_key_shares({0x001D: bytes(32)})),
        A.illegal_parameter,
    ),
    "extension of another message": (ClientHello, given(E.oid_filters, b""), A.illegal_parameter),
    "no Certificate": (Certificate, left_out, A.unexpected_message),
    "empty Certificate": (Certificate, having(certificate_list=()), A.certificate_required),
    "Certificate with a context": (
        Certificate,
        having(certificate_request_context=b"x"),
        A.illegal_parameter,
    ),
    "no certificate at all in it": (
        Certificate,
        having(certificate_list=NOT_DER),
        A.bad_certificate,
    ),
    "no CertificateVerify": (CertificateVerify, left_out, A.unexpected_message),
    "wrong signature": (CertificateVerify, first_octet_changed, A.decrypt_error),
    "scheme of another key": (CertificateVerify, having(algorithm=0x0807), A.illegal_parameter),
    "wrong Finished": (Finished, first_octet_changed, A.decrypt_error),
    "long Finished": (Finished, having(verify_data=bytes(48)), A.decode_error),
    "KeyUpdate before Finished": (Finished, before(KeyUpdate(False)), A.unexpected_message),
}


def misbehave(
    patch: pytest.MonkeyPatch, sender: Connection, message_type: type[Message], change: Change
) -> None:
    """Have ``sender`` change its messages of this type."""
    real = Handshake.send_encoded

    def send_encoded(self: Handshake, octets: bytes) -> None:
        is_it = self.outgoing is outgoing(sender) and octets[0] == message_type.handshake_type
        if is_it:
            message = message_type.decode(octets[MESSAGE_HEADER_LENGTH:])
            for replacement in change(message):
                real(self, encode_message(replacement))
        else:
            real(self, octets)

    patch.setattr(Handshake, "send_encoded", send_encoded)


def check_refusal(
    client: Connection, server: Connection, sender: Connection, alert: AlertDescription
) -> None:
    receiver = server if sender is client else client
    failure_of(lambda: shake_hands(client, server))
    error = failure_of(receiver.do_handshake)
    assert (error.refused_by, error.alert) == ("us", alert), error
    assert not receiver.handshake_complete
    # The sender understands it, also where it has keys already and the receiver has none.
    go_on = sender.read if sender.handshake_complete else sender.do_handshake
    seen = failure_of(go_on)
    assert isinstance(seen, AlertReceived), seen
    assert seen.alert is alert


MUTUAL_CLIENT = replace(CLIENT, credentials=credentials(), alpn_protocols=["one", "two"])
MUTUAL_SERVER = replace(ASKING_SERVER, alpn_protocols=["one"])


@pytest.mark.parametrize("case", FROM_SERVER)
def test_altered_message_of_a_server_is_rejected(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_type, change, alert = FROM_SERVER[case]
    client, server = connections(MUTUAL_CLIENT, MUTUAL_SERVER)
    misbehave(monkeypatch, server, message_type, change)
    check_refusal(client, server, server, alert)


@pytest.mark.parametrize("case", FROM_CLIENT)
def test_altered_message_of_a_client_is_rejected(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_type, change, alert = FROM_CLIENT[case]
    client, server = connections(MUTUAL_CLIENT, MUTUAL_SERVER)
    misbehave(monkeypatch, client, message_type, change)
    check_refusal(client, server, client, alert)


@pytest.mark.parametrize("role", ["client", "server"])
def test_missing_finished_completes_no_handshake(
    role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows in its place is under keys that the other side does not have yet."""
    client, server = connections()
    sender, receiver = (client, server) if role == "client" else (server, client)
    misbehave(monkeypatch, sender, Finished, left_out)
    for one, other in [(client, server), (server, client), (client, server)]:
        advance(one, other)
    assert receiver.do_handshake() is Want.READ
    receiver.receive_data(sealed(sender, b"data"))
    assert failure_of(receiver.do_handshake).alert is A.bad_record_mac


@pytest.mark.parametrize("sentinel", DOWNGRADE_SENTINELS)
def test_downgrade_sentinel_is_rejected(sentinel: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def downgraded(message: Any) -> list[Any]:
        (old,) = lacking(E.supported_versions)(message)
        return [replace(old, random=old.random[:-8] + sentinel)]

    client, server = connections()
    misbehave(monkeypatch, server, ServerHello, downgraded)
    error = failure_of(lambda: shake_hands(client, server))
    assert error.alert is A.illegal_parameter
    assert "altered the handshake" in str(error)


# HelloRetryRequest

RETRIED_CLIENT = replace(CLIENT, groups=["x25519", "P-256"])
RETRYING_SERVER = replace(SERVER, groups=["P-256"])


def on_retry(change: Change) -> Change:
    return lambda message: change(message) if message.is_hello_retry_request else [message]


def on_answer(change: Change) -> Change:
    return lambda message: [message] if message.is_hello_retry_request else change(message)


RETRIES: dict[str, tuple[Change, AlertDescription]] = {
    "share that it has": (on_retry(given(E.key_share, b"\0\x1d")), A.illegal_parameter),
    "group not offered": (on_retry(given(E.key_share, b"\0\x18")), A.illegal_parameter),
    "nothing to change": (on_retry(lacking(E.key_share)), A.illegal_parameter),
    "empty cookie": (on_retry(given(E.cookie, b"\0\0")), A.decode_error),
    "unknown extension": (on_retry(given(UNKNOWN, b"")), A.unsupported_extension),
    "retry twice": (on_retry(twice), A.unexpected_message),
    "other suite": (on_answer(having(cipher_suite=0x1303)), A.illegal_parameter),
    "group of before": (on_answer(given(E.key_share, ZERO_SHARE)), A.illegal_parameter),
}


@pytest.mark.parametrize("case", RETRIES)
def test_altered_hello_retry_request_is_rejected(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, alert = RETRIES[case]
    client, server = connections(RETRIED_CLIENT, RETRYING_SERVER)
    misbehave(monkeypatch, server, ServerHello, change)
    failure_of(lambda: shake_hands(client, server))
    error = failure_of(client.do_handshake)
    assert (error.refused_by, error.alert) == ("us", alert), error


def on_second(change: Change) -> Change:
    seen: list[object] = []

    def change_second(message: Any) -> list[Any]:
        seen.append(message)
        return change(message) if len(seen) == 2 else [message]

    return change_second


SECOND_HELLOS: dict[str, tuple[Change, AlertDescription]] = {
    "other random": (having(random=bytes(32)), A.illegal_parameter),
    "other suites": (having(cipher_suites=(0x1301,)), A.illegal_parameter),
    "more extensions": (given(UNKNOWN, b""), A.illegal_parameter),
    "fewer extensions": (lacking(E.server_name), A.illegal_parameter),
    "other groups": (
        given(E.supported_groups, ext.encode_uint16_list([0x0017])),
        A.illegal_parameter,
    ),
    "early data": (given(E.early_data, b""), A.illegal_parameter),
    "not the share": (
        given(E.key_share, ext.encode_key_shares({0x001D: b"\x09" + bytes(31)})),
        A.illegal_parameter,
    ),
}


@pytest.mark.parametrize("case", SECOND_HELLOS)
def test_altered_second_client_hello_is_rejected(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, alert = SECOND_HELLOS[case]
    client, server = connections(RETRIED_CLIENT, RETRYING_SERVER)
    misbehave(monkeypatch, client, ClientHello, on_second(change))
    check_refusal(client, server, client, alert)


# Signatures that are for clients only


def test_server_rejects_a_client_that_offers_legacy_schemes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RFC 9963 2: a client may not offer them; who does gets none."""
    rsa = credentials("RSA-2048")
    leaf = rsa.chain[0]
    assert isinstance(rsa.signer, PrivateKeySigner)
    old_first = schemes_for(leaf, legacy=True)[::-1]
    own = Credentials([leaf], PrivateKeySigner(rsa.signer.private_key, leaf, old_first))
    client, server = connections(CLIENT, replace(SERVER, credentials=own))
    body = ext.encode_uint16_list([0x0420, 0x0520, 0x0620, 0x0403])
    misbehave(monkeypatch, client, ClientHello, given(E.signature_algorithms, body))
    check_refusal(client, server, client, A.handshake_failure)


# Key shares that are none


def bad_shares(group: Group, from_client: bool) -> list[bytes]:
    good = group.generate().public
    if not from_client:
        good = group.respond(good)[0]
    wrong = [good[:-1], good + b"\0", b"\0", b"\xff" * (len(good) - 1)]
    if not group.name.startswith("MLKEM"):
        wrong.append(bytes(len(good)))
    elif from_client:
        wrong.append(b"\xff" * len(good))  # no coefficient is less than q (FIPS 203 7.2)
    if group.name.startswith("secp"):
        off = good[:-1] + bytes((good[-1] ^ 1,))  # a point that is not on the curve
        wrong += [off, b"\x02" + good[1 : 1 + len(good) // 2]]
    return wrong


@pytest.mark.parametrize("group", GROUPS.values(), ids=lambda group: group.name)
@pytest.mark.parametrize("from_client", [False, True])
def test_malformed_key_share_is_rejected(group: Group, from_client: bool) -> None:
    configs: tuple[ClientConfig, ServerConfig] = (
        replace(CLIENT, groups=[group.name]),
        replace(SERVER, groups=[group.name]),
    )
    for share in bad_shares(group, from_client):
        client, server = connections(*configs)
        with pytest.MonkeyPatch.context() as patch:
            if from_client:
                body = ext.encode_key_shares({group.code: share})
                misbehave(patch, client, ClientHello, given(E.key_share, body))
            else:
                body = ext.encode_key_share_entry(group.code, share)
                misbehave(patch, server, ServerHello, given(E.key_share, body))
            failure_of(lambda pair=(client, server): shake_hands(*pair))
        error = failure_of((server if from_client else client).do_handshake)
        assert (error.refused_by, error.alert) == ("us", A.illegal_parameter), (share, error)
