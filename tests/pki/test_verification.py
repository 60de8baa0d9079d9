"""Certificate verification: accepted chains, rejected chains, their alerts and errors."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
import trustme
from certificate_chains import (
    DAY,
    MLDSA,
    NOW,
    A,
    assert_client_accepted,
    assert_server_accepted,
    below,
    builder,
    ca,
    fixture,
    issue,
    refused,
    self_issued,
    store,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from trio_tlsx.errors import CertificateError, InternalError
from trio_tlsx.pki.trust import TrustStore
from trio_tlsx.verification import diagnosis
from trio_tlsx.verification.builtin_limits import CAN_VERIFY_MLDSA
from trio_tlsx.verification.policy import MAX_INTERMEDIATES
from trio_tlsx.verification.verify import verify_client, verify_server

pytestmark = pytest.mark.usefixtures("verifier")
#: For what the other verifier does otherwise.
BUILTIN = pytest.mark.parametrize("verifier", ["cryptography"], indirect=True)

# What has to be accepted


@pytest.mark.parametrize(
    "key_type", ["P-256", "P-384", "P-521", "ed25519", "ed448", "RSA-2048", *MLDSA]
)
def test_verification_of_every_key_type_of_a_leaf(key_type: str) -> None:
    root = ca()
    chain = issue(root, key_type=key_type)
    assert_server_accepted(chain, "a.example", root.trust)
    assert_client_accepted(chain, root.trust)


@pytest.mark.parametrize("key_type", ["P-256", "P-384", "P-521", "RSA-2048"])
def test_verification_of_every_key_type_of_a_ca(key_type: str) -> None:
    root = ca(key_type=key_type)
    chain = issue(below(root, key_type=key_type))
    assert_server_accepted(chain, "a.example", root.trust)


@pytest.mark.parametrize("key_type", MLDSA)
def test_verification_of_a_ca_with_an_mldsa_key(key_type: str) -> None:
    """cryptography 50 is the first that verifies their signatures."""
    root = ca(key_type=key_type)
    chain = issue(below(root, key_type=key_type), key_type=key_type)
    if CAN_VERIFY_MLDSA:
        verify_server(chain, "a.example", root.trust, NOW)
        with refused(A.bad_certificate, "certificate is for 'a.example'", chain[0]):
            verify_server(chain, "b.example", root.trust, NOW)
        # What is wrong with such a chain is still found.
        expired = issue(root, key_type=key_type, not_after=NOW - DAY)
        with refused(A.certificate_expired, "expired", expired[0]):
            verify_server(expired, "a.example", root.trust, NOW)
    else:
        with refused(A.unsupported_certificate, f"signed with the {key_type} key", chain[0]):
            verify_server(chain, "a.example", root.trust, NOW)


def test_verification_of_trustme_certificates() -> None:
    # Its leaves have a critical subjectAltName beside a subject, and a critical key usage.
    authority = trustme.CA()
    trust = TrustStore.from_pem(authority.cert_pem.bytes())
    between = authority.create_child_ca()
    now = datetime.datetime.now(datetime.UTC)
    for issuer in (authority, between):
        pems = issuer.issue_cert("a.example", "::1", "bücher.example").cert_chain_pems
        chain = [x509.load_pem_x509_certificate(pem.bytes()) for pem in pems]
        for name in ("a.example", "::1", "bücher.example"):
            assert_server_accepted(chain, name, trust, now)
        assert_client_accepted(chain, trust, now)


def test_verification_of_plain_openssl_certificates() -> None:
    plain, self_signed = fixture("plain_ca"), fixture("self_signed")
    assert_server_accepted([fixture("plain_leaf")], "a.example", store(plain))
    assert_server_accepted([fixture("plain_leaf"), plain], "a.example", store(plain))
    # The CA's bit on a server's own certificate is what "openssl req -x509" sets.
    assert_server_accepted([self_signed], "a.example", store(self_signed))
    assert_client_accepted([self_signed], store(self_signed))


def test_trust_anchor_anywhere_in_the_chain() -> None:
    root = ca()
    between = below(root)
    chain = issue(between)
    for trusted in (root.certificate, between.certificate, chain[0]):
        assert_server_accepted(chain, "a.example", store(trusted))
    assert_server_accepted(chain[:1], "a.example", store(between.certificate))


def test_order_of_intermediates_and_strays_do_not_matter() -> None:
    root, stray = ca(), ca("stray")
    leaf, *others = issue(below(below(root, "first"), "second"))
    chain = [leaf, stray.certificate, *reversed(others), root.certificate]
    assert_server_accepted(chain, "a.example", root.trust)


def test_renewed_ca_with_the_same_name_and_key_is_accepted() -> None:
    old, new = ca(key_type="RSA-2048"), ca(key_type="RSA-2048", not_after=NOW + 99 * DAY)
    assert_server_accepted(issue(old), "a.example", new.trust)


@BUILTIN
def test_path_is_found_beside_an_invalid_one() -> None:
    # Cross-signing: the same intermediate under an expired root and under a good one.
    expired = ca("old root", not_after=NOW - DAY)
    good = ca("new root")
    twins = [below(root, "intermediate", key_type="RSA-2048") for root in (expired, good)]
    chain = [*issue(twins[0]), twins[1].certificate]
    trust = store(expired.certificate, good.certificate)
    assert_server_accepted(chain, "a.example", trust)


def test_last_second_of_validity_is_included() -> None:
    root = ca()
    end = NOW.replace(microsecond=0)
    assert_server_accepted(issue(root, not_after=end), "a.example", root.trust)
    assert_server_accepted(issue(root, not_before=end), "a.example", root.trust)


def test_time_zone_of_the_clock_does_not_matter() -> None:
    root = ca(not_before=NOW, not_after=NOW + datetime.timedelta(hours=1))
    chain = issue(root, not_before=NOW, not_after=NOW + datetime.timedelta(hours=1))
    east = NOW.astimezone(datetime.timezone(datetime.timedelta(hours=12)))
    assert_server_accepted(chain, "a.example", root.trust, east)


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
def test_certificates_outside_their_dates_are_rejected(
    guilty: int, dates: dict[str, Any], sentence: str
) -> None:
    options: list[dict[str, Any]] = [{}, {}, {}]
    options[guilty] = dates
    root = ca(**options[2])
    chain = issue(below(root, **options[1]), **options[0])
    about = [*chain, root.certificate][guilty]
    with refused(A.certificate_expired, re.escape(sentence), about):
        verify_server(chain, "a.example", root.trust, NOW)


def test_untrusted_self_signed_certificate_is_rejected() -> None:
    root = ca()
    leaf = fixture("self_signed")
    with refused(A.unknown_ca, "'CN=a.example' is self-signed and is not among", leaf):
        verify_server([leaf], "a.example", root.trust, NOW)


def test_unknown_root_is_rejected() -> None:
    root, other = ca(), ca("other root")
    chain = [*issue(other), other.certificate]
    with refused(A.unknown_ca, "'CN=other root' is at the end of the chain", chain[1]):
        verify_server(chain, "a.example", root.trust, NOW)


def test_missing_intermediate_is_rejected() -> None:
    root = ca()
    chain = issue(below(root))[:1]
    sentence = "issued by 'CN=intermediate', which is neither trusted .* an intermediate cert"
    with refused(A.unknown_ca, sentence, chain[0]):
        verify_server(chain, "a.example", root.trust, NOW)


def test_another_ca_of_the_same_name_is_rejected() -> None:
    root, impostor = ca(), ca()
    chain = issue(impostor)
    with refused(A.unknown_ca, "another CA than the (known|trusted) one of the same", chain[0]):
        verify_server(chain, "a.example", root.trust, NOW)


def test_wrong_certificate_signature_is_rejected() -> None:
    root, impostor = ca(), ca()
    chain = issue(impostor, without=[x509.AuthorityKeyIdentifier])
    with refused(A.bad_certificate, "not made with the key of its issuer 'CN=root'", chain[0]):
        verify_server(chain, "a.example", root.trust, NOW)


def test_changed_certificate_is_rejected() -> None:
    root = ca()
    der = issue(root)[0].public_bytes(Encoding.DER)
    changed = x509.load_der_x509_certificate(der.replace(b"a.example", b"b.example"))
    with refused(A.bad_certificate, "not made with the key of its issuer", changed):
        verify_server([changed], "b.example", root.trust, NOW)


def test_verification_without_certificates_is_rejected() -> None:
    root = ca()
    with refused(A.decode_error, "the server sent no certificate", None):
        verify_server([], "a.example", root.trust, NOW)
    with refused(A.certificate_required, "the client sent no certificate", None):
        verify_client([], root.trust, NOW)


def test_clock_without_a_time_zone_is_rejected() -> None:
    root = ca()
    with pytest.raises(InternalError, match="without a time zone"):
        verify_server(issue(root), "a.example", root.trust, NOW.replace(tzinfo=None))


# Bounds


def test_longest_certificate_path() -> None:
    root = lowest = ca()
    for number in range(MAX_INTERMEDIATES):
        lowest = below(lowest, f"CA {number}")
    chain = issue(lowest)
    verify_server([*chain, root.certificate], "a.example", root.trust, NOW)
    longer = issue(below(lowest, "one more"))
    with refused(A.unknown_ca, "over 9 intermediate CAs; 8 are accepted", longer[0]):
        verify_server(longer, "a.example", root.trust, NOW)


def test_ring_of_cas_is_rejected() -> None:
    # Certificates that all verify each other offer more paths than can be searched.
    key = ec.generate_private_key(ec.SECP256R1())
    ring = [self_issued(key) for _ in range(30)]
    leaf = (
        builder("leaf", "ring", ec.generate_private_key(ec.SECP256R1()))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), critical=False)
        .sign(key, SHA256())
    )
    with pytest.raises(CertificateError):
        verify_server([leaf, *ring], "a.example", ca().trust, NOW)


# Failing closed


@BUILTIN
def test_rejected_chain_without_a_diagnosis(monkeypatch: pytest.MonkeyPatch) -> None:
    root = ca()
    chain = issue(below(root), not_after=NOW - DAY)

    def find_nothing(*_: object) -> list[CertificateError]:
        return []

    monkeypatch.setattr(diagnosis, "faults_of", find_nothing)
    with refused(A.certificate_unknown, "rejects .* no reason for it", chain[0]):
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
