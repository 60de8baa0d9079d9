"""Hooks of a TLS 1.2 handshake: when they are asked, and what a client's signer signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from engine_pairs import SERVER_NAME, advance, authority, connections, credentials, shake_hands
from pairs12 import CLIENT_12, SERVER_12, alert_of

from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.crypto.transcript import Transcript
from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.handshake import steps
from trio_tlsx.messages.handshake import HandshakeType as H
from trio_tlsx.messages.info import CertificateRequest
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.pki.peer import Peer
from trio_tlsx.record.message_rules12 import MessageRules12
from trio_tlsx.testing import CA

ASKING_12 = replace(SERVER_12, client_auth="required", client_trust=authority.trust)
ANSWERING_12 = replace(CLIENT_12, credentials=credentials())


class OtherSigner:
    """Signs with another key than the certificate's, and notes what."""

    def __init__(self, own: Credentials) -> None:
        self.schemes: Sequence[SignatureScheme] = own.signer.schemes
        self.signed: list[bytes] = []

    def sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        self.signed.append(message)
        signature = CA().issue(SERVER_NAME).signer.sign(scheme, message)
        assert isinstance(signature, bytes)
        return signature


# Before a hook is asked about a certificate, its holder has proven its key


def impostor(certificate: Credentials) -> Credentials:
    """The certificate of somebody else, without its key."""
    return Credentials(certificate.chain, OtherSigner(certificate))


@pytest.mark.parametrize("trusted", [True, False])
def test_server_key_is_proven_before_verify_is_called(trusted: bool) -> None:
    """By the signature of ServerKeyExchange (RFC 8422 5.4)."""
    asked: list[Peer] = []
    own = credentials() if trusted else CA().issue(SERVER_NAME)
    client, server = connections(
        replace(CLIENT_12, verify=asked.append, verify_replaces_builtin=not trusted),
        replace(SERVER_12, credentials=impostor(own)),
    )
    assert alert_of(client, server) is A.decrypt_error
    assert asked == []


@pytest.mark.parametrize("trusted", [True, False])
def test_client_key_is_proven_before_verify_is_called(trusted: bool) -> None:
    """By the CertificateVerify (RFC 5246 7.4.8)."""
    asked: list[Peer] = []
    own = credentials() if trusted else CA().issue(SERVER_NAME)

    def select(_: CertificateRequest) -> Credentials:
        return impostor(own)  # without it the authorities of the request would matter

    client, server = connections(
        replace(CLIENT_12, credentials=None, select_credentials=select),
        replace(ASKING_12, verify=asked.append, verify_replaces_builtin=not trusted),
    )
    assert alert_of(client, server) is A.decrypt_error
    assert asked == []


# What a CertificateVerify signs


class NotedTranscript(Transcript):
    """A transcript that can be found again."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        transcripts.append(self)


transcripts: list[Transcript] = []


@pytest.fixture(autouse=True)
def noted_transcripts(monkeypatch: pytest.MonkeyPatch) -> None:
    transcripts.clear()
    monkeypatch.setattr(steps, "Transcript", NotedTranscript)


def test_client_signs_all_messages_of_the_handshake() -> None:
    signer = OtherSigner(credentials())
    own = Credentials(credentials().chain, signer)
    client, server = connections(replace(CLIENT_12, credentials=own), ASKING_12)
    assert alert_of(client, server) is A.decrypt_error
    [message] = signer.signed
    types: list[int] = []
    while message:
        types.append(message[0])
        message = message[4 + int.from_bytes(message[1:4]) :]
    assert types == [
        H.client_hello,
        H.server_hello,
        H.certificate,
        H.server_key_exchange,
        H.certificate_request,
        H.server_hello_done,
        H.certificate,
        H.client_key_exchange,
    ]


def test_messages_are_kept_only_for_a_requested_certificate() -> None:
    """Otherwise their hash is enough, from the end of the server's flight on."""
    client, server = connections(CLIENT_12, SERVER_12)
    advance(client, server)
    advance(server, client)
    assert [bool(transcript.messages) for transcript in transcripts] == [True, False]
    client.do_handshake()
    assert not any(transcript.messages for transcript in transcripts)


def test_kept_messages_are_bounded() -> None:
    """Each message comes once, and none of them is longer than its limit."""
    received = (
        H.server_hello,
        H.certificate,
        H.certificate_status,
        H.server_key_exchange,
        H.certificate_request,
        H.server_hello_done,
    )
    rules = MessageRules12()
    assert sum(rules.max_length(kind, is_protected=False) for kind in received) < 2**19


def test_messages_are_kept_until_the_certificate_verify() -> None:
    client, server = connections(ANSWERING_12, ASKING_12)
    advance(client, server)
    advance(server, client)
    assert all(transcript.messages for transcript in transcripts)
    shake_hands(client, server)
    assert not any(transcript.messages for transcript in transcripts)
    assert server.negotiated.peer_certificates


def test_messages_are_kept_until_a_client_has_refused_its_certificate() -> None:
    client, server = connections(CLIENT_12, replace(ASKING_12, client_auth="optional"))
    shake_hands(client, server)
    assert not any(transcript.messages for transcript in transcripts)
