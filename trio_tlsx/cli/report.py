"""The result of a handshake, as text and as JSON."""

from __future__ import annotations

import textwrap
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from rich.console import Console
from rich.text import Text

from ..pki.certificates import MALFORMED
from ..pki.describe import kind_of, one_line, printable
from ..pki.distinguished_names import issuer_name
from ..pki.identity import Identity
from ..pki.negotiated import Negotiated

__all__ = ["Facts", "certificate_facts", "connection_facts", "print_facts", "print_heading"]

Fact: TypeAlias = str | bool | list[str] | None

#: Facts by their names in JSON.
Facts: TypeAlias = dict[str, Fact]

#: With two spaces before a label, a fingerprint in SHA-256 fits into 80 columns.
LABEL_WIDTH = 14
INDENT = 2

#: The labels of the facts in text.
LABELS = {
    "server_name": "server name",
    "ech_accepted": "name hidden",
    "version": "version",
    "cipher_suite": "cipher suite",
    "group": "key exchange",
    "signature_scheme": "signature",
    "alpn_protocol": "ALPN",
    "resumed": "resumed",
    "verified": "verified",
    "early_data_accepted": "early data",
    "versions": "versions",
    "groups": "key exchange",
    "post_quantum": "post-quantum",
    "handshake": "handshake",
    "valid_until": "valid until",
    "ocsp": "OCSP",
    "resumption": "resumption",
    "early_data": "early data",
    "subject": "subject",
    "issuer": "issuer",
    "names": "names",
    "not_before": "not before",
    "not_after": "not after",
    "public_key": "public key",
    "raw_public_key": "raw key",
    "sha256": "SHA-256",
}


def connection_facts(negotiated: Negotiated, *, verified: bool) -> Facts:
    """Return the facts of a connection, without the certificates."""
    facts: Facts = {
        "server_name": negotiated.server_name,
        "ech_accepted": negotiated.ech_accepted,
        "version": negotiated.version,
        "cipher_suite": negotiated.cipher_suite,
        "group": negotiated.group,
        "signature_scheme": negotiated.signature_scheme,
        "alpn_protocol": negotiated.alpn_protocol,
        "resumed": negotiated.resumed,
        "verified": verified,
    }
    if negotiated.peer_raw_public_key is not None:
        facts["raw_public_key"] = negotiated.peer_raw_public_key.pin
    return facts


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


def print_heading(console: Console, text: str) -> None:
    """Print a line in bold; it is wrapped only on a terminal."""
    _print(console, Text(one_line(text), style="bold"))


def print_facts(console: Console, facts: Facts) -> None:
    """Print aligned lines; values are wrapped only on a terminal.

    Values may come from the peer, so control characters are escaped.
    """
    width = console.width - LABEL_WIDTH - INDENT
    for name, value in facts.items():
        label = Text(f"{'':{INDENT}}{LABELS[name]:{LABEL_WIDTH}}", "dim")
        text = printable(_in_words(value))
        if console.is_terminal and width > 0:
            lines = textwrap.wrap(text, width, break_on_hyphens=False) or [""]
            text = f"\n{'':{INDENT + LABEL_WIDTH}}".join(lines)
        console.print(label + Text(text), soft_wrap=True)


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=not console.is_terminal)


def _in_words(fact: Fact) -> str:
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    if isinstance(fact, list):
        fact = ", ".join(fact)
    return fact or "none"
