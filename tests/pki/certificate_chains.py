"""Certificate chains for the tests of verification: valid ones, and ones with a single fault."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from trio_tlsx.errors import AlertDescription, CertificateError
from trio_tlsx.pki.trust import TrustStore
from trio_tlsx.testing import CA
from trio_tlsx.verification.verify import verify_client, verify_server

DATA = Path(__file__).parents[1] / "data" / "certificates"


DAY = datetime.timedelta(days=1)


NOW = datetime.datetime(2030, 6, 1, 12, 0, 0, 250_000, tzinfo=datetime.UTC)


DATES: dict[str, Any] = {"not_before": NOW - 10 * DAY, "not_after": NOW + 10 * DAY}


SERVER_AUTH, CLIENT_AUTH = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


ANY_USAGE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


A = AlertDescription


Chain = Sequence[x509.Certificate]


Extension = tuple[x509.ExtensionType, bool]


def ca(name: str = "root", **options: Any) -> CA:
    return CA(name, **{**DATES, **options})


def below(above: CA, name: str = "intermediate", **options: Any) -> CA:
    return above.intermediate(name, **{**DATES, **options})


def issue(issuer: CA, *names: str, **options: Any) -> tuple[x509.Certificate, ...]:
    """The chain of a new certificate, for ``a.example`` if no name is given."""
    arguments = {**DATES, **options}
    names = names or ("a.example",)
    return issuer.issue(*names, **arguments).chain


def fixture(name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((DATA / f"{name}.pem").read_bytes())


def store(*certificates: x509.Certificate) -> TrustStore:
    return TrustStore.from_certificates(certificates)


def key_usage(base: x509.KeyUsage, **bits: bool) -> Extension:
    values = {
        name: getattr(base, name)
        for name in (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
        )
    }
    usage = x509.KeyUsage(**{**values, **bits}, encipher_only=False, decipher_only=False)
    return usage, True


def refused(
    alert: AlertDescription, sentence: str, about: x509.Certificate | None
) -> pytest.RaisesExc[CertificateError]:
    def check(error: CertificateError) -> bool:
        assert error.alert is alert
        assert error.certificate == about
        assert error.refused_by == "us"
        assert "\n" not in str(error)
        return True

    return pytest.raises(CertificateError, match=sentence, check=check)


MLDSA = ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"]


def assert_server_accepted(
    chain: Chain, name: str, trust: TrustStore, at: datetime.datetime = NOW
) -> None:
    """The server's chain is accepted, by a path from the leaf with a trusted certificate."""
    path = verify_server(chain, name, trust, at)
    assert path[0] == chain[0]
    assert not set(path).isdisjoint(trust.certificates)


def assert_client_accepted(chain: Chain, trust: TrustStore, at: datetime.datetime = NOW) -> None:
    """The client's chain is accepted, by a path from the leaf with a trusted certificate."""
    path = verify_client(chain, trust, at)
    assert path[0] == chain[0]
    assert not set(path).isdisjoint(trust.certificates)


def as_server(chain: Chain, trust: TrustStore) -> None:
    verify_server(chain, "a.example", trust, NOW)


def as_client(chain: Chain, trust: TrustStore) -> None:
    verify_client(chain, trust, NOW)


def builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )


def self_issued(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    return (
        builder("ring", "ring", key).add_extension(constraints, critical=True).sign(key, SHA256())
    )


def signed_by(root: CA, *extensions: Extension) -> x509.Certificate:
    assert isinstance(root.private_key, ec.EllipticCurvePrivateKey)
    unsigned = builder("leaf", "root", ec.generate_private_key(ec.SECP256R1()))
    for extension, critical in extensions:
        unsigned = unsigned.add_extension(extension, critical)
    return unsigned.sign(root.private_key, SHA256())
