"""The policy for certificates: key usages, CAs, versions, key sizes, path lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from certificate_chains import (
    ANY_USAGE,
    CLIENT_AUTH,
    NOW,
    SERVER_AUTH,
    A,
    Chain,
    Extension,
    as_client,
    as_server,
    assert_server_accepted,
    below,
    ca,
    fixture,
    issue,
    key_usage,
    refused,
    signed_by,
    store,
)
from cryptography import x509

from trio_tlsx.pki.trust import TrustStore
from trio_tlsx.testing import CA_KEY_USAGE, LEAF_KEY_USAGE
from trio_tlsx.verification.verify import verify_server

pytestmark = pytest.mark.usefixtures("verifier")
#: For what the other verifier does otherwise.
BUILTIN = pytest.mark.parametrize("verifier", ["cryptography"], indirect=True)


@pytest.mark.parametrize("usages", [(SERVER_AUTH,), (CLIENT_AUTH, SERVER_AUTH), (ANY_USAGE,), ()])
def test_extended_key_usages_that_are_accepted(
    usages: Sequence[x509.ObjectIdentifier],
) -> None:
    root = ca()
    assert_server_accepted(issue(root, extended_key_usage=usages), "a.example", root.trust)


def test_issuer_without_ca_bit_is_rejected() -> None:
    root = ca()
    for extensions, without, fault in (
        ([(x509.BasicConstraints(ca=False, path_length=None), True)], [], "says CA:FALSE"),
        ([], [x509.BasicConstraints], "lacks basicConstraints"),
    ):
        chain = issue(below(root, extensions=extensions, without=without))
        with refused(A.unknown_ca, f"'CN=intermediate' is not a CA's, .*{fault}", chain[1]):
            verify_server(chain, "a.example", root.trust, NOW)


def test_leaf_that_issues_a_certificate_is_rejected() -> None:
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


def test_version_1_root_is_rejected() -> None:
    root = fixture("version1_root")
    chain = [fixture("under_version1_root")]
    with refused(A.unknown_ca, "lacks basicConstraints", root):
        verify_server(chain, "a.example", store(root), NOW)


def test_version_1_leaf_is_rejected() -> None:
    leaf = fixture("version1_leaf")
    for verify in (as_server, as_client):
        with refused(A.unsupported_certificate, "X.509 version 1", leaf):
            verify([leaf], store(fixture("plain_ca")))


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
def test_short_rsa_keys_are_rejected(guilty: int) -> None:
    key_types = ["P-256", "P-256", "P-256"]
    key_types[guilty] = "RSA-1024"
    root = ca(key_type=key_types[2])
    chain = issue(below(root, key_type=key_types[1]), key_type=key_types[0])
    about = [*chain, root.certificate][guilty]
    with refused(A.bad_certificate, "has an RSA key of 1024 bits; 2048 to 8192", about):
        verify_server(chain, "a.example", root.trust, NOW)


@BUILTIN
@pytest.mark.parametrize(("key_type", "kind"), [("ed25519", "Ed25519"), ("ed448", "Ed448")])
def test_ca_with_an_edwards_key_is_rejected(key_type: str, kind: str) -> None:
    root = ca(key_type=key_type)
    chain = issue(root)
    sentence = f"signed with the {kind} key of 'CN=root'; the built-in verifier accepts CAs"
    with refused(A.unsupported_certificate, sentence, chain[0]):
        verify_server(chain, "a.example", root.trust, NOW)


@pytest.mark.parametrize("digest", ["sha1", "md5"])
def test_md5_and_sha1_signatures_are_rejected(digest: str) -> None:
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


@pytest.mark.parametrize("guilty", [0, 1, 2], ids=["leaf", "intermediate", "root"])
def test_unknown_critical_extensions_are_rejected(guilty: int) -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    extensions: list[list[Extension]] = [[], [], []]
    extensions[guilty] = [(strange, True)]
    root = ca(extensions=extensions[2])
    chain = issue(below(root, extensions=extensions[1]), extensions=extensions[0])
    about = [*chain, root.certificate][guilty]
    with refused(A.certificate_unknown, "critical extension .*1.2.3.4", about):
        verify_server(chain, "a.example", root.trust, NOW)


def test_unknown_extension_that_is_not_critical_is_accepted() -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    root = ca(extensions=[(strange, False)])
    assert_server_accepted(issue(root, extensions=[(strange, False)]), "a.example", root.trust)
