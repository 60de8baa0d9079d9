"""Scripted peers that send early data, or accept it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from scripted_clients import ClientPeer
from scripted_peer import DATA, SERVER_NAME, SUITE, Deviation, authority, credentials
from scripted_servers import RetryingServerPeer, ServerPeer

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.crypto.key_schedule import EarlySecret
from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake.psk import Psk, with_psks
from trio_tlsx.handshake.resumption_server import ServerSession, ticket_context
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import (
    ClientHello,
    EncryptedExtensions,
    EndOfEarlyData,
    Finished,
    NewSessionTicket,
    ServerHello,
)
from trio_tlsx.record.protection import Opener, Sealer
from trio_tlsx.sessions.client import Session

SECRET = b"a secret of 32 octets, as it is."
MAX_EARLY_DATA = 1000


class EarlyClientPeer(ClientPeer):
    """Resumes a session of our server, and sends data early, which the server takes."""

    places: ClassVar = ("client_hello", "end_of_early_data", "finished", "key_update")
    engine_config: ClassVar = ServerConfig(
        credentials=credentials,
        groups=["x25519"],
        alpn_protocols=["h2"],
        max_early_data_size=MAX_EARLY_DATA,
    )

    def __init__(
        self, deviations: Mapping[str, Deviation], *, octet_by_octet: bool = False
    ) -> None:
        super().__init__(deviations, octet_by_octet=octet_by_octet)
        self.engine.accept_early_data()
        self.handshake_sealer: Sealer | None = None

    def first_hello(self) -> ClientHello:
        hello = super().first_hello()
        hello = replace(hello, extensions={**hello.extensions, E.early_data: b""})
        config, now = self.engine_config.parameters, datetime.datetime.now(datetime.UTC)
        session = ServerSession(
            SUITE, now, now, None, SECRET, b"h2", max_early_data_size=MAX_EARLY_DATA
        )
        context = ticket_context(config, credentials, hello)
        ticket = config.ticket_keys.seal(session.encode(), context)
        psk: Psk[None] = Psk(ticket, 0, SUITE, SECRET)
        return with_psks(hello, [psk], ())

    def script(self) -> None:
        self.step("client_hello", self.first_hello())
        self.transcript.start(SUITE)
        early_secret = EarlySecret(SUITE, SECRET)
        early_traffic = early_secret.client_early_traffic(self.transcript.digest())
        self.sealer = Sealer(SUITE, early_traffic)
        self.send_data()
        answer = self.hear(ServerHello)
        group, share = ext.decode_key_share_entry(answer.extensions[E.key_share])

        handshake_secret = early_secret.handshake_secret(self.shares[group].exchange(share))
        hello_hash = self.transcript.digest()
        self.opener = Opener(SUITE, handshake_secret.server_handshake_traffic(hello_hash))
        self.finished_key = handshake_secret.client_handshake_traffic(hello_hash)
        self.handshake_sealer = Sealer(SUITE, self.finished_key)

        assert E.early_data in self.hear(EncryptedExtensions).extensions
        self.hear(Finished)
        main_secret = handshake_secret.main_secret()
        finished_hash = self.transcript.digest()
        self.opener = Opener(SUITE, main_secret.server_application_traffic(finished_hash))
        self.send_data()
        self.step("end_of_early_data", EndOfEarlyData())
        self.sealer = self.handshake_sealer
        self.step("finished", self.finished())
        self.sealer = Sealer(SUITE, main_secret.client_application_traffic(finished_hash))
        self.after_the_handshake()


def early_client_config() -> ClientConfig:
    """Of a client that has one session with the server."""
    config = ClientConfig(trust=authority.trust, groups=["x25519", "P-256"], alpn_protocols=["h2"])
    now = datetime.datetime.now(datetime.UTC)
    session = Session(
        server_name=SERVER_NAME,
        port=None,
        context=b"",
        cipher_suite=SUITE.name,
        peer_certificates=tuple(credentials.chain),
        signature_scheme=SignatureScheme.ecdsa_secp256r1_sha256.name,
        verified_at=now,
        received_at=now,
        lifetime=3600,
        ticket=b"ticket",
        ticket_age_add=0,
        secret=SECRET,
        alpn_protocol="h2",
        max_early_data_size=MAX_EARLY_DATA,
    )
    assert config.parameters.session_store is not None
    config.parameters.session_store.put(session)
    return config


def early_engine() -> Connection:
    return Connection.client(early_client_config(), SERVER_NAME, early_data=DATA)


class EarlyServerPeer(ServerPeer):
    """Resumes a session with our client, and takes what that sends early."""

    places: ClassVar = (
        "server_hello",
        "encrypted_extensions",
        "finished",
        "new_session_ticket",
        "key_update",
    )

    def __init__(
        self, deviations: Mapping[str, Deviation], *, octet_by_octet: bool = False
    ) -> None:
        super().__init__(deviations, octet_by_octet=octet_by_octet)
        self.engine = early_engine()

    def script(self) -> None:
        self.hello = self.hear(ClientHello)
        self.transcript.start(SUITE)
        early_secret = EarlySecret(SUITE, SECRET)
        early_traffic = early_secret.client_early_traffic(self.transcript.digest())
        self.opener = Opener(SUITE, early_traffic)
        group, share = next(
            iter(ext.decode_key_shares(self.hello.extensions[E.key_share]).items())
        )
        own, shared_secret = GROUPS[group].respond(share)
        key_share = ext.encode_key_share_entry(group, own)
        answer: dict[int, bytes] = {E.key_share: key_share, E.pre_shared_key: b"\0\0"}
        self.step("server_hello", self.hello_of(b"r" * 32, answer))

        handshake_secret = early_secret.handshake_secret(shared_secret)
        hello_hash = self.transcript.digest()
        client_secret = handshake_secret.client_handshake_traffic(hello_hash)
        self.finished_key = handshake_secret.server_handshake_traffic(hello_hash)
        self.sealer = Sealer(SUITE, self.finished_key)
        alpn = {E.application_layer_protocol_negotiation: ext.encode_alpn([b"h2"])}
        self.step("encrypted_extensions", EncryptedExtensions({**alpn, E.early_data: b""}))
        self.step("finished", self.finished())

        main_secret = handshake_secret.main_secret()
        finished_hash = self.transcript.digest()
        self.sealer = Sealer(SUITE, main_secret.server_application_traffic(finished_hash))
        self.send_data()
        self.hear(EndOfEarlyData)
        self.opener = Opener(SUITE, client_secret)
        self.hear(Finished)
        self.opener = Opener(SUITE, main_secret.client_application_traffic(finished_hash))
        self.step("new_session_ticket", NewSessionTicket(3600, 1, b"", b"ticket", {}))
        self.after_the_handshake()


class EarlyFullServerPeer(ServerPeer):
    """Does not resume, and rejects the early data."""

    skips_early_data = True

    def __init__(
        self, deviations: Mapping[str, Deviation], *, octet_by_octet: bool = False
    ) -> None:
        super().__init__(deviations, octet_by_octet=octet_by_octet)
        self.engine = early_engine()


class EarlyRetryingServerPeer(RetryingServerPeer):
    """Wants another ClientHello, and so rejects the early data."""

    skips_early_data = True

    def __init__(
        self, deviations: Mapping[str, Deviation], *, octet_by_octet: bool = False
    ) -> None:
        super().__init__(deviations, octet_by_octet=octet_by_octet)
        self.engine = early_engine()
