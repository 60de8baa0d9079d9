"""A server's TLS 1.2 handshake, from the ClientHello on (RFC 5246 7.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..config.server import ServerParameters
from ..crypto.cipher_suites12 import CipherSuite12
from ..crypto.exporter12 import Exporter12
from ..crypto.groups import GROUPS, EphemeralKey
from ..crypto.key_schedule12 import DirectionKeys, MasterSecret
from ..errors import AlertDescription, CertificateError
from ..messages.certificate_types import CertificateType
from ..messages.extensions import Extensions, ExtensionType, decode_certificate_status
from ..messages.handshake import CertificateVerify, ClientHello
from ..messages.handshake12 import (
    ECDSA_SIGN,
    RSA_SIGN,
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    ClientKeyExchange,
    RawCertificate12,
    ServerHelloDone,
    ServerKeyExchange,
    encode_parameters,
)
from ..messages.info import requested_name
from ..pki.credentials import Credentials
from ..pki.negotiated import Negotiated
from . import authentication, steps12
from .authentication import PeerIdentity
from .established import Completed, Established
from .hello import bad_key_share
from .questions import SignatureWanted
from .resumption_server import ServerSession
from .resumption_server12 import (
    FoundSession,
    find_session,
    new_session_id,
    promises_ticket,
    send_ticket,
    store_again,
)
from .server12_hello import Terms12, choose_terms, send_server_hello
from .server13 import staple, verify_client_certificate
from .steps import Handshake, Steps

__all__ = ["run"]

CERTIFICATE_TYPES = bytes((ECDSA_SIGN, RSA_SIGN))


def run(
    hs: Handshake,
    config: ServerParameters,
    candidates: Sequence[Credentials],
    hello: ClientHello,
) -> Steps[Completed]:
    """Perform the handshake from the ClientHello on (RFC 5246 7.3).

    ::

        Client                                        Server

        ClientHello        -------->
                                                 ServerHello
                                                 Certificate
                                          CertificateStatus*
                                           ServerKeyExchange
                                         CertificateRequest*
                           <--------         ServerHelloDone
        Certificate*
        ClientKeyExchange
        CertificateVerify*
        [ChangeCipherSpec]
        {Finished}         -------->
                                           NewSessionTicket*
                                          [ChangeCipherSpec]
                           <--------              {Finished}

    Args:
        candidates: the credentials to select from.
    """
    steps12.begin(hs)
    hs.check_end_of_flight()
    terms = choose_terms(config, candidates, hello)
    found = yield from find_session(hs, terms)
    if found is not None:
        return (yield from resume(hs, terms, found))
    return (yield from full_handshake(hs, terms))


def full_handshake(hs: Handshake, terms: Terms12) -> Steps[Completed]:
    """Perform a full handshake, from the ServerHello on."""
    promised, session_id = promises_ticket(terms), new_session_id(terms)
    stapled = yield from staple(hs, terms.credentials, terms.hello)
    random = send_server_hello(hs, terms, stapled, ticket_promised=promised, session_id=session_id)
    randoms = terms.hello.random, random
    send_server_certificate(hs, terms, stapled)
    key = yield from send_server_key_exchange(hs, terms, randoms)
    request = send_server_hello_done(hs, terms)
    certificate = yield from read_client_certificate(hs, terms, request)
    secret = yield from read_client_key_exchange(hs, terms, randoms, key)
    client = yield from authenticate_client(hs, terms, certificate)
    client_keys, server_keys = secret.traffic_keys()
    tls_unique = yield from read_client_finished(hs, terms.suite, secret, client_keys)
    negotiated = negotiated_by(terms, client, None)
    yield from send_ticket(
        hs, terms, terms.suite, secret, client, None, negotiated, session_id=session_id
    )
    send_server_finished(hs, terms.suite, secret, server_keys)
    exporter = steps12.exporter_of(secret, tls_unique, extended=terms.extended_master_secret)
    return complete(hs, terms, negotiated, exporter)


def resume(hs: Handshake, terms: Terms12, found: FoundSession) -> Steps[Completed]:
    """Perform an abbreviated handshake (RFC 5246 7.3).

    ::

        Client                                        Server

        ClientHello        -------->
                                                 ServerHello
                                           NewSessionTicket*
                                          [ChangeCipherSpec]
                           <--------              {Finished}
        [ChangeCipherSpec]
        {Finished}         -------->
    """
    session, config = found.session, terms.config
    suite = config.tls12.suite_table[session.suite.code]
    terms = replace(terms, suite=suite)
    if session.client is not None:
        yield from verify_client_certificate(hs, config, None, session.client)
    random = send_server_hello(
        hs,
        terms,
        {},
        ticket_promised=promises_ticket(terms),
        session_id=terms.hello.legacy_session_id,
        resumes=True,
    )
    secret = MasterSecret(suite, session.secret, (terms.hello.random, random))
    secret.log(hs.key_log)
    hs.transcript.start(suite)
    negotiated = negotiated_by(terms, session.client, session)
    yield from send_ticket(hs, terms, suite, secret, session.client, session, negotiated)
    client_keys, server_keys = secret.traffic_keys()
    tls_unique = send_server_finished(hs, suite, secret, server_keys)
    yield from read_client_finished(hs, suite, secret, client_keys)
    yield from store_again(hs, terms, found)
    exporter = steps12.exporter_of(secret, tls_unique, extended=True)
    return complete(hs, terms, negotiated, exporter)


def send_server_certificate(hs: Handshake, terms: Terms12, stapled: Extensions) -> None:
    """Send Certificate, and the OCSP response for it (RFC 6066 8)."""
    own = terms.credentials
    key = own.raw_public_key
    hs.send(Certificate12(own.der_chain) if key is None else RawCertificate12(key.der))
    if (status := stapled.get(ExtensionType.status_request)) is not None:
        hs.send(CertificateStatus(decode_certificate_status(status)))


def send_server_key_exchange(
    hs: Handshake, terms: Terms12, randoms: tuple[bytes, bytes]
) -> Steps[EphemeralKey]:
    """Send the server's public key, with a signature (RFC 8422 5.4); return the private one."""
    key = terms.group.generate()
    content = b"".join(randoms) + encode_parameters(terms.group.code, key.public)
    signature = yield from hs.ask(SignatureWanted(terms.credentials, terms.scheme, content))
    hs.send(ServerKeyExchange(terms.group.code, key.public, terms.scheme, signature))
    hs.signed_with = terms.scheme
    return key


def send_server_hello_done(hs: Handshake, terms: Terms12) -> CertificateRequest12 | None:
    """Request the client's certificate if the configuration does, and end the flight."""
    config, request = terms.config, None
    if terms.client_type is not None:
        is_raw = terms.client_type is CertificateType.RawPublicKey
        request = CertificateRequest12(
            CERTIFICATE_TYPES,
            config.tls12.scheme_table,
            () if is_raw else config.client_authorities,
        )
        hs.send(request)
    hs.send(ServerHelloDone())
    if request is None:
        # A CertificateVerify would sign all messages so far; without one their hash is enough.
        hs.transcript.start(terms.suite)
    return request


def read_client_certificate(
    hs: Handshake, terms: Terms12, request: CertificateRequest12 | None
) -> Steps[Certificate12 | None]:
    """Read Certificate if it was requested; None if the client has no certificate."""
    if request is None:
        return None
    config = terms.config
    if terms.client_type is CertificateType.RawPublicKey:
        certificate = yield from steps12.expect_raw_certificate(hs)
    else:
        certificate = yield from hs.expect(Certificate12)
    if certificate.certificate_list:
        return certificate
    if config.client_auth == "required":
        raise CertificateError(
            "this client sent no certificate, and one is required",
            AlertDescription.handshake_failure,  # RFC 5246 7.4.6
        )
    return None


def read_client_key_exchange(
    hs: Handshake, terms: Terms12, randoms: tuple[bytes, bytes], key: EphemeralKey
) -> Steps[MasterSecret]:
    """Read ClientKeyExchange; the session hash goes up to it (RFC 7627 3)."""
    message = yield from hs.expect(ClientKeyExchange)
    try:
        shared_secret = key.exchange(message.public)
    except ValueError as error:
        raise bad_key_share(terms.group) from error
    return steps12.make_master_secret(
        hs, terms.suite, shared_secret, randoms, extended=terms.extended_master_secret
    )


def authenticate_client(
    hs: Handshake, terms: Terms12, certificate: Certificate12 | None
) -> Steps[PeerIdentity | None]:
    """Read CertificateVerify, which signs all messages so far, and verify the certificate."""
    config, content = terms.config, b"".join(hs.transcript.messages)
    if certificate is None or terms.client_type is None:
        if hs.transcript.messages:
            hs.transcript.start(terms.suite)
        return None
    message = steps12.certificate_with(certificate, {})
    presented = authentication.parse_certificate(
        message, (), config.max_chain_length, config.client_trust, terms.client_type
    )
    if presented is None:  # read_client_certificate returned None for it
        return None
    certificate_verify = yield from hs.expect(CertificateVerify)
    client = steps12.check_signature(config, presented, certificate_verify, content)
    hs.transcript.start(terms.suite)
    yield from verify_client_certificate(hs, config, message, client)
    return client


def read_client_finished(
    hs: Handshake, suite: CipherSuite12, secret: MasterSecret, keys: DirectionKeys
) -> Steps[bytes]:
    """Read change_cipher_spec and Finished; return its verify_data."""
    steps12.expect_change_of_keys(hs, suite, keys)
    verify_data = secret.client_finished(hs.transcript.digest())
    yield from authentication.expect_finished(hs, verify_data)
    hs.check_end_of_flight()
    return verify_data


def send_server_finished(
    hs: Handshake, suite: CipherSuite12, secret: MasterSecret, keys: DirectionKeys
) -> bytes:
    """Change the sending keys, and send Finished; return its verify_data."""
    verify_data = secret.server_finished(hs.transcript.digest())
    steps12.send_finished(hs, suite, keys, verify_data)
    return verify_data


def negotiated_by(
    terms: Terms12, client: PeerIdentity | None, session: ServerSession | None
) -> Negotiated:
    """Return the result of the handshake.

    Args:
        session: the session that the connection resumes, if any.
    """
    suite, protocol = terms.suite, terms.alpn_protocol
    group = GROUPS[session.group] if session else terms.group
    return Negotiated(
        version=suite.protocol,
        cipher_suite=suite.name,
        group=group.name,
        alpn_protocol=protocol.decode("latin-1") if protocol else None,
        server_name=requested_name(terms.hello.extensions),
        peer_certificates=client.chain if client else (),
        peer_raw_public_key=client.raw_public_key if client else None,
        signature_scheme=client.signature_scheme.name if client else None,
        resumed=session is not None,
        early_data_accepted=False,
        ticket_application_data=session.application_data if session else b"",
    )


def complete(
    hs: Handshake, terms: Terms12, negotiated: Negotiated, exporter: Exporter12
) -> Completed:
    """Return what the connection needs of its handshake."""
    table, own = terms.config.tls12.suite_table, terms.credentials.chain
    established = Established(
        terms.suite,
        negotiated,
        server_certificate=own[0] if own else None,
        exporter=exporter,
        shared_suites=tuple(table[c] for c in terms.hello.cipher_suites if c in table),
        own_signature_scheme=hs.signed_with,
    )
    return Completed(
        established, key_update_bytes=None, tickets_sent=1 if promises_ticket(terms) else 0
    )
