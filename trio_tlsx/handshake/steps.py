"""The steps of both handshakes: expect, send, ask, change keys."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from ..crypto.cipher_suites import CipherSuite
from ..crypto.key_schedule import LogSecret
from ..crypto.signatures import SignatureScheme
from ..crypto.transcript import Transcript
from ..errors import AlertDescription, ProtocolError
from ..messages.codec import take_bytes
from ..messages.extensions import decode_uint16
from ..messages.handshake import MESSAGE_HEADER_LENGTH, HandshakeType, Message, encode_message
from ..record.buffers import BUFFER_LENGTH
from ..record.interface import RecordOpener, RecordSealer
from ..record.message_reader import MessageReader, MessageRules
from ..record.protection import MIN_RECORD_SIZE_LIMIT
from ..record.receive import Incoming
from ..record.send import Outgoing
from .wants import Question, Want

__all__ = ["EarlyData", "Handshake", "Observer", "Steps"]

M = TypeVar("M", bound=Message)
T = TypeVar("T")

#: A piece of a handshake: it yields what it wants, is sent the answer, and returns its result.
Steps: TypeAlias = Generator[Want | Question[Any], Any, T]

#: Receives each handshake message: its direction, its name, its length in bytes.
Observer: TypeAlias = Callable[[Literal["sent", "received"], str, int], None]


class EarlyData:
    """Early data (RFC 9846 2.3) that a server accepted; ``early_data.receive`` bounds it.

    Attributes:
        wanted: somebody will read it.
        may_be_answered: this server has taken some, and sent its Finished: it may send data
            before the client's has come (2.3).
        exporter: on either side the early exporter's secret (7.5), and of which suite it is; None
            where there is no early data, or none that was accepted.
    """

    __slots__ = ("_unread", "exporter", "may_be_answered", "wanted")

    def __init__(self) -> None:
        self.wanted = False
        self.may_be_answered = False
        self.exporter: tuple[CipherSuite, bytes] | None = None
        self._unread = bytearray()

    def put(self, data: bytes) -> None:
        self._unread += data

    def take(self, max_bytes: int | None) -> bytes:
        """Return unread early data, at most ``max_bytes``."""
        return take_bytes(self._unread, max_bytes)


class Handshake:
    """One side of a handshake in progress; dropped when it is over.

    Attributes:
        incoming, outgoing: the record layer.
        transcript: everything sent and expected so far.
        early_data: what outlives the handshake of early data.
        key_log: what logs the secrets, for the key schedule.
        signed_with: the scheme of our own signature; None if there was none.
        is_skipped: returns whether to ignore a message that came; None to ignore none.
    """

    def __init__(
        self,
        incoming: Incoming,
        outgoing: Outgoing,
        reader: MessageReader,
        observer: Observer | None,
    ) -> None:
        self.incoming = incoming
        self.outgoing = outgoing
        self.transcript = Transcript()
        self.early_data = EarlyData()
        self.key_log: LogSecret | None = None
        self.signed_with: SignatureScheme | None = None
        self.is_skipped: Callable[[bytes], bool] | None = None
        self._reader = reader
        self._observer = observer
        self._change_cipher_spec_sent = False

    def expect(self, *message_types: type[M]) -> Steps[M]:
        """Wait for a message of one of these types, and no other.

        This loop is here and not in a generator of its own, which would be entered with each
        answer: that took 40 more calls of a handshake.
        """
        reader = self._reader
        while (octets := reader.take_message()) is None or (
            self.is_skipped is not None and self.is_skipped(octets)
        ):
            if octets is None and not reader.read_record():
                yield Want.READ
            elif reader.is_pause_due():
                yield Want.PAUSE
        return self._decode(octets, message_types)

    def expect_behind_data(self, message_type: type[M], keep: Callable[[bytes], None]) -> Steps[M]:
        """Wait for this message; application data that comes before it goes to ``keep``."""
        reader = self._reader
        while (octets := reader.take_message()) is None:
            if not reader.is_within_message and (
                data := self.incoming.take_application_data(BUFFER_LENGTH)
            ):
                keep(data)
                yield Want.EARLY_DATA
            elif not reader.read_record():
                yield Want.READ
            elif reader.is_pause_due():
                yield Want.PAUSE
        return self._decode(octets, (message_type,))

    def _decode(self, octets: bytes, message_types: Sequence[type[M]]) -> M:
        handshake_type = octets[0]
        if self._observer is not None:
            self._observer("received", type_name(handshake_type), len(octets))
        for message_type in message_types:
            if handshake_type == message_type.handshake_type:
                message = message_type.decode(octets[MESSAGE_HEADER_LENGTH:])
                self.transcript.add(octets)
                return message
        wanted = " or ".join(message_type.handshake_type.name for message_type in message_types)
        raise ProtocolError(
            f"the peer sent {type_name(handshake_type)} where {wanted} must come",
            AlertDescription.unexpected_message,
        )

    def send(self, message: Message) -> None:
        self.send_encoded(encode_message(message))

    def send_encoded(self, octets: bytes) -> None:
        """Send a message that is encoded already, with its header."""
        self.transcript.add(octets)
        self.outgoing.handshake(octets)
        if self._observer is not None:
            self._observer("sent", type_name(octets[0]), len(octets))

    def send_change_cipher_spec(self) -> None:
        """Send the change_cipher_spec of middlebox compatibility mode, once (RFC 9846 E.4)."""
        if not self._change_cipher_spec_sent:
            self._change_cipher_spec_sent = True
            self.outgoing.change_cipher_spec()

    def flush(self) -> Steps[None]:
        """Wait until the transport has taken all output."""
        while self.outgoing:
            yield Want.WRITE

    def ask(self, question: Question[T]) -> Steps[T]:
        """Ask a hook of the application. If the hook rejects, the handshake ends here."""
        return question.accept((yield question))

    def log_keys(self, write: Callable[[str], object] | None, client_random: bytes) -> None:
        """Write the secrets of this handshake to a key log (RFC 9850), if there is one."""
        if write is not None:
            self.key_log = lambda label, secret: write(
                f"{label} {client_random.hex()} {secret.hex()}"
            )

    def apply_record_size_limit(self, ours: int, theirs: bytes) -> None:
        """Limit the records of both directions as both sides requested (RFC 8449 4)."""
        limit = decode_uint16(theirs, "record_size_limit")
        if limit < MIN_RECORD_SIZE_LIMIT:
            raise ProtocolError(f"the peer takes only records of {limit} bytes")
        self.outgoing.fragment_length = min(limit - 1, self.outgoing.fragment_length)
        self.incoming.plaintext_limit = ours

    def apply_max_fragment_length(self, length: int) -> None:
        """Limit the records of both directions to ``length`` bytes of content (RFC 6066 4)."""
        self.outgoing.fragment_length = min(length, self.outgoing.fragment_length)
        self.incoming.plaintext_limit = length + 1  # the content type, RFC 9846 5.4

    def check_end_of_flight(self) -> None:
        """Check that the peer sent no further message before our next flight."""
        self._reader.check_boundary()

    def follow(self, rules: MessageRules) -> None:
        """Read the peer's messages and alerts by the rules of a version from now on."""
        self._reader.rules = rules

    def expect_change_cipher_spec(self, opener: RecordOpener) -> None:
        """Expect a change_cipher_spec next, and records under these keys after it."""
        self._reader.check_boundary()
        self.incoming.install_at_change_cipher_spec(opener)

    def protect_incoming(self, opener: RecordOpener) -> None:
        """Expect records under these keys from now on."""
        self._reader.install(opener)

    def protect_outgoing(self, sealer: RecordSealer) -> None:
        """Send records under these keys from now on."""
        self.outgoing.install(sealer)


def type_name(handshake_type: int) -> str:
    try:
        return HandshakeType(handshake_type).name
    except ValueError:
        return f"message {handshake_type}"
