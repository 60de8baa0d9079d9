"""The steps that both roles of a TLS 1.2 handshake share (RFC 5246 7)."""

from __future__ import annotations

import hmac

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ..config.client import ClientParameters
from ..config.server import ServerParameters
from ..crypto.cipher_suites12 import CipherSuite12
from ..crypto.exporter12 import Exporter12
from ..crypto.key_schedule12 import DirectionKeys, MasterSecret
from ..crypto.signatures12 import schemes_for_12, verify_12
from ..errors import AlertDescription, CertificateError, NegotiationError, ProtocolError
from ..messages.extensions import Extensions, ExtensionType, decode_uint16
from ..messages.handshake import Certificate, CertificateEntry, Finished
from ..messages.handshake12 import Certificate12
from ..pki.certificates import MALFORMED
from ..pki.rsa_keys import check_rsa_work
from ..record.protection import MAX_PLAINTEXT_LENGTH, MIN_RECORD_SIZE_LIMIT
from ..record.protection12 import Opener12, Sealer12
from .authentication import PeerIdentity
from .steps import Handshake, Steps

__all__ = [
    "apply_max_fragment_length",
    "apply_record_size_limit",
    "begin",
    "certificate_with",
    "check_extended_master_secret",
    "check_signature",
    "expect_change_of_keys",
    "expect_finished",
    "exporter_of",
    "make_master_secret",
    "send_finished",
]


def begin(hs: Handshake) -> None:
    """Receive records by the rules of TLS 1.2 from now on: the version is negotiated."""
    hs.incoming.accept_change_cipher_spec = False
    hs.incoming.plaintext_limit = MAX_PLAINTEXT_LENGTH


def apply_record_size_limit(hs: Handshake, ours: int, theirs: bytes) -> None:
    """Limit the records of both directions; they have no content type to count (RFC 8449 4)."""
    limit = decode_uint16(theirs, "record_size_limit")
    if limit < MIN_RECORD_SIZE_LIMIT:
        raise ProtocolError(f"the peer takes only records of {limit} bytes")
    hs.outgoing.fragment_length = min(limit, hs.outgoing.fragment_length)
    hs.incoming.plaintext_limit = min(ours, MAX_PLAINTEXT_LENGTH)


def apply_max_fragment_length(hs: Handshake, length: int) -> None:
    """Limit the records of both directions to ``length`` bytes of content (RFC 6066 4)."""
    hs.outgoing.fragment_length = min(length, hs.outgoing.fragment_length)
    hs.incoming.plaintext_limit = length


def check_extended_master_secret(
    config: ClientParameters | ServerParameters, extensions: Extensions
) -> bool:
    """Return whether the peer has the extended master secret (RFC 7627 5.2, 5.3)."""
    has_it = ExtensionType.extended_master_secret in extensions
    if config.tls12.require_extended_master_secret and not has_it:
        raise NegotiationError(
            "this peer has no extended master secret, and require_extended_master_secret is set"
        )
    return has_it


def certificate_with(certificate: Certificate12, extensions: Extensions) -> Certificate:
    """Return the chain in the form of TLS 1.3, where the leaf carries its extensions."""
    entries = [CertificateEntry(der, {}) for der in certificate.certificate_list]
    if entries:
        entries[0] = CertificateEntry(entries[0].cert_data, extensions)
    return Certificate(b"", tuple(entries))


def check_signature(
    config: ClientParameters | ServerParameters,
    chain: tuple[x509.Certificate, ...],
    algorithm: int,
    signature: bytes,
    content: bytes,
) -> PeerIdentity:
    """Check the signature that proves that the peer holds the key of ``chain[0]``.

    Raises:
        ProtocolError: ``illegal_parameter``, the scheme was not offered or does not fit the key;
            ``decrypt_error``, the signature is wrong.
    """
    leaf = chain[0]
    scheme = next((s for s in config.tls12.scheme_table if s == algorithm), None)
    if scheme is None:
        raise ProtocolError(
            f"the peer signed with a scheme ({algorithm:#06x}) that was not offered for it"
        )
    try:
        possible = schemes_for_12(leaf)
    except MALFORMED as error:
        raise CertificateError(
            "the key in the peer's certificate is of an unsupported kind",
            AlertDescription.unsupported_certificate,
            certificate=leaf,
        ) from error
    check_rsa_work(leaf)  # the signature is checked before the key is trusted
    if scheme not in possible:
        raise ProtocolError(f"the key in the peer's certificate cannot sign {scheme.name}")
    try:
        verify_12(scheme, leaf, signature, content)
    except InvalidSignature:
        raise ProtocolError(
            "the peer does not hold the key of its certificate: its signature is wrong",
            AlertDescription.decrypt_error,
        ) from None
    return PeerIdentity(chain, scheme)


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


def expect_finished(hs: Handshake, expected: bytes) -> Steps[None]:
    """Read the Finished of the peer and verify it (RFC 5246 7.4.9)."""
    finished = yield from hs.expect(Finished)
    if len(finished.verify_data) != len(expected):
        raise ProtocolError(
            f"the peer's Finished has {len(finished.verify_data)} bytes, not {len(expected)}",
            AlertDescription.decode_error,
        )
    if not hmac.compare_digest(finished.verify_data, expected):
        raise ProtocolError(
            "the peer's Finished is wrong: it saw another handshake than we did",
            AlertDescription.decrypt_error,
        )


def exporter_of(secret: MasterSecret, tls_unique: bytes, *, extended: bool) -> Exporter12:
    """Return the exporter of the connection; without an extended master secret it refuses."""
    return Exporter12(secret, tls_unique) if extended else Exporter12(None, None)
