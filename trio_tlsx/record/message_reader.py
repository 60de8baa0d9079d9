"""Reassemble handshake messages from records, and limit their length (RFC 9846 5.1)."""

from __future__ import annotations

from ..errors import AlertDescription, HandshakeShutdown, ProtocolError, Truncated
from ..messages.handshake import MESSAGE_HEADER_LENGTH, HandshakeType
from .alerts import ReceivedAlerts
from .interface import RecordOpener
from .protection import ContentType
from .receive import SKIPPED, Incoming, unexpected, unexpected_record

__all__ = ["MessageReader", "MessageRules", "wrong_finished_length"]

#: The longest handshake messages that are accepted, in bytes without their header. Only hellos
#: are unencrypted, and any peer can send one; the sender of a later message has done a key
#: exchange. A ClientHello may contain many tickets and large key shares.
MAX_CLIENT_HELLO_LENGTH = 2**16
MAX_SERVER_HELLO_LENGTH = 2**15  # a HelloRetryRequest is one too
MAX_CERTIFICATE_LENGTH = 2**17
MAX_MESSAGE_LENGTH = 2**16
MAX_FINISHED_LENGTH = 64  # RFC 9846 4.5.3: a hash, and no hash here is longer

#: The most records for one handshake message. The longest message needs 2,082 of the smallest
#: records that a ``record_size_limit`` of ours may request. A hello may come in more than that:
#: BoringSSL's runner sends it in records of one octet, with a ticket that holds certificates.
MAX_RECORDS_PER_MESSAGE = 2**13

#: Records and messages after which the engine lets its driver run other tasks.
STEPS_BETWEEN_PAUSES = 64


class MessageRules:
    """The rules of TLS 1.3 for alerts and for the length of messages; other versions differ."""

    __slots__ = ("alerts",)

    def __init__(self) -> None:
        self.alerts: ReceivedAlerts = ReceivedAlerts()

    def max_length(self, handshake_type: int, *, is_protected: bool) -> int:
        """Return how long a message may be, in bytes without its header."""
        if not is_protected:
            is_client_hello = handshake_type == HandshakeType.client_hello
            return MAX_CLIENT_HELLO_LENGTH if is_client_hello else MAX_SERVER_HELLO_LENGTH
        if handshake_type == HandshakeType.finished:
            return MAX_FINISHED_LENGTH
        if handshake_type in (HandshakeType.certificate, HandshakeType.compressed_certificate):
            return MAX_CERTIFICATE_LENGTH
        return MAX_MESSAGE_LENGTH


class MessageReader:
    """Read handshake messages, and the alerts between them.

    Attributes:
        rules: the rules of the version of TLS. Until it is selected, those of the offer.
    """

    __slots__ = ("_buffer", "_incoming", "_position", "_records", "_steps", "rules")

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        # The unread octets are from _position on. Messages are cut out of their record; only the
        # octets of a message that spans records are collected.
        self._buffer: bytes | bytearray = b""
        self._position = 0
        self._records = 0  # records of the incomplete message so far
        self._steps = 0  # records and messages since the last pause
        self.rules: MessageRules = MessageRules()

    @property
    def is_within_message(self) -> bool:
        return bool(self._buffer)

    def install(self, opener: RecordOpener) -> None:
        """Expect the next record under new keys."""
        if self._buffer:
            self.check_boundary()
        self._incoming.install(opener)

    def check_boundary(self) -> None:
        """Check that no message spans a change of keys or of the sender (RFC 9846 5.1)."""
        if self._buffer:
            raise unexpected("sent handshake data after a message that must end its record")

    def is_pause_due(self) -> bool:
        """Return whether other tasks should run now; if so, restart the count."""
        if self._steps < STEPS_BETWEEN_PAUSES:
            return False
        self._steps = 0
        return True

    def read_record(self) -> bool:
        """Process one record; return False if it is not complete.

        Raises:
            CloseNotifyReceived: the peer has closed its direction.
            AlertReceived: the peer has ended the connection with an alert.
            ProtocolError: the record is not allowed here.
            Truncated, HandshakeShutdown: the transport has ended.
        """
        record = self._incoming.next_record()
        if record is None:
            if self._incoming.at_eof:
                raise self._end_of_transport()
            return False
        self._steps += 1
        if record is SKIPPED:
            return True
        if record.content_type == ContentType.handshake:
            self._records += 1
            if self._records > MAX_RECORDS_PER_MESSAGE:
                raise unexpected(
                    f"sent a handshake message in more than {MAX_RECORDS_PER_MESSAGE} records"
                )
            if not self._buffer:
                self._buffer = record.content
            else:
                self._append(record.content)
        elif record.content_type == ContentType.alert:
            self.rules.alerts.receive(record.content, within_message=bool(self._buffer))
        else:
            raise unexpected_record(record.content_type)
        return True

    def _append(self, content: bytes) -> None:
        """Append the next piece of a message that spans records."""
        if isinstance(self._buffer, bytes):
            self._buffer = bytearray(self._buffer)
        del self._buffer[: self._position]
        self._buffer += content
        self._position = 0

    def take_message(self) -> bytes | None:
        """Return the next message of the records so far, with its header of four octets.

        Returns None if the message is not complete.
        """
        buffer, start = self._buffer, self._position
        if not buffer:
            return None
        available = len(buffer) - start
        if available < MESSAGE_HEADER_LENGTH:
            return None
        handshake_type = buffer[start]
        length = buffer[start + 1] << 16 | buffer[start + 2] << 8 | buffer[start + 3]
        if length > MAX_FINISHED_LENGTH:  # the least of all limits
            self._check_length(handshake_type, length)
        if available < MESSAGE_HEADER_LENGTH + length:
            return None
        self._records = 0
        self._steps += 1
        if available == MESSAGE_HEADER_LENGTH + length:
            self._buffer, self._position = b"", 0
            return bytes(buffer[start:])
        self._position = start + MESSAGE_HEADER_LENGTH + length
        return bytes(buffer[start : self._position])

    def _check_length(self, handshake_type: int, length: int) -> None:
        is_protected = self._incoming.is_protected
        limit = self.rules.max_length(handshake_type, is_protected=is_protected)
        if length > limit:
            if handshake_type == HandshakeType.finished and is_protected:
                raise wrong_finished_length(length)
            raise ProtocolError(
                f"the peer announced a handshake message of {length} bytes; "
                f"at most {limit} are allowed"
            )

    def _end_of_transport(self) -> Truncated | HandshakeShutdown:
        if not self._incoming.received_anything:
            return HandshakeShutdown("the peer closed the connection before it sent anything")
        return Truncated("the connection ended without close_notify: data may be missing")


def wrong_finished_length(length: int) -> ProtocolError:
    """Return the error for a Finished that is not one hash long (RFC 9846 4.5.3, 6.2)."""
    return ProtocolError(
        f"the peer's Finished has the wrong length, {length} bytes", AlertDescription.decode_error
    )
