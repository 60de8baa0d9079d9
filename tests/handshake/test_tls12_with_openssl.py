"""TLS 1.2 with OpenSSL in the other role: each suite, each kind of certificate, the extensions."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from engine_pairs import CLIENT, SERVER, SERVER_NAME, authority, credentials
from openssl_pairs import (
    client_context,
    exchange_with,
    load_credentials,
    openssl_client,
    openssl_server,
    server_context,
    shake_hands_with,
)

from trio_tlsx.crypto.cipher_suites12 import CIPHER_SUITES_12
from trio_tlsx.engine.connection import Connection
from trio_tlsx.engine.openssl import OpenSSLConnection

GROUPS = ["x25519", "secp256r1", "secp384r1", "secp521r1"]
BOTH = ["TLSv1.3", "TLSv1.2"]
CLIENT_12 = replace(CLIENT, versions=["TLSv1.2"], groups=GROUPS)
SERVER_12 = replace(SERVER, versions=["TLSv1.2"], groups=GROUPS)
KEY_TYPES = ["P-256", "P-384", "P-521", "ed25519", "ed448", "RSA-2048"]
#: OpenSSL's names for the suites.
OPENSSL_NAMES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}


def our_client(context: ssl.SSLContext, **options: Any) -> tuple[Connection, OpenSSLConnection]:
    pair = (
        Connection.client(replace(CLIENT_12, **options), SERVER_NAME),
        openssl_server(context),
    )
    shake_hands_with(*pair)
    return pair


def our_server(context: ssl.SSLContext, **options: Any) -> tuple[Connection, OpenSSLConnection]:
    pair = Connection.server(replace(SERVER_12, **options)), openssl_client(context)
    shake_hands_with(*pair)
    return pair


@pytest.mark.parametrize("suite", CIPHER_SUITES_12.values(), ids=lambda suite: suite.name)
def test_each_suite_in_both_roles(suite: Any, tmp_path: Path) -> None:
    key_type = "RSA-2048" if suite.authentication == "RSA" else "P-256"
    context = server_context(tmp_path, key_type)
    context.set_ciphers(OPENSSL_NAMES[suite.name])
    client, server = our_client(context)
    assert client.negotiated.version == "TLSv1.2"
    assert client.negotiated.cipher_suite == suite.name
    exchange_with(client, server)

    context = client_context()
    context.set_ciphers(OPENSSL_NAMES[suite.name])
    server, client = our_server(context, credentials=credentials(key_type))
    assert server.negotiated.cipher_suite == suite.name
    exchange_with(server, client)


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_each_kind_of_certificate_in_both_roles(key_type: str, tmp_path: Path) -> None:
    leaf = credentials(key_type).chain[0]
    client, theirs = our_client(server_context(tmp_path, key_type))
    assert client.negotiated.peer_certificates[0] == leaf
    exchange_with(client, theirs)
    server, theirs = our_server(client_context(), credentials=credentials(key_type))
    assert theirs.ssl_object.getpeercert(True) == leaf.public_bytes(Encoding.DER)
    exchange_with(server, theirs)


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_each_kind_of_client_certificate(key_type: str, tmp_path: Path) -> None:
    """The CertificateVerify signs all messages so far, whatever the hash of its scheme."""
    context = server_context(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.pem.decode())
    client, server = our_client(context, credentials=credentials(key_type))
    assert server.ssl_object.getpeercert(True)
    exchange_with(client, server)

    context = client_context()
    load_credentials(context, tmp_path, key_type)
    server, client = our_server(context, client_auth="required", client_trust=authority.trust)
    assert server.negotiated.peer_certificates[:1] == credentials(key_type).chain[:1]
    assert server.negotiated.signature_scheme
    exchange_with(server, client)


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_in_both_roles(group: str, tmp_path: Path) -> None:
    rsa = credentials("RSA-2048")
    client, theirs = our_client(server_context(tmp_path, "RSA-2048"), groups=[group])
    assert client.negotiated.group == group
    exchange_with(client, theirs)
    server, theirs = our_server(client_context(), groups=[group], credentials=rsa)
    assert server.negotiated.group == group
    exchange_with(server, theirs)


def test_alpn_in_both_roles(tmp_path: Path) -> None:
    client, _ = our_client(server_context(tmp_path, alpn=["h2"]), alpn_protocols=["x", "h2"])
    assert client.negotiated.alpn_protocol == "h2"
    server, client = our_server(client_context(alpn=["x", "h2"]), alpn_protocols=["h2"])
    assert server.negotiated.alpn_protocol == client.negotiated.alpn_protocol == "h2"


def test_tls_unique_is_that_of_openssl(tmp_path: Path) -> None:
    client, theirs = our_client(server_context(tmp_path))
    assert client.channel_binding("tls-unique") == theirs.ssl_object.get_channel_binding()
    server, theirs = our_server(client_context())
    assert server.channel_binding("tls-unique") == theirs.ssl_object.get_channel_binding()


def test_both_versions_are_offered_and_the_newer_one_is_selected(tmp_path: Path) -> None:
    newest = ssl.TLSVersion.TLSv1_3
    client, _ = our_client(server_context(tmp_path, newest=newest), versions=BOTH)
    assert client.negotiated.version == "TLSv1.3"
    server, _ = our_server(client_context(newest=newest), versions=BOTH)
    assert server.negotiated.version == "TLSv1.3"


def test_a_peer_without_tls_1_3_gets_tls_1_2(tmp_path: Path) -> None:
    client, theirs = our_client(server_context(tmp_path), versions=BOTH)
    assert client.negotiated.version == theirs.negotiated.version == "TLSv1.2"
    exchange_with(client, theirs)
    server, theirs = our_server(client_context(), versions=BOTH)
    assert server.negotiated.version == theirs.negotiated.version == "TLSv1.2"
    exchange_with(server, theirs)


def test_a_signer_with_schemes_of_tls_1_3_only_signs(tmp_path: Path) -> None:
    """A signer need not know TLS 1.2: it uses what TLS 1.2 has of its schemes."""

    class Signer:
        def __init__(self) -> None:
            self.schemes = credentials("RSA-2048").signer.schemes

        def sign(self, scheme: Any, message: bytes) -> Any:
            return credentials("RSA-2048").signer.sign(scheme, message)

    ours = type(credentials())(credentials("RSA-2048").chain, Signer())
    server, client = our_server(client_context(), credentials=ours)
    assert str(server.ssl_object.server_sigalg()).startswith("rsa_p")
    exchange_with(server, client)
