"""Every block of a PEM file is loaded, skipped because it is harmless, or an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_tlsx import Credentials, TrustStore
from trio_tlsx.errors import ConfigError
from trio_tlsx.pki.pem import ADVICE, pem_blocks
from trio_tlsx.testing import CA, credentials_to_pem

ca = CA()
cert_pem, key_pem = credentials_to_pem(ca.issue("a.example"))
TEXT = b"Bag Attributes\r\n    friendlyName: a\nsubject=CN = a\n\n"


def block(label: str) -> bytes:
    return f"-----BEGIN {label}-----\nMAMCAQA=\n-----END {label}-----\n".encode()


KEYS = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]
PARAMETERS = ["DH PARAMETERS", "X9.42 DH PARAMETERS", "EC PARAMETERS"]


@pytest.mark.parametrize("label", [*KEYS, *PARAMETERS])
def test_pem_blocks_accepted_beside_certificates(label: str) -> None:
    pem = TEXT + block(label) + ca.pem + TEXT + block(label)
    assert TrustStore.from_pem(pem).certificates == (ca.certificate,)
    Credentials.from_pem(block(label) + cert_pem + block(label), key_pem)


@pytest.mark.parametrize(
    "label", ["CERTIFICATE", "TRUSTED CERTIFICATE", "CERTIFICATE REQUEST", *PARAMETERS]
)
def test_pem_blocks_accepted_beside_a_private_key(label: str) -> None:
    credentials = Credentials.from_pem(cert_pem, TEXT + block(label) + key_pem + block(label))
    assert credentials_to_pem(credentials) == (cert_pem, key_pem)


def test_one_file_for_both() -> None:
    credentials = Credentials.from_pem(TEXT + key_pem + cert_pem, TEXT + key_pem + cert_pem)
    assert credentials_to_pem(credentials) == (cert_pem, key_pem)


OTHERS = ["TRUSTED CERTIFICATE", "X509 CRL", "PUBLIC KEY", "CERTIFICATE REQUEST", "PKCS7", "CMS"]


@pytest.mark.parametrize("label", [*OTHERS, "NEW CERTIFICATE REQUEST", "CERTIFIKATE", "A-B C"])
def test_pem_blocks_rejected_by_name(label: str, tmp_path: Path) -> None:
    advice = ADVICE.get(label, "remove it from the file")
    for pem, number in ((block(label), 1), (ca.pem + block(label) + ca.pem, 2)):
        sentence = f"^block {number} of the trust store is a '{label}': {advice}$"
        with pytest.raises(ConfigError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
            TrustStore.from_pem(pem)
        (tmp_path / "ca.pem").write_bytes(pem)
        with pytest.raises(ConfigError, match=f"block {number} of '.*ca.pem' is a '{label}'"):
            TrustStore.from_pem_file(tmp_path / "ca.pem")
    with pytest.raises(ConfigError, match=f"block 2 of the certificate chain is a '{label}'"):
        Credentials.from_pem(cert_pem + block(label), key_pem)


@pytest.mark.parametrize("label", ["X509 CRL", "PUBLIC KEY", "CERTIFIKATE"])
def test_pem_blocks_rejected_by_name_beside_a_private_key(label: str) -> None:
    with pytest.raises(ConfigError, match=f"block 2 of key_pem is a '{label}'"):
        Credentials.from_pem(cert_pem, key_pem + block(label))


def test_pem_with_two_private_keys_is_rejected() -> None:
    sentence = "block 3 of key_pem, 'EC PRIVATE KEY', is a second private key beside block 1"
    with pytest.raises(ConfigError, match=sentence):
        Credentials.from_pem(cert_pem, key_pem + cert_pem + block("EC PRIVATE KEY"))


def test_blocks_that_are_cut_short() -> None:
    half = cert_pem[: len(cert_pem) // 2]
    for pem in (half, half + block("X509 CRL"), half + key_pem):
        with pytest.raises(ConfigError, match="certificate 1 of the trust store is cut short"):
            TrustStore.from_pem(pem)
    with pytest.raises(ConfigError, match=r"block 1 of key_pem is cut short: .*END PRIVATE KEY"):
        Credentials.from_pem(cert_pem, key_pem[: len(key_pem) // 2])


def test_pem_label_in_an_error_stays_on_one_line() -> None:
    with pytest.raises(ConfigError, match="block 1 of") as caught:
        TrustStore.from_pem(b"-----BEGIN \x1b[31m\xff-----\n")
    assert str(caught.value).isprintable()


def test_text_in_another_encoding() -> None:
    with pytest.raises(ConfigError, match="is UTF-16 text, not PEM: save it as UTF-8"):
        TrustStore.from_pem(ca.pem.decode().encode("utf-16"))
    TrustStore.from_pem(b"\xef\xbb\xbf" + ca.pem.replace(b"\n", b"\r\n"))


def test_pem_path_of_a_directory(tmp_path: Path) -> None:
    """Files without certificates are skipped; one with certificates of another form is named."""
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    (tmp_path / "key.pem").write_bytes(key_pem)
    (tmp_path / "crl.pem").write_bytes(block("X509 CRL"))
    assert TrustStore.from_directory(tmp_path).certificates == (ca.certificate,)
    (tmp_path / "trusted.pem").write_bytes(block("TRUSTED CERTIFICATE"))
    with pytest.raises(ConfigError, match=r"trusted\.pem' is a 'TRUSTED CERTIFICATE'"):
        TrustStore.from_directory(tmp_path)


def test_the_numbers_of_blocks() -> None:
    pem = block("A") + b"-----BEGIN B-----\n" + block("C")
    assert [(b.number, b.label, b.pem is None) for b in pem_blocks(pem)] == [
        (1, "A", False),
        (2, "B", True),
        (3, "C", False),
    ]
