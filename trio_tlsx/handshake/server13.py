"""The server's side of a TLS 1.3 handshake, from its ServerHello on (RFC 9846 2)."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from cryptography import x509

from ..config.server import ServerParameters
from ..crypto.cipher_suites import CipherSuite
from ..crypto.groups import Group
from ..crypto.key_schedule import EarlySecret
from ..crypto.signatures import CERTIFICATE_ONLY_SCHEMES, CLIENT_ONLY_SCHEMES
from ..errors import AlertDescription, CertificateError, NegotiationError
from ..messages import extensions as ext
from ..messages import grease
from ..messages.codec import uint16
from ..messages.extensions import Extensions, ExtensionType
from ..messages.handshake import Certificate, CertificateRequest, ClientHello, EncryptedExtensions
from ..messages.info import requested_name
from ..pki.credentials import Credentials
from ..pki.negotiated import Negotiated
from ..pki.verification import verify_client
from . import authentication, certificate_selection, early_data
from .authentication import CLIENT_CONTEXT, SERVER_CONTEXT, PeerIdentity
from .certificate_compression import compressor_for, decompressed, message_types, offer
from .certificate_selection import Selected
from .early_data import Accepted
from .hello import require
from .psk import Psk, psk_modes
from .questions import OCSPResponseWanted
from .resumption_server import ServerSession, TicketIssuer, ticket_context
from .steps import Established, Handshake, Steps

__all__ = ["Terms", "choose_protocol", "refuse", "run", "select_credentials"]

_E = ExtensionType


@dataclass(frozen=True, slots=True)
class Terms:
    """What the hellos settled.

    Attributes:
        identity: who we are for this client; None where only a key can tell it.
        psk: the key that both sides have, by which they know each other; None where we show a
            certificate.
        early_data: what of it we take; None for none.
        group: the key exchange; None where there was none.
    """

    config: ServerParameters
    identity: Selected | None
    psk: Psk[ServerSession] | None
    early_data: Accepted | None
    suite: CipherSuite
    group: Group | None
    alpn_protocol: bytes | None


def run(
    hs: Handshake, terms: Terms, hello: ClientHello, shared_secret: bytes | None
) -> Steps[Established]:
    """From our ServerHello, which is in the transcript, to the client's Finished."""
    config, suite, psk, accepted = terms.config, terms.suite, terms.psk, terms.early_data
    identity, group, protocol = terms.identity, terms.group, terms.alpn_protocol
    session = psk.session if psk else None
    early_secret = EarlySecret(suite, psk.secret if psk else None, hs.key_log)
    handshake_secret = early_secret.handshake_secret(shared_secret)
    hello_hash = hs.transcript.digest()
    client_secret = handshake_secret.client_handshake_traffic(hello_hash)
    server_secret = handshake_secret.server_handshake_traffic(hello_hash)
    hs.protect_incoming(suite, accepted.traffic_secret if accepted else client_secret)
    hs.incoming.accept_plaintext_alert = True
    hs.protect_outgoing(suite, server_secret)

    hs.send(encrypted_extensions(hs, terms, hello))
    request = None
    if psk is None and identity is not None:
        credentials, scheme = identity
        request = certificate_request(config)
        if request is not None:
            hs.send(request)
        stapled = yield from staple(hs, credentials, hello)
        compressor = compressor_for(config.compressors, hello.extensions)
        yield from authentication.send_certificate(
            hs, credentials, scheme, SERVER_CONTEXT, stapled, compressor
        )
    authentication.send_finished(hs, suite, server_secret)

    main_secret = handshake_secret.main_secret()
    finished_hash = hs.transcript.digest()
    hs.protect_outgoing(suite, main_secret.server_application_traffic(finished_hash))
    exporter_secret = main_secret.exporter(finished_hash)
    client = session.client if session else None
    if accepted is not None:
        if client is not None:
            # Whether it may in is to be said before anybody reads what it sent.
            yield from verify_client_certificate(hs, config, None, client.chain)
        yield from hs.flush()  # then nobody has to wait for who answers
        hs.early_data.may_be_answered = True
        yield from early_data.receive(hs, accepted)
        hs.protect_incoming(suite, client_secret)
    if request is not None:
        client = yield from authenticate_client(hs, config, request)
    yield from authentication.expect_finished(hs, suite, client_secret)
    if session is not None and client is not None and accepted is None:
        # Who it is, it showed when the session began; whether it may in, is said each time.
        yield from verify_client_certificate(hs, config, None, client.chain)
    hs.incoming.accept_change_cipher_spec = False
    hs.protect_incoming(suite, main_secret.client_application_traffic(finished_hash))
    external = psk.external if psk else None
    negotiated = Negotiated(
        version="TLSv1.3",
        cipher_suite=suite.name,
        group=group.name if group else None,
        alpn_protocol=protocol.decode("latin-1") if protocol else None,
        server_name=requested_name(hello.extensions),
        peer_certificates=client.chain if client else (),
        signature_scheme=client.signature_scheme.name if client else None,
        resumed=session is not None,
        early_data_accepted=accepted is not None,
        psk_identity=external.identity if external else None,
        ticket_application_data=session.application_data if session else b"",
    )
    new_tickets = None
    resumption_secret = main_secret.resumption(hs.transcript.digest())
    # A key from outside costs no more than a ticket, and when it is withdrawn it should be so.
    if identity is not None and external is None and config.tickets and psk_modes(config, hello):
        issuer = TicketIssuer(
            config,
            ticket_context(config, identity[0], hello),
            suite,
            client,
            authenticated_at=session.authenticated_at if session else config.clock(),
            resumption_secret=resumption_secret,
            alpn_protocol=protocol,
            application_data=config.make_ticket_application_data(negotiated),
        )
        new_tickets = issuer.issue
        if config.ticket_store is not None:
            deposited = yield from issuer.store_tickets(hs, config.ticket_store)
            new_tickets = partial(iter, deposited)
    return Established(
        suite,
        negotiated,
        server_certificate=identity[0].chain[0] if identity and not external else None,
        exporter_secret=exporter_secret,
        shared_suites=tuple(
            config.suite_table[code] for code in hello.cipher_suites if code in config.suite_table
        ),
        key_update_bytes=config.key_update_bytes,
        new_tickets=new_tickets,
        own_signature_scheme=hs.signed_with,
    )


def choose_protocol(config: ServerParameters, hello: ClientHello) -> bytes | None:
    """Our most wanted application protocol among those offered (RFC 7301 3.2)."""
    body = hello.extensions.get(_E.application_layer_protocol_negotiation)
    if body is None:
        return None
    offered = ext.decode_alpn(body)
    if not config.alpn:
        return None
    for protocol in config.alpn:
        if protocol in offered:
            return protocol
    raise NegotiationError(
        f"this peer offers the ALPN protocols {list(offered)}, here are only {list(config.alpn)}",
        AlertDescription.no_application_protocol,
    )


def encrypted_extensions(hs: Handshake, terms: Terms, hello: ClientHello) -> EncryptedExtensions:
    extensions: dict[int, bytes] = {}
    if terms.alpn_protocol is not None:
        protocols = ext.encode_alpn([terms.alpn_protocol])
        extensions[_E.application_layer_protocol_negotiation] = protocols
    if (limit := hello.extensions.get(_E.record_size_limit)) is not None:
        ours = terms.config.record_size_limit
        extensions[_E.record_size_limit] = uint16(ours)
        hs.apply_record_size_limit(ours, limit)
    elif (body := hello.extensions.get(_E.max_fragment_length)) is not None:
        # RFC 8449 5: it counts only where record_size_limit is missing.
        extensions[_E.max_fragment_length] = body
        hs.apply_max_fragment_length(ext.decode_max_fragment_length(body))
    resumes = terms.psk is not None and terms.psk.session is not None
    if _E.server_name in hello.extensions and not resumes:
        # RFC 6066 3: not where a session is resumed, which is of this name already.
        extensions[_E.server_name] = b""
    if terms.early_data is not None:
        extensions[_E.early_data] = b""
    return EncryptedExtensions(extensions)


def certificate_request(config: ServerParameters) -> CertificateRequest | None:
    if config.client_auth == "none":
        return None
    schemes = (*config.scheme_table, *CERTIFICATE_ONLY_SCHEMES)
    extensions: dict[int, bytes] = {}
    extensions[_E.signature_algorithms] = ext.encode_uint16_list(schemes)
    if config.client_authorities:
        names = ext.encode_certificate_authorities(config.client_authorities)
        extensions[_E.certificate_authorities] = names
    extensions |= offer(config.compressors)
    return CertificateRequest(b"", grease.in_request(extensions) if config.grease else extensions)


def select_credentials(candidates: Sequence[Credentials], hello: ClientHello) -> Selected | None:
    """What of ours is best for this client (RFC 9846 4.5.1.2); None if nothing will do."""
    body = hello.extensions.get(_E.signature_algorithms)
    if body is None:
        return None
    offered = ext.decode_uint16_list(body, "signature_algorithms")
    # RFC 9963 2: no client may offer these, and a server never signs with them.
    schemes = [scheme for scheme in offered if scheme not in CLIENT_ONLY_SCHEMES]
    return certificate_selection.for_server(candidates, schemes, requested_name(hello.extensions))


def refuse(candidates: Sequence[Credentials], hello: ClientHello) -> NoReturn:
    """Say why we cannot tell this client, with whom we share no key, who we are."""
    if not candidates:
        raise NegotiationError("this peer offers no pre-shared key of use, and one is needed here")
    require(hello, _E.signature_algorithms)
    able = {scheme.name: None for c in candidates for scheme in c.signer.schemes}
    raise NegotiationError(
        f"this peer accepts no signature that our key can make ({', '.join(able)})"
    )


def staple(hs: Handshake, credentials: Credentials, hello: ClientHello) -> Steps[Extensions]:
    """What goes with our own certificate, for a client that asks (RFC 9846 4.5.1.1, 4.5.1.2)."""
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


def authenticate_client(
    hs: Handshake, config: ServerParameters, request: CertificateRequest
) -> Steps[PeerIdentity | None]:
    """Learn who the client is, if it says so, have it prove that, and ask whether it may in."""
    message = yield from hs.expect_any(*message_types(config.compressors))
    certificate = decompressed(config.compressors, message)
    if certificate.certificate_request_context != request.certificate_request_context:
        raise CertificateError(
            "the client's Certificate answers another request",
            AlertDescription.illegal_parameter,
        )
    chain = authentication.parse_chain(certificate, request.extensions, config.max_chain_length)
    if not chain:
        if config.client_auth == "required":
            raise CertificateError(
                "this client sent no certificate, and one is required",
                AlertDescription.certificate_required,
            )
        return None
    client = yield from authentication.expect_certificate_verify(
        hs, chain, config.scheme_table, CLIENT_CONTEXT
    )
    yield from verify_client_certificate(hs, config, certificate, chain)
    return client


def verify_client_certificate(
    hs: Handshake,
    config: ServerParameters,
    certificate: Certificate | None,
    chain: tuple[x509.Certificate, ...],
) -> Steps[None]:
    verify = partial(check_client, config, chain)
    yield from authentication.verify_peer(hs, config, certificate, chain, None, verify)


def check_client(
    config: ServerParameters, chain: tuple[x509.Certificate, ...], at: datetime.datetime
) -> tuple[x509.Certificate, ...]:
    """The verified path."""
    if config.client_trust is None:
        raise CertificateError("no CA is trusted for clients", AlertDescription.unknown_ca)
    return verify_client(chain, config.client_trust, at)
