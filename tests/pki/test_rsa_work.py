"""Limits on the RSA keys of certificates, which bound the time of a signature check."""

from __future__ import annotations

import datetime
import functools
import math
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from engine_pairs import connections, failure_of, shake_hands

from trio_tlsx import ClientConfig, Credentials, ServerConfig, TrustStore
from trio_tlsx.errors import AlertDescription, CertificateError
from trio_tlsx.pki.credentials import PrivateKeySigner
from trio_tlsx.pki.issuance import is_signed_by
from trio_tlsx.pki.rsa_keys import MAX_EXPONENT_BITS, check_rsa_work
from trio_tlsx.testing import CA, LEAF_KEY_USAGE
from trio_tlsx.verification.verify import verify_client, verify_server

NOW = datetime.datetime(2030, 6, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
NAME = "a.example"
FAULT = f"an RSA public exponent of 34 bits; at most {MAX_EXPONENT_BITS} are accepted"


@functools.cache
def key_with_exponent(bits: int) -> rsa.RSAPrivateKey:
    """An RSA key whose public exponent has this many bits."""
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    p, q = numbers.p, numbers.q
    totient = (p - 1) * (q - 1)
    exponent = (1 << (bits - 1)) + 1
    while math.gcd(exponent, totient) != 1:
        exponent += 2
    d = pow(exponent, -1, totient)
    public = rsa.RSAPublicNumbers(exponent, p * q)
    exponents = d % (p - 1), d % (q - 1), pow(q, -1, p)
    return rsa.RSAPrivateNumbers(p, q, d, *exponents, public).private_key()


def certificate(
    subject: str,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """A CA's certificate, or a leaf's where the two names differ."""
    names = [
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
        for text in (subject, issuer)
    ]
    san = x509.SubjectAlternativeName([x509.DNSName(NAME)])
    constraints = x509.BasicConstraints(ca=subject == issuer, path_length=None)
    return (
        x509.CertificateBuilder(names[1], names[0], key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(constraints, critical=True)
        .add_extension(san, critical=False)
        .sign(issuer_key, SHA256())
    )


@pytest.mark.parametrize("bits", [MAX_EXPONENT_BITS, MAX_EXPONENT_BITS + 1])
def test_the_exponent_of_a_ca(bits: int) -> None:
    key = key_with_exponent(bits)
    root = certificate("root", key, "root", key)
    chain = [certificate("leaf", ec.generate_private_key(ec.SECP256R1()), "root", key)]
    trust = TrustStore.from_certificates([root])
    for sent in (chain, [*chain, root]):
        if bits <= MAX_EXPONENT_BITS:
            verify_server(sent, NAME, trust, NOW)
            verify_client(sent, trust, NOW)
            continue
        with pytest.raises(CertificateError, match=FAULT) as refusal:
            verify_server(sent, NAME, trust, NOW)
        assert refusal.value.certificate == root
        assert refusal.value.alert is AlertDescription.bad_certificate


def test_no_signature_is_checked_with_a_large_exponent() -> None:
    large = key_with_exponent(MAX_EXPONENT_BITS + 1)
    root = certificate("root", large, "root", large)
    leaf = certificate("leaf", ec.generate_private_key(ec.SECP256R1()), "root", large)
    assert is_signed_by(leaf, root) is None


@pytest.mark.parametrize("from_client", [False, True])
def test_the_exponent_of_a_leaf(from_client: bool) -> None:
    """CertificateVerify comes before the chain is verified, and may come without that."""
    ca = CA()
    assert isinstance(ca.private_key, ec.EllipticCurvePrivateKey)
    key = key_with_exponent(MAX_EXPONENT_BITS + 1)
    issuer = ca.certificate.subject.rfc4514_string().removeprefix("CN=")
    leaf = certificate("leaf", key, issuer, ca.private_key)
    odd = Credentials([leaf], PrivateKeySigner(key, leaf))
    client = ClientConfig(insecure_skip_verification=True)
    server = ServerConfig(credentials=odd)
    if from_client:
        client = replace(client, credentials=odd)
        server = ServerConfig(
            credentials=ca.issue(NAME), client_auth="required", client_trust=ca.trust
        )
    error = failure_of(lambda: shake_hands(*connections(client, server)))
    assert error.alert is AlertDescription.bad_certificate
    assert FAULT in str(error)


def test_the_length_of_a_modulus() -> None:
    # Any odd number will do: nobody signs with it.
    public = rsa.RSAPublicNumbers(65537, (1 << 8199) + 1).public_key()
    ca = CA()
    leaf = (
        x509.CertificateBuilder(ca.certificate.subject, ca.certificate.subject, public)
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW)
        .add_extension(LEAF_KEY_USAGE, critical=True)
        .sign(ca.private_key, SHA256())
    )
    with pytest.raises(CertificateError, match="8200 bits; at most 8192 are accepted"):
        check_rsa_work(leaf)
