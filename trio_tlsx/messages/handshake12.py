"""Decode and encode the handshake messages that TLS 1.2 has for itself (RFC 5246 7.4).

The hellos, CertificateVerify and Finished have the same encoding in TLS 1.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from ..errors import AlertDescription, ProtocolError
from .codec import (
    Reader,
    opaque8,
    opaque16,
    opaque24,
    split_uint16s,
    uint8,
    uint16,
    uint16s,
    uint32,
    whole_vector,
)
from .extensions import decode_certificate_status, encode_certificate_status
from .handshake import EmptyMessage, HandshakeType

__all__ = [
    "Certificate12",
    "CertificateRequest12",
    "CertificateStatus",
    "ClientKeyExchange",
    "HelloRequest",
    "NewSessionTicket12",
    "RawCertificate12",
    "ServerHelloDone",
    "ServerKeyExchange",
]

NAMED_CURVE = 3  # RFC 8422 5.4: the only ECCurveType

# RFC 5246 7.4.4, RFC 8422 5.5: the types of a client's certificate.
RSA_SIGN = 1
ECDSA_SIGN = 64


class HelloRequest(EmptyMessage):
    """A HelloRequest (RFC 5246 7.4.1.1)."""

    __slots__ = ()

    handshake_type: ClassVar[HandshakeType] = HandshakeType.hello_request


@dataclass(slots=True)
class Certificate12:
    """A Certificate message: a chain, each certificate in DER (RFC 5246 7.4.2)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.certificate

    certificate_list: tuple[bytes, ...]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body, "Certificate")
        entries = Reader(reader.opaque24(), "Certificate")
        reader.finish()
        certificate_list: list[bytes] = []
        while entries:
            certificate_list.append(entries.opaque24(minimum=1))
        return cls(tuple(certificate_list))

    def encode(self) -> bytes:
        return opaque24(b"".join(map(opaque24, self.certificate_list)))


@dataclass(slots=True)
class RawCertificate12:
    """A Certificate message with a raw public key, which is no list (RFC 7250 3).

    Attributes:
        public_key: a SubjectPublicKeyInfo in DER; empty for none.
    """

    handshake_type: ClassVar[HandshakeType] = HandshakeType.certificate

    public_key: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        return cls(whole_vector(body, "Certificate", 3))

    def encode(self) -> bytes:
        return opaque24(self.public_key)


@dataclass(slots=True)
class CertificateStatus:
    """A CertificateStatus: the stapled OCSP response (RFC 6066 8)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.certificate_status

    ocsp_response: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        return cls(decode_certificate_status(body))

    def encode(self) -> bytes:
        return encode_certificate_status(self.ocsp_response)


@dataclass(slots=True)
class ServerKeyExchange:
    """A ServerKeyExchange with an elliptic curve (RFC 8422 5.4).

    Attributes:
        group: the named curve.
        public: the server's public key.
        algorithm: the signature scheme.
        signature: over :meth:`signed_content`.
    """

    handshake_type: ClassVar[HandshakeType] = HandshakeType.server_key_exchange

    group: int
    public: bytes
    algorithm: int
    signature: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body, "ServerKeyExchange")
        curve_type = reader.uint8()
        if curve_type != NAMED_CURVE:
            raise ProtocolError(
                f"the peer's ServerKeyExchange has the curve type {curve_type}, not "
                f"{NAMED_CURVE} (named_curve)",
                AlertDescription.illegal_parameter,
            )
        group = reader.uint16()
        public = reader.opaque8(minimum=1)
        algorithm = reader.uint16()
        signature = reader.opaque16()
        reader.finish()
        return cls(group, public, algorithm, signature)

    def encode(self) -> bytes:
        return (
            encode_parameters(self.group, self.public)
            + uint16(self.algorithm)
            + opaque16(self.signature)
        )


def encode_parameters(group: int, public: bytes) -> bytes:
    """Encode ServerECDHParams (RFC 8422 5.4), which the server signs after both randoms."""
    return uint8(NAMED_CURVE) + uint16(group) + opaque8(public)


@dataclass(slots=True)
class CertificateRequest12:
    """A CertificateRequest (RFC 5246 7.4.4).

    Attributes:
        certificate_types: the types of certificates that the client may send.
        signature_schemes: the schemes that the client may sign its CertificateVerify with.
        authorities: the names of acceptable CAs, in DER.
    """

    handshake_type: ClassVar[HandshakeType] = HandshakeType.certificate_request

    certificate_types: bytes
    signature_schemes: tuple[int, ...]
    authorities: tuple[bytes, ...]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body, "CertificateRequest")
        certificate_types = reader.opaque8(minimum=1)
        schemes = split_uint16s(reader.opaque16(minimum=2), "CertificateRequest")
        names = Reader(reader.opaque16(), "CertificateRequest")
        reader.finish()
        authorities: list[bytes] = []
        while names:
            authorities.append(names.opaque16(minimum=1))
        return cls(certificate_types, schemes, tuple(authorities))

    def encode(self) -> bytes:
        return (
            opaque8(self.certificate_types)
            + opaque16(uint16s(self.signature_schemes))
            + opaque16(b"".join(map(opaque16, self.authorities)))
        )


class ServerHelloDone(EmptyMessage):
    """A ServerHelloDone (RFC 5246 7.4.5)."""

    __slots__ = ()

    handshake_type: ClassVar[HandshakeType] = HandshakeType.server_hello_done


@dataclass(slots=True)
class ClientKeyExchange:
    """A ClientKeyExchange with the client's public key (RFC 8422 5.7)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.client_key_exchange

    public: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body, "ClientKeyExchange")
        public = reader.opaque8(minimum=1)
        reader.finish()
        return cls(public)

    def encode(self) -> bytes:
        return opaque8(self.public)


@dataclass(slots=True)
class NewSessionTicket12:
    """A NewSessionTicket (RFC 5077 3.3).

    Attributes:
        lifetime_hint: in seconds; 0 if the server does not say.
        ticket: empty if the server has none after all.
    """

    handshake_type: ClassVar[HandshakeType] = HandshakeType.new_session_ticket

    lifetime_hint: int
    ticket: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body, "NewSessionTicket")
        lifetime_hint = reader.uint32()
        ticket = reader.opaque16()
        reader.finish()
        return cls(lifetime_hint, ticket)

    def encode(self) -> bytes:
        return uint32(self.lifetime_hint) + opaque16(self.ticket)
