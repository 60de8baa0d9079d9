"""A client's TLS 1.2 handshake, from the ServerHello on (RFC 5246 7.3)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..config.client import ClientParameters
from ..crypto.exporter12 import Exporter12
from ..crypto.groups import EphemeralKey, Group
from ..crypto.key_schedule12 import DirectionKeys, MasterSecret
from ..crypto.signatures import KeyHolder, SignatureScheme
from ..crypto.signatures12 import authentication_of
from ..errors import AlertDescription, ProtocolError
from ..messages import info
from ..messages.certificate_types import CertificateType
from ..messages.extensions import ExtensionType, encode_certificate_status
from ..messages.handshake import CertificateVerify, ServerHello
from ..messages.handshake12 import (
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    ClientKeyExchange,
    NewSessionTicket12,
    RawCertificate12,
    ServerHelloDone,
    ServerKeyExchange,
    encode_parameters,
)
from ..pki.certificates import MALFORMED
from ..pki.negotiated import Negotiated
from ..pki.public_keys import Presented
from . import authentication, early_data, steps12
from .authentication import PeerIdentity
from .certificate_selection import Selected, select_client_credentials
from .certificate_selection12 import curve_of, schemes_of_12, schemes_of_request
from .certificate_types import check_server_type
from .client12_hello import Selection12, process_server_hello
from .client13 import trust_of, verify_server_certificate
from .client13_hello import Offer
from .established import Completed, Established
from .hello import bad_key_share
from .questions import SignatureWanted
from .resumption_client import server_of
from .resumption_client12 import read_ticket, resume, store_session
from .steps import Handshake, Steps

__all__ = ["run"]

_E = ExtensionType


@dataclass(slots=True, eq=False)
class KeyExchange:
    """The client's half of the key exchange, in the group that the server selected."""

    group: Group
    key: EphemeralKey = field(repr=False)
    shared_secret: bytes = field(repr=False)


def run(hs: Handshake, offer: Offer, answer: ServerHello) -> Steps[Completed]:
    """Perform the handshake from the ServerHello on (RFC 5246 7.3).

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
    """
    steps12.begin(hs)
    selection = process_server_hello(hs, offer, answer)
    if (session := selection.session) is not None:
        secret, tls_unique = yield from resume(hs, offer, selection, session)
        server, group = server_of(session), session.group
    else:
        server, group, secret, tls_unique = yield from full_handshake(hs, offer, selection)
    if selection.alpn_protocol == early_data.alpn_protocol(offer.config):
        early_data.write(hs, offer.resend)  # TLS 1.2 has no early data
    exporter = steps12.exporter_of(secret, tls_unique, extended=selection.extended_master_secret)
    return complete(offer, selection, server, group, exporter, hs.signed_with)


def full_handshake(
    hs: Handshake, offer: Offer, selection: Selection12
) -> Steps[tuple[PeerIdentity, str, MasterSecret, bytes]]:
    """Perform a full handshake, from the server's Certificate on.

    Returns:
        The server's identity, the name of the group of the key exchange, the master secret, and
        the verify_data of the first Finished.
    """
    presented, certificate = yield from read_server_certificate(hs, offer, selection)
    server, exchange = yield from read_server_key_exchange(
        hs, offer, selection, certificate, presented
    )
    request = yield from read_server_hello_done(hs, offer, selection)
    credentials = yield from send_client_certificate(hs, offer.config, request)
    secret = send_client_key_exchange(hs, selection, exchange)
    yield from send_certificate_verify(hs, selection, credentials)
    client_keys, server_keys = secret.traffic_keys()
    tls_unique = send_client_finished(hs, selection, secret, client_keys)
    ticket = yield from read_server_finished(hs, selection, secret, server_keys)
    group = exchange.group.name
    yield from store_session(hs, offer, selection, server, group, secret, ticket)
    return server, group, secret, tls_unique


def read_server_certificate(
    hs: Handshake, offer: Offer, selection: Selection12
) -> Steps[tuple[Presented, Certificate12]]:
    """Read Certificate; its key is not proven yet."""
    config, types = offer.config, selection.types
    if config.negotiates_types:
        check_server_type(config, types)
    if types.of_server is CertificateType.X509:
        certificate = yield from hs.expect(Certificate12)
    else:
        certificate = yield from steps12.expect_raw_certificate(hs)
    presented = authentication.parse_certificate(
        steps12.certificate_with(certificate, {}),
        (),
        config.max_chain_length,
        trust_of(config),
        types.of_server,
    )
    if presented is None:
        # RFC 5246 7.4.2
        raise ProtocolError("the server sent no certificate at all", AlertDescription.decode_error)
    return presented, certificate


def read_server_key_exchange(
    hs: Handshake,
    offer: Offer,
    selection: Selection12,
    certificate: Certificate12,
    presented: Presented,
) -> Steps[tuple[PeerIdentity, KeyExchange]]:
    """Read CertificateStatus and ServerKeyExchange, and authenticate the server."""
    extensions: dict[int, bytes] = {}
    if (timestamps := selection.extensions.get(_E.signed_certificate_timestamp)) is not None:
        extensions[_E.signed_certificate_timestamp] = timestamps
    message = None
    if _E.status_request in selection.extensions:
        # RFC 6066 8: the server may leave it out although it announced it.
        message = yield from hs.expect(CertificateStatus, ServerKeyExchange)
        if isinstance(message, CertificateStatus):
            status = encode_certificate_status(message.ocsp_response)
            extensions[_E.status_request] = status
            message = None
    if message is None:
        message = yield from hs.expect(ServerKeyExchange)
    if extensions and presented.raw_public_key is not None:
        raise ProtocolError("the peer sent an OCSP response or timestamps with a raw public key")
    server = check_key_exchange(offer.config, selection, presented, message)
    yield from verify_server_certificate(
        hs,
        offer.config,
        offer.server_name,
        steps12.certificate_with(certificate, extensions),
        server,
    )
    return server, exchange_keys(offer.config, message)


def check_key_exchange(
    config: ClientParameters,
    selection: Selection12,
    presented: Presented,
    message: ServerKeyExchange,
) -> PeerIdentity:
    """Check that the holder of the certificate's key signed the key exchange."""
    leaf = presented.raw_public_key or presented.chain[0]
    try:
        authentication_of_leaf = authentication_of(leaf)
    except MALFORMED as error:
        raise authentication.unsupported_key(leaf) from error
    if authentication_of_leaf != selection.suite.authentication:
        raise ProtocolError(
            f"the key in the server's certificate does not fit the cipher suite "
            f"{selection.suite.name}"
        )
    check_curve(config, leaf)
    content = b"".join(selection.randoms) + encode_parameters(message.group, message.public)
    return steps12.check_signature(config, presented, message, content)


def check_curve(config: ClientParameters, leaf: KeyHolder) -> None:
    """Check that the key of an ECDSA certificate is on an offered curve (RFC 8422 5.3)."""
    curve, offered = curve_of(leaf), [group.name for group in config.group_table.values()]
    if curve is not None and curve not in offered:
        raise ProtocolError(
            f"the key in the server's certificate is on the curve {curve}, which was not offered; "
            "add it to groups to accept it"
        )


def exchange_keys(config: ClientParameters, message: ServerKeyExchange) -> KeyExchange:
    """Answer the server's public key."""
    group = config.tls12.group_table.get(message.group)
    if group is None:
        raise ProtocolError(
            f"the peer chose a group ({message.group:#06x}) that was not offered for TLS 1.2"
        )
    key = group.generate()
    try:
        return KeyExchange(group, key, key.exchange(message.public))
    except ValueError as error:
        raise bad_key_share(group) from error


def read_server_hello_done(
    hs: Handshake, offer: Offer, selection: Selection12
) -> Steps[info.CertificateRequest | None]:
    """Read CertificateRequest, if there is one, and ServerHelloDone."""
    message = yield from hs.expect(CertificateRequest12, ServerHelloDone)
    if isinstance(message, CertificateRequest12):
        request = info.CertificateRequest(
            offer.server_name.host,
            message.authorities,
            schemes_of_request(message),
            {},
            selection.types.of_client,
        )
        yield from hs.expect(ServerHelloDone)
        hs.check_end_of_flight()
        return request
    hs.check_end_of_flight()
    # A CertificateVerify would sign all messages so far; without one their hash is enough.
    hs.transcript.start(selection.suite)
    return None


def send_client_certificate(
    hs: Handshake, config: ClientParameters, request: info.CertificateRequest | None
) -> Steps[Selected | None]:
    """Send Certificate if it was requested; it is empty if no certificate fits the request.

    Returns:
        The credentials to sign with; None if there are none.
    """
    if request is None:
        return None
    selected = yield from select_client_credentials(hs, config, request, schemes_of_12)
    if selected is None:
        hs.note_missing_certificate()
        hs.send(Certificate12(()))  # a raw public key of no octets looks the same
    else:
        key = selected[0].raw_public_key
        hs.send(Certificate12(selected[0].der_chain) if key is None else RawCertificate12(key.der))
    return selected


def send_client_key_exchange(
    hs: Handshake, selection: Selection12, exchange: KeyExchange
) -> MasterSecret:
    """Send ClientKeyExchange; the session hash goes up to it (RFC 7627 3)."""
    hs.send(ClientKeyExchange(exchange.key.public))
    return steps12.make_master_secret(
        hs,
        selection.suite,
        exchange.shared_secret,
        selection.randoms,
        extended=selection.extended_master_secret,
    )


def send_certificate_verify(
    hs: Handshake, selection: Selection12, credentials: Selected | None
) -> Steps[None]:
    """Sign all messages so far, if a certificate was sent (RFC 5246 7.4.8)."""
    if credentials is not None:
        content = b"".join(hs.transcript.messages)
        signature = yield from hs.ask(SignatureWanted(*credentials, content))
        hs.send(CertificateVerify(credentials[1], signature))
        hs.signed_with = credentials[1]
    if hs.transcript.messages:
        hs.transcript.start(selection.suite)


def send_client_finished(
    hs: Handshake, selection: Selection12, secret: MasterSecret, keys: DirectionKeys
) -> bytes:
    """Change the sending keys and send Finished; return its verify_data."""
    verify_data = secret.client_finished(hs.transcript.digest())
    steps12.send_finished(hs, selection.suite, keys, verify_data)
    return verify_data


def read_server_finished(
    hs: Handshake, selection: Selection12, secret: MasterSecret, keys: DirectionKeys
) -> Steps[NewSessionTicket12 | None]:
    """Read NewSessionTicket if it was promised, change_cipher_spec and Finished."""
    ticket = yield from read_ticket(hs, selection)
    steps12.expect_change_of_keys(hs, selection.suite, keys)
    yield from authentication.expect_finished(hs, secret.server_finished(hs.transcript.digest()))
    return ticket


def complete(
    offer: Offer,
    selection: Selection12,
    server: PeerIdentity,
    group: str | None,
    exporter: Exporter12,
    signed_with: SignatureScheme | None,
) -> Completed:
    """Return what the connection needs of its handshake."""
    suite = selection.suite
    negotiated = Negotiated(
        version=suite.protocol,
        cipher_suite=suite.name,
        group=group,
        alpn_protocol=selection.alpn_protocol,
        server_name=offer.server_name.host,
        peer_certificates=server.chain,
        peer_raw_public_key=server.raw_public_key,
        signature_scheme=server.signature_scheme.name,
        resumed=selection.session is not None,
        early_data_accepted=False,
    )
    established = Established(
        suite,
        negotiated,
        server_certificate=server.chain[0] if server.chain else None,
        exporter=exporter,
        shared_suites=None,
        own_signature_scheme=signed_with,
    )
    return Completed(established, key_update_bytes=None)
