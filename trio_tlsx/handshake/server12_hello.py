"""A server's processing of a TLS 1.2 ClientHello, and its answer (RFC 5246 7.4.1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from os import urandom

from ..config.server import ServerParameters
from ..crypto.cipher_suites12 import CipherSuite12
from ..crypto.groups import GROUPS, Group
from ..crypto.signatures import SignatureScheme
from ..crypto.signatures12 import authentication_of
from ..errors import NegotiationError, ProtocolError
from ..messages import extensions as ext
from ..messages.certificate_types import CertificateType
from ..messages.extensions import Extensions, ExtensionType
from ..messages.extensions12 import (
    INITIAL_CONNECTION,
    POINT_FORMATS,
    check_client_hello_extensions,
)
from ..messages.handshake import RANDOM_LENGTH, ClientHello, ServerHello
from ..messages.info import requested_name
from ..messages.versions import TLS12, TLS13
from ..pki.credentials import Credentials
from ..record.protection12 import Opener12
from . import certificate_selection, steps12
from .alpn import choose_protocol
from .certificate_selection import Selected
from .certificate_selection12 import curve_of, schemes_of_12
from .certificate_types import (
    DEFAULT_TYPES,
    accepted_types,
    answer_types,
    no_common_type,
    requested_type,
)
from .hello import NO_COMPRESSION
from .record_sizes import answer_record_sizes
from .steps import Handshake

__all__ = ["Terms12", "check_client_hello_12", "choose_terms", "send_server_hello"]

RENEGOTIATION_SCSV = 0x00FF  # RFC 5746 3.3

#: RFC 9846 4.2.3: the end of the random of a server that also supports TLS 1.3.
DOWNGRADE_SENTINEL = b"DOWNGRD\x01"

_E = ExtensionType


@dataclass(slots=True, eq=False)
class Terms12:
    """The parameters that both sides agree on after the ClientHello.

    Attributes:
        identity: the credentials and the signature scheme of the server.
        extended_master_secret: whether both sides have it.
        client_type: the type of certificate that is requested of the client; None for none.
    """

    config: ServerParameters
    hello: ClientHello
    suite: CipherSuite12
    identity: Selected
    group: Group
    alpn_protocol: bytes | None
    extended_master_secret: bool
    client_type: CertificateType | None

    @property
    def credentials(self) -> Credentials:
        return self.identity[0]

    @property
    def scheme(self) -> SignatureScheme:
        return self.identity[1]


def check_client_hello_12(hello: ClientHello) -> None:
    """Check what any ClientHello of TLS 1.2 must have (RFC 5246 7.4.1.2)."""
    if NO_COMPRESSION not in hello.legacy_compression_methods:
        raise ProtocolError("the peer's ClientHello lacks the null compression method")
    check_client_hello_extensions(hello.extensions)


def choose_terms(
    config: ServerParameters, candidates: Sequence[Credentials], hello: ClientHello
) -> Terms12:
    """Select the credentials first, and then the suite that fits their key."""
    suites = common_suites(config, hello)
    groups = common_groups(config, hello)
    identity = select_credentials(candidates, hello, {suite.authentication for suite in suites})
    authentication = authentication_of(identity[0].raw_public_key or identity[0].chain[0])
    suite = next(s for s in suites if s.authentication == authentication)
    return Terms12(
        config,
        hello,
        suite,
        identity,
        groups[0],
        choose_protocol(config, hello),
        steps12.check_extended_master_secret(config, hello.extensions),
        None if config.client_auth == "none" else requested_type(config, hello.extensions),
    )


def common_suites(config: ServerParameters, hello: ClientHello) -> Sequence[CipherSuite12]:
    """Return the cipher suites that both sides allow, in the server's order of preference."""
    suites = [
        suite for suite in config.tls12.suite_table.values() if suite.code in hello.cipher_suites
    ]
    if not suites:
        raise NegotiationError("the peer offers no cipher suite that is allowed here")
    return suites


def common_groups(config: ServerParameters, hello: ClientHello) -> Sequence[Group]:
    """Return the groups that both sides allow, in the server's order of preference."""
    body = hello.extensions.get(_E.supported_groups)
    if body is None:
        # RFC 8422 4 lets the server select any curve, but the client may not support it.
        raise NegotiationError("the peer's ClientHello lacks supported_groups")
    offered = ext.decode_uint16_list(body, "supported_groups")
    if common := [g for g in config.tls12.group_table.values() if g.code in offered]:
        return common
    raise NegotiationError("the peer offers no key exchange group that is allowed here")


def select_credentials(
    candidates: Sequence[Credentials], hello: ClientHello, kinds: Collection[str]
) -> Selected:
    """Select the credentials for this client (RFC 5246 7.4.2).

    Args:
        kinds: the kinds of keys that the common cipher suites allow.
    """
    body = hello.extensions.get(_E.signature_algorithms)
    if body is None:
        # RFC 5246 7.4.1.4.1: such a client accepts only SHA-1.
        raise NegotiationError(
            "this peer accepts only signatures with SHA-1: its ClientHello lacks "
            "signature_algorithms"
        )
    schemes = ext.decode_uint16_list(body, "signature_algorithms")
    curves = supported_curves(hello)

    def schemes_of(credentials: Credentials) -> Sequence[SignatureScheme]:
        leaf = credentials.raw_public_key or credentials.chain[0]
        # RFC 8422 5.3: the curve of an ECDSA certificate is one that the client supports.
        curve = curve_of(leaf)
        if curve is not None and curve not in curves:
            return ()
        return schemes_of_12(credentials) if authentication_of(leaf) in kinds else ()

    accepted: Collection[int] = DEFAULT_TYPES
    if _E.server_certificate_type in hello.extensions:
        accepted = accepted_types(hello.extensions)
    fitting = [each for each in candidates if each.certificate_type in accepted]
    if not fitting:
        raise no_common_type(candidates)
    name = requested_name(hello.extensions)
    selected = certificate_selection.for_server(fitting, schemes, name, schemes_of)
    if selected is None:
        raise NegotiationError(
            "none of this server's certificates goes with the cipher suites, the groups and the "
            "signature schemes that this peer offers for TLS 1.2"
        )
    return selected


def supported_curves(hello: ClientHello) -> Collection[str]:
    """Return the names of the groups that the client supports."""
    codes = ext.decode_uint16_list(hello.extensions[_E.supported_groups], "supported_groups")
    return {GROUPS[code].name for code in codes if code in GROUPS}


def send_server_hello(
    hs: Handshake,
    terms: Terms12,
    stapled: Extensions,
    *,
    ticket_promised: bool,
    session_id: bytes = b"",
    resumes: bool = False,
) -> bytes:
    """Send the ServerHello; return its random.

    Args:
        stapled: the extensions of the server's leaf, as TLS 1.3 has them.
        ticket_promised: whether a NewSessionTicket follows.
        session_id: the id of the resumed or of the new session; empty for none.
        resumes: whether the client's session is resumed.
    """
    extensions = answered_extensions(hs, terms, stapled)
    if _E.client_certificate_type in terms.hello.extensions or (
        _E.server_certificate_type in terms.hello.extensions
    ):
        requested = None if resumes else terms.client_type
        extensions |= answer_types(terms.hello.extensions, requested, terms.credentials)
    if _E.server_name in terms.hello.extensions and not resumes:
        # RFC 6066 3: a resumption has no answer to server_name.
        extensions[_E.server_name] = b""
    if ticket_promised:
        extensions[_E.session_ticket] = b""
    random = server_random(terms.config)
    hs.send(
        ServerHello(
            legacy_version=TLS12,
            random=random,
            legacy_session_id_echo=session_id,
            cipher_suite=terms.suite.code,
            legacy_compression_method=0,
            extensions=extensions,
        )
    )
    return random


def server_random(config: ServerParameters) -> bytes:
    """Return a new random, with the sentinel if this server also supports TLS 1.3."""
    random = urandom(RANDOM_LENGTH)
    if TLS13 not in config.versions:
        return random
    return random[: -len(DOWNGRADE_SENTINEL)] + DOWNGRADE_SENTINEL


def answered_extensions(hs: Handshake, terms: Terms12, stapled: Extensions) -> dict[int, bytes]:
    """Return the extensions of the ServerHello, and apply those that limit records."""
    hello, extensions = terms.hello, dict[int, bytes]()
    if _E.renegotiation_info in hello.extensions or RENEGOTIATION_SCSV in hello.cipher_suites:
        extensions[_E.renegotiation_info] = INITIAL_CONNECTION
    if terms.extended_master_secret:
        extensions[_E.extended_master_secret] = b""
    if _E.ec_point_formats in hello.extensions:
        extensions[_E.ec_point_formats] = POINT_FORMATS
    if terms.alpn_protocol is not None:
        protocols = ext.encode_alpn([terms.alpn_protocol])
        extensions[_E.application_layer_protocol_negotiation] = protocols
    ours = terms.config.record_size_limit
    extensions |= answer_record_sizes(hs, ours, hello.extensions, type_length=Opener12.type_length)
    if _E.status_request in stapled:
        extensions[_E.status_request] = b""  # the response is in CertificateStatus
    if (timestamps := stapled.get(_E.signed_certificate_timestamp)) is not None:
        extensions[_E.signed_certificate_timestamp] = timestamps
    return extensions
