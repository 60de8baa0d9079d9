"""ClientHello, HelloRetryRequest and ServerHello: the choice of version, suite and group.

What follows the hellos belongs to a version: ``client`` and ``server`` hand over to it.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from os import urandom

from ..config import ClientConfig, ServerConfig
from ..credentials import Credentials
from ..errors import AlertDescription, NegotiationError, ProtocolError
from ..server_name import ServerName
from ..sessions import Session
from . import client13, server13, views
from . import extensions as ext
from .extensions import Context, ExtensionType, check_context
from .groups import EphemeralKey, Group
from .handshake import Established, Handshake, Steps
from .incoming import unexpected
from .messages import (
    HELLO_RETRY_REQUEST_RANDOM,
    MAX_SESSION_ID_LENGTH,
    RANDOM_LENGTH,
    ClientHello,
    ServerHello,
)
from .psk import encode_psk_key_exchange_modes, with_psk, without_psk
from .questions import CredentialsWanted
from .record import INITIAL_RECORD_VERSION, LEGACY_RECORD_VERSION
from .resumption import accept_session, find_session, fits, psk_of
from .signatures import CERTIFICATE_ONLY_SCHEMES
from .suites import CipherSuite
from .wire import uint16

__all__ = ["client", "server"]

TLS12 = 0x0303
TLS13 = 0x0304
VERSION_NAMES = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", TLS12: "TLS 1.2"}

#: RFC 9846 4.2.3: the end of the random of a server that could have done better.
DOWNGRADE_SENTINELS = (b"DOWNGRD\x01", b"DOWNGRD\x00")

NO_COMPRESSION = b"\0"
COOKIE_LENGTH = 32

#: Bytes of 0-RTT records that a server drops: what common servers let a client send at the most.
MAX_SKIPPED_EARLY_DATA = 2**14

_E = ExtensionType


# The client's half


def client(hs: Handshake, config: ClientConfig, server_name: ServerName) -> Steps[Established]:
    """Offer; do what a HelloRetryRequest asks for; go on with what the server chose."""
    shares = {group.code: group.generate() for group in initial_groups(config)}
    session = yield from find_session(hs, config, server_name)
    hello = offer_session(hs, config, session, client_hello(config, server_name, shares))
    hs.log_keys(config.write_key_log, hello.random)
    hs.outgoing.record_version = INITIAL_RECORD_VERSION
    hs.send(hello)
    hs.outgoing.finish_flight()
    hs.outgoing.record_version = LEGACY_RECORD_VERSION
    hs.incoming.accept_change_cipher_spec = True

    answer = yield from hs.expect(ServerHello)
    suite = chosen_suite(config, hello, answer)
    if answer.is_hello_retry_request:
        hs.check_end_of_flight()
        check_context(answer.extensions, Context.HRR, {*hello.extensions, _E.cookie})
        hs.transcript.retry(suite)
        shares = retry_shares(config, shares, answer)
        if session is not None and not fits(session, suite):
            session = None
        hello = second_client_hello(hello, shares, answer)
        hello = offer_session(hs, config, session, hello)
        if config.middlebox_compatibility:
            hs.outgoing.change_cipher_spec()
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
        if config.middlebox_compatibility:
            hs.outgoing.change_cipher_spec()

    check_context(answer.extensions, Context.SH, hello.extensions)
    group, shared_secret = finish_key_exchange(config, shares, answer)
    session = resumed_session(session, suite, answer)
    offer = client13.Offer(config, server_name, hello.extensions, session)
    return (yield from client13.run(hs, offer, suite, group, shared_secret))


def initial_groups(config: ClientConfig) -> Sequence[Group]:
    """The groups that a first ClientHello has key shares for.

    The most wanted one; and, where that is a hybrid, its classical part, which costs little and
    spares a round trip with servers that know nothing else.
    """
    first, *others = config.group_table.values()
    return [first, *(group for group in others if group.code == first.classical_part)]


def client_hello(
    config: ClientConfig, server_name: ServerName, shares: Mapping[int, EphemeralKey]
) -> ClientHello:
    extensions: dict[int, bytes] = {}
    if server_name.sni is not None:
        extensions[_E.server_name] = ext.encode_server_name(server_name.sni)
    extensions[_E.supported_groups] = ext.encode_uint16_list(config.group_table)
    schemes = (*config.scheme_table, *CERTIFICATE_ONLY_SCHEMES)
    extensions[_E.signature_algorithms] = ext.encode_uint16_list(schemes)
    if config.alpn:
        extensions[_E.application_layer_protocol_negotiation] = ext.encode_alpn(config.alpn)
    if config.verifiers:
        # They may want to look at it.
        extensions[_E.status_request] = ext.encode_status_request()
    extensions[_E.record_size_limit] = uint16(config.record_size_limit)
    extensions[_E.key_share] = encode_shares(shares)
    extensions[_E.supported_versions] = ext.encode_supported_versions((TLS13,))
    if config.resumption:
        # RFC 9846 4.3.9: a server sends no tickets to a client that cannot use them.
        extensions[_E.psk_key_exchange_modes] = encode_psk_key_exchange_modes()
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


def offer_session(
    hs: Handshake, config: ClientConfig, session: Session | None, hello: ClientHello
) -> ClientHello:
    """The ClientHello with an offer to resume the session, if there is one."""
    if session is None:
        return hello
    return with_psk(hello, psk_of(session, config.clock()), hs.transcript.messages)


def resumed_session(
    session: Session | None, suite: CipherSuite, answer: ServerHello
) -> Session | None:
    """The session that was offered, if the server resumes it (RFC 9846 4.3.11)."""
    index = answer.extensions.get(_E.pre_shared_key)
    if index is None or session is None:
        return None
    if ext.decode_uint16(index, "pre_shared_key") != 0:
        raise ProtocolError("the other side chose a pre-shared key that was not offered")
    if not fits(session, suite):
        raise ProtocolError("the other side resumes with a cipher suite of another hash")
    return session


def encode_shares(shares: Mapping[int, EphemeralKey]) -> bytes:
    return ext.encode_key_shares({code: share.public for code, share in shares.items()})


def chosen_suite(config: ClientConfig, hello: ClientHello, answer: ServerHello) -> CipherSuite:
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


def check_legacy_version(legacy_version: int) -> None:
    """Check what every hello of TLS 1.3 says in this field (RFC 9846 4.2.2, 4.2.3)."""
    if legacy_version != TLS12:
        raise ProtocolError(
            f"the other side's legacy_version is {legacy_version:#06x}, not {TLS12:#06x}",
            AlertDescription.protocol_version,
        )


def retry_shares(
    config: ClientConfig, shares: Mapping[int, EphemeralKey], retry: ServerHello
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

    A pre_shared_key is left out: it would need another binder.
    """
    extensions = dict(without_psk(hello).extensions)
    if _E.key_share in retry.extensions:
        extensions[_E.key_share] = encode_shares(shares)
    if (cookie := retry.extensions.get(_E.cookie)) is not None:
        extensions[_E.cookie] = ext.encode_cookie(ext.decode_cookie(cookie))
    return replace(hello, extensions=extensions)


def finish_key_exchange(
    config: ClientConfig, shares: Mapping[int, EphemeralKey], answer: ServerHello
) -> tuple[Group, bytes]:
    """The group that the server chose among our key shares, and the shared secret."""
    body = answer.extensions.get(_E.key_share)
    if body is None:
        raise ProtocolError(
            "the other side's ServerHello lacks a key_share", AlertDescription.missing_extension
        )
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


# The server's half


@dataclass(frozen=True, slots=True)
class Choice:
    """What a server picks from a ClientHello; ``peer_share`` is None where a retry is needed."""

    suite: CipherSuite
    group: Group
    peer_share: bytes | None


def server(hs: Handshake, config: ServerConfig) -> Steps[Established]:
    """Choose from what is offered; ask for another key share if need be; go on."""
    hello = yield from hs.expect(ClientHello)
    hs.incoming.accept_change_cipher_spec = True
    check_client_hello(hello)
    config, candidates = yield from who_answers(hs, config, hello)
    hs.log_keys(config.write_key_log, hello.random)
    choice = choose(config, hello)
    retried = choice.peer_share is None or config.require_cookie
    if retried:
        hs.check_end_of_flight()
        retry = hello_retry_request(config, hello, choice)
        hs.send(retry)
        hs.transcript.retry(choice.suite)
        if hello.legacy_session_id:
            hs.outgoing.change_cipher_spec()
        if _E.early_data in hello.extensions:
            hs.incoming.early_data_to_skip = MAX_SKIPPED_EARLY_DATA
        first, hello = hello, (yield from hs.expect(ClientHello))
        check_client_hello(hello)
        check_second_client_hello(first, hello, retry)
        choice = replace(choice, peer_share=retried_key_share(hello, choice.group))
    elif _E.early_data in hello.extensions:
        hs.incoming.early_data_to_skip = MAX_SKIPPED_EARLY_DATA
    identity = server13.select_credentials(candidates, hello)
    resumed = accept_session(hs, config, identity[0], hello, choice.suite)
    hs.transcript.start(choice.suite)

    share, shared_secret = answer_key_share(choice)
    hs.send(
        ServerHello(
            legacy_version=TLS12,
            random=urandom(RANDOM_LENGTH),
            legacy_session_id_echo=hello.legacy_session_id,
            cipher_suite=choice.suite.code,
            legacy_compression_method=0,
            extensions={
                _E.key_share: ext.encode_key_share_entry(choice.group.code, share),
                _E.supported_versions: uint16(TLS13),
                **({} if resumed is None else {_E.pre_shared_key: uint16(resumed.index)}),
            },
        )
    )
    if hello.legacy_session_id and not retried:
        hs.outgoing.change_cipher_spec()
    session = None if resumed is None else resumed.session
    steps = server13.run(
        hs, config, hello, identity, session, choice.suite, choice.group, shared_secret
    )
    return (yield from steps)


def who_answers(
    hs: Handshake, config: ServerConfig, hello: ClientHello
) -> Steps[tuple[ServerConfig, Sequence[Credentials]]]:
    """By which rules to go on, and as whom; asked before all else, as it may change all else."""
    if config.select_credentials is None:
        return config, config.candidates
    request = views.ClientHello.of(hello)
    answer = yield from hs.ask(CredentialsWanted(request, config.select_credentials))
    if answer is None:
        raise NegotiationError(
            f"there is no server of the name {request.server_name!r} here",
            AlertDescription.unrecognized_name,
        )
    if isinstance(answer, ServerConfig):
        return answer, answer.candidates
    return config, answer


def check_client_hello(hello: ClientHello) -> None:
    """Check what any ClientHello of TLS 1.3 must have (RFC 9846 4.2.2, 9.2)."""
    extensions = hello.extensions
    versions = extensions.get(_E.supported_versions)
    if versions is not None:
        offered = ext.decode_supported_versions(versions)
    else:
        # RFC 9846 4.3.1: it is TLS 1.2 at the most, whatever legacy_version says.
        offered = (min(hello.legacy_version, TLS12),)
    if TLS13 not in offered:
        # What GREASE put among the versions (RFC 8701) is nothing to tell people about.
        best = max((v for v in offered if v in VERSION_NAMES), default=None)
        name = "no known version" if best is None else f"only {VERSION_NAMES[best]}"
        raise NegotiationError(
            f"this peer offered {name}, and TLS 1.3 is required",
            AlertDescription.protocol_version,
        )
    check_legacy_version(hello.legacy_version)
    if hello.legacy_compression_methods != NO_COMPRESSION:
        raise ProtocolError("the other side offered compression along with TLS 1.3")
    check_context(extensions, Context.CH)
    for needed in (_E.supported_groups, _E.signature_algorithms, _E.key_share):
        if needed not in extensions:
            raise ProtocolError(
                f"the other side's ClientHello lacks {needed.name}",
                AlertDescription.missing_extension,
            )
    if _E.pre_shared_key in extensions:
        if tuple(extensions)[-1] != _E.pre_shared_key:
            raise ProtocolError("pre_shared_key is not the last extension of the ClientHello")
        if _E.psk_key_exchange_modes not in extensions:
            raise ProtocolError(
                "the other side's ClientHello lacks psk_key_exchange_modes",
                AlertDescription.missing_extension,
            )


def choose(config: ServerConfig, hello: ClientHello) -> Choice:
    """Our most wanted suite and group among those offered; a group with a key share first."""
    suite = next((s for s in config.suite_table.values() if s.code in hello.cipher_suites), None)
    if suite is None:
        raise NegotiationError("the other side offers no cipher suite that is allowed here")
    offered = supported_groups(hello)
    shares = ext.decode_key_shares(hello.extensions[_E.key_share])
    if not shares.keys() <= set(offered):
        raise ProtocolError("the other side sent a key share for a group that it does not offer")
    common = [group for group in config.group_table.values() if group.code in offered]
    if not common:
        raise NegotiationError("the other side offers no key exchange group that is allowed here")
    group = next((group for group in common if group.code in shares), common[0])
    return Choice(suite, group, shares.get(group.code))


def supported_groups(hello: ClientHello) -> tuple[int, ...]:
    return ext.decode_uint16_list(hello.extensions[_E.supported_groups], "supported_groups")


def hello_retry_request(config: ServerConfig, hello: ClientHello, choice: Choice) -> ServerHello:
    extensions: dict[int, bytes] = {}
    if choice.peer_share is None:
        extensions[_E.key_share] = uint16(choice.group.code)
    if config.require_cookie:
        extensions[_E.cookie] = ext.encode_cookie(urandom(COOKIE_LENGTH))
    extensions[_E.supported_versions] = uint16(TLS13)
    return ServerHello(
        legacy_version=TLS12,
        random=HELLO_RETRY_REQUEST_RANDOM,
        legacy_session_id_echo=hello.legacy_session_id,
        cipher_suite=choice.suite.code,
        legacy_compression_method=0,
        extensions=extensions,
    )


#: What may differ between two ClientHellos (RFC 9846 4.2.2).
_MAY_CHANGE = {_E.key_share, _E.early_data, _E.cookie, _E.pre_shared_key, _E.padding}


def check_second_client_hello(first: ClientHello, second: ClientHello, retry: ServerHello) -> None:
    """Check that the client changed what it was asked to, and nothing else."""
    if without_extensions(first, _MAY_CHANGE) != without_extensions(second, _MAY_CHANGE):
        raise ProtocolError("the other side changed its ClientHello more than it was asked to")
    if _E.early_data in second.extensions:
        raise ProtocolError("the other side offers early data after a HelloRetryRequest")
    shares = ext.decode_key_shares(second.extensions[_E.key_share])
    if _E.key_share not in retry.extensions:
        if second.extensions[_E.key_share] != first.extensions[_E.key_share]:
            raise ProtocolError(
                "the other side changed key shares that it was not asked to change"
            )
    elif len(shares) != 1:
        raise ProtocolError(f"the other side sent {len(shares)} key shares, and was asked for one")
    expected = retry.extensions.get(_E.cookie)
    cookie = second.extensions.get(_E.cookie)
    if expected is None:
        if cookie is not None:
            raise ProtocolError("the other side sent a cookie that it was not given")
    elif cookie is None:
        raise ProtocolError(
            "the other side's second ClientHello lacks the cookie",
            AlertDescription.missing_extension,
        )
    elif not hmac.compare_digest(cookie, expected):
        raise ProtocolError("the other side sent another cookie than it was given")


def without_extensions(hello: ClientHello, omitted: Collection[int]) -> ClientHello:
    rest = {code: body for code, body in hello.extensions.items() if code not in omitted}
    return replace(hello, extensions=rest)


def retried_key_share(hello: ClientHello, group: Group) -> bytes:
    """The key share that a second ClientHello must have (RFC 9846 4.3.8)."""
    shares = ext.decode_key_shares(hello.extensions[_E.key_share])
    if group.code not in shares:
        raise ProtocolError(f"the other side did not send the key share ({group.name}) asked for")
    return shares[group.code]


def answer_key_share(choice: Choice) -> tuple[bytes, bytes]:
    """Our key share and the shared secret."""
    try:
        return choice.group.respond(choice.peer_share or b"")
    except ValueError as error:
        raise bad_key_share(choice.group) from error


def bad_key_share(group: Group) -> ProtocolError:
    return ProtocolError(f"the other side's key share for {group.name} is not valid")
