"""Negotiate the types of certificates (RFC 7250 4)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from ..config.client import ClientParameters
from ..config.server import ServerParameters
from ..errors import AlertDescription, CertificateError, NegotiationError, ProtocolError
from ..messages.certificate_types import (
    DEFAULT_TYPES,
    CertificateType,
    decode_certificate_type,
    decode_certificate_types,
    encode_certificate_type,
)
from ..messages.extensions import Extensions, ExtensionType
from ..pki.credentials import Credentials

__all__ = [
    "DEFAULTS",
    "DEFAULT_TYPES",
    "SelectedTypes",
    "accepted_types",
    "answer_types",
    "check_server_type",
    "no_common_type",
    "requested_type",
    "selected_types",
]

_E = ExtensionType


# The client


class SelectedTypes(NamedTuple):
    """The types of certificates that a server selected.

    Attributes:
        of_client: the type of the client's certificate, if the server requests one.
        of_server: the type of the server's.
    """

    of_client: CertificateType
    of_server: CertificateType


#: The types that a server without the extensions has selected.
DEFAULTS = SelectedTypes(CertificateType.X509, CertificateType.X509)


def selected_types(config: ClientParameters, extensions: Extensions) -> SelectedTypes:
    """Return the types that the server selected.

    Args:
        extensions: the extensions of EncryptedExtensions; in TLS 1.2 those of the ServerHello.

    Raises:
        ProtocolError: the client did not offer a type.
    """
    return SelectedTypes(
        _selected(extensions, _E.client_certificate_type, config.own_certificate_types),
        _selected(extensions, _E.server_certificate_type, config.peer_certificate_types),
    )


def _selected(
    extensions: Extensions, kind: ExtensionType, offered: Collection[int]
) -> CertificateType:
    body = extensions.get(kind)
    if body is None:
        return CertificateType.X509
    selected = decode_certificate_type(body, kind.name)
    if selected not in offered:
        raise ProtocolError(
            f"the peer's {kind.name} is the type {selected}, which was not offered"
        )
    return CertificateType(selected)


def check_server_type(config: ClientParameters, types: SelectedTypes) -> None:
    """Check that the client accepts the type of certificate that the server will send."""
    if types.of_server not in config.peer_certificate_types:
        raise CertificateError(
            "this server sends a certificate, and the client accepts only raw public keys: pass "
            "the CA of the certificate in trust=, or configure the server with a raw key",
            AlertDescription.unsupported_certificate,
        )


# The server


def accepted_types(extensions: Extensions) -> Collection[int]:
    """Return the types of certificates that the client accepts.

    Args:
        extensions: those of the ClientHello.
    """
    body = extensions.get(_E.server_certificate_type)
    if body is None:
        return DEFAULT_TYPES
    return decode_certificate_types(body, "server_certificate_type")


def no_common_type(candidates: Sequence[Credentials]) -> NegotiationError:
    """Return the error for a client that accepts none of the types of these credentials."""
    types = ", ".join(dict.fromkeys(each.certificate_type.name for each in candidates))
    return NegotiationError(
        f"this peer accepts none of the types of certificates that this server has ({types}): "
        "add credentials of another type",
        AlertDescription.unsupported_certificate,
    )


def requested_type(config: ServerParameters, extensions: Extensions) -> CertificateType | None:
    """Return the type of certificate to request of the client; None to request none.

    Args:
        extensions: those of the ClientHello.

    Raises:
        NegotiationError: the client has none of the types that the configuration accepts.
    """
    if config.client_auth == "none":
        return None
    accepted = config.peer_certificate_types
    offered: Collection[int] = DEFAULT_TYPES
    if _E.client_certificate_type in extensions:
        body = extensions[_E.client_certificate_type]
        offered = decode_certificate_types(body, "client_certificate_type")
    elif CertificateType.X509 not in accepted and config.client_auth == "optional":
        return None  # RFC 7250 4.2: an optional client may have no raw public key
    for certificate_type in accepted:
        if certificate_type in offered:
            return certificate_type
    raise NegotiationError(
        "this peer has none of the types of certificates that are accepted here "
        f"({', '.join(each.name for each in accepted)}): give it a raw key, or pass the CAs of "
        "its certificates in client_trust=",
        AlertDescription.unsupported_certificate,
    )


def answer_types(
    extensions: Extensions, of_client: CertificateType | None, own: Credentials | None
) -> dict[int, bytes]:
    """Return the extensions that answer those of a ClientHello.

    Args:
        extensions: those of the ClientHello.
        of_client: the type that the server requests; None if it requests no certificate.
        own: the server's credentials, if it has any for this client.
    """
    answer: dict[int, bytes] = {}
    if of_client is not None and _E.client_certificate_type in extensions:
        answer[_E.client_certificate_type] = encode_certificate_type(of_client)
    if own is not None and _E.server_certificate_type in extensions:
        answer[_E.server_certificate_type] = encode_certificate_type(own.certificate_type)
    return answer
