"""Alerts that end a connection, and alerts that end one direction (RFC 9846 6)."""

from __future__ import annotations

import pytest
from engine_pairs import (
    alert_of,
    carry,
    connections,
    established,
    failure_of,
    outgoing,
    plain,
    read_all,
    sealed,
    send,
)

from trio_tlsx.errors import AlertDescription, AlertReceived, HandshakeShutdown
from trio_tlsx.messages.alerts import FATAL, WARNING
from trio_tlsx.record.alerts import MAX_USER_CANCELED
from trio_tlsx.record.protection import ContentType

A, C = AlertDescription, ContentType


@pytest.mark.parametrize("level", [WARNING, FATAL])
@pytest.mark.parametrize(
    "description",
    [a for a in A if a not in (A.close_notify, A.user_canceled)],
    ids=lambda a: a.name,
)
def test_every_alert_ends_the_connection(description: AlertDescription, level: int) -> None:
    """All but two end the connection, whatever level they claim (RFC 9846 6)."""
    client, server = established()
    outgoing(client).alert(level, description)
    carry(client, server)
    error = failure_of(server.read)
    assert isinstance(error, AlertReceived)
    assert (error.alert, error.refused_by) == (description, "peer")
    assert description.name in str(error)
    assert not server.data_to_send()


def test_unknown_alert_ends_the_connection() -> None:
    client, server = established()
    outgoing(client).alert(WARNING, 200)
    carry(client, server)
    error = failure_of(server.read)
    assert isinstance(error, AlertReceived)
    assert error.alert is None
    assert "200" in str(error)


def test_close_notify_of_level_fatal_is_a_clean_end() -> None:
    client, server = established()
    outgoing(client).alert(FATAL, A.close_notify)
    carry(client, server)
    assert server.read() == b""


def test_user_canceled_and_close_notify_after_the_handshake_are_a_clean_end() -> None:
    """A JDK closes every connection so, also before it has sent any data."""
    for one, other in (established(), established()[::-1]):
        outgoing(one).alert(WARNING, A.user_canceled)
        one.shutdown()
        carry(one, other)
        assert other.read() == b""
        assert other.read() == b""
        send(other, one, b"the other direction goes on")
        assert read_all(one) == b"the other direction goes on"


def test_plaintext_alert_of_a_client_without_keys_is_accepted() -> None:
    """Until the first record that it can open: from then on the client has keys."""
    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    flight = server.data_to_send()
    server.receive_data(plain(bytes((FATAL, A.unknown_ca)), C.alert))
    assert failure_of(server.do_handshake).alert is A.unknown_ca
    assert flight


def test_user_canceled_alerts_in_a_row_are_limited() -> None:
    user_canceled = plain(bytes((1, A.user_canceled)), ContentType.alert)
    close_notify = plain(bytes((1, A.close_notify)), ContentType.alert)
    _, server = connections()
    server.receive_data(user_canceled * MAX_USER_CANCELED + close_notify)
    assert isinstance(failure_of(server.do_handshake), HandshakeShutdown)
    _, server = connections()
    server.receive_data(user_canceled * (MAX_USER_CANCELED + 1) + close_notify)
    assert alert_of(server.do_handshake) is A.unexpected_message


def test_application_data_after_user_canceled_is_accepted() -> None:
    # RFC 9846 6.1: user_canceled says nothing by itself.
    client, server = established()
    for _ in range(2):
        outgoing(server).alert(WARNING, AlertDescription.user_canceled)
        send(server, client, b"still here")
        assert read_all(client) == b"still here"


@pytest.mark.parametrize("alert", [AlertDescription.close_notify, AlertDescription.user_canceled])
def test_alert_inside_a_handshake_message_is_rejected(alert: AlertDescription) -> None:
    # RFC 9846 5.1
    client, server = established()
    client.receive_data(sealed(server, b"\x04\0\0\x20", ContentType.handshake))
    client.receive_data(sealed(server, bytes((1, alert)), ContentType.alert))
    assert failure_of(client.read).alert is AlertDescription.unexpected_message
