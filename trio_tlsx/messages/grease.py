"""GREASE: reserved values that a peer must ignore (RFC 8701)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from secrets import SystemRandom

from . import extensions as ext
from .extensions import GREASE, Extensions, ExtensionType
from .handshake import ClientHello

__all__ = ["ClientHelloGrease", "in_client_hello", "in_request", "in_ticket"]

_E = ExtensionType

_random = SystemRandom()


@dataclass(slots=True, eq=False)
class ClientHelloGrease:
    """The reserved values in the ClientHellos of one handshake (RFC 8701 3.1).

    Attributes:
        first, last: the types of the first and the last extension.
        suite: a cipher suite.
        version: a version of TLS.
        group: a key exchange group.
        scheme: a signature scheme.
        key_share: whether there is a key share for ``group``.
    """

    first: int
    last: int
    suite: int
    version: int
    group: int
    scheme: int
    key_share: bool = True

    @classmethod
    def choose(cls) -> ClientHelloGrease:
        """Choose different values at random."""
        first, last, suite, version, group, scheme = _random.sample(sorted(GREASE), 6)
        return cls(first, last, suite, version, group, scheme)


def in_client_hello(hello: ClientHello, values: ClientHelloGrease) -> ClientHello:
    """Add a reserved value to each list that a server chooses from (RFC 8701 3.1).

    The caller adds extensions that must come last, such as pre_shared_key, afterwards.
    """
    extensions = dict(hello.extensions)
    if (body := extensions.get(_E.supported_versions)) is not None:
        versions = ext.decode_supported_versions(body)
        listed = ext.encode_supported_versions((values.version, *versions))
        extensions[_E.supported_versions] = listed
    lists = {_E.supported_groups: values.group, _E.signature_algorithms: values.scheme}
    for kind, value in lists.items():
        if kind in extensions:
            others = ext.decode_uint16_list(extensions[kind], kind.name)
            extensions[kind] = ext.encode_uint16_list((value, *others))
    if values.key_share and (shares := extensions.get(_E.key_share)) is not None:
        greased = {values.group: b"\0", **ext.decode_key_shares(shares)}
        extensions[_E.key_share] = ext.encode_key_shares(greased)
    return replace(
        hello,
        cipher_suites=(values.suite, *hello.cipher_suites),
        extensions={values.first: b"", **extensions, values.last: b"\0"},
    )


def in_request(extensions: Extensions) -> Extensions:
    """Add reserved values to the extensions of a CertificateRequest (RFC 8701 4.1)."""
    first, scheme = _random.sample(sorted(GREASE), 2)
    schemes = ext.decode_uint16_list(extensions[_E.signature_algorithms], "signature_algorithms")
    listed = ext.encode_uint16_list((scheme, *schemes))
    return {first: b"", **extensions, _E.signature_algorithms: listed}


def in_ticket(extensions: Extensions) -> Extensions:
    """Add a reserved value to the extensions of a NewSessionTicket (RFC 8701 4.1)."""
    return {_random.choice(sorted(GREASE)): b"", **extensions}
