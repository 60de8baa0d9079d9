"""TLS for trio: a stream over a sans-IO engine.

The first use of a public name imports its module (PEP 562), so a program starts without the
modules that it does not use. ``from trio_tlsx import TLSStream`` is a use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from trio import NeedHandshakeError

    from .config.client import ClientConfig
    from .config.events import (
        ConnectionClosed,
        ConnectionEvent,
        HandshakeCompleted,
        HandshakeFailed,
        KeysUpdated,
        TicketReceived,
        TicketsSent,
    )
    from .config.key_log import key_log_from_environment
    from .config.server import ServerConfig
    from .crypto.signatures import SignatureScheme, schemes_for
    from .engine.connection import Connection
    from .errors import (
        AlertDescription,
        AlertReceived,
        CertificateError,
        ConfigError,
        ECHRejected,
        HandshakeShutdown,
        InternalError,
        NegotiationError,
        ProtocolError,
        TLSError,
        Truncated,
    )
    from .handshake.questions import (
        AntiReplayWanted,
        ClientCredentialsWanted,
        CredentialsWanted,
        ECHConfigsWanted,
        OCSPResponseWanted,
        PSKWanted,
        SessionReceived,
        SessionWanted,
        SignatureWanted,
        TicketIssued,
        TicketWanted,
        VerificationWanted,
    )
    from .handshake.wants import Question, Want
    from .io.listener import (
        TLSListener,
        handshake_first,
        open_tls_over_tcp_listeners,
        open_tls_over_tcp_stream,
        serve_tls_over_tcp,
    )
    from .io.proxy_header import ProxyHeader
    from .io.proxy_protocol import ProxiedStream, ProxyProtocolListener
    from .io.stapling import RefreshingStaple
    from .io.stream import TLSStream
    from .messages.certificate_types import CertificateType
    from .messages.info import CertificateRequest, ClientHello
    from .pki.compression import CertificateCompressor
    from .pki.credentials import Credentials, PrivateKeySigner, Signer
    from .pki.ech import ECHKey
    from .pki.ech_keys import ECHKeys
    from .pki.identity import Identity
    from .pki.negotiated import Negotiated
    from .pki.peer import Peer
    from .pki.pinning import pin_spki, spki_pin
    from .pki.public_keys import RawPublicKey
    from .pki.reloading import ReloadingCredentials
    from .pki.revocation import check_crl, check_stapled_ocsp
    from .pki.trust import TrustStore
    from .processes.pool import WorkerError
    from .processes.serving import serve_in_processes
    from .processes.supervisor import Supervisor
    from .processes.worker import Worker
    from .sessions.anti_replay import AntiReplayCache, MemoryAntiReplayCache
    from .sessions.client import MemorySessionStore, Session, SessionStore
    from .sessions.external_psk import ExternalPSK
    from .sessions.ticket_keys import TicketKeys
    from .sessions.ticket_store import MemoryTicketStore, TicketStore

__all__ = [
    "AlertDescription",
    "AlertReceived",
    "AntiReplayCache",
    "AntiReplayWanted",
    "CertificateCompressor",
    "CertificateError",
    "CertificateRequest",
    "CertificateType",
    "ClientConfig",
    "ClientCredentialsWanted",
    "ClientHello",
    "ConfigError",
    "Connection",
    "ConnectionClosed",
    "ConnectionEvent",
    "Credentials",
    "CredentialsWanted",
    "ECHConfigsWanted",
    "ECHKey",
    "ECHKeys",
    "ECHRejected",
    "ExternalPSK",
    "HandshakeCompleted",
    "HandshakeFailed",
    "HandshakeShutdown",
    "Identity",
    "InternalError",
    "KeysUpdated",
    "MemoryAntiReplayCache",
    "MemorySessionStore",
    "MemoryTicketStore",
    "NeedHandshakeError",
    "Negotiated",
    "NegotiationError",
    "OCSPResponseWanted",
    "PSKWanted",
    "Peer",
    "PrivateKeySigner",
    "ProtocolError",
    "ProxiedStream",
    "ProxyHeader",
    "ProxyProtocolListener",
    "Question",
    "RawPublicKey",
    "RefreshingStaple",
    "ReloadingCredentials",
    "ServerConfig",
    "Session",
    "SessionReceived",
    "SessionStore",
    "SessionWanted",
    "SignatureScheme",
    "SignatureWanted",
    "Signer",
    "Supervisor",
    "TLSError",
    "TLSListener",
    "TLSStream",
    "TicketIssued",
    "TicketKeys",
    "TicketReceived",
    "TicketStore",
    "TicketWanted",
    "TicketsSent",
    "Truncated",
    "TrustStore",
    "VerificationWanted",
    "Want",
    "Worker",
    "WorkerError",
    "__version__",
    "check_crl",
    "check_stapled_ocsp",
    "handshake_first",
    "key_log_from_environment",
    "open_tls_over_tcp_listeners",
    "open_tls_over_tcp_stream",
    "pin_spki",
    "schemes_for",
    "serve_in_processes",
    "serve_tls_over_tcp",
    "spki_pin",
]

#: Where the public names are defined; the imports above, for what runs.
_NAMES = {
    "trio": "NeedHandshakeError",
    ".config.client": "ClientConfig",
    ".config.events": (
        "ConnectionClosed ConnectionEvent HandshakeCompleted HandshakeFailed KeysUpdated"
        " TicketReceived TicketsSent"
    ),
    ".config.key_log": "key_log_from_environment",
    ".config.server": "ServerConfig",
    ".crypto.signatures": "SignatureScheme schemes_for",
    ".engine.connection": "Connection",
    ".errors": (
        "AlertDescription AlertReceived CertificateError ConfigError ECHRejected"
        " HandshakeShutdown InternalError NegotiationError ProtocolError TLSError Truncated"
    ),
    ".handshake.questions": (
        "AntiReplayWanted ClientCredentialsWanted CredentialsWanted ECHConfigsWanted"
        " OCSPResponseWanted PSKWanted SessionReceived SessionWanted SignatureWanted"
        " TicketIssued TicketWanted VerificationWanted"
    ),
    ".handshake.wants": "Question Want",
    ".io.listener": (
        "TLSListener handshake_first open_tls_over_tcp_listeners open_tls_over_tcp_stream"
        " serve_tls_over_tcp"
    ),
    ".io.proxy_header": "ProxyHeader",
    ".io.proxy_protocol": "ProxiedStream ProxyProtocolListener",
    ".io.stapling": "RefreshingStaple",
    ".io.stream": "TLSStream",
    ".messages.certificate_types": "CertificateType",
    ".messages.info": "CertificateRequest ClientHello",
    ".pki.compression": "CertificateCompressor",
    ".pki.credentials": "Credentials PrivateKeySigner Signer",
    ".pki.ech": "ECHKey",
    ".pki.ech_keys": "ECHKeys",
    ".pki.identity": "Identity",
    ".pki.negotiated": "Negotiated",
    ".pki.peer": "Peer",
    ".pki.pinning": "pin_spki spki_pin",
    ".pki.public_keys": "RawPublicKey",
    ".pki.reloading": "ReloadingCredentials",
    ".pki.revocation": "check_crl check_stapled_ocsp",
    ".pki.trust": "TrustStore",
    ".processes.pool": "WorkerError",
    ".processes.serving": "serve_in_processes",
    ".processes.supervisor": "Supervisor",
    ".processes.worker": "Worker",
    ".sessions.anti_replay": "AntiReplayCache MemoryAntiReplayCache",
    ".sessions.client": "MemorySessionStore Session SessionStore",
    ".sessions.external_psk": "ExternalPSK",
    ".sessions.ticket_keys": "TicketKeys",
    ".sessions.ticket_store": "MemoryTicketStore TicketStore",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(module, __name__), name)
    globals()[name] = value  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
