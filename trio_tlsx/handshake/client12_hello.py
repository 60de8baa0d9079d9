"""A client's processing of a TLS 1.2 ServerHello (RFC 5246 7.4.1.3)."""

from __future__ import annotations

from dataclasses import dataclass

from ..crypto.cipher_suites12 import CipherSuite12
from ..errors import AlertDescription, NegotiationError, ProtocolError
from ..messages.extensions import Extensions, ExtensionType
from ..messages.extensions12 import check_server_hello_extensions
from ..messages.handshake import ServerHello
from ..record.protection12 import Opener12
from ..sessions.client import Session
from . import steps12
from .alpn import selected_protocol
from .certificate_types import DEFAULTS, SelectedTypes, selected_types
from .client13_hello import Offer
from .record_sizes import accept_record_sizes
from .steps import Handshake

__all__ = ["Selection12", "process_server_hello"]

_E = ExtensionType


@dataclass(slots=True, eq=False)
class Selection12:
    """A server's selection in its ServerHello.

    Attributes:
        randoms: the random of the client and that of the server.
        session_id: the id that the server gives to the session; empty for none.
        extended_master_secret: whether both sides support it.
        alpn_protocol: the application protocol; None if none was selected.
        extensions: the extensions of the ServerHello.
        session: the session that the server resumes; None for a full handshake.
        types: the types of certificates.
    """

    suite: CipherSuite12
    randoms: tuple[bytes, bytes]
    session_id: bytes
    extended_master_secret: bool
    alpn_protocol: str | None
    extensions: Extensions
    session: Session | None
    types: SelectedTypes

    @property
    def ticket_promised(self) -> bool:
        """Whether the server will send a NewSessionTicket (RFC 5077 3.3)."""
        return _E.session_ticket in self.extensions


def process_server_hello(hs: Handshake, offer: Offer, answer: ServerHello) -> Selection12:
    """Check the ServerHello, and apply its extensions."""
    if offer.early_data is not None:
        # RFC 9846 E.3: it was sent under keys that this server does not have.
        raise ProtocolError(
            "the peer selected TLS 1.2, but the client sent early data for TLS 1.3",
            AlertDescription.protocol_version,
        )
    config, hello, extensions = offer.config, offer.hello, answer.extensions
    check_server_hello_extensions(extensions, hello.extensions)
    suite = selected_suite(offer, answer)
    session = resumed_session(offer, answer)
    if config.require_secure_renegotiation and _E.renegotiation_info not in extensions:
        raise NegotiationError(
            "this peer does not signal secure renegotiation (RFC 5746); to connect anyway, pass "
            "require_secure_renegotiation=False"
        )
    extended = steps12.check_extended_master_secret(config, extensions)
    if session is not None and not extended:
        # RFC 7627 5.3: the client stores only sessions with an extended master secret.
        raise NegotiationError(
            "the peer resumes a session without its extended master secret",
        )
    ours, length = config.record_size_limit, Opener12.type_length
    accept_record_sizes(hs, ours, hello.extensions, extensions, type_length=length)
    return Selection12(
        suite,
        (hello.random, answer.random),
        answer.legacy_session_id_echo,
        extended,
        selected_protocol(config, extensions),
        extensions,
        session,
        selected_types(config, extensions) if config.negotiates_types else DEFAULTS,
    )


def resumed_session(offer: Offer, answer: ServerHello) -> Session | None:
    """Return the session that the server resumes, if it does (RFC 5077 3.4).

    Raises:
        ProtocolError: the server resumes although no session was offered, or with another cipher
            suite than the session's.
    """
    echo = answer.legacy_session_id_echo
    if not echo or echo != offer.hello.legacy_session_id:
        return None
    session = offer.parameters.session12
    if session is None:
        # RFC 9846 E.4: the id is a random one, and no server of TLS 1.2 has a session of it.
        raise ProtocolError("the peer resumes a session that was not offered")
    if session.suite.code != answer.cipher_suite:
        raise ProtocolError(
            f"the peer resumes a session with another cipher suite ({answer.cipher_suite:#06x})"
        )
    return session


def selected_suite(offer: Offer, answer: ServerHello) -> CipherSuite12:
    if answer.legacy_compression_method != 0:
        raise ProtocolError("the peer chose a compression method")
    suite = offer.config.tls12.suite_table.get(answer.cipher_suite)
    if suite is None:
        raise ProtocolError(
            f"the peer chose a cipher suite ({answer.cipher_suite:#06x}) that was not offered for "
            "TLS 1.2"
        )
    return suite
