"""Check and sort the certificate chain of this side."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cryptography import x509

from ..clock import utc_now
from ..crypto.signatures import KeyHolder, PrivateKey, SignatureScheme
from ..errors import ConfigError
from .certificates import MALFORMED, extension_of
from .describe import date, issuer_of, subject_of
from .distinguished_names import issuer_name, subject_name
from .issuance import is_signed_by
from .public_keys import RawPublicKey, label_of

__all__ = ["check_dates", "check_key_usage", "check_schemes", "dns_names_of", "fits", "in_order"]

logger: logging.Logger = logging.getLogger("trio_tlsx")


def fits(key: PrivateKey, certificate: KeyHolder) -> bool:
    """Return whether this is the key of the certificate."""
    try:
        return key.public_key() == certificate.public_key()
    except MALFORMED:  # a certificate for a key of an unknown kind
        return False


def in_order(
    leaf: x509.Certificate, others: Sequence[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """Sort the chain: the leaf, then each certificate after one that it issued (4.5.1)."""
    ordered = [leaf]
    waiting = [other for other in dict.fromkeys(others) if other != leaf]
    for child in ordered:  # grows as issuers are found
        issuer = issuer_name(child).canonical
        issuers = [other for other in waiting if subject_name(other).canonical == issuer]
        # A signature that cannot be checked here may still be one that the peer can check.
        signers = [other for other in issuers if is_signed_by(child, other) is not False]
        if issuers and not signers:
            raise ConfigError(
                f"the certificate of {subject_of(child)} was not signed with the key of "
                f"{subject_of(issuers[0])} in the chain, though it names that as its issuer: "
                "pass the issuer's certificate that was in use when it was signed"
            )
        ordered += signers
        waiting = [other for other in waiting if other not in signers]
    if waiting:
        raise ConfigError(
            f"the certificate of {subject_of(waiting[0])} does not belong to the chain of "
            f"{subject_of(leaf)}: it issued none of its certificates; leave it out, or add the "
            f"one that is missing between them ({issuer_of(ordered[-1])})"
        )
    return tuple(ordered)


def check_schemes(
    leaf: x509.Certificate | RawPublicKey,
    usable: Sequence[SignatureScheme],
    offered: Sequence[SignatureScheme],
) -> None:
    """Check that a signer can sign with the key of this side.

    Args:
        leaf: what has the key.
        usable: the schemes of the key.
        offered: the schemes of the signer.
    """
    if not usable:
        raise ConfigError(
            f"TLS 1.3 has no signature scheme for the key of {label_of(leaf)}: create one for "
            "P-256, P-384, P-521, Ed25519, Ed448, RSA or ML-DSA"
        )
    if not set(usable) & set(offered):
        raise ConfigError(
            f"the signer offers {', '.join(s.name for s in offered) or 'no scheme'}, but "
            f"the key of {label_of(leaf)} needs one of {', '.join(s.name for s in usable)}"
        )


def check_key_usage(leaf: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    """Check that the key of this side's certificate may sign a handshake."""
    # RFC 9846 4.5.1.2: every peer that follows the RFC rejects such a certificate.
    if usage and not usage.digital_signature:
        raise ConfigError(
            f"the key usage of the certificate of {subject_of(leaf)} does not allow "
            "digitalSignature, without which TLS 1.3 cannot use it: have it issued with that"
        )


def dns_names_of(leaf: x509.Certificate) -> frozenset[str]:
    """Return the DNS names in lower case."""
    san = extension_of(leaf, x509.SubjectAlternativeName)
    names = san.get_values_for_type(x509.DNSName) if san else ()
    return frozenset(name.lower().removesuffix(".") for name in names)


def check_dates(chain: Sequence[x509.Certificate]) -> None:
    """Warn of certificates that are not valid now."""
    # A warning, not an error: a server must be able to start so that a certificate can be
    # renewed through it (ACME), its other names may be fine, and this clock may be wrong. The
    # peer verifies the dates in any case.
    now = utc_now()
    for certificate in chain:
        if now > certificate.not_valid_after_utc:
            fault = f"expired on {date(certificate.not_valid_after_utc)}"
        elif now < certificate.not_valid_before_utc:
            fault = f"is not valid before {date(certificate.not_valid_before_utc)}"
        else:
            continue
        logger.warning(
            "credentials: the certificate of %s %s (it is %s now): peers will reject it",
            subject_of(certificate),
            fault,
            date(now),
        )
