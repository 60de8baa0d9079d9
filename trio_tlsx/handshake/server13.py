"""A server's TLS 1.3 handshake, from the first ClientHello on (RFC 9846 2)."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from functools import partial

from cryptography import x509

from ..config.server import ServerParameters
from ..crypto.exporter import Exporter13
from ..crypto.key_schedule import finished_verify_data
from ..crypto.signatures import CERTIFICATE_ONLY_SCHEMES
from ..errors import AlertDescription, CertificateError
from ..messages import extensions as ext
from ..messages import grease
from ..messages.certificate_types import CertificateType
from ..messages.extensions import Extensions, ExtensionType
from ..messages.handshake import Certificate, CertificateRequest, ClientHello, EncryptedExtensions
from ..messages.info import requested_name
from ..messages.ticket_request import decode_ticket_request, encode_expected_tickets
from ..pki.credentials import Credentials
from ..pki.negotiated import Negotiated
from ..record.protection import Opener, Sealer
from ..verification.raw_keys import verify_raw_public_key
from ..verification.verify import verify_client
from . import authentication, early_data
from .authentication import CLIENT_CONTEXT, SERVER_CONTEXT, PeerIdentity
from .certificate_compression import compressor_for, decompressed, message_types, offer
from .certificate_types import answer_types
from .ech_server import ECHReceived, retry_configs
from .established import Completed, Established
from .keys13 import ApplicationKeys, HandshakeKeys
from .psk import psk_modes
from .questions import OCSPResponseWanted
from .record_sizes import answer_record_sizes
from .resumption_server import TicketIssuer, ticket_context
from .server13_hello import Terms, process_client_hello, send_server_hello
from .steps import Handshake, Steps

__all__ = ["run"]

_E = ExtensionType


def run(
    hs: Handshake,
    config: ServerParameters,
    candidates: Sequence[Credentials],
    hello: ClientHello,
    ech: ECHReceived | None = None,
) -> Steps[Completed]:
    """Perform the handshake from the first ClientHello on (RFC 9846 2).

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
        (Application Data*)
        (EndOfEarlyData*)
        {Certificate*}
        {CertificateVerify*}
        {Finished}         -------->

    Args:
        candidates: the credentials to select from.
        ech: the encrypted_client_hello that the client sent, if any.
    """
    terms = yield from process_client_hello(hs, config, candidates, hello, ech)
    shared_secret = send_server_hello(hs, terms)
    keys = establish_handshake_keys(hs, terms, shared_secret)
    send_encrypted_extensions(hs, terms)
    request = send_certificate_request(hs, terms)
    yield from send_server_certificate(hs, terms)
    application = send_server_finished(hs, keys)
    yield from receive_early_data(hs, terms, keys)
    client = yield from read_client_certificate(hs, terms, request)
    yield from read_client_finished(hs, terms, keys, application)
    return (yield from complete(hs, terms, client, application))


def establish_handshake_keys(
    hs: Handshake, terms: Terms, shared_secret: bytes | None
) -> HandshakeKeys:
    """Protect both directions with handshake keys, except early data that is to come."""
    keys = HandshakeKeys.derive(hs, terms.suite, terms.psk, shared_secret)
    early = terms.early_data
    hs.protect_incoming(Opener(keys.suite, early.traffic_secret if early else keys.client_traffic))
    hs.incoming.accept_plaintext_alert = True
    hs.protect_outgoing(Sealer(keys.suite, keys.server_traffic))
    return keys


def send_encrypted_extensions(hs: Handshake, terms: Terms) -> None:
    hs.send(encrypted_extensions(hs, terms, terms.hello))


def encrypted_extensions(hs: Handshake, terms: Terms, hello: ClientHello) -> EncryptedExtensions:
    extensions: dict[int, bytes] = {}
    if terms.alpn_protocol is not None:
        protocols = ext.encode_alpn([terms.alpn_protocol])
        extensions[_E.application_layer_protocol_negotiation] = protocols
    ours = terms.config.record_size_limit
    extensions |= answer_record_sizes(hs, ours, hello.extensions, type_length=Opener.type_length)
    if _E.client_certificate_type in hello.extensions or (
        _E.server_certificate_type in hello.extensions
    ):
        own = terms.identity[0] if terms.identity else None
        extensions |= answer_types(hello.extensions, terms.client_type, own)
    resumes = terms.psk is not None and terms.psk.session is not None
    if _E.server_name in hello.extensions and not resumes:
        # RFC 6066 3: not where a session is resumed, which is of this name already.
        extensions[_E.server_name] = b""
    if terms.early_data is not None:
        extensions[_E.early_data] = b""
    if _E.ticket_request in hello.extensions:
        extensions[_E.ticket_request] = encode_expected_tickets(ticket_count(terms))
    if terms.ech is not None:
        extensions |= retry_configs(terms.ech)
    return EncryptedExtensions(extensions)


def send_certificate_request(hs: Handshake, terms: Terms) -> CertificateRequest | None:
    """Request the client's certificate, unless a PSK authenticates both sides (RFC 9846 4.4.2)."""
    if terms.client_type is None:
        return None
    request = certificate_request(terms.config, terms.client_type)
    hs.send(request)
    return request


def certificate_request(
    config: ServerParameters, certificate_type: CertificateType
) -> CertificateRequest:
    schemes = (*config.scheme_table, *CERTIFICATE_ONLY_SCHEMES)
    extensions: dict[int, bytes] = {}
    extensions[_E.signature_algorithms] = ext.encode_uint16_list(schemes)
    if config.client_authorities and certificate_type is CertificateType.X509:
        names = ext.encode_certificate_authorities(config.client_authorities)
        extensions[_E.certificate_authorities] = names
    extensions |= offer(config.compressors)
    return CertificateRequest(b"", grease.in_request(extensions) if config.grease else extensions)


def send_server_certificate(hs: Handshake, terms: Terms) -> Steps[None]:
    """Send Certificate and CertificateVerify, unless a PSK authenticates both sides."""
    if terms.psk_authenticates or terms.identity is None:
        return
    credentials, scheme = terms.identity
    stapled = yield from staple(hs, credentials, terms.hello)
    compressor = compressor_for(terms.config.compressors, terms.hello.extensions)
    yield from authentication.send_certificate(
        hs, credentials, scheme, SERVER_CONTEXT, stapled, compressor
    )


def staple(hs: Handshake, credentials: Credentials, hello: ClientHello) -> Steps[Extensions]:
    """Return the extensions of the server's leaf certificate (RFC 9846 4.5.1.1, 4.5.1.2)."""
    stapled: dict[int, bytes] = {}
    if _E.status_request in hello.extensions:
        response = credentials.ocsp
        if callable(response):
            response = yield from hs.ask(OCSPResponseWanted(response))
        if response is not None:
            stapled[_E.status_request] = ext.encode_certificate_status(response)
    if credentials.timestamps and _E.signed_certificate_timestamp in hello.extensions:
        stapled[_E.signed_certificate_timestamp] = ext.encode_timestamps(credentials.timestamps)
    return stapled


def send_server_finished(hs: Handshake, keys: HandshakeKeys) -> ApplicationKeys:
    """Send Finished; application data may follow it."""
    authentication.send_finished(hs, keys.suite, keys.server_traffic)
    application = ApplicationKeys.derive(hs, keys)
    hs.protect_outgoing(Sealer(application.suite, application.server_traffic))
    return application


def receive_early_data(hs: Handshake, terms: Terms, keys: HandshakeKeys) -> Steps[None]:
    """Receive the early data that the server accepts, up to EndOfEarlyData."""
    if terms.early_data is None:
        return
    if (client := resumed_client(terms)) is not None:
        # Authorize the client before the application reads its early data.
        yield from verify_client_certificate(hs, terms.config, None, client)
    yield from hs.flush()  # an application that answers early data need not wait for it
    hs.early_data.may_be_answered = True
    yield from early_data.receive(hs, terms.early_data)
    hs.protect_incoming(Opener(keys.suite, keys.client_traffic))


def resumed_client(terms: Terms) -> PeerIdentity | None:
    """Return the identity that the client has from the session, if any."""
    session = terms.psk.session if terms.psk else None
    return session.client if session else None


def read_client_certificate(
    hs: Handshake, terms: Terms, request: CertificateRequest | None
) -> Steps[PeerIdentity | None]:
    """Read Certificate and CertificateVerify if they were requested.

    Returns:
        The client's identity, which may be that of the session; None if it has none.
    """
    if request is None or terms.client_type is None:
        return resumed_client(terms)
    return (yield from authenticate_client(hs, terms.config, request, terms.client_type))


def authenticate_client(
    hs: Handshake,
    config: ServerParameters,
    request: CertificateRequest,
    certificate_type: CertificateType,
) -> Steps[PeerIdentity | None]:
    """Verify the client's certificate and its proof of possession; None if it sent none."""
    message = yield from hs.expect(*message_types(config.compressors))
    certificate = decompressed(config.compressors, message)
    if certificate.certificate_request_context != request.certificate_request_context:
        raise CertificateError(
            "the client's Certificate answers another request",
            AlertDescription.illegal_parameter,
        )
    presented = authentication.parse_certificate(
        certificate,
        request.extensions,
        config.max_chain_length,
        config.client_trust,
        certificate_type,
    )
    if presented is None:
        if config.client_auth == "required":
            raise CertificateError(
                "this client sent no certificate, and one is required",
                AlertDescription.certificate_required,
            )
        return None
    client = yield from authentication.expect_certificate_verify(
        hs, presented, config.scheme_table, CLIENT_CONTEXT
    )
    yield from verify_client_certificate(hs, config, certificate, client)
    return client


def verify_client_certificate(
    hs: Handshake,
    config: ServerParameters,
    certificate: Certificate | None,
    client: PeerIdentity,
) -> Steps[None]:
    der_chain = certificate.der_chain if certificate else None
    verify = partial(check_client, config, client, der_chain)
    yield from authentication.verify_peer(hs, config, certificate, client, None, verify)


def check_client(
    config: ServerParameters,
    client: PeerIdentity,
    der_chain: Sequence[bytes] | None,
    at: datetime.datetime,
) -> tuple[x509.Certificate, ...]:
    """Return the verified path of the client's certificate; empty for a raw public key."""
    if client.raw_public_key is not None:
        verify_raw_public_key(client.raw_public_key, config.client_trust)
        return ()
    if config.client_trust is None:
        raise CertificateError("no CA is trusted for clients", AlertDescription.unknown_ca)
    return verify_client(client.chain, config.client_trust, at, der_chain)


def read_client_finished(
    hs: Handshake, terms: Terms, keys: HandshakeKeys, application: ApplicationKeys
) -> Steps[None]:
    """Read the client's Finished; authorize the client of a resumed session again."""
    expected = finished_verify_data(keys.suite, keys.client_traffic, hs.transcript.digest())
    yield from authentication.expect_finished(hs, expected)
    client = resumed_client(terms)
    if client is not None and terms.early_data is None:
        yield from verify_client_certificate(hs, terms.config, None, client)
    hs.incoming.accept_change_cipher_spec = False
    hs.protect_incoming(Opener(application.suite, application.client_traffic))


def complete(
    hs: Handshake, terms: Terms, client: PeerIdentity | None, application: ApplicationKeys
) -> Steps[Completed]:
    """Return what the connection needs of its handshake; store its tickets."""
    config, identity = terms.config, terms.identity
    negotiated = negotiated_by(hs, terms, client)
    # A resumed session is from a connection with this certificate.
    external = terms.psk_authenticates and terms.psk is not None and terms.psk.external is not None
    own = identity[0].chain if identity else ()
    offered = terms.hello.cipher_suites
    established = Established(
        terms.suite,
        negotiated,
        server_certificate=own[0] if own and not external else None,
        exporter=Exporter13(application.suite, application.exporter),
        shared_suites=tuple([config.suite_table[c] for c in offered if c in config.suite_table]),
        own_signature_scheme=hs.signed_with,
    )
    resumption_secret = application.secret.resumption(hs.transcript.digest())
    issuer = ticket_issuer(terms, client, negotiated, resumption_secret)
    new_tickets = None if issuer is None else issuer.issue
    if issuer is not None and config.ticket_store is not None:
        stored = yield from issuer.store_tickets(hs, config.ticket_store)
        new_tickets = partial(iter, stored)
    return Completed(
        established,
        config.key_update_bytes,
        new_tickets,
        tickets_at_once=config.tickets_after_handshake,
    )


def negotiated_by(hs: Handshake, terms: Terms, client: PeerIdentity | None) -> Negotiated:
    session = terms.psk.session if terms.psk else None
    external = terms.psk.external if terms.psk else None
    protocol = terms.alpn_protocol
    return Negotiated(
        version=terms.suite.protocol,
        cipher_suite=terms.suite.name,
        group=terms.group.name if terms.group else None,
        alpn_protocol=protocol.decode("latin-1") if protocol else None,
        server_name=requested_name(terms.hello.extensions),
        peer_certificates=client.chain if client else (),
        peer_raw_public_key=client.raw_public_key if client else None,
        signature_scheme=client.signature_scheme.name if client else None,
        resumed=session is not None,
        early_data_accepted=terms.early_data is not None,
        hello_retry_request=hs.transcript.retried,
        psk_identity=external.identity if external else None,
        ticket_application_data=session.application_data if session else b"",
        ech_accepted=terms.ech is not None and terms.ech.is_accepted,
    )


def ticket_issuer(
    terms: Terms,
    client: PeerIdentity | None,
    negotiated: Negotiated,
    resumption_secret: bytes,
) -> TicketIssuer | None:
    """Return what makes this connection's tickets; None if the client gets none."""
    config, identity, psk = terms.config, terms.identity, terms.psk
    session = psk.session if psk else None
    count = ticket_count(terms)
    if identity is None or not count:
        return None
    return TicketIssuer(
        config,
        count,
        ticket_context(config, identity[0], terms.hello),
        terms.suite,
        client,
        authenticated_at=session.authenticated_at if session else config.clock(),
        resumption_secret=resumption_secret,
        alpn_protocol=terms.alpn_protocol,
        application_data=config.ticket_application_data(negotiated),
    )


def ticket_count(terms: Terms) -> int:
    """Return how many tickets the client gets; a client may say how many it wants (RFC 9149 3).

    A connection with an external PSK alone gets none: the PSK is as cheap as a ticket, and no
    ticket outlives it.
    """
    config, psk, hello = terms.config, terms.psk, terms.hello
    if terms.identity is None or not psk_modes(config, hello):
        return 0
    resumes = psk is not None and psk.session is not None
    if terms.psk_authenticates and not resumes:
        return 0
    body = hello.extensions.get(_E.ticket_request)
    if body is None:
        return config.tickets_if_resumed if resumes else config.tickets
    new, resumed = decode_ticket_request(body)
    return min(config.tickets_if_wanted, resumed if resumes else new)
