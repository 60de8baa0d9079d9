"""Decode the peer's alerts (RFC 9846 6)."""

from __future__ import annotations

from ..errors import AlertDescription, AlertReceived, ProtocolError

__all__ = ["FATAL", "WARNING", "alert_received", "decode_alert"]

WARNING, FATAL = 1, 2

_A = AlertDescription

#: What an alert from the peer usually means, for whoever has to mend it.
_MEANING = {
    _A.unexpected_message: "it got a message that it did not expect",
    _A.bad_record_mac: "it could not open a record of ours",
    _A.record_overflow: "it got a record that was too long for it",
    _A.handshake_failure: "nothing that we offer is acceptable to it",
    _A.bad_certificate: "our certificate is not good for it",
    _A.unsupported_certificate: "our certificate is of a kind that it cannot use",
    _A.certificate_revoked: "our certificate is revoked",
    _A.certificate_expired: "our certificate has expired, or is not valid yet by its clock",
    _A.certificate_unknown: "our certificate is not acceptable to it",
    _A.illegal_parameter: "a value in one of our messages is not allowed",
    _A.unknown_ca: "it does not trust the CA that issued our certificate",
    _A.access_denied: "our certificate is valid, but we are not let in",
    _A.decode_error: "it could not parse one of our messages",
    _A.decrypt_error: "a signature, a Finished or a binder of ours did not verify",
    _A.protocol_version: "it does not speak TLS 1.3",
    _A.insufficient_security: "what we offer is too weak for it",
    _A.internal_error: "something failed on its side",
    _A.missing_extension: "one of our messages lacks an extension that it needs",
    _A.unsupported_extension: "it got an extension that it had not offered",
    _A.unrecognized_name: "it has no server of the name that we asked for",
    _A.unknown_psk_identity: "it does not know our pre-shared key",
    _A.certificate_required: "it wants a certificate from us, and we sent none",
    _A.no_application_protocol: "it has none of the ALPN protocols that we offer",
}


def decode_alert(content: bytes) -> AlertDescription | int:
    """The description in an alert record; its level says nothing in TLS 1.3.

    Raises:
        ProtocolError: it is not one alert.
    """
    if len(content) != 2:
        raise ProtocolError("the peer's alert is malformed", _A.decode_error)
    try:
        return AlertDescription(content[1])
    except ValueError:
        return content[1]  # RFC 9846 6: an unknown alert is an error alert


def alert_received(description: AlertDescription | int) -> AlertReceived:
    """The exception for an error alert."""
    if not isinstance(description, AlertDescription):
        return AlertReceived(f"the other side refused with the unknown alert {description}", None)
    sentence = f"the other side refused with the alert {description.name}"
    if meaning := _MEANING.get(description):
        sentence += f": {meaning}"
    return AlertReceived(sentence, description)
