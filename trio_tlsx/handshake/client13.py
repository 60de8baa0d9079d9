"""A client's TLS 1.3 handshake, from the server's answer to the ClientHello on (RFC 9846 2)."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from cryptography import x509

from ..config.client import ClientParameters
from ..crypto.exporter import Exporter13
from ..crypto.key_schedule import finished_verify_data
from ..errors import AlertDescription, ProtocolError
from ..messages import extensions as ext
from ..messages import info
from ..messages.certificate_types import CertificateType
from ..messages.extensions import Context, Extensions, ExtensionType, check_context
from ..messages.handshake import (
    Certificate,
    CertificateRequest,
    EncryptedExtensions,
    EndOfEarlyData,
    NewSessionTicket,
    ServerHello,
)
from ..pki.negotiated import Negotiated
from ..pki.server_name import ServerName
from ..pki.trust import TrustStore
from ..record.protection import Opener, Sealer
from ..sessions.client import Session
from ..verification.raw_keys import verify_raw_public_key
from ..verification.verify import verify_server
from . import authentication, early_data
from .alpn import selected_protocol
from .authentication import CLIENT_CONTEXT, SERVER_CONTEXT, PeerIdentity
from .certificate_compression import compressor_for, decompressed, message_types
from .certificate_selection import select_client_credentials
from .certificate_types import DEFAULTS, SelectedTypes, check_server_type, selected_types
from .client13_hello import Offer, Selection, process_hello_retry_request, process_server_hello
from .client_hello import remember_group
from .early_data import EarlyDataOffer
from .ech_client import read_retry_configs
from .established import Completed, Established
from .keys13 import ApplicationKeys, HandshakeKeys
from .questions import SessionReceived
from .record_sizes import accept_record_sizes
from .resumption_client import TicketKeeper, ignore_ticket, server_of
from .steps import Handshake, Steps

__all__ = ["reverify_on_resumption", "run"]

_E = ExtensionType


@dataclass(slots=True, eq=False)
class ServerExtensions:
    """The selections of the server's EncryptedExtensions."""

    alpn_protocol: str | None
    early_data_accepted: bool
    types: SelectedTypes


def run(hs: Handshake, offer: Offer, answer: ServerHello) -> Steps[Completed]:
    """Perform the handshake from the server's answer to the ClientHello (RFC 9846 2).

    ::

        Client                                        Server

        ClientHello        -------->
                           <--------      HelloRetryRequest*
        ClientHello*       -------->
                                                 ServerHello
                                       {EncryptedExtensions}
                                       {CertificateRequest*}
                                              {Certificate*}
                                        {CertificateVerify*}
                           <--------              {Finished}
        (EndOfEarlyData*)
        {Certificate*}
        {CertificateVerify*}
        {Finished}         -------->
    """
    if answer.is_hello_retry_request:
        offer, answer = yield from process_hello_retry_request(hs, offer, answer)
    selection = process_server_hello(hs, offer, answer)
    keys = establish_handshake_keys(hs, offer, selection)
    selected = yield from read_encrypted_extensions(hs, offer, selection, keys)
    request, server = yield from read_server_certificate(hs, offer, selection, selected)
    yield from read_server_finished(hs, offer, selection, selected, keys)
    application = establish_application_keys(hs, keys)
    if selected.early_data_accepted:
        send_end_of_early_data(hs, keys)
    if request is not None:
        yield from send_client_certificate(hs, offer.config, request)
    send_client_finished(hs, keys, application)
    if not selected.early_data_accepted:
        resend_early_data(hs, offer, selected)
    return complete(hs, offer, selection, selected, server, application)


def establish_handshake_keys(hs: Handshake, offer: Offer, selection: Selection) -> HandshakeKeys:
    """Protect both directions with handshake keys, except early data that is under way."""
    keys = HandshakeKeys.derive(hs, selection.suite, selection.psk, selection.shared_secret)
    hs.protect_incoming(Opener(keys.suite, keys.server_traffic))
    if offer.config.middlebox_compatibility:
        hs.send_change_cipher_spec()
    if early_data_in_flight(offer, selection) is None:
        hs.protect_outgoing(Sealer(keys.suite, keys.client_traffic))
    return keys


def early_data_in_flight(offer: Offer, selection: Selection) -> EarlyDataOffer | None:
    """Return the early data that the server may still accept: it selected the PSK of that."""
    early = offer.early_data
    return early if early is not None and early.psk is selection.psk else None


def read_encrypted_extensions(
    hs: Handshake, offer: Offer, selection: Selection, keys: HandshakeKeys
) -> Steps[ServerExtensions]:
    """Apply the server's EncryptedExtensions; stop early data if the server rejected it."""
    extensions = (yield from hs.expect(EncryptedExtensions)).extensions
    check_context(extensions, Context.EE, offer.hello.extensions)
    if _E.encrypted_client_hello in extensions:
        read_retry_configs(offer.ech, extensions)
    protocol = apply_extensions(hs, offer, extensions)
    early = early_data_in_flight(offer, selection)
    accepted = early_data.was_accepted(early, selection.suite, extensions, protocol)
    if not accepted:
        hs.early_data.exporter = None
        if early is not None:
            hs.protect_outgoing(Sealer(keys.suite, keys.client_traffic))
    types = selected_types(offer.config, extensions) if offer.config.negotiates_types else DEFAULTS
    return ServerExtensions(protocol, accepted, types)


def apply_extensions(hs: Handshake, offer: Offer, extensions: Extensions) -> str | None:
    """Apply EncryptedExtensions; return the application protocol."""
    ours, offered = offer.config.record_size_limit, offer.hello.extensions
    accept_record_sizes(hs, ours, offered, extensions, type_length=Opener.type_length)
    if extensions.get(_E.server_name):
        raise ProtocolError(
            "the peer's answer to server_name is not empty", AlertDescription.decode_error
        )
    if (groups := extensions.get(_E.supported_groups)) is not None:
        # RFC 9846 4.3.7: the groups that the server prefers, for later connections.
        ext.decode_uint16_list(groups, "supported_groups")
    return selected_protocol(offer.config, extensions)


def read_server_certificate(
    hs: Handshake, offer: Offer, selection: Selection, selected: ServerExtensions
) -> Steps[tuple[info.CertificateRequest | None, PeerIdentity | None]]:
    """Read CertificateRequest, Certificate and CertificateVerify, and authenticate the server.

    Returns:
        The request, if the server sent one, and the server's identity. A session's PSK stands for
        the certificate of the connection that the session is from (RFC 9846 2.2). An external PSK
        has none.
    """
    if selection.psk is not None and not selection.with_certificate:
        session = selection.psk.session
        return None, None if session is None else server_of(session)
    config, request, types = offer.config, None, selected.types
    if config.negotiates_types:
        check_server_type(config, types)
    messages = message_types(config.compressors)
    message = yield from hs.expect(CertificateRequest, *messages)
    if isinstance(message, CertificateRequest):
        request = read_request(message, offer.server_name, types.of_client)
        message = yield from hs.expect(*messages)
    certificate = decompressed(config.compressors, message)
    return request, (yield from authenticate_server(hs, offer, certificate, types.of_server))


def authenticate_server(
    hs: Handshake, offer: Offer, certificate: Certificate, certificate_type: CertificateType
) -> Steps[PeerIdentity]:
    """Read CertificateVerify, and verify that the certificate is the server's."""
    if certificate.certificate_request_context:
        raise ProtocolError("the server's Certificate has a context, but nobody asked for one")
    config = offer.config
    presented = authentication.parse_certificate(
        certificate,
        offer.hello.extensions,
        config.max_chain_length,
        trust_of(config),
        certificate_type,
    )
    if presented is None:
        # RFC 9846 4.5.1.3
        raise ProtocolError("the server sent no certificate at all", AlertDescription.decode_error)
    server = yield from authentication.expect_certificate_verify(
        hs, presented, config.scheme_table, SERVER_CONTEXT
    )
    yield from verify_server_certificate(hs, config, offer.server_name, certificate, server)
    return server


def verify_server_certificate(
    hs: Handshake,
    config: ClientParameters,
    server_name: ServerName,
    certificate: Certificate | None,
    server: PeerIdentity,
) -> Steps[None]:
    der_chain = certificate.der_chain if certificate else None
    verify = partial(check_server, config, server_name, server, der_chain)
    yield from authentication.verify_peer(
        hs,
        config,
        certificate,
        server,
        server_name.host,
        verify,
        for_public_name=config.for_public_name,
    )


def reverify_on_resumption(
    hs: Handshake, config: ClientParameters, server_name: ServerName, session: Session
) -> Steps[None]:
    """Verify the certificate of a session's server again, if the configuration asks for it."""
    if config.verify_on_resumption:
        server = server_of(session)
        yield from verify_server_certificate(hs, config, server_name, None, server)


def check_server(
    config: ClientParameters,
    server_name: ServerName,
    server: PeerIdentity,
    der_chain: Sequence[bytes] | None,
    at: datetime.datetime,
) -> tuple[x509.Certificate, ...]:
    """Return the verified path; empty for a raw public key, and if verification is turned off."""
    trust = trust_of(config)
    if trust is None:
        return ()
    if server.raw_public_key is not None:
        verify_raw_public_key(server.raw_public_key, trust)
        return ()
    return verify_server(server.chain, server_name, trust, at, der_chain)


def trust_of(config: ClientParameters) -> TrustStore | None:
    """Return the trust store of the configuration; None if verification is turned off."""
    if config.insecure_skip_verification:
        return None
    return TrustStore.platform() if config.trust is None else config.trust


def read_request(
    request: CertificateRequest, server_name: ServerName, certificate_type: CertificateType
) -> info.CertificateRequest:
    if request.certificate_request_context:
        # RFC 9846 4.4.2: only requests after the handshake have one.
        raise ProtocolError("the server's CertificateRequest has a context")
    check_context(request.extensions, Context.CR)
    if _E.signature_algorithms not in request.extensions:
        raise ProtocolError(
            "the server's CertificateRequest lacks signature_algorithms",
            AlertDescription.missing_extension,
        )
    return info.CertificateRequest.of(request, server_name.host, certificate_type)


def read_server_finished(
    hs: Handshake,
    offer: Offer,
    selection: Selection,
    selected: ServerExtensions,
    keys: HandshakeKeys,
) -> Steps[None]:
    """Read the server's Finished; verify the server of a resumed session again.

    A server that accepted early data was verified again before the early data left.
    """
    expected = finished_verify_data(keys.suite, keys.server_traffic, hs.transcript.digest())
    yield from authentication.expect_finished(hs, expected)
    session = selection.psk.session if selection.psk else None
    if session is not None and not selected.early_data_accepted:
        yield from reverify_on_resumption(hs, offer.config, offer.server_name, session)
    hs.incoming.accept_change_cipher_spec = False


def establish_application_keys(hs: Handshake, keys: HandshakeKeys) -> ApplicationKeys:
    """Expect application data from the server."""
    application = ApplicationKeys.derive(hs, keys)
    hs.protect_incoming(Opener(application.suite, application.server_traffic))
    return application


def send_end_of_early_data(hs: Handshake, keys: HandshakeKeys) -> None:
    """End the early data; the rest of the handshake is under the handshake keys."""
    hs.send(EndOfEarlyData())
    hs.protect_outgoing(Sealer(keys.suite, keys.client_traffic))


def send_client_certificate(
    hs: Handshake, config: ClientParameters, request: info.CertificateRequest
) -> Steps[None]:
    """Send Certificate and CertificateVerify, or an empty Certificate if none fits the request."""
    selected = yield from select_client_credentials(hs, config, request)
    if selected is None:
        hs.send(Certificate(b"", ()))
        return
    credentials, scheme = selected
    compressor = compressor_for(config.compressors, request.extensions)
    yield from authentication.send_certificate(
        hs, credentials, scheme, CLIENT_CONTEXT, compressor=compressor
    )


def send_client_finished(hs: Handshake, keys: HandshakeKeys, application: ApplicationKeys) -> None:
    """Send Finished; application data follows it."""
    authentication.send_finished(hs, keys.suite, keys.client_traffic)
    hs.protect_outgoing(Sealer(application.suite, application.client_traffic))


def resend_early_data(hs: Handshake, offer: Offer, selected: ServerExtensions) -> None:
    """Send the early data that was not accepted early, if the caller asked for it.

    It is never sent for another application protocol than its own (RFC 9846 4.3.10).
    """
    if selected.alpn_protocol == early_data.alpn_protocol(offer.config):
        early_data.write(hs, offer.resend)


def complete(
    hs: Handshake,
    offer: Offer,
    selection: Selection,
    selected: ServerExtensions,
    server: PeerIdentity | None,
    application: ApplicationKeys,
) -> Completed:
    """Return what the connection needs of its handshake."""
    config, suite, psk = offer.config, selection.suite, selection.psk
    session = psk.session if psk else None
    remember_group(config, offer.server_name, offer.port, selection.group)
    resumption_secret = application.secret.resumption(hs.transcript.digest())
    keep_ticket: Callable[[NewSessionTicket], SessionReceived | None] = ignore_ticket
    if config.session_store is not None and server is not None:
        keep_ticket = TicketKeeper(
            config,
            config.session_store,
            offer.server_name,
            offer.port,
            suite,
            server,
            verified_at=session.verified_at if session else config.clock(),
            resumption_secret=resumption_secret,
            alpn_protocol=selected.alpn_protocol,
        ).keep
    negotiated = Negotiated(
        version=suite.protocol,
        cipher_suite=suite.name,
        group=selection.group.name if selection.group else None,
        alpn_protocol=selected.alpn_protocol,
        server_name=offer.server_name.host,
        peer_certificates=server.chain if server else (),
        peer_raw_public_key=server.raw_public_key if server else None,
        signature_scheme=server.signature_scheme.name if server else None,
        resumed=session is not None,
        early_data_accepted=selected.early_data_accepted,
        hello_retry_request=hs.transcript.retried,
        psk_identity=psk.external.identity if psk and psk.external else None,
        ech_accepted=offer.ech is not None and bool(offer.ech.is_accepted),
    )
    established = Established(
        suite,
        negotiated,
        server_certificate=server.chain[0] if server and server.chain else None,
        exporter=Exporter13(application.suite, application.exporter),
        shared_suites=None,
        own_signature_scheme=hs.signed_with,
    )
    return Completed(established, config.key_update_bytes, keep_ticket=keep_ticket)
