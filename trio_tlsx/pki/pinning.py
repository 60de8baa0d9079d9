"""Public key pinning (RFC 7469 2.4)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable

from cryptography import x509

from ..arguments import STR, Expected, check, instance_of, sequence_of
from ..errors import AlertDescription, CertificateError, ConfigError
from .describe import subject_of
from .peer import Peer
from .structure import encode_sequence, read_structure

__all__ = ["pin_spki", "spki_pin"]

PREFIX = "sha256//"
DIGEST_LENGTH = 32

PINS = Expected(sequence_of(STR), "each pin as an argument of its own, as spki_pin() returns it")
PINNED = Expected(instance_of(x509.Certificate), "an x509.Certificate of cryptography")


def spki_pin(certificate: x509.Certificate) -> str:
    """Return the pin of a certificate's public key, in curl's form: ``"sha256//"`` and base64.

    Raises:
        ConfigError: ``certificate`` has the wrong type.
    """
    check("certificate", certificate, PINNED)
    return PREFIX + base64.b64encode(_digest(certificate)).decode("ascii")


def pin_spki(*pins: str) -> Callable[[Peer], None]:
    """A ``verify`` hook that refuses peers without one of these public keys.

    Any certificate of the verified path may have it, the peer's own or a CA's. Where nothing was
    verified (``insecure_skip_verification``), only the peer's own counts. The server of the public
    name of ECH needs none of the keys.

    Args:
        pins: as :func:`spki_pin` returns them: ``"sha256//"`` and the base64 of the SHA-256 of the
            public key. Pass a second one, for the key that comes next.

    Raises:
        ConfigError: there is no pin, or one has the wrong type or form.
    """
    check("pins", pins, PINS)
    wanted = frozenset(map(_decode, pins))
    if not wanted:
        raise ConfigError("pin_spki() needs a pin: without one it rejects every peer")

    def verify(peer: Peer) -> None:
        if peer.for_public_name:
            return  # RFC 9849 6.1.7: the pins are of the name that the client did not disclose
        # Without a path, anybody's CA certificate could stand beside the peer's own.
        path = peer.path or peer.certificates[:1]
        if wanted.isdisjoint(map(_digest, path)):
            leaf = peer.certificates[0]
            raise CertificateError(
                f"the public key of {subject_of(leaf)} is not a pinned one (it is "
                f"{spki_pin(leaf)}), nor is that of a CA above it",
                AlertDescription.certificate_unknown,
                certificate=leaf,
            )

    return verify


def _digest(certificate: x509.Certificate) -> bytes:
    # As the certificate has it: keys of kinds that ``cryptography`` does not know have a pin, too.
    spki = encode_sequence(read_structure(certificate).public_key.data)
    return hashlib.sha256(spki).digest()


def _decode(pin: str) -> bytes:
    try:
        digest = base64.b64decode(pin.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        digest = b""
    if not pin.startswith(PREFIX) or len(digest) != DIGEST_LENGTH:
        raise ConfigError(
            f"{pin!r} is no pin: it is 'sha256//' and the base64 of {DIGEST_LENGTH} bytes"
        )
    return digest
