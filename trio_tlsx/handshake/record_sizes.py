"""The sizes of records that the two sides negotiate (RFC 8449; RFC 6066 4).

TLS 1.3 has the content type in the plaintext of a record, and record_size_limit counts it there.
TLS 1.2 has it in the header alone. So every function here takes ``type_length``, which the opener
of a version has.
"""

from __future__ import annotations

from ..errors import ProtocolError
from ..messages.codec import uint16
from ..messages.extensions import (
    Extensions,
    ExtensionType,
    decode_max_fragment_length,
    decode_uint16,
)
from ..record.protection import MAX_PLAINTEXT_LENGTH, MIN_RECORD_SIZE_LIMIT
from .steps import Handshake

__all__ = ["accept_record_sizes", "answer_record_sizes"]

_E = ExtensionType


def answer_record_sizes(
    hs: Handshake, ours: int, offered: Extensions, *, type_length: int
) -> dict[int, bytes]:
    """Limit records as the client requests; return the extensions that confirm this.

    Args:
        ours: this server's ``record_size_limit``, in bytes.
        offered: the extensions of the ClientHello.
    """
    if (limit := offered.get(_E.record_size_limit)) is not None:
        apply_record_size_limit(hs, ours, limit, type_length=type_length)
        return {_E.record_size_limit: uint16(own_limit(ours, type_length))}
    if (body := offered.get(_E.max_fragment_length)) is not None:
        # RFC 8449 5: it counts only where record_size_limit is missing.
        apply_max_fragment_length(hs, body, type_length=type_length)
        return {_E.max_fragment_length: body}
    return {}


def accept_record_sizes(
    hs: Handshake, ours: int, offered: Extensions, answered: Extensions, *, type_length: int
) -> None:
    """Limit records as a client and its server agreed.

    Args:
        ours: this client's ``record_size_limit``, in bytes.
        offered: the extensions of the ClientHello.
        answered: those of the server's answer.

    Raises:
        ProtocolError: the server answered both extensions, or with another value.
    """
    limit, body = answered.get(_E.record_size_limit), answered.get(_E.max_fragment_length)
    if limit is not None:
        if body is not None:  # RFC 8449 5
            raise ProtocolError("the peer answered both record_size_limit and max_fragment_length")
        apply_record_size_limit(hs, ours, limit, type_length=type_length)
    elif body is not None:
        if body != offered[_E.max_fragment_length]:  # RFC 6066 4
            raise ProtocolError(
                f"the peer's max_fragment_length is {body.hex()!r}, not "
                f"{offered[_E.max_fragment_length].hex()!r} as requested"
            )
        apply_max_fragment_length(hs, body, type_length=type_length)


def apply_max_fragment_length(hs: Handshake, body: bytes, *, type_length: int) -> None:
    """Limit the records of both directions (RFC 6066 4)."""
    length = decode_max_fragment_length(body)
    hs.outgoing.fragment_length = min(length, hs.outgoing.fragment_length)
    hs.incoming.plaintext_limit = length + type_length


def apply_record_size_limit(hs: Handshake, ours: int, theirs: bytes, *, type_length: int) -> None:
    """Limit the records of both directions as both sides requested (RFC 8449 4)."""
    limit = decode_uint16(theirs, "record_size_limit")
    if limit < MIN_RECORD_SIZE_LIMIT:
        raise ProtocolError(
            f"the peer sent a record_size_limit of {limit} bytes; "
            f"the minimum is {MIN_RECORD_SIZE_LIMIT}"
        )
    hs.outgoing.fragment_length = min(hs.outgoing.fragment_length, limit - type_length)
    hs.incoming.plaintext_limit = own_limit(ours, type_length)


def own_limit(ours: int, type_length: int) -> int:
    """Return our limit, which is at most what the version itself allows (RFC 8449 4)."""
    return min(ours, MAX_PLAINTEXT_LENGTH + type_length)
