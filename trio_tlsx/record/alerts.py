"""Receive alerts: close_notify, user_canceled, and those that end a connection (RFC 9846 6).

``engine/connection`` sends alerts.
"""

from __future__ import annotations

from ..errors import AlertDescription
from ..messages.alerts import alert_received, decode_alert
from .receive import unexpected

__all__ = ["MAX_USER_CANCELED", "CloseNotifyReceived", "ReceivedAlerts"]

#: The user_canceled alerts of one connection that are ignored: only the close_notify or the error
#: alert after it has a meaning (RFC 9846 6.1).
MAX_USER_CANCELED = 4


class CloseNotifyReceived(Exception):
    """The peer sent ``close_notify``."""


class ReceivedAlerts:
    """The alerts of a connection's peer.

    Attributes:
        without_certificate: the server requested a certificate, and this client sent none.
    """

    __slots__ = ("_user_canceled", "without_certificate")

    def __init__(self) -> None:
        self.without_certificate: bool = False
        self._user_canceled = 0

    def receive(self, content: bytes, *, within_message: bool) -> None:
        """Process the content of an alert record; return if it has no effect.

        Args:
            within_message: whether the peer has sent only a part of a handshake message so far.

        Raises:
            CloseNotifyReceived: the peer ends its direction.
            AlertReceived: the peer ends the connection.
            ProtocolError: the peer may not send this alert here.
        """
        description = decode_alert(content)
        is_closure = description in (AlertDescription.close_notify, AlertDescription.user_canceled)
        if not is_closure:
            raise alert_received(description, without_certificate=self.without_certificate)
        if within_message:
            # RFC 9846 5.1: no other record may come between the records of one message.
            raise unexpected("ended in the middle of a handshake message")
        if description == AlertDescription.close_notify:
            raise CloseNotifyReceived
        self._user_canceled += 1
        if self._user_canceled > MAX_USER_CANCELED:
            raise unexpected(
                f"sent more than {MAX_USER_CANCELED} user_canceled alerts without a close_notify"
            )
