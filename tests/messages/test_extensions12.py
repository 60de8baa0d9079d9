"""The extensions of the hellos of TLS 1.2: which are allowed, and with which bodies."""

from __future__ import annotations

import pytest

from trio_tlsx.errors import AlertDescription, ProtocolError
from trio_tlsx.messages import extensions12
from trio_tlsx.messages.extensions import ExtensionType

A, E = AlertDescription, ExtensionType

#: A body that no peer may send in either hello, and the alert for it.
WRONG_BODIES = {
    "no point format": (E.ec_point_formats, b"\0", A.decode_error),
    "compressed points only": (E.ec_point_formats, b"\2\1\2", A.illegal_parameter),
    "half a list of point formats": (E.ec_point_formats, b"\2\0", A.decode_error),
    "extended_master_secret with a body": (E.extended_master_secret, b"\0", A.decode_error),
    "an earlier handshake": (E.renegotiation_info, b"\1x", A.handshake_failure),
    "renegotiation_info without a length": (E.renegotiation_info, b"", A.decode_error),
}

#: A body that a server may not send.
WRONG_ANSWERS = {
    "server_name with a body": (E.server_name, b"\0", A.decode_error),
    "status_request with a body": (E.status_request, b"\1\0\0\0\0", A.decode_error),
    "session_ticket with a body": (E.session_ticket, b"ticket", A.decode_error),
    "half a record_size_limit": (E.record_size_limit, b"\0", A.decode_error),
    "an unknown max_fragment_length": (E.max_fragment_length, b"\7", A.illegal_parameter),
    "timestamps without a list": (E.signed_certificate_timestamp, b"", A.decode_error),
    "ALPN without a list": (E.application_layer_protocol_negotiation, b"", A.decode_error),
}


def alert_of_client_hello(extension: int, body: bytes) -> AlertDescription | None:
    with pytest.raises(ProtocolError) as caught:
        extensions12.check_client_hello_extensions({extension: body})
    return caught.value.alert


def alert_of_server_hello(extension: int, body: bytes) -> AlertDescription | None:
    with pytest.raises(ProtocolError) as caught:
        extensions12.check_server_hello_extensions({extension: body}, {extension})
    return caught.value.alert


@pytest.mark.parametrize("name", WRONG_BODIES)
def test_wrong_bodies_are_rejected_in_both_hellos(name: str) -> None:
    extension, body, alert = WRONG_BODIES[name]
    assert alert_of_client_hello(extension, body) == alert
    assert alert_of_server_hello(extension, body) == alert


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_wrong_answers_are_rejected(name: str) -> None:
    extension, body, alert = WRONG_ANSWERS[name]
    assert alert_of_server_hello(extension, body) == alert


def test_the_usual_bodies_are_accepted() -> None:
    usual: dict[int, bytes] = {
        E.ec_point_formats: b"\3\2\1\0",  # OpenSSL's
        E.extended_master_secret: b"",
        E.renegotiation_info: b"\0",
    }
    extensions12.check_client_hello_extensions({**usual, E.session_ticket: b"a ticket"})
    extensions12.check_server_hello_extensions(usual, usual)
    groups: dict[int, bytes] = {E.supported_groups: b"\0\2\0\x1d"}  # of some load balancers
    extensions12.check_server_hello_extensions(groups, groups)


@pytest.mark.parametrize("extension", [E.key_share, E.early_data, 0x0A0A, 0x1234])
def test_answers_that_tls_1_2_does_not_have_are_rejected(extension: int) -> None:
    """RFC 5246 7.4.1.4, and RFC 8701 3.2 for a reserved value."""
    assert alert_of_server_hello(extension, b"") == A.unsupported_extension


def test_answers_that_were_not_requested_are_rejected() -> None:
    with pytest.raises(ProtocolError) as caught:
        extensions12.check_server_hello_extensions({E.session_ticket: b""}, ())
    assert caught.value.alert == A.unsupported_extension
