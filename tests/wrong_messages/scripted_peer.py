"""A peer that holds the right keys and follows a script, in which any step can be changed.

It is made of the engine's own parts, so what a deviation leaves alone is right. Without a
deviation the handshake succeeds, data flows, and keys are updated.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeAlias, TypeVar

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto import signatures
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.crypto.groups import GROUPS, EphemeralKey
from trio_tlsx.crypto.key_schedule import EarlySecret, finished_verify_data
from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.crypto.transcript import Transcript
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import TLSError
from trio_tlsx.handshake.psk import Psk, with_psks
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import (
    HEADER_LENGTH,
    HELLO_RETRY_REQUEST_RANDOM,
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
from trio_tlsx.pki.credentials import Credentials, PrivateKeySigner
from trio_tlsx.record.protection import ContentType, Opener, Sealer, record_header
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
)
M = TypeVar("M", bound=AnyMessage)


class Over(Exception):
    """The engine has ended the connection."""


def header(handshake_type: int, length: int) -> bytes:
    return bytes((handshake_type,)) + length.to_bytes(3)


class Peer:
    """What both roles have.

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
        self.sealer: Sealer | None = None
        self.opener: Opener | None = None
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

    def script(self) -> None:
        raise NotImplementedError

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
            self.transcript.add(message)
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
        self.transcript.add(octets)
        return message_type.decode(octets[HEADER_LENGTH:])

    def _next_message(self) -> tuple[int, bytes] | None:
        while True:
            end = HEADER_LENGTH + int.from_bytes(self._messages[1:HEADER_LENGTH])
            if HEADER_LENGTH <= end <= len(self._messages):
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


class ServerPeer(Peer):
    """Plays the server against our client, from its HelloRetryRequest or ServerHello on."""

    role: ClassVar = "client"  # whose faults it finds
    context: ClassVar = SERVER_CONTEXT
    places: ClassVar = (
        "server_hello",
        "encrypted_extensions",
        "certificate",
        "certificate_verify",
        "finished",
        "new_session_ticket",
        "key_update",
    )
    engine_config: ClassVar = ClientConfig(
        trust=authority.trust,
        groups=["x25519", "P-256"],
        alpn_protocols=["h2", "http/1.1"],
        credentials=credentials,
    )
    retry_extensions: ClassVar[Mapping[int, bytes]] = {}
    asks_for_certificate: ClassVar = False

    def __init__(
        self,
        deviations: Mapping[str, Deviation],
        *,
        config: ClientConfig | None = None,
        **how: bool,
    ) -> None:
        engine = Connection.client(config or self.engine_config, SERVER_NAME)
        super().__init__(engine, deviations, **how)
        self.hello = ClientHello(0, b"", b"", (), b"", {})  # until it comes

    def hello_of(self, random: bytes, extensions: Mapping[int, bytes]) -> ServerHello:
        versions = {E.supported_versions: b"\x03\x04"}
        session_id = self.hello.legacy_session_id
        return ServerHello(0x0303, random, session_id, SUITE.code, 0, {**extensions, **versions})

    def script(self) -> None:
        self.hello = self.hear(ClientHello)
        if self.retry_extensions:
            retry = self.hello_of(HELLO_RETRY_REQUEST_RANDOM, self.retry_extensions)
            self.step("hello_retry_request", retry)
            self.transcript.retry(SUITE)
            self.transcript.start(SUITE)
            self.hello = self.hear(ClientHello)
        else:
            self.transcript.start(SUITE)
        shares = ext.decode_key_shares(self.hello.extensions[E.key_share])
        group, share = next(iter(shares.items()))
        own, shared_secret = GROUPS[group].respond(share)
        extensions: dict[int, bytes] = {E.key_share: ext.encode_key_share_entry(group, own)}
        if self.psk is not None:
            extensions[E.pre_shared_key] = b"\0\0"
        self.step("server_hello", self.hello_of(b"r" * 32, extensions))

        early_secret = EarlySecret(SUITE, self.psk.secret if self.psk else None)
        handshake_secret = early_secret.handshake_secret(shared_secret)
        hello_hash = self.transcript.digest()
        self.opener = Opener(SUITE, handshake_secret.client_handshake_traffic(hello_hash))
        self.finished_key = handshake_secret.server_handshake_traffic(hello_hash)
        self.sealer = Sealer(SUITE, self.finished_key)

        alpn = ext.encode_alpn([b"h2"])
        self.step(
            "encrypted_extensions",
            EncryptedExtensions(
                {E.application_layer_protocol_negotiation: alpn, E.server_name: b""}
            ),
        )
        if self.asks_for_certificate:
            schemes = ext.encode_uint16_list([SignatureScheme.ecdsa_secp256r1_sha256])
            request = CertificateRequest(b"", {E.signature_algorithms: schemes})
            self.step("certificate_request", request)
        if self.psk is None:
            self.step(*self.certificate_step())
            self.step("certificate_verify", self.sign(SERVER_CONTEXT))
        self.step("finished", self.finished())

        main_secret = handshake_secret.main_secret()
        finished_hash = self.transcript.digest()
        self.sealer = Sealer(SUITE, main_secret.server_application_traffic(finished_hash))
        self.send_data()  # a server may, before it hears from the client again
        if self.asks_for_certificate:
            self.hear(Certificate)
            self.hear(CertificateVerify)
        self.hear(Finished)
        self.opener = Opener(SUITE, main_secret.client_application_traffic(finished_hash))
        self.step("new_session_ticket", NewSessionTicket(3600, 1, b"", b"ticket", {}))
        self.after_the_handshake()


class AskingServerPeer(ServerPeer):
    """One that asks for a certificate."""

    places: ClassVar = (*ServerPeer.places[:2], "certificate_request", *ServerPeer.places[2:])
    asks_for_certificate: ClassVar = True


class StaplingServerPeer(ServerPeer):
    """One whose client asks for all that there may be beside a certificate."""

    engine_config: ClassVar = replace(
        ServerPeer.engine_config, ocsp_stapling=True, timestamps=True
    )


class CompressingServerPeer(ServerPeer):
    """One that compresses its certificate, as it may."""

    places: ClassVar = (
        "encrypted_extensions",
        "compressed_certificate",
        "certificate_verify",
        "finished",
    )
    engine_config: ClassVar = replace(ServerPeer.engine_config, certificate_compression=["zlib"])
    certificate_step = Peer.compressed_certificate_step


class RetryingServerPeer(ServerPeer):
    """One that wants another key share, and a cookie back."""

    places: ClassVar = ("hello_retry_request", *ServerPeer.places)
    retry_extensions: ClassVar = {E.key_share: P256.to_bytes(2), E.cookie: b"\0\4cook"}


class ClientPeer(Peer):
    """Plays the client against our server."""

    role: ClassVar = "server"
    context: ClassVar = CLIENT_CONTEXT
    places: ClassVar = ("client_hello", "finished", "key_update")
    engine_config: ClassVar = ServerConfig(
        credentials=credentials, groups=["x25519", "P-256"], alpn_protocols=["h2"]
    )

    def __init__(
        self,
        deviations: Mapping[str, Deviation],
        *,
        config: ServerConfig | None = None,
        **how: bool,
    ) -> None:
        super().__init__(Connection.server(config or self.engine_config), deviations, **how)
        self.shares: dict[int, EphemeralKey] = {}
        self.before: tuple[bytes, ...] = ()  # what comes before the second ClientHello
        self.asked = False

    def key_share(self, group: int) -> bytes:
        self.shares[group] = GROUPS[group].generate()
        return ext.encode_key_shares({group: self.shares[group].public})

    def first_hello(self) -> ClientHello:
        return ClientHello(
            0x0303,
            b"R" * 32,
            b"S" * 32,
            (SUITE.code,),
            b"\0",
            {
                E.server_name: ext.encode_server_name(SERVER_NAME.encode()),
                E.supported_groups: ext.encode_uint16_list([X25519, P256]),
                E.signature_algorithms: ext.encode_uint16_list([0x0403, 0x0401]),
                E.application_layer_protocol_negotiation: ext.encode_alpn([b"h2"]),
                E.record_size_limit: b"\x40\x01",
                E.psk_key_exchange_modes: b"\1\1",
                E.key_share: self.key_share(X25519),
                E.supported_versions: ext.encode_supported_versions([0x0304]),
            },
        )

    def second_hello(self, hello: ClientHello, retry: ServerHello) -> ClientHello:
        extensions = dict(hello.extensions)
        if (group := retry.extensions.get(E.key_share)) is not None:
            extensions[E.key_share] = self.key_share(int.from_bytes(group))
        if (cookie := retry.extensions.get(E.cookie)) is not None:
            extensions[E.cookie] = cookie
        return replace(hello, extensions=extensions)

    def script(self) -> None:
        psks = [] if self.psk is None else [self.psk]
        hello = self.first_hello()
        self.step("client_hello", with_psks(hello, psks, ()))
        answer = self.hear(ServerHello)
        if answer.is_hello_retry_request:
            self.transcript.retry(SUITE)
            self.before = tuple(self.transcript.messages)
            self.transcript.start(SUITE)
            hello = self.second_hello(hello, answer)
            self.step("second_client_hello", with_psks(hello, psks, self.before))
            answer = self.hear(ServerHello)
        else:
            self.transcript.start(SUITE)
        group, share = ext.decode_key_share_entry(answer.extensions[E.key_share])

        early_secret = EarlySecret(SUITE, self.psk.secret if self.psk else None)
        handshake_secret = early_secret.handshake_secret(self.shares[group].exchange(share))
        hello_hash = self.transcript.digest()
        self.opener = Opener(SUITE, handshake_secret.server_handshake_traffic(hello_hash))
        self.finished_key = handshake_secret.client_handshake_traffic(hello_hash)
        self.sealer = Sealer(SUITE, self.finished_key)

        self.hear(EncryptedExtensions)
        if self.asked:
            self.hear(CertificateRequest)
        if self.psk is None:
            self.hear(Certificate)
            self.hear(CertificateVerify)
        self.hear(Finished)
        main_secret = handshake_secret.main_secret()
        finished_hash = self.transcript.digest()
        self.opener = Opener(SUITE, main_secret.server_application_traffic(finished_hash))
        if self.asked:
            self.step(*self.certificate_step())
            self.step("certificate_verify", self.sign(CLIENT_CONTEXT))
        self.step("finished", self.finished())
        self.sealer = Sealer(SUITE, main_secret.client_application_traffic(finished_hash))
        self.after_the_handshake()


class CertifiedClientPeer(ClientPeer):
    """One that is asked for a certificate, and has one."""

    places: ClassVar = (
        "client_hello",
        "certificate",
        "certificate_verify",
        "finished",
        "key_update",
    )
    engine_config: ClassVar = replace(
        ClientPeer.engine_config, client_auth="required", client_trust=authority.trust
    )

    def __init__(
        self,
        deviations: Mapping[str, Deviation],
        *,
        config: ServerConfig | None = None,
        **how: bool,
    ) -> None:
        super().__init__(deviations, config=config, **how)
        self.asked = True


class CompressingClientPeer(CertifiedClientPeer):
    """One that compresses it, as it may."""

    places: ClassVar = ("compressed_certificate", "certificate_verify", "finished")
    engine_config: ClassVar = replace(
        CertifiedClientPeer.engine_config, certificate_compression=["zlib"]
    )
    certificate_step = Peer.compressed_certificate_step


class RetriedClientPeer(ClientPeer):
    """One that has no key share for the server's group, and is given a cookie."""

    places: ClassVar = ("client_hello", "second_client_hello", "finished", "key_update")
    engine_config: ClassVar = replace(
        ClientPeer.engine_config, groups=["P-256"], require_cookie=True
    )


AnyPeer: TypeAlias = ServerPeer | ClientPeer

#: The message that the script has at each place.
TYPE_AT: Mapping[str, HandshakeType] = {
    "hello_retry_request": HandshakeType.server_hello,
    "second_client_hello": HandshakeType.client_hello,
    **{handshake_type.name: handshake_type for handshake_type in HandshakeType},
}
