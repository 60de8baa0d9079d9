"""The PRF of TLS 1.2 and the keys that are derived with it (RFC 5246 5, 6.3, 8.1)."""

from __future__ import annotations

import ast
import hashlib
import hmac
from collections import Counter
from pathlib import Path

import pytest

from trio_tlsx.crypto import key_schedule12
from trio_tlsx.crypto.cipher_suites import Hash
from trio_tlsx.crypto.cipher_suites12 import CIPHER_SUITES_12
from trio_tlsx.crypto.key_schedule12 import DirectionKeys, MasterSecret, prf

AES_128, CHACHA20 = CIPHER_SUITES_12[0xC02B], CIPHER_SUITES_12[0xCCA9]
RANDOMS = bytes(32), bytes(range(32))

#: RFC 5246 6.3, 7.4.9, 8.1, RFC 7627 4.
LABELS = {
    "master secret",
    "extended master secret",
    "key expansion",
    "client finished",
    "server finished",
}

#: The vectors that implementers of the PRF exchanged on the mailing list of the TLS working group.
VECTORS: list[tuple[Hash, str, str, str]] = [
    (
        hashlib.sha256,
        "9bbe436ba940f017b17652849a71db35",
        "a0ba9f936cda311827a6f796ffd5198c",
        "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a"
        "6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab"
        "4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701"
        "87347b66",
    ),
    (
        hashlib.sha384,
        "b80b733d6ceefcdc71566ea48e5567df",
        "cd665cf6a8447dd6ff8b27555edb7465",
        "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cd"
        "e9ca0faa60be9fe34f82b1233c9146a0e534cb400fed2700884f9dc236f80edd"
        "8bfa961144c9e8d792eca722a7b32fc3d416d473ebc2c5fd4abfdad05d918425"
        "9b5bf8cd4d90fa0d31e2dec479e4f1a26066f2eea9a69236a3e52655c9e9aee6"
        "91c8f3a26854308d5eaa3be85e0990703d73e56f",
    ),
]


@pytest.mark.parametrize("vector", VECTORS, ids=["sha256", "sha384"])
def test_the_prf_returns_the_published_output(vector: tuple[Hash, str, str, str]) -> None:
    digest, secret, seed, output = vector
    expected = bytes.fromhex(output)
    computed = prf(
        digest, bytes.fromhex(secret), b"test label", bytes.fromhex(seed), len(expected)
    )
    assert computed == expected


def test_prf_hashes_a_secret_longer_than_a_block() -> None:
    """The shared secret of P-521 has 66 bytes, and a block of SHA-256 has 64."""
    secret, seed = bytes(range(66)), b"label" + b"seed"
    first = hmac.digest(secret, seed, "sha256")
    expected = hmac.digest(secret, first + seed, "sha256")
    assert prf(hashlib.sha256, secret, b"label", b"seed", 32) == expected


def test_each_label_is_in_the_key_schedule_once() -> None:
    tree = ast.parse(Path(key_schedule12.__file__).read_text())
    found = Counter(node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    assert {label: found[label.encode()] for label in LABELS} == dict.fromkeys(LABELS, 1)


def test_the_session_hash_makes_another_master_secret() -> None:
    plain = MasterSecret.derive(AES_128, b"premaster", RANDOMS, None)
    extended = MasterSecret.derive(AES_128, b"premaster", RANDOMS, bytes(32))
    assert len(plain.secret) == len(extended.secret) == 48
    assert plain.secret != extended.secret


@pytest.mark.parametrize("suite", CIPHER_SUITES_12.values(), ids=lambda suite: suite.name)
def test_the_key_block_is_cut_in_the_order_of_the_rfc(suite: key_schedule12.CipherSuite12) -> None:
    """RFC 5246 6.3: the keys of the client and the server, then their IVs; the server's random
    is first in the seed."""
    secret = MasterSecret(suite, bytes(48), RANDOMS)
    k, i = suite.key_length, suite.implicit_iv_length
    seed = RANDOMS[1] + RANDOMS[0]
    block = prf(suite.hash, bytes(48), b"key expansion", seed, 2 * (k + i))
    client, server = secret.traffic_keys()
    assert client.key + server.key + client.iv + server.iv == block
    assert (len(client.key), len(client.iv), len(server.key), len(server.iv)) == (k, i, k, i)


def test_the_two_finished_messages_differ() -> None:
    secret = MasterSecret(AES_128, bytes(48), RANDOMS)
    assert len(secret.client_finished(bytes(32))) == len(secret.server_finished(bytes(32))) == 12
    assert secret.client_finished(bytes(32)) != secret.server_finished(bytes(32))


def test_exporter_with_an_empty_context_differs_from_none() -> None:
    """RFC 5705 4: only a context that is there is encoded."""
    secret = MasterSecret(AES_128, bytes(48), RANDOMS)
    seed = RANDOMS[0] + RANDOMS[1]
    none, empty = secret.export("LABEL", None, 20), secret.export("LABEL", b"", 20)
    assert none == prf(hashlib.sha256, bytes(48), b"LABEL", seed, 20)
    assert empty == prf(hashlib.sha256, bytes(48), b"LABEL", seed + bytes(2), 20)


def test_the_key_log_gets_the_master_secret() -> None:
    lines: list[tuple[str, bytes]] = []
    secret = MasterSecret(CHACHA20, bytes(48), RANDOMS)
    secret.log(lambda label, value: lines.append((label, value)))
    secret.log(None)
    assert lines == [("CLIENT_RANDOM", bytes(48))]


def test_no_repr_shows_keys() -> None:
    assert repr(DirectionKeys(b"key", b"iv")) == "<DirectionKeys>"
    assert "secret=" not in repr(MasterSecret(AES_128, b"secret", RANDOMS))
