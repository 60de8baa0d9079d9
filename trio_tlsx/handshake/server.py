"""The server's hellos: what it chooses from what is offered, and what it asks for anew.

What follows the hellos belongs to a version: ``server`` hands over to it.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from os import urandom

from ..config.server import ServerConfig, ServerParameters
from ..crypto.cipher_suites import CipherSuite
from ..crypto.groups import Group
from ..errors import AlertDescription, NegotiationError, ProtocolError
from ..messages import extensions as ext
from ..messages import info
from ..messages.codec import uint16
from ..messages.extensions import Context, ExtensionType, check_context
from ..messages.handshake import (
    HELLO_RETRY_REQUEST_RANDOM,
    RANDOM_LENGTH,
    ClientHello,
    ServerHello,
)
from ..messages.versions import TLS12, TLS13, VERSION_NAMES
from ..pki.credentials import Credentials
from ..record.receive import MAX_SKIPPED_EARLY_DATA
from . import early_data, server13
from .certificate_selection import Selected
from .external_psk import find_psks
from .hello import NO_COMPRESSION, bad_key_share, check_legacy_version, require
from .psk import PSK_DHE_KE, PSK_KE, Psk, check_binder, decode_offered_psks, psk_modes
from .questions import CredentialsWanted
from .resumption_server import ServerSession, known_sessions, ticket_context
from .steps import Established, Handshake, Steps

__all__ = ["server_handshake"]

COOKIE_LENGTH = 32

#: Identities of one ClientHello that a server looks at: a session's, and four external PSKs',
#: imported for two hashes each.
MAX_IDENTITIES = 9

_E = ExtensionType


@dataclass(frozen=True, slots=True)
class Choice:
    """What a server picks from a ClientHello.

    Attributes:
        psk: the key that both sides have; its binder is checked later.
        group: None for no key exchange at all.
        peer_share: None as long as the client has not sent one of that group.
    """

    suite: CipherSuite
    psk: Psk[ServerSession] | None
    group: Group | None
    peer_share: bytes | None

    @property
    def missing_group(self) -> Group | None:
        """What the client has to send a key share of."""
        return self.group if self.peer_share is None else None


def server_handshake(hs: Handshake, config: ServerParameters) -> Steps[Established]:
    """Choose from what is offered; ask for another key share if need be; go on."""
    hello = yield from hs.expect(ClientHello)
    hs.incoming.accept_change_cipher_spec = True
    check_client_hello(hello)
    config, candidates = yield from select_config(hs, config, hello)
    hs.outgoing.fragment_length = config.max_fragment_size
    hs.log_keys(config.write_key_log, hello.random)
    identity = server13.select_credentials(candidates, hello)
    suites = common_suites(config, hello)
    psks = yield from known_psks(hs, config, hello, suites, identity, needed=not candidates)
    choice = choose(config, hello, suites, psks)
    if choice.psk is None and identity is None:
        server13.refuse(candidates, hello)
    # Before a retry too: who does not have the key is not told which suite goes with it.
    extensions = accept_psk(hs, choice.psk, hello)
    retried = choice.missing_group is not None or config.require_cookie
    if retried:
        hs.check_end_of_flight()
        retry = hello_retry_request(config, hello, choice)
        hs.send(retry)
        hs.transcript.retry(choice.suite)
        if hello.legacy_session_id:
            hs.outgoing.change_cipher_spec()
        skip_early_data(hs, hello)
        first, hello = hello, (yield from hs.expect(ClientHello))
        check_client_hello(hello)
        check_second_client_hello(first, hello, retry)
        if choice.group is not None:
            choice = replace(choice, peer_share=retried_key_share(hello, choice.group))
        extensions = accept_psk(hs, choice.psk, hello)
    protocol = server13.choose_protocol(config, hello)
    hs.transcript.start(choice.suite)
    accepted = None
    if _E.early_data in hello.extensions:
        accepted = yield from early_data.accept(
            hs, config, hello, choice.suite, choice.psk, protocol
        )
        if accepted is None:
            skip_early_data(hs, hello)

    shared_secret = None
    if choice.group is not None:
        share, shared_secret = answer_key_share(choice.group, choice.peer_share or b"")
        extensions[_E.key_share] = ext.encode_key_share_entry(choice.group.code, share)
    extensions[_E.supported_versions] = uint16(TLS13)
    hs.send(
        ServerHello(
            legacy_version=TLS12,
            random=urandom(RANDOM_LENGTH),
            legacy_session_id_echo=hello.legacy_session_id,
            cipher_suite=choice.suite.code,
            legacy_compression_method=0,
            extensions=extensions,
        )
    )
    if hello.legacy_session_id and not retried:
        hs.outgoing.change_cipher_spec()
    terms = server13.Terms(
        config, identity, choice.psk, accepted, choice.suite, choice.group, protocol
    )
    return (yield from server13.run(hs, terms, hello, shared_secret))


def skip_early_data(hs: Handshake, hello: ClientHello) -> None:
    """Drop what comes behind this ClientHello (RFC 9846 4.3.10)."""
    if _E.early_data in hello.extensions:
        hs.incoming.early_data_to_skip = MAX_SKIPPED_EARLY_DATA


def select_config(
    hs: Handshake, config: ServerParameters, hello: ClientHello
) -> Steps[tuple[ServerParameters, Sequence[Credentials]]]:
    """By which rules to go on, and as whom; asked before all else, as it may change all else."""
    if config.select_credentials is None:
        return config, config.candidates
    request = info.ClientHello.of(hello)
    answer = yield from hs.ask(CredentialsWanted(request, config.select_credentials))
    if answer is None:
        raise NegotiationError(
            f"there is no server of the name {request.server_name!r} here",
            AlertDescription.unrecognized_name,
        )
    if isinstance(answer, ServerConfig):
        return answer.parameters, answer.parameters.candidates
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
    if _E.pre_shared_key in extensions:
        if tuple(extensions)[-1] != _E.pre_shared_key:
            raise ProtocolError("pre_shared_key is not the last extension of the ClientHello")
        require(hello, _E.psk_key_exchange_modes)
    else:
        require(hello, _E.signature_algorithms, _E.supported_groups)
    if _E.supported_groups in extensions or _E.key_share in extensions:
        require(hello, _E.supported_groups, _E.key_share)


def common_suites(config: ServerParameters, hello: ClientHello) -> Sequence[CipherSuite]:
    """The cipher suites that both sides allow, our most wanted one first."""
    suites = [s for s in config.suite_table.values() if s.code in hello.cipher_suites]
    if not suites:
        raise NegotiationError("the other side offers no cipher suite that is allowed here")
    return suites


def known_psks(
    hs: Handshake,
    config: ServerParameters,
    hello: ClientHello,
    suites: Sequence[CipherSuite],
    identity: Selected | None,
    *,
    needed: bool,
) -> Steps[Sequence[Psk[ServerSession]]]:
    """Those of the keys offered that we have: sessions', or else keys from outside.

    The client has one too if its binder is right.

    Args:
        suites: what the keys have to go with.
        identity: who we are for this client: our tickets are good for that.
        needed: we could be nobody without a key.
    """
    offered = decode_offered_psks(hello)
    if offered is None or not psk_modes(config, hello):
        return ()
    identities = offered.identities[:MAX_IDENTITIES]
    if identity is not None:
        context = ticket_context(config, identity[0], hello)
        if known := (yield from known_sessions(hs, config, context, identities)):
            return known
    names = [name for name, _ in identities]
    return (yield from find_psks(hs, config.find_psk, names, suites, needed=needed))


def choose(
    config: ServerParameters,
    hello: ClientHello,
    suites: Sequence[CipherSuite],
    psks: Sequence[Psk[ServerSession]],
) -> Choice:
    """The first suite, and our most wanted group among those offered.

    A suite goes first that goes with a key, and a group that has a key share.
    """
    # RFC 9846 4.3.11: a key goes with a hash, not with the rest of the suite.
    pairs = ((suite, psk) for suite in suites for psk in psks if psk.suite.hash is suite.hash)
    suite, psk = next(pairs, (suites[0], None))
    offered = supported_groups(hello)
    shares = key_shares(hello)
    if not shares.keys() <= set(offered):
        raise ProtocolError("the other side sent a key share for a group that it does not offer")
    common = [group for group in config.group_table.values() if group.code in offered]
    if psk is not None:
        modes = psk_modes(config, hello)
        if PSK_DHE_KE not in modes or (PSK_KE in modes and not common):
            return Choice(suite, psk, None, None)
    require(hello, _E.supported_groups, _E.key_share)
    if not common:
        raise NegotiationError("the other side offers no key exchange group that is allowed here")
    group = next((group for group in common if group.code in shares), common[0])
    return Choice(suite, psk, group, shares.get(group.code))


def accept_psk(
    hs: Handshake, psk: Psk[ServerSession] | None, hello: ClientHello
) -> dict[int, bytes]:
    """Check the binder of the key that we chose; give what a ServerHello says of it.

    The transcript still holds the ClientHello itself, as its last message.

    Raises:
        ProtocolError: the binder is wrong, or the key has gone from a second ClientHello, although
            it goes with the suite that the HelloRetryRequest named (RFC 9846 4.2.2).
    """
    if psk is None:
        return {}
    offered = decode_offered_psks(hello)
    if offered is None:
        raise ProtocolError(
            "the other side's second ClientHello lacks pre_shared_key",
            AlertDescription.missing_extension,
        )
    identities = [identity for identity, _ in offered.identities]
    if psk.identity not in identities:
        raise ProtocolError("the other side's second ClientHello lacks a key of its first")
    index = identities.index(psk.identity)
    check_binder(offered, index, psk, hs.transcript.messages)
    return {_E.pre_shared_key: uint16(index)}


def supported_groups(hello: ClientHello) -> tuple[int, ...]:
    body = hello.extensions.get(_E.supported_groups)
    return () if body is None else ext.decode_uint16_list(body, "supported_groups")


def key_shares(hello: ClientHello) -> Mapping[int, bytes]:
    body = hello.extensions.get(_E.key_share)
    return {} if body is None else ext.decode_key_shares(body)


def hello_retry_request(
    config: ServerParameters, hello: ClientHello, choice: Choice
) -> ServerHello:
    extensions: dict[int, bytes] = {}
    if (group := choice.missing_group) is not None:
        extensions[_E.key_share] = uint16(group.code)
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
_MAY_CHANGE = {
    _E.key_share,
    _E.early_data,
    _E.cookie,
    _E.pre_shared_key,
    _E.padding,
    # RFC 9849 6.1.5: this server has no ECH keys, and the client's second hello is a new one.
    _E.encrypted_client_hello,
}


def check_second_client_hello(first: ClientHello, second: ClientHello, retry: ServerHello) -> None:
    """Check that the client changed what it was asked to, and nothing else."""
    if without_extensions(first, _MAY_CHANGE) != without_extensions(second, _MAY_CHANGE):
        raise ProtocolError("the other side changed its ClientHello more than it was asked to")
    if _E.early_data in second.extensions:
        raise ProtocolError("the other side offers early data after a HelloRetryRequest")
    shares = key_shares(second)
    if _E.key_share not in retry.extensions:
        # A JDK generates new keys, of groups that it sent a share of before.
        if not shares.keys() <= key_shares(first).keys():
            raise ProtocolError(
                "the peer's second ClientHello has a key share for another group, "
                "but the HelloRetryRequest asked for none"
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
    shares = key_shares(hello)
    if group.code not in shares:
        raise ProtocolError(f"the other side did not send the key share ({group.name}) asked for")
    return shares[group.code]


def answer_key_share(group: Group, peer_share: bytes) -> tuple[bytes, bytes]:
    """Our key share and the shared secret."""
    try:
        return group.respond(peer_share)
    except ValueError as error:
        raise bad_key_share(group) from error
