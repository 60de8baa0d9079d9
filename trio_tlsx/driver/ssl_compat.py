"""The attributes of :class:`trio.SSLStream`, on both engines."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Literal, cast, overload

from ..config.client import ClientConfig
from ..config.server import ServerConfig
from ..engine.interface import Engine
from ..engine.ssl_object import ConnectionNames
from ..sessions.client import Session
from .driver import Driver

__all__ = ["SSLNames"]


class SSLNames:
    """The names that :class:`trio.SSLStream` takes over from :class:`ssl.SSLObject`.

    With an :class:`ssl.SSLContext` they return what the stdlib returns; otherwise the same facts
    in the same format. ``negotiated`` has more. A result of the handshake raises
    :exc:`trio.NeedHandshakeError` before the handshake is complete; over anyio
    :exc:`RuntimeError`.
    """

    _engine: Engine
    _driver: Driver

    @property
    def context(self) -> ClientConfig | ServerConfig | ssl.SSLContext:
        """The configuration of this stream.

        Before the handshake you may replace an :class:`ssl.SSLContext` by another one. The other
        two kinds cannot be replaced (:exc:`AttributeError`).
        """
        return self._engine.ssl_object.context

    @context.setter
    def context(self, context: ssl.SSLContext) -> None:
        cast("ssl.SSLObject", self._engine.ssl_object).context = context

    @property
    def server_hostname(self) -> str | None:
        """The server that a client connects to, as ASCII (IDNA 2008); None on a server."""
        return self._engine.ssl_object.server_hostname

    @property
    def session(self) -> Session | ssl.SSLSession | None:
        """The session that a later connection can resume.

        On a native client this is the newest :class:`Session`; None before a ticket has come.
        :meth:`~TLSStream.wait_session_ticket` waits for one. The session store keeps it for the
        next connection. With an :class:`ssl.SSLContext` this is the stdlib's session, which may be
        set before the handshake.
        """
        return self._engine.ssl_object.session

    @session.setter
    def session(self, session: Session | ssl.SSLSession) -> None:
        cast("ssl.SSLObject", self._engine.ssl_object).session = cast("ssl.SSLSession", session)

    def pending(self) -> int:
        """Return how many decrypted bytes wait for :meth:`~TLSStream.receive_some`."""
        return self._engine.pending()

    @property
    def session_reused(self) -> bool:
        """Whether the handshake resumed an earlier session."""
        return bool(self._settled("session_reused").session_reused)

    @overload
    def getpeercert(self, binary_form: Literal[False] = False) -> dict[str, Any] | None: ...
    @overload
    def getpeercert(self, binary_form: Literal[True]) -> bytes | None: ...
    @overload
    def getpeercert(self, binary_form: bool) -> dict[str, Any] | bytes | None: ...
    def getpeercert(self, binary_form: bool = False) -> dict[str, Any] | bytes | None:
        """Return the peer's certificate.

        Args:
            binary_form: return DER instead of a dict.

        Returns:
            None if the peer sent no certificate. The dict is empty if it was not verified.
        """
        return self._settled("getpeercert").getpeercert(binary_form)

    def cipher(self) -> tuple[str, str, int] | None:
        """Return the cipher suite's name, the version of TLS, and the number of secret bits."""
        return self._settled("cipher").cipher()

    def group(self) -> str | None:
        """Return the name of the key exchange group, such as ``"X25519MLKEM768"``.

        Returns:
            None if there was no key exchange.

        Raises:
            NotImplementedError: with an :class:`ssl.SSLContext`, before Python 3.15.
        """
        return self._of_python_3_15("group")

    def client_sigalg(self) -> str | None:
        """Return the signature scheme with which the client authenticated itself.

        Returns:
            None if the client sent no certificate in this handshake, or resumed a session.

        Raises:
            NotImplementedError: with an :class:`ssl.SSLContext`, before Python 3.15.
        """
        return self._of_python_3_15("client_sigalg")

    def server_sigalg(self) -> str | None:
        """Return the signature scheme with which the server authenticated itself.

        Returns:
            None if the server sent no certificate in this handshake, as when it resumed a session.

        Raises:
            NotImplementedError: with an :class:`ssl.SSLContext`, before Python 3.15.
        """
        return self._of_python_3_15("server_sigalg")

    def shared_ciphers(self) -> list[tuple[str, str, int]] | None:
        """Return the cipher suites of both sides, in the client's order, in :meth:`cipher`'s form.

        Returns:
            None on a client.
        """
        shared = self._settled("shared_ciphers").shared_ciphers()
        # Before Python 3.11.3 the stdlib returns a list on a client too (cpython gh-96931).
        return shared if self._engine.server_side else None

    def compression(self) -> str | None:
        """Return None: nothing is compressed."""
        return self._settled("compression").compression()

    def selected_alpn_protocol(self) -> str | None:
        """Return the application protocol (RFC 7301), None if none was negotiated."""
        return self._settled("selected_alpn_protocol").selected_alpn_protocol()

    def selected_npn_protocol(self) -> None:
        """Return None, as in the stdlib: ALPN has replaced NPN."""
        self._settled("selected_npn_protocol")

    def version(self) -> str | None:
        """Return the version of TLS: ``"TLSv1.3"``."""
        return self._settled("version").version()

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        """Return a value that identifies this connection to an authentication protocol above.

        Args:
            cb_type: with an :class:`ssl.SSLContext` the stdlib has ``"tls-unique"`` alone;
                natively it is ``"tls-exporter"`` (RFC 9266), ``"tls-server-end-point"``
                (RFC 5929 4), or in TLS 1.2 ``"tls-unique"`` (RFC 5929 3).

        Returns:
            The binding; None where it is not defined for this connection.

        Raises:
            ValueError: the binding does not exist; natively ``tls-unique`` does not exist in TLS
                1.3.
        """
        return self._settled("get_channel_binding").get_channel_binding(cb_type)

    def verify_client_post_handshake(self) -> None:
        """Request the client's certificate now. The request leaves with the next send.

        Raises:
            NotImplementedError: the stream is not over an :class:`ssl.SSLContext`.
            ssl.SSLError: the client did not offer to answer, or the version is older.
        """
        self._settled("verify_client_post_handshake").verify_client_post_handshake()

    def _of_python_3_15(self, name: str) -> str | None:
        method: Callable[[], str | None] | None = getattr(self._settled(name), name, None)
        if method is None:
            raise NotImplementedError(
                f"this Python's ssl.SSLObject has no {name}(); it needs Python 3.15, or a "
                "ClientConfig or ServerConfig in place of the ssl.SSLContext"
            )
        return method()

    def _settled(self, name: str) -> ssl.SSLObject | ConnectionNames:
        if not self._engine.handshake_complete:
            raise self._driver.library.NeedHandshakeError(
                f"call do_handshake() before calling {name!r}"
            )
        return self._engine.ssl_object
