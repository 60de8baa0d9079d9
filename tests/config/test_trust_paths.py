"""``trust`` and ``client_trust`` may be the path of a PEM file, which is read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trio_tlsx import ClientConfig, ConfigError, ServerConfig, TrustStore
from trio_tlsx.pki.trust import TrustStore as Store
from trio_tlsx.testing import CA

AUTHORITY = CA()
CREDENTIALS = AUTHORITY.issue("test.example")
PEM = AUTHORITY.pem


def client_trust(trust: Any) -> Store | None:
    return ClientConfig(trust=trust).parameters.trust


def server_trust(trust: Any) -> Store | None:
    config = ServerConfig(credentials=CREDENTIALS, client_auth="required", client_trust=trust)
    return config.parameters.client_trust


ROLES = pytest.mark.parametrize(
    ("resolve", "name"), [(client_trust, "trust"), (server_trust, "client_trust")]
)
Resolve = Callable[[Any], Store | None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    file.write_bytes(PEM)
    return file


@ROLES
@pytest.mark.parametrize("kind", [str, Path])
def test_path(resolve: Resolve, name: str, path: Path, kind: Callable[[Path], object]) -> None:
    trust = resolve(kind(path))
    assert trust is not None
    assert trust.certificates == AUTHORITY.trust.certificates


def test_the_file_is_read_once(path: Path) -> None:
    config = ClientConfig(trust=path)
    path.unlink()
    assert config.parameters.trust is config.parameters.trust
    assert config.trust == path
    with pytest.raises(ConfigError, match="No such file"):
        replace(config, grease=True)


def test_the_authorities_of_the_file_are_sent(path: Path) -> None:
    config = ServerConfig(credentials=CREDENTIALS, client_auth="optional", client_trust=str(path))
    other = replace(config, client_trust=AUTHORITY.trust)
    [name] = config.parameters.client_authorities
    assert name == AUTHORITY.trust.certificates[0].subject.public_bytes()
    assert config.parameters.client_policy == other.parameters.client_policy


@ROLES
def test_trust_path_of_a_missing_file_raises(resolve: Resolve, name: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.pem")
    with pytest.raises(ConfigError) as caught:
        resolve(missing)
    assert str(caught.value) == f"{name}: cannot read {missing!r}: No such file or directory"


@ROLES
def test_trust_path_with_a_null_byte_raises(resolve: Resolve, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name}: cannot read .* no file can have this"):
        resolve("a\0b")


@ROLES
def test_trust_path_of_a_file_without_certificates_raises(
    resolve: Resolve, name: str, path: Path
) -> None:
    path.write_text("nothing\n")
    with pytest.raises(ConfigError, match=rf"^{name}: .*ca.pem' holds no certificate in PEM"):
        resolve(path)


@ROLES
def test_pem_text_is_not_a_path(resolve: Resolve, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(PEM.decode())
    assert str(caught.value) == (
        f"{name} is PEM text, not the path of a PEM file; pass TrustStore.from_pem(pem.encode())"
    )


@ROLES
def test_pem_in_octets_is_not_a_path(resolve: Resolve, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} is of type bytes; .*from_pem\(pem\)$"):
        resolve(PEM)


@ROLES
def test_trust_path_of_a_directory_raises(resolve: Resolve, name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(tmp_path)
    directory = str(tmp_path)
    assert str(caught.value) == (
        f"{name} is the directory {directory!r}; pass TrustStore.from_directory({directory!r})"
    )


def test_the_advice_works() -> None:
    assert client_trust(TrustStore.from_pem(PEM.decode().encode()))
