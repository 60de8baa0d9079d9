"""The application protocol of both roles (RFC 7301)."""

from __future__ import annotations

from collections.abc import Sequence

from ..config.client import ClientParameters
from ..config.server import ServerParameters
from ..errors import AlertDescription, NegotiationError, ProtocolError
from ..messages import extensions as ext
from ..messages.extensions import Extensions, ExtensionType
from ..messages.handshake import ClientHello
from ..pki.describe import quoted

__all__ = ["choose_protocol", "selected_protocol"]

_E = ExtensionType

#: An error names no more of a client's protocols.
MAX_PROTOCOLS_NAMED = 8


def choose_protocol(config: ServerParameters, hello: ClientHello) -> bytes | None:
    """Select the application protocol in the server's order of preference (RFC 7301 3.2)."""
    body = hello.extensions.get(_E.application_layer_protocol_negotiation)
    if body is None:
        return None
    offered = ext.decode_alpn(body)
    if not config.alpn_protocols:
        return None
    for protocol in config.alpn_protocols:
        if protocol in offered:
            return protocol
    raise NegotiationError(
        f"the client offers the ALPN protocols {_listed(offered)}, the server has only "
        f"{_listed(config.alpn_protocols)}",
        AlertDescription.no_application_protocol,
    )


def selected_protocol(config: ClientParameters, extensions: Extensions) -> str | None:
    """Return the protocol that the server selected; None if it selected none."""
    if (alpn := extensions.get(_E.application_layer_protocol_negotiation)) is None:
        return None
    protocols = ext.decode_alpn(alpn)
    if len(protocols) != 1:
        raise ProtocolError("the peer chose several ALPN protocols", AlertDescription.decode_error)
    if protocols[0] not in config.alpn_protocols:
        raise ProtocolError(
            f"the peer chose the ALPN protocol {_listed(protocols)}, which was not offered"
        )
    return protocols[0].decode("latin-1")


def _listed(protocols: Sequence[bytes]) -> str:
    names = ", ".join(quoted(each.decode("latin-1")) for each in protocols[:MAX_PROTOCOLS_NAMED])
    left = len(protocols) - MAX_PROTOCOLS_NAMED
    return f"{names} and {left} more" if left > 0 else names
