"""Credentials: their sources, and the errors of their constructors."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, x25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from trio_tlsx.crypto import signatures
from trio_tlsx.crypto.signatures import PrivateKey, SignatureScheme
from trio_tlsx.errors import ConfigError
from trio_tlsx.pki.credentials import Credentials, PrivateKeySigner
from trio_tlsx.testing import CA, credentials_to_pem, write_pem_files

ROOT = CA("root")
BETWEEN = ROOT.intermediate("between")
LOWER = BETWEEN.intermediate("lower")
ISSUED = LOWER.issue("a.example")
LEAF = ISSUED.chain[0]
KEY_TYPES = ["P-256", "P-384", "P-521", "ed25519", "ed448", "RSA-2048", "ML-DSA-44", "ML-DSA-87"]
DAY = datetime.timedelta(days=1)


def key_of(credentials: Credentials) -> PrivateKey:
    assert isinstance(credentials.signer, PrivateKeySigner)
    return credentials.signer.private_key


KEY: ec.EllipticCurvePrivateKey = key_of(ISSUED)  # pyright: ignore[reportAssignmentType]


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def key_octets(
    encoding: Encoding, form: PrivateFormat, password: bytes | None = None, key: PrivateKey = KEY
) -> bytes:
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(encoding, form, protection)


KEY_PEM = key_octets(Encoding.PEM, PrivateFormat.PKCS8)
KEY_DER = key_octets(Encoding.DER, PrivateFormat.PKCS8)


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_credentials_of_each_key_type_sign(key_type: str) -> None:
    credentials = ROOT.issue("a.example", key_type=key_type)
    credentials = Credentials.from_pem(*credentials_to_pem(credentials))
    leaf = credentials.chain[0]
    assert credentials.signer.schemes == signatures.schemes_for(leaf) != ()
    for scheme in credentials.signer.schemes:
        signature = credentials.signer.sign(scheme, b"message")
        assert isinstance(signature, bytes)
        signatures.verify(scheme, leaf, signature, b"message")


def test_credentials_chain_and_its_encoding() -> None:
    assert ISSUED.chain == (LEAF, LOWER.certificate, BETWEEN.certificate)
    assert ISSUED.der_chain == tuple(c.public_bytes(Encoding.DER) for c in ISSUED.chain)


def test_credentials_from_files(tmp_path: Path) -> None:
    cert, key = write_pem_files(ISSUED, tmp_path)
    for credentials in (
        Credentials.from_pem_files(cert, key),
        Credentials.from_pem_files(str(cert), str(key)),
    ):
        assert credentials.chain == ISSUED.chain
    together = tmp_path / "both.pem"
    together.write_bytes(key.read_bytes() + cert.read_bytes())
    assert Credentials.from_pem_files(together, together).chain == ISSUED.chain
    with pytest.raises(ConfigError, match=r"cannot read '.*none.pem': No such file"):
        Credentials.from_pem_files(tmp_path / "none.pem", key)
    with pytest.raises(ConfigError, match=r"cannot read '.*none.pem': No such file"):
        Credentials.from_pem_files(cert, tmp_path / "none.pem")


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("password", [None, "secret", b"secret"])
def test_private_key_formats(form: PrivateFormat, password: str | bytes | None) -> None:
    octets = password.encode() if isinstance(password, str) else password
    key_pem = key_octets(Encoding.PEM, form, octets)
    assert Credentials.from_pem(pem(*ISSUED.chain), key_pem, password).chain == ISSUED.chain


def test_private_key_behind_openssl_bag_attributes() -> None:
    # "openssl ecparam -genkey" writes the curve first, "openssl pkcs12" attributes.
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    key_pem = parameters + b"Bag Attributes\n" + KEY_PEM
    assert Credentials.from_pem(pem(LEAF, *ISSUED.chain[1:]), key_pem).chain == ISSUED.chain


def test_credentials_from_der() -> None:
    credentials = Credentials.from_der(ISSUED.der_chain, KEY_DER)
    assert credentials.chain == ISSUED.chain
    encrypted = key_octets(Encoding.DER, PrivateFormat.PKCS8, b"secret")
    assert Credentials.from_der(ISSUED.der_chain, encrypted, "secret").chain == ISSUED.chain


@pytest.mark.parametrize("password", [None, "secret"])
def test_credentials_from_pkcs12(password: str | None) -> None:
    protection = BestAvailableEncryption(b"secret") if password else NoEncryption()
    data = pkcs12.serialize_key_and_certificates(
        b"name", KEY, LEAF, [BETWEEN.certificate, LOWER.certificate], protection
    )
    assert Credentials.from_pkcs12(data, password).chain == ISSUED.chain
    with pytest.raises(ConfigError, match="not PKCS#12, or the wrong password"):
        Credentials.from_pkcs12(data, "wrong")


def test_pkcs12_without_key_or_certificate_is_rejected() -> None:
    def octets(key: ec.EllipticCurvePrivateKey | None, leaf: x509.Certificate | None) -> bytes:
        others = [BETWEEN.certificate] if leaf is None else None
        return pkcs12.serialize_key_and_certificates(b"", key, leaf, others, NoEncryption())

    with pytest.raises(ConfigError, match="holds no private key"):
        Credentials.from_pkcs12(octets(None, None))
    with pytest.raises(ConfigError, match=r"does not match any of these .*'CN=between'"):
        Credentials.from_pkcs12(octets(KEY, None))
    with pytest.raises(ConfigError, match="not PKCS#12"):
        Credentials.from_pkcs12(b"nothing")


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        (None, "the private key is encrypted: pass its password"),
        ("wrong", "the private key cannot be read with this password"),
    ],
)
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_private_key_passwords(form: PrivateFormat, password: str | None, sentence: str) -> None:
    key_pem = key_octets(Encoding.PEM, form, b"secret")
    with pytest.raises(ConfigError, match=sentence) as caught:
        Credentials.from_pem(pem(*ISSUED.chain), key_pem, password)
    assert "wrong" not in str(caught.value)


def test_unneeded_password_is_ignored() -> None:
    assert Credentials.from_pem(pem(*ISSUED.chain), KEY_PEM, "secret").chain == ISSUED.chain


@pytest.mark.parametrize(
    ("cert_pem", "key_pem", "sentence"),
    [
        (b"", KEY_PEM, "the certificate chain holds no certificate in PEM"),
        (KEY_PEM, KEY_PEM, "the certificate chain holds no certificate in PEM"),
        (ISSUED.der_chain[0], KEY_PEM, "the certificate chain is in DER, not in PEM"),
        (pem(LEAF)[:200] + pem(LEAF)[300:], KEY_PEM, "certificate 1 of .* is broken"),
        (pem(LEAF), b"", "key_pem holds no private key in PEM"),
        (pem(LEAF), pem(LEAF), "key_pem holds no private key in PEM"),
        (pem(LEAF), KEY_PEM[:60] + KEY_PEM[90:], "the private key cannot be read"),
    ],
)
def test_malformed_pem_is_rejected(cert_pem: bytes, key_pem: bytes, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Credentials.from_pem(cert_pem, key_pem)


def test_malformed_der_is_rejected() -> None:
    with pytest.raises(ConfigError, match="a certificate of the chain is not DER"):
        Credentials.from_der([pem(LEAF)], KEY_DER)
    with pytest.raises(ConfigError, match="the private key cannot be read"):
        Credentials.from_der(ISSUED.der_chain, KEY_PEM)
    with pytest.raises(ConfigError, match="the certificate chain is empty"):
        Credentials.from_der([], KEY_DER)


def test_error_names_the_files_of_a_key_that_does_not_match(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(pem(*ISSUED.chain))
    other = key_of(ROOT.issue("a.example"))
    key.write_bytes(key_octets(Encoding.PEM, PrivateFormat.PKCS8, key=other))
    with pytest.raises(ConfigError, match=r"\('.*cert\.pem' and '.*key\.pem'\); pass the key"):
        Credentials.from_pem_files(cert, key)


def test_private_key_of_another_certificate_is_rejected() -> None:
    other = key_of(ROOT.issue("a.example"))
    other_pem = key_octets(Encoding.PEM, PrivateFormat.PKCS8, key=other)
    with pytest.raises(ConfigError, match=r"does not match any of these certificates: 'CN=a.exam"):
        Credentials.from_pem(pem(*ISSUED.chain), other_pem)
    with pytest.raises(ConfigError, match=r"does not match the certificate of 'CN=a.example'"):
        PrivateKeySigner(other, LEAF)


@pytest.mark.parametrize(
    "make", [x25519.X25519PrivateKey.generate, lambda: dsa.generate_private_key(1024)]
)
def test_key_types_without_tls_signatures_are_rejected(
    make: Callable[[], x25519.X25519PrivateKey],
) -> None:
    key_pem = make().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ConfigError, match="TLS cannot use a key of type"):
        Credentials.from_pem(pem(*ISSUED.chain), key_pem)


def signed_by_hand(key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> bytes:
    """A self-signed certificate, in DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "by hand")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime.now(datetime.UTC) - DAY)
        .not_valid_after(datetime.datetime.now(datetime.UTC) + DAY)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


def test_curve_without_tls_signatures_is_rejected() -> None:
    key = ec.generate_private_key(ec.SECP256K1())
    key_der = key_octets(Encoding.DER, PrivateFormat.PKCS8, key=key)
    with pytest.raises(ConfigError, match="no signature scheme for the key of 'CN=by hand'"):
        Credentials.from_der([signed_by_hand(key)], key_der)


def test_key_usage_without_digital_signature_is_rejected() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(False, False, True, False, False, False, False, False, False)
    key_der = key_octets(Encoding.DER, PrivateFormat.PKCS8, key=key)
    with pytest.raises(ConfigError, match="'CN=by hand' does not allow digitalSignature"):
        Credentials.from_der([signed_by_hand(key, usage)], key_der)


# Order


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 0, 2), (1, 2, 0), (0, 2, 1), (0, 1, 2, 2, 0)])
def test_chain_is_put_in_order(order: Sequence[int]) -> None:
    shuffled = [ISSUED.chain[index] for index in order]
    assert Credentials.from_pem(pem(*shuffled), KEY_PEM).chain == ISSUED.chain


def test_root_at_the_end_of_the_chain_is_kept() -> None:
    credentials = Credentials.from_pem(pem(ROOT.certificate, *ISSUED.chain), KEY_PEM)
    assert credentials.chain == (*ISSUED.chain, ROOT.certificate)


def test_leaf_alone_is_a_chain() -> None:
    assert Credentials.from_pem(pem(LEAF), KEY_PEM).chain == (LEAF,)


def test_cross_signed_issuers_are_kept() -> None:
    twins = [CA(name).intermediate("twin", key_type="RSA-2048") for name in ("old", "new")]
    leaf = twins[0].issue("a.example")
    chain = [leaf.chain[0], *(twin.certificate for twin in twins)]
    assert Credentials(chain, leaf.signer).chain == tuple(chain)


def test_certificate_outside_the_chain_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"'CN=stray' does not belong to the chain of 'CN=a.exa"):
        Credentials.from_pem(pem(*ISSUED.chain, CA("stray").certificate), KEY_PEM)


def test_gap_in_the_chain_is_rejected() -> None:
    gap = pem(LEAF, BETWEEN.certificate)
    with pytest.raises(ConfigError, match=r"add the one that is missing between them .'CN=lower'"):
        Credentials.from_pem(gap, KEY_PEM)


def test_issuer_of_the_same_name_with_another_key_is_rejected() -> None:
    remade = BETWEEN.intermediate("lower").certificate
    with pytest.raises(ConfigError, match="was not signed with the key of 'CN=lower'"):
        Credentials.from_pem(pem(LEAF, remade), KEY_PEM)


# Signers elsewhere


class Remote:
    """A signer without a key in this process."""

    def __init__(self, *schemes: SignatureScheme) -> None:
        self.schemes = schemes

    async def sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        raise NotImplementedError


def test_credentials_with_a_remote_signer() -> None:
    signer = Remote(SignatureScheme.ecdsa_secp256r1_sha256)
    credentials = Credentials([LEAF, BETWEEN.certificate, LOWER.certificate], signer)
    assert credentials.signer is signer
    assert credentials.chain == ISSUED.chain


@pytest.mark.parametrize("schemes", [(), (SignatureScheme.ed25519,)])
def test_signer_without_a_scheme_for_the_leaf_is_rejected(
    schemes: Sequence[SignatureScheme],
) -> None:
    with pytest.raises(
        ConfigError, match=r"the signer offers .* needs one of ecdsa_secp256r1_sha"
    ):
        Credentials(ISSUED.chain, Remote(*schemes))


def test_empty_chain_is_rejected() -> None:
    with pytest.raises(ConfigError, match="the certificate chain is empty"):
        Credentials([], Remote(SignatureScheme.ed25519))


# What is shown and what is not


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_private_key_is_in_no_repr(key_type: str) -> None:
    credentials = ROOT.issue("a.example", key_type=key_type)
    shown = repr(credentials)
    assert "CN=a.example" in shown
    assert credentials.signer.schemes[0].name in shown
    assert len(shown) < 200


@pytest.mark.parametrize(
    ("not_before", "not_after", "fault"),
    [(-9 * DAY, -DAY, "expired on"), (DAY, 9 * DAY, "is not valid before")],
)
def test_expired_credentials_log_a_warning(
    not_before: datetime.timedelta,
    not_after: datetime.timedelta,
    fault: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = datetime.datetime.now(datetime.UTC)
    ROOT.issue("a.example", not_before=now + not_before, not_after=now + not_after)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("trio_tlsx", logging.WARNING)
    assert f"the certificate of 'CN=a.example' {fault}" in record.getMessage()


def test_valid_credentials_log_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    ROOT.issue("a.example")
    assert caplog.records == []
