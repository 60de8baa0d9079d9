"""Scripted servers, for tests of the engine's client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from scripted_peer import (
    P256,
    SERVER_CONTEXT,
    SERVER_NAME,
    SUITE,
    Deviation,
    Peer,
    authority,
    credentials,
)

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.crypto.key_schedule import EarlySecret
from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.engine.connection import Connection
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import (
    HELLO_RETRY_REQUEST_RANDOM,
    Certificate,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    EncryptedExtensions,
    Finished,
    NewSessionTicket,
    ServerHello,
)
from trio_tlsx.record.protection import Opener, Sealer


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
        remember_groups=False,
        alpn_protocols=["h2", "http/1.1"],
        credentials=credentials,
    )
    retry_extensions: ClassVar[Mapping[int, bytes]] = {}
    asks_for_certificate: ClassVar = False
    with_certificate: ClassVar = False  # beside its PSK

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

    def hear_hello(self) -> ClientHello:
        return self.hear(ClientHello)

    def confirmed(self, answer: ServerHello) -> ServerHello:
        """With ECH, the answer says that the inner hello was taken."""
        return answer

    def encrypted_extensions(self) -> dict[int, bytes]:
        alpn = ext.encode_alpn([b"h2"])
        return {E.application_layer_protocol_negotiation: alpn, E.server_name: b""}

    def script(self) -> None:
        self.hello = self.hear_hello()
        if self.retry_extensions:
            retry = self.hello_of(HELLO_RETRY_REQUEST_RANDOM, self.retry_extensions)
            self.step("hello_retry_request", self.confirmed(retry))
            self.transcript.retry(SUITE)
            self.transcript.start(SUITE)
            self.hello = self.hear_hello()
        else:
            self.transcript.start(SUITE)
        shares = ext.decode_key_shares(self.hello.extensions[E.key_share])
        group, share = next(iter(shares.items()))
        own, shared_secret = GROUPS[group].respond(share)
        extensions: dict[int, bytes] = {E.key_share: ext.encode_key_share_entry(group, own)}
        if self.psk is not None:
            extensions[E.pre_shared_key] = b"\0\0"
        if self.with_certificate:
            extensions[E.tls_cert_with_extern_psk] = b""
        self.step("server_hello", self.confirmed(self.hello_of(b"r" * 32, extensions)))

        early_secret = EarlySecret(SUITE, self.psk.secret if self.psk else None)
        handshake_secret = early_secret.handshake_secret(shared_secret)
        hello_hash = self.transcript.digest()
        self.opener = Opener(SUITE, handshake_secret.client_handshake_traffic(hello_hash))
        self.finished_key = handshake_secret.server_handshake_traffic(hello_hash)
        self.sealer = Sealer(SUITE, self.finished_key)

        self.step("encrypted_extensions", EncryptedExtensions(self.encrypted_extensions()))
        if self.asks_for_certificate:
            schemes = ext.encode_uint16_list([SignatureScheme.ecdsa_secp256r1_sha256])
            request = CertificateRequest(b"", {E.signature_algorithms: schemes})
            self.step("certificate_request", request)
        if self.psk is None or self.with_certificate:
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


class NewestServerPeer(AskingServerPeer):
    """One whose client offers TLS 1.3 alone."""

    engine_config: ClassVar = replace(ServerPeer.engine_config, versions=["TLSv1.3"])


class StaplingServerPeer(ServerPeer):
    """One whose client asks for all that there may be beside a certificate, and for tickets."""

    engine_config: ClassVar = replace(
        ServerPeer.engine_config, ocsp_stapling=True, timestamps=True, tickets_wanted=(2, 1)
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
