"""The alerts and the lengths of messages that TLS 1.2 allows."""

from __future__ import annotations

import pytest

from trio_tlsx.errors import AlertDescription, AlertReceived, ProtocolError
from trio_tlsx.messages.alerts import FATAL, WARNING
from trio_tlsx.messages.handshake import HandshakeType
from trio_tlsx.record.alerts import CloseNotifyReceived
from trio_tlsx.record.message_reader import MAX_CERTIFICATE_LENGTH
from trio_tlsx.record.message_rules12 import MAX_WARNINGS, MessageRules12

A = AlertDescription


def receive(rules: MessageRules12, level: int, description: int) -> None:
    rules.alerts.receive(bytes((level, description)), within_message=False)


def test_few_warning_alerts_are_ignored() -> None:
    """RFC 6066 3: such as unrecognized_name, after which a server goes on."""
    rules = MessageRules12()
    for _ in range(MAX_WARNINGS):
        receive(rules, WARNING, A.unrecognized_name)
    with pytest.raises(ProtocolError, match="warnings") as caught:
        receive(rules, WARNING, A.unrecognized_name)
    assert caught.value.alert == A.unexpected_message


def test_fatal_alerts_end_the_connection() -> None:
    with pytest.raises(AlertReceived):
        receive(MessageRules12(), FATAL, A.unrecognized_name)


def test_close_notify_is_no_warning_that_is_ignored() -> None:
    with pytest.raises(CloseNotifyReceived):
        receive(MessageRules12(), WARNING, A.close_notify)


@pytest.mark.parametrize("level", [0, 3, 255])
def test_unknown_levels_are_rejected(level: int) -> None:
    with pytest.raises(ProtocolError, match="level") as caught:
        receive(MessageRules12(), level, A.unrecognized_name)
    assert caught.value.alert == A.illegal_parameter


@pytest.mark.parametrize("is_protected", [True, False])
def test_certificate_length_before_and_after_encryption(is_protected: bool) -> None:
    rules = MessageRules12()
    length = rules.max_length(HandshakeType.certificate, is_protected=is_protected)
    assert length == MAX_CERTIFICATE_LENGTH
    others = rules.max_length(HandshakeType.server_hello, is_protected=is_protected)
    assert others < MAX_CERTIFICATE_LENGTH
