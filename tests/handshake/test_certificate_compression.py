"""Compressed certificates (RFC 8879): negotiation, and the limit of the decompressed length."""

from __future__ import annotations

import importlib
import sys
import tracemalloc
import zlib
from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import (
    CLIENT,
    SERVER,
    SERVER_NAME,
    authority,
    credentials,
    read_all,
    send,
    shake_hands,
)

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import ConfigError
from trio_tlsx.pki.compression import CertificateCompressor, compressors_of

KIB, MIB = 2**10, 2**20

ASKING = replace(SERVER, client_auth="required", client_trust=authority.trust)
CERTIFIED = replace(CLIENT, credentials=credentials())


def has_zstd() -> bool:
    try:
        compressors_of(["zstd"])
    except ConfigError:
        return False
    return True


NAMES = ["zlib", "zstd"] if has_zstd() else ["zlib"]


class Inverting:
    """An algorithm of our own: every bit is the other one."""

    algorithm = 0xFF00

    def __init__(self) -> None:
        self.compressed: list[bytes] = []
        self.limits: list[int] = []

    def compress(self, data: bytes) -> bytes:
        self.compressed.append(data)
        return bytes(octet ^ 0xFF for octet in data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        self.limits.append(max_length)
        return bytes(octet ^ 0xFF for octet in data)


def messages(client_config: ClientConfig, server_config: ServerConfig) -> dict[str, list[str]]:
    """Which way each side's certificate went, once all is well."""
    sent: dict[str, list[str]] = {"client": [], "server": []}

    def observer(side: str) -> Any:
        def observe(way: str, name: str, _: int) -> None:
            if way == "sent" and "certificate" in name and name != "certificate_verify":
                sent[side].append(name)

        return observe

    client = Connection.client(client_config, SERVER_NAME, observer=observer("client"))
    server = Connection.server(server_config, observer=observer("server"))
    shake_hands(client, server)
    for one, other in [(client, server), (server, client)]:
        send(one, other, b"hello")
        assert read_all(other) == b"hello"
    assert client.negotiated.peer_certificates == server_config.parameters.candidates[0].chain
    assert server.negotiated.peer_certificates == client_config.parameters.candidates[0].chain
    return sent


PLAIN = {"client": ["certificate"], "server": ["certificate_request", "certificate"]}
COMPRESSED = {
    "client": ["compressed_certificate"],
    "server": ["certificate_request", "compressed_certificate"],
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key_type", ["P-256", "ML-DSA-87"])
def test_compressed_certificates_in_both_directions(name: str, key_type: str) -> None:
    own = credentials(key_type)
    schemes = [*ClientConfig.signature_schemes, "mldsa87"]
    change: dict[str, Any] = {
        "credentials": own,
        "certificate_compression": [name],
        "signature_schemes": schemes,
    }
    assert messages(replace(CERTIFIED, **change), replace(ASKING, **change)) == COMPRESSED


@pytest.mark.parametrize("retried", [False, True])
def test_compression_algorithm_must_be_common(retried: bool) -> None:
    asking = replace(ASKING, require_cookie=retried)
    with_zlib = replace(CERTIFIED, certificate_compression=["zlib"])
    assert messages(CERTIFIED, asking) == PLAIN
    assert messages(with_zlib, asking) == PLAIN
    assert messages(CERTIFIED, replace(asking, certificate_compression=["zlib"])) == PLAIN
    assert messages(with_zlib, replace(asking, certificate_compression=[Inverting()])) == PLAIN
    both = replace(asking, certificate_compression=[Inverting(), "ZLIB"])
    assert messages(with_zlib, both) == COMPRESSED


def test_own_preference_selects_the_compression() -> None:
    clients, servers = Inverting(), Inverting()
    assert (
        messages(
            replace(CERTIFIED, certificate_compression=["zlib", clients]),
            replace(ASKING, certificate_compression=[servers, "zlib"]),
        )
        == COMPRESSED
    )
    [body] = servers.compressed
    assert clients.limits == [len(body)]
    assert (clients.compressed, servers.limits) == ([], [])


def test_empty_certificate_is_not_compressed() -> None:
    client = replace(CLIENT, certificate_compression=["zlib"])
    server = replace(ASKING, client_auth="optional", certificate_compression=["zlib"])
    names: list[str] = []
    connection = Connection.client(
        client, SERVER_NAME, observer=lambda way, name, _: names.append(f"{way} {name}")
    )
    shake_hands(connection, Connection.server(server))
    assert "sent certificate" in names
    assert "received compressed_certificate" in names


def test_own_certificate_is_compressed_once() -> None:
    server = replace(ASKING, certificate_compression=["zlib"])
    client = replace(CERTIFIED, certificate_compression=["zlib"])
    with pytest.MonkeyPatch.context() as patch:
        assert messages(client, server) == COMPRESSED
        patch.delattr(zlib, "compress")
        assert messages(client, server) == COMPRESSED


# The algorithms


@pytest.fixture(params=NAMES)
def compressor(request: pytest.FixtureRequest) -> CertificateCompressor:
    [compressor] = compressors_of([request.param]).values()
    return compressor


@pytest.mark.parametrize("length", [0, 1, 4, 1000, 65_536])
def test_compressor_round_trip(compressor: CertificateCompressor, length: int) -> None:
    data = bytes(octet & 0xFF for octet in range(length))
    compressed = compressor.compress(data)
    for limit in (length, length + 1, 2**17):
        assert compressor.decompress(compressed, limit) == data
    if length:
        with pytest.raises(ValueError, match="too long"):
            compressor.decompress(compressed, length - 1)
    for wrong in (compressed[:-1], compressed + b"\0", b"", bytes(20), compressed * 2):
        with pytest.raises(ValueError, match=r"."):
            compressor.decompress(wrong, 2**17)


def test_decompression_bomb_is_bounded(compressor: CertificateCompressor) -> None:
    # Past the compressor, which keeps what it compressed.
    library = zlib if compressor.algorithm == 1 else importlib.import_module("compression.zstd")
    bomb = library.compress(bytes(64 * MIB))
    assert len(bomb) < 2**17  # so a peer may send it
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"."):
            compressor.decompress(bomb, 100 * KIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("zlib", "certificate_compression is of type str; pass a list"),
        (["gzip"], "unknown certificate compression 'gzip'; known are zlib, zstd"),
        (["brotli"], "pass an object"),
    ],
)
def test_malformed_compressed_certificates_are_rejected(wanted: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        replace(CLIENT, certificate_compression=wanted)


@pytest.mark.parametrize("algorithm", [-1, 65_536])
def test_compression_code_points_have_two_octets(algorithm: int) -> None:
    compressor = Inverting()
    compressor.algorithm = algorithm
    with pytest.raises(ConfigError, match="not a number of 16 bits"):
        replace(SERVER, certificate_compression=[compressor])


def test_zstd_needs_a_python_that_has_it() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "compression.zstd", None)
        with pytest.raises(ConfigError, match=r"no zstd; 3\.14 is the first"):
            compressors_of(["zstd"])
