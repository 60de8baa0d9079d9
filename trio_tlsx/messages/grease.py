"""Values that mean nothing, sent so that nobody comes to rely on there being none (RFC 8701)."""

from __future__ import annotations

from dataclasses import replace
from secrets import SystemRandom

from . import extensions as ext
from .extensions import GREASE, Extensions, ExtensionType
from .handshake import ClientHello

__all__ = ["in_client_hello", "in_request", "in_ticket"]

_E = ExtensionType

_random = SystemRandom()


def in_client_hello(hello: ClientHello) -> ClientHello:
    """The ClientHello with one of them in each list that a server chooses from (RFC 8701 3.1).

    Keys have to be offered behind the last extension.
    """
    first, last, suite, version, group, scheme = _random.sample(sorted(GREASE), 6)
    extensions = dict(hello.extensions)
    versions = ext.decode_supported_versions(extensions[_E.supported_versions])
    extensions[_E.supported_versions] = ext.encode_supported_versions((version, *versions))
    for kind, value in ((_E.supported_groups, group), (_E.signature_algorithms, scheme)):
        if kind in extensions:
            others = ext.decode_uint16_list(extensions[kind], kind.name)
            extensions[kind] = ext.encode_uint16_list((value, *others))
    if (shares := extensions.get(_E.key_share)) is not None:
        greased = {group: b"\0", **ext.decode_key_shares(shares)}
        extensions[_E.key_share] = ext.encode_key_shares(greased)
    return replace(
        hello,
        cipher_suites=(suite, *hello.cipher_suites),
        extensions={first: b"", **extensions, last: b"\0"},
    )


def in_request(extensions: Extensions) -> Extensions:
    """The extensions of a CertificateRequest, likewise (RFC 8701 4.1)."""
    first, scheme = _random.sample(sorted(GREASE), 2)
    schemes = ext.decode_uint16_list(extensions[_E.signature_algorithms], "signature_algorithms")
    listed = ext.encode_uint16_list((scheme, *schemes))
    return {first: b"", **extensions, _E.signature_algorithms: listed}


def in_ticket(extensions: Extensions) -> Extensions:
    """The extensions of a NewSessionTicket, likewise (RFC 8701 4.1)."""
    return {_random.choice(sorted(GREASE)): b"", **extensions}
