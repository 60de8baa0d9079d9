"""A client's processing of the HelloRetryRequest and the ServerHello (RFC 9846 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..config.client import ClientParameters
from ..crypto.cipher_suites import CipherSuite
from ..crypto.groups import EphemeralKey, Group
from ..errors import AlertDescription, ProtocolError
from ..messages import extensions as ext
from ..messages.extensions import Context, ExtensionType, check_context
from ..messages.handshake import ClientHello, ServerHello
from ..messages.versions import TLS13
from ..pki.server_name import ServerName
from ..record.receive import unexpected
from ..sessions.client import Session
from . import client_hello, ech_client
from .client_hello import HelloParameters, make_client_hello
from .early_data import EarlyDataOffer
from .ech_client import ECHOffer, encrypt_second_hello, send_encrypted
from .ech_confirmation import confirmation_in
from .hello import bad_key_share, check_legacy_version
from .psk import Psk
from .steps import Handshake, Steps

__all__ = [
    "Offer",
    "Selection",
    "process_hello_retry_request",
    "process_server_hello",
    "selected_suite",
]

_E = ExtensionType


@dataclass(slots=True, eq=False)
class Offer:
    """The offer of a client.

    Attributes:
        port: the server's TCP port, if known.
        session: the session whose PSK is offered, if any.
        parameters: the parameters of the last ClientHello.
        hello: the last ClientHello.
        early_data: the early data that follows the first ClientHello; None if there is none, or
            if a HelloRetryRequest has rejected it.
        resend: the data to send after the handshake if the server did not accept it early.
        ech: the outer hello, if ``hello`` is encrypted in one.
    """

    config: ClientParameters
    server_name: ServerName
    port: int | None
    session: Session | None
    parameters: HelloParameters
    hello: ClientHello
    early_data: EarlyDataOffer | None = None
    resend: bytes = field(default=b"", repr=False)
    ech: ECHOffer | None = None


@dataclass(slots=True, eq=False)
class Selection:
    """A server's selection in its ServerHello.

    Attributes:
        psk: one of the offered PSKs; None if the server authenticates by a certificate.
        group, shared_secret: the key exchange; None if there was none.
        with_certificate: whether the server authenticates by its certificate too (RFC 9973).
    """

    suite: CipherSuite
    psk: Psk[Session] | None
    group: Group | None
    shared_secret: bytes | None = field(repr=False)
    with_certificate: bool = False


def process_hello_retry_request(
    hs: Handshake, offer: Offer, request: ServerHello
) -> Steps[tuple[Offer, ServerHello]]:
    """Answer a HelloRetryRequest; return the second offer, and the ServerHello that follows."""
    suite = selected_suite(offer, request)
    hs.check_end_of_flight()
    check_context(request.extensions, Context.HRR, {*offer.hello.extensions, _E.cookie})
    confirmation_in(request)  # the answer to a GREASE value has the right length too
    hs.transcript.retry(suite)
    hs.outgoing.unprotect()
    second = second_offer(hs, offer, request, suite)
    if offer.config.middlebox_compatibility:
        hs.send_change_cipher_spec()
    if second.ech is not None and second.ech.is_accepted:
        send_encrypted(hs, second.ech, second.hello)
    else:
        hs.send(second.hello)
    answer = yield from hs.expect(ServerHello)
    check_second_answer(second, answer, suite)
    check_still_accepted(hs, second, answer, suite)
    return second, answer


def check_still_accepted(
    hs: Handshake, offer: Offer, answer: ServerHello, suite: CipherSuite
) -> None:
    """Check that the server accepts the second inner hello like the first (RFC 9849 6.1.5)."""
    if offer.ech is None or not offer.ech.is_accepted:
        return
    if not ech_client.is_accepted(suite, offer.hello, hs.transcript.messages[:-1], answer):
        raise ProtocolError(
            "the peer accepted the first encrypted ClientHello, and rejected the second"
        )


def second_offer(hs: Handshake, offer: Offer, request: ServerHello, suite: CipherSuite) -> Offer:
    """Change what the HelloRetryRequest asks to change, and nothing else (RFC 9846 4.2.2)."""
    first = offer.parameters
    shares = retry_shares(offer.config, first.shares, request)
    values = first.grease
    if values is not None and _E.key_share in request.extensions:
        values = replace(values, key_share=False)
    cookie = request.extensions.get(_E.cookie)
    # Only PSKs whose hash function is the suite's can still be selected.
    psks = [
        p
        for p in client_hello.current_psks(offer.config, offer.session)
        if p.suite.hash is suite.hash
    ]
    parameters = replace(
        first,
        shares=shares,
        psks=psks,
        early_data=False,
        cookie=None if cookie is None else ext.encode_cookie(ext.decode_cookie(cookie)),
        grease=values,
    )
    hello = make_client_hello(parameters, hs.transcript.messages)
    if offer.ech is not None and offer.ech.is_accepted:
        encrypt_second_hello(offer.ech, parameters, hello)
    return replace(offer, parameters=parameters, hello=hello, early_data=None)


def retry_shares(
    config: ClientParameters, shares: Mapping[int, EphemeralKey], request: ServerHello
) -> Mapping[int, EphemeralKey]:
    """Return the keys for the key shares of the second ClientHello (RFC 9846 4.3.8)."""
    wanted = request.extensions.get(_E.key_share)
    if wanted is None:
        if _E.cookie not in request.extensions:
            raise ProtocolError("the peer's HelloRetryRequest asks for no change at all")
        return shares
    code = ext.decode_uint16(wanted, "key_share")
    group = config.group_table.get(code)
    if group is None:
        raise ProtocolError(
            f"the peer asked for a key share of a group ({code:#06x}) that was not offered"
        )
    if code in shares:
        raise ProtocolError(f"the peer asked for a key share ({group.name}) that it has")
    return {code: group.generate()}


def check_second_answer(offer: Offer, answer: ServerHello, suite: CipherSuite) -> None:
    """Check that the ServerHello keeps what the HelloRetryRequest selected (RFC 9846 4.2.4)."""
    if answer.is_hello_retry_request:
        raise unexpected("sent a second HelloRetryRequest")
    version = answer.extensions.get(_E.supported_versions)
    if version is None or ext.decode_uint16(version, "supported_versions") != TLS13:
        raise ProtocolError("the peer's ServerHello and HelloRetryRequest differ in the version")
    if selected_suite(offer, answer) is not suite:
        raise ProtocolError(
            "the peer's ServerHello and HelloRetryRequest differ in the cipher suite"
        )


def process_server_hello(hs: Handshake, offer: Offer, answer: ServerHello) -> Selection:
    """Complete the key exchange with what the server selected (RFC 9846 4.2.3)."""
    check_context(answer.extensions, Context.SH, offer.hello.extensions)
    suite = selected_suite(offer, answer)
    hs.transcript.start(suite)
    psk = selected_psk(offer, suite, answer)
    with_certificate = False
    if offer.config.certificate_with_psk != "never":
        with_certificate = selects_certificate_with_psk(offer.config, psk, answer)
    group, shared_secret = finish_key_exchange(offer, psk, answer)
    offer.parameters.shares = {}  # nothing needs the private keys any more
    return Selection(suite, psk, group, shared_secret, with_certificate)


def selected_suite(offer: Offer, answer: ServerHello) -> CipherSuite:
    """Check the fields that the server must echo; return its cipher suite (RFC 9846 4.2.3)."""
    config, hello = offer.config, offer.hello
    check_legacy_version(answer.legacy_version)
    if answer.legacy_session_id_echo != hello.legacy_session_id:
        raise ProtocolError("the peer did not echo the legacy_session_id")
    if answer.legacy_compression_method != 0:
        raise ProtocolError("the peer chose a compression method")
    suite = config.suite_table.get(answer.cipher_suite)
    if suite is None:
        raise ProtocolError(
            f"the peer chose a cipher suite ({answer.cipher_suite:#06x}) that was not offered"
        )
    return suite


def selected_psk(offer: Offer, suite: CipherSuite, answer: ServerHello) -> Psk[Session] | None:
    """Return the PSK that the server selected, if any (RFC 9846 4.3.11)."""
    body = answer.extensions.get(_E.pre_shared_key)
    if body is None:
        if offer.config.psk_required:
            raise ProtocolError(
                "the peer accepts none of the pre-shared keys, and the client accepts no "
                "certificates: give the server one of the keys, or pass trust=",
                AlertDescription.missing_extension,
            )
        return None
    psks = offer.parameters.psks
    index = ext.decode_uint16(body, "pre_shared_key")
    if index >= len(psks):
        raise ProtocolError("the peer chose a pre-shared key that was not offered")
    if psks[index].suite.hash is not suite.hash:
        raise ProtocolError(
            "the peer chose a pre-shared key that goes with another hash than its suite's"
        )
    return psks[index]


def selects_certificate_with_psk(
    config: ClientParameters, psk: Psk[Session] | None, answer: ServerHello
) -> bool:
    """Return whether the server uses an external PSK and its certificate (RFC 9973 4).

    Raises:
        ProtocolError: ``missing_extension``, the server uses the PSK alone, or does not use it
            although that is required.
    """
    selected = _E.tls_cert_with_extern_psk in answer.extensions
    if selected and not {_E.pre_shared_key, _E.key_share} <= answer.extensions.keys():
        raise ProtocolError(
            "the peer's ServerHello has tls_cert_with_extern_psk, but lacks pre_shared_key or "
            "key_share",
            AlertDescription.missing_extension,
        )
    if not selected and psk is not None and psk.external is not None:
        # Others may have the key, and could impersonate the server.
        raise ProtocolError(
            "the peer uses the pre-shared key alone, and certificate_with_psk asks for its "
            "certificate too: a server of this library needs certificate_with_psk='optional'",
            AlertDescription.missing_extension,
        )
    if not selected and config.certificate_with_psk == "required":
        raise ProtocolError(
            "the peer uses none of the pre-shared keys together with its certificate, and "
            "certificate_with_psk is 'required': give the server the key, or pass 'optional'",
            AlertDescription.missing_extension,
        )
    return selected


def finish_key_exchange(
    offer: Offer, psk: Psk[Session] | None, answer: ServerHello
) -> tuple[Group | None, bytes | None]:
    """Return the group of the server's key share and the shared secret; None without one."""
    body = answer.extensions.get(_E.key_share)
    if body is None and psk is None:
        raise ProtocolError(
            "the peer's ServerHello lacks a key_share", AlertDescription.missing_extension
        )
    if body is None:
        if not offer.config.psk_without_key_exchange:
            # RFC 9846 4.3.11: psk_key_exchange_modes did not allow it.
            raise ProtocolError("the peer's ServerHello has no key exchange, which is required")
        return None, None
    code, key_exchange = ext.decode_key_share_entry(body)
    share = offer.parameters.shares.get(code)
    if share is None:
        raise ProtocolError(f"the peer chose a group ({code:#06x}) that no key share was sent for")
    group = offer.config.group_table[code]
    try:
        return group, share.exchange(key_exchange)
    except ValueError as error:
        raise bad_key_share(group) from error
