"""The ticket_request extension: how many session tickets a client wants (RFC 9149)."""

from __future__ import annotations

from .codec import Reader, uint8

__all__ = [
    "decode_expected_tickets",
    "decode_ticket_request",
    "encode_expected_tickets",
    "encode_ticket_request",
]


def encode_ticket_request(new: int, resumed: int) -> bytes:
    """Encode how many tickets a client wants in a new connection, and in a resumed one."""
    return uint8(new) + uint8(resumed)


def decode_ticket_request(octets: bytes) -> tuple[int, int]:
    """Decode how many tickets a client wants in a new connection, and in a resumed one."""
    reader = Reader(octets, "ticket_request")
    counts = reader.uint8(), reader.uint8()
    reader.finish()
    return counts


def encode_expected_tickets(count: int) -> bytes:
    """Encode how many tickets a server expects to send."""
    return uint8(count)


def decode_expected_tickets(octets: bytes) -> int:
    """Decode how many tickets a server expects to send."""
    reader = Reader(octets, "ticket_request")
    count = reader.uint8()
    reader.finish()
    return count
