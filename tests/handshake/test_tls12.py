"""TLS 1.2 between our own two roles: certificates, limits of records, exporters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from engine_pairs import (
    SERVER_NAME,
    authority,
    carry,
    connections,
    credentials,
    established,
    failure_of,
    outgoing,
    plain,
    read_all,
    records,
    sealed,
    send,
    shake_hands,
)
from hellos import exchange
from pairs12 import BOTH, CLIENT_12, SERVER_12, alert_of, changed_hello

from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.errors import (
    CertificateError,
)
from trio_tlsx.handshake import authentication, server12
from trio_tlsx.handshake.server12_hello import Terms12
from trio_tlsx.handshake.steps import Handshake
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import encode_message
from trio_tlsx.messages.handshake12 import HelloRequest
from trio_tlsx.messages.info import CertificateRequest
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.pki.peer import Peer
from trio_tlsx.testing import CA

LABEL = "EXPERIMENTAL trio-tlsx test"
HELLO_REQUEST = encode_message(HelloRequest())


# What both sides agree on


@pytest.mark.parametrize("key_type", ["P-256", "P-384", "P-521", "ed25519", "ed448", "RSA-2048"])
def test_each_key_type_in_both_roles(key_type: str) -> None:
    client, server = established(
        replace(CLIENT_12, credentials=credentials(key_type)),
        replace(
            SERVER_12,
            credentials=credentials(key_type),
            client_auth="required",
            client_trust=authority.trust,
        ),
    )
    exchange(client, server)
    chain = credentials(key_type).chain
    assert client.negotiated.peer_certificates == server.negotiated.peer_certificates == chain


def test_the_server_selects_credentials_that_the_suites_fit() -> None:
    """Credentials come first, and then the first common suite that fits their key."""
    server = replace(SERVER_12, credentials=[credentials("P-256"), credentials("RSA-2048")])
    client, _ = established(CLIENT_12, server)
    assert client.negotiated.cipher_suite == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    only_rsa = replace(CLIENT_12, cipher_suites=["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"])
    client, _ = established(only_rsa, server)
    assert client.negotiated.cipher_suite == "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
    assert client.negotiated.signature_scheme == "rsa_pss_rsae_sha256"


@pytest.mark.parametrize(
    ("scheme", "key_type"),
    [("ecdsa_secp256r1_sha256", "P-256"), ("rsa_pss_rsae_sha256", "RSA-2048")],
)
def test_a_client_offers_no_suite_without_a_scheme_for_its_signature(
    scheme: str, key_type: str
) -> None:
    """It offers PKCS #1 in any case, because certificates are signed with it."""
    server = replace(SERVER_12, credentials=[credentials("RSA-2048"), credentials("P-256")])
    client, _ = established(replace(CLIENT_12, signature_schemes=[scheme]), server)
    assert client.negotiated.signature_scheme == scheme
    assert client.negotiated.peer_certificates == credentials(key_type).chain


def test_the_curve_of_a_certificate_is_one_of_the_client() -> None:
    """RFC 8422 5.3."""
    server = replace(SERVER_12, credentials=[credentials("P-384"), credentials("RSA-2048")])
    client, _ = established(replace(CLIENT_12, groups=["x25519", "P-256"]), server)
    assert client.negotiated.peer_certificates == credentials("RSA-2048").chain


@pytest.mark.parametrize("limit", [64, 1000, 16_384, 16_385])
def test_record_size_limit_counts_no_content_type(limit: int) -> None:
    """RFC 8449 4; 2^14 + 1 is for TLS 1.3, and no error here."""
    client, server = established(
        replace(CLIENT_12, record_size_limit=limit), replace(SERVER_12, record_size_limit=limit)
    )
    assert outgoing(client).fragment_length == min(limit, 2**14)
    exchange(client, server)
    server.receive_data(sealed(client, bytes(min(limit, 2**14))))
    assert len(read_all(server)) == min(limit, 2**14)
    server.receive_data(sealed(client, bytes(min(limit, 2**14) + 1)))
    assert failure_of(lambda: read_all(server)).alert is A.record_overflow


def test_max_fragment_length_limits_both_directions() -> None:
    """RFC 6066 4."""
    with changed_hello({E.record_size_limit: None, E.max_fragment_length: b"\1"}):
        client, server = established(CLIENT_12, SERVER_12)
    assert outgoing(server).fragment_length == 512
    server.receive_data(sealed(client, bytes(513)))
    assert failure_of(lambda: read_all(server)).alert is A.record_overflow


def test_the_verifier_sees_the_ocsp_response_and_the_timestamps() -> None:
    peers: list[Peer] = []
    ours = credentials().stapling(b"response").with_timestamps([b"a timestamp"])
    client, _ = established(
        replace(CLIENT_12, verify=peers.append, ocsp_stapling=True, timestamps=True),
        replace(SERVER_12, credentials=ours),
    )
    assert peers[0].ocsp_response == b"response"
    assert peers[0].timestamps == (b"a timestamp",)
    assert client.negotiated.peer_certificates == credentials().chain


def test_a_server_need_not_have_a_response() -> None:
    peers: list[Peer] = []
    established(
        replace(CLIENT_12, verify=peers.append, ocsp_stapling=True),
        replace(SERVER_12, credentials=credentials().stapling(lambda: None)),
    )
    assert peers[0].ocsp_response is None


def test_a_server_may_leave_out_the_response_that_it_announced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RFC 6066 8; to the verifier it is missing."""
    send = server12.send_server_certificate

    def send_certificate_alone(hs: Handshake, terms: Terms12, _: object) -> None:
        send(hs, terms, {})

    monkeypatch.setattr(server12, "send_server_certificate", send_certificate_alone)
    peers: list[Peer] = []
    exchange(
        *established(
            replace(CLIENT_12, verify=peers.append, ocsp_stapling=True),
            replace(SERVER_12, credentials=credentials().stapling(b"response")),
        )
    )
    assert peers[0].ocsp_response is None


@pytest.mark.parametrize(
    ("client_auth", "alert"), [("required", A.handshake_failure), ("optional", None)]
)
def test_a_client_without_a_certificate(client_auth: Any, alert: A | None) -> None:
    """RFC 5246 7.4.6."""
    server = replace(SERVER_12, client_auth=client_auth, client_trust=authority.trust)
    client, accepting = connections(CLIENT_12, server)
    if alert is None:
        shake_hands(client, accepting)
        assert accepting.negotiated.peer_certificates == ()
    else:
        assert alert_of(client, accepting) is alert


@pytest.mark.parametrize(
    ("types", "sent"),
    [(b"\x01", "RSA-2048"), (b"\x40", "P-256"), (b"\x02\x40\x01", "P-256"), (b"\x02", None)],
)
def test_a_certificate_of_another_type_than_requested_is_not_sent(
    types: bytes, sent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 5246 7.4.4. The hook sees only the schemes whose keys the types allow."""
    monkeypatch.setattr(server12, "CERTIFICATE_TYPES", types)
    requests: list[CertificateRequest] = []

    def select(request: CertificateRequest) -> Sequence[Credentials]:
        requests.append(request)
        return [credentials("P-256"), credentials("RSA-2048")]

    client, server = established(
        replace(CLIENT_12, select_credentials=select),
        replace(SERVER_12, client_auth="optional", client_trust=authority.trust),
    )
    assert server.negotiated.peer_certificates == (credentials(sent).chain if sent else ())
    names = {
        SignatureScheme(code).name.partition("_")[0] for code in requests[0].signature_schemes
    }
    assert ("rsa" in names, "ecdsa" in names) == (b"\x01" in types, b"\x40" in types)
    exchange(client, server)


def test_early_data_is_sent_after_the_handshake_if_asked_for() -> None:
    client = Connection.client(CLIENT_12, SERVER_NAME, early_data=b"x", resend_early_data=True)
    server = Connection.server(SERVER_12)
    shake_hands(client, server)
    carry(client, server)
    assert read_all(server) == b"x"
    assert not client.negotiated.early_data_accepted


def test_a_server_of_tls_1_2_cannot_answer_early_data_for_tls_1_3() -> None:
    """RFC 9846 E.3: the client sent early data under keys that this server does not have."""
    config = replace(CLIENT_12, versions=BOTH, resumption=True)
    client, server = established(config, replace(SERVER_12, versions=BOTH, max_early_data_size=99))
    send(server, client, b"with the tickets")
    read_all(client)
    client = Connection.client(config, SERVER_NAME, early_data=b"early")
    client.do_handshake()
    server = Connection.server(SERVER_12)
    hello, *_ = [record for _, record in records(client.data_to_send())]
    server.receive_data(hello)
    server.do_handshake()
    carry(server, client)
    assert failure_of(client.do_handshake).alert is A.protocol_version


@pytest.mark.parametrize("role", ["client", "server"])
def test_certificates_that_are_not_trusted_are_rejected(role: str) -> None:
    """The peer has shown that it holds the key, and that is not enough."""
    stranger = CA().issue(SERVER_NAME)
    client, server = connections(
        replace(CLIENT_12, credentials=stranger if role == "server" else credentials()),
        replace(
            SERVER_12,
            credentials=stranger if role == "client" else credentials(),
            client_auth="required",
            client_trust=authority.trust,
        ),
    )
    assert alert_of(client, server) is A.unknown_ca


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_costly_key_is_rejected_before_its_signature_is_checked(
    role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reject(certificate: x509.Certificate) -> None:
        raise CertificateError("too much work", certificate=certificate)

    monkeypatch.setattr(authentication, "check_rsa_work", reject)
    client, server = connections(
        replace(CLIENT_12, credentials=credentials()),
        replace(SERVER_12, client_auth="required", client_trust=authority.trust),
    )
    assert failure_of(lambda: shake_hands(client, server)).alert is A.bad_certificate


@pytest.mark.parametrize("role", ["client", "server"])
def test_no_message_spans_the_change_of_keys(role: str) -> None:
    """RFC 5246 7.1: what is protected begins with Finished."""
    client, server = connections(CLIENT_12, SERVER_12)
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    (_, flight), *_ = records(server.data_to_send())
    begun = b"\x14\0\0"  # a part of Finished, before there are keys
    if role == "client":
        client.receive_data(plain(flight[5:] + begun))
        assert failure_of(client.do_handshake).alert is A.unexpected_message
        return
    client.receive_data(flight)
    client.do_handshake()
    (_, exchange), *others = records(client.data_to_send())
    server.receive_data(plain(exchange[5:] + begun) + b"".join(o for _, o in others))
    assert failure_of(server.do_handshake).alert is A.unexpected_message


def test_the_content_of_a_record_is_limited_without_a_limit_of_ours() -> None:
    with changed_hello({E.record_size_limit: None}):
        client, server = established(CLIENT_12, SERVER_12)
    server.receive_data(sealed(client, bytes(2**14)))
    assert len(read_all(server)) == 2**14
    server.receive_data(sealed(client, bytes(2**14 + 1)))
    assert failure_of(lambda: read_all(server)).alert is A.record_overflow


# The extended master secret and exporters


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_required_extended_master_secret(role: str) -> None:
    """RFC 7627 5.2, 5.3."""
    with changed_hello({E.extended_master_secret: None}):
        client, server = connections(
            replace(CLIENT_12, require_extended_master_secret=role == "client"),
            replace(SERVER_12, require_extended_master_secret=role == "server"),
        )
        assert alert_of(client, server) is A.handshake_failure


def test_without_an_extended_master_secret_nothing_is_exported() -> None:
    """RFC 7627 5.4."""
    with changed_hello({E.extended_master_secret: None}):
        client, server = established(CLIENT_12, SERVER_12)
    exchange(client, server)
    for one in (client, server):
        with pytest.raises(RuntimeError, match="no extended master secret"):
            one.export_keying_material(LABEL, 32)
        assert one.channel_binding("tls-unique") is None
        assert one.channel_binding("tls-exporter") is None
        assert one.channel_binding("tls-server-end-point")


def test_both_sides_export_the_same() -> None:
    client, server = established(CLIENT_12, SERVER_12)
    for context in (None, b"", b"context"):
        exported = client.export_keying_material(LABEL, 32, context)
        assert exported == server.export_keying_material(LABEL, 32, context)
    assert client.export_keying_material(LABEL, 32) != client.export_keying_material(
        LABEL, 32, b""
    )
    for kind in ("tls-unique", "tls-exporter", "tls-server-end-point"):
        assert client.channel_binding(kind) == server.channel_binding(kind) != None  # noqa: E711
    # RFC 9266 2: the context is empty, and not missing.
    exported = client.export_keying_material("EXPORTER-Channel-Binding", 32, b"")
    assert client.channel_binding("tls-exporter") == exported
    with pytest.raises(ValueError, match="unknown channel binding"):
        client.channel_binding("tls-nothing")


@pytest.mark.parametrize(
    ("label", "length", "context"),
    [
        ("master secret", 32, None),
        ("ä", 32, None),
        (LABEL, 0, None),
        (LABEL, 2**14 + 1, None),
        (LABEL, 32, bytes(2**16)),
    ],
)
def test_impossible_exports_are_rejected(label: str, length: int, context: bytes | None) -> None:
    client, _ = established(CLIENT_12, SERVER_12)
    with pytest.raises(ValueError, match="export"):
        client.export_keying_material(label, length, context)


def test_the_key_log_has_the_master_secret_of_both_sides() -> None:
    """Of a full handshake, and of one that resumes its session."""
    lines: dict[str, list[str]] = {"client": [], "server": []}
    config = replace(CLIENT_12, key_log=lines["client"].append, resumption=True)
    accepting = replace(SERVER_12, key_log=lines["server"].append)
    for resumed in (False, True):
        client, _ = established(config, accepting)
        assert client.negotiated.version == "TLSv1.2"
        assert client.negotiated.resumed is resumed
    assert lines["client"] == lines["server"]
    (name, random, secret), of_resumption = (line.split() for line in lines["client"])
    assert (name, len(random), len(secret)) == ("CLIENT_RANDOM", 64, 96)
    assert of_resumption[::2] == [name, secret]
    assert of_resumption[1] != random
