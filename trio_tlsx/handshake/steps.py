"""The steps of a handshake, for client and server: expect, send, ask a hook, change keys."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from ..crypto.cipher_suites import CipherSuite
from ..crypto.key_schedule import LogSecret
from ..crypto.signatures import SignatureScheme
from ..crypto.transcript import Transcript
from ..errors import AlertDescription, ProtocolError
from ..messages.codec import take_bytes
from ..messages.handshake import MESSAGE_HEADER_LENGTH, HandshakeType, Message, encode_message
from ..record.buffers import BUFFER_LENGTH
from ..record.interface import RecordOpener, RecordSealer
from ..record.message_reader import MessageReader, MessageRules
from ..record.receive import Incoming
from ..record.send import Outgoing
from .wants import Question, Want

__all__ = ["EarlyData", "Handshake", "Observer", "Steps"]

M = TypeVar("M", bound=Message)
T = TypeVar("T")

#: A part of a handshake: a generator that yields what it needs, receives the answer by ``send``,
#: and returns its result.
Steps: TypeAlias = Generator[Want | Question[Any], Any, T]

#: Receives each handshake message: its direction, its name, its length in bytes.
Observer: TypeAlias = Callable[[Literal["sent", "received"], str, int], None]


class EarlyData:
    """Early data (RFC 9846 2.3) that a server accepted. ``early_data.receive`` limits its size.

    Attributes:
        wanted: the driver will read early data.
        may_be_answered: this server has accepted early data and sent its Finished. It may now send
            data before the client's Finished arrives (2.3).
        exporter: on both sides, the cipher suite and the early exporter secret (7.5); None if no
            early data was sent, or none was accepted.
    """

    __slots__ = ("_unread", "exporter", "may_be_answered", "wanted")

    def __init__(self) -> None:
        self.wanted: bool = False
        self.may_be_answered: bool = False
        self.exporter: tuple[CipherSuite, bytes] | None = None
        self._unread = bytearray()

    def put(self, data: bytes) -> None:
        self._unread += data

    def take(self, max_bytes: int | None) -> bytes:
        """Return unread early data, at most ``max_bytes``."""
        return take_bytes(self._unread, max_bytes)


class Handshake:
    """One side of a handshake in progress. The engine drops it when the handshake is complete.

    Attributes:
        incoming, outgoing: the record layer.
        transcript: all messages sent and received so far.
        protect_incoming: decrypts records with the keys of an opener from now on.
        protect_outgoing: encrypts records with the keys of a sealer from now on.
        early_data: the state of early data that outlives the handshake.
        key_log: the function that the key schedule calls to log secrets; None for no log.
        signed_with: the scheme of this side's own signature; None if it signed nothing.
        is_skipped: a function that returns whether to ignore a received message; None to ignore
            none.
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
        self.protect_incoming: Callable[[RecordOpener], None] = reader.install
        self.protect_outgoing: Callable[[RecordSealer], None] = outgoing.install
        self.transcript: Transcript = Transcript()
        self.early_data: EarlyData = EarlyData()
        self.key_log: LogSecret | None = None
        self.signed_with: SignatureScheme | None = None
        self.is_skipped: Callable[[bytes], bool] | None = None
        self._reader = reader
        self._observer = observer
        self._change_cipher_spec_sent = False

    def expect(self, *message_types: type[M]) -> Steps[M]:
        """Wait for a message of one of these types, and no other.

        This loop is not a generator of its own, because each answer would then pass through one
        more generator: 40 more calls in a handshake.
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
        """Wait for this message. Pass application data that arrives before it to ``keep``."""
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

    def send_encoded(self, octets: bytes, in_transcript: bytes | None = None) -> None:
        """Send a message that is encoded already, with its header.

        Args:
            in_transcript: the message that the transcript gets instead.
        """
        self.transcript.add(octets if in_transcript is None else in_transcript)
        self.outgoing.flight += octets
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

    def check_end_of_flight(self) -> None:
        """Check that the peer sent no further message before our next flight."""
        self._reader.check_boundary()

    def follow(self, rules: MessageRules) -> None:
        """From now on, process the peer's messages and alerts by the rules of a TLS version."""
        self._reader.rules = rules

    def note_missing_certificate(self) -> None:
        """Note that this client sends no certificate although the server requested one.

        If the server rejects that, the error says so.
        """
        self._reader.rules.alerts.without_certificate = True

    def expect_change_cipher_spec(self, opener: RecordOpener) -> None:
        """Expect a change_cipher_spec next, and decrypt the records after it with these keys."""
        self._reader.check_boundary()
        self.incoming.install_at_change_cipher_spec(opener)


def type_name(handshake_type: int) -> str:
    try:
        return HandshakeType(handshake_type).name
    except ValueError:
        return f"message {handshake_type}"
