"""Questions to the driver: hooks that answer later, or reject."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from dataclasses import replace
from typing import Any, cast

import pytest
from engine_pairs import (
    ASKING_SERVER,
    CLIENT,
    SERVER,
    SERVER_NAME,
    AbsentSigner,
    carry,
    connections,
    credentials,
    failure_of,
    shake_hands,
)

from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import (
    AlertDescription,
    CertificateError,
    InternalError,
    ProtocolError,
    TLSError,
)
from trio_tlsx.handshake import client13
from trio_tlsx.handshake.questions import SignatureWanted, VerificationWanted
from trio_tlsx.handshake.wants import Question, Want
from trio_tlsx.pki.credentials import Credentials, PrivateKeySigner
from trio_tlsx.pki.peer import Peer


def absent_credentials() -> tuple[Credentials, AbsentSigner]:
    signer = AbsentSigner(SignatureScheme.ecdsa_secp256r1_sha256)
    return Credentials(credentials().chain, signer), signer


def signature_of(question: SignatureWanted) -> bytes:
    signer = credentials().signer
    assert isinstance(signer, PrivateKeySigner)
    return signer.sign(question.scheme, question.message)


def failure_of_handshake(connection: Connection) -> TLSError:
    """What a handshake ends with that cannot succeed, once its output has left."""

    def go_on() -> None:
        while connection.do_handshake() is Want.WRITE:
            connection.data_to_send()

    return failure_of(go_on)


def asked(connection: Connection, kind: type[Question[Any]]) -> Any:
    """The question that the connection has once its output is flushed, and that output."""
    output = b""
    while (want := connection.do_handshake()) is Want.WRITE:
        output += connection.data_to_send()
    assert isinstance(want, kind)
    assert connection.do_handshake() is want
    return want, output


def test_server_signature_answered_later() -> None:
    own, signer = absent_credentials()
    client, server = connections(CLIENT, replace(SERVER, credentials=own))
    client.do_handshake()
    carry(client, server)
    question, output = asked(server, SignatureWanted)
    assert question.credentials is own
    assert question.scheme is SignatureScheme.ecdsa_secp256r1_sha256
    assert [question.message] == signer.asked
    assert isinstance(question.awaitable, Awaitable)
    client.receive_data(output)
    server.answer(signature_of(question))
    shake_hands(client, server)


def test_client_signature_answered_later() -> None:
    own, _ = absent_credentials()
    client, server = connections(replace(CLIENT, credentials=own), ASKING_SERVER)
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    carry(server, client)
    question, output = asked(client, SignatureWanted)
    server.receive_data(output)
    client.answer(signature_of(question))
    shake_hands(client, server)
    assert server.negotiated.peer_certificates == own.chain


def test_cancelled_question_is_asked_again() -> None:
    """A driver that was cancelled takes the awaitable away, and answers nothing."""
    own, signer = absent_credentials()
    client, server = connections(CLIENT, replace(SERVER, credentials=own))
    client.do_handshake()
    carry(client, server)
    question, output = asked(server, SignatureWanted)
    question.awaitable = None
    again, _ = asked(server, SignatureWanted)
    assert again.awaitable is not None
    assert len(signer.asked) == 2
    client.receive_data(output)
    server.answer(signature_of(again))
    shake_hands(client, server)


def test_wrong_signature_is_rejected_by_the_peer() -> None:
    own, _ = absent_credentials()
    client, server = connections(CLIENT, replace(SERVER, credentials=own))
    client.do_handshake()
    carry(client, server)
    question, output = asked(server, SignatureWanted)
    client.receive_data(output)
    question.message += b"!"
    server.answer(signature_of(question))
    server.do_handshake()
    carry(server, client)
    assert failure_of_handshake(client).alert is AlertDescription.decrypt_error


@pytest.mark.parametrize(
    ("refusal", "alert"),
    [
        (OSError("the key store is on fire"), AlertDescription.internal_error),
        (CertificateError("no", AlertDescription.access_denied), AlertDescription.access_denied),
    ],
)
def test_refused_signature_question_ends_the_handshake(
    refusal: Exception, alert: AlertDescription
) -> None:
    own, _ = absent_credentials()
    client, server = connections(CLIENT, replace(SERVER, credentials=own))
    client.do_handshake()
    carry(client, server)
    _, output = asked(server, SignatureWanted)
    client.receive_data(output)
    server.refuse(refusal)
    error = failure_of(server.do_handshake)
    assert refusal in (error, error.__cause__)
    assert "on fire" not in str(error)
    carry(server, client)
    assert failure_of_handshake(client).alert is error.alert is alert


def test_answer_without_an_open_question_raises() -> None:
    client, _ = connections()
    with pytest.raises(RuntimeError, match="no open question"):
        client.answer(b"")
    with pytest.raises(RuntimeError, match="no open question"):
        client.refuse(ValueError())


def test_failing_signer_is_an_internal_error() -> None:
    class Broken(AbsentSigner):
        def sign(self, scheme: SignatureScheme, message: bytes) -> Awaitable[bytes]:
            raise OSError("the key store is on fire")

    own = Credentials(credentials().chain, Broken(SignatureScheme.ecdsa_secp256r1_sha256))
    client, server = connections(CLIENT, replace(SERVER, credentials=own))
    client.do_handshake()
    carry(client, server)
    error = failure_of(server.do_handshake)
    assert isinstance(error, InternalError)
    assert isinstance(error.__cause__, OSError)
    carry(server, client)
    assert failure_of_handshake(client).alert is AlertDescription.internal_error


class LaterWithNothing:
    def __await__(self) -> Generator[Any, Any, None]:
        raise AssertionError("the test answers by itself")


def at_verification() -> tuple[Connection, Connection, VerificationWanted]:
    """A client whose verification takes its time, and the server that it is about."""

    def verify(_: Peer) -> LaterWithNothing:
        return LaterWithNothing()

    client, server = connections(replace(CLIENT, verify=verify))
    for one, other in [(client, server), (server, client)]:
        one.do_handshake()
        carry(one, other)
    question = cast("VerificationWanted", asked(client, VerificationWanted)[0])
    return client, server, question


def test_verification_answered_later() -> None:
    client, server, question = at_verification()
    assert question.peer.certificates == credentials().chain
    assert question.peer.server_name == SERVER_NAME
    assert not client.handshake_complete
    client.answer(None)
    shake_hands(client, server)


def test_verification_refused_later() -> None:
    client, server, _ = at_verification()
    client.refuse(CertificateError("no", AlertDescription.certificate_revoked))
    assert failure_of(client.do_handshake).alert is AlertDescription.certificate_revoked
    carry(client, server)
    assert failure_of(server.do_handshake).alert is AlertDescription.certificate_revoked


def test_verify_is_not_called_before_the_signature_is_checked() -> None:
    def verify(_: Peer) -> None:
        raise AssertionError("asked too early")

    own, _ = absent_credentials()
    client, server = connections(replace(CLIENT, verify=verify), replace(SERVER, credentials=own))
    client.do_handshake()
    carry(client, server)
    _, output = asked(server, SignatureWanted)
    client.receive_data(output)
    server.answer(b"not a signature at all")
    server.do_handshake()
    carry(server, client)
    error = failure_of_handshake(client)
    assert isinstance(error, ProtocolError)
    assert error.alert is AlertDescription.decrypt_error


class Interrupted(BaseException):
    """What is no Exception, as KeyboardInterrupt is none."""


@pytest.mark.parametrize("where", ["verification", "signature", "in between"])
def test_interrupted_handshake_cannot_go_on(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Least of all as if the hook had said yes."""

    def interrupt(*_: object) -> None:
        raise Interrupted

    client, server = connections()
    if where == "signature":
        monkeypatch.setattr(PrivateKeySigner, "sign", interrupt)
    else:
        name = "check_server" if where == "verification" else "apply_extensions"
        monkeypatch.setattr(client13, name, interrupt)
    with pytest.raises(Interrupted):
        shake_hands(client, server)
    monkeypatch.undo()
    interrupted = server if where == "signature" else client
    for _ in range(2):
        assert isinstance(failure_of(interrupted.do_handshake), InternalError)
    assert not interrupted.handshake_complete
