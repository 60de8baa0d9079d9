"""Views of a peer's ClientHello or CertificateRequest, for hooks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

from . import extensions as ext
from . import handshake
from .certificate_types import DEFAULT_TYPES, CertificateType, decode_certificate_types
from .extensions import GREASE, Extensions, ExtensionType

__all__ = ["CertificateRequest", "ClientHello", "requested_name"]

_E = ExtensionType

_JA4_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3"}
JA4_DIGEST_LENGTH = 12
JA4_MAX_COUNT = 99


@dataclass(frozen=True, slots=True)
class ClientHello:
    """The parameters that a client offers (RFC 9846 4.2.2).

    They are not authenticated yet. Code points are those of the IANA registries, in the client's
    order, with unknown ones and GREASE (RFC 8701).

    Attributes:
        server_name: the name that the client requests, in lower case, None if it requests none.
            It may be a name that no host can have.
        alpn_protocols: the application protocols (RFC 7301), most preferred first.
        versions: the versions of TLS, such as ``0x0304``.
        cipher_suites: the cipher suites, such as ``0x1301``.
        groups: the key exchange groups, such as ``0x001d``.
        signature_schemes: the schemes that the server may sign its CertificateVerify with; they
            compare equal to a :class:`SignatureScheme`.
        authorities: the names of the CAs that the client trusts, in DER, as
            ``certificate.issuer.public_bytes()`` returns them. Most clients send none.
        extensions: the body of each extension by its type, in the client's order.
        encrypted: whether the client encrypted it (RFC 9849), so that nobody else has read the
            name.
        server_certificate_types: the types of certificates that the server may send (RFC 7250),
            most preferred first; they compare equal to a :class:`CertificateType`. Credentials of
            another type are not used.
    """

    server_name: str | None
    alpn_protocols: tuple[str, ...]
    versions: tuple[int, ...]
    cipher_suites: tuple[int, ...]
    groups: tuple[int, ...]
    signature_schemes: tuple[int, ...]
    authorities: tuple[bytes, ...]
    extensions: Mapping[int, bytes] = field(repr=False, hash=False)
    encrypted: bool = False
    server_certificate_types: tuple[int, ...] = DEFAULT_TYPES

    @classmethod
    def of(cls, message: handshake.ClientHello, *, encrypted: bool = False) -> Self:
        """Return the view of a ClientHello; ProtocolError if an extension is malformed."""
        extensions = message.extensions
        alpn = extensions.get(_E.application_layer_protocol_negotiation)
        versions = extensions.get(_E.supported_versions)
        return cls(
            server_name=requested_name(extensions),
            alpn_protocols=tuple(p.decode("latin-1") for p in ext.decode_alpn(alpn))
            if alpn is not None
            else (),
            versions=(message.legacy_version,)
            if versions is None
            else ext.decode_supported_versions(versions),
            cipher_suites=message.cipher_suites,
            groups=_code_points(extensions, _E.supported_groups),
            signature_schemes=_code_points(extensions, _E.signature_algorithms),
            authorities=_authorities(extensions),
            extensions=MappingProxyType(dict(extensions)),
            encrypted=encrypted,
            server_certificate_types=_certificate_types(extensions),
        )

    @property
    def ja4(self) -> str:
        """The JA4 fingerprint, which identifies the client's TLS library and its settings.

        For example ``"t13d1516h2_8daaf6152771_e5627efa2ab1"``. A client can imitate another.
        """
        versions = [version for version in self.versions if version not in GREASE]
        suites = sorted(f"{code:04x}" for code in self.cipher_suites if code not in GREASE)
        kinds = [code for code in self.extensions if code not in GREASE]
        counted_apart = (_E.server_name, _E.application_layer_protocol_negotiation)
        hashed = sorted(f"{code:04x}" for code in kinds if code not in counted_apart)
        schemes = [f"{code:04x}" for code in self.signature_schemes if code not in GREASE]
        return "_".join(
            (
                "t"
                + _JA4_VERSIONS.get(max(versions, default=0), "00")
                + ("d" if _E.server_name in self.extensions else "i")
                + f"{min(len(suites), JA4_MAX_COUNT):02}"
                + f"{min(len(kinds), JA4_MAX_COUNT):02}"
                + _ja4_alpn(self.alpn_protocols),
                _ja4_digest([suites]),
                _ja4_digest([hashed, schemes] if schemes else [hashed]),
            )
        )


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A server's request for a client certificate (RFC 9846 4.4.2).

    The client has verified the server before.

    Attributes:
        server_name: the name of the server that the client connects to.
        authorities: the names of the CAs that the server trusts, in DER, as
            ``certificate.issuer.public_bytes()`` returns them. Empty if the server sends none.
        signature_schemes: the schemes that the client may sign its CertificateVerify with, as
            code points; they compare equal to a :class:`SignatureScheme`. In TLS 1.2 they are
            those whose keys the certificate types of the request allow (RFC 5246 7.4.4).
        extensions: the body of each extension by its type, in the server's order; empty in
            TLS 1.2.
        certificate_type: the type of certificate that the server requests (RFC 7250).
            Credentials of another type are not used.
    """

    server_name: str
    authorities: tuple[bytes, ...]
    signature_schemes: tuple[int, ...]
    extensions: Mapping[int, bytes] = field(repr=False, hash=False)
    certificate_type: CertificateType = CertificateType.X509

    @classmethod
    def of(
        cls,
        message: handshake.CertificateRequest,
        server_name: str,
        certificate_type: CertificateType = CertificateType.X509,
    ) -> Self:
        """Return the view of a CertificateRequest; ProtocolError if an extension is malformed."""
        extensions = message.extensions
        return cls(
            server_name=server_name,
            authorities=_authorities(extensions),
            signature_schemes=_code_points(extensions, _E.signature_algorithms),
            extensions=MappingProxyType(dict(extensions)),
            certificate_type=certificate_type,
        )


def requested_name(extensions: Extensions) -> str | None:
    """Return the server name of a ClientHello in lower case; names ignore case (RFC 6066 3)."""
    body = extensions.get(_E.server_name)
    return None if body is None else ext.decode_server_name(body).decode("ascii").lower()


def _authorities(extensions: Extensions) -> tuple[bytes, ...]:
    body = extensions.get(_E.certificate_authorities)
    return () if body is None else ext.decode_certificate_authorities(body)


def _certificate_types(extensions: Extensions) -> tuple[int, ...]:
    body = extensions.get(_E.server_certificate_type)
    if body is None:
        return DEFAULT_TYPES
    return tuple(decode_certificate_types(body, "server_certificate_type"))


def _code_points(extensions: Extensions, kind: ExtensionType) -> tuple[int, ...]:
    body = extensions.get(kind)
    return () if body is None else ext.decode_uint16_list(body, kind.name)


def _ja4_alpn(protocols: tuple[str, ...]) -> str:
    if not protocols:
        return "00"
    first, last = protocols[0][0], protocols[0][-1]
    if all(letter.isascii() and letter.isalnum() for letter in (first, last)):
        return first + last
    octets = protocols[0].encode("latin-1").hex()
    return octets[0] + octets[-1]


def _ja4_digest(parts: list[list[str]]) -> str:
    if not parts[0]:
        return "0" * JA4_DIGEST_LENGTH
    text = "_".join(",".join(part) for part in parts)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:JA4_DIGEST_LENGTH]
