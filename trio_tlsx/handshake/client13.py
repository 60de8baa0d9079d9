"""The client's side of a TLS 1.3 handshake, from the ServerHello on (RFC 9846 2)."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from functools import partial

from cryptography import x509

from ..config.client import ClientParameters
from ..crypto.cipher_suites import CipherSuite
from ..crypto.groups import Group
from ..crypto.key_schedule import EarlySecret
from ..errors import AlertDescription, ProtocolError
from ..messages import extensions as ext
from ..messages import info
from ..messages.extensions import Context, Extensions, ExtensionType, check_context
from ..messages.handshake import (
    Certificate,
    CertificateRequest,
    EncryptedExtensions,
    EndOfEarlyData,
)
from ..pki.negotiated import Negotiated
from ..pki.server_name import ServerName
from ..pki.trust import TrustStore
from ..pki.verification import verify_server
from ..sessions.client import Session
from . import authentication, certificate_selection, early_data
from .authentication import CLIENT_CONTEXT, SERVER_CONTEXT, PeerIdentity
from .certificate_compression import compressor_for, decompressed, message_types
from .early_data import EarlyDataOffer
from .psk import Psk
from .questions import ClientCredentialsWanted
from .resumption_client import TicketKeeper, server_of
from .steps import Established, Handshake, Steps

__all__ = ["Offer", "reverify_on_resumption", "run"]

_E = ExtensionType


@dataclass(frozen=True, slots=True)
class Offer:
    """What the ClientHello was made of, and the extensions that it held.

    Attributes:
        port: on which the server is reached, where that is known.
        psk: what the server chose among the keys offered; None where it shows a certificate.
        early_data: what was sent behind the ClientHello, if anything was.
        resend: what to send behind the handshake if the server did not take it early.
    """

    config: ClientParameters
    server_name: ServerName
    port: int | None
    extensions: Extensions
    psk: Psk[Session] | None
    early_data: EarlyDataOffer | None = None
    resend: bytes = field(default=b"", repr=False)


def run(
    hs: Handshake,
    offer: Offer,
    suite: CipherSuite,
    group: Group | None,
    shared_secret: bytes | None,
) -> Steps[Established]:
    """From the ServerHello, which is in the transcript, to our Finished.

    Args:
        group: the key exchange; None where there was none.
    """
    config, psk = offer.config, offer.psk
    session = psk.session if psk else None
    early_secret = EarlySecret(suite, psk.secret if psk else None, hs.key_log)
    handshake_secret = early_secret.handshake_secret(shared_secret)
    hello_hash = hs.transcript.digest()
    client_secret = handshake_secret.client_handshake_traffic(hello_hash)
    server_secret = handshake_secret.server_handshake_traffic(hello_hash)
    hs.protect_incoming(suite, server_secret)
    early = offer.early_data
    if early is not None and early.psk is not psk:
        early = None
    if early is None:
        hs.protect_outgoing(suite, client_secret)

    encrypted = yield from hs.expect(EncryptedExtensions)
    check_context(encrypted.extensions, Context.EE, offer.extensions)
    alpn_protocol = apply_extensions(hs, config, encrypted.extensions)
    accepted = early_data.was_accepted(early, suite, encrypted.extensions, alpn_protocol)
    if not accepted:
        hs.early_data.exporter = None
        if early is not None:
            hs.protect_outgoing(suite, client_secret)

    request = server = None
    if psk is None:
        certificate_types = message_types(config.compressors)
        message = yield from hs.expect_any(CertificateRequest, *certificate_types)
        if isinstance(message, CertificateRequest):
            request = read_request(message, offer.server_name)
            message = yield from hs.expect_any(*certificate_types)
        certificate = decompressed(config.compressors, message)
        server = yield from authenticate_server(hs, offer, certificate)
    elif session is not None:
        # RFC 9846 2.2: having the key, it is who showed a certificate when the key was made.
        server = server_of(session)
    yield from authentication.expect_finished(hs, suite, server_secret)
    if session is not None and server is not None and not accepted:
        yield from reverify_on_resumption(hs, config, offer.server_name, session)
    hs.incoming.accept_change_cipher_spec = False

    main_secret = handshake_secret.main_secret()
    finished_hash = hs.transcript.digest()
    hs.protect_incoming(suite, main_secret.server_application_traffic(finished_hash))
    exporter_secret = main_secret.exporter(finished_hash)
    if accepted:
        hs.send(EndOfEarlyData())
        hs.protect_outgoing(suite, client_secret)
    if request is not None:
        yield from answer_request(hs, config, request)
    authentication.send_finished(hs, suite, client_secret)
    hs.protect_outgoing(suite, main_secret.client_application_traffic(finished_hash))
    if not accepted and alpn_protocol == early_data.alpn_protocol(config):
        # RFC 9846 4.3.10: never if another application protocol was chosen.
        early_data.write(hs, offer.resend)
    return Established(
        suite,
        Negotiated(
            version="TLSv1.3",
            cipher_suite=suite.name,
            group=group.name if group else None,
            alpn_protocol=alpn_protocol,
            server_name=offer.server_name.host,
            peer_certificates=server.chain if server else (),
            signature_scheme=server.signature_scheme.name if server else None,
            resumed=session is not None,
            early_data_accepted=accepted,
            psk_identity=psk.external.identity if psk and psk.external else None,
        ),
        server_certificate=server.chain[0] if server else None,
        exporter_secret=exporter_secret,
        shared_suites=None,
        key_update_bytes=offer.config.key_update_bytes,
        own_signature_scheme=hs.signed_with,
        keep_ticket=TicketKeeper(
            config,
            offer.server_name,
            offer.port,
            suite,
            server,
            verified_at=session.verified_at if session else config.clock(),
            resumption_secret=main_secret.resumption(hs.transcript.digest()),
            alpn_protocol=alpn_protocol,
        ).keep,
    )


def apply_extensions(
    hs: Handshake, config: ClientParameters, extensions: Extensions
) -> str | None:
    """Do what EncryptedExtensions says; give the application protocol."""
    if (limit := extensions.get(_E.record_size_limit)) is not None:
        hs.apply_record_size_limit(config.record_size_limit, limit)
    if extensions.get(_E.server_name):
        raise ProtocolError(
            "the other side's answer to server_name is not empty", AlertDescription.decode_error
        )
    if (groups := extensions.get(_E.supported_groups)) is not None:
        # RFC 9846 4.3.7: what the server would rather have had; of no use to this handshake.
        ext.decode_uint16_list(groups, "supported_groups")
    if (alpn := extensions.get(_E.application_layer_protocol_negotiation)) is None:
        return None
    protocols = ext.decode_alpn(alpn)
    if len(protocols) != 1:
        raise ProtocolError(
            "the other side chose several ALPN protocols", AlertDescription.decode_error
        )
    if protocols[0] not in config.alpn:
        raise ProtocolError(
            f"the other side chose the ALPN protocol {protocols[0]!r}, which was not offered"
        )
    return protocols[0].decode("latin-1")


def authenticate_server(
    hs: Handshake, offer: Offer, certificate: Certificate
) -> Steps[PeerIdentity]:
    """Learn who the server is, have it prove that, and ask whether it is the right one."""
    if certificate.certificate_request_context:
        raise ProtocolError("the server's Certificate has a context, but nobody asked for one")
    chain = authentication.parse_chain(
        certificate, offer.extensions, offer.config.max_chain_length
    )
    if not chain:
        # RFC 9846 4.5.1.3
        raise ProtocolError("the server sent no certificate at all", AlertDescription.decode_error)
    server = yield from authentication.expect_certificate_verify(
        hs, chain, offer.config.scheme_table, SERVER_CONTEXT
    )
    yield from verify_server_certificate(hs, offer.config, offer.server_name, certificate, chain)
    return server


def verify_server_certificate(
    hs: Handshake,
    config: ClientParameters,
    server_name: ServerName,
    certificate: Certificate | None,
    chain: tuple[x509.Certificate, ...],
) -> Steps[None]:
    verify = partial(check_server, config, server_name, chain)
    yield from authentication.verify_peer(hs, config, certificate, chain, server_name.host, verify)


def reverify_on_resumption(
    hs: Handshake, config: ClientParameters, server_name: ServerName, session: Session
) -> Steps[None]:
    """Judge the server of a session by the rules of now, where that is wanted."""
    if config.verify_on_resumption:
        chain = session.peer_certificates
        yield from verify_server_certificate(hs, config, server_name, None, chain)


def check_server(
    config: ClientParameters,
    server_name: ServerName,
    chain: tuple[x509.Certificate, ...],
    at: datetime.datetime,
) -> tuple[x509.Certificate, ...]:
    """The verified path, which is empty where nothing is to be verified."""
    if config.insecure_skip_verification:
        return ()
    trust = TrustStore.platform() if config.trust is None else config.trust
    return verify_server(chain, server_name, trust, at)


def read_request(request: CertificateRequest, server_name: ServerName) -> info.CertificateRequest:
    if request.certificate_request_context:
        # RFC 9846 4.4.2: only requests after the handshake have one.
        raise ProtocolError("the server's CertificateRequest has a context")
    check_context(request.extensions, Context.CR)
    if _E.signature_algorithms not in request.extensions:
        raise ProtocolError(
            "the server's CertificateRequest lacks signature_algorithms",
            AlertDescription.missing_extension,
        )
    return info.CertificateRequest.of(request, server_name.host)


def answer_request(
    hs: Handshake, config: ClientParameters, request: info.CertificateRequest
) -> Steps[None]:
    """Send our certificate, or say that there is none for this server."""
    candidates, authorities = config.candidates, request.authorities
    if config.select_credentials is not None:
        wanted = ClientCredentialsWanted(request, config.select_credentials)
        candidates = yield from hs.ask(wanted)
        authorities = ()  # the hook has seen them
    selected = certificate_selection.for_client(candidates, request.signature_schemes, authorities)
    if selected is None:
        hs.send(Certificate(b"", ()))
        return
    credentials, scheme = selected
    compressor = compressor_for(config.compressors, request.extensions)
    yield from authentication.send_certificate(
        hs, credentials, scheme, CLIENT_CONTEXT, compressor=compressor
    )
