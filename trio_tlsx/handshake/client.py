"""A client's handshake up to the ServerHello, which selects the version of the rest."""

from __future__ import annotations

from dataclasses import replace

from ..config.client import ClientParameters
from ..crypto.hpke import HPKESuite
from ..errors import AlertDescription, CertificateError, NegotiationError, ProtocolError
from ..messages import extensions as ext
from ..messages.ech import INNER_ECH, ECHConfig
from ..messages.extensions import ExtensionType
from ..messages.handshake import ServerHello, encode_message
from ..messages.versions import TLS12, TLS13, VERSION_NAMES, alternatives
from ..pki.ech import candidates
from ..pki.server_name import ServerName
from ..record.message_reader import MessageRules
from ..record.message_rules12 import MessageRules12, hello_request_filter
from ..record.protection import INITIAL_RECORD_VERSION, LEGACY_RECORD_VERSION
from . import client13, client_hello, early_data
from .client13_hello import Offer, selected_suite
from .client_hello import HelloParameters, make_client_hello
from .ech_client import (
    ECHOffer,
    grease_ech,
    is_accepted,
    offer_ech,
    rejection,
    send_encrypted,
    unauthenticated,
)
from .established import Completed
from .questions import ECHConfigsWanted
from .resumption_client import find_session
from .steps import Handshake, Steps

__all__ = ["client_handshake"]

#: RFC 9846 4.2.3: the end of the random of a server that supports a newer version.
DOWNGRADE_SENTINELS = (b"DOWNGRD\x01", b"DOWNGRD\x00")


def client_handshake(
    hs: Handshake,
    config: ClientParameters,
    server_name: ServerName,
    port: int | None = None,
    data: bytes = b"",
    *,
    resend: bool = False,
) -> Steps[Completed]:
    """Perform the client's side of a handshake.

    Args:
        port: the server's TCP port, if known.
        data: early data for a server that accepts it.
        resend: send ``data`` after the handshake if the server did not accept it early.
    """
    hs.outgoing.fragment_length = config.max_fragment_size
    offer = yield from make_offer(hs, config, server_name, port, data, resend=resend)
    send_client_hello(hs, config, offer)
    answer = yield from hs.expect(ServerHello)
    version = selected_version(config, answer)
    if offer.ech is not None:
        offer = accepted_offer(hs, config, offer, offer.ech, answer, version)
    rejected = None if offer.ech is None or offer.ech.is_accepted else offer.ech
    try:
        if version == TLS12:
            from .client12 import run as run_12  # most servers select TLS 1.3

            completed = yield from run_12(hs, offer, answer)
        else:
            if TLS12 in config.versions:
                hs.follow(MessageRules())
                hs.is_skipped = None
            completed = yield from client13.run(hs, offer, answer)
    except CertificateError as error:
        if rejected is None:
            raise
        raise unauthenticated(rejected, error) from error
    if rejected is not None:
        raise rejection(rejected, verified=not config.insecure_skip_verification)
    return completed


def make_offer(
    hs: Handshake,
    config: ClientParameters,
    server_name: ServerName,
    port: int | None,
    data: bytes,
    *,
    resend: bool,
) -> Steps[Offer]:
    """Find the session to resume, and make the first ClientHello."""
    visible = config
    encryption = None
    if config.ech is not None:
        encryption = yield from find_ech_config(hs, config, server_name)
        if encryption is not None:
            config = config.ech_inner
    session = yield from find_session(hs, config, server_name, port)
    session12 = None
    if session is not None and TLS12 in config.versions and session.suite.version == TLS12:
        session, session12 = None, session
    if session is not None and early_data.is_allowed(config, session, data):
        # Before the early data leaves. The hook may take a while, and the PSKs have an age.
        yield from client13.reverify_on_resumption(hs, config, server_name, session)
    psks = client_hello.current_psks(config, session)
    early = early_data.offer_early_data(config, psks, data)
    parameters = HelloParameters.initial(
        config,
        server_name,
        port,
        psks,
        early_data=early is not None,
        session12=session12,
        ech=None if encryption is None else INNER_ECH,
    )
    if encryption is None and (config.ech_grease or config.ech is not None):
        parameters.ech = grease_ech(parameters)
    hello = make_client_hello(parameters)
    ech = None if encryption is None else offer_ech(visible, encryption, parameters, hello)
    return Offer(
        config,
        server_name,
        port,
        session,
        parameters,
        hello,
        early,
        data if resend else b"",
        ech,
    )


def find_ech_config(
    hs: Handshake, config: ClientParameters, server_name: ServerName
) -> Steps[tuple[ECHConfig, HPKESuite] | None]:
    """Return the configuration to encrypt with; None to encrypt nothing (RFC 9849 6.1)."""
    configs = config.ech
    if callable(configs):
        configs = yield from hs.ask(ECHConfigsWanted(server_name.host, configs))
    return next(candidates(configs or ()), None)


def send_client_hello(hs: Handshake, config: ClientParameters, offer: Offer) -> None:
    """Send the first ClientHello, and early data after it."""
    hs.log_keys(offer.config.write_key_log, offer.hello.random)
    hs.outgoing.record_version = INITIAL_RECORD_VERSION
    if offer.ech is None:
        hs.send(offer.hello)
    else:
        send_encrypted(hs, offer.ech, offer.hello)
    hs.outgoing.finish_flight()
    hs.outgoing.record_version = LEGACY_RECORD_VERSION
    if offer.early_data is not None:
        early_data.send(hs, offer.config, offer.early_data)
    hs.incoming.accept_change_cipher_spec = TLS13 in config.versions
    if TLS12 in config.versions:
        # Such a server may send a warning or a HelloRequest first.
        hs.follow(MessageRules12())
        hs.is_skipped = hello_request_filter()


def accepted_offer(
    hs: Handshake,
    config: ClientParameters,
    offer: Offer,
    ech: ECHOffer,
    answer: ServerHello,
    version: int,
) -> Offer:
    """Return the offer that the server accepted: that of the inner or of the outer hello.

    An older version than TLS 1.3 is a rejection of the inner hello (RFC 9849 6.1.4).
    """
    ech.is_accepted = version == TLS13 and is_accepted(
        selected_suite(offer, answer), offer.hello, hs.transcript.messages[:-1], answer
    )
    if ech.is_accepted:
        hs.outgoing.hides_lengths = True
        return offer
    hs.transcript.replace(0, encode_message(ech.hello))
    hs.log_keys(config.write_key_log, ech.hello.random)
    # RFC 9849 6.1.2: the PSKs of the outer hello are random, so selecting one is an error.
    parameters = replace(ech.outer, psks=())
    name = ech.outer.server_name
    # Without a PSK the server cannot accept the early data that was sent.
    early = offer.early_data
    return Offer(
        config.ech_rejected, name, offer.port, None, parameters, ech.hello, early, ech=ech
    )


def selected_version(config: ClientParameters, answer: ServerHello) -> int:
    """Return the version that the server selected (RFC 9846 4.3.1).

    Raises:
        NegotiationError: the server selected an older version, which this client did not offer.
        ProtocolError: the server could have selected TLS 1.3 (RFC 9846 4.2.3), or there is no
            such version among those offered.
    """
    body = answer.extensions.get(ExtensionType.supported_versions)
    if body is None:
        if TLS13 in config.versions and answer.random.endswith(DOWNGRADE_SENTINELS):
            raise ProtocolError(
                "the peer supports TLS 1.3, but received a ClientHello without it: something on "
                "the way altered the handshake"
            )
        if answer.legacy_version == TLS12 and TLS12 in config.versions:
            return TLS12
        name = VERSION_NAMES.get(answer.legacy_version, f"version {answer.legacy_version:#06x}")
        raise NegotiationError(
            f"this peer offered only {name}, and {alternatives(config.versions)} is required",
            AlertDescription.protocol_version,
        )
    version = ext.decode_uint16(body, "supported_versions")
    if TLS13 not in config.versions:
        raise ProtocolError(
            "the peer answered supported_versions, which was not offered",
            AlertDescription.unsupported_extension,
        )
    if version != TLS13:  # RFC 9846 4.3.1: older versions do not have the extension
        raise ProtocolError("the peer chose a version of TLS that was not offered")
    return version
