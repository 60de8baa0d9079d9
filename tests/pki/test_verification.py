"""DESIGN section 6, row by row: what is accepted, what is refused, with which alert and words."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from trio_tlsx.errors import AlertDescription, CertificateError, ConfigError, InternalError
from trio_tlsx.pki import verification
from trio_tlsx.pki.diagnosis import CAN_VERIFY_MLDSA
from trio_tlsx.pki.policy import MAX_INTERMEDIATES
from trio_tlsx.pki.trust import TrustStore
from trio_tlsx.pki.verification import MAX_CHAIN_LENGTH, verify_client, verify_server
from trio_tlsx.testing import CA, CA_KEY_USAGE, LEAF_KEY_USAGE

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


# What has to be accepted


MLDSA = ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"]


@pytest.mark.parametrize(
    "key_type", ["P-256", "P-384", "P-521", "ed25519", "ed448", "RSA-2048", *MLDSA]
)
def test_every_key_type_of_a_leaf(key_type: str) -> None:
    root = ca()
    chain = issue(root, key_type=key_type)
    verify_server(chain, "a.example", root.trust, NOW)
    verify_client(chain, root.trust, NOW)


@pytest.mark.parametrize("key_type", ["P-256", "P-384", "P-521", "RSA-2048"])
def test_every_key_type_of_a_ca(key_type: str) -> None:
    root = ca(key_type=key_type)
    chain = issue(below(root, key_type=key_type))
    verify_server(chain, "a.example", root.trust, NOW)


@pytest.mark.parametrize("key_type", MLDSA)
def test_a_ca_with_an_mldsa_key(key_type: str) -> None:
    """cryptography 50 is the first that verifies their signatures."""
    root = ca(key_type=key_type)
    chain = issue(below(root, key_type=key_type), key_type=key_type)
    if CAN_VERIFY_MLDSA:
        verify_server(chain, "a.example", root.trust, NOW)
        with refused(A.bad_certificate, "certificate is for 'a.example'", chain[0]):
            verify_server(chain, "b.example", root.trust, NOW)
        # What is wrong with such a chain is still found.
        with refused(A.certificate_expired, "expired", chain[0]):
            verify_server(chain, "a.example", root.trust, chain[0].not_valid_after_utc + DAY)
    else:
        with refused(A.unsupported_certificate, f"signed with the {key_type} key", chain[0]):
            verify_server(chain, "a.example", root.trust, NOW)


@pytest.mark.parametrize(
    ("certified", "wanted"),
    [
        ("a.example", "a.example"),
        ("a.example", "A.Example."),
        ("*.a.example", "www.a.example"),
        ("bücher.example", "BÜCHER.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "www.bücher.example"),
        ("localhost", "localhost"),
        ("r3---sn-4g5.example", "r3---sn-4g5.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "0:0:0::1"),
        ("2001:DB8::7", "2001:db8:0::7"),
    ],
)
def test_names_that_match(certified: str, wanted: str) -> None:
    root = ca()
    verify_server(issue(root, "other.example", certified), wanted, root.trust, NOW)


@pytest.mark.parametrize(
    ("certified", "wanted"),
    [
        ("a.example", "b.example"),
        ("a.example", "www.a.example"),
        ("www.a.example", "a.example"),
        ("*.a.example", "a.example"),
        ("*.a.example", "b.www.a.example"),
        ("127.0.0.1", "127.0.0.2"),
        ("::1", "127.0.0.1"),
    ],
)
def test_names_that_do_not_match(certified: str, wanted: str) -> None:
    root = ca()
    chain = issue(root, certified)
    sentence = f"^certificate is for '{re.escape(certified)}', not '{re.escape(wanted)}'$"
    with refused(A.bad_certificate, sentence, chain[0]):
        verify_server(chain, wanted, root.trust, NOW)


def test_a_dns_name_that_reads_like_an_address_does_not_stand_for_it() -> None:
    root = ca()
    san = x509.SubjectAlternativeName([x509.DNSName("127.0.0.1")])
    chain = issue(root, extensions=[(san, False)])
    with refused(A.bad_certificate, "^certificate is for '127.0.0.1', not", chain[0]):
        verify_server(chain, "127.0.0.1", root.trust, NOW)


def test_a_mismatch_names_a_few_names_only() -> None:
    root = ca()
    chain = issue(root, *(f"h{number}.example" for number in range(12)))
    with refused(A.bad_certificate, "'h0.example', .*'h4.example' and 7 more, not", chain[0]):
        verify_server(chain, "a.example", root.trust, NOW)


@pytest.mark.parametrize("name", ["a_b.example", "fe80::1%eth0", "", "[::1]", "1.2.3"])
def test_a_name_that_cannot_be_verified_is_a_fault_of_ours(name: str) -> None:
    root = ca()
    with pytest.raises(ConfigError, match="server name"):
        verify_server(issue(root), name, root.trust, NOW)


def test_a_client_certificate_needs_no_name() -> None:
    root = ca()
    leaf = issue(root, extended_key_usage=[CLIENT_AUTH], without=[x509.SubjectAlternativeName])
    verify_client(leaf, root.trust, NOW)


def test_trustme() -> None:
    # Its leaves have a critical subjectAltName beside a subject, and a critical key usage.
    authority = trustme.CA()
    trust = TrustStore.from_pem(authority.cert_pem.bytes())
    between = authority.create_child_ca()
    now = datetime.datetime.now(datetime.UTC)
    for issuer in (authority, between):
        pems = issuer.issue_cert("a.example", "::1", "bücher.example").cert_chain_pems
        chain = [x509.load_pem_x509_certificate(pem.bytes()) for pem in pems]
        for name in ("a.example", "::1", "bücher.example"):
            verify_server(chain, name, trust, now)
        verify_client(chain, trust, now)


def test_what_plain_openssl_makes() -> None:
    plain, self_signed = fixture("plain_ca"), fixture("self_signed")
    verify_server([fixture("plain_leaf")], "a.example", store(plain), NOW)
    verify_server([fixture("plain_leaf"), plain], "a.example", store(plain), NOW)
    # The CA's bit on a server's own certificate is what "openssl req -x509" sets.
    verify_server([self_signed], "a.example", store(self_signed), NOW)
    verify_client([self_signed], store(self_signed), NOW)


def test_trust_may_begin_anywhere_in_the_chain() -> None:
    root = ca()
    between = below(root)
    chain = issue(between)
    for trusted in (root.certificate, between.certificate, chain[0]):
        verify_server(chain, "a.example", store(trusted), NOW)
    verify_server(chain[:1], "a.example", store(between.certificate), NOW)


def test_the_order_of_intermediates_and_strays_do_not_matter() -> None:
    root, stray = ca(), ca("stray")
    leaf, *others = issue(below(below(root, "first"), "second"))
    chain = [leaf, stray.certificate, *reversed(others), root.certificate]
    verify_server(chain, "a.example", root.trust, NOW)


def test_a_renewed_ca_with_the_same_name_and_key_will_do() -> None:
    old, new = ca(key_type="RSA-2048"), ca(key_type="RSA-2048", not_after=NOW + 99 * DAY)
    verify_server(issue(old), "a.example", new.trust, NOW)


def test_a_path_is_found_though_another_one_is_bad() -> None:
    # Cross-signing: the same intermediate under an expired root and under a good one.
    expired = ca("old root", not_after=NOW - DAY)
    good = ca("new root")
    twins = [below(root, "intermediate", key_type="RSA-2048") for root in (expired, good)]
    chain = [*issue(twins[0]), twins[1].certificate]
    trust = store(expired.certificate, good.certificate)
    verify_server(chain, "a.example", trust, NOW)


@pytest.mark.parametrize("usages", [(SERVER_AUTH,), (CLIENT_AUTH, SERVER_AUTH), (ANY_USAGE,), ()])
def test_extended_key_usages_that_allow_a_server(
    usages: Sequence[x509.ObjectIdentifier],
) -> None:
    root = ca()
    verify_server(issue(root, extended_key_usage=usages), "a.example", root.trust, NOW)


def test_the_last_second_of_a_certificate_is_included() -> None:
    root = ca()
    end = NOW.replace(microsecond=0)
    verify_server(issue(root, not_after=end), "a.example", root.trust, NOW)
    verify_server(issue(root, not_before=end), "a.example", root.trust, NOW)


def test_the_time_zone_of_the_clock_does_not_matter() -> None:
    root = ca(not_before=NOW, not_after=NOW + datetime.timedelta(hours=1))
    chain = issue(root, not_before=NOW, not_after=NOW + datetime.timedelta(hours=1))
    east = NOW.astimezone(datetime.timezone(datetime.timedelta(hours=12)))
    verify_server(chain, "a.example", root.trust, east)


# What has to be refused


@pytest.mark.parametrize("guilty", [0, 1, 2], ids=["leaf", "intermediate", "root"])
@pytest.mark.parametrize(
    ("dates", "sentence"),
    [
        (
            {"not_before": NOW - 9 * DAY, "not_after": NOW - DAY},
            "expired on 2030-05-31 12:00:00 UTC, and it is 2030-06-01 12:00:00 UTC now",
        ),
        (
            {"not_before": NOW + DAY, "not_after": NOW + 9 * DAY},
            "not valid before 2030-06-02 12:00:00 UTC, and it is 2030-06-01 12:00:00 UTC now: "
            "check the clock",
        ),
    ],
    ids=["expired", "not-yet-valid"],
)
def test_dates(guilty: int, dates: dict[str, Any], sentence: str) -> None:
    options: list[dict[str, Any]] = [{}, {}, {}]
    options[guilty] = dates
    root = ca(**options[2])
    chain = issue(below(root, **options[1]), **options[0])
    about = [*chain, root.certificate][guilty]
    with refused(A.certificate_expired, re.escape(sentence), about):
        verify_server(chain, "a.example", root.trust, NOW)


def test_a_self_signed_certificate() -> None:
    root = ca()
    leaf = fixture("self_signed")
    with refused(A.unknown_ca, "'CN=a.example' is self-signed and is not among", leaf):
        verify_server([leaf], "a.example", root.trust, NOW)


def test_an_unknown_root() -> None:
    root, other = ca(), ca("other root")
    chain = [*issue(other), other.certificate]
    with refused(A.unknown_ca, "'CN=other root' stands at the end of the chain", chain[1]):
        verify_server(chain, "a.example", root.trust, NOW)


def test_a_missing_intermediate() -> None:
    root = ca()
    chain = issue(below(root))[:1]
    sentence = "issued by 'CN=intermediate', which is neither trusted .* left out an intermediate"
    with refused(A.unknown_ca, sentence, chain[0]):
        verify_server(chain, "a.example", root.trust, NOW)


def test_another_ca_of_the_same_name() -> None:
    root, impostor = ca(), ca()
    chain = issue(impostor)
    with refused(A.unknown_ca, "another CA than the known one of the same name", chain[0]):
        verify_server(chain, "a.example", root.trust, NOW)


def test_a_wrong_signature() -> None:
    root, impostor = ca(), ca()
    chain = issue(impostor, without=[x509.AuthorityKeyIdentifier])
    with refused(A.bad_certificate, "not made with the key of its issuer 'CN=root'", chain[0]):
        verify_server(chain, "a.example", root.trust, NOW)


def test_a_changed_certificate() -> None:
    root = ca()
    der = issue(root)[0].public_bytes(Encoding.DER)
    changed = x509.load_der_x509_certificate(der.replace(b"a.example", b"b.example"))
    with refused(A.bad_certificate, "not made with the key of its issuer", changed):
        verify_server([changed], "b.example", root.trust, NOW)


def test_an_issuer_that_is_no_ca() -> None:
    root = ca()
    for extensions, without, fault in (
        ([(x509.BasicConstraints(ca=False, path_length=None), True)], [], "says CA:FALSE"),
        ([], [x509.BasicConstraints], "lacks basicConstraints"),
    ):
        chain = issue(below(root, extensions=extensions, without=without))
        with refused(A.unknown_ca, f"'CN=intermediate' is not a CA's, .*{fault}", chain[1]):
            verify_server(chain, "a.example", root.trust, NOW)


def test_a_leaf_that_issues() -> None:
    # The oldest attack: whoever has a certificate issues the next one with its key.
    root = ca()
    forger = below(root, "forger", extensions=[(LEAF_KEY_USAGE, True)])
    forger_as_leaf = below(
        root, "forger", without=[x509.BasicConstraints], extensions=[(LEAF_KEY_USAGE, True)]
    )
    for issuer, sentence in ((forger, "keyCertSign"), (forger_as_leaf, "not a CA's")):
        chain = issue(issuer)
        with refused(A.unknown_ca, sentence, chain[1]):
            verify_server(chain, "a.example", root.trust, NOW)


def test_a_version_1_root() -> None:
    root = fixture("version1_root")
    chain = [fixture("under_version1_root")]
    with refused(A.unknown_ca, "lacks basicConstraints", root):
        verify_server(chain, "a.example", store(root), NOW)


def test_a_version_1_leaf() -> None:
    leaf = fixture("version1_leaf")
    for verify in (as_server, as_client):
        with refused(A.unsupported_certificate, "X.509 version 1", leaf):
            verify([leaf], store(fixture("plain_ca")))


def as_server(chain: Chain, trust: TrustStore) -> None:
    verify_server(chain, "a.example", trust, NOW)


def as_client(chain: Chain, trust: TrustStore) -> None:
    verify_client(chain, trust, NOW)


def test_a_server_certificate_without_a_name() -> None:
    root = ca()
    chain = issue(root, without=[x509.SubjectAlternativeName])
    with refused(A.bad_certificate, "names no host: it has no subjectAltName", chain[0]):
        verify_server(chain, "a.example", root.trust, NOW)


@pytest.mark.parametrize(
    ("verify", "usage", "role"),
    [(as_server, CLIENT_AUTH, "server"), (as_client, SERVER_AUTH, "client")],
)
@pytest.mark.parametrize("guilty", [0, 1, 2], ids=["leaf", "intermediate", "root"])
def test_extended_key_usage(
    verify: Callable[[Chain, TrustStore], None],
    usage: x509.ObjectIdentifier,
    role: str,
    guilty: int,
) -> None:
    extensions: list[list[Extension]] = [[], [], []]
    extensions[guilty] = [(x509.ExtendedKeyUsage([usage]), guilty != 1)]
    root = ca(extensions=extensions[2])
    chain = issue(below(root, extensions=extensions[1]), extensions=extensions[0])
    about = [*chain, root.certificate][guilty]
    sentence = f"is not for TLS {role}s: its extended key usage lacks {role}Auth"
    with refused(A.unsupported_certificate, sentence, about):
        verify(chain, root.trust)


@pytest.mark.parametrize("verify", [as_server, as_client])
def test_key_usage_of_a_leaf(verify: Callable[[Chain, TrustStore], None]) -> None:
    root = ca()
    # Credentials refuse to be made from such a certificate, so it is signed by hand.
    usage = key_usage(LEAF_KEY_USAGE, digital_signature=False, key_encipherment=True)
    leaf = signed_by(
        root, usage, (x509.SubjectAlternativeName([x509.DNSName("a.example")]), False)
    )
    with refused(A.unsupported_certificate, "does not allow digitalSignature", leaf):
        verify([leaf], root.trust)


@pytest.mark.parametrize("guilty", [1, 2], ids=["intermediate", "root"])
def test_key_usage_of_a_ca(guilty: int) -> None:
    extensions: list[list[Extension]] = [[], [], []]
    extensions[guilty] = [key_usage(CA_KEY_USAGE, key_cert_sign=False, digital_signature=True)]
    root = ca(extensions=extensions[2])
    chain = issue(below(root, extensions=extensions[1]))
    about = [*chain, root.certificate][guilty]
    with refused(A.unknown_ca, "does not allow keyCertSign", about):
        verify_server(chain, "a.example", root.trust, NOW)


@pytest.mark.parametrize("guilty", [0, 1, 2], ids=["leaf", "intermediate", "root"])
def test_short_rsa_keys(guilty: int) -> None:
    key_types = ["P-256", "P-256", "P-256"]
    key_types[guilty] = "RSA-1024"
    root = ca(key_type=key_types[2])
    chain = issue(below(root, key_type=key_types[1]), key_type=key_types[0])
    about = [*chain, root.certificate][guilty]
    with refused(A.bad_certificate, "has an RSA key of 1024 bits; 2048 to 8192", about):
        verify_server(chain, "a.example", root.trust, NOW)


@pytest.mark.parametrize(("key_type", "kind"), [("ed25519", "Ed25519"), ("ed448", "Ed448")])
def test_a_ca_with_an_edwards_key(key_type: str, kind: str) -> None:
    root = ca(key_type=key_type)
    chain = issue(root)
    sentence = f"signed with the {kind} key of 'CN=root'; chains are accepted from CAs with RSA"
    with refused(A.unsupported_certificate, sentence, chain[0]):
        verify_server(chain, "a.example", root.trust, NOW)


@pytest.mark.parametrize("digest", ["sha1", "md5"])
def test_broken_hashes(digest: str) -> None:
    leaf = fixture(f"{digest}_leaf")
    with refused(A.bad_certificate, f"signed with {digest.upper()}", leaf):
        verify_server([leaf], "a.example", store(fixture("plain_ca")), NOW)


def test_path_length() -> None:
    root = ca(extensions=[(x509.BasicConstraints(ca=True, path_length=0), True)])
    verify_server(issue(root), "a.example", root.trust, NOW)
    chain = issue(below(root))
    sentence = "'CN=root' allows 0 CAs below itself .* this chain has 1"
    with refused(A.unknown_ca, sentence, root.certificate):
        verify_server(chain, "a.example", root.trust, NOW)


def constrained(
    permitted: Sequence[x509.GeneralName] | None,
    excluded: Sequence[x509.GeneralName] | None,
    critical: bool = True,
) -> CA:
    return ca(extensions=[(x509.NameConstraints(permitted, excluded), critical)])


def directory(*parts: str) -> x509.DirectoryName:
    return x509.DirectoryName(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, p) for p in parts])
    )


def test_name_constraints_of_hosts() -> None:
    network = ipaddress.ip_network("10.0.0.0/8")
    permitted = constrained([x509.DNSName("a.example"), x509.IPAddress(network)], None)
    excluded = constrained(None, [x509.DNSName("b.example")])
    for root, good, bad in (
        (permitted, "www.a.example", "www.b.example"),
        (permitted, "10.1.2.3", "11.1.2.3"),
        (excluded, "a.example", "b.example"),
    ):
        verify_server(issue(below(root), good), good, root.trust, NOW)
        chain = issue(below(root), bad)
        sentence = f"'CN=root' may not issue a certificate for '{bad}': its name constraints"
        with refused(A.certificate_unknown, sentence, chain[0]):
            verify_server(chain, bad, root.trust, NOW)


def test_name_constraints_of_subjects() -> None:
    # The library looks at subjectAltName alone; OpenSSL at the subject as well.
    permitted = constrained([directory("ME  too")], None, critical=False)
    excluded = constrained(None, [directory("nobody")], critical=False)
    for root, good, bad in (
        (permitted, "me TOO", "nobody"),
        (excluded, "me", "Nobody"),
    ):
        verify_client(issue(root, common_name=good), root.trust, NOW)
        chain = issue(root, common_name=bad)
        sentence = f"'CN=root' may not issue a certificate for 'CN={bad}'"
        with refused(A.certificate_unknown, sentence, chain[0]):
            verify_client(chain, root.trust, NOW)


def test_name_constraints_of_subjects_hold_for_intermediates() -> None:
    root = constrained([directory("leaf")], None, critical=False)
    chain = issue(below(root, "intermediate"), common_name="leaf")
    with refused(A.certificate_unknown, "for 'CN=intermediate'", chain[1]):
        verify_server(chain, "a.example", root.trust, NOW)


def test_name_constraints_that_the_library_cannot_check() -> None:
    root = constrained([directory("me")], None)
    chain = issue(root, common_name="me")
    with refused(A.certificate_unknown, "name constraints of a kind that cannot", chain[0]):
        verify_client(chain, root.trust, NOW)


@pytest.mark.parametrize("guilty", [0, 1, 2], ids=["leaf", "intermediate", "root"])
def test_unknown_critical_extensions(guilty: int) -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    extensions: list[list[Extension]] = [[], [], []]
    extensions[guilty] = [(strange, True)]
    root = ca(extensions=extensions[2])
    chain = issue(below(root, extensions=extensions[1]), extensions=extensions[0])
    about = [*chain, root.certificate][guilty]
    with refused(A.certificate_unknown, "a critical extension .* 1.2.3.4", about):
        verify_server(chain, "a.example", root.trust, NOW)


def test_an_unknown_extension_that_is_not_critical_does_no_harm() -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    root = ca(extensions=[(strange, False)])
    verify_server(issue(root, extensions=[(strange, False)]), "a.example", root.trust, NOW)


def test_no_certificate() -> None:
    root = ca()
    with refused(A.decode_error, "the server sent no certificate", None):
        verify_server([], "a.example", root.trust, NOW)
    with refused(A.certificate_required, "the client sent no certificate", None):
        verify_client([], root.trust, NOW)


def test_a_clock_without_a_time_zone() -> None:
    root = ca()
    with pytest.raises(InternalError, match="without a time zone"):
        verify_server(issue(root), "a.example", root.trust, NOW.replace(tzinfo=None))


# Bounds


def test_the_longest_path() -> None:
    root = lowest = ca()
    for number in range(MAX_INTERMEDIATES):
        lowest = below(lowest, f"CA {number}")
    chain = issue(lowest)
    verify_server([*chain, root.certificate], "a.example", root.trust, NOW)
    longer = issue(below(lowest, "one more"))
    with refused(A.unknown_ca, "over 9 intermediate CAs; 8 are accepted", longer[0]):
        verify_server(longer, "a.example", root.trust, NOW)


def test_too_many_certificates() -> None:
    root = ca()
    chain = [*issue(root)] * (MAX_CHAIN_LENGTH + 1)
    with refused(A.unknown_ca, "sent 11 certificates; 10 are accepted", None):
        verify_server(chain, "a.example", root.trust, NOW)


def test_a_ring_of_cas_ends() -> None:
    # Certificates that all verify each other offer more paths than can be searched.
    key = ec.generate_private_key(ec.SECP256R1())
    ring = [self_issued(key) for _ in range(MAX_CHAIN_LENGTH - 1)]
    leaf = (
        builder("leaf", "ring", ec.generate_private_key(ec.SECP256R1()))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), critical=False)
        .sign(key, SHA256())
    )
    with pytest.raises(CertificateError):
        verify_server([leaf, *ring], "a.example", ca().trust, NOW)


# Failing closed


def test_a_refusal_that_cannot_be_explained_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    root = ca()
    chain = issue(below(root), not_after=NOW - DAY)

    def find_nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(verification, "find_fault", find_nothing)
    with refused(A.certificate_unknown, "the server's certificate chain is not acc", chain[0]):
        verify_server(chain, "a.example", root.trust, NOW)


def test_flipped_octets_never_verify() -> None:
    root = ca()
    chain = issue(root)
    der = chain[0].public_bytes(Encoding.DER)
    accepted: list[int] = []
    for position in range(len(der)):
        flipped = bytearray(der)
        flipped[position] ^= 0x21
        try:
            leaf = x509.load_der_x509_certificate(bytes(flipped))
        except (ValueError, x509.InvalidVersion):
            continue
        try:
            verify_server([leaf], "a.example", root.trust, NOW)
        except CertificateError:
            continue
        accepted.append(position)
    assert accepted == []


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
