"""Scripted peers of TLS 1.2 that staple, give tickets, or resume a session as a client."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import ClassVar

from scripted_peers12 import (
    CLIENT_RANDOM,
    SUITE_12,
    ClientPeer12,
    ServerPeer12,
)

from trio_tlsx.crypto.key_schedule12 import MasterSecret
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import ClientHello, Finished, ServerHello
from trio_tlsx.messages.handshake12 import NewSessionTicket12
from trio_tlsx.record.protection12 import Opener12, Sealer12
from trio_tlsx.sessions.client import Session
from trio_tlsx.sessions.ticket_keys import TicketKeys


class StaplingServerPeer12(ServerPeer12):
    """One that staples an OCSP response."""

    places: ClassVar = (*ServerPeer12.places[:2], "certificate_status", *ServerPeer12.places[2:])
    engine_config: ClassVar = replace(ServerPeer12.engine_config, ocsp_stapling=True)


class NoSession:
    """A store that stays empty."""

    def put(self, session: Session) -> None:
        """Drop it."""

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        return None


class TicketServerPeer12(ServerPeer12):
    """One that sends a ticket in a full handshake."""

    places: ClassVar = (*ServerPeer12.places[:4], "new_session_ticket", *ServerPeer12.places[4:])
    engine_config: ClassVar = replace(
        ServerPeer12.engine_config,
        resumption=True,
        session_store=NoSession(),
        session_context=b"test",
    )


class TicketClientPeer12(ClientPeer12):
    """One that accepts a ticket."""

    engine_config: ClassVar = replace(
        ClientPeer12.engine_config, ticket_keys=TicketKeys([bytes(32)])
    )
    ticket = b""

    def first_hello(self) -> ClientHello:
        hello = super().first_hello()
        return replace(hello, extensions={**hello.extensions, E.session_ticket: self.ticket})

    def hear_finished(self) -> None:
        self.ticket = self.hear(NewSessionTicket12).ticket
        super().hear_finished()


@cache
def known_session() -> tuple[bytes, bytes]:
    """A ticket of the engine's, and the master secret of its session."""
    peer = TicketClientPeer12({})
    peer.run()
    return peer.ticket, peer.secret.secret


class ResumingClientPeer12(TicketClientPeer12):
    """One that resumes a session."""

    places: ClassVar = ("client_hello", "change_cipher_spec", "finished", "application_data")

    def script(self) -> None:
        self.ticket, secret = known_session()
        self.step("client_hello", replace(self.first_hello(), legacy_session_id=b"id"))
        answer = self.hear(ServerHello)
        assert answer.legacy_session_id_echo == b"id"
        self.secret = MasterSecret(SUITE_12, secret, (CLIENT_RANDOM, answer.random))
        client_keys, server_keys = self.secret.traffic_keys()
        self.next_opener = Opener12(SUITE_12, server_keys)
        self.hear_finished()
        self.change_cipher_spec(Sealer12(SUITE_12, client_keys))
        self.step("finished", Finished(self.secret.client_finished(self.digest())))
        self.after_the_handshake()
