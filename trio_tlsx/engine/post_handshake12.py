"""Messages after a TLS 1.2 handshake: refused requests to renegotiate (RFC 5246 7.2.2)."""

from __future__ import annotations

from typing import Any

from ..errors import AlertDescription, TLSError
from ..handshake.established import Completed
from ..handshake.wants import Question
from ..messages.alerts import WARNING
from ..messages.handshake import MESSAGE_HEADER_LENGTH, ClientHello
from ..messages.handshake12 import HelloRequest
from ..record.receive import unexpected
from ..record.send import Outgoing

__all__ = ["PostHandshake12"]


class PostHandshake12:
    """Receive the messages that may come between application data.

    A peer may ask once to renegotiate: a server with a HelloRequest, a client with a ClientHello.
    The answer is the warning ``no_renegotiation``. After our ``close_notify`` there is no answer,
    and the request ends the connection.
    """

    __slots__ = ("_outgoing", "_refused", "_request_type")

    def __init__(self, outgoing: Outgoing, server_side: bool) -> None:
        self._outgoing = outgoing
        self._refused = False
        self._request_type = ClientHello if server_side else HelloRequest

    def start(self, completed: Completed) -> None:
        """Accept messages from here on: the handshake is complete."""

    def send_before_data(self) -> TLSError | None:
        """Return the error that ends the connection if its keys have reached their limit."""
        sealer = self._outgoing.sealer
        records_left = 0 if sealer is None else sealer.records_left
        self._outgoing.direct_limit = self._outgoing.data_records + records_left
        if records_left:
            return None
        return TLSError(
            "this connection has sent as much as its cipher suite allows, and TLS 1.2 cannot "
            "update keys: make a new connection"
        )

    def update_keys(self, *, request_peer: bool) -> None:
        """Raise an error: TLS 1.2 cannot update keys."""
        raise RuntimeError("TLS 1.2 has no KeyUpdate: make a new connection")

    def send_tickets(self) -> None:
        """Do nothing: a server sends its ticket in the handshake."""

    def receive(self, message: bytes, *, may_answer: bool) -> Question[Any] | None:
        """Refuse a request to renegotiate.

        Args:
            message: the message, with its header.
            may_answer: whether this side may still send.

        Raises:
            ProtocolError: it is no such request, it is the second one, or it cannot be answered.
        """
        if message[0] != self._request_type.handshake_type:
            raise unexpected("sent a handshake message after the handshake")
        self._request_type.decode(message[MESSAGE_HEADER_LENGTH:])
        if self._refused:
            raise unexpected("asked again to renegotiate, which was refused")
        if not may_answer:
            # Nothing can follow our close_notify, so the peer would wait for an answer in vain.
            raise unexpected("asked to renegotiate after this side sent close_notify")
        self._refused = True
        self._outgoing.alert(WARNING, AlertDescription.no_renegotiation_RESERVED)
        return None
