"""Credentials that are reloaded when their files change."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from hook_pairs import NAME, over_memory, run_handshake

from trio_tlsx import ClientConfig, ConfigError, Credentials, ReloadingCredentials, ServerConfig
from trio_tlsx.pki.describe import date
from trio_tlsx.testing import CA, credentials_to_pem, write_pem_files


class Clock:
    """Two seconds pass with each look at it, unless it stands."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 2.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class Files:
    """A certificate and its key on disk, and who follows them."""

    def __init__(self, ca: CA, directory: Path) -> None:
        self.ca = ca
        self.first = ca.issue(NAME)
        self.cert, self.key = write_pem_files(self.first, directory)
        self.clock = Clock()
        self.following = ReloadingCredentials(
            lambda: Credentials.from_pem_files(self.cert, self.key),
            (self.cert, self.key),
            clock=self.clock,
        )

    def served(self) -> Credentials:
        return self.following(None)

    def serves(self, credentials: Credentials) -> bool:
        return self.served().chain == credentials.chain

    def write(self, credentials: Credentials) -> None:
        cert_pem, key_pem = credentials_to_pem(credentials)
        self.cert.write_bytes(cert_pem)
        self.key.write_bytes(key_pem)


@pytest.fixture
def files(ca: CA, tmp_path: Path) -> Files:
    return Files(ca, tmp_path)


def test_reloading_unchanged_files_keeps_the_credentials(files: Files) -> None:
    before = files.served()
    assert files.served() is before
    assert files.serves(files.first)


def test_reloading_rewritten_files(files: Files) -> None:
    second = files.ca.issue(NAME)
    files.write(second)
    assert files.serves(second)


def test_reloading_replaced_files(files: Files, tmp_path: Path) -> None:
    second = files.ca.issue(NAME)
    other = tmp_path / "other"
    other.mkdir()
    for new, old in zip(write_pem_files(second, other), (files.cert, files.key), strict=True):
        new.replace(old)
    assert files.serves(second)


def test_reloading_swapped_symbolic_link(ca: CA, tmp_path: Path) -> None:
    """As Kubernetes swaps the version of a mounted secret: with the same names, at once."""
    versions = [ca.issue(NAME), ca.issue(NAME)]
    for number, version in enumerate(versions):
        (tmp_path / f"..{number}").mkdir()
        for file in write_pem_files(version, tmp_path / f"..{number}"):
            os.utime(file, ns=(0, 0))
    data = tmp_path / "..data"
    data.symlink_to("..0")
    (tmp_path / "cert.pem").symlink_to("..data/cert.pem")
    (tmp_path / "key.pem").symlink_to("..data/key.pem")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    following = ReloadingCredentials(
        lambda: Credentials.from_pem_files(cert, key), (cert, key), clock=Clock()
    )
    assert following(None).chain == versions[0].chain
    (tmp_path / "..new").symlink_to("..1")
    (tmp_path / "..new").replace(data)
    assert following(None).chain == versions[1].chain


def test_reloading_ignores_a_half_written_pair(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    second = files.ca.issue(NAME)
    cert_pem, key_pem = credentials_to_pem(second)
    files.cert.write_bytes(cert_pem)
    assert files.serves(files.first)
    for size in range(0, len(key_pem) - 1, 40):
        files.key.write_bytes(key_pem[:size])
        assert files.serves(files.first)
    files.key.write_bytes(key_pem)
    assert files.serves(second)
    assert caplog.records
    assert not any(line in caplog.text for line in key_pem.decode().splitlines()[1:-1])


def test_reloading_ignores_a_half_written_chain(ca: CA, tmp_path: Path) -> None:
    """Though its key fits, and its leaf is whole."""
    files = Files(ca.intermediate(), tmp_path)
    whole = files.cert.read_bytes()
    end = whole.index(b"-----BEGIN", 1)
    for size in range(end + 30, len(whole) - 1, 60):
        files.cert.write_bytes(whole[:size])
        assert files.serves(files.first)


def test_reload_is_logged_with_the_names_and_the_dates(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trio_tlsx")
    files.served()
    assert not caplog.records
    renewed = files.ca.issue("a.example", "192.0.2.1")
    files.write(renewed)
    files.served()
    files.served()
    [record] = caplog.records
    leaf = renewed.chain[0]
    begin, end = date(leaf.not_valid_before_utc), date(leaf.not_valid_after_utc)
    assert record.levelno == logging.INFO
    assert record.getMessage() == (
        f"credentials: {str(files.cert)!r} and {str(files.key)!r} reloaded: a certificate for "
        f"'a.example', '192.0.2.1', valid from {begin} to {end}"
    )


def test_reloading_logs_a_broken_file_once(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    files.cert.write_bytes(b"nothing of use")
    for _ in range(5):
        assert files.serves(files.first)
    [record] = caplog.records
    assert record.name == "trio_tlsx"
    assert record.levelno == logging.WARNING
    assert repr(str(files.cert)) in record.getMessage()
    assert "\n" not in record.getMessage()
    # And once more when it breaks in another way.
    files.cert.unlink()
    assert files.serves(files.first)
    assert len(caplog.records) == 2


def test_reloading_a_repaired_file(files: Files) -> None:
    good = files.key.read_bytes()
    files.key.unlink()
    assert files.serves(files.first)
    files.key.write_bytes(good)
    assert files.serves(files.first)
    second = files.ca.issue(NAME)
    files.write(second)
    assert files.serves(second)


def test_reloading_retries_a_broken_file(files: Files) -> None:
    """A file system may have coarse times, and a file may be written as it is read."""
    second = files.ca.issue(NAME)
    good = iter([False, True])

    def load() -> Credentials:
        if next(good):
            return second
        raise ConfigError("half written")

    credentials = [files.first]
    following = ReloadingCredentials(
        lambda: credentials.pop() if credentials else load(), [files.cert], clock=Clock()
    )
    files.cert.write_bytes(b"x")
    assert following(None) is files.first
    assert following(None) is second


def test_reloading_checks_at_intervals(files: Files) -> None:
    files.served()
    files.clock.step = 0.4
    second = files.ca.issue(NAME)
    files.write(second)
    assert [files.serves(second) for _ in range(3)] == [False, False, True]


def test_reloading_raises_if_the_first_load_fails(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        ReloadingCredentials.from_pem_files(tmp_path / "cert.pem", tmp_path / "key.pem")


async def test_reloaded_credentials_are_used_by_new_connections(files: Files) -> None:
    config = ServerConfig(select_credentials=files.following)
    client_config = ClientConfig(trust=files.ca.trust)
    for credentials in (files.first, files.ca.issue(NAME)):
        files.write(credentials)
        client, _ = await run_handshake(client_config, config, await over_memory())
        assert client.settled().peer_certificates == credentials.chain


async def test_reloaded_credentials_of_a_client(files: Files) -> None:
    server = ServerConfig(
        credentials=files.first, client_auth="required", client_trust=files.ca.trust
    )
    following = ReloadingCredentials.from_pem_files(files.cert, files.key)
    client = ClientConfig(trust=files.ca.trust, select_credentials=following)
    _, side = await run_handshake(client, server, await over_memory())
    assert side.settled().peer_certificates == files.first.chain
