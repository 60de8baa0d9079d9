"""Exporters and channel bindings, compared with OpenSSL's."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from engine_pairs import CLIENT, SERVER, SERVER_NAME, authority, connections, credentials
from engine_pairs import established as established_pair
from OpenSSL import SSL

from trio_tlsx.crypto.exporter import Exporter13, tls_server_end_point
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake.wants import Want
from trio_tlsx.pki.credentials import PrivateKeySigner
from trio_tlsx.testing import CA

SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
LABEL = "EXPERIMENTAL trio-tlsx test"


def openssl_server() -> SSL.Connection:
    signer = credentials().signer
    assert isinstance(signer, PrivateKeySigner)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(credentials().chain[0])
    context.use_privatekey(cast("ec.EllipticCurvePrivateKey", signer.private_key))
    peer = SSL.Connection(context, None)
    peer.set_accept_state()
    return peer


def handshake_with_openssl(client: Connection, peer: SSL.Connection) -> None:
    while client.do_handshake() is not Want.NOTHING:
        if output := client.data_to_send():
            peer.bio_write(output)
        with suppress(SSL.WantReadError):
            peer.do_handshake()
        with suppress(SSL.WantReadError):
            client.receive_data(peer.bio_read(2**16))


@pytest.mark.parametrize("suite", SUITES)
def test_exported_keying_material_equals_openssls(suite: str) -> None:
    client = Connection.client(replace(CLIENT, cipher_suites=[suite]), SERVER_NAME)
    peer = openssl_server()
    handshake_with_openssl(client, peer)
    for length, context in [(1, b""), (32, b"context"), (1000, b"x" * 300)]:
        expected = peer.export_keying_material(LABEL.encode(), length, context)
        assert client.export_keying_material(LABEL, length, context) == expected
    binding = peer.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
    assert client.channel_binding("tls-exporter") == binding


def test_exported_keying_material_is_equal_on_both_sides_and_unique() -> None:
    client, server = established_pair()
    exported = client.export_keying_material(LABEL, 32)
    assert exported == server.export_keying_material(LABEL, 32)
    assert client.channel_binding("tls-exporter") == server.channel_binding("tls-exporter")
    assert exported != client.export_keying_material(LABEL, 32, b"other context")
    assert exported == client.export_keying_material(LABEL, 32, b"")  # RFC 9846 7.5
    assert exported != client.export_keying_material(LABEL + "2", 32)
    other, _ = established_pair()
    assert exported != other.export_keying_material(LABEL, 32)


def test_tls_server_end_point_is_the_hash_of_the_certificate() -> None:
    client, server = established_pair()
    der = credentials().chain[0].public_bytes(Encoding.DER)
    expected = hashlib.sha256(der).digest()
    assert client.channel_binding("tls-server-end-point") == expected
    assert server.channel_binding("tls-server-end-point") == expected


def test_tls_server_end_point_with_client_certificate() -> None:
    asking = replace(SERVER, client_auth="required", client_trust=authority.trust)
    client, server = established_pair(
        replace(CLIENT, credentials=authority.issue("client.example")), asking
    )
    binding = client.channel_binding("tls-server-end-point")
    assert binding is not None
    assert binding == server.channel_binding("tls-server-end-point")


def test_no_tls_server_end_point_without_a_signature_hash() -> None:
    [leaf] = CA(key_type="ed25519").issue(SERVER_NAME).chain
    assert tls_server_end_point(leaf) is None


@pytest.mark.parametrize(("kind", "why"), [("tls-unique", "C.5"), ("tls-magic", "tls-magic")])
def test_unsupported_channel_bindings_are_rejected(kind: str, why: str) -> None:
    client, _ = established_pair()
    with pytest.raises(ValueError, match=why):
        client.channel_binding(kind)


@pytest.mark.parametrize(
    ("label", "length"), [("", 32), ("ü", 32), ("x" * 250, 32), ("x", 0), ("x", 255 * 32 + 1)]
)
def test_export_longer_than_hkdf_allows_is_rejected(label: str, length: int) -> None:
    client, _ = established_pair()
    with pytest.raises(ValueError, match="export"):
        client.export_keying_material(label, length)


def test_export_of_the_longest_length() -> None:
    client, server = established_pair()
    longest = client.export_keying_material("x" * 249, 255 * 32)
    assert longest == server.export_keying_material("x" * 249, 255 * 32)


def test_export_before_the_handshake_raises() -> None:
    client, _ = connections()
    with pytest.raises(RuntimeError, match="not complete"):
        client.export_keying_material(LABEL, 32)
    with pytest.raises(RuntimeError, match="not complete"):
        client.channel_binding("tls-exporter")


def test_exporter_secret_is_in_no_repr() -> None:
    client, _ = established_pair()
    done = client._complete()  # pyright: ignore[reportPrivateUsage]
    assert isinstance(done.exporter, Exporter13)
    assert done.exporter.secret.hex() not in repr(done)
    assert "secret" not in repr(done)
