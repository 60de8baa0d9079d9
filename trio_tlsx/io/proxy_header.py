"""The header of the PROXY protocol, versions 1 and 2, as haproxy defines it.

A proxy that forwards TCP sends it first, so that the server learns the client's address.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field

__all__ = [
    "MAX_HEADER_LENGTH",
    "ProxyHeader",
    "ProxyHeaderError",
    "decode_header",
    "header_length",
]

V1_PREFIX = b"PROXY "
#: The longest line of version 1, with its CRLF: section 2.1.
MAX_V1_LENGTH = 107

V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2_FIXED = struct.Struct("!12sBBH")  # the signature, version and command, family, length

#: The longest header of version 2 that is accepted, in bytes. The addresses of Unix sockets take
#: 216; the rest is for TLVs, such as the name that a proxy in front of this one has terminated.
MAX_HEADER_LENGTH = 4096

LOCAL, PROXY = 0x20, 0x21  # version 2, and the command

#: The addresses of each family and transport: how many bytes a host has; None if the socket's
#: address stays, since the header has none that could be one of TCP.
HOST_LENGTHS: dict[int, int | None] = {0x00: None, 0x11: 4, 0x21: 16, 0x31: None}
UNIX_LENGTH = 216

Address = tuple[str, int]


class ProxyHeaderError(Exception):
    """The octets are no header of the PROXY protocol, or a header with a fault."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A header of the PROXY protocol.

    Attributes:
        version: 1 or 2.
        source: the client's address; None if the header has none (``UNKNOWN``, ``LOCAL``,
            ``AF_UNSPEC``, ``AF_UNIX``), so that the address of the socket counts.
        destination: the address that the client connected to; None likewise.
        tlvs: the type and the value of each additional vector of version 2, such as 2 for the
            server's name that the client requested.
    """

    version: int
    source: Address | None = None
    destination: Address | None = None
    tlvs: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)


def header_length(start: bytes) -> int | None:
    """Return the length of the header that begins with ``start``; None if more is needed.

    Raises:
        ProxyHeaderError: no header begins like this, or it is too long.
    """
    if start[: len(V2_SIGNATURE)] == V2_SIGNATURE[: len(start)]:
        if len(start) < V2_FIXED.size:
            return None
        length = V2_FIXED.size + int.from_bytes(start[14:16])
        if length > MAX_HEADER_LENGTH:
            raise ProxyHeaderError(f"it has {length} bytes; {MAX_HEADER_LENGTH} are accepted")
        return length
    if start[: len(V1_PREFIX)] != V1_PREFIX[: len(start)]:
        raise ProxyHeaderError("the connection does not begin with one")
    end = start.find(b"\r\n", 0, MAX_V1_LENGTH)
    if end >= 0:
        return end + 2
    if len(start) >= MAX_V1_LENGTH:
        raise ProxyHeaderError(f"the line has no end within {MAX_V1_LENGTH} bytes")
    return None


def decode_header(header: bytes) -> ProxyHeader:
    """Decode a whole header.

    Raises:
        ProxyHeaderError: it has a fault.
    """
    if header.startswith(V2_SIGNATURE):
        return _decode_v2(header)
    return _decode_v1(header)


def _decode_v1(line: bytes) -> ProxyHeader:
    try:
        words = line.removesuffix(b"\r\n").decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise ProxyHeaderError("the line is not ASCII") from None
    if words[1] == "UNKNOWN":
        return ProxyHeader(1)
    parse = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}.get(words[1])
    # Python's addresses of IPv6 may have a zone, with any characters in it; TCP6 has none.
    if parse is None or len(words) != 6 or b"%" in line:
        raise ProxyHeaderError(f"the line has the wrong form: {line!r}")
    try:
        hosts = [str(parse(word)) for word in words[2:4]]
    except ValueError as error:
        raise ProxyHeaderError(f"the line has a wrong address: {error}") from None
    ports = [_port(word) for word in words[4:6]]
    return ProxyHeader(1, (hosts[0], ports[0]), (hosts[1], ports[1]))


def _port(word: str) -> int:
    is_number = word.isdecimal() and str(int(word[:6])) == word
    if not is_number or int(word) >= 2**16:
        raise ProxyHeaderError(f"the line has a wrong port: {word!r}")
    return int(word)


def _decode_v2(header: bytes) -> ProxyHeader:
    _, command, family, _ = V2_FIXED.unpack_from(header)
    if command not in (LOCAL, PROXY):
        raise ProxyHeaderError(f"version and command are {command:#04x}, which is not known")
    rest = header[V2_FIXED.size :]
    if command == LOCAL:
        return ProxyHeader(2)  # the proxy's own connection; the rest must be ignored (2.2)
    if family not in HOST_LENGTHS:
        raise ProxyHeaderError(f"family and transport are {family:#04x}, which is not TCP")
    host_length = HOST_LENGTHS[family]
    if host_length is None:
        length = UNIX_LENGTH if family else 0
        return ProxyHeader(2, tlvs=() if not family else _decode_tlvs(_after(rest, length)))
    tlvs = _decode_tlvs(_after(rest, 2 * host_length + 4))
    source, destination = rest[:host_length], rest[host_length : 2 * host_length]
    ports = struct.unpack_from("!HH", rest, 2 * host_length)
    return ProxyHeader(
        2,
        (str(ipaddress.ip_address(source)), ports[0]),
        (str(ipaddress.ip_address(destination)), ports[1]),
        tlvs,
    )


def _after(rest: bytes, length: int) -> bytes:
    if len(rest) < length:
        raise ProxyHeaderError(f"it has {len(rest)} bytes of addresses instead of {length}")
    return rest[length:]


def _decode_tlvs(octets: bytes) -> tuple[tuple[int, bytes], ...]:
    tlvs: list[tuple[int, bytes]] = []
    while octets:
        end = 3 + int.from_bytes(octets[1:3])
        if len(octets) < max(3, end):
            raise ProxyHeaderError("a TLV is longer than the header")
        tlvs.append((octets[0], octets[3:end]))
        octets = octets[end:]
    return tuple(tlvs)
