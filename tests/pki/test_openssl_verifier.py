"""The verifier of OpenSSL: the chains that only it accepts, its rejections and its errors."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio
from certificate_chains import fixture, key_usage
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from odd_certificates import (
    PRINTABLE_STRING,
    UTF8_STRING,
    common_name,
    generalized_validity,
    remade,
    serial_number,
)
from test_rsa_work import certificate, key_with_exponent

from trio_tlsx import ClientConfig, ServerConfig, TrustStore
from trio_tlsx.errors import AlertDescription, CertificateError, ConfigError
from trio_tlsx.pki import openssl_store
from trio_tlsx.pki.openssl_store import OpenSSLRefusal, OpenSSLStore
from trio_tlsx.pki.rsa_keys import MAX_EXPONENT_BITS
from trio_tlsx.testing import CA, CA_KEY_USAGE, LEAF_KEY_USAGE, memory_tls_pair
from trio_tlsx.verification import openssl_verifier
from trio_tlsx.verification.policy import MAX_INTERMEDIATES, SERVER
from trio_tlsx.verification.verify import verify_server

HOST = "a.example"
DAY = datetime.timedelta(days=1)
NOW = datetime.datetime(2030, 6, 1, 12, tzinfo=datetime.UTC)
DATES: dict[str, Any] = {"not_before": NOW - 10 * DAY, "not_after": NOW + 10 * DAY}
A = AlertDescription

#: What the peer sends, and what is trusted.
Case: TypeAlias = tuple[list[x509.Certificate], x509.Certificate]


def verify(
    case: Case, verifier: Any = "openssl", name: str = HOST
) -> tuple[x509.Certificate, ...]:
    chain, trusted = case
    return verify_server(chain, name, TrustStore([trusted], verifier=verifier), NOW)


def ca(**options: Any) -> CA:
    return CA("Test CA", **{**DATES, **options})


def leaf(issuer: CA, **options: Any) -> x509.Certificate:
    return issuer.issue(HOST, **{**DATES, **options}).chain[0]


# What only OpenSSL accepts


def edwards(key_type: str) -> Case:
    root = ca(key_type=key_type)
    return [leaf(root)], root.certificate


def issuer_written(text: str, string_type: int = UTF8_STRING) -> Case:
    root = ca()
    issuer = common_name(text, string_type)
    return [remade(leaf(root), root.private_key, issuer=issuer)], root.certificate


def pss_with_salt(length: int) -> Case:
    root = ca(key_type="RSA-2048")
    assert isinstance(root.private_key, rsa.RSAPrivateKey)
    model = leaf(root)
    builder = x509.CertificateBuilder(
        model.issuer,
        model.subject,
        model.public_key(),
        model.serial_number,
        model.not_valid_before_utc,
        model.not_valid_after_utc,
        list(model.extensions),
    )
    pss = padding.PSS(padding.MGF1(SHA256()), length)
    return [builder.sign(root.private_key, SHA256(), rsa_padding=pss)], root.certificate


def numbered(serial: int, of_root: bool) -> Case:
    root = ca()
    own, trusted = leaf(root), root.certificate
    if of_root:
        return [own], remade(trusted, root.private_key, serial_number=serial_number(serial))
    return [remade(own, root.private_key, serial_number=serial_number(serial))], trusted


def generalized(of_root: bool) -> Case:
    root = ca()
    own, trusted = leaf(root), root.certificate
    if of_root:
        return [own], remade(trusted, root.private_key, validity=generalized_validity(trusted))
    return [remade(own, root.private_key, validity=generalized_validity(own))], trusted


POLICY = x509.CertificatePolicies(
    [x509.PolicyInformation(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), None)]
)
POINTS = x509.CRLDistributionPoints(
    [
        x509.DistributionPoint(
            [x509.UniformResourceIdentifier("http://crl.example/x.crl")], None, None, None
        )
    ]
)


def critical_in_leaf(extension: x509.ExtensionType) -> Case:
    root = ca()
    return [leaf(root, extensions=[(extension, True)])], root.certificate


def critical_in_ca(extension: x509.ExtensionType) -> Case:
    root = ca(extensions=[(extension, True)])
    return [leaf(root)], root.certificate


def directory_constraint() -> Case:
    base = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]))
    return critical_in_ca(x509.NameConstraints([base], None))


MORE: dict[str, Callable[[], Case]] = {
    "Ed25519 CA": lambda: edwards("ed25519"),
    "Ed448 CA": lambda: edwards("ed448"),
    "issuer as PrintableString": lambda: issuer_written("Test CA", PRINTABLE_STRING),
    "issuer in capitals": lambda: issuer_written("TEST CA"),
    "issuer with two spaces": lambda: issuer_written("Test  CA"),
    "PSS, longest salt": lambda: pss_with_salt(222),
    "PSS, salt of 20 octets": lambda: pss_with_salt(20),
    "serial number 0": lambda: numbered(0, of_root=False),
    "serial number 0 of the root": lambda: numbered(0, of_root=True),
    "negative serial number": lambda: numbered(-(2**120), of_root=False),
    "negative serial number of the root": lambda: numbered(-(2**120), of_root=True),
    "serial number of 26 octets": lambda: numbered(2**200, of_root=False),
    "serial number of 26 octets of the root": lambda: numbered(2**200, of_root=True),
    "GeneralizedTime": lambda: generalized(of_root=False),
    "GeneralizedTime of the root": lambda: generalized(of_root=True),
    "critical certificatePolicies": lambda: critical_in_leaf(POLICY),
    "critical certificatePolicies of the CA": lambda: critical_in_ca(POLICY),
    "critical policyConstraints": lambda: critical_in_ca(x509.PolicyConstraints(None, 0)),
    "critical inhibitAnyPolicy": lambda: critical_in_ca(x509.InhibitAnyPolicy(0)),
    "critical cRLDistributionPoints": lambda: critical_in_leaf(POINTS),
    "critical directoryName constraints": directory_constraint,
}
#: Those that the built-in verifier accepts as well, with the cryptography of today.
BOTH = {"serial number 0", "serial number 0 of the root"}


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("what", MORE)
def test_openssl_verifier_accepts_what_openssl_accepts(what: str) -> None:
    case = MORE[what]()
    path = verify(case)
    assert path == (*case[0], case[1])
    with pytest.raises(CertificateError, match=r"certificate is for 'a\.example', not 'b"):
        verify(case, name="b.example")
    if what in BOTH:
        verify(case, verifier="cryptography")
    else:
        with pytest.raises(CertificateError):
            verify(case, verifier="cryptography")


def test_openssl_verifier_returns_the_given_certificates() -> None:
    root = ca()
    middle = root.intermediate("middle", **DATES)
    chain = list(middle.issue(HOST, **DATES).chain)
    path = verify((chain, root.certificate))
    assert [id(certificate) for certificate in path] == list(map(id, [*chain, root.certificate]))


# Keys are checked before OpenSSL sees them


def dsa_signed() -> Case:
    key = dsa.generate_private_key(2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - DAY, NOW + DAY)
    root = builder.add_extension(constraints, critical=True).sign(key, SHA256())
    return [leaf(ca())], root


def short_key() -> Case:
    root = ca(key_type="RSA-1024")
    return [leaf(root)], root.certificate


def large_exponent() -> Case:
    key = key_with_exponent(MAX_EXPONENT_BITS + 1)
    own = certificate("leaf", ec.generate_private_key(ec.SECP256R1()), "Test CA", key)
    return [own], certificate("Test CA", key, "Test CA", key)


UNACCEPTABLE_KEYS = {
    "an RSA public exponent of 34 bits; at most 33": large_exponent,
    "an RSA key of 1024 bits; 2048 to 8192": short_key,
    "a DSA key; RSA, ECDSA, EdDSA and ML-DSA keys": dsa_signed,
}


@pytest.mark.parametrize("fault", UNACCEPTABLE_KEYS)
@pytest.mark.parametrize("trusted", [True, False])
def test_openssl_verifier_never_shows_unacceptable_keys_to_openssl(
    fault: str, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, root = UNACCEPTABLE_KEYS[fault]()
    seen: list[object] = []
    crypto: Any = openssl_store._pyopenssl()  # pyright: ignore[reportPrivateUsage]
    load = crypto.load_certificate

    def spy(kind: int, der: bytes) -> object:
        seen.append(der)
        return load(kind, der)

    monkeypatch.setattr(crypto, "load_certificate", spy)
    case = (chain, root) if trusted else ([*chain, root], ca().intermediate("x").certificate)
    with pytest.raises(CertificateError, match=f"'CN=Test CA' has {fault}") as caught:
        verify(case)
    assert caught.value.certificate == root
    assert caught.value.alert is A.bad_certificate
    assert root.public_bytes(openssl_store.Encoding.DER) not in seen


def test_the_public_exponent_of_a_ca() -> None:
    for bits, accepted in ((MAX_EXPONENT_BITS, True), (MAX_EXPONENT_BITS + 1, False)):
        key = key_with_exponent(bits)
        root = certificate("root", key, "root", key)
        own = certificate("leaf", ec.generate_private_key(ec.SECP256R1()), "root", key)
        at = root.not_valid_before_utc
        trust = TrustStore([root], verifier="openssl")
        for sent in ([own], [own, root]):
            if accepted:
                verify_server(sent, HOST, trust, at)
                continue
            with pytest.raises(CertificateError, match="an RSA public exponent of 34") as caught:
                verify_server(sent, HOST, trust, at)
            assert caught.value.certificate == root


def test_openssl_verifier_ignores_a_stray_with_an_unacceptable_key() -> None:
    root = ca()
    chain = [leaf(root), CA("stray", key_type="RSA-1024").certificate]
    assert verify((chain, root.certificate)) == (chain[0], root.certificate)


def test_openssl_verifier_rejects_an_unacceptable_leaf() -> None:
    root = ca()
    own = leaf(root, key_type="RSA-1024")
    with pytest.raises(CertificateError, match="has an RSA key of 1024 bits") as caught:
        verify(([own], root.certificate))
    assert caught.value.certificate == own


# What OpenSSL accepts, and this library does not


def test_openssl_verifier_with_a_ca_with_key_usage_alone() -> None:
    """OpenSSL takes keyCertSign for basicConstraints."""
    root = ca(without=[x509.BasicConstraints])
    with pytest.raises(CertificateError, match="not a CA's, for it lacks basicConstraints"):
        verify(([leaf(root)], root.certificate))


class CarelessStore(OpenSSLStore):
    """An OpenSSL that finds a path and checks nothing."""

    def __init__(self, path: Sequence[x509.Certificate]) -> None:
        super().__init__([path[-1]])
        self._path = tuple(path)

    def find_path(self, *_: Any, **__: Any) -> Any:
        return self._path


SERVER_AUTH, CLIENT_AUTH = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH

#: What OpenSSL does not check here, or not as strictly: each a path, and the refusal.
PATHS: dict[str, tuple[Callable[[], Sequence[x509.Certificate]], AlertDescription, str]] = {
    "dates": (
        lambda: path_of(leaf(ca(), not_after=NOW - DAY)),
        A.certificate_expired,
        "expired on 2030-05-31",
    ),
    "dates of a CA": (
        lambda: (leaf(ca()), CA("Test CA", not_before=NOW + DAY).certificate),
        A.certificate_expired,
        "is not valid before 2030-06-02",
    ),
    "extended key usage": (
        lambda: path_of(leaf(ca(), extended_key_usage=[CLIENT_AUTH])),
        A.unsupported_certificate,
        "lacks serverAuth",
    ),
    "subjectAltName": (
        lambda: path_of(leaf(ca(), without=[x509.SubjectAlternativeName])),
        A.bad_certificate,
        "names no host",
    ),
    "version": (lambda: path_of(fixture("version1_leaf")), A.unsupported_certificate, "version 1"),
    "key usage of a leaf": (
        lambda: path_of(CA(HOST, **DATES, extensions=[SAN, KEY_CERT_SIGN]).certificate),
        A.unsupported_certificate,
        "does not allow digitalSignature",
    ),
    "key usage of a CA": (
        lambda: (leaf(ca()), ca(extensions=[(LEAF_KEY_USAGE, True)]).certificate),
        A.unknown_ca,
        "does not allow keyCertSign",
    ),
    "basicConstraints": (
        lambda: (leaf(ca()), fixture("version1_root")),
        A.unknown_ca,
        "lacks basicConstraints",
    ),
    "hash": (lambda: path_of(fixture("sha1_leaf")), A.bad_certificate, "signed with SHA1"),
    "length of the path": (
        lambda: (leaf(ca()), *intermediates(MAX_INTERMEDIATES + 1), ca().certificate),
        A.unknown_ca,
        "over 9 intermediate CAs; 8 are accepted",
    ),
}
SAN = (x509.SubjectAlternativeName([x509.DNSName(HOST)]), False)
KEY_CERT_SIGN = (key_usage(CA_KEY_USAGE, digital_signature=False)[0], True)


def intermediates(count: int) -> list[x509.Certificate]:
    return [ca().intermediate(f"CA {number}", **DATES).certificate for number in range(count)]


def path_of(own: x509.Certificate) -> Sequence[x509.Certificate]:
    return own, ca().certificate


@pytest.mark.parametrize("what", PATHS)
def test_openssl_verifier_checks_beside_openssls(what: str) -> None:
    make, alert, sentence = PATHS[what]
    path = make()
    store = CarelessStore(path)
    with pytest.raises(CertificateError, match=sentence) as caught:
        openssl_verifier.find_path(path[:1], SERVER, store, path[-1:], NOW)
    assert caught.value.alert is alert
    assert caught.value.certificate in path


def test_openssl_verifier_rejection_without_a_fault_of_ours() -> None:
    path = path_of(leaf(ca()))
    store = CarelessStore(path)
    assert openssl_verifier.find_path(path[:1], SERVER, store, path[-1:], NOW) == path


# OpenSSL's numbers


class RefusingStore(OpenSSLStore):
    """OpenSSL, refusing with any number."""

    def __init__(self, code: int, certificate: x509.Certificate) -> None:
        super().__init__([certificate])
        self.refusal = OpenSSLRefusal(code, 1, certificate, "the words of OpenSSL")

    def find_path(self, *_: Any, **__: Any) -> Any:
        raise self.refusal


@pytest.mark.parametrize(
    ("code", "alert"),
    [
        (1, A.certificate_unknown),
        (6, A.bad_certificate),
        (13, A.bad_certificate),
        (14, A.bad_certificate),
        (22, A.unknown_ca),
        (24, A.unknown_ca),
        (53, A.certificate_unknown),
        # With a certificate in which nothing of the kind is wrong:
        (9, A.certificate_unknown),
        (10, A.certificate_unknown),
        (25, A.certificate_unknown),
        (34, A.certificate_unknown),
        (79, A.unknown_ca),
    ],
)
def test_any_other_refusal_is_in_openssls_words(code: int, alert: AlertDescription) -> None:
    root = ca()
    store = RefusingStore(code, root.certificate)
    sentence = rf"^OpenSSL rejects the certificate of 'CN=Test CA': the words .* \(error {code}\)$"
    with pytest.raises(CertificateError, match=sentence) as caught:
        openssl_verifier.find_path([leaf(root)], SERVER, store, [root.certificate], NOW)
    assert caught.value.alert is alert
    assert caught.value.certificate == root.certificate


def test_openssl_verifier_with_an_unknown_root_of_a_trusted_name() -> None:
    """A chain that is whole, under an unknown root that has a trusted one's name."""
    other, root = ca(without=[x509.SubjectKeyIdentifier]), ca(without=[x509.SubjectKeyIdentifier])
    own = leaf(other, without=[x509.AuthorityKeyIdentifier])
    for chain in ([own, other.certificate], [own]):
        with pytest.raises(CertificateError) as caught:
            verify((chain, root.certificate))
        whole = len(chain) == 2
        assert caught.value.alert is (A.unknown_ca if whole else A.bad_certificate)
        assert ("another CA than the trusted one" in str(caught.value)) is whole


def test_openssl_verifier_leaves_no_error_in_the_queue() -> None:
    """OpenSSL's queue of errors belongs to the thread, and others read it."""
    root, other = ca(), ca()
    own = leaf(other, without=[x509.AuthorityKeyIdentifier])
    with pytest.raises(CertificateError):
        verify(([own], root.certificate))
    crypto: Any = openssl_store._pyopenssl()  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(crypto.Error) as caught:
        crypto.load_certificate(crypto.FILETYPE_ASN1, b"")
    assert not any("signature" in str(entry) for entry in caught.value.args[0])


# Turning it on


def test_trust_stores(tmp_path: Path) -> None:
    root = ca()
    (tmp_path / "ca.pem").write_bytes(root.pem)
    stores = [
        TrustStore.from_pem(root.pem, verifier="openssl"),
        TrustStore.from_pem_file(tmp_path / "ca.pem", verifier="openssl"),
        TrustStore.from_directory(tmp_path, verifier="openssl"),
        TrustStore.from_certificates([root.certificate], verifier="openssl"),
    ]
    for store in stores:
        assert store.verifier == "openssl"
        assert repr(store) == "<TrustStore of 1 certificates, verified by OpenSSL>"
    platform = TrustStore.platform(verifier="openssl")
    assert platform is TrustStore.platform(verifier="openssl")
    assert platform.certificates == TrustStore.platform().certificates
    assert TrustStore.platform(verifier="cryptography") is TrustStore.platform()
    assert TrustStore.platform().verifier == "cryptography"


def test_unknown_verifier_raises() -> None:
    wrong: Any = "boring"
    with pytest.raises(ConfigError, match="'boring' is unknown: pass 'cryptography' or 'openssl'"):
        TrustStore([ca().certificate], verifier=wrong)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "OpenSSL.crypto", None)
    with pytest.raises(ConfigError, match=r"pip install 'trio-tlsx\[openssl\]'"):
        TrustStore([ca().certificate], verifier="openssl")


async def test_handshake_with_the_openssl_verifier() -> None:
    root = CA(key_type="ed25519")
    trust = TrustStore([root.certificate], verifier="openssl")
    own = root.issue("127.0.0.1")
    server_config = ServerConfig(
        credentials=root.issue("test.example"), client_auth="required", client_trust=trust
    )
    client, server = memory_tls_pair(ClientConfig(trust=trust, credentials=own), server_config)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    assert server.negotiated.peer_certificates == own.chain
