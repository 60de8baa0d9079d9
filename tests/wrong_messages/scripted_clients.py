"""Scripted clients, for tests of the engine's server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, TypeAlias

from scripted_peer import (
    CLIENT_CONTEXT,
    P256,
    SERVER_NAME,
    SUITE,
    X25519,
    Deviation,
    Peer,
    authority,
    credentials,
)
from scripted_servers import ServerPeer

from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.groups import GROUPS, EphemeralKey
from trio_tlsx.crypto.key_schedule import EarlySecret
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake.psk import with_psks
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    EncryptedExtensions,
    Finished,
    ServerHello,
)
from trio_tlsx.record.protection import Opener, Sealer


class ClientPeer(Peer):
    """Plays the client against our server."""

    role: ClassVar = "server"
    context: ClassVar = CLIENT_CONTEXT
    places: ClassVar = ("client_hello", "finished", "key_update")
    engine_config: ClassVar = ServerConfig(
        credentials=credentials, groups=["x25519", "P-256"], alpn_protocols=["h2"]
    )
    with_certificate: ClassVar = False  # beside its PSK

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

    def send_hello(self, place: str, hello: ClientHello) -> None:
        self.step(place, hello)

    def script(self) -> None:
        psks = [] if self.psk is None else [self.psk]
        hello = self.first_hello()
        if self.with_certificate:
            flag = {E.tls_cert_with_extern_psk: b""}
            hello = replace(hello, extensions={**hello.extensions, **flag})
        self.send_hello("client_hello", with_psks(hello, psks, ()))
        answer = self.hear(ServerHello)
        if answer.is_hello_retry_request:
            self.transcript.retry(SUITE)
            self.before = tuple(self.transcript.messages)
            self.transcript.start(SUITE)
            hello = self.second_hello(hello, answer)
            self.send_hello("second_client_hello", with_psks(hello, psks, self.before))
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
        if self.psk is None or self.with_certificate:
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


class NewestClientPeer(CertifiedClientPeer):
    """One whose server accepts TLS 1.3 alone."""

    engine_config: ClassVar = replace(CertifiedClientPeer.engine_config, versions=["TLSv1.3"])


class RetriedClientPeer(ClientPeer):
    """One that has no key share for the server's group, and is given a cookie."""

    places: ClassVar = ("client_hello", "second_client_hello", "finished", "key_update")
    engine_config: ClassVar = replace(
        ClientPeer.engine_config, groups=["P-256"], require_cookie=True
    )


class UncookiedClientPeer(RetriedClientPeer):
    """A client that has no key share for the server's group, and receives no cookie."""

    engine_config: ClassVar = replace(ClientPeer.engine_config, groups=["P-256"])


AnyPeer: TypeAlias = ServerPeer | ClientPeer
