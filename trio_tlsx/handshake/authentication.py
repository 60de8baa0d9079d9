"""Certificate, CertificateVerify and Finished of both roles (RFC 9846 4.5)."""

from __future__ import annotations

import datetime
import hmac
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from ..config.client import ClientParameters
from ..config.server import ServerParameters
from ..crypto import signatures
from ..crypto.cipher_suites import CipherSuite
from ..crypto.key_schedule import finished_verify_data
from ..crypto.signatures import KeyHolder, SignatureScheme
from ..errors import AlertDescription, CertificateError, ProtocolError
from ..messages.certificate_types import CertificateType
from ..messages.extensions import (
    Context,
    Extensions,
    ExtensionType,
    check_context,
    decode_certificate_status,
    decode_timestamps,
)
from ..messages.handshake import Certificate, CertificateEntry, CertificateVerify, Finished
from ..pki.certificates import MALFORMED
from ..pki.compression import CertificateCompressor
from ..pki.credentials import Credentials
from ..pki.peer import Peer
from ..pki.public_keys import (
    Presented,
    RawPublicKey,
    certificate_of,
    load_raw_public_key,
)
from ..pki.rsa_keys import check_rsa_work
from ..pki.trust import TrustStore
from ..record.message_reader import wrong_finished_length
from .certificate_compression import compressed
from .questions import SignatureWanted, VerificationWanted
from .steps import Handshake, Steps

__all__ = [
    "PeerIdentity",
    "check_signature",
    "expect_certificate_verify",
    "expect_finished",
    "parse_certificate",
    "send_certificate",
    "send_finished",
    "verify_peer",
]

SERVER_CONTEXT = b"TLS 1.3, server CertificateVerify"
CLIENT_CONTEXT = b"TLS 1.3, client CertificateVerify"


def _signed_content(context: bytes, transcript_hash: bytes) -> bytes:
    return b"\x20" * 64 + context + b"\0" + transcript_hash


# The messages that this side sends


def send_certificate(
    hs: Handshake,
    credentials: Credentials,
    scheme: SignatureScheme,
    context: bytes,
    stapled: Extensions = MappingProxyType({}),
    compressor: CertificateCompressor | None = None,
) -> Steps[None]:
    """Send Certificate, with these extensions of its leaf, and CertificateVerify."""
    if not stapled and compressor is None:
        hs.send_encoded(credentials.certificate_message)
    else:
        leaf, *others = credentials.der_chain
        entries = (CertificateEntry(leaf, stapled), *(CertificateEntry(der, {}) for der in others))
        certificate = Certificate(b"", entries)
        hs.send(certificate if compressor is None else compressed(certificate, compressor))
    content = _signed_content(context, hs.transcript.digest())
    signature = yield from hs.ask(SignatureWanted(credentials, scheme, content))
    hs.send(CertificateVerify(scheme, signature))
    hs.signed_with = scheme


def send_finished(hs: Handshake, suite: CipherSuite, base_key: bytes) -> None:
    hs.send(Finished(finished_verify_data(suite, base_key, hs.transcript.digest())))
    hs.outgoing.finished = True


# The messages that the peer sends


class SignedMessage(Protocol):
    """A message with a signature: CertificateVerify; in TLS 1.2 also ServerKeyExchange."""

    algorithm: int
    signature: bytes


@dataclass(slots=True, eq=False)
class PeerIdentity(Presented):
    """The certificates or key of a peer that has proven to hold the key, and the scheme used."""

    signature_scheme: SignatureScheme


def parse_certificate(
    certificate: Certificate,
    requested: Iterable[int],
    limit: int,
    trust: TrustStore | None,
    certificate_type: CertificateType,
) -> Presented | None:
    """Return the content of a Certificate message; None if it is empty.

    Args:
        requested: the extensions that our ClientHello or CertificateRequest held.
        limit: how many certificates the message may have.
        trust: the trust store that the chain will be verified with, if any.
        certificate_type: the type that was negotiated.
    """
    entries = certificate.certificate_list
    if not entries:
        return None
    if certificate_type is CertificateType.RawPublicKey:
        return Presented((), parse_raw_public_key(certificate, requested))
    if len(entries) > limit:
        raise CertificateError(
            f"the peer sent {len(entries)} certificates and max_chain_length is {limit}: raise "
            "it, or have the peer send only its own certificate and the CAs above it"
        )
    requested = tuple(requested)
    for entry in entries:
        check_context(entry.extensions, Context.CT, requested)
    load = x509.load_der_x509_certificate if trust is None else trust.load_certificate
    try:
        chain = tuple([load(entry.cert_data) for entry in entries])
    except MALFORMED as error:
        raise CertificateError("the peer's certificate cannot be parsed") from error
    return Presented(chain, None)


def parse_raw_public_key(certificate: Certificate, requested: Iterable[int]) -> RawPublicKey:
    """Return the raw public key of a Certificate message (RFC 7250 3, RFC 9846 4.5.1)."""
    entry, *others = certificate.certificate_list
    if others:
        raise ProtocolError("the peer sent more than one raw public key")
    check_context(entry.extensions, Context.CT, tuple(requested))
    if entry.extensions:
        raise ProtocolError("the peer sent an OCSP response or timestamps with a raw public key")
    try:
        key = load_raw_public_key(entry.cert_data)
        usable = signatures.schemes_for(key)
    except UnsupportedAlgorithm as error:
        raise unsupported_raw_key() from error
    except MALFORMED as error:
        raise CertificateError("the peer's raw public key cannot be parsed") from error
    if not usable:
        raise unsupported_raw_key()
    return key


def unsupported_raw_key() -> CertificateError:
    """Return the error for a raw public key that no signature scheme is for."""
    return CertificateError(
        "the peer's raw public key is of an unsupported kind",
        AlertDescription.unsupported_certificate,
    )


def expect_certificate_verify(
    hs: Handshake,
    presented: Presented,
    accepted: Collection[SignatureScheme],
    context: bytes,
) -> Steps[PeerIdentity]:
    """Read CertificateVerify, the proof that the peer holds the key that it presented (4.5.2)."""
    content = _signed_content(context, hs.transcript.digest())
    schemes_for = partial(signatures.schemes_for, legacy=True)
    certificate_verify = yield from hs.expect(CertificateVerify)
    return check_signature(
        presented, accepted, certificate_verify, content, schemes_for, signatures.verify
    )


def check_signature(
    presented: Presented,
    accepted: Iterable[SignatureScheme],
    signed: SignedMessage,
    content: bytes,
    schemes_for: Callable[[KeyHolder], Collection[SignatureScheme]],
    verify: Callable[[SignatureScheme, KeyHolder, bytes, bytes], None],
) -> PeerIdentity:
    """Check the signature that proves that the peer holds the key that it presented.

    Args:
        accepted: the schemes that were offered for it.
        signed: the message with the signature.
        content: the octets that are signed.
        schemes_for: returns the schemes of a certificate's key, by the rules of the version.
        verify: verifies a signature, by the same rules.

    Raises:
        ProtocolError: ``illegal_parameter``, the scheme was not offered or does not fit the key;
            ``decrypt_error``, the signature is wrong.
        CertificateError: the key is of an unsupported kind, or too costly.
    """
    leaf = presented.raw_public_key or presented.chain[0]
    for scheme in accepted:
        if scheme == signed.algorithm:
            break
    else:
        raise ProtocolError(
            f"the peer signed with a scheme ({signed.algorithm:#06x}) that was not offered for it"
        )
    try:
        possible = schemes_for(leaf)
    except MALFORMED as error:
        raise unsupported_key(leaf) from error
    check_rsa_work(leaf)  # the signature is checked before the key is trusted
    if scheme not in possible:
        raise ProtocolError(f"the key in the peer's certificate cannot sign {scheme.name}")
    try:
        verify(scheme, leaf, signed.signature, content)
    except InvalidSignature:
        raise ProtocolError(
            "the peer does not hold the key of its certificate: its signature is wrong",
            AlertDescription.decrypt_error,
        ) from None
    return PeerIdentity(presented.chain, presented.raw_public_key, scheme)


def unsupported_key(leaf: x509.Certificate | RawPublicKey) -> CertificateError:
    """Return the error for a key that the library cannot read."""
    return CertificateError(
        "the key in the peer's certificate is of an unsupported kind",
        AlertDescription.unsupported_certificate,
        certificate=certificate_of(leaf),
    )


def verify_peer(
    hs: Handshake,
    config: ClientParameters | ServerParameters,
    certificate: Certificate | None,
    presented: Presented,
    server_name: str | None,
    verify: Callable[[datetime.datetime], tuple[x509.Certificate, ...]],
    *,
    for_public_name: bool = False,
) -> Steps[None]:
    """Verify a peer that holds its key: with the built-in rules, then with the hooks.

    Args:
        certificate: what ``presented`` was parsed from; None where it is that of an earlier
            connection, which this one resumes.
        verify: the built-in verification; returns the verified path.
        for_public_name: whether ``server_name`` is the public name of ECH.
    """
    now = config.clock()
    path: tuple[x509.Certificate, ...] = ()
    error = None
    try:
        path = verify(now)
    except CertificateError as refusal:
        if not config.verify_replaces_builtin:
            raise
        error = refusal
    if not config.verifiers:
        return
    extensions: Extensions = certificate.certificate_list[0].extensions if certificate else {}
    status = extensions.get(ExtensionType.status_request)
    ocsp_response = None if status is None else decode_certificate_status(status)
    timestamps = extensions.get(ExtensionType.signed_certificate_timestamp)
    peer = Peer(
        presented.chain,
        server_name,
        ocsp_response,
        path,
        error,
        now,
        resumed=certificate is None,
        timestamps=() if timestamps is None else decode_timestamps(timestamps),
        for_public_name=for_public_name,
        raw_public_key=presented.raw_public_key,
    )
    for verifier in config.verifiers:
        yield from hs.ask(VerificationWanted(peer, verifier))


def expect_finished(hs: Handshake, expected: bytes) -> Steps[None]:
    """Read the Finished of the peer, and check its verify_data (RFC 9846 4.5.3)."""
    finished = yield from hs.expect(Finished)
    if len(finished.verify_data) != len(expected):
        raise wrong_finished_length(len(finished.verify_data))
    if not hmac.compare_digest(finished.verify_data, expected):
        raise ProtocolError(
            "the peer's Finished is wrong: it saw another handshake than we did",
            AlertDescription.decrypt_error,
        )
