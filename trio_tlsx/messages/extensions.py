"""Decode and encode extensions, and check which message may carry them (RFC 9846 4.3)."""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import TypeAlias

from ..errors import AlertDescription, ProtocolError
from .certificate_types import decode_certificate_type, decode_certificate_types
from .codec import (
    Reader,
    opaque8,
    opaque16,
    opaque24,
    split_uint16s,
    uint8,
    uint16s,
    whole_vector,
)
from .ticket_request import decode_expected_tickets, decode_ticket_request

__all__ = ["GREASE", "Context", "ExtensionType", "Extensions", "check_context"]

OCSP = 1  # CertificateStatusType, RFC 6066 8

#: Reserved values without meaning, for each list of two-byte code points (RFC 8701 2).
GREASE = frozenset(0x0A0A + 0x1010 * number for number in range(16))

#: Extension bodies by code point, in the order in which they are sent.
Extensions: TypeAlias = Mapping[int, bytes]


class ExtensionType(enum.IntEnum):
    """The extensions that this implementation recognizes."""

    server_name = 0
    max_fragment_length = 1
    status_request = 5
    supported_groups = 10
    ec_point_formats = 11
    signature_algorithms = 13
    application_layer_protocol_negotiation = 16
    signed_certificate_timestamp = 18
    client_certificate_type = 19
    server_certificate_type = 20
    padding = 21
    extended_master_secret = 23
    compress_certificate = 27
    record_size_limit = 28
    tls_cert_with_extern_psk = 33
    session_ticket = 35
    pre_shared_key = 41
    early_data = 42
    supported_versions = 43
    cookie = 44
    psk_key_exchange_modes = 45
    certificate_authorities = 47
    oid_filters = 48
    post_handshake_auth = 49
    signature_algorithms_cert = 50
    key_share = 51
    ticket_request = 58
    encrypted_client_hello = 0xFE0D
    renegotiation_info = 0xFF01


#: RFC 6066 4: the record lengths that a client may request, in bytes, by their code.
MAX_FRAGMENT_LENGTHS = {1: 2**9, 2: 2**10, 3: 2**11, 4: 2**12}


class Context(enum.IntFlag):
    """The messages that carry extensions, under the abbreviations of RFC 9846 4.3."""

    CH = enum.auto()
    SH = enum.auto()
    HRR = enum.auto()
    EE = enum.auto()
    CT = enum.auto()
    CR = enum.auto()
    NST = enum.auto()


_E, _C = ExtensionType, Context

_ALLOWED: dict[int, Context] = {
    _E.server_name: _C.CH | _C.EE | _C.CR,
    _E.max_fragment_length: _C.CH | _C.EE,
    _E.status_request: _C.CH | _C.CR | _C.CT,
    _E.supported_groups: _C.CH | _C.EE,
    _E.signature_algorithms: _C.CH | _C.CR,
    _E.application_layer_protocol_negotiation: _C.CH | _C.EE,
    _E.signed_certificate_timestamp: _C.CH | _C.CR | _C.CT,
    _E.client_certificate_type: _C.CH | _C.EE,
    _E.server_certificate_type: _C.CH | _C.EE,
    _E.padding: _C.CH,
    _E.compress_certificate: _C.CH | _C.CR,
    _E.record_size_limit: _C.CH | _C.EE,
    _E.tls_cert_with_extern_psk: _C.CH | _C.SH,
    _E.pre_shared_key: _C.CH | _C.SH,
    _E.early_data: _C.CH | _C.EE | _C.NST,
    _E.supported_versions: _C.CH | _C.SH | _C.HRR,
    _E.cookie: _C.CH | _C.HRR,
    _E.psk_key_exchange_modes: _C.CH,
    _E.certificate_authorities: _C.CH | _C.CR,
    _E.oid_filters: _C.CR,
    _E.post_handshake_auth: _C.CH,
    _E.signature_algorithms_cert: _C.CH | _C.CR,
    _E.key_share: _C.CH | _C.SH | _C.HRR,
    _E.ticket_request: _C.CH | _C.EE,
    _E.encrypted_client_hello: _C.CH | _C.EE | _C.HRR,
    # Those of TLS 1.2 only; extensions12.py has their rules there.
    _E.ec_point_formats: _C.CH,
    _E.extended_master_secret: _C.CH,
    _E.session_ticket: _C.CH,
    _E.renegotiation_info: _C.CH,
}

#: Messages whose extensions answer those of an earlier message. Others may have unknown ones.
_RESPONSES = frozenset({_C.SH, _C.HRR, _C.EE, _C.CT})


def extension_name(extension: int) -> str:
    """Return the name of an extension, for errors."""
    try:
        return ExtensionType(extension).name
    except ValueError:
        return f"extension {extension}"


#: The head of an extension, or of a KeyShareEntry: a code point, and the length of what follows.
EXTENSION_HEADER = struct.Struct(">HH")
EXTENSION_HEADER_LENGTH = EXTENSION_HEADER.size


def encode_extensions(extensions: Extensions) -> bytes:
    pack = EXTENSION_HEADER.pack
    block = b"".join([pack(code, len(body)) + body for code, body in extensions.items()])
    return len(block).to_bytes(2) + block


def decode_extensions(octets: bytes, what: str) -> dict[int, bytes]:
    """Decode an extension block: the body of each extension by its type, in their order.

    Args:
        octets: the block, without its length.
        what: the message, for errors.

    Raises:
        ProtocolError: the block is malformed (``decode_error``), or has an extension twice
            (``illegal_parameter``).
    """
    extensions: dict[int, bytes] = {}
    unpack_header, position, end = EXTENSION_HEADER.unpack_from, 0, len(octets)
    # Half of the values in a handshake are those of extensions. A Reader would take three times
    # as long for them.
    while position < end:
        start = position + EXTENSION_HEADER_LENGTH
        if start > end:
            raise cut_short(what)
        code, length = unpack_header(octets, position)
        position = start + length
        if position > end:
            raise cut_short(what)
        if code in extensions:
            raise ProtocolError(f"the peer's {what} contains {extension_name(code)} twice")
        extensions[code] = octets[start:position]
    return extensions


def cut_short(what: str) -> ProtocolError:
    return Reader(b"", f"extensions of {what}").error("is cut short")


def check_context(
    extensions: Extensions, context: Context, requested: Collection[int] = ()
) -> None:
    """Check that a message may carry its extensions (RFC 9846 4.3), and that they can be decoded.

    Args:
        extensions: the peer's extensions.
        context: the message that carries them.
        requested: the extensions of our own message that this message answers, if it does.

    Raises:
        ProtocolError: ``illegal_parameter`` for an extension that belongs into another message,
            ``unsupported_extension`` for an answer to an extension that was not requested,
            ``decode_error`` for an extension that cannot be decoded, even if it is not used.
    """
    allowed, is_response, decoders = _RULES[context]
    for extension, body in extensions.items():
        if extension not in allowed and extension in _ALLOWED:
            raise ProtocolError(
                f"the peer sent {extension_name(extension)} in the wrong message ({context.name})"
            )
        # RFC 8701 3.2: a reserved value must not be answered.
        if is_response and (extension not in requested or extension in GREASE):
            raise ProtocolError(
                f"the peer answered {extension_name(extension)}, which was not offered",
                AlertDescription.unsupported_extension,
            )
        if extension in decoders:
            decoders[extension](body)


# The bodies. If no message is named, the body is the same in every message.


#: The head of a server_name: the length of the list, the type of the name, its length.
_SERVER_NAME_HEAD = struct.Struct(">HBH")
HOST_NAME = 0


def encode_server_name(host_name: bytes) -> bytes:
    """Encode a ClientHello's server_name (RFC 6066 3)."""
    length = len(host_name)
    return _SERVER_NAME_HEAD.pack(length + 3, HOST_NAME, length) + host_name


def decode_server_name(octets: bytes) -> bytes:
    """Decode a ClientHello's server_name: one DNS name (RFC 6066 3)."""
    host_name = octets[_SERVER_NAME_HEAD.size :]
    if not host_name or octets != encode_server_name(host_name):
        raise _server_name_fault(octets)
    if b"\0" in host_name or not host_name.isascii():
        raise ProtocolError("the peer's server_name is not a DNS name")
    return host_name


def _server_name_fault(octets: bytes) -> ProtocolError:
    names = Reader(whole_vector(octets, "server_name", 2, minimum=1), "server_name")
    # RFC 6066 3: one name of each type, and host_name is the only type.
    if names.uint8() != HOST_NAME:
        return names.error("contains a name that is not a host_name")
    names.opaque16(minimum=1)
    return names.error("has trailing octets")


def encode_status_request() -> bytes:
    """Encode a ClientHello's CertificateStatusRequest, for any responder (RFC 6066 8)."""
    return uint8(OCSP) + opaque16(b"") + opaque16(b"")


def encode_certificate_status(ocsp_response: bytes) -> bytes:
    """Encode a CertificateEntry's answer to status_request (RFC 9846 4.5.1.1)."""
    return uint8(OCSP) + opaque24(ocsp_response)


def decode_certificate_status(octets: bytes) -> bytes:
    reader = Reader(octets, "CertificateStatus")
    if reader.uint8() != OCSP:
        raise reader.error("has a type that was not requested")
    ocsp_response = reader.opaque24(minimum=1)
    reader.finish()
    return ocsp_response


def encode_timestamps(timestamps: Iterable[bytes]) -> bytes:
    """Encode a CertificateEntry's answer to signed_certificate_timestamp (RFC 6962 3.3)."""
    return opaque16(b"".join(map(opaque16, timestamps)))


def decode_timestamps(octets: bytes) -> tuple[bytes, ...]:
    return _whole_vectors(octets, "SignedCertificateTimestampList")


def encode_uint16_list(values: Iterable[int]) -> bytes:
    """Encode supported_groups, signature_algorithms or signature_algorithms_cert."""
    return opaque16(uint16s(values))


def decode_uint16_list(octets: bytes, what: str) -> tuple[int, ...]:
    return split_uint16s(whole_vector(octets, what, 2, minimum=2), what)


def decode_uint16(octets: bytes, what: str) -> int:
    """Decode a selected_version, selected_group or record_size_limit."""
    if len(octets) == 2:
        return octets[0] << 8 | octets[1]
    reader = Reader(octets, what)
    value = reader.uint16()
    reader.finish()
    return value


def encode_max_fragment_length(length: int) -> bytes:
    """Encode the record length that a client requests, one of MAX_FRAGMENT_LENGTHS, in bytes."""
    return next(uint8(code) for code, known in MAX_FRAGMENT_LENGTHS.items() if known == length)


def decode_max_fragment_length(octets: bytes) -> int:
    """Decode the record length that a client requests, in bytes (RFC 6066 4)."""
    reader = Reader(octets, "max_fragment_length")
    code = reader.uint8()
    reader.finish()
    if code not in MAX_FRAGMENT_LENGTHS:
        raise ProtocolError(f"the peer requests the unknown max_fragment_length {code}")
    return MAX_FRAGMENT_LENGTHS[code]


def encode_supported_versions(versions: Iterable[int]) -> bytes:
    """Encode a ClientHello's supported_versions."""
    return opaque8(uint16s(versions))


def decode_supported_versions(octets: bytes) -> tuple[int, ...]:
    """Decode a ClientHello's supported_versions."""
    what = "supported_versions"
    return split_uint16s(whole_vector(octets, what, 1, minimum=2), what)


def encode_alpn(protocols: Iterable[bytes]) -> bytes:
    """Encode a list of application protocols (RFC 7301 3.1)."""
    return opaque16(b"".join(opaque8(protocol) for protocol in protocols))


def decode_alpn(octets: bytes) -> tuple[bytes, ...]:
    names = Reader(whole_vector(octets, "ALPN extension", 2, minimum=2), "ALPN extension")
    protocols: list[bytes] = []
    while names:
        protocols.append(names.opaque8(minimum=1))
    return tuple(protocols)


def encode_key_share_entry(group: int, key_exchange: bytes) -> bytes:
    """Encode one KeyShareEntry, such as a ServerHello's key_share."""
    return EXTENSION_HEADER.pack(group, len(key_exchange)) + key_exchange


def decode_key_share_entry(octets: bytes) -> tuple[int, bytes]:
    """Decode a ServerHello's key_share: the group and the key exchange."""
    if len(octets) > EXTENSION_HEADER_LENGTH:
        group, length = EXTENSION_HEADER.unpack_from(octets)
        if len(octets) == EXTENSION_HEADER_LENGTH + length:
            return group, octets[EXTENSION_HEADER_LENGTH:]
    reader = Reader(octets, "key_share")
    entry = reader.uint16(), reader.opaque16(minimum=1)
    reader.finish()
    return entry


def encode_key_shares(shares: Mapping[int, bytes]) -> bytes:
    """Encode a ClientHello's key_share."""
    return opaque16(b"".join([encode_key_share_entry(*share) for share in shares.items()]))


def decode_key_shares(octets: bytes) -> dict[int, bytes]:
    """Decode a ClientHello's key_share: the key exchange of each group."""
    entries = Reader(whole_vector(octets, "key_share", 2), "key_share")
    shares: dict[int, bytes] = {}
    while entries:
        group = entries.uint16()
        if group in shares:
            raise ProtocolError(f"the peer sent two key shares for the group 0x{group:04x}")
        shares[group] = entries.opaque16(minimum=1)
    return shares


def encode_cookie(cookie: bytes) -> bytes:
    return opaque16(cookie)


def decode_cookie(octets: bytes) -> bytes:
    return whole_vector(octets, "cookie", 2, minimum=1)


def decode_psk_key_exchange_modes(octets: bytes) -> bytes:
    return whole_vector(octets, "psk_key_exchange_modes", 1, minimum=1)


def encode_certificate_authorities(names: Iterable[bytes]) -> bytes:
    """Encode distinguished names, which are in DER (RFC 9846 4.3.4)."""
    return opaque16(b"".join(opaque16(name) for name in names))


def decode_certificate_authorities(octets: bytes) -> tuple[bytes, ...]:
    return _whole_vectors(octets, "certificate_authorities")


def _whole_vectors(octets: bytes, what: str) -> tuple[bytes, ...]:
    """Decode a non-empty list of non-empty vectors, all with two-octet lengths."""
    entries = Reader(whole_vector(octets, what, 2, minimum=3), what)
    vectors: list[bytes] = []
    while entries:
        vectors.append(entries.opaque16(minimum=1))
    return tuple(vectors)


def encode_compression_algorithms(algorithms: Iterable[int]) -> bytes:
    """Encode compress_certificate (RFC 8879 3)."""
    return opaque8(uint16s(algorithms))


def decode_compression_algorithms(octets: bytes) -> tuple[int, ...]:
    what = "compress_certificate"
    algorithms = split_uint16s(whole_vector(octets, what, 1, minimum=2), what)
    if len(set(algorithms)) < len(algorithms):
        raise ProtocolError("the peer's compress_certificate contains an algorithm twice")
    return algorithms


def check_status_request(octets: bytes) -> None:
    """Check a CertificateStatusRequest (RFC 6066 8); requests of other types are ignored."""
    reader = Reader(octets, "status_request")
    if reader.uint8() == OCSP:
        reader.opaque16()
        reader.opaque16()
        reader.finish()


def decode_max_early_data_size(octets: bytes) -> int:
    """Decode a NewSessionTicket's early_data, in bytes (RFC 9846 4.3.10)."""
    reader = Reader(octets, "early_data")
    size = reader.uint32()
    reader.finish()
    return size


def check_empty(octets: bytes, what: str) -> None:
    """Check that the body of an extension is empty."""
    if octets:
        Reader(octets, what).finish()


#: The body is empty in both hellos (RFC 9973 5).
_check_cert_with_extern_psk: Callable[[bytes], object] = partial(
    check_empty, what="tls_cert_with_extern_psk"
)

_Decoders: TypeAlias = Mapping[int, Callable[[bytes], object]]

_IN_CERTIFICATE_REQUEST: _Decoders = {
    # RFC 9846 4.5.1.1: empty in this direction.
    _E.status_request: partial(check_empty, what="status_request"),
    _E.signed_certificate_timestamp: partial(check_empty, what="signed_certificate_timestamp"),
    _E.certificate_authorities: decode_certificate_authorities,
    _E.signature_algorithms_cert: partial(decode_uint16_list, what="signature_algorithms_cert"),
    _E.compress_certificate: decode_compression_algorithms,
}

#: Decoders of the extensions that a handshake may otherwise not decode.
_DECODERS: Mapping[Context, _Decoders] = {
    _C.SH: {_E.tls_cert_with_extern_psk: _check_cert_with_extern_psk},
    _C.CT: {
        _E.status_request: decode_certificate_status,
        _E.signed_certificate_timestamp: decode_timestamps,
    },
    _C.CR: _IN_CERTIFICATE_REQUEST,
    _C.EE: {
        _E.early_data: partial(check_empty, what="early_data"),
        _E.ticket_request: decode_expected_tickets,
        _E.client_certificate_type: partial(
            decode_certificate_type, what="client_certificate_type"
        ),
        _E.server_certificate_type: partial(
            decode_certificate_type, what="server_certificate_type"
        ),
    },
    _C.NST: {_E.early_data: decode_max_early_data_size},
    _C.CH: {
        **_IN_CERTIFICATE_REQUEST,
        _E.server_name: decode_server_name,
        _E.max_fragment_length: decode_max_fragment_length,
        _E.status_request: check_status_request,
        _E.application_layer_protocol_negotiation: decode_alpn,
        _E.client_certificate_type: partial(
            decode_certificate_types, what="client_certificate_type"
        ),
        _E.server_certificate_type: partial(
            decode_certificate_types, what="server_certificate_type"
        ),
        _E.record_size_limit: partial(decode_uint16, what="record_size_limit"),
        _E.early_data: partial(check_empty, what="early_data"),
        _E.cookie: decode_cookie,
        _E.psk_key_exchange_modes: decode_psk_key_exchange_modes,
        _E.post_handshake_auth: partial(check_empty, what="post_handshake_auth"),
        _E.ticket_request: decode_ticket_request,
        _E.tls_cert_with_extern_psk: _check_cert_with_extern_psk,
    },
}

#: For each message: the extensions that it may carry, whether it is a response, the decoders.
_RULES: Mapping[Context, tuple[frozenset[int], bool, _Decoders]] = {
    context: (
        frozenset(code for code, contexts in _ALLOWED.items() if context in contexts),
        context in _RESPONSES,
        _DECODERS.get(context, {}),
    )
    for context in Context
}
