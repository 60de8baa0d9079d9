"""Scripted peers that speak TLS 1.2, in both roles."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, TypeAlias

from scripted_peer import (
    P256,
    SERVER_NAME,
    X25519,
    Deviation,
    Peer,
    authority,
    credentials,
)

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.cipher_suites12 import CIPHER_SUITES_12
from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.crypto.key_schedule12 import MasterSecret
from trio_tlsx.crypto.signatures import SignatureScheme, sign
from trio_tlsx.engine.connection import Connection
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.extensions12 import INITIAL_CONNECTION, POINT_FORMATS
from trio_tlsx.messages.handshake import (
    CertificateVerify,
    ClientHello,
    Finished,
    ServerHello,
)
from trio_tlsx.messages.handshake12 import (
    ECDSA_SIGN,
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    ClientKeyExchange,
    NewSessionTicket12,
    ServerHelloDone,
    ServerKeyExchange,
    encode_parameters,
)
from trio_tlsx.pki.credentials import Credentials, PrivateKeySigner
from trio_tlsx.record.protection import ContentType
from trio_tlsx.record.protection12 import Opener12, Sealer12
from trio_tlsx.sessions.client import Session

SUITE_12 = CIPHER_SUITES_12[0xC02B]
SCHEME = SignatureScheme.ecdsa_secp256r1_sha256
SERVER_RANDOM, CLIENT_RANDOM = b"r" * 32, b"R" * 32
VERSIONS = ("TLSv1.3", "TLSv1.2")


class Peer12(Peer):
    """What both roles have in TLS 1.2."""

    randoms = (b"", b"")
    secret: MasterSecret
    next_opener: Opener12 | None = None

    def sign_content(
        self, content: bytes, *, scheme: SignatureScheme = SCHEME, by: Credentials | None = None
    ) -> bytes:
        signer = (by or self.signer).signer
        assert isinstance(signer, PrivateKeySigner)
        return sign(scheme, signer.private_key, content)

    def digest(self) -> bytes:
        return self.transcript.digest_by(SUITE_12)

    def derive(self, shared_secret: bytes, *, extended: bool = True) -> None:
        """Derive the keys, with the ClientKeyExchange as the last message."""
        session_hash = self.digest() if extended else None
        self.secret = MasterSecret.derive(SUITE_12, shared_secret, self.randoms, session_hash)

    def change_cipher_spec(self, sealer: Sealer12) -> None:
        """The step of that name, after which this peer has keys."""
        deviation = self.deviations.get("change_cipher_spec")
        if deviation is None:
            self.record(b"\x01", ContentType.change_cipher_spec)
        else:
            self.flush()
            self.permitted = self.received
            deviation(self, Finished(b""))
        self.sealer = sealer

    def _take_record(self) -> None:
        end = 5 + int.from_bytes(self._input[3:5])
        octets = memoryview(bytes(self._input[:end]))
        del self._input[:end]
        content_type, content = octets[0], bytes(octets[5:])
        if content_type == ContentType.change_cipher_spec:
            self.opener = self.next_opener
            return
        if self.opener is not None:
            content = self.opener.open(octets[:5], octets[5:])
        if content_type == ContentType.handshake:
            self._messages += content
        elif content_type == ContentType.alert:
            self.alerts.append((self.opener is not None, content))

    def after_the_handshake(self) -> None:
        self.send_data()
        deviation = self.deviations.get("application_data")
        if deviation is not None:
            self.flush()
            self.permitted = self.received
            deviation(self, Finished(b""))
        self.send_data()


class ServerPeer12(Peer12):
    """Plays the server against our client, which offers both versions."""

    role: ClassVar = "client"
    places: ClassVar[tuple[str, ...]] = (
        "server_hello",
        "certificate",
        "server_key_exchange",
        "server_hello_done",
        "change_cipher_spec",
        "finished",
        "application_data",
    )
    engine_config: ClassVar = ClientConfig(
        versions=VERSIONS,
        trust=authority.trust,
        groups=["x25519", "P-256"],
        alpn_protocols=["h2", "http/1.1"],
        credentials=credentials,
        resumption=False,
    )
    asks_for_certificate: ClassVar = False
    extended: ClassVar = True

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
        self.key = GROUPS[X25519].generate()

    def server_hello(self) -> ServerHello:
        extensions: dict[int, bytes] = {
            E.renegotiation_info: INITIAL_CONNECTION,
            E.ec_point_formats: POINT_FORMATS,
            E.server_name: b"",
            E.application_layer_protocol_negotiation: ext.encode_alpn([b"h2"]),
        }
        if self.extended:
            extensions[E.extended_master_secret] = b""
        if "certificate_status" in self.places:
            extensions[E.status_request] = b""
        if "new_session_ticket" in self.places:
            extensions[E.session_ticket] = b""
        return ServerHello(0x0303, SERVER_RANDOM, b"session", SUITE_12.code, 0, extensions)

    def key_exchange(
        self,
        group: int = X25519,
        public: bytes | None = None,
        *,
        scheme: SignatureScheme = SCHEME,
        by: Credentials | None = None,
        randoms: tuple[bytes, bytes] | None = None,
    ) -> ServerKeyExchange:
        """A ServerKeyExchange that is signed as it is."""
        public = self.key.public if public is None else public
        content = b"".join(randoms or self.randoms) + encode_parameters(group, public)
        return ServerKeyExchange(
            group, public, scheme, self.sign_content(content, scheme=scheme, by=by)
        )

    def script(self) -> None:
        self.hello = self.hear(ClientHello)
        self.randoms = self.hello.random, SERVER_RANDOM
        self.step("server_hello", self.server_hello())
        self.step("certificate", Certificate12(self.signer.der_chain))
        if "certificate_status" in self.places:
            self.step("certificate_status", CertificateStatus(b"response"))
        self.step("server_key_exchange", self.key_exchange())
        if self.asks_for_certificate:
            request = CertificateRequest12(bytes((ECDSA_SIGN,)), (SCHEME,), ())
            self.step("certificate_request", request)
        self.step("server_hello_done", ServerHelloDone())
        if self.asks_for_certificate:
            self.hear(Certificate12)
        share = self.hear(ClientKeyExchange).public
        self.derive(self.key.exchange(share), extended=self.extended)
        client_keys, server_keys = self.secret.traffic_keys()
        self.next_opener = Opener12(SUITE_12, client_keys)
        if self.asks_for_certificate:
            self.hear(CertificateVerify)
        self.hear(Finished)
        if "new_session_ticket" in self.places:
            self.step("new_session_ticket", NewSessionTicket12(3600, b"ticket"))
        self.change_cipher_spec(Sealer12(SUITE_12, server_keys))
        self.step("finished", Finished(self.secret.server_finished(self.digest())))
        self.after_the_handshake()


class AskingServerPeer12(ServerPeer12):
    """One that asks for a certificate."""

    places: ClassVar = (
        *ServerPeer12.places[:3],
        "certificate_request",
        *ServerPeer12.places[3:],
    )
    asks_for_certificate: ClassVar = True


class OldServerPeer12(ServerPeer12):
    """One without the extended master secret."""

    extended: ClassVar = False


TICKET = b"a ticket of TLS 1.2"
SESSION_ID = b"a session of TLS 1.2"
NOW = datetime.datetime.now(datetime.UTC)
MASTER_SECRET = bytes(range(48))


class OneSession:
    """A store with the session that the scripted server resumes, by its ticket or its id."""

    def __init__(self, ticket: bytes = b"", session_id: bytes = b"") -> None:
        self.ticket, self.session_id = ticket, session_id

    def put(self, session: Session) -> None:
        """Drop it: there is no further connection."""

    def take(self, server_name: str, port: int | None, context: bytes) -> Session:
        return Session(
            server_name=server_name,
            port=port,
            context=context,
            cipher_suite=SUITE_12.name,
            peer_certificates=credentials.chain,
            signature_scheme=SCHEME.name,
            verified_at=NOW,
            received_at=NOW,
            lifetime=3600,
            ticket=self.ticket,
            session_id=self.session_id,
            ticket_age_add=0,
            secret=MASTER_SECRET,
            extended_master_secret=True,
        )


class ResumingServerPeer12(ServerPeer12):
    """One that resumes a session, and renews its ticket."""

    places: ClassVar = (
        "server_hello",
        "new_session_ticket",
        "change_cipher_spec",
        "finished",
        "application_data",
    )
    engine_config: ClassVar = replace(
        ServerPeer12.engine_config,
        resumption=True,
        session_store=OneSession(ticket=TICKET),
        session_context=b"test",
    )

    def resumption_hello(self) -> ServerHello:
        assert self.hello.extensions[E.session_ticket] == TICKET
        hello = self.server_hello()
        return replace(
            hello,
            legacy_session_id_echo=self.hello.legacy_session_id,
            extensions={**hello.extensions, E.session_ticket: b""},
        )

    def script(self) -> None:
        self.hello = self.hear(ClientHello)
        self.step("server_hello", self.resumption_hello())
        self.secret = MasterSecret(SUITE_12, MASTER_SECRET, (self.hello.random, SERVER_RANDOM))
        client_keys, server_keys = self.secret.traffic_keys()
        if "new_session_ticket" in self.places:
            self.step("new_session_ticket", NewSessionTicket12(3600, b"renewed"))
        self.change_cipher_spec(Sealer12(SUITE_12, server_keys))
        self.step("finished", Finished(self.secret.server_finished(self.digest())))
        self.next_opener = Opener12(SUITE_12, client_keys)
        self.hear(Finished)
        self.after_the_handshake()


class ResumingByIdServerPeer12(ResumingServerPeer12):
    """One that resumes a session by its id, and has no tickets."""

    places: ClassVar = ("server_hello", "change_cipher_spec", "finished", "application_data")
    engine_config: ClassVar = replace(
        ResumingServerPeer12.engine_config, session_store=OneSession(session_id=SESSION_ID)
    )

    def resumption_hello(self) -> ServerHello:
        assert self.hello.legacy_session_id == SESSION_ID
        return replace(self.server_hello(), legacy_session_id_echo=SESSION_ID)


class ClientPeer12(Peer12):
    """Plays the client against our server, which has both versions."""

    role: ClassVar = "server"
    places: ClassVar[tuple[str, ...]] = (
        "client_hello",
        "client_key_exchange",
        "change_cipher_spec",
        "finished",
        "application_data",
    )
    engine_config: ClassVar = ServerConfig(
        versions=VERSIONS,
        credentials=credentials,
        groups=["x25519", "P-256"],
        alpn_protocols=["h2"],
    )
    has_certificate: ClassVar = False

    def __init__(
        self,
        deviations: Mapping[str, Deviation],
        *,
        config: ServerConfig | None = None,
        **how: bool,
    ) -> None:
        super().__init__(Connection.server(config or self.engine_config), deviations, **how)
        self.key = GROUPS[X25519].generate()

    def first_hello(self) -> ClientHello:
        return ClientHello(
            0x0303,
            CLIENT_RANDOM,
            b"",
            (SUITE_12.code,),
            b"\0",
            {
                E.server_name: ext.encode_server_name(SERVER_NAME.encode()),
                E.supported_groups: ext.encode_uint16_list([X25519, P256]),
                E.ec_point_formats: POINT_FORMATS,
                E.signature_algorithms: ext.encode_uint16_list([SCHEME, 0x0401]),
                E.application_layer_protocol_negotiation: ext.encode_alpn([b"h2"]),
                E.extended_master_secret: b"",
                E.renegotiation_info: INITIAL_CONNECTION,
            },
        )

    def script(self) -> None:
        self.step("client_hello", self.first_hello())
        answer = self.hear(ServerHello)
        self.randoms = CLIENT_RANDOM, answer.random
        self.hear(Certificate12)
        share = self.hear(ServerKeyExchange).public
        if self.has_certificate:
            self.hear(CertificateRequest12)
        self.hear(ServerHelloDone)
        if self.has_certificate:
            self.step("certificate", Certificate12(self.signer.der_chain))
        self.step("client_key_exchange", ClientKeyExchange(self.key.public))
        extended = E.extended_master_secret in answer.extensions
        self.derive(self.key.exchange(share), extended=extended)
        client_keys, server_keys = self.secret.traffic_keys()
        if self.has_certificate:
            content = b"".join(self.transcript.messages)
            message = CertificateVerify(SCHEME, self.sign_content(content))
            self.step("certificate_verify", message)
        self.change_cipher_spec(Sealer12(SUITE_12, client_keys))
        self.step("finished", Finished(self.secret.client_finished(self.digest())))
        self.next_opener = Opener12(SUITE_12, server_keys)
        self.hear_finished()
        self.after_the_handshake()

    def hear_finished(self) -> None:
        self.hear(Finished)


class CertifiedClientPeer12(ClientPeer12):
    """One with a certificate, which the server requires."""

    places: ClassVar = (
        ClientPeer12.places[0],
        "certificate",
        ClientPeer12.places[1],
        "certificate_verify",
        *ClientPeer12.places[2:],
    )
    engine_config: ClassVar = replace(
        ClientPeer12.engine_config, client_auth="required", client_trust=authority.trust
    )
    has_certificate: ClassVar = True


AnyPeer12: TypeAlias = ServerPeer12 | ClientPeer12
