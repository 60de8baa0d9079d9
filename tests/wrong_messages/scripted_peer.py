"""A peer that holds the right keys and follows a script, in which any step can be changed.

It uses the engine's own modules, so everything is correct except the deviation. Without a
deviation the handshake succeeds, data flows, and keys are updated.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias, TypeVar

from trio_tlsx.crypto import signatures
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.crypto.key_schedule import finished_verify_data
from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.crypto.transcript import Transcript
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import TLSError
from trio_tlsx.handshake.psk import Psk
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.handshake import (
    MESSAGE_HEADER_LENGTH,
    Certificate,
    CertificateEntry,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    CompressedCertificate,
    EncryptedExtensions,
    EndOfEarlyData,
    Finished,
    HandshakeType,
    KeyUpdate,
    NewSessionTicket,
    ServerHello,
    encode_message,
)
from trio_tlsx.messages.handshake12 import (
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    ClientKeyExchange,
    HelloRequest,
    NewSessionTicket12,
    RawCertificate12,
    ServerHelloDone,
    ServerKeyExchange,
)
from trio_tlsx.pki.credentials import Credentials, PrivateKeySigner
from trio_tlsx.record.interface import RecordOpener, RecordSealer
from trio_tlsx.record.protection import ContentType, record_header
from trio_tlsx.testing import CA

SERVER_NAME = "test.example"
DATA = b"for the application"
X25519, P256, P384 = 0x001D, 0x0017, 0x0018
ZLIB = 1
SUITE = CIPHER_SUITES[0x1301]
SERVER_CONTEXT = b"TLS 1.3, server CertificateVerify"
CLIENT_CONTEXT = b"TLS 1.3, client CertificateVerify"

authority = CA()
credentials = authority.issue(SERVER_NAME, key_type="P-256")
strangers_credentials = CA().issue(SERVER_NAME, key_type="P-256")

AnyMessage: TypeAlias = (
    ClientHello
    | ServerHello
    | EncryptedExtensions
    | CertificateRequest
    | Certificate
    | CompressedCertificate
    | CertificateVerify
    | EndOfEarlyData
    | Finished
    | NewSessionTicket
    | KeyUpdate
    | Certificate12
    | CertificateRequest12
    | CertificateStatus
    | ClientKeyExchange
    | HelloRequest
    | NewSessionTicket12
    | RawCertificate12
    | ServerHelloDone
    | ServerKeyExchange
)
M = TypeVar("M", bound=AnyMessage)


class Over(Exception):
    """The engine has ended the connection."""


def header(handshake_type: int, length: int) -> bytes:
    return bytes((handshake_type,)) + length.to_bytes(3)


class Peer(ABC):
    """The base of both roles.

    Attributes:
        places: the steps of the script that a deviation can take the place of.
        received: the application data that the engine gave out.
        permitted: how much of that came before any deviation, and so was right to give out.
        psk: the key that both sides have, and offer first, instead of certificates.
        alerts: what the engine sent: whether it was protected, and the octets.
        failure: what ended the connection.
        skips_early_data: the engine sends one record of it, which this peer does not take.
    """

    skips_early_data = False
    places: ClassVar[tuple[str, ...]] = ()
    psk: ClassVar[Psk[Any] | None] = None

    def __init__(
        self,
        engine: Connection,
        deviations: Mapping[str, Deviation],
        *,
        octet_by_octet: bool = False,
    ) -> None:
        self.engine = engine
        self.deviations = deviations
        self.transcript = Transcript()
        self.sealer: RecordSealer | None = None
        self.opener: RecordOpener | None = None
        self.signer = credentials
        self.finished_key = b""
        self.received = b""
        self.permitted: bytes | None = None
        self.alerts: list[tuple[bool, bytes]] = []
        self.failure: TLSError | None = None
        self._output = bytearray()
        self._input = bytearray()
        self._messages = bytearray()
        self.octet_by_octet = octet_by_octet

    @property
    def engine_has_keys(self) -> bool:
        return self.engine._outgoing.sealer is not None  # pyright: ignore[reportPrivateUsage]

    def run(self) -> None:
        """Play the script to its end, or to the engine's."""
        try:
            self.script()
            self.flush()
        except Over:
            pass
        while self._next_message():
            pass

    @abstractmethod
    def script(self) -> None:
        """Send and expect the messages of the handshake, in their order."""

    def step(self, place: str, message: AnyMessage) -> None:
        deviation = self.deviations.get(place)
        if deviation is None:
            self.send(message)
        else:
            if self.permitted is None:
                self.flush()
                self.permitted = self.received
            deviation(self, message)

    # What this peer sends

    def send(self, *messages: AnyMessage | bytes) -> None:
        """Send handshake messages in one record; octets stand for a message that is none."""
        octets = [m if isinstance(m, bytes) else encode_message(m) for m in messages]
        for message in octets:
            self.transcript.add(self.in_transcript(message))
        self.record(b"".join(octets))

    def record(
        self, content: bytes, content_type: int = ContentType.handshake, padding: int = 0
    ) -> None:
        """Send a record as the keys of the moment have it."""
        if self.sealer is None:
            self.octets(record_header(content_type, len(content)) + content)
        elif padding:
            inner = content + bytes((content_type,)) + bytes(padding - 1)
            self.octets(self.sealer.seal(0, inner))
        else:
            self.octets(self.sealer.seal(content_type, content))

    def octets(self, octets: bytes) -> None:
        self._output += octets

    def send_data(self) -> None:
        self.record(DATA, ContentType.application_data)

    def flush(self) -> None:
        """Hand over what was sent, and have the engine go on."""
        self._hand_over()
        if self.failure is not None:
            raise Over

    def _hand_over(self) -> None:
        output = bytes(self._output)
        self._output.clear()
        self._turn()
        size = 1 if self.octet_by_octet else len(output) or 1
        for start in range(0, len(output), size):
            self.engine.receive_data(output[start : start + size])
            self._turn()

    def _turn(self) -> None:
        try:
            while self.engine.do_handshake() in (Want.WRITE, Want.EARLY_DATA):
                self._input += self.engine.data_to_send()
                self.received += self.engine.read_early_data()
            if self.engine.handshake_complete:
                while isinstance(data := self.engine.read(), bytes) and data:
                    self.received += data
        except TLSError as error:
            self.failure = error
        self._input += self.engine.data_to_send()

    # What the engine sends

    def hear(self, message_type: type[M]) -> M:
        message = self._next_message()
        if message is None:
            self._hand_over()
            message = self._next_message()
        if message is None:
            if self.failure is not None:
                raise Over
            raise AssertionError(f"the engine sent no {message_type.__name__}")
        handshake_type, octets = message
        assert handshake_type == message_type.handshake_type, handshake_type
        self.transcript.add(self.in_transcript(octets))
        return message_type.decode(octets[MESSAGE_HEADER_LENGTH:])

    def _next_message(self) -> tuple[int, bytes] | None:
        while True:
            end = MESSAGE_HEADER_LENGTH + int.from_bytes(self._messages[1:MESSAGE_HEADER_LENGTH])
            if MESSAGE_HEADER_LENGTH <= end <= len(self._messages):
                octets = bytes(self._messages[:end])
                del self._messages[:end]
                return octets[0], octets
            if not self._input:
                return None
            self._take_record()

    def _take_record(self) -> None:
        end = 5 + int.from_bytes(self._input[3:5])
        octets = memoryview(bytes(self._input[:end]))
        del self._input[:end]
        content_type, content = octets[0], bytes(octets[5:])
        protected = content_type == ContentType.application_data
        if protected and self.skips_early_data:
            self.skips_early_data = False
            return
        if protected:
            assert self.opener is not None
            inner = self.opener.open(octets[:5], octets[5:]).rstrip(b"\0")
            content_type, content = inner[-1], inner[:-1]
        if content_type == ContentType.handshake:
            self._messages += content
        elif content_type == ContentType.alert:
            self.alerts.append((protected, content))

    # What both roles do alike

    def in_transcript(self, message: bytes) -> bytes:
        """What the transcript has for a message: with ECH, the inner hello for the outer one."""
        return message

    def sign(
        self,
        context: bytes,
        *,
        scheme: SignatureScheme = SignatureScheme.ecdsa_secp256r1_sha256,
        by: Credentials | None = None,
        transcript_hash: bytes | None = None,
    ) -> CertificateVerify:
        digest = self.transcript.digest() if transcript_hash is None else transcript_hash
        signer = (by or self.signer).signer
        assert isinstance(signer, PrivateKeySigner)
        content = b"\x20" * 64 + context + b"\0" + digest
        return CertificateVerify(scheme, signatures.sign(scheme, signer.private_key, content))

    def certificate(self) -> Certificate:
        return Certificate(b"", tuple(CertificateEntry(der, {}) for der in self.signer.der_chain))

    def certificate_step(self) -> tuple[str, AnyMessage]:
        return "certificate", self.certificate()

    def compressed_certificate_step(self) -> tuple[str, AnyMessage]:
        octets = self.certificate().encode()
        message = CompressedCertificate(ZLIB, len(octets), zlib.compress(octets))
        return "compressed_certificate", message

    def finished(self) -> Finished:
        digest = self.transcript.digest()
        return Finished(finished_verify_data(SUITE, self.finished_key, digest))

    def after_the_handshake(self) -> None:
        assert self.sealer is not None
        self.send_data()
        self.step("key_update", KeyUpdate(request_update=False))
        self.sealer.update()
        self.send_data()


#: What is done at a step instead of sending the message that the script has for it.
Deviation: TypeAlias = Callable[[Peer, AnyMessage], None]


#: The message that the script has at each place.
TYPE_AT: Mapping[str, HandshakeType] = {
    "hello_retry_request": HandshakeType.server_hello,
    "second_client_hello": HandshakeType.client_hello,
    **{handshake_type.name: handshake_type for handshake_type in HandshakeType},
}
