"""The contract of ``do_handshake()``, as wants.py states it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
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
    established,
    failure_of,
    plain,
    read_all,
    sealed,
    send,
    shake_hands,
)

from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    HandshakeShutdown,
    InternalError,
    ProtocolError,
    TLSError,
    Truncated,
)
from trio_tlsx.handshake import client13
from trio_tlsx.handshake.questions import SignatureWanted, VerificationWanted
from trio_tlsx.handshake.wants import Question, Want
from trio_tlsx.pki.credentials import Credentials, PrivateKeySigner
from trio_tlsx.pki.peer import Peer
from trio_tlsx.record.protection import ContentType
from trio_tlsx.testing import CA


def absent_credentials() -> tuple[Credentials, AbsentSigner]:
    signer = AbsentSigner(SignatureScheme.ecdsa_secp256r1_sha256)
    return Credentials(credentials().chain, signer), signer


def signature_of(question: SignatureWanted) -> bytes:
    signer = credentials().signer
    assert isinstance(signer, PrivateKeySigner)
    return signer.sign(question.scheme, question.message)


# What it returns


def test_the_client_speaks_first() -> None:
    client, server = connections()
    assert server.do_handshake() is Want.READ
    assert client.do_handshake() is Want.WRITE
    assert not client.handshake_complete
    assert not server.handshake_complete


@pytest.mark.parametrize("server_config", [SERVER, replace(SERVER, require_cookie=True)])
def test_output_leaves_before_input_is_wanted(server_config: Any) -> None:
    """However little of it leaves at a time."""
    pair = connections(CLIENT, server_config)
    waits = 0
    for _ in range(5):
        for one, other in (pair, reversed(pair)):
            want = one.do_handshake()
            while output := one.pending_output():
                assert one.do_handshake() is want is Want.WRITE
                head = bytes(output[:7])
                one.bytes_sent(len(head))
                other.receive_data(head)
                # The other side has not got all of it yet, or is to answer.
                waits += other.do_handshake() is Want.READ
    assert waits > 10
    assert [one.do_handshake() for one in pair] == [Want.NOTHING, Want.NOTHING]


def test_calling_again_asks_for_the_same() -> None:
    client, server = connections()
    assert client.do_handshake() is client.do_handshake() is Want.WRITE
    carry(client, server)
    assert client.do_handshake() is client.do_handshake() is Want.READ


def test_the_client_may_write_before_its_finished_has_left() -> None:
    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    carry(server, client)
    assert client.do_handshake() is Want.WRITE
    assert client.handshake_complete
    assert client.write(memoryview(b"early")) == 5
    assert client.do_handshake() is Want.WRITE
    carry(client, server)
    assert client.do_handshake() is Want.NOTHING
    assert server.do_handshake() is Want.NOTHING
    assert read_all(server) == b"early"


def test_the_server_may_not_write_before_it_knows_the_client() -> None:
    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    with pytest.raises(RuntimeError, match="not complete"):
        server.write(memoryview(b"too early"))


def test_once_finished_it_does_nothing() -> None:
    client, server = established()
    send(client, server, b"ping")
    for _ in range(3):
        assert server.do_handshake() is Want.NOTHING
    assert not server.data_to_send()
    assert read_all(server) == b"ping"


def test_before_it_is_finished_nothing_is_settled() -> None:
    client, _ = connections()
    for call in (lambda: client.negotiated, client.read, lambda: client.write(memoryview(b"x"))):
        with pytest.raises(RuntimeError, match="not complete"):
            call()


# How it fails


def failure_of_handshake(connection: Connection) -> TLSError:
    """What a handshake ends with that cannot succeed, once its output has left."""

    def go_on() -> None:
        while connection.do_handshake() is Want.WRITE:
            connection.data_to_send()

    return failure_of(go_on)


def refusals() -> list[Any]:
    stranger = CA()

    def nonsense(client: Connection, server: Connection) -> Connection:
        server.receive_data(b"GET / HTTP/1.1\r\n\r\n")
        return server

    def untrusted(client: Connection, server: Connection) -> Connection:
        client.do_handshake()
        carry(client, server)
        server.do_handshake()
        carry(server, client)
        return client

    def altered(client: Connection, server: Connection) -> Connection:
        client.do_handshake()
        carry(client, server)
        server.do_handshake()
        flight = bytearray(server.data_to_send())
        flight[-1] ^= 1
        client.receive_data(flight)
        return client

    untrusting = replace(CLIENT, trust=stranger.trust)
    return [
        pytest.param(nonsense, CLIENT, AlertDescription.unexpected_message, id="nonsense"),
        pytest.param(untrusted, untrusting, AlertDescription.unknown_ca, id="untrusted"),
        pytest.param(altered, CLIENT, AlertDescription.bad_record_mac, id="altered"),
    ]


@pytest.mark.parametrize(("provoke", "client_config", "alert"), refusals())
def test_the_alert_is_in_the_output_before_the_error_is_raised(
    provoke: Callable[[Connection, Connection], Connection],
    client_config: Any,
    alert: AlertDescription,
) -> None:
    client, server = connections(client_config)
    one = provoke(client, server)
    other = server if one is client else client
    error = failure_of(one.do_handshake)
    assert error.refused_by == "us"
    assert error.alert is alert
    assert one.pending_output()
    if other.do_handshake() is Want.WRITE:
        other.data_to_send()
    carry(one, other)
    seen = failure_of(other.do_handshake)
    assert isinstance(seen, AlertReceived)
    assert seen.refused_by == "peer"
    assert seen.alert is alert
    # One alert is enough, and an alert is not answered.
    assert not other.data_to_send()
    for connection, failure in ((one, error), (other, seen)):
        assert failure_of(connection.do_handshake) is failure
        assert not connection.data_to_send()


def test_after_the_handshake_too() -> None:
    client, server = established()
    record = bytearray(sealed(client, b"data"))
    record[-1] ^= 1
    server.receive_data(record)
    error = failure_of(server.read)
    carry(server, client)
    seen = failure_of(client.read)
    assert error.alert is seen.alert is AlertDescription.bad_record_mac
    for call in (server.read, server.do_handshake, lambda: server.write(memoryview(b"x"))):
        assert failure_of(call) is error


def test_data_before_a_fault_is_not_lost() -> None:
    client, server = established()
    good = sealed(client, b"good" * 1000)
    server.receive_data(good * 2)  # sealed once, so that its second copy cannot be opened
    assert read_until_failure(server) == b"good" * 1000


def read_until_failure(connection: Connection) -> bytes:
    data = bytearray()
    try:
        while isinstance(piece := connection.read(), bytes):
            data += piece
    except TLSError:
        return bytes(data)
    raise AssertionError("it did not fail")


def test_an_end_before_any_byte_is_no_failure_of_the_protocol() -> None:
    for connection in connections():
        connection.do_handshake()
        connection.data_to_send()
        connection.receive_data(b"")
        assert isinstance(failure_of(connection.do_handshake), HandshakeShutdown)
        assert not connection.data_to_send()


def test_an_end_in_mid_handshake_is() -> None:
    client, server = connections()
    client.do_handshake()
    server.receive_data(client.data_to_send()[:-1])
    server.receive_data(b"")
    error = failure_of(server.do_handshake)
    assert isinstance(error, Truncated)
    assert error.refused_by is None
    assert failure_of(server.do_handshake) is error


def test_an_end_without_close_notify_ends_both_directions() -> None:
    _client, server = established()
    server.write(memoryview(b"nobody will read this"))
    server.receive_data(b"")
    for _ in range(2):
        assert isinstance(failure_of(server.read), Truncated)
    assert not server.data_to_send()
    with pytest.raises(Truncated):
        server.write(memoryview(b"nor this"))


# close_notify


def test_close_notify_ends_one_direction() -> None:
    client, server = established()
    client.shutdown()
    client.shutdown()
    carry(client, server)
    assert server.read() == server.read() == b""
    with pytest.raises(RuntimeError, match="close_notify"):
        client.write(memoryview(b"x"))
    send(server, client, b"answer")
    assert read_all(client) == b"answer"
    server.shutdown()
    carry(server, client)
    assert client.read() == b""


def test_what_follows_close_notify_is_given_up_as_it_came() -> None:
    client, server = established()
    client.shutdown()
    server.receive_data(client.data_to_send() + b"another protocol")
    assert server.read() == b""
    assert server.unread_ciphertext() == b"another protocol"
    assert server.unread_ciphertext() == b""


def test_close_notify_in_mid_handshake_is_a_shutdown() -> None:
    _, server = connections()
    server.receive_data(plain(b"\1\0", ContentType.alert))
    error = failure_of(server.do_handshake)
    assert isinstance(error, HandshakeShutdown)
    assert error.alert is AlertDescription.close_notify
    assert server.data_to_send() == plain(b"\1\0", ContentType.alert)


# cancel_handshake


def turns_before(count: int) -> tuple[Connection, Connection]:
    """A client and a server after so many flights: 0, 1 or 2 of 3."""
    client, server = connections()
    for one, other in [(client, server), (server, client)][:count]:
        one.do_handshake()
        carry(one, other)
    return client, server


@pytest.mark.parametrize(("count", "side"), [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)])
def test_a_handshake_is_given_up_in_good_order(count: int, side: int) -> None:
    pair = turns_before(count)
    one, other = pair[side], pair[1 - side]
    one.cancel_handshake()
    error = failure_of(one.do_handshake)
    assert error.refused_by == "us"
    assert error.alert is AlertDescription.user_canceled
    carry(one, other)
    while (want := next_want(other)) is Want.WRITE:
        other.data_to_send()
    assert isinstance(want, HandshakeShutdown)
    one.cancel_handshake()
    assert not one.data_to_send()


def next_want(connection: Connection) -> object:
    """What it wants of its driver; a client that has finished wants to read."""
    try:
        want = connection.do_handshake()
        return connection.read() if want is Want.NOTHING else want
    except TLSError as error:
        return error


def test_a_server_whose_finished_has_left_gives_up_with_a_fatal_alert() -> None:
    """Its client's handshake may be complete: close_notify would be the end of an empty answer."""
    client, server = turns_before(2)
    server.cancel_handshake()
    error = failure_of(server.do_handshake)
    assert isinstance(error, InternalError)
    assert error.alert is AlertDescription.internal_error
    carry(server, client)
    assert client.do_handshake() is Want.WRITE
    client.data_to_send()
    assert client.do_handshake() is Want.NOTHING
    refusal = failure_of(client.read)
    assert isinstance(refusal, AlertReceived)
    assert refusal.alert is AlertDescription.internal_error
    server.cancel_handshake()
    assert not server.data_to_send()


def test_a_server_whose_finished_is_only_queued_gives_up_with_a_fatal_alert() -> None:
    client, server = turns_before(1)
    assert server.do_handshake() is Want.WRITE
    server.cancel_handshake()
    carry(server, client)
    assert client.do_handshake() is Want.WRITE
    assert isinstance(failure_of(client.read), AlertReceived)


def test_a_finished_handshake_cannot_be_given_up() -> None:
    client, server = established()
    client.cancel_handshake()
    assert not client.data_to_send()
    send(client, server, b"on")
    assert read_all(server) == b"on"


# Questions


def asked(connection: Connection, kind: type[Question[Any]]) -> Any:
    """The question that the connection has once its output is flushed, and that output."""
    output = b""
    while (want := connection.do_handshake()) is Want.WRITE:
        output += connection.data_to_send()
    assert isinstance(want, kind)
    assert connection.do_handshake() is want
    return want, output


def test_a_signature_may_come_later() -> None:
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


def test_a_client_may_sign_later_too() -> None:
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


def test_a_question_is_put_again_where_nobody_took_care_of_the_first() -> None:
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


def test_a_wrong_signature_is_refused_by_the_peer() -> None:
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
def test_a_question_may_be_refused(refusal: Exception, alert: AlertDescription) -> None:
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


def test_nobody_answers_what_was_not_asked() -> None:
    client, _ = connections()
    with pytest.raises(RuntimeError, match="no open question"):
        client.answer(b"")
    with pytest.raises(RuntimeError, match="no open question"):
        client.refuse(ValueError())


def test_a_hook_that_fails_is_our_fault() -> None:
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


def test_the_verdict_on_the_peer_may_come_later() -> None:
    client, server, question = at_verification()
    assert question.peer.certificates == credentials().chain
    assert question.peer.server_name == SERVER_NAME
    assert not client.handshake_complete
    client.answer(None)
    shake_hands(client, server)


def test_the_verdict_may_be_no() -> None:
    client, server, _ = at_verification()
    client.refuse(CertificateError("no", AlertDescription.certificate_revoked))
    assert failure_of(client.do_handshake).alert is AlertDescription.certificate_revoked
    carry(client, server)
    assert failure_of(server.do_handshake).alert is AlertDescription.certificate_revoked


def test_nobody_is_asked_about_a_peer_that_does_not_hold_its_key() -> None:
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
def test_what_was_interrupted_does_not_go_on(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
