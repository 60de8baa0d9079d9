"""Decode the peer's alerts (RFC 9846 6)."""

from __future__ import annotations

from ..errors import AlertDescription, AlertReceived, ProtocolError

__all__ = ["FATAL", "WARNING", "alert_received", "decode_alert"]

WARNING, FATAL = 1, 2

_A = AlertDescription

#: The usual meaning of each alert, for the user who has to find the cause. "it" is the peer.
_MEANING = {
    _A.unexpected_message: "it received a message that it did not expect",
    _A.bad_record_mac: "it could not decrypt one of our records",
    _A.record_overflow: "it received a record that is longer than it accepts",
    _A.handshake_failure: "it accepts none of the parameters that we offer",
    _A.bad_certificate: "it could not parse or verify our certificate, or expected another name",
    _A.unsupported_certificate: "it does not support the type of our certificate",
    _A.certificate_revoked: "our certificate is revoked",
    _A.certificate_expired: "our certificate has expired, or is not valid yet by its clock",
    _A.certificate_unknown: "it rejects our certificate for a reason that has no alert",
    _A.illegal_parameter: "a value in one of our messages is not allowed",
    _A.unknown_ca: "it does not trust the CA that issued our certificate",
    _A.access_denied: "our certificate is valid, but it denies us access",
    _A.decode_error: "it could not parse one of our messages",
    _A.decrypt_error: "it could not verify our signature, Finished or PSK binder",
    _A.protocol_version: "it supports none of the versions that we offer",
    _A.insufficient_security: "it requires stronger parameters than we offer",
    _A.internal_error: "it failed for a reason of its own",
    _A.missing_extension: "one of our messages lacks a mandatory extension",
    _A.unsupported_extension: "we sent an extension that it did not offer",
    _A.unrecognized_name: "it has no server with the name that we requested",
    _A.unknown_psk_identity: "it has no pre-shared key with our identity",
    _A.certificate_required: "it requires a client certificate, and we had none that it accepts",
    _A.no_application_protocol: "it supports none of the ALPN protocols that we offer",
}


#: The alerts that TLS 1.2 servers send instead of certificate_required (RFC 5246 7.4.6).
_REFUSALS_OF_NO_CERTIFICATE = {_A.handshake_failure, _A.bad_certificate}


def decode_alert(content: bytes) -> AlertDescription | int:
    """Decode an alert record, and return its description; TLS 1.3 ignores the level.

    Returns:
        The description, or its number if it is unknown.

    Raises:
        ProtocolError: the record is not exactly one alert (``decode_error``).
    """
    if len(content) != 2:
        raise ProtocolError(
            f"the peer's alert has {len(content)} bytes instead of 2", _A.decode_error
        )
    try:
        return AlertDescription(content[1])
    except ValueError:
        return content[1]  # RFC 9846 6: an unknown alert is an error alert


def alert_received(
    description: AlertDescription | int, *, without_certificate: bool = False
) -> AlertReceived:
    """Return the exception for an error alert.

    Args:
        description: the description of the alert, or its number if it is unknown.
        without_certificate: the server requested a certificate, and this client sent none.
    """
    if not isinstance(description, AlertDescription):
        return AlertReceived(f"the peer sent the unknown alert {description}", None)
    sentence = f"the peer sent the alert {description.name}"
    meant = description
    if without_certificate and description in _REFUSALS_OF_NO_CERTIFICATE:
        meant = _A.certificate_required
    if meaning := _MEANING.get(meant):
        sentence += f": {meaning}"
    return AlertReceived(sentence, description)
