"""Alerts, and the exceptions that carry them."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cryptography import x509

__all__ = [
    "AlertDescription",
    "AlertReceived",
    "CertificateError",
    "ConfigError",
    "ECHRejected",
    "HandshakeShutdown",
    "InternalError",
    "NegotiationError",
    "ProtocolError",
    "TLSError",
    "Truncated",
]


class AlertDescription(enum.IntEnum):
    """The alerts of RFC 9846 6, and those of older versions that a peer may still send."""

    close_notify = 0
    unexpected_message = 10
    bad_record_mac = 20
    decryption_failed_RESERVED = 21
    record_overflow = 22
    decompression_failure_RESERVED = 30
    handshake_failure = 40
    no_certificate_RESERVED = 41
    bad_certificate = 42
    unsupported_certificate = 43
    certificate_revoked = 44
    certificate_expired = 45
    certificate_unknown = 46
    illegal_parameter = 47
    unknown_ca = 48
    access_denied = 49
    decode_error = 50
    decrypt_error = 51
    export_restriction_RESERVED = 60
    protocol_version = 70
    insufficient_security = 71
    internal_error = 80
    inappropriate_fallback = 86
    user_canceled = 90
    no_renegotiation_RESERVED = 100
    missing_extension = 109
    unsupported_extension = 110
    certificate_unobtainable_RESERVED = 111
    unrecognized_name = 112
    bad_certificate_status_response = 113
    bad_certificate_hash_value_RESERVED = 114
    unknown_psk_identity = 115
    certificate_required = 116
    general_error = 117
    no_application_protocol = 120
    ech_required = 121


class TLSError(Exception):
    """The TLS connection failed.

    Attributes:
        alert: the alert that ended the connection; None if there was none, such as after an end of
            the transport without ``close_notify``.
        refused_by: ``"us"`` if this side found the fault and ``alert`` is sent to the peer;
            ``"peer"`` if the peer found the fault and sent ``alert``; None otherwise.
    """

    def __init__(
        self,
        *args: object,
        alert: AlertDescription | None = None,
        refused_by: Literal["us", "peer"] | None = None,
    ) -> None:
        super().__init__(*args)
        self.alert: AlertDescription | None = alert
        self.refused_by: Literal["us", "peer"] | None = refused_by


class _Refusal(TLSError):
    """This side ends the connection and sends ``alert`` to the peer."""

    default_alert: AlertDescription

    def __init__(self, message: str, alert: AlertDescription | None = None) -> None:
        alert = self.default_alert if alert is None else alert
        super().__init__(message, alert=alert, refused_by="us")


class ProtocolError(_Refusal):
    """The peer violated the protocol."""

    default_alert: AlertDescription = AlertDescription.illegal_parameter


class NegotiationError(_Refusal):
    """The two sides have no version, algorithm, protocol or credentials in common."""

    default_alert: AlertDescription = AlertDescription.handshake_failure


class CertificateError(_Refusal):
    """This side rejects the peer's certificate.

    Attributes:
        certificate: the rejected certificate of the chain; None if the chain as a whole is
            rejected or if the peer sent no certificate.
    """

    default_alert: AlertDescription = AlertDescription.bad_certificate

    def __init__(
        self,
        message: str,
        alert: AlertDescription | None = None,
        *,
        certificate: x509.Certificate | None = None,
    ) -> None:
        super().__init__(message, alert)
        self.certificate: x509.Certificate | None = certificate


class ECHRejected(_Refusal):
    """The server completed the handshake without the encrypted ClientHello (RFC 9849 6.1.6).

    Nothing was sent over the connection. The server's name was not disclosed.

    Attributes:
        public_name: the name of the configuration, which the server was verified for.
        retry_configs: the server's current ECHConfigList, for one more try; None if it sent none,
            or if the server was not verified.
        is_disabled: whether the verified server has turned ECH off.
    """

    default_alert: AlertDescription = AlertDescription.ech_required

    def __init__(
        self,
        message: str,
        *,
        public_name: str,
        retry_configs: bytes | None = None,
        is_disabled: bool = False,
    ) -> None:
        super().__init__(message)
        self.public_name: str = public_name
        self.retry_configs: bytes | None = retry_configs
        self.is_disabled: bool = is_disabled


class InternalError(_Refusal):
    """A hook, a signer or the library itself failed; the original error is the ``__cause__``."""

    default_alert: AlertDescription = AlertDescription.internal_error


class AlertReceived(TLSError):
    """The peer ended the connection with a fatal alert."""

    def __init__(self, message: str, alert: AlertDescription | None) -> None:
        super().__init__(message, alert=alert, refused_by="peer")


class Truncated(TLSError):
    """The transport ended without ``close_notify``, so data may be missing (RFC 9846 6.1)."""


class HandshakeShutdown(TLSError):
    """The peer ended the connection in an orderly way before this side's handshake was complete.

    The peer sent ``close_notify`` (with or without ``user_canceled`` before it), or closed the
    transport before it had sent a single byte. After the handshake ``close_notify`` is a clean
    end.
    """

    def __init__(self, message: str, alert: AlertDescription | None = None) -> None:
        super().__init__(message, alert=alert, refused_by="peer")


class ConfigError(ValueError):
    """A configuration cannot work. It is raised when the configuration is created."""
