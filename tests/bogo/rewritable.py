"""Tickets in the format of BoringSSL, whose version and cipher suite the runner rewrites."""

from __future__ import annotations

import hmac
from os import urandom

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from trio_tlsx.clock import Clock
from trio_tlsx.handshake.resumption_server12 import CONTEXT_PREFIX
from trio_tlsx.messages.codec import Reader, opaque16
from trio_tlsx.messages.versions import TLS12, TLS13
from trio_tlsx.sessions.ticket_keys import TicketKeys

__all__ = ["RewritableTicketKeys"]

NAME_LENGTH, MAC_LENGTH, BLOCK_LENGTH = 16, 32, 16
SUITE_LENGTH = 2

SEQUENCE, INTEGER, OCTET_STRING = 0x30, 0x02, 0x04
PREFIXES = {TLS12: CONTEXT_PREFIX, TLS13: b""}


class RewritableTicketKeys(TicketKeys):
    """Put the state into an envelope that the runner opens, changes and closes.

    ``open`` seals the changed state as a server would have done that has the same keys, and that
    uses this version and this suite. So the engine decides whether it accepts the ticket.

    Args:
        keys: the value of ``-ticket-key``: a name, and the keys of HMAC-SHA256 and AES-128-CBC.
    """

    def __init__(self, keys: bytes, *, clock: Clock) -> None:
        super().__init__([bytes(32)], clock=clock)
        self._name, self._mac_key, self._key = keys[:16], keys[16:32], keys[32:48]

    def seal(self, state: bytes, context: bytes) -> bytes:
        version = TLS12 if context.startswith(CONTEXT_PREFIX) else TLS13
        bare = context.removeprefix(PREFIXES[version])
        content = b"".join(
            (
                element(INTEGER, b"\x01"),
                element(INTEGER, version.to_bytes(2)),
                element(OCTET_STRING, state[:SUITE_LENGTH]),
                element(OCTET_STRING, opaque16(bare) + state[SUITE_LENGTH:]),
            )
        )
        padder, iv = PKCS7(8 * BLOCK_LENGTH).padder(), urandom(BLOCK_LENGTH)
        padded = padder.update(element(SEQUENCE, content)) + padder.finalize()
        encryptor = self._cipher(iv).encryptor()
        ticket = self._name + iv + encryptor.update(padded) + encryptor.finalize()
        return ticket + hmac.digest(self._mac_key, ticket, "sha256")

    def open(self, ticket: bytes, context: bytes) -> bytes | None:
        ticket, mac = ticket[:-MAC_LENGTH], ticket[-MAC_LENGTH:]
        if not hmac.compare_digest(mac, hmac.digest(self._mac_key, ticket, "sha256")):
            return None
        iv, ciphertext = ticket[NAME_LENGTH:][:BLOCK_LENGTH], ticket[NAME_LENGTH + BLOCK_LENGTH :]
        decryptor, unpadder = self._cipher(iv).decryptor(), PKCS7(8 * BLOCK_LENGTH).unpadder()
        padded = decryptor.update(ciphertext) + decryptor.finalize()
        session = Reader(unpadder.update(padded) + unpadder.finalize(), "ticket")
        session = Reader(read_element(session, SEQUENCE), "ticket")
        read_element(session, INTEGER)
        version = int.from_bytes(read_element(session, INTEGER))
        suite = read_element(session, OCTET_STRING)
        rest = Reader(read_element(session, OCTET_STRING), "ticket")
        bare = rest.opaque16()
        state = suite + rest.rest()
        return super().open(super().seal(state, PREFIXES[version] + bare), context)

    def _cipher(self, iv: bytes) -> Cipher[CBC]:
        return Cipher(AES128(self._key), CBC(iv))


def element(tag: int, body: bytes) -> bytes:
    """An element of DER, with a length below 2^16."""
    length = len(body)
    if length < 0x80:
        return bytes((tag, length)) + body
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + body


def read_element(reader: Reader, tag: int) -> bytes:
    """The body of the next element, which has this tag."""
    if reader.uint8() != tag:
        raise reader.error("is not what the shim has sealed")
    length = reader.uint8()
    if length >= 0x80:
        length = int.from_bytes(reader.take(length & 0x7F))
    return reader.take(length)
