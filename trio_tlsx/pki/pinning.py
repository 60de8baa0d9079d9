"""Public key pinning (RFC 7469 2.4)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cryptography import x509

from ..arguments import STR, Expected, check, instance_of, sequence_of
from ..errors import AlertDescription, CertificateError, ConfigError
from .peer import Peer
from .public_keys import RawPublicKey, certificate_of, decode_pin, owner_of, pin_of, spki_of

__all__ = ["pin_spki", "spki_pin"]

PINS = Expected(sequence_of(STR), "each pin as an argument of its own, as spki_pin() returns it")
PINNED = Expected(
    instance_of(x509.Certificate, RawPublicKey),
    "an x509.Certificate of cryptography, or a RawPublicKey",
)


def spki_pin(certificate: x509.Certificate | RawPublicKey) -> str:
    """Return the pin of a public key, in curl's form: ``"sha256//"`` and base64.

    Args:
        certificate: the certificate that has the key, or the key as a :class:`RawPublicKey`.

    Raises:
        ConfigError: ``certificate`` has the wrong type.
    """
    check("certificate", certificate, PINNED)
    return pin_of(spki_of(certificate))


def pin_spki(*pins: str) -> Callable[[Peer], None]:
    """A ``verify`` hook that refuses peers without one of these public keys.

    Any certificate of the verified path may have it, the peer's own or a CA's. Where nothing was
    verified (``insecure_skip_verification``), only the peer's own counts, as for a raw public key.
    The server of the public name of ECH needs none of the keys.

    Args:
        pins: as :func:`spki_pin` returns them: ``"sha256//"`` and the base64 of the SHA-256 of the
            public key. Pass a second one, for the key that comes next.

    Raises:
        ConfigError: there is no pin, or one has the wrong type or form.
    """
    check("pins", pins, PINS)
    wanted = frozenset(map(decode_pin, pins))
    if not wanted:
        raise ConfigError("pin_spki() needs a pin: without one it rejects every peer")

    def verify(peer: Peer) -> None:
        if peer.for_public_name:
            return  # RFC 9849 6.1.7: the pins are of the name that the client did not disclose
        # Without a path, anybody's CA certificate could stand beside the peer's own.
        leaf = peer.raw_public_key or peer.certificates[0]
        if wanted.isdisjoint(map(_digest, peer.path or (leaf,))):
            raise CertificateError(
                f"{owner_of(leaf)} does not have a pinned public key (it has {spki_pin(leaf)}), "
                "nor does a CA above it",
                AlertDescription.certificate_unknown,
                certificate=certificate_of(leaf),
            )

    return verify


def _digest(certificate: x509.Certificate | RawPublicKey) -> bytes:
    return hashlib.sha256(spki_of(certificate)).digest()
