"""Connections of TLS 1.2: renegotiation, the limit of keys, the end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_pairs import (
    CLIENT,
    SERVER,
    advance,
    carry,
    connections,
    established,
    failure_of,
    next_want,
    outgoing,
    plain,
    read_all,
    sealed,
    send,
    shake_hands,
)
from hellos import exchange, first_hello, flight
from pairs12 import BOTH, CLIENT_12, SERVER_12, alert_of, changed_hello

from trio_tlsx.config.server import ServerConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.errors import (
    AlertReceived,
    HandshakeShutdown,
    InternalError,
    NegotiationError,
)
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.alerts import WARNING
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import encode_message
from trio_tlsx.messages.handshake12 import HelloRequest
from trio_tlsx.messages.info import ClientHello
from trio_tlsx.record.protection import ContentType

LABEL = "EXPERIMENTAL trio-tlsx test"
HELLO_REQUEST = encode_message(HelloRequest())


@pytest.mark.parametrize("length", [1, 2**15])
def test_data_of_the_server_follows_its_finished(length: int) -> None:
    """Even if the Finished has not left yet when the first data is written."""
    client, server = connections(CLIENT_12, SERVER_12)
    flight(client, server)
    flight(server, client)
    flight(client, server)
    server.do_handshake()
    send(server, client, bytes(length))
    client.do_handshake()
    assert read_all(client) == bytes(length)


# Renegotiation


def test_a_server_without_secure_renegotiation_is_refused_unless_allowed() -> None:
    """RFC 5746 3.4."""
    with changed_hello({E.renegotiation_info: None}):  # so that the server does not answer it
        client, server = connections(CLIENT_12, SERVER_12)
        with pytest.raises(NegotiationError, match="require_secure_renegotiation=False"):
            shake_hands(client, server)
        exchange(*established(replace(CLIENT_12, require_secure_renegotiation=False), SERVER_12))


def test_a_client_may_signal_it_with_a_cipher_suite() -> None:
    """RFC 5746 3.6: a server answers the SCSV too, and accepts clients with neither."""
    suites = (*CLIENT_12.parameters.tls12.suite_table, 0x00FF)
    with changed_hello({E.renegotiation_info: None}, cipher_suites=suites):
        client, server = connections(CLIENT_12, SERVER_12)
        # Our own client did not offer the extension, so it does not accept the answer.
        assert alert_of(client, server) is A.unsupported_extension


def test_hello_requests_in_the_handshake_are_ignored() -> None:
    """RFC 5246 7.4.1.1."""
    client, server = connections(CLIENT_12, SERVER_12)
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    client.receive_data(plain(HELLO_REQUEST) + server.data_to_send())
    shake_hands(client, server)
    assert client.negotiated.version == "TLSv1.2"
    exchange(client, server)
    exchange(client, server)


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_request_to_renegotiate_is_refused_once(role: str) -> None:
    """The first request gets the warning no_renegotiation, the second ends the connection."""
    client, server = established(CLIENT_12, SERVER_12)
    ours, theirs = (client, server) if role == "client" else (server, client)
    request = HELLO_REQUEST if role == "client" else encode_message(first_hello(CLIENT_12))
    ours.receive_data(sealed(theirs, request, ContentType.handshake))
    assert ours.read() is Want.READ
    exchange(client, server)  # the warning has no effect on the peer, which did not ask
    ours.receive_data(sealed(theirs, request, ContentType.handshake))
    assert failure_of(ours.read).alert is A.unexpected_message


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_request_to_renegotiate_after_close_notify_ends_the_connection(role: str) -> None:
    """It can no longer be refused; the peer would wait for an answer."""
    client, server = established(CLIENT_12, SERVER_12)
    ours, theirs = (client, server) if role == "client" else (server, client)
    request = HELLO_REQUEST if role == "client" else encode_message(first_hello(CLIENT_12))
    ours.shutdown()
    ours.data_to_send()
    send(theirs, ours, b"data")
    assert ours.read() == b"data"
    ours.receive_data(sealed(theirs, request, ContentType.handshake))
    assert "renegotiate after" in str(failure_of(ours.read))
    assert ours.data_to_send() == b""


def test_the_answer_to_a_request_is_the_warning() -> None:
    client, server = established(CLIENT_12, SERVER_12)
    client.receive_data(sealed(server, HELLO_REQUEST, ContentType.handshake))
    client.read()
    sent: list[bytes] = []
    alert = bytes((WARNING, A.no_renegotiation_RESERVED))
    opener = server._incoming._opener  # pyright: ignore[reportPrivateUsage]
    output = client.data_to_send()
    assert opener is not None
    sent.append(opener.open(memoryview(output)[:5], memoryview(output)[5:]))
    assert sent == [alert]
    assert output[0] == ContentType.alert


# Keys and the end


def test_keys_cannot_be_updated() -> None:
    client, _ = established(CLIENT_12, SERVER_12)
    with pytest.raises(RuntimeError, match="no KeyUpdate"):
        client.update_keys()


def test_a_connection_ends_in_an_orderly_way_before_the_limit_of_its_keys() -> None:
    client, server = established(CLIENT_12, SERVER_12)
    exchange(client, server)
    sealer = outgoing(client).sealer
    assert sealer is not None
    sealer.sequence_number = opened = 2**24 + 2**23
    opener = server._incoming._opener  # pyright: ignore[reportPrivateUsage]
    assert opener is not None
    opener.sequence_number = opened
    assert "make a new connection" in str(failure_of(lambda: client.write(memoryview(b"x"))))
    carry(client, server)
    assert server.read() == b""  # close_notify
    assert "make a new connection" in str(failure_of(client.read))


def after_flights(count: int) -> tuple[Connection, Connection]:
    """Return a client and a server after so many flights of a full handshake, which has four."""
    pair = connections(CLIENT_12, SERVER_12)
    for number in range(count):
        advance(pair[number % 2], pair[1 - number % 2])
    return pair


@pytest.mark.parametrize(("count", "side"), [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)])
def test_cancel_handshake_sends_user_canceled_and_close_notify(count: int, side: int) -> None:
    pair = after_flights(count)
    ours, theirs = pair[side], pair[1 - side]
    ours.cancel_handshake()
    assert failure_of(ours.do_handshake).alert is A.user_canceled
    carry(ours, theirs)
    while (want := next_want(theirs)) is Want.WRITE:
        theirs.data_to_send()
    assert isinstance(want, HandshakeShutdown)


@pytest.mark.parametrize("has_left", [False, True])
def test_cancel_handshake_after_the_clients_finished_sends_a_fatal_alert(has_left: bool) -> None:
    """The server's handshake may be complete: close_notify would end an empty request."""
    client, server = after_flights(2)
    assert client.do_handshake() is Want.WRITE
    if has_left:
        carry(client, server)
    client.cancel_handshake()
    assert isinstance(failure_of(client.do_handshake), InternalError)
    carry(client, server)
    assert server.do_handshake() is Want.WRITE
    assert server.handshake_complete
    assert failure_of(server.read).alert is A.internal_error


def test_cancel_handshake_after_the_finished_of_a_resumption_sends_a_fatal_alert() -> None:
    """The server's Finished is the first then."""
    config = replace(CLIENT_12, resumption=True)
    established(config, SERVER_12)
    client, server = connections(config, SERVER_12)
    advance(client, server)
    advance(server, client)
    server.cancel_handshake()
    carry(server, client)
    assert client.do_handshake() is Want.WRITE
    assert client.negotiated.resumed
    assert failure_of(client.read).alert is A.internal_error


def test_half_close_in_both_directions() -> None:
    client, server = established(CLIENT_12, SERVER_12)
    client.shutdown()
    carry(client, server)
    assert server.read() == b""
    send(server, client, b"still sent")
    assert read_all(client) == b"still sent"


def test_a_connection_of_both_versions_reads_alerts_by_the_rules_of_its_own() -> None:
    """A warning is an error in TLS 1.3, even if the client offered TLS 1.2 too."""
    warning = bytes((WARNING, A.unrecognized_name))
    for versions in (BOTH[1:], BOTH):
        client, server = established(
            replace(CLIENT_12, versions=versions), replace(SERVER_12, versions=versions)
        )
        client.receive_data(sealed(server, warning, ContentType.alert))
        if client.negotiated.version == "TLSv1.2":
            assert client.read() is Want.READ
        else:
            assert isinstance(failure_of(client.read), AlertReceived)


def test_another_configuration_with_a_newer_version_reads_alerts_by_its_rules() -> None:
    """The ClientHello was read by the rules of TLS 1.2 before."""

    def select(_: ClientHello) -> ServerConfig:
        return replace(SERVER_12, versions=BOTH)

    first = ServerConfig(versions=BOTH[1:], select_credentials=select)
    client, server = established(replace(CLIENT_12, versions=BOTH), first)
    warning = bytes((WARNING, A.unrecognized_name))
    server.receive_data(sealed(client, warning, ContentType.alert))
    assert isinstance(failure_of(server.read), AlertReceived)


def test_both_versions_are_the_default() -> None:
    assert CLIENT.versions == SERVER.versions == BOTH
