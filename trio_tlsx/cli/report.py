"""The result of a handshake, as text and as JSON."""

from __future__ import annotations

from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from rich.console import Console
from rich.text import Text

from ..pki.certificates import MALFORMED
from ..pki.describe import kind_of, printable
from ..pki.distinguished_names import issuer_name
from ..pki.identity import Identity
from ..pki.negotiated import Negotiated

__all__ = ["Facts", "certificate_facts", "connection_facts", "print_facts"]

Fact: TypeAlias = str | bool | list[str] | None

#: Facts by their names in JSON.
Facts: TypeAlias = dict[str, Fact]

LABEL_WIDTH = 16

#: The labels of the facts in text.
LABELS = {
    "server_name": "server name",
    "version": "version",
    "cipher_suite": "cipher suite",
    "group": "key exchange",
    "signature_scheme": "signature",
    "alpn_protocol": "ALPN",
    "resumed": "resumed",
    "verified": "verified",
    "early_data_accepted": "0-RTT accepted",
    "subject": "subject",
    "issuer": "issuer",
    "names": "names",
    "not_before": "not before",
    "not_after": "not after",
    "public_key": "public key",
    "sha256": "SHA-256",
}


def connection_facts(negotiated: Negotiated, *, verified: bool) -> Facts:
    """Return the facts of a connection, without the certificates."""
    return {
        "server_name": negotiated.server_name,
        "version": negotiated.version,
        "cipher_suite": negotiated.cipher_suite,
        "group": negotiated.group,
        "signature_scheme": negotiated.signature_scheme,
        "alpn_protocol": negotiated.alpn_protocol,
        "resumed": negotiated.resumed,
        "verified": verified,
    }


def certificate_facts(certificate: x509.Certificate) -> Facts:
    """Return the facts of a certificate."""
    identity = Identity.of(certificate)
    return {
        "subject": identity.subject,
        "issuer": issuer_name(certificate).text,
        "names": [*identity.dns_names, *map(str, identity.ip_addresses)],
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "public_key": public_key(certificate),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
    }


def public_key(certificate: x509.Certificate) -> str:
    """Return the type and size of the public key, such as ``RSA, 2048 bits``."""
    try:
        key = certificate.public_key()
    except MALFORMED:
        return "of an unknown kind"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA, {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA, {key.curve.name}"
    return kind_of(key)


def print_facts(console: Console, facts: Facts) -> None:
    """Print aligned lines. Values may come from the peer, so control characters are escaped."""
    for name, value in facts.items():
        label = (f"  {LABELS[name]:{LABEL_WIDTH}}", "dim")
        console.print(Text.assemble(label, printable(_in_words(value))), soft_wrap=True)


def _in_words(fact: Fact) -> str:
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    if isinstance(fact, list):
        fact = ", ".join(fact)
    return fact or "none"
