"""The types of certificates that a side may send (RFC 7250 3)."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from ..errors import ProtocolError
from .codec import Reader, opaque8, uint8, whole_vector

__all__ = ["CertificateType", "decode_certificate_types"]


class CertificateType(enum.IntEnum):
    """The types that this implementation has, under the names of RFC 7250."""

    X509 = 0
    RawPublicKey = 2


#: The types of a side that does not send the extension.
DEFAULT_TYPES = (CertificateType.X509,)


def encode_certificate_types(types: Iterable[int]) -> bytes:
    """Encode a ClientHello's client_certificate_type or server_certificate_type."""
    return opaque8(bytes(types))


def decode_certificate_types(octets: bytes, what: str) -> bytes:
    """Decode a ClientHello's client_certificate_type or server_certificate_type.

    Returns:
        The types, most preferred first, each as one octet; there may be unknown ones.

    Raises:
        ProtocolError: ``decode_error``, it is malformed; ``illegal_parameter``, X.509 is the only
            type, which the client then has to leave out (RFC 7250 4.1).
    """
    types = whole_vector(octets, what, 1, minimum=1)
    if tuple(types) == DEFAULT_TYPES:
        raise ProtocolError(f"the peer's {what} contains nothing but the default, X.509")
    return types


def encode_certificate_type(selected: int) -> bytes:
    """Encode a server's client_certificate_type or server_certificate_type."""
    return uint8(selected)


def decode_certificate_type(octets: bytes, what: str) -> int:
    """Decode a server's client_certificate_type or server_certificate_type."""
    reader = Reader(octets, what)
    selected = reader.uint8()
    reader.finish()
    return selected
