"""PEM files (RFC 7468): every block is used, is known to be harmless, or is an error.

A block that is silently left out changes what a program does: a CA that is not trusted, a
revocation list that is not applied. So there are three kinds of blocks:

- those that were asked for: certificates, or a private key;
- those that often lie beside them and have no effect on TLS: a private key beside certificates,
  certificates beside a private key, parameters of a group. Text between blocks is one of them;
- all others, such as ``TRUSTED CERTIFICATE``, ``X509 CRL`` and ``CERTIFICATE REQUEST``: they raise
  ConfigError with the kind of the block and its number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from cryptography import x509

from ..arguments import BYTES, Expected, check
from ..errors import ConfigError
from .certificates import MALFORMED

__all__ = ["Block", "find_private_key", "has_certificates", "load_certificates", "pem_blocks"]

BEGIN = re.compile(rb"-----BEGIN ([^\r\n-]+(?:-[^\r\n-]+)*)-----")

CERTIFICATES = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
TRUSTED = "TRUSTED CERTIFICATE"
BUNDLES = frozenset({"PKCS7", "PKCS #7 SIGNED DATA", "CMS"})

#: Parameters that other servers read from the file of their certificate.
PARAMETERS = frozenset({"DH PARAMETERS", "X9.42 DH PARAMETERS", "EC PARAMETERS"})
REQUESTS = frozenset({"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"})

PRIVATE_KEY = "PRIVATE KEY"

ADVICE = {
    TRUSTED: "it has OpenSSL's own settings of trust, which are not read here: convert it with "
    "'openssl x509', which writes a plain certificate",
    "X509 CRL": "a revocation list has no effect here: give it to check_crl, in another file",
    "PUBLIC KEY": "a public key has no effect here: to trust one, use pin_spki, or "
    "TrustStore.from_public_keys if the peer has no certificate",
    **dict.fromkeys(REQUESTS, "a request is not a certificate: ask the CA for the certificate"),
    **dict.fromkeys(BUNDLES, "convert it with 'openssl pkcs7 -print_certs'"),
}
LEAVE_OUT = "remove it from the file"

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
DER_SEQUENCE = b"\x30"


class Block(NamedTuple):
    """One block of a PEM file.

    Attributes:
        number: its place among the blocks of the file, from 1 on.
        label: what stands behind ``BEGIN``.
        pem: the block, from ``BEGIN`` to ``END``; None if the end is missing.
    """

    number: int
    label: str
    pem: bytes | None

    @property
    def is_private_key(self) -> bool:
        """Whether this is a private key, encrypted or not, in any format."""
        return self.label.endswith(PRIVATE_KEY)


def pem_blocks(pem: bytes) -> Iterator[Block]:
    """Iterate over the blocks, without the text around them (RFC 7468 2)."""
    position, number = 0, 0
    while begin := BEGIN.search(pem, position):
        number += 1
        label = begin[1].decode("ascii", "backslashreplace")
        closing = b"-----END " + begin[1] + b"-----"
        following = BEGIN.search(pem, begin.end())
        end = pem.find(closing, begin.end(), following.start() if following else len(pem))
        cut = end < 0
        position = begin.end() if cut else end + len(closing)
        yield Block(number, label, None if cut else pem[begin.start() : position])


def has_certificates(pem: bytes) -> bool:
    """Return whether there are certificates, be it in a form that is not read here."""
    return any(block.label in CERTIFICATES | BUNDLES | {TRUSTED} for block in pem_blocks(pem))


def load_certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    """Load all the certificates; private keys and parameters beside them are left alone.

    Args:
        pem: the certificates, with text around them.
        what: names the PEM's origin in errors.

    Raises:
        ConfigError: there is none, one cannot be parsed, or there is a block of another kind.
    """
    check("pem", pem, Expected(BYTES, "PEM as bytes, such as text.encode()"))
    certificates: list[x509.Certificate] = []
    for block in pem_blocks(pem):
        if block.label in CERTIFICATES:
            certificates.append(_load_certificate(block, len(certificates) + 1, what))
        elif not (block.is_private_key or block.label in PARAMETERS):
            raise _out_of_place(block, what)
    if certificates:
        return certificates
    if pem.startswith(DER_SEQUENCE):
        raise ConfigError(
            f"{what} is in DER, not in PEM: convert it with 'openssl x509 -inform der'"
        )
    if pem.startswith(UTF_16):
        raise ConfigError(f"{what} is UTF-16 text, not PEM: save it as UTF-8 or ASCII")
    raise ConfigError(f"{what} holds no certificate in PEM (no '-----BEGIN CERTIFICATE-----')")


def find_private_key(pem: bytes, what: str) -> bytes:
    """Return the block of the private key; certificates, requests and parameters are left alone.

    Args:
        pem: the private key, with whatever stands around it.
        what: names the PEM's origin in errors.

    Raises:
        ConfigError: there is none, there are two, or there is a block of another kind.
    """
    found: Block | None = None
    beside = CERTIFICATES | PARAMETERS | REQUESTS | {TRUSTED}
    for block in pem_blocks(pem):
        if not block.is_private_key:
            if block.label not in beside:
                raise _out_of_place(block, what)
        elif found is not None:
            raise ConfigError(
                f"block {block.number} of {what}, '{block.label}', is a second private key beside "
                f"block {found.number}: leave the one of the certificate"
            )
        else:
            found = block
    if found is None:
        raise ConfigError(
            f"{what} holds no private key in PEM (no '-----BEGIN ... PRIVATE KEY-----')"
        )
    if found.pem is None:
        raise ConfigError(
            f"block {found.number} of {what} is cut short: it has no '-----END {found.label}-----'"
        )
    return found.pem


def _load_certificate(block: Block, number: int, what: str) -> x509.Certificate:
    if block.pem is None:
        raise ConfigError(
            f"certificate {number} of {what} is cut short: it has no '-----END {block.label}-----'"
        )
    try:
        return x509.load_pem_x509_certificate(block.pem)
    except MALFORMED as error:
        raise ConfigError(f"certificate {number} of {what} is broken: {error}") from error


def _out_of_place(block: Block, what: str) -> ConfigError:
    # The label may be anything: repr() keeps it in one line.
    advice = ADVICE.get(block.label, LEAVE_OUT)
    return ConfigError(f"block {block.number} of {what} is a {block.label!r}: {advice}")
