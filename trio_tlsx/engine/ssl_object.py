"""A view of a connection with the attributes of :class:`ssl.SSLObject`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from ..config.client import ClientConfig
from ..config.server import ServerConfig
from ..crypto.cipher_suites import CipherSuite
from ..handshake.established import Established
from ..sessions.client import Session

__all__ = ["ConnectionNames"]


class ConnectionNames:
    """The attributes and methods of :class:`ssl.SSLObject` that describe a connection.

    ``context``, ``server_hostname`` and ``session`` are available at any time, the others only
    after the handshake.
    """

    def __init__(
        self,
        config: ClientConfig | ServerConfig,
        server_hostname: str | None,
        established: Callable[[], Established],
        channel_binding: Callable[[str], bytes | None],
        session: Session | None,
    ) -> None:
        self._config = config
        self.server_hostname = server_hostname
        self._established = established
        self._channel_binding = channel_binding
        self._session = session

    @property
    def context(self) -> ClientConfig | ServerConfig:
        return self._config

    @context.setter
    def context(self, context: object) -> None:
        raise AttributeError("a configuration cannot be replaced: make another stream with it")

    @property
    def session(self) -> Session | None:
        return self._session

    @session.setter
    def session(self, session: object) -> None:
        raise AttributeError("only a stream that was made with an ssl.SSLContext takes a session")

    @property
    def session_reused(self) -> bool:
        return self._established().negotiated.resumed

    def getpeercert(self, binary_form: bool = False) -> dict[str, Any] | bytes | None:
        chain = self._established().negotiated.peer_certificates
        if not chain:
            return None
        if binary_form:
            return chain[0].public_bytes(Encoding.DER)
        if isinstance(self._config, ClientConfig) and self._config.insecure_skip_verification:
            return {}  # as in the stdlib, since the certificate was not verified
        from .certificate_dict import certificate_dict  # only getpeercert() needs it

        return certificate_dict(chain[0])

    def cipher(self) -> tuple[str, str, int]:
        return cipher_tuple(self._established().suite)

    def group(self) -> str | None:
        return self._established().negotiated.group

    def client_sigalg(self) -> str | None:
        return self._signature_scheme(of_server=False)

    def server_sigalg(self) -> str | None:
        return self._signature_scheme(of_server=True)

    def _signature_scheme(self, *, of_server: bool) -> str | None:
        established = self._established()
        if of_server is isinstance(self._config, ServerConfig):
            scheme = established.own_signature_scheme
            return None if scheme is None else scheme.name
        negotiated = established.negotiated
        return None if negotiated.resumed else negotiated.signature_scheme

    def shared_ciphers(self) -> list[tuple[str, str, int]] | None:
        shared = self._established().shared_suites
        return None if shared is None else list(map(cipher_tuple, shared))

    def compression(self) -> None:
        return None  # RFC 9846 4.2.2

    def selected_alpn_protocol(self) -> str | None:
        return self._established().negotiated.alpn_protocol

    def version(self) -> str:
        return self._established().negotiated.version

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        return self._channel_binding(cb_type)

    def verify_client_post_handshake(self) -> None:
        raise NotImplementedError(
            "certificates are asked for in the handshake only (ServerConfig.client_auth), not "
            "after it (RFC 9846 4.7.2)"
        )


def cipher_tuple(suite: CipherSuite) -> tuple[str, str, int]:
    return suite.openssl_name, suite.protocol, 8 * suite.key_length
