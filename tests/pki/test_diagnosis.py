"""The diagnosis of a rejected chain, which reports only facts that its certificates prove."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from certificate_chains import A, refused
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from der import (
    CA_EXTENSIONS,
    DAY,
    HOST,
    LEAF_EXTENSIONS,
    NOW,
    Authority,
    Form,
    bit_string,
    extension,
    generalized_time,
    integer,
    name,
    object_identifier,
    sequence,
    tlv,
    utc_time,
)

from trio_tlsx import TrustStore
from trio_tlsx.errors import CertificateError
from trio_tlsx.pki import issuance
from trio_tlsx.pki.issuance import MAX_SIGNATURE_CHECKS
from trio_tlsx.verification import verify as verification
from trio_tlsx.verification.verify import verify_client, verify_server

CA_FORM = Form(subject=name("root"), extensions=CA_EXTENSIONS)
AUTHORITY = Authority()
ROOT = AUTHORITY.root()

PRINTABLE_STRING, IA5_STRING = 0x13, 0x16
EMAIL_ADDRESS = "1.2.840.113549.1.9.1"
NAME_CONSTRAINTS = "2.5.29.30"
WAY_OUT = 'verifier="openssl"$'


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """``cryptography`` warns of a negative serial number when it loads a certificate."""
    with warnings.catch_warnings(action="ignore"):
        yield


def verify(
    chain: Sequence[x509.Certificate], *trusted: x509.Certificate, host: str = HOST
) -> None:
    verify_server(chain, host, TrustStore.from_certificates(trusted or [ROOT]), NOW)


# A reason that another path shows to be none


def test_diagnosis_of_an_unknown_root_with_a_trusted_name() -> None:
    other = Authority()
    unknown = other.root()
    with refused(A.unknown_ca, "'CN=root' is at the end of the chain", unknown):
        verify([other.issue(), unknown])


def test_diagnosis_does_not_blame_a_namesake() -> None:
    old = Authority().root(replace(CA_FORM, not_after=utc_time(NOW - DAY)))
    expired = AUTHORITY.issue(replace(Form(), not_after=utc_time(NOW - DAY)))
    with refused(A.certificate_expired, "'CN=leaf' expired", expired):
        verify([expired], old, ROOT)
    leaf = AUTHORITY.issue()
    with refused(A.bad_certificate, "^certificate is for 'a.example', not 'b.example'$", leaf):
        verify([leaf], old, ROOT, host="b.example")


def test_the_path_with_the_fewest_faults_is_reported() -> None:
    old = AUTHORITY.root(replace(CA_FORM, not_after=utc_time(NOW - DAY)))
    constrained = AUTHORITY.root(
        replace(
            CA_FORM,
            extensions=(*CA_EXTENSIONS, excluded(tlv(0x82, b"example"))),
            not_after=utc_time(NOW - DAY),
        )
    )
    with refused(A.certificate_expired, "'CN=root' expired", old):
        verify([AUTHORITY.issue()], constrained, old)
    late = AUTHORITY.issue(replace(Form(), not_before=utc_time(NOW + DAY)))
    with refused(A.certificate_expired, "'CN=leaf' is not valid before", late):
        verify([late], old, ROOT)


# What the verifier does not read, and OpenSSL does


def excluded(base: bytes) -> bytes:
    return extension(NAME_CONSTRAINTS, sequence(tlv(0xA1, sequence(base))), critical=True)


def permitted(base: bytes) -> bytes:
    return extension(NAME_CONSTRAINTS, sequence(tlv(0xA0, sequence(base))), critical=True)


def with_extension(form: Form, added: bytes) -> Form:
    return replace(form, extensions=(*form.extensions, added))


@pytest.mark.parametrize(
    ("constraint", "shown"),
    [
        (permitted(tlv(0x82, b".example")), "'.example' with a leading dot"),
        (excluded(tlv(0x82, b".gov")), "'.gov' with a leading dot"),
    ],
)
def test_name_constraints_with_a_leading_dot(constraint: bytes, shown: str) -> None:
    root = AUTHORITY.root(with_extension(CA_FORM, constraint))
    leaf = AUTHORITY.issue()
    sentence = f"'CN=root' has the name constraint {shown}, which the built-in .*{WAY_OUT}"
    with refused(A.certificate_unknown, sentence, leaf):
        verify([leaf], root)


def test_diagnosis_of_an_excluded_name() -> None:
    root = AUTHORITY.root(with_extension(CA_FORM, excluded(tlv(0x82, b".example"))))
    leaf = AUTHORITY.issue()
    sentence = "'CN=root' may not issue a certificate for 'a.example': its name constraints"
    with refused(A.certificate_unknown, sentence, leaf):
        verify([leaf], root)


@pytest.mark.parametrize(
    "issuer", [name("root", PRINTABLE_STRING), name("ROOT"), name(" root "), name(b"root", 0x14)]
)
def test_names_that_are_equal_by_rfc_5280(issuer: bytes) -> None:
    leaf = AUTHORITY.issue(replace(Form(), issuer=issuer))
    sentence = f"'CN=root'; both are equal by RFC 5280 7.1, but .*{WAY_OUT}"
    with refused(A.unknown_ca, sentence, leaf):
        verify([leaf])


@pytest.mark.parametrize("length", [20, 222])
def test_salts_of_other_lengths(length: int) -> None:
    key = rsa.generate_private_key(65537, 2048)
    sha256 = sequence(object_identifier("2.16.840.1.101.3.4.2.1"), b"\x05\x00")
    mask = sequence(object_identifier("1.2.840.113549.1.1.8"), sha256)
    salt = () if length == 20 else (tlv(0xA2, integer(length)),)
    algorithm = sequence(
        object_identifier("1.2.840.113549.1.1.10"),
        sequence(tlv(0xA0, sha256), tlv(0xA1, mask), *salt),
    )
    pss = padding.PSS(padding.MGF1(SHA256()), length)
    root = rsa_root(key)

    def sign(tbs: bytes) -> bytes:
        return key.sign(tbs, pss, SHA256())

    leaf = AUTHORITY.issue(replace(Form(), algorithm=algorithm, sign=sign))
    sentence = f"RSA-PSS and a salt of {length} bytes; .* one of 32, .*{WAY_OUT}"
    with refused(A.unsupported_certificate, sentence, leaf):
        verify([leaf], root)


def rsa_root(key: rsa.RSAPrivateKey) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
    return (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )


@pytest.mark.parametrize(
    ("dotted", "what", "value"),
    [
        ("2.5.29.32", "certificatePolicies", "30083006 06042b060104"),
        ("2.5.29.36", "policyConstraints", "3003810100"),
        ("2.5.29.54", "inhibitAnyPolicy", "020100"),
    ],
)
def test_critical_policies(dotted: str, what: str, value: str) -> None:
    added = extension(dotted, bytes.fromhex(value), critical=True)
    leaf = AUTHORITY.issue(with_extension(Form(), added))
    sentence = rf"'CN=leaf' has the critical extension {what} \({dotted}\), .*{WAY_OUT}"
    with refused(A.certificate_unknown, sentence, leaf):
        verify([leaf])


def test_generalized_time_before_2050() -> None:
    leaf = AUTHORITY.issue(replace(Form(), not_after=generalized_time(NOW + DAY)))
    sentence = f"a date of {NOW.year} as GeneralizedTime, .*{WAY_OUT}"
    with refused(A.certificate_unknown, sentence, leaf):
        verify([leaf])
    root = AUTHORITY.root(replace(CA_FORM, not_before=generalized_time(NOW - DAY)))
    with refused(A.certificate_unknown, sentence, root):
        verify([AUTHORITY.issue()], root)


@pytest.mark.parametrize(
    ("number", "what"),
    [(-0x1234, "the negative serial number -1234"), (2**200, "a serial number of 26 octets")],
)
def test_serial_numbers(number: int, what: str) -> None:
    leaf = AUTHORITY.issue(replace(Form(), serial_number=integer(number)))
    with refused(A.certificate_unknown, f"'CN=leaf' has {what}.*{WAY_OUT}", leaf):
        verify([leaf])
    root = AUTHORITY.root(replace(CA_FORM, serial_number=integer(number)))
    with refused(A.certificate_unknown, f"'CN=root' has {what}.*{WAY_OUT}", root):
        verify([AUTHORITY.issue()], root)


# What cannot be read, and what cannot be shown


def test_diagnosis_beside_an_unreadable_ca() -> None:
    odd = AUTHORITY.root(replace(CA_FORM, subject=name("Autorité".encode("latin-1"), 0x14)))
    leaf = AUTHORITY.issue()
    with refused(A.bad_certificate, "^certificate is for 'a.example', not 'b.example'$", leaf):
        verify([leaf, odd], ROOT, odd, host="b.example")
    unknown = AUTHORITY.issue(replace(Form(), issuer=name("nobody")))
    with refused(A.unknown_ca, "issued by 'CN=nobody', which is neither", unknown):
        verify([unknown, odd], ROOT, odd)


def test_diagnosis_of_a_malformed_extension() -> None:
    constraints = extension("2.5.29.19", bytes.fromhex("30060101ff020180"), critical=True)
    root = AUTHORITY.root(replace(CA_FORM, extensions=(constraints, CA_EXTENSIONS[1])))
    with pytest.raises(CertificateError, match="'CN=root'"):
        verify([AUTHORITY.issue()], root)


def test_diagnosis_of_a_duplicate_extension() -> None:
    leaf = AUTHORITY.issue(with_extension(Form(), LEAF_EXTENSIONS[1]))
    with refused(A.bad_certificate, r"'CN=leaf' has the extension 2\.5\.29\.15 twice", leaf):
        verify([leaf])


def test_no_reason_that_can_be_shown() -> None:
    """The algorithms within and outside of the signed part differ."""
    tbs_algorithm = sequence(object_identifier("1.2.840.10045.4.3.3"))  # with SHA-384
    form = Form()
    key = AUTHORITY.key
    der = AUTHORITY.encode(replace(form, algorithm=tbs_algorithm), AUTHORITY.leaf_key)
    tbs = x509.load_der_x509_certificate(der).tbs_certificate_bytes
    signature = bit_string(key.sign(tbs, ec.ECDSA(SHA256())))
    leaf = x509.load_der_x509_certificate(sequence(tbs, form.algorithm, signature))
    sentence = rf"certificate chain \('CN=leaf'\), and no reason for it can be shown: .*{WAY_OUT}"
    with refused(A.certificate_unknown, sentence, leaf):
        verify([leaf])


# Names of the subject


@pytest.mark.parametrize("constraint", [excluded, permitted])
@pytest.mark.parametrize("with_san", [False, True])
def test_mail_constraints_bind_the_subject_without_san(constraint: object, with_san: bool) -> None:
    """RFC 5280 4.2.1.10 requires it."""
    base = tlv(0x81, b"b.example" if constraint is excluded else b"a.example")
    extensions = (*CA_EXTENSIONS, excluded(base) if constraint is excluded else permitted(base))
    trust = TrustStore.from_certificates([AUTHORITY.root(replace(CA_FORM, extensions=extensions))])
    good, bad = (
        AUTHORITY.issue(
            replace(
                Form(),
                subject=name(f"me@{host}", IA5_STRING, EMAIL_ADDRESS),
                extensions=LEAF_EXTENSIONS[:2] if with_san else LEAF_EXTENSIONS[1:2],
            )
        )
        for host in ("a.example", "b.example")
    )
    verify_client([good], trust, NOW)
    if with_san:
        verify_client([bad], trust, NOW)
        return
    with refused(A.certificate_unknown, "may not issue a certificate for 'me@b.example'", bad):
        verify_client([bad], trust, NOW)


def test_unreadable_subject_counts_as_excluded() -> None:
    base = tlv(0xA4, name("bad"))
    constraint = extension(NAME_CONSTRAINTS, sequence(tlv(0xA1, sequence(base))))
    root = AUTHORITY.root(with_extension(CA_FORM, constraint))
    unreadable = AUTHORITY.issue(replace(Form(), subject=name(b"\xff\xfe")))
    verify([AUTHORITY.issue()], root)
    with refused(A.certificate_unknown, "may not issue a certificate for 'CN=#fffe'", unreadable):
        verify([unreadable], root)


# Bounds


def test_the_work_of_one_verification_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring of CAs, all with a trusted name and one key, under which no path is right."""
    searches, checks = 0, 0
    search, check = verification._search_path, issuance.is_signed_by  # pyright: ignore[reportPrivateUsage]

    def counted_search(*arguments: object) -> object:
        nonlocal searches
        searches += 1
        return search(*arguments)  # pyright: ignore[reportArgumentType]

    def counted_check(child: x509.Certificate, issuer: x509.Certificate) -> bool | None:
        nonlocal checks
        checks += 1
        return check(child, issuer)

    monkeypatch.setattr(verification, "_search_path", counted_search)
    monkeypatch.setattr(issuance, "is_signed_by", counted_check)
    other = Authority()
    ring = [other.root(replace(CA_FORM, serial_number=integer(n))) for n in range(1, 31)]
    with pytest.raises(CertificateError):
        verify([other.issue(), *ring])
    assert (searches, checks) == (1, MAX_SIGNATURE_CHECKS)
    assert MAX_SIGNATURE_CHECKS <= 20
    searches = checks = 0
    with pytest.raises(CertificateError, match="is at the end of the chain"):
        verify([other.issue(), *ring], AUTHORITY.root(replace(CA_FORM, subject=name("good"))))
    assert (searches, checks) == (1, 0)
    searches = checks = 0
    with pytest.raises(CertificateError, match="certificate is for"):
        verify([AUTHORITY.issue(), *ring], host="b.example")
    assert searches == 2  # with the name, and without it
    assert checks <= MAX_SIGNATURE_CHECKS
