"""The sources of a trust store: files, directories, memory and the platform."""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trio_tlsx.errors import ConfigError
from trio_tlsx.pki.distinguished_names import subject_name
from trio_tlsx.pki.trust import TrustStore, load_platform
from trio_tlsx.testing import CA

BROKEN = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def test_trust_store_from_pem() -> None:
    one, two = CA("one"), CA("two")
    trust = TrustStore.from_pem(b"one:\n" + one.pem + b"two:\r\n" + two.pem + one.pem)
    assert trust.certificates == (one.certificate, two.certificate)
    assert len(trust) == 2
    assert one.certificate in trust
    assert CA("three").certificate not in trust
    assert trust.with_subject(subject_name(two.certificate).canonical) == [two.certificate]
    assert repr(trust) == "<TrustStore of 2 certificates>"


@pytest.mark.parametrize(
    ("pem", "sentence"),
    [
        (b"", "the trust store holds no certificate in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\n", "the trust store holds no certificate in PEM"),
        (b"\x30\x82\x01", "the trust store is in DER, not in PEM: convert it"),
        (BROKEN, "certificate 1 of the trust store is broken"),
        (CA().pem + BROKEN, "certificate 2 of the trust store is broken"),
    ],
)
def test_trust_store_from_malformed_pem(pem: bytes, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        TrustStore.from_pem(pem)


def test_trust_store_without_certificates() -> None:
    with pytest.raises(ConfigError, match="the trust store is empty"):
        TrustStore.from_certificates([])


def test_trust_store_from_a_file(tmp_path: Path) -> None:
    authority = CA()
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.pem)
    assert authority.certificate in TrustStore.from_pem_file(file)
    assert authority.certificate in TrustStore.from_pem_file(str(file))
    with pytest.raises(ConfigError, match=r"cannot read '.*nothing.pem': No such file"):
        TrustStore.from_pem_file(tmp_path / "nothing.pem")
    with pytest.raises(ConfigError, match=r"cannot read '.*': Is a directory"):
        TrustStore.from_pem_file(tmp_path)
    file.write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"'.*ca.pem' holds no certificate in PEM"):
        TrustStore.from_pem_file(file)


def test_trust_store_from_a_directory(tmp_path: Path) -> None:
    one, two = CA("one"), CA("two")
    (tmp_path / "one.pem").write_bytes(one.pem)
    (tmp_path / "two.crt").write_bytes(two.pem)
    (tmp_path / "README").write_text("no certificate")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "three.pem").write_bytes(CA("three").pem)
    assert TrustStore.from_directory(tmp_path).certificates == (one.certificate, two.certificate)

    (tmp_path / "broken.pem").write_bytes(BROKEN)
    with pytest.raises(ConfigError, match=r"certificate 1 of '.*broken.pem' is broken"):
        TrustStore.from_directory(tmp_path)
    with pytest.raises(ConfigError, match=r"no file in '.*' holds a certificate in PEM"):
        TrustStore.from_directory(empty(tmp_path))
    with pytest.raises(ConfigError, match=r"cannot read '.*nowhere': No such file"):
        TrustStore.from_directory(tmp_path / "nowhere")


def empty(tmp_path: Path) -> Path:
    directory = tmp_path / "empty"
    directory.mkdir(exist_ok=True)
    return directory


# The platform's


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder where OpenSSL is made to look by default: for cert.pem, and in certs/."""
    paths = ssl.get_default_verify_paths()._replace(
        openssl_cafile=str(tmp_path / "cert.pem"), openssl_capath=str(tmp_path / "certs")
    )
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


def test_platform_trust_default_file_and_directory(elsewhere: Path) -> None:
    one, two = CA("one"), CA("two")
    (elsewhere / "cert.pem").write_bytes(one.pem)
    (elsewhere / "certs").mkdir()
    (elsewhere / "certs" / "0a1b2c3d.0").write_bytes(two.pem)
    # OpenSSL would not find this one either.
    (elsewhere / "certs" / "stray.pem").write_bytes(CA("three").pem)
    assert load_platform().certificates == (one.certificate, two.certificate)


def test_platform_trust_skips_unreadable_certificates(elsewhere: Path) -> None:
    authority = CA()
    (elsewhere / "cert.pem").write_bytes(BROKEN + authority.pem + BROKEN)
    assert load_platform().certificates == (authority.certificate,)


def test_blocks_of_the_platform_that_are_not_read_are_logged(
    elsewhere: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trusted = BROKEN.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE")
    (elsewhere / "cert.pem").write_bytes(trusted + CA().pem + trusted)
    assert len(load_platform()) == 1
    [record] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.getMessage().endswith("has blocks that are not read: TRUSTED CERTIFICATE")


def test_platform_trust_from_environment_variables(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default, one, two = CA("default"), CA("one"), CA("two")
    (elsewhere / "cert.pem").write_bytes(default.pem)
    (elsewhere / "mine.pem").write_bytes(one.pem)
    (elsewhere / "a").mkdir()
    (elsewhere / "a" / "0a1b2c3d.1").write_bytes(two.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(elsewhere / "mine.pem"))
    assert load_platform().certificates == (one.certificate,)
    both = os.pathsep.join([str(elsewhere / "none"), str(elsewhere / "a")])
    monkeypatch.setenv("SSL_CERT_DIR", both)
    assert load_platform().certificates == (one.certificate, two.certificate)


def test_platform_trust_without_certificates(elsewhere: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"no certificate in '.*cert.pem' and '.*certs'; install"
    ):
        load_platform()


def test_platform_trust_uses_certifi_on_macos_only(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    authority = CA()
    (elsewhere / "certifi.pem").write_bytes(authority.pem)
    certifi = SimpleNamespace(where=lambda: str(elsewhere / "certifi.pem"))
    monkeypatch.setitem(sys.modules, "certifi", certifi)
    assert load_platform().certificates == (authority.certificate,)

    # A typing error in the variable must not bring back CAs that it was to exclude.
    monkeypatch.setenv("SSL_CERT_FILE", str(elsewhere / "mistyped.pem"))
    with pytest.raises(ConfigError, match=r"no certificate in '.*mistyped.pem'"):
        load_platform()


def test_platform_trust_on_macos_without_certifi(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "certifi", None)
    with pytest.raises(ConfigError, match="nor is the package certifi installed"):
        load_platform()


def test_platform_trust_on_windows(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for_all, for_servers, for_mail, bundle = (
        CA(name) for name in ("all", "servers", "mail", "p7")
    )

    def entry(ca: CA, encoding: str, purposes: set[str] | bool) -> tuple[bytes, str, object]:
        return ca.certificate.public_bytes(Encoding.DER), encoding, purposes

    def enum_certificates(store: str) -> list[tuple[bytes, str, object]]:
        assert store == "ROOT"
        return [
            entry(for_all, "x509_asn", True),
            entry(for_servers, "x509_asn", {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.4"}),
            entry(for_mail, "x509_asn", {"1.3.6.1.5.5.7.3.4"}),
            entry(bundle, "pkcs_7_asn", True),
            (b"\x30\x00", "x509_asn", True),
        ]

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ssl, "enum_certificates", enum_certificates, raising=False)
    assert load_platform().certificates == (for_all.certificate, for_servers.certificate)


def test_platform_trust_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        first = TrustStore.platform()
    except ConfigError:
        pytest.fail("no CA certificates on this machine; install them (Debian: ca-certificates)")
    assert TrustStore.platform() is first
    assert all(isinstance(certificate, x509.Certificate) for certificate in first.certificates)
