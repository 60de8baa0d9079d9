"""Extensions: malformed bodies, and extensions of another message (RFC 9846 4.3)."""

from __future__ import annotations

import pytest
from engine_pairs import (
    established,
    failure_of,
    sealed,
)

from trio_tlsx.errors import AlertDescription, ProtocolError
from trio_tlsx.messages.extensions import Context, ExtensionType, check_context
from trio_tlsx.messages.handshake import NewSessionTicket, encode_message
from trio_tlsx.record.protection import ContentType

E = ExtensionType


# In hexadecimal: a body as it should be, and bodies that are not.
REQUESTS = {
    (Context.CH, E.server_name): ("000400000161", "000400000161ff", "0000", "00040000000061"),
    (Context.CH, E.status_request): ("0100000000", "01", "010000000000", "0100010000", ""),
    (Context.CH, E.application_layer_protocol_negotiation): ("00020161", "0000", "000100", "00"),
    (Context.CH, E.signed_certificate_timestamp): ("", "00"),
    (Context.CH, E.record_size_limit): ("4001", "", "40", "400100"),
    (Context.CH, E.cookie): ("000161", "0000", "", "00016162"),
    (Context.CH, E.psk_key_exchange_modes): ("0101", "00", "", "010101"),
    (Context.CH, E.certificate_authorities): ("000300013a", "0000", "", "000300013a00"),
    (Context.CH, E.post_handshake_auth): ("", "00"),
    (Context.CH, E.signature_algorithms_cert): ("00020403", "0000", "000104", "0002040300"),
    (Context.CR, E.certificate_authorities): ("000300013a", "0000", "", "000300013a00"),
    (Context.CR, E.status_request): ("", "0100000000"),
    (Context.CR, E.signed_certificate_timestamp): ("", "00"),
    (Context.CR, E.signature_algorithms_cert): ("00020403", "0000", "000104", "0002040300"),
}


@pytest.mark.parametrize(("place", "bodies"), REQUESTS.items(), ids=str)
def test_malformed_extensions_of_a_request_are_rejected(
    place: tuple[Context, ExtensionType], bodies: tuple[str, ...]
) -> None:
    context, extension = place
    good, *malformed = map(bytes.fromhex, bodies)
    check_context({extension: good}, context)
    for body in malformed:
        with pytest.raises(ProtocolError) as refusal:
            check_context({extension: body}, context)
        assert refusal.value.alert is AlertDescription.decode_error


def test_ticket_with_an_extension_of_another_message_is_rejected() -> None:
    # RFC 9846 4.3
    client, server = established()
    ticket = NewSessionTicket(1, 2, b"n", b"t", {ExtensionType.key_share: b"\0\x1d"})
    client.receive_data(sealed(server, encode_message(ticket), ContentType.handshake))
    assert failure_of(client.read).alert is AlertDescription.illegal_parameter
