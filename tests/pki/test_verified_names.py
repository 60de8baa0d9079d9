"""The names in a certificate: the server names that they match, and name constraints."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

import pytest
from certificate_chains import (
    CLIENT_AUTH,
    NOW,
    A,
    assert_client_accepted,
    assert_server_accepted,
    below,
    ca,
    issue,
    refused,
)
from cryptography import x509
from cryptography.x509.oid import NameOID

from trio_tlsx.errors import CertificateError, ConfigError
from trio_tlsx.testing import CA
from trio_tlsx.verification.verify import verify_client, verify_server

pytestmark = pytest.mark.usefixtures("verifier")
#: For what the other verifier does otherwise.
BUILTIN = pytest.mark.parametrize("verifier", ["cryptography"], indirect=True)


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
def test_certificate_names_that_match(certified: str, wanted: str) -> None:
    root = ca()
    assert_server_accepted(issue(root, "other.example", certified), wanted, root.trust)


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
def test_certificate_names_that_do_not_match(certified: str, wanted: str) -> None:
    root = ca()
    chain = issue(root, certified)
    sentence = f"^certificate is for '{re.escape(certified)}', not '{re.escape(wanted)}'$"
    with refused(A.bad_certificate, sentence, chain[0]):
        verify_server(chain, wanted, root.trust, NOW)


def test_dns_name_that_reads_like_an_address_does_not_match_it() -> None:
    root = ca()
    san = x509.SubjectAlternativeName([x509.DNSName("127.0.0.1")])
    chain = issue(root, extensions=[(san, False)])
    with refused(A.bad_certificate, "^certificate is for '127.0.0.1', not", chain[0]):
        verify_server(chain, "127.0.0.1", root.trust, NOW)


def test_name_mismatch_error_lists_a_few_names() -> None:
    root = ca()
    chain = issue(root, *(f"h{number}.example" for number in range(12)))
    with refused(A.bad_certificate, "'h0.example', .*'h4.example' and 7 more, not", chain[0]):
        verify_server(chain, "a.example", root.trust, NOW)


@pytest.mark.parametrize("name", ["a b.example", "", "[::1]", "1.2.3"])
def test_server_name_that_cannot_be_verified_raises_config_error(name: str) -> None:
    root = ca()
    with pytest.raises(ConfigError, match="server name"):
        verify_server(issue(root), name, root.trust, NOW)


@pytest.mark.parametrize("name", ["my_db", "_sip._tcp.a.example", "-a.example", "my_db.a.example"])
def test_names_that_no_host_may_have(name: str) -> None:
    root = ca()
    good = issue(root, "other.example", name.upper())
    verify_server(good, name, root.trust, NOW)
    verify_server(good, f"{name.title()}.", root.trust, NOW)
    for certified in ("my_dbs", "*.a.example", "*._tcp.a.example", "*.example"):
        chain = issue(root, certified)
        with refused(
            A.bad_certificate, f"is for '{re.escape(certified)}', not '{name}'", chain[0]
        ):
            verify_server(chain, name, root.trust, NOW)


def test_the_common_name_is_not_for_names_that_no_host_may_have() -> None:
    root = ca()
    chain = issue(root, "a.example", common_name="my_db")
    with refused(A.bad_certificate, "^certificate is for 'a.example', not 'my_db'$", chain[0]):
        verify_server(chain, "my_db", root.trust, NOW)


def test_extended_key_usage_with_an_invalid_host_name() -> None:
    root = ca()
    chain = issue(root, "my_db", extended_key_usage=[CLIENT_AUTH])
    with refused(A.unsupported_certificate, "lacks serverAuth", chain[0]):
        verify_server(chain, "my_db", root.trust, NOW)


def test_address_with_a_scope_id() -> None:
    root = ca()
    verify_server(issue(root, "fe80::1"), "fe80::1%eth0", root.trust, NOW)
    with pytest.raises(CertificateError, match=r"not 'fe80::2'$"):
        verify_server(issue(root, "fe80::1"), "fe80::2%eth0", root.trust, NOW)


def test_client_certificate_without_names_is_accepted() -> None:
    root = ca()
    leaf = issue(root, extended_key_usage=[CLIENT_AUTH], without=[x509.SubjectAlternativeName])
    assert_client_accepted(leaf, root.trust)


def test_server_certificate_without_names_is_rejected() -> None:
    root = ca()
    chain = issue(root, without=[x509.SubjectAlternativeName])
    with refused(A.bad_certificate, "names no host: it has no subjectAltName", chain[0]):
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
        # The common name has no dot: OpenSSL holds one with a dot to the constraints as well.
        chain = issue(below(root), good, common_name="host")
        verify_server(chain, good, root.trust, NOW)
        chain = issue(below(root), bad, common_name="host")
        sentence = f"may not issue a certificate for .*'{bad}': its name constraints"
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
        sentence = f"may not issue a certificate for 'CN={bad}'"
        with refused(A.certificate_unknown, sentence, chain[0]):
            verify_client(chain, root.trust, NOW)


def test_name_constraints_of_subjects_hold_for_intermediates() -> None:
    root = constrained([directory("leaf")], None, critical=False)
    chain = issue(below(root, "intermediate"), common_name="leaf")
    with refused(A.certificate_unknown, "for 'CN=intermediate'", chain[1]):
        verify_server(chain, "a.example", root.trust, NOW)


@BUILTIN
def test_name_constraints_that_the_library_cannot_check() -> None:
    root = constrained([directory("me")], None)
    chain = issue(root, common_name="me")
    with refused(A.certificate_unknown, "name constraints on .* DirectoryName", chain[0]):
        verify_client(chain, root.trust, NOW)
