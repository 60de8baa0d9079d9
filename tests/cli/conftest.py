"""What the tests of the command line share: the files of a CA and of a server, and OpenSSL."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import peer_program

from trio_tlsx.testing import CA, write_pem_files


@pytest.fixture
def ca_file(ca: CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_bytes(ca.pem)
    return path


@pytest.fixture
def files(ca: CA, tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    return write_pem_files(ca.issue("localhost", "127.0.0.1"), tmp_path)


@pytest.fixture
def identity(files: tuple[Path, Path]) -> tuple[str | Path, ...]:
    """The options that name them."""
    cert, key = files
    return "--cert", cert, "--key", key


@pytest.fixture
def openssl() -> str:
    """The path of OpenSSL's program."""
    return peer_program("openssl")
