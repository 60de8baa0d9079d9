"""The client's hellos: what it offers, and what the server's answer makes of that.

What follows the hellos belongs to a version: ``client_handshake`` hands over to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import urandom

from ..config.client import ClientParameters
from ..crypto.cipher_suites import CipherSuite
from ..crypto.groups import EphemeralKey, Group
from ..crypto.signatures import CERTIFICATE_ONLY_SCHEMES
from ..errors import AlertDescription, NegotiationError, ProtocolError
from ..messages import extensions as ext
from ..messages import grease
from ..messages.codec import uint16
from ..messages.extensions import Context, ExtensionType, check_context
from ..messages.handshake import MAX_SESSION_ID_LENGTH, RANDOM_LENGTH, ClientHello, ServerHello
from ..messages.versions import TLS12, TLS13, VERSION_NAMES
from ..pki.server_name import ServerName
from ..record.protection import INITIAL_RECORD_VERSION, LEGACY_RECORD_VERSION
from ..record.receive import unexpected
from ..sessions.client import Session
from . import client13, early_data
from .certificate_compression import offer
from .external_psk import psks_of
from .hello import NO_COMPRESSION, bad_key_share, check_legacy_version
from .psk import Psk, encode_psk_key_exchange_modes, with_psks, without_psks
from .resumption_client import find_session, psk_of
from .steps import Established, Handshake, Steps

__all__ = ["client_handshake"]

#: RFC 9846 4.2.3: the end of the random of a server that could have done better.
DOWNGRADE_SENTINELS = (b"DOWNGRD\x01", b"DOWNGRD\x00")

_E = ExtensionType


def client_handshake(
    hs: Handshake,
    config: ClientParameters,
    server_name: ServerName,
    port: int | None = None,
    data: bytes = b"",
    *,
    resend: bool = False,
) -> Steps[Established]:
    """Offer; do what a HelloRetryRequest asks for; go on with what the server chose.

    Args:
        port: on which the server is reached, where that is known.
        data: what is to be sent early, if the server may take it so.
        resend: send it behind the handshake otherwise.
    """
    hs.outgoing.fragment_length = config.max_fragment_size
    shares = {group.code: group.generate() for group in initial_groups(config)}
    session = yield from find_session(hs, config, server_name, port)
    if session is not None and early_data.is_allowed(config, session, data):
        # Before it leaves. That may take a while, and the keys tell how old they are.
        yield from client13.reverify_on_resumption(hs, config, server_name, session)
    external = external_psks(config)
    psks = psks_to_offer(config, session, external)
    early = early_data.make_offer(config, psks, data)
    hello = client_hello(config, server_name, shares)
    if config.grease:
        hello = grease.in_client_hello(hello)
    hello = early_data.offer(hello, early)
    hello = with_psks(hello, psks, hs.transcript.messages)
    hs.log_keys(config.write_key_log, hello.random)
    hs.outgoing.record_version = INITIAL_RECORD_VERSION
    hs.send(hello)
    hs.outgoing.finish_flight()
    hs.outgoing.record_version = LEGACY_RECORD_VERSION
    if early is not None:
        early_data.send(hs, config, early)
    hs.incoming.accept_change_cipher_spec = True

    answer = yield from hs.expect(ServerHello)
    suite = chosen_suite(config, hello, answer)
    if answer.is_hello_retry_request:
        hs.check_end_of_flight()
        check_context(answer.extensions, Context.HRR, {*hello.extensions, _E.cookie})
        hs.transcript.retry(suite)
        hs.outgoing.unprotect()
        shares = retry_shares(config, shares, answer)
        # RFC 9846 4.2.2: keys that go with another hash are of no use any more.
        psks = psks_to_offer(config, session, external)
        psks = [psk for psk in psks if psk.suite.hash is suite.hash]
        hello = second_client_hello(hello, shares, answer)
        hello = with_psks(hello, psks, hs.transcript.messages)
        if config.middlebox_compatibility and early is None:
            hs.outgoing.change_cipher_spec()
        early = None
        hs.send(hello)
        hs.transcript.start(suite)

        answer = yield from hs.expect(ServerHello)
        if answer.is_hello_retry_request:
            raise unexpected("sent a second HelloRetryRequest")
        if _E.supported_versions not in answer.extensions:
            raise ProtocolError("the other side changed its mind about the version")
        if chosen_suite(config, hello, answer) is not suite:
            raise ProtocolError("the other side changed its mind about the cipher suite")
    else:
        hs.transcript.start(suite)
        if config.middlebox_compatibility and early is None:
            hs.outgoing.change_cipher_spec()

    check_context(answer.extensions, Context.SH, hello.extensions)
    psk = chosen_psk(config, psks, suite, answer)
    group, shared_secret = finish_key_exchange(config, shares, psk, answer)
    offer = client13.Offer(
        config, server_name, port, hello.extensions, psk, early, data if resend else b""
    )
    return (yield from client13.run(hs, offer, suite, group, shared_secret))


def initial_groups(config: ClientParameters) -> Sequence[Group]:
    """The groups that a first ClientHello has key shares for, the most wanted first.

    Unless the configuration says it, that is the first of each kind: a server that knows of no
    post-quantum groups costs no further round trip then.
    """
    groups = config.group_table.values()
    if config.key_share_codes is not None:
        return [group for group in groups if group.code in config.key_share_codes]
    first_of_kind: dict[bool, Group] = {}
    for group in groups:
        first_of_kind.setdefault(group.is_post_quantum, group)
    return list(first_of_kind.values())


def client_hello(
    config: ClientParameters, server_name: ServerName, shares: Mapping[int, EphemeralKey]
) -> ClientHello:
    extensions: dict[int, bytes] = {}
    if server_name.sni is not None:
        extensions[_E.server_name] = ext.encode_server_name(server_name.sni)
    extensions[_E.supported_groups] = ext.encode_uint16_list(config.group_table)
    if not config.psk_required:
        schemes = (*config.scheme_table, *CERTIFICATE_ONLY_SCHEMES)
        extensions[_E.signature_algorithms] = ext.encode_uint16_list(schemes)
    if config.alpn:
        extensions[_E.application_layer_protocol_negotiation] = ext.encode_alpn(config.alpn)
    if config.asks_for_ocsp:
        extensions[_E.status_request] = ext.encode_status_request()
    if config.timestamps:
        extensions[_E.signed_certificate_timestamp] = b""
    extensions |= offer(config.compressors)
    extensions[_E.record_size_limit] = uint16(config.record_size_limit)
    extensions[_E.key_share] = encode_shares(shares)
    extensions[_E.supported_versions] = ext.encode_supported_versions((TLS13,))
    if config.sessions is not None or config.psks:
        # RFC 9846 4.3.9: a server sends no tickets to a client that cannot use them.
        extensions[_E.psk_key_exchange_modes] = encode_psk_key_exchange_modes(config)
    return ClientHello(
        legacy_version=TLS12,
        random=urandom(RANDOM_LENGTH),
        # RFC 9846 E.4: a session id makes it look like a resumption of TLS 1.2.
        legacy_session_id=(
            urandom(MAX_SESSION_ID_LENGTH) if config.middlebox_compatibility else b""
        ),
        cipher_suites=tuple(config.suite_table),
        legacy_compression_methods=NO_COMPRESSION,
        extensions=extensions,
    )


def external_psks(config: ClientParameters) -> Sequence[Psk[Session]]:
    """The keys from outside, as they go with our suites."""
    suites = config.suite_table.values()
    return [psk for external in config.psks for psk in psks_of(external, suites)]


def psks_to_offer(
    config: ClientParameters, session: Session | None, external: Sequence[Psk[Session]]
) -> Sequence[Psk[Session]]:
    """The keys that we have for this server, a session's first; its age is that of the moment."""
    return external if session is None else [psk_of(session, config.clock()), *external]


def chosen_psk(
    config: ClientParameters, psks: Sequence[Psk[Session]], suite: CipherSuite, answer: ServerHello
) -> Psk[Session] | None:
    """The key that the server chose among those offered, if any (RFC 9846 4.3.11)."""
    body = answer.extensions.get(_E.pre_shared_key)
    if body is None:
        if config.psk_required:
            raise ProtocolError(
                "the other side takes none of the pre-shared keys, and nothing else will do",
                AlertDescription.missing_extension,
            )
        return None
    index = ext.decode_uint16(body, "pre_shared_key")
    if index >= len(psks):
        raise ProtocolError("the other side chose a pre-shared key that was not offered")
    if psks[index].suite.hash is not suite.hash:
        raise ProtocolError(
            "the other side chose a pre-shared key that goes with another hash than its suite's"
        )
    return psks[index]


def encode_shares(shares: Mapping[int, EphemeralKey]) -> bytes:
    return ext.encode_key_shares({code: share.public for code, share in shares.items()})


def chosen_suite(config: ClientParameters, hello: ClientHello, answer: ServerHello) -> CipherSuite:
    """Check the answer's version and what it must echo; give its suite (RFC 9846 4.2.3)."""
    version = answer.extensions.get(_E.supported_versions)
    if version is None:
        if answer.random.endswith(DOWNGRADE_SENTINELS):
            raise ProtocolError(
                "the other side can do TLS 1.3, but somebody in between kept it from doing so"
            )
        name = VERSION_NAMES.get(answer.legacy_version, f"version {answer.legacy_version:#06x}")
        raise NegotiationError(
            f"this peer offered only {name}, and TLS 1.3 is required",
            AlertDescription.protocol_version,
        )
    if ext.decode_uint16(version, "supported_versions") != TLS13:
        raise ProtocolError("the other side chose a version of TLS that was not offered")
    check_legacy_version(answer.legacy_version)
    if answer.legacy_session_id_echo != hello.legacy_session_id:
        raise ProtocolError("the other side did not echo the legacy_session_id")
    if answer.legacy_compression_method != 0:
        raise ProtocolError("the other side chose a compression method")
    suite = config.suite_table.get(answer.cipher_suite)
    if suite is None:
        raise ProtocolError(
            f"the other side chose a cipher suite ({answer.cipher_suite:#06x}) "
            "that was not offered"
        )
    return suite


def retry_shares(
    config: ClientParameters, shares: Mapping[int, EphemeralKey], retry: ServerHello
) -> Mapping[int, EphemeralKey]:
    """The key shares of the second ClientHello (RFC 9846 4.3.8)."""
    wanted = retry.extensions.get(_E.key_share)
    if wanted is None:
        if _E.cookie not in retry.extensions:
            raise ProtocolError("the other side's HelloRetryRequest asks for no change at all")
        return shares
    code = ext.decode_uint16(wanted, "key_share")
    group = config.group_table.get(code)
    if group is None:
        raise ProtocolError(
            f"the other side asked for a key share of a group ({code:#06x}) that was not offered"
        )
    if code in shares:
        raise ProtocolError(f"the other side asked for a key share ({group.name}) that it has")
    return {code: group.generate()}


def second_client_hello(
    hello: ClientHello, shares: Mapping[int, EphemeralKey], retry: ServerHello
) -> ClientHello:
    """The first one, with what the HelloRetryRequest asked for (RFC 9846 4.2.2).

    A pre_shared_key is left out: it would need other binders. Nothing is sent early any more.
    """
    extensions = dict(without_psks(hello).extensions)
    extensions.pop(_E.early_data, None)
    if _E.key_share in retry.extensions:
        extensions[_E.key_share] = encode_shares(shares)
    if (cookie := retry.extensions.get(_E.cookie)) is not None:
        extensions[_E.cookie] = ext.encode_cookie(ext.decode_cookie(cookie))
    return replace(hello, extensions=extensions)


def finish_key_exchange(
    config: ClientParameters,
    shares: Mapping[int, EphemeralKey],
    psk: Psk[Session] | None,
    answer: ServerHello,
) -> tuple[Group | None, bytes | None]:
    """The group that the server chose among our key shares, if any, and the shared secret."""
    body = answer.extensions.get(_E.key_share)
    if body is None and psk is None:
        raise ProtocolError(
            "the other side's ServerHello lacks a key_share", AlertDescription.missing_extension
        )
    if body is None:
        if not config.psk_without_key_exchange:
            # RFC 9846 4.3.11: it is not what psk_key_exchange_modes said.
            raise ProtocolError("the other side wants to do without a key exchange")
        return None, None
    code, key_exchange = ext.decode_key_share_entry(body)
    share = shares.get(code)
    if share is None:
        raise ProtocolError(
            f"the other side chose a group ({code:#06x}) that no key share was sent for"
        )
    group = config.group_table[code]
    try:
        return group, share.exchange(key_exchange)
    except ValueError as error:
        raise bad_key_share(group) from error
