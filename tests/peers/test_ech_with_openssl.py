"""Keys, cipher suites and versions of Encrypted Client Hello with OpenSSL 4."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from authority import SERVER_NAME, Authority
from conversations import PeerRole
from ech_peers import OpenSSL4Peer
from processes import CLI, run_program

from trio_tlsx import ECHKey
from trio_tlsx.crypto.hpke import AEADS, KDFS
from trio_tlsx.errors import AlertDescription, ConfigError
from trio_tlsx.messages.ech import ECHConfig
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.pki.ech import KemName

PUBLIC_NAME = "public.example"
A_BIT = 1000  # bytes
KEMS: dict[KemName, str] = {"X25519": "0x20", "P-256": "0x10"}


@pytest.fixture
def openssl() -> OpenSSL4Peer:
    peer = OpenSSL4Peer()
    peer.require()
    return peer


def run(peer: OpenSSL4Peer, *arguments: str | Path) -> str:
    """Run ``openssl ech``; return what it says."""
    command = [peer.program(), "ech", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


async def accept(peer_role: PeerRole, authority: Authority, key: ECHKey, directory: Path) -> None:
    """Have the inner ClientHello of a connection accepted."""
    names = authority.files_for(SERVER_NAME, PUBLIC_NAME)
    ours: dict[str, Any]
    theirs: dict[str, Any]
    if peer_role.role == "server":
        path = directory / "key.pem"
        path.write_bytes(key.to_pem())
        ours, theirs = {"ech": key.config_list}, {"ech_key": path, "credentials": names}
    else:
        ours = {"ech_keys": key, "credentials": Credentials.from_pem_files(*names)}
        theirs = {"ech_configs": key.config_list}
    theirs["echo"] = A_BIT
    async with peer_role.connect(authority, ours=ours, theirs=theirs) as us:
        await us.converse()
        assert us.stream.negotiated.ech_accepted
    assert us.saw.ech


# PEM (RFC 9934)


@pytest.mark.parametrize("kem", KEMS)
def test_openssl_reads_our_key(openssl: OpenSSL4Peer, kem: KemName, tmp_path: Path) -> None:
    key = ECHKey.generate(PUBLIC_NAME, kem=kem)
    path = tmp_path / "key.pem"
    path.write_bytes(key.to_pem())
    printed = run(openssl, "-in", path, "-text")
    assert f"public_name: {PUBLIC_NAME}" in printed
    assert "(has private key)" in printed
    assert key.config.public_key.hex() in printed


@pytest.mark.parametrize("kem", KEMS)
async def test_we_read_a_key_of_openssl(
    openssl: OpenSSL4Peer, kem: KemName, authority: Authority, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    suite = f"{KEMS[kem]},1,1"
    run(openssl, "-public_name", PUBLIC_NAME, "-suite", suite, "-max_name_len", "40", "-out", path)
    key = ECHKey.from_pem(path.read_bytes())
    assert (key.config.public_name, key.config.maximum_name_length) == (PUBLIC_NAME, 40)
    await accept(PeerRole(openssl, "client"), authority, key, tmp_path)


@pytest.mark.parametrize(
    ("suite", "text"),
    [
        ("0x20,3,1", "KDF 3 and AEAD 1"),
        ("0x12,1,1", "secp521r1"),
        ("0x21,1,1", "must be of X25519 or P-256"),
    ],
)
def test_we_reject_a_key_of_openssl_with_other_algorithms(
    openssl: OpenSSL4Peer, suite: str, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    run(openssl, "-public_name", PUBLIC_NAME, "-suite", suite, "-out", path)
    with pytest.raises(ConfigError, match=text):
        ECHKey.from_pem(path.read_bytes())


async def test_openssl_reads_what_ech_keygen_writes(openssl: OpenSSL4Peer, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    result = await run_program([*CLI, "ech-keygen", "--public-name", PUBLIC_NAME, path])
    assert result.status == 0
    printed = run(openssl, "-in", path, "-text")
    assert ECHKey.from_pem(path.read_bytes()).config.public_key.hex() in printed
    assert "(has private key)" in printed


# Cipher suites


def with_suites(key: ECHKey, suites: Sequence[tuple[int, int]]) -> ECHKey:
    """Return a key whose configuration has these suites only."""
    old = key.config
    config = ECHConfig.create(
        old.config_id,
        old.kem_id,
        old.public_key,
        suites,
        old.maximum_name_length,
        old.public_name,
    )
    return replace(key, config=config)


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("aead", AEADS)
@pytest.mark.parametrize("kdf", KDFS)
@pytest.mark.parametrize("kem", KEMS)
async def test_each_cipher_suite(
    openssl: OpenSSL4Peer,
    kem: KemName,
    kdf: int,
    aead: int,
    role: Any,
    authority: Authority,
    tmp_path: Path,
) -> None:
    key = with_suites(ECHKey.generate(PUBLIC_NAME, kem=kem), [(kdf, aead)])
    await accept(PeerRole(openssl, role), authority, key, tmp_path)


# Options of OpenSSL's programs

KEY = ECHKey.generate(PUBLIC_NAME)
OLD_KEY = ECHKey.generate(PUBLIC_NAME, other_ids=[KEY.config.config_id])


@pytest.mark.usefixtures("openssl")
@pytest.mark.parametrize(
    "options",
    [
        ("-ech_no_outer_sni",),
        ("-ech_outer_sni", "other.example"),
        ("-alpn", "h2", "-ech_outer_alpn", "http/1.1"),
    ],
    ids=lambda options: options[-1],
)
async def test_the_outer_hello_differs(
    options: Sequence[str], authority: Authority, tmp_path: Path
) -> None:
    await accept(PeerRole(OpenSSL4Peer(*options), "client"), authority, KEY, tmp_path)


@pytest.mark.usefixtures("openssl")
@pytest.mark.parametrize("trial", [True, False])
async def test_a_random_config_id_needs_trial_decryption(
    trial: bool, authority: Authority
) -> None:
    """RFC 9849 10.4."""
    names = Credentials.from_pem_files(*authority.files_for(SERVER_NAME, PUBLIC_NAME))
    ours = {"ech_keys": [KEY, OLD_KEY], "ech_trial_decryption": trial, "credentials": names}
    theirs = {"ech_configs": KEY.config_list, "echo": A_BIT}
    peer_role = PeerRole(OpenSSL4Peer("-ech_ignore_cid"), "client")
    async with peer_role.connect(authority, ours=ours, theirs=theirs) as us:
        if trial:
            await us.converse()
            assert us.stream.negotiated.ech_accepted
        else:
            assert (await us.fail()).alert is AlertDescription.ech_required
    assert us.saw.ech is trial


# Versions


class OfferingTLS12(OpenSSL4Peer):
    """``s_client`` as it is by itself."""

    versions = ()


async def test_an_inner_hello_with_tls12_is_rejected(
    openssl: OpenSSL4Peer, authority: Authority
) -> None:
    """RFC 9849 7.1."""
    key = ECHKey.generate(PUBLIC_NAME)
    ours = {
        "ech_keys": key,
        "credentials": Credentials.from_pem_files(*authority.files_for(SERVER_NAME, PUBLIC_NAME)),
    }
    theirs = {"ech_configs": key.config_list}
    peer_role = PeerRole(OfferingTLS12(), "client")
    async with peer_role.connect(authority, ours=ours, theirs=theirs) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.illegal_parameter)
    assert "offers TLS 1.2" in str(error)
    assert us.saw.alert is AlertDescription.illegal_parameter
