"""The extensions of the hellos of TLS 1.2."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial

from ..errors import AlertDescription, ProtocolError
from .certificate_types import decode_certificate_type
from .codec import whole_vector
from .extensions import (
    GREASE,
    Context,
    Extensions,
    ExtensionType,
    check_context,
    check_empty,
    decode_alpn,
    decode_max_fragment_length,
    decode_timestamps,
    decode_uint16,
    decode_uint16_list,
    extension_name,
)

__all__ = [
    "INITIAL_CONNECTION",
    "POINT_FORMATS",
    "check_client_hello_extensions",
    "check_server_hello_extensions",
]

#: An ec_point_formats with the only format in use, uncompressed (RFC 8422 5.1.2).
POINT_FORMATS = b"\x01\x00"
UNCOMPRESSED = 0

#: A renegotiation_info of the first handshake of a connection (RFC 5746 3.2).
INITIAL_CONNECTION = b"\x00"


def check_point_formats(octets: bytes) -> None:
    """Check that the peer's points may be uncompressed (RFC 8422 5.1.2)."""
    formats = whole_vector(octets, "ec_point_formats", 1, minimum=1)
    if UNCOMPRESSED not in formats:
        raise ProtocolError("the peer's ec_point_formats lacks the uncompressed format")


def check_renegotiation_info(octets: bytes) -> None:
    """Check that the peer means the first handshake of a connection (RFC 5746 3.4, 3.6)."""
    if whole_vector(octets, "renegotiation_info", 1):
        raise ProtocolError(
            "the peer's renegotiation_info names an earlier handshake, but this is the first",
            AlertDescription.handshake_failure,
        )


_E = ExtensionType

_EITHER: Mapping[int, Callable[[bytes], object]] = {
    _E.ec_point_formats: check_point_formats,
    _E.extended_master_secret: partial(check_empty, what="extended_master_secret"),
    _E.renegotiation_info: check_renegotiation_info,
}

#: The extensions that a ServerHello may have, with their decoders.
_IN_SERVER_HELLO: Mapping[int, Callable[[bytes], object]] = {
    **_EITHER,
    _E.server_name: partial(check_empty, what="server_name"),
    _E.max_fragment_length: decode_max_fragment_length,
    _E.status_request: partial(check_empty, what="status_request"),
    _E.application_layer_protocol_negotiation: decode_alpn,
    _E.signed_certificate_timestamp: decode_timestamps,
    _E.client_certificate_type: partial(decode_certificate_type, what="client_certificate_type"),
    _E.server_certificate_type: partial(decode_certificate_type, what="server_certificate_type"),
    _E.record_size_limit: partial(decode_uint16, what="record_size_limit"),
    _E.session_ticket: partial(check_empty, what="session_ticket"),
    # RFC 8422 5.2 does not have it here, but some load balancers send it; it has no meaning.
    _E.supported_groups: partial(decode_uint16_list, what="supported_groups"),
}


def check_client_hello_extensions(extensions: Extensions) -> None:
    """Check that the extensions of a ClientHello can be decoded.

    Raises:
        ProtocolError: an extension is malformed, or its value is not allowed.
    """
    check_context(extensions, Context.CH)
    for extension, decode in _EITHER.items():
        if (body := extensions.get(extension)) is not None:
            decode(body)


def check_server_hello_extensions(extensions: Extensions, requested: Collection[int]) -> None:
    """Check that a ServerHello may have its extensions, and that they can be decoded.

    Args:
        requested: the extensions of our ClientHello.

    Raises:
        ProtocolError: ``unsupported_extension`` for an answer to an extension that was not
            requested, or that TLS 1.2 does not answer here (RFC 5246 7.4.1.4).
    """
    for extension, body in extensions.items():
        check = _IN_SERVER_HELLO.get(extension)
        if check is None or extension not in requested or extension in GREASE:
            raise ProtocolError(
                f"the peer answered {extension_name(extension)}, which was not offered",
                AlertDescription.unsupported_extension,
            )
        check(body)
