"""The helpers for tests of TLS programs."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.errors import ConfigError
from trio_tlsx.pki.certificates import extension_of
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.testing import (
    CA,
    MemoryTLSStream,
    credentials_to_pem,
    memory_tls_pair,
    write_pem_files,
)
from trio_tlsx.verification.verify import verify_client, verify_server

UTC = datetime.UTC


def test_ca_issues_names() -> None:
    leaf = CA().issue("a.example", "*.Bücher.example", "127.0.0.1", "::1").chain[0]
    names = extension_of(leaf, x509.SubjectAlternativeName)
    assert names is not None
    assert names.get_values_for_type(x509.DNSName) == ["a.example", "*.xn--bcher-kva.example"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]
    assert leaf.subject.rfc4514_string() == "CN=a.example"


def test_ca_issues_names_longer_than_a_common_name() -> None:
    name = ".".join(["a" * 60, "b" * 60, "example"])
    authority = CA()
    chain = authority.issue(name).chain
    path = verify_server(chain, name, authority.trust, datetime.datetime.now(UTC))
    assert path == (*chain, authority.certificate)


def test_ca_issues_a_certificate_without_names() -> None:
    authority = CA()
    leaf = authority.issue(common_name="somebody").chain[0]
    assert extension_of(leaf, x509.SubjectAlternativeName) is None
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "somebody"
    verify_client([leaf], authority.trust, datetime.datetime.now(UTC))


@pytest.mark.parametrize(
    ("key_type", "kind"),
    [
        ("P-256", ec.SECP256R1),
        ("P-384", ec.SECP384R1),
        ("P-521", ec.SECP521R1),
        ("ed25519", ed25519.Ed25519PublicKey),
        ("ed448", ed448.Ed448PublicKey),
        ("RSA-2048", rsa.RSAPublicKey),
        ("ML-DSA-44", mldsa.MLDSA44PublicKey),
        ("ML-DSA-65", mldsa.MLDSA65PublicKey),
        ("ML-DSA-87", mldsa.MLDSA87PublicKey),
    ],
)
def test_ca_key_types(key_type: str, kind: type[object]) -> None:
    authority = CA(key_type=key_type)
    leaf = authority.issue("a.example", key_type=key_type).chain[0]
    leaf.verify_directly_issued_by(authority.certificate)
    assert leaf.public_key() != authority.certificate.public_key()
    for certificate in (authority.certificate, leaf):
        key = certificate.public_key()
        assert isinstance(key.curve if isinstance(key, ec.EllipticCurvePublicKey) else key, kind)


@pytest.mark.parametrize("key_type", ["", "P-192", "RSA", "RSA-", "RSA-x", "DSA-2048"])
def test_ca_rejects_unknown_key_types(key_type: str) -> None:
    with pytest.raises(ConfigError, match="unknown key type"):
        CA(key_type=key_type)


def test_ca_reuses_rsa_keys() -> None:
    def leaf_key() -> object:
        return (
            CA(key_type="RSA-2048").issue("a.example", key_type="RSA-2048").chain[0].public_key()
        )

    assert leaf_key() == leaf_key()


def test_ca_validity() -> None:
    def validity(**dates: Any) -> tuple[datetime.datetime, datetime.datetime]:
        leaf = CA().issue("a.example", **dates).chain[0]
        return leaf.not_valid_before_utc, leaf.not_valid_after_utc

    now = datetime.datetime.now(UTC)
    past, future = (datetime.datetime(year, 1, 1, tzinfo=UTC) for year in (2001, 2099))
    assert validity(not_before=past, not_after=future) == (past, future)
    begin, end = validity()
    assert begin < now < end
    # With one end given the other one is chosen so that there is something in between.
    assert validity(not_after=past)[0] < past
    assert validity(not_before=future)[1] > future


def test_ca_extensions_are_added_replaced_and_removed() -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    leaf = (
        CA()
        .issue(
            "a.example",
            extensions=[(strange, True), (usage, True)],
            without=[x509.AuthorityKeyIdentifier, x509.KeyUsage],
        )
        .chain[0]
    )
    assert leaf.extensions.get_extension_for_oid(strange.oid).critical
    assert extension_of(leaf, x509.ExtendedKeyUsage) == usage
    assert extension_of(leaf, x509.AuthorityKeyIdentifier) is None
    assert extension_of(leaf, x509.KeyUsage) is None
    assert extension_of(leaf, x509.SubjectKeyIdentifier) is not None
    assert extension_of(CA(without=[x509.BasicConstraints]).certificate, x509.KeyUsage)


def test_ca_intermediates() -> None:
    root = CA("root")
    lower = root.intermediate("one").intermediate("two")
    credentials = lower.issue("a.example")
    assert [c.subject.rfc4514_string() for c in credentials.chain] == [
        "CN=a.example",
        "CN=two",
        "CN=one",
    ]
    assert lower.root is root
    assert lower.pem == root.pem
    assert lower.trust.certificates == (root.certificate,)
    verify_server(credentials.chain, "a.example", lower.trust, datetime.datetime.now(UTC))
    assert repr(lower) == "<CA 'CN=two'>"


def test_write_pem_files_for_other_programs(tmp_path: Path) -> None:
    credentials = CA().intermediate().issue("a.example")
    cert, key = write_pem_files(credentials, tmp_path)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert Credentials.from_pem_files(cert, key).chain == credentials.chain
    # OpenSSL reads them too, and checks that they belong together.
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)


def test_write_pem_files_without_the_private_key_raises() -> None:
    class Remote:
        schemes = (SignatureScheme.ecdsa_secp256r1_sha256,)

        def sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
            raise NotImplementedError

    credentials = Credentials(CA().issue("a.example").chain, Remote())
    with pytest.raises(ConfigError, match="has no private key in this process"):
        credentials_to_pem(credentials)


async def talk(client: MemoryTLSStream, server: MemoryTLSStream) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.do_handshake)
        await client.do_handshake()
    await client.send_all(b"question")
    assert await server.receive_some() == b"question"
    await server.send_all(b"answer")
    assert await client.receive_some() == b"answer"


async def test_memory_pair_by_default() -> None:
    client, server = memory_tls_pair()
    await talk(client, server)
    assert server.negotiated.server_name == "test.example"


async def test_memory_pair_with_configurations() -> None:
    credentials = CA().issue("a.example", key_type="ed25519")
    client, server = memory_tls_pair(
        ClientConfig(alpn_protocols=["h2", "http/1.1"]),
        ServerConfig(credentials=credentials, alpn_protocols=["http/1.1"]),
        server_hostname="a.example",
    )
    await talk(client, server)
    assert client.negotiated.alpn_protocol == "http/1.1"
    assert client.negotiated.peer_certificates == credentials.chain


async def test_memory_pair_with_its_own_trust() -> None:
    authority = CA()
    server_config = ServerConfig(credentials=authority.issue("a.example"))
    good, bad = (ClientConfig(trust=ca.trust) for ca in (authority, CA()))
    await talk(*memory_tls_pair(good, server_config, server_hostname="a.example"))
    client, server = memory_tls_pair(bad, server_config, server_hostname="a.example")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(handshake_in_vain, server)
        with pytest.raises(trio.BrokenResourceError, match="another CA than the known one"):
            await client.do_handshake()


async def handshake_in_vain(stream: MemoryTLSStream) -> None:
    with pytest.raises(trio.BrokenResourceError, match="unknown_ca"):
        await stream.do_handshake()
