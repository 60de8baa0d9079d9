"""The steps that both roles of a TLS 1.2 handshake share (RFC 5246 7)."""

from __future__ import annotations

from ..config.client import ClientParameters
from ..config.server import ServerParameters
from ..crypto.cipher_suites12 import CipherSuite12
from ..crypto.exporter12 import Exporter12
from ..crypto.key_schedule12 import DirectionKeys, MasterSecret
from ..crypto.signatures import verify
from ..crypto.signatures12 import schemes_for_12
from ..errors import NegotiationError
from ..messages.extensions import Extensions, ExtensionType
from ..messages.handshake import Certificate, CertificateEntry, CertificateVerify, Finished
from ..messages.handshake12 import Certificate12, RawCertificate12, ServerKeyExchange
from ..pki.public_keys import Presented
from ..record.protection import MAX_PLAINTEXT_LENGTH, ContentType
from ..record.protection12 import Opener12, Sealer12
from ..record.receive import unexpected_record
from . import authentication
from .authentication import PeerIdentity
from .steps import Handshake, Steps

__all__ = [
    "begin",
    "certificate_with",
    "check_extended_master_secret",
    "check_signature",
    "expect_change_of_keys",
    "expect_raw_certificate",
    "exporter_of",
    "make_master_secret",
    "send_finished",
]


def begin(hs: Handshake) -> None:
    """Receive records by the rules of TLS 1.2 from now on: the version is negotiated.

    Raises:
        ProtocolError: the peer sent change_cipher_spec before its hello, which only TLS 1.3
            ignores (RFC 9846 5, RFC 5246 7.1).
    """
    if hs.incoming.empty_records:
        raise unexpected_record(ContentType.change_cipher_spec)
    hs.incoming.accept_change_cipher_spec = False
    hs.incoming.plaintext_limit = MAX_PLAINTEXT_LENGTH


def check_extended_master_secret(
    config: ClientParameters | ServerParameters, extensions: Extensions
) -> bool:
    """Return whether the peer supports the extended master secret (RFC 7627 5.2, 5.3)."""
    has_it = ExtensionType.extended_master_secret in extensions
    if config.tls12.require_extended_master_secret and not has_it:
        raise NegotiationError(
            "this peer has no extended master secret, and require_extended_master_secret is set"
        )
    return has_it


def expect_raw_certificate(hs: Handshake) -> Steps[Certificate12]:
    """Read Certificate with a raw public key, which is not in a list there (RFC 7250 3)."""
    message = yield from hs.expect(RawCertificate12)
    return Certificate12((message.public_key,) if message.public_key else ())


def certificate_with(certificate: Certificate12, extensions: Extensions) -> Certificate:
    """Return the chain in the form of TLS 1.3, where the leaf carries its extensions."""
    entries = [CertificateEntry(der, {}) for der in certificate.certificate_list]
    if entries:
        entries[0] = CertificateEntry(entries[0].cert_data, extensions)
    return Certificate(b"", tuple(entries))


def check_signature(
    config: ClientParameters | ServerParameters,
    presented: Presented,
    signed: CertificateVerify | ServerKeyExchange,
    content: bytes,
) -> PeerIdentity:
    """Check the signature that proves that the peer holds the key that it presented."""
    return authentication.check_signature(
        presented, config.tls12.scheme_table, signed, content, schemes_for_12, verify
    )


def make_master_secret(
    hs: Handshake,
    suite: CipherSuite12,
    premaster_secret: bytes,
    randoms: tuple[bytes, bytes],
    *,
    extended: bool,
) -> MasterSecret:
    """Derive the master secret, with the ClientKeyExchange as the last message so far."""
    session_hash = hs.transcript.digest_by(suite) if extended else None
    secret = MasterSecret.derive(suite, premaster_secret, randoms, session_hash)
    secret.log(hs.key_log)
    return secret


def send_finished(
    hs: Handshake, suite: CipherSuite12, keys: DirectionKeys, verify_data: bytes
) -> None:
    """Change the sending keys, and send Finished."""
    hs.outgoing.change_cipher_spec()
    hs.protect_outgoing(Sealer12(suite, keys))
    hs.send(Finished(verify_data))
    hs.outgoing.finished = True


def expect_change_of_keys(hs: Handshake, suite: CipherSuite12, keys: DirectionKeys) -> None:
    """Expect the peer's change_cipher_spec next, and its Finished after that."""
    hs.expect_change_cipher_spec(Opener12(suite, keys))


def exporter_of(secret: MasterSecret, tls_unique: bytes, *, extended: bool) -> Exporter12:
    """Return the exporter of the connection; without an extended master secret it raises."""
    return Exporter12(secret, tls_unique) if extended else Exporter12(None, None)
