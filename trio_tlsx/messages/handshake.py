"""Decode and encode the handshake messages (RFC 9846 4)."""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

from ..errors import ProtocolError
from .codec import (
    Reader,
    opaque8,
    opaque16,
    opaque24,
    split_uint16s,
    uint8,
    uint16,
    uint16s,
    uint24,
    uint32,
    whole_vector,
)
from .extensions import Extensions, decode_extensions, encode_extensions

__all__ = [
    "HELLO_RETRY_REQUEST_RANDOM",
    "Certificate",
    "CertificateRequest",
    "CertificateVerify",
    "ClientHello",
    "CompressedCertificate",
    "EmptyMessage",
    "EncryptedExtensions",
    "EndOfEarlyData",
    "Finished",
    "HandshakeType",
    "KeyUpdate",
    "Message",
    "NewSessionTicket",
    "ServerHello",
    "encode_message",
]

MESSAGE_HEADER_LENGTH = 4
RANDOM_LENGTH = 32
MAX_SESSION_ID_LENGTH = 32

_HELLO_HEAD = struct.Struct(f">H{RANDOM_LENGTH}sB")  # version, random, length of the session ID
_SELECTION = struct.Struct(">HB")  # cipher suite, compression method
_SIGNATURE_HEAD = struct.Struct(">HH")  # signature scheme, length of the signature

#: RFC 9846 4.2.3: SHA-256 of "HelloRetryRequest".
HELLO_RETRY_REQUEST_RANDOM = bytes.fromhex(
    "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"
)


class HandshakeType(enum.IntEnum):
    """The handshake types (RFC 9846 4, RFC 5246 7.4)."""

    hello_request = 0
    client_hello = 1
    server_hello = 2
    new_session_ticket = 4
    end_of_early_data = 5
    encrypted_extensions = 8
    certificate = 11
    server_key_exchange = 12
    certificate_request = 13
    server_hello_done = 14
    certificate_verify = 15
    client_key_exchange = 16
    finished = 20
    certificate_status = 22
    key_update = 24
    compressed_certificate = 25
    message_hash = 254


class Message(Protocol):
    """The interface of all handshake messages."""

    handshake_type: ClassVar[HandshakeType]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body; ProtocolError if it is malformed."""
        ...

    def encode(self) -> bytes:
        """Encode the body, without the header."""
        ...


def encode_message(message: Message) -> bytes:
    """Encode a message with its header (RFC 9846 4)."""
    body = message.encode()
    return bytes((message.handshake_type,)) + len(body).to_bytes(3) + body


@dataclass(slots=True)
class ClientHello:
    """A ClientHello (RFC 9846 4.2.2).

    Attributes:
        encoded: the encoded body, if it is known already: making the binders of PSKs takes it.
    """

    handshake_type: ClassVar[HandshakeType] = HandshakeType.client_hello

    legacy_version: int
    random: bytes
    legacy_session_id: bytes
    cipher_suites: tuple[int, ...]
    legacy_compression_methods: bytes
    extensions: Extensions
    encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body, "ClientHello")
        legacy_version = reader.uint16()
        random = reader.take(RANDOM_LENGTH)
        legacy_session_id = _session_id(reader)
        cipher_suites = split_uint16s(reader.opaque16(minimum=2), "ClientHello")
        compression_methods = reader.opaque8(minimum=1)
        # A client of TLS 1.2 or older may send no extensions at all.
        extensions = reader.opaque16() if reader else b""
        reader.finish()
        return cls(
            legacy_version,
            random,
            legacy_session_id,
            cipher_suites,
            compression_methods,
            decode_extensions(extensions, "ClientHello"),
        )

    def encode(self) -> bytes:
        return self.encoded or (
            _HELLO_HEAD.pack(self.legacy_version, self.random, len(self.legacy_session_id))
            + self.legacy_session_id
            + opaque16(uint16s(self.cipher_suites))
            + opaque8(self.legacy_compression_methods)
            + encode_extensions(self.extensions)
        )


@dataclass(slots=True)
class ServerHello:
    """A ServerHello (RFC 9846 4.2.3), or a HelloRetryRequest (4.2.4), by its fixed ``random``."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.server_hello

    legacy_version: int
    random: bytes
    legacy_session_id_echo: bytes
    cipher_suite: int
    legacy_compression_method: int
    extensions: Extensions

    @property
    def is_hello_retry_request(self) -> bool:
        return self.random == HELLO_RETRY_REQUEST_RANDOM

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body, "ServerHello")
        legacy_version = reader.uint16()
        random = reader.take(RANDOM_LENGTH)
        session_id = _session_id(reader)
        cipher_suite = reader.uint16()
        compression_method = reader.uint8()
        # A server of TLS 1.2 or older may send no extensions at all.
        extensions = reader.opaque16() if reader else b""
        reader.finish()
        return cls(
            legacy_version,
            random,
            session_id,
            cipher_suite,
            compression_method,
            decode_extensions(extensions, "ServerHello"),
        )

    def encode(self) -> bytes:
        return (
            _HELLO_HEAD.pack(self.legacy_version, self.random, len(self.legacy_session_id_echo))
            + self.legacy_session_id_echo
            + _SELECTION.pack(self.cipher_suite, self.legacy_compression_method)
            + encode_extensions(self.extensions)
        )


def _session_id(reader: Reader) -> bytes:
    session_id = reader.opaque8()
    if len(session_id) > MAX_SESSION_ID_LENGTH:
        raise reader.error(f"has a legacy_session_id of {len(session_id)} bytes")
    return session_id


@dataclass(slots=True)
class EncryptedExtensions:
    """An EncryptedExtensions message (RFC 9846 4.4.1)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.encrypted_extensions

    extensions: Extensions

    @classmethod
    def decode(cls, body: bytes) -> Self:
        what = "EncryptedExtensions"
        return cls(decode_extensions(whole_vector(body, what, 2), what))

    def encode(self) -> bytes:
        return encode_extensions(self.extensions)


@dataclass(slots=True)
class CertificateRequest:
    """A CertificateRequest (RFC 9846 4.4.2)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.certificate_request

    certificate_request_context: bytes
    extensions: Extensions

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body, "CertificateRequest")
        context = reader.opaque8()
        extensions = reader.opaque16()
        reader.finish()
        return cls(context, decode_extensions(extensions, "CertificateRequest"))

    def encode(self) -> bytes:
        return opaque8(self.certificate_request_context) + encode_extensions(self.extensions)


@dataclass(slots=True)
class CertificateEntry:
    """One certificate of a chain, in DER, with its extensions."""

    cert_data: bytes
    extensions: Extensions


@dataclass(slots=True)
class Certificate:
    """A Certificate message: a chain (RFC 9846 4.5.1)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.certificate

    certificate_request_context: bytes
    certificate_list: tuple[CertificateEntry, ...]

    @property
    def der_chain(self) -> Sequence[bytes]:
        """The certificates in DER."""
        return [entry.cert_data for entry in self.certificate_list]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body, "Certificate")
        context = reader.opaque8()
        entries = Reader(reader.opaque24(), "Certificate")
        reader.finish()
        certificate_list: list[CertificateEntry] = []
        while entries:
            cert_data = entries.opaque24(minimum=1)
            extensions = decode_extensions(entries.opaque16(), "Certificate")
            certificate_list.append(CertificateEntry(cert_data, extensions))
        return cls(context, tuple(certificate_list))

    def encode(self) -> bytes:
        entries = b"".join(
            opaque24(entry.cert_data) + encode_extensions(entry.extensions)
            for entry in self.certificate_list
        )
        return opaque8(self.certificate_request_context) + opaque24(entries)


@dataclass(slots=True)
class CompressedCertificate:
    """A compressed Certificate message (RFC 8879 4); ``uncompressed_length`` is in bytes."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.compressed_certificate

    algorithm: int
    uncompressed_length: int
    compressed_certificate_message: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body, "CompressedCertificate")
        algorithm = reader.uint16()
        uncompressed_length = reader.uint24()
        message = reader.opaque24(minimum=1)
        reader.finish()
        return cls(algorithm, uncompressed_length, message)

    def encode(self) -> bytes:
        return (
            uint16(self.algorithm)
            + uint24(self.uncompressed_length)
            + opaque24(self.compressed_certificate_message)
        )


@dataclass(slots=True)
class CertificateVerify:
    """A CertificateVerify (RFC 9846 4.5.2)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.certificate_verify

    algorithm: int
    signature: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body, "CertificateVerify")
        algorithm = reader.uint16()
        signature = reader.opaque16()
        reader.finish()
        return cls(algorithm, signature)

    def encode(self) -> bytes:
        return _SIGNATURE_HEAD.pack(self.algorithm, len(self.signature)) + self.signature


@dataclass(slots=True)
class Finished:
    """A Finished message (RFC 9846 4.5.3)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.finished

    verify_data: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        return cls(body)

    def encode(self) -> bytes:
        return self.verify_data


@dataclass(slots=True)
class EmptyMessage:
    """The base of the messages without a body."""

    handshake_type: ClassVar[HandshakeType]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        Reader(body, cls.__name__).finish()
        return cls()

    def encode(self) -> bytes:
        return b""


class EndOfEarlyData(EmptyMessage):
    """An EndOfEarlyData message (RFC 9846 4.6)."""

    __slots__ = ()

    handshake_type: ClassVar[HandshakeType] = HandshakeType.end_of_early_data


@dataclass(slots=True)
class NewSessionTicket:
    """A NewSessionTicket (RFC 9846 4.7.1); ``ticket_lifetime`` is in seconds."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.new_session_ticket

    ticket_lifetime: int
    ticket_age_add: int
    ticket_nonce: bytes
    ticket: bytes
    extensions: Extensions

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body, "NewSessionTicket")
        lifetime = reader.uint32()
        age_add = reader.uint32()
        nonce = reader.opaque8()
        ticket = reader.opaque16(minimum=1)
        extensions = reader.opaque16()
        reader.finish()
        return cls(
            lifetime, age_add, nonce, ticket, decode_extensions(extensions, "NewSessionTicket")
        )

    def encode(self) -> bytes:
        return (
            uint32(self.ticket_lifetime)
            + uint32(self.ticket_age_add)
            + opaque8(self.ticket_nonce)
            + opaque16(self.ticket)
            + encode_extensions(self.extensions)
        )


@dataclass(slots=True)
class KeyUpdate:
    """A KeyUpdate (RFC 9846 4.7.3)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.key_update

    request_update: bool

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body, "KeyUpdate")
        request_update = reader.uint8()
        reader.finish()
        if request_update > 1:
            raise ProtocolError(f"the peer's KeyUpdate has the unknown request {request_update}")
        return cls(bool(request_update))

    def encode(self) -> bytes:
        return uint8(self.request_update)
