"""OpenSSL 4, as it comes with ``cryptography``, through pyOpenSSL."""

from __future__ import annotations

import socket
import struct
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric import ec
from library_peer import LibraryPeer
from OpenSSL import SSL, _util
from peer import (
    SAFETY_NET,
    CannotDoThat,
    Inabilities,
    Inability,
    Part,
    Role,
    inabilities_of_openssl,
)

from trio_tlsx.errors import AlertDescription

CURVES: dict[str, ec.EllipticCurve] = {"secp256r1": ec.SECP256R1(), "secp384r1": ec.SECP384R1()}

# What pyOpenSSL itself calls; it has no name of its own for the check of a host name.
_lib: Any = _util.lib

NO_KEY_UPDATE = Inability("it answers a KeyUpdate, and cannot begin with one", CannotDoThat)


def openssl_version() -> tuple[int, ...]:
    """Of the OpenSSL that ``cryptography`` was built with."""
    number = SSL.OPENSSL_VERSION_NUMBER
    return number >> 28, number >> 20 & 0xFF


class PyOpenSSLSession:
    errors = (SSL.Error,)

    def __init__(
        self, sock: socket.socket, role: Role, part: Part, previous: PyOpenSSLSession | None
    ) -> None:
        context = previous._tls.get_context() if previous else self._context(role, part)
        self.socket = sock
        self._alert: AlertDescription | None = None
        # A timeout of Python's makes the descriptor non-blocking, which OpenSSL would see.
        sock.settimeout(None)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", SAFETY_NET, 0))
        self._tls = SSL.Connection(context, sock)
        self._tls.set_app_data(self)
        if role == "server":
            self._tls.set_accept_state()
        else:
            self._tls.set_connect_state()
            if previous and (session := previous._tls.get_session()):
                self._tls.set_session(session)
            if part.staple:
                self._tls.request_ocsp()
        if part.server_name:
            name = part.server_name.encode()
            self._tls.set_tlsext_host_name(name)
            parameters = _lib.SSL_get0_param(self._tls._ssl)  # pyright: ignore
            _lib.X509_VERIFY_PARAM_set1_host(parameters, name, len(name))

    def _context(self, role: Role, part: Part) -> SSL.Context:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_info_callback(
            lambda connection, where, value: connection.get_app_data()._note(where, value)
        )
        if part.credentials:
            chain, key = part.credentials
            context.use_certificate_chain_file(chain)
            context.use_privatekey_file(key)
        if part.trust:
            context.load_verify_locations(part.trust)
            mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
            context.set_verify(mode, lambda _, __, ___, ____, ok: bool(ok))
        if part.group:
            context.set_tmp_ecdh(CURVES[part.group])
        if part.alpn_protocols:
            protocols = [name.encode() for name in part.alpn_protocols]
            context.set_alpn_protos(protocols)
            context.set_alpn_select_callback(
                lambda _, offered: next((p for p in protocols if p in offered), b"")
            )
        if part.tls12_only:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
        if part.staple:
            response = part.staple.read_bytes()
            if role == "server":
                context.set_ocsp_server_callback(lambda _, __: response)
            else:
                context.set_ocsp_client_callback(lambda _, stapled, __: stapled == response)
        if part.session_ids:
            context.set_options(SSL.OP_NO_TICKET)
            context.set_session_id(b"peer")
        return context

    def _note(self, where: int, value: int) -> None:
        if where == SSL.SSL_CB_READ_ALERT:
            self._alert = AlertDescription(value & 0xFF)

    def handshake(self) -> None:
        self._tls.do_handshake()

    def receive(self, max_bytes: int) -> bytes:
        try:
            return self._tls.recv(max_bytes)
        except SSL.ZeroReturnError:
            return b""

    def send(self, data: bytes) -> None:
        self._tls.sendall(data)

    def update_keys(self) -> None:
        raise NotImplementedError

    def export(self, label: str, length: int) -> bytes:
        return self._tls.export_keying_material(label.encode(), length)

    @property
    def resumed(self) -> bool:
        return bool(_lib.SSL_session_reused(self._tls._ssl))  # pyright: ignore

    def close(self) -> bool:
        return self._tls.shutdown() or self._tls.shutdown()

    def alert_in(self, error: Exception) -> AlertDescription | None:
        return self._alert


class PyOpenSSLPeer(LibraryPeer):
    name = "pyopenssl"
    cannot: ClassVar[Inabilities] = {
        ("server", "cookie"): Inability("pyOpenSSL has cookies for DTLS only", CannotDoThat),
        ("server", "count tickets"): Inability("it has no name for their number", CannotDoThat),
        ("client", "update keys"): NO_KEY_UPDATE,
        ("server", "update keys"): NO_KEY_UPDATE,
        **inabilities_of_openssl(openssl_version(), SSL.Error),
    }

    def check(self, part: Part) -> None:
        super().check(part)
        if part.updates_keys or part.tickets is not None:
            raise CannotDoThat

    def session(
        self, sock: socket.socket, role: Role, part: Part, previous: Any
    ) -> PyOpenSSLSession:
        return PyOpenSSLSession(sock, role, part, previous)
