"""How a server processes ClientHellos of TLS 1.3 and answers them (RFC 9846 4.2)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from os import urandom
from typing import NoReturn

from ..config.server import ServerParameters
from ..crypto.cipher_suites import CipherSuite
from ..crypto.groups import Group
from ..crypto.signatures import CLIENT_ONLY_SCHEMES
from ..errors import AlertDescription, NegotiationError, ProtocolError
from ..messages import extensions as ext
from ..messages.certificate_types import CertificateType
from ..messages.codec import uint16
from ..messages.extensions import Context, ExtensionType, check_context
from ..messages.handshake import (
    HELLO_RETRY_REQUEST_RANDOM,
    RANDOM_LENGTH,
    ClientHello,
    ServerHello,
)
from ..messages.info import requested_name
from ..messages.versions import TLS12, TLS13
from ..pki.credentials import Credentials
from ..record.receive import MAX_SKIPPED_EARLY_DATA
from . import certificate_selection, early_data
from .alpn import choose_protocol
from .certificate_selection import Selected
from .certificate_types import DEFAULT_TYPES, accepted_types, no_common_type, requested_type
from .early_data import Accepted
from .ech_server import ECHReceived, confirm, open_second_hello
from .external_psk import find_psks
from .group_selection import (
    answer_key_share,
    key_shares,
    retried_key_share,
    select_group,
    supported_groups,
)
from .hello import NO_COMPRESSION, check_legacy_version, require, select_version
from .psk import (
    PSK_DHE_KE,
    PSK_KE,
    OfferedPsks,
    Psk,
    check_binder,
    decode_offered_psks,
    psk_modes,
)
from .resumption_server import ServerSession, known_sessions, ticket_context
from .second_client_hello import check_second_client_hello
from .steps import Handshake, Steps

__all__ = ["Terms", "check_client_hello", "process_client_hello", "send_server_hello"]

COOKIE_LENGTH = 32

SELECTED_VERSION = uint16(TLS13)  # as a supported_versions extension has it

#: Identities of one ClientHello that a server looks at: a session's, and four external PSKs',
#: imported for two hashes each.
MAX_IDENTITIES = 9

_E = ExtensionType


@dataclass(slots=True, eq=False)
class Choice:
    """A server's selection from a ClientHello.

    Attributes:
        identity: the certificate and the signature scheme; None if none fits the client.
        psk: the PSK; its binder is checked later. None for a certificate.
        group: the group of the key exchange; None for no key exchange.
        peer_share: the client's key share of that group; None until the client has sent it.
        with_certificate: whether the server authenticates by its certificate although there is an
            external PSK (RFC 9973).
    """

    suite: CipherSuite
    identity: Selected | None
    psk: Psk[ServerSession] | None
    group: Group | None
    peer_share: bytes | None
    with_certificate: bool = False

    @property
    def missing_group(self) -> Group | None:
        """The group that the client still has to send a key share of."""
        return self.group if self.peer_share is None else None


@dataclass(slots=True, eq=False)
class Terms:
    """The parameters that both sides agree on after the ClientHello.

    Attributes:
        hello: the last ClientHello.
        identity: the certificate that the server has for this client; None if it has none.
        psk: the PSK; None if there is none.
        psk_index: its index among the offered PSKs.
        group, peer_share: the key exchange; None if there is none.
        early_data: the early data that the server accepts; None for none.
        ech: the encrypted_client_hello that the client sent, if any.
        messages: if ``ech`` was accepted, the messages so far, which the confirmation covers.
        client_type: the type of certificate that is requested of the client; None for none.
        with_certificate: whether the server sends a certificate although there is a PSK.
    """

    config: ServerParameters
    hello: ClientHello
    suite: CipherSuite
    identity: Selected | None
    psk: Psk[ServerSession] | None
    psk_index: int | None
    group: Group | None
    peer_share: bytes | None
    alpn_protocol: bytes | None
    early_data: Accepted | None
    ech: ECHReceived | None = None
    messages: Sequence[bytes] = field(default=(), repr=False)
    client_type: CertificateType | None = None
    with_certificate: bool = False

    @property
    def psk_authenticates(self) -> bool:
        """Whether the PSK takes the place of the certificates of both sides."""
        return self.psk is not None and not self.with_certificate


def process_client_hello(
    hs: Handshake,
    config: ServerParameters,
    candidates: Sequence[Credentials],
    hello: ClientHello,
    ech: ECHReceived | None,
) -> Steps[Terms]:
    """Select from what the client offers, after a HelloRetryRequest if one is needed."""
    if _E.cookie in hello.extensions:
        # RFC 9846 4.3.2: only the second ClientHello may have one.
        raise ProtocolError("the peer's first ClientHello has a cookie, which no server sent")
    offered = decode_offered_psks(hello)
    choice = yield from select(hs, config, candidates, hello, offered)
    # Before a retry too: a client without the PSK must not learn which suite goes with it.
    psk_index = check_psk(hs, choice.psk, offered)
    if choice.missing_group is not None or config.require_cookie:
        choice, hello = yield from request_retry(hs, config, choice, hello, ech)
        psk_index = check_psk(hs, choice.psk, decode_offered_psks(hello))
    client_type = None
    if (choice.psk is None or choice.with_certificate) and config.client_auth != "none":
        # RFC 9846 4.4.2: not if a PSK authenticates both sides.
        client_type = requested_type(config, hello.extensions)
    protocol = choose_protocol(config, hello)
    messages = () if ech is None else tuple(hs.transcript.messages)
    hs.transcript.start(choice.suite)
    accepted = yield from accept_early_data(hs, config, choice, hello, protocol)
    return Terms(
        config,
        hello,
        choice.suite,
        choice.identity,
        choice.psk,
        psk_index,
        choice.group,
        choice.peer_share,
        protocol,
        accepted,
        ech,
        messages,
        client_type,
        choice.with_certificate,
    )


def select(
    hs: Handshake,
    config: ServerParameters,
    candidates: Sequence[Credentials],
    hello: ClientHello,
    offered: OfferedPsks | None,
) -> Steps[Choice]:
    """Select the credentials, the PSK, the cipher suite and the group."""
    identity = select_credentials(candidates, hello)
    suites = common_suites(config, hello)
    psks: Sequence[Psk[ServerSession]] = ()
    modes = () if offered is None else psk_modes(config, hello)
    if offered is not None and modes:
        needed = not candidates or config.certificate_with_psk == "required"
        psks = yield from known_psks(hs, config, hello, offered, suites, identity, needed=needed)
    choice = choose(config, hello, suites, psks, modes, identity)
    if config.certificate_with_psk != "never":
        choice.with_certificate = selects_certificate_with_psk(config, hello, choice)
    if identity is None and (choice.psk is None or choice.with_certificate):
        refuse(candidates, hello)
    return choice


def selects_certificate_with_psk(
    config: ServerParameters, hello: ClientHello, choice: Choice
) -> bool:
    """Return whether this handshake has an external PSK and certificates (RFC 9973 4).

    Raises:
        ProtocolError: ``missing_extension``, both are required, and the client offers neither.
        NegotiationError: both are required, and no PSK goes with a common cipher suite.
    """
    external = choice.psk is not None and choice.psk.external is not None
    selected = external and _E.tls_cert_with_extern_psk in hello.extensions
    resumes = choice.psk is not None and not external
    if config.certificate_with_psk == "required" and not (selected or resumes):
        require(hello, _E.tls_cert_with_extern_psk)
        raise NegotiationError(
            "the peer offers no pre-shared key with the hash function of a common cipher suite, "
            "and certificate_with_psk is 'required'"
        )
    return selected


def request_retry(
    hs: Handshake,
    config: ServerParameters,
    choice: Choice,
    hello: ClientHello,
    ech: ECHReceived | None,
) -> Steps[tuple[Choice, ClientHello]]:
    """Send a HelloRetryRequest and read the second ClientHello (RFC 9846 4.2.4)."""
    hs.check_end_of_flight()
    retry = hello_retry_request(config, hello, choice)
    if ech is not None:
        retry = confirm(ech, choice.suite, hello.random, hs.transcript.messages, retry)
    hs.send(retry)
    hs.transcript.retry(choice.suite)
    if hello.legacy_session_id:
        hs.send_change_cipher_spec()
    skip_early_data(hs, hello)
    second = yield from hs.expect(ClientHello)
    if ech is not None:
        second = open_second_hello(hs, ech, second)
    select_version(second, {TLS13})
    check_client_hello(second)
    check_second_client_hello(hello, second, retry)
    if choice.group is not None:
        choice = replace(choice, peer_share=retried_key_share(second, choice.group))
    return choice, second


def accept_early_data(
    hs: Handshake,
    config: ServerParameters,
    choice: Choice,
    hello: ClientHello,
    protocol: bytes | None,
) -> Steps[Accepted | None]:
    """Decide whether to accept the early data that the client offers, if any."""
    if _E.early_data not in hello.extensions:
        return None
    accepted = yield from early_data.accept(hs, config, hello, choice.suite, choice.psk, protocol)
    if accepted is None:
        skip_early_data(hs, hello)
    return accepted


def skip_early_data(hs: Handshake, hello: ClientHello) -> None:
    """Skip the early data after this ClientHello (RFC 9846 4.3.10)."""
    if _E.early_data in hello.extensions:
        hs.incoming.early_data_to_skip = MAX_SKIPPED_EARLY_DATA


def check_client_hello(hello: ClientHello) -> None:
    """Check what any ClientHello of TLS 1.3 must have (RFC 9846 4.2.2, 9.2)."""
    extensions = hello.extensions
    check_legacy_version(hello.legacy_version)
    if hello.legacy_compression_methods != NO_COMPRESSION:
        raise ProtocolError("the peer offered compression along with TLS 1.3")
    check_context(extensions, Context.CH)
    if _E.pre_shared_key in extensions:
        if tuple(extensions)[-1] != _E.pre_shared_key:
            raise ProtocolError("pre_shared_key is not the last extension of the ClientHello")
        require(hello, _E.psk_key_exchange_modes)
    else:
        require(hello, _E.signature_algorithms, _E.supported_groups)
    if _E.supported_groups in extensions or _E.key_share in extensions:
        require(hello, _E.supported_groups, _E.key_share)
    if _E.tls_cert_with_extern_psk in extensions:
        check_certificate_with_psk(hello)


def check_certificate_with_psk(hello: ClientHello) -> None:
    """Check what goes with tls_cert_with_extern_psk in a ClientHello (RFC 9973 4, 5.1)."""
    require(hello, _E.key_share, _E.psk_key_exchange_modes, _E.pre_shared_key)
    if _E.early_data in hello.extensions:
        raise ProtocolError("the peer offers early data together with tls_cert_with_extern_psk")
    modes = ext.decode_psk_key_exchange_modes(hello.extensions[_E.psk_key_exchange_modes])
    if PSK_DHE_KE not in modes:
        raise ProtocolError("the peer offers tls_cert_with_extern_psk without a key exchange")


def select_credentials(candidates: Sequence[Credentials], hello: ClientHello) -> Selected | None:
    """Select the credentials for this client (RFC 9846 4.5.1.2); None if none fit."""
    body = hello.extensions.get(_E.signature_algorithms)
    if body is None:
        return None
    offered = ext.decode_uint16_list(body, "signature_algorithms")
    # RFC 9963 2: no client may offer these, and a server never signs with them.
    schemes = [scheme for scheme in offered if scheme not in CLIENT_ONLY_SCHEMES]
    accepted: Collection[int] = DEFAULT_TYPES
    if _E.server_certificate_type in hello.extensions:
        accepted = accepted_types(hello.extensions)
    candidates = [each for each in candidates if each.certificate_type in accepted]
    # One certificate serves all names.
    name = requested_name(hello.extensions) if len(candidates) > 1 else None
    return certificate_selection.for_server(candidates, schemes, name)


def refuse(candidates: Sequence[Credentials], hello: ClientHello) -> NoReturn:
    """Raise the reason why neither a certificate nor a PSK fits this client."""
    if not candidates:
        raise NegotiationError(
            "the peer offers no pre-shared key of this server, and the server has no certificate"
        )
    require(hello, _E.signature_algorithms)
    accepted = accepted_types(hello.extensions)
    if not any(each.certificate_type in accepted for each in candidates):
        raise no_common_type(candidates)
    able = {scheme.name: None for c in candidates for scheme in c.signer.schemes}
    raise NegotiationError(
        f"this peer accepts no signature that our key can make ({', '.join(able)})"
    )


def common_suites(config: ServerParameters, hello: ClientHello) -> Sequence[CipherSuite]:
    """Return the cipher suites that both sides allow, in the server's order of preference."""
    suites = [s for s in config.suite_table.values() if s.code in hello.cipher_suites]
    if not suites:
        raise NegotiationError("the peer offers no cipher suite that is allowed here")
    return suites


def known_psks(
    hs: Handshake,
    config: ServerParameters,
    hello: ClientHello,
    offered: OfferedPsks,
    suites: Sequence[CipherSuite],
    identity: Selected | None,
    *,
    needed: bool,
) -> Steps[Sequence[Psk[ServerSession]]]:
    """Return the offered PSKs that this server has: those of sessions, or else external ones.

    The binder, which is checked later, proves that the client has the key.

    Args:
        suites: the cipher suites that the keys must fit.
        identity: the server's certificate for this client, which its tickets are bound to.
        needed: whether the server has no certificate for this client.
    """
    identities = offered.identities[:MAX_IDENTITIES]
    if identity is not None:
        context = ticket_context(config, identity[0], hello)
        if known := (yield from known_sessions(hs, config, context, identities)):
            if _E.tls_cert_with_extern_psk in hello.extensions:
                # RFC 9973 5.1: only external PSKs go with it.
                raise ProtocolError("the peer offers a session with tls_cert_with_extern_psk")
            return known
    names = [name for name, _ in identities]
    return (yield from find_psks(hs, config.find_psk, names, suites, needed=needed))


def choose(
    config: ServerParameters,
    hello: ClientHello,
    suites: Sequence[CipherSuite],
    psks: Sequence[Psk[ServerSession]],
    modes: Collection[int],
    identity: Selected | None,
) -> Choice:
    """Select a suite and a group, both in the server's order of preference.

    Suites that match a PSK are preferred.

    Args:
        modes: the key exchange modes of a PSK that both sides allow.
    """
    # RFC 9846 4.3.11: a key goes with a hash, not with the rest of the suite.
    pairs = ((suite, psk) for suite in suites for psk in psks if psk.suite.hash is suite.hash)
    suite, psk = next(pairs, (suites[0], None))
    offered = supported_groups(hello)
    shares = key_shares(hello)
    if shares.keys() - offered:
        raise ProtocolError("the peer sent a key share for a group that it does not offer")
    common = [group for group in config.group_table.values() if group.code in offered]
    if psk is not None and (PSK_DHE_KE not in modes or (PSK_KE in modes and not common)):
        return Choice(suite, identity, psk, None, None)
    require(hello, _E.supported_groups, _E.key_share)
    if not common:
        raise NegotiationError("the peer offers no key exchange group that is allowed here")
    group = select_group(config, common, shares)
    return Choice(suite, identity, psk, group, shares.get(group.code))


def check_psk(
    hs: Handshake, psk: Psk[ServerSession] | None, offered: OfferedPsks | None
) -> int | None:
    """Check the binder of the selected PSK; return its index among the offered PSKs.

    The ClientHello is the last message of the transcript.

    Raises:
        ProtocolError: the binder is wrong, or the second ClientHello lacks the PSK, although it
            goes with the suite that the HelloRetryRequest named (RFC 9846 4.2.2).
    """
    if psk is None:
        return None
    if offered is None:
        raise ProtocolError(
            "the peer's second ClientHello lacks pre_shared_key",
            AlertDescription.missing_extension,
        )
    identities = [identity for identity, _ in offered.identities]
    if psk.identity not in identities:
        raise ProtocolError("the peer's second ClientHello lacks a key of its first")
    index = identities.index(psk.identity)
    check_binder(offered, index, psk, hs.transcript.messages)
    return index


def hello_retry_request(
    config: ServerParameters, hello: ClientHello, choice: Choice
) -> ServerHello:
    extensions: dict[int, bytes] = {}
    if (group := choice.missing_group) is not None:
        extensions[_E.key_share] = uint16(group.code)
    if config.require_cookie:
        extensions[_E.cookie] = ext.encode_cookie(urandom(COOKIE_LENGTH))
    extensions[_E.supported_versions] = SELECTED_VERSION
    return ServerHello(
        legacy_version=TLS12,
        random=HELLO_RETRY_REQUEST_RANDOM,
        legacy_session_id_echo=hello.legacy_session_id,
        cipher_suite=choice.suite.code,
        legacy_compression_method=0,
        extensions=extensions,
    )


def send_server_hello(hs: Handshake, terms: Terms) -> bytes | None:
    """Send the ServerHello; return the shared secret of the key exchange, if there is one."""
    extensions: dict[int, bytes] = {}
    shared_secret = None
    if terms.psk_index is not None:
        extensions[_E.pre_shared_key] = uint16(terms.psk_index)
    if terms.group is not None:
        share, shared_secret = answer_key_share(terms.group, terms.peer_share or b"")
        extensions[_E.key_share] = ext.encode_key_share_entry(terms.group.code, share)
    if terms.with_certificate:
        extensions[_E.tls_cert_with_extern_psk] = b""
    extensions[_E.supported_versions] = SELECTED_VERSION
    answer = ServerHello(
        legacy_version=TLS12,
        random=urandom(RANDOM_LENGTH),
        legacy_session_id_echo=terms.hello.legacy_session_id,
        cipher_suite=terms.suite.code,
        legacy_compression_method=0,
        extensions=extensions,
    )
    if terms.ech is not None:
        answer = confirm(terms.ech, terms.suite, terms.hello.random, terms.messages, answer)
    hs.send(answer)
    if terms.hello.legacy_session_id:
        hs.send_change_cipher_spec()
    return shared_secret
