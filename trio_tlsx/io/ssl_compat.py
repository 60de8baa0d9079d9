"""The attributes of :class:`trio.SSLStream`, on both engines."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Literal, cast, overload

import trio

from ..config.client import ClientConfig
from ..config.server import ServerConfig
from ..engine.interface import Engine
from ..engine.ssl_object import ConnectionNames
from ..sessions.client import Session

__all__ = ["SSLNames"]


class SSLNames:
    """The names that :class:`trio.SSLStream` takes over from :class:`ssl.SSLObject`.

    With an :class:`ssl.SSLContext` they give what the stdlib gives; otherwise the same in the same
    shape. ``negotiated`` says more. What the handshake settles raises
    :exc:`trio.NeedHandshakeError` before it is over.
    """

    _engine: Engine

    @property
    def context(self) -> ClientConfig | ServerConfig | ssl.SSLContext:
        """The configuration that this stream was made with.

        Another :class:`ssl.SSLContext` may take the place of one before the handshake; the other
        two cannot be replaced (:exc:`AttributeError`).
        """
        return self._engine.ssl_object.context

    @context.setter
    def context(self, context: ssl.SSLContext) -> None:
        cast("ssl.SSLObject", self._engine.ssl_object).context = context

    @property
    def server_hostname(self) -> str | None:
        """Whom a client calls, as ASCII (IDNA 2008); None on a server."""
        return self._engine.ssl_object.server_hostname

    @property
    def session(self) -> Session | ssl.SSLSession | None:
        """What this connection can be resumed with later.

        Natively it is the newest :class:`Session`, on a client, and None before a ticket has come:
        :meth:`~TLSStream.wait_session_ticket` waits for one. It is in the session store as well,
        from where the next connection takes it. With an :class:`ssl.SSLContext` it is the
        stdlib's, which may be set before the handshake.
        """
        return self._engine.ssl_object.session

    @session.setter
    def session(self, session: Session | ssl.SSLSession) -> None:
        cast("ssl.SSLObject", self._engine.ssl_object).session = cast("ssl.SSLSession", session)

    def pending(self) -> int:
        """How many bytes have been decrypted and wait for :meth:`~TLSStream.receive_some`."""
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
        """The peer's certificate.

        Args:
            binary_form: as DER, not as a dict.

        Returns:
            None if the peer has sent none. The dict is empty if it was not verified.
        """
        return self._settled("getpeercert").getpeercert(binary_form)

    def cipher(self) -> tuple[str, str, int] | None:
        """The cipher suite: its name, the version of TLS, and the bits of its keys."""
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
        """None: nothing is compressed in TLS 1.3."""
        return self._settled("compression").compression()

    def selected_alpn_protocol(self) -> str | None:
        """The application protocol (RFC 7301), None if none was negotiated."""
        return self._settled("selected_alpn_protocol").selected_alpn_protocol()

    def selected_npn_protocol(self) -> None:
        """None, as in the stdlib: ALPN has taken the place of NPN."""
        self._settled("selected_npn_protocol")

    def version(self) -> str | None:
        """The version of TLS: ``"TLSv1.3"``."""
        return self._settled("version").version()

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        """What names this connection to a protocol above that authenticates somebody.

        Args:
            cb_type: with an :class:`ssl.SSLContext` the stdlib has ``"tls-unique"`` alone;
                natively it is ``"tls-exporter"`` (RFC 9266) or ``"tls-server-end-point"``
                (RFC 5929 4).

        Returns:
            The binding, None where it is not defined for this connection.

        Raises:
            ValueError: there is no such binding; natively for ``tls-unique``, which is not
                defined for TLS 1.3.
        """
        return self._settled("get_channel_binding").get_channel_binding(cb_type)

    def verify_client_post_handshake(self) -> None:
        """Ask the client for its certificate now, which leaves with the next send.

        Raises:
            NotImplementedError: not with an :class:`ssl.SSLContext`.
            ssl.SSLError: the client has not said that it would answer, or the version is older.
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
            raise trio.NeedHandshakeError(f"call do_handshake() before calling {name!r}")
        return self._engine.ssl_object
