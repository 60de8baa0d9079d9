"""Python's ``ssl``: the OpenSSL that Python was built with."""

from __future__ import annotations

import re
import socket
import ssl
from typing import Any, ClassVar

from library_peer import LibraryPeer
from peer import (
    CannotDoThat,
    Inabilities,
    Inability,
    Part,
    Role,
    inabilities_of_openssl,
)

from trio_tlsx.errors import AlertDescription

#: What OpenSSL says of an alert that it got; the prefix depends on the alert's age. The stdlib's
#: own ``reason`` is None for newer ones.
ALERT = re.compile(r"(?:sslv3|tlsv1|tlsv13|ssl/tls)(?: alert)? ([a-z ]+) \(")

FIRST_PYTHON_WITH_PSKS = (3, 13)

NO_KEY_UPDATE = Inability("it answers a KeyUpdate, and cannot begin with one", CannotDoThat)

NO_STAPLES = Inability("it has no API for OCSP responses", CannotDoThat)


class StdlibSession:
    errors = (OSError,)  # ssl.SSLError is one

    def __init__(
        self, sock: socket.socket, role: Role, part: Part, previous: StdlibSession | None
    ) -> None:
        self._context = previous._context if previous else make_context(role, part)
        self.socket = self._tls = self._context.wrap_socket(
            sock,
            server_side=role == "server",
            server_hostname=part.server_name,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,  # so that only close_notify looks like the end
            session=previous._resumable if previous and role == "client" else None,
        )
        self._resumable: ssl.SSLSession | None = None

    def handshake(self) -> None:
        self._tls.do_handshake()

    def receive(self, max_bytes: int) -> bytes:
        return self._tls.recv(max_bytes)

    def send(self, data: bytes) -> None:
        self._tls.sendall(data)

    def update_keys(self) -> None:
        raise NotImplementedError

    def export(self, label: str, length: int) -> bytes:
        raise NotImplementedError

    @property
    def resumed(self) -> bool:
        return bool(self._tls.session_reused)

    def close(self) -> bool:
        self._resumable = self._tls.session  # which is gone behind it
        self._tls.unwrap()
        return True

    def alert_in(self, error: Exception) -> AlertDescription | None:
        match = ALERT.search(str(error))
        return AlertDescription[match[1].replace(" ", "_")] if match else None


def make_context(role: Role, part: Part) -> ssl.SSLContext:
    context = ssl.SSLContext(
        ssl.PROTOCOL_TLS_SERVER if role == "server" else ssl.PROTOCOL_TLS_CLIENT
    )
    if part.credentials:
        context.load_cert_chain(*part.credentials)
    if part.trust:
        context.load_verify_locations(part.trust)
        context.verify_mode = ssl.CERT_REQUIRED
    if part.group:
        context.set_ecdh_curve(part.group)
    if part.alpn_protocols:
        context.set_alpn_protocols(list(part.alpn_protocols))
    if part.tls12_only:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if part.session_ids:
        context.options |= ssl.OP_NO_TICKET
    if part.tickets is not None:
        context.num_tickets = part.tickets
    if part.psk:
        use_psk(context, role, *part.psk[:2])
        if not part.trust:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
    return context


def use_psk(context: Any, role: Role, identity: str, key: bytes) -> None:
    """From Python 3.13 on an SSLContext takes keys; OpenSSL has SHA-256 for the hash."""

    def find(name: str | None) -> bytes:
        return key if name == identity else b""

    def offer(_hint: str | None) -> tuple[str, bytes]:
        return identity, key

    if role == "server":
        context.set_psk_server_callback(find)
    else:
        context.set_psk_client_callback(offer)


class StdlibPeer(LibraryPeer):
    name = "ssl"

    cannot: ClassVar[Inabilities] = {
        ("server", "cookie"): Inability("it has no API for a server's cookies", CannotDoThat),
        ("client", "export"): Inability("it exports no keying material", CannotDoThat),
        ("server", "export"): Inability("it exports no keying material", CannotDoThat),
        ("client", "staple"): NO_STAPLES,
        ("server", "staple"): NO_STAPLES,
        ("client", "update keys"): NO_KEY_UPDATE,
        ("server", "update keys"): NO_KEY_UPDATE,
        **inabilities_of_openssl(ssl.OPENSSL_VERSION_INFO, ssl.SSLError),
    }

    def check(self, part: Part) -> None:
        super().check(part)
        if part.exports or part.updates_keys or part.staple:
            raise CannotDoThat

    def session(self, sock: socket.socket, role: Role, part: Part, previous: Any) -> StdlibSession:
        return StdlibSession(sock, role, part, previous)
