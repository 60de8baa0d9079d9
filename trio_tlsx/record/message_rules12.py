"""The rules of TLS 1.2 for alerts and for the length of messages (RFC 5246 7.2)."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import AlertDescription, ProtocolError
from ..messages.alerts import FATAL, WARNING, decode_alert
from ..messages.handshake import MESSAGE_HEADER_LENGTH, HandshakeType
from .alerts import ReceivedAlerts
from .message_reader import MAX_CERTIFICATE_LENGTH, MessageRules
from .receive import unexpected

__all__ = ["MessageRules12", "hello_request_filter"]

#: The warnings of one connection that are ignored, such as unrecognized_name.
MAX_WARNINGS = 4

#: The HelloRequests that a client ignores in one handshake.
MAX_HELLO_REQUESTS = 4


class ReceivedAlerts12(ReceivedAlerts):
    """The alerts of a TLS 1.2 peer: warnings do not end the connection."""

    __slots__ = ("_warnings",)

    def __init__(self) -> None:
        super().__init__()
        self._warnings = 0

    def receive(self, content: bytes, *, within_message: bool) -> None:
        """Process the content of an alert record; see :class:`ReceivedAlerts`."""
        description = decode_alert(content)
        if (level := content[0]) not in (WARNING, FATAL):
            raise ProtocolError(f"the peer sent an alert of the unknown level {level}")
        closure = (AlertDescription.close_notify, AlertDescription.user_canceled)
        if level == WARNING and description not in closure:
            self._warnings += 1
            if self._warnings > MAX_WARNINGS:
                raise unexpected(f"sent more than {MAX_WARNINGS} warnings")
            return
        super().receive(content, within_message=within_message)


class MessageRules12(MessageRules):
    """The rules of TLS 1.2, where certificates are not encrypted."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self.alerts: ReceivedAlerts = ReceivedAlerts12()

    def max_length(self, handshake_type: int, *, is_protected: bool) -> int:
        """Return how long a message may be, in bytes without its header."""
        if handshake_type == HandshakeType.certificate:
            return MAX_CERTIFICATE_LENGTH
        return super().max_length(handshake_type, is_protected=is_protected)


def hello_request_filter() -> Callable[[bytes], bool]:
    """Return a function for ``Handshake.is_skipped`` that skips a few HelloRequests.

    A client ignores them in the middle of its handshake (RFC 5246 7.4.1.1).
    """
    count = 0

    def is_hello_request(message: bytes) -> bool:
        nonlocal count
        if message[0] != HandshakeType.hello_request:
            return False
        from ..messages.handshake12 import HelloRequest  # most servers send none

        HelloRequest.decode(message[MESSAGE_HEADER_LENGTH:])
        count += 1
        if count > MAX_HELLO_REQUESTS:
            raise unexpected(f"sent more than {MAX_HELLO_REQUESTS} HelloRequests")
        return True

    return is_hello_request
