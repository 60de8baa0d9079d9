"""tlslite-ng: TLS in pure Python, with ML-KEM from kyber-py."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import socket
from typing import Any, ClassVar

import trio
from library_peer import LibraryPeer
from peer import CannotDoThat, Inabilities, Inability, Part, Role, without_mldsa
from tlslite.api import (
    HandshakeSettings,
    SessionCache,
    TLSConnection,
    X509CertChain,
    parsePEMKey,
)
from tlslite.constants import KeyUpdateMessageType
from tlslite.errors import TLSError, TLSRemoteAlert

from trio_tlsx.errors import AlertDescription

TLS12 = (3, 3)

TICKET_KEY = bytearray(32)

DOES_NOT_TELL = Inability("its close() takes any end for a close_notify", AssertionError)

ONLY_HYBRIDS = Inability("it has ML-KEM in hybrids only", trio.BrokenResourceError)

NO_STAPLES = Inability("it has no API for OCSP responses", CannotDoThat)


class TLSLiteSession:
    errors = (TLSError, OSError)

    def __init__(
        self, sock: socket.socket, role: Role, part: Part, previous: TLSLiteSession | None
    ) -> None:
        self._settings: Any = HandshakeSettings()
        # Its client compresses its certificate without having been offered that, too.
        self._settings.certificate_compression_send = ["zlib"] if part.compresses else []
        if part.group:
            self._settings.eccCurves = [part.group]
            self._settings.keyShares = [part.group]
            self._settings.dhGroups = []
        if part.key_share:
            self._settings.keyShares = [part.key_share]
        if part.tls12_only:
            self._settings.maxVersion = TLS12
        self._settings.sendFallbackSCSV = part.falls_back
        self._settings.ticketKeys = [] if part.session_ids else [TICKET_KEY]
        if part.tickets is not None:
            self._settings.ticket_count = part.tickets
        if part.psk:
            identity, key, digest = part.psk
            psk = bytearray(identity.encode()), bytearray(key), digest
            self._settings.pskConfigs = [psk]
        self._cache: Any = previous._cache if previous else SessionCache()
        self._resumes = previous._tls.session if previous else None
        self.socket = sock
        self._role = role
        self._part = part
        self._chain, self._key = None, None
        if part.credentials:
            chain, key = part.credentials
            self._chain = X509CertChain()
            self._chain.parsePemList(chain.read_text())
            self._key = parsePEMKey(key.read_text(), private=True)
        self._tls: Any = TLSConnection(sock)
        self._tls.closeSocket = False  # close() then waits for the other side's close_notify

    def handshake(self) -> None:
        alpn = [bytearray(name.encode()) for name in self._part.alpn_protocols] or None
        if self._role == "server":
            self._tls.handshakeServer(
                certChain=self._chain,
                privateKey=self._key,
                reqCert=self._part.trust is not None,
                settings=self._settings,
                alpn=alpn,
                sessionCache=self._cache if self._part.session_ids else None,
            )
        else:
            self._tls.handshakeClientCert(
                self._chain,
                self._key,
                session=self._resumes,
                settings=self._settings,
                serverName=self._part.server_name,
                alpn=alpn,
            )

    def receive(self, max_bytes: int) -> bytes:
        return self._tls.read(max_bytes, min=1)

    def send(self, data: bytes) -> None:
        self._tls.write(data)

    def update_keys(self) -> None:
        for _ in self._tls.send_keyupdate_request(KeyUpdateMessageType.update_requested):
            pass

    def export(self, label: str, length: int) -> bytes:
        return bytes(self._tls.keyingMaterialExporter(bytearray(label.encode()), length))

    @property
    def resumed(self) -> bool:
        return self._tls.resumed

    def close(self) -> bool:
        ended = self._tls.closed  # it has answered the other side's close_notify by itself
        self._tls.close()
        return ended

    def alert_in(self, error: Exception) -> AlertDescription | None:
        return AlertDescription(error.description) if isinstance(error, TLSRemoteAlert) else None


class TLSLitePeer(LibraryPeer):
    name = "tlslite"
    cannot: ClassVar[Inabilities] = {
        ("server", "cookie"): Inability("its server sends no cookies", CannotDoThat),
        ("client", "staple"): NO_STAPLES,
        ("server", "staple"): NO_STAPLES,
        ("client", "wrong CA"): Inability("it checks no chain", CannotDoThat),
        ("server", "wrong CA"): Inability("it checks no chain", CannotDoThat),
        ("client", "wrong name"): Inability("it checks no name", CannotDoThat),
        **without_mldsa("it has no ML-DSA", SyntaxError),
        ("client", "MLKEM768"): ONLY_HYBRIDS,
        ("server", "MLKEM768"): ONLY_HYBRIDS,
        ("client", "MLKEM1024"): ONLY_HYBRIDS,
        ("server", "MLKEM1024"): ONLY_HYBRIDS,
        # It takes a ticket that the server has forgotten for accepted, as those of a store are.
        ("client", "session ids"): Inability(
            "its client always has tickets", trio.BrokenResourceError
        ),
        ("client", "hear our answer"): DOES_NOT_TELL,
        ("server", "hear our answer"): DOES_NOT_TELL,
        ("server", "tell of resumption"): Inability(
            "its server says of every connection of TLS 1.3 that it is a new one", AssertionError
        ),
    }

    def check(self, part: Part) -> None:
        super().check(part)
        if part.refuses or part.staple:
            raise CannotDoThat

    def session(
        self, sock: socket.socket, role: Role, part: Part, previous: Any
    ) -> TLSLiteSession:
        return TLSLiteSession(sock, role, part, previous)
