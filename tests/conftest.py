from __future__ import annotations

import ssl
from functools import partial

import hook_pairs
import pytest
from hook_pairs import Connect, Hook, MakeHook, over_memory, over_sockets
from tls_pairs import MEMORY, SERVER_NAME, SOCKET, Engine, Transports

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.testing import CA, write_pem_files


@pytest.fixture(scope="session")
def ca() -> CA:
    return CA()


def openssl_contexts(
    ca: CA, directory: str, maximum_version: ssl.TLSVersion
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    certificate, key = write_pem_files(ca.issue(SERVER_NAME), directory)
    client = ssl.create_default_context(cadata=ca.pem.decode())
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    client.maximum_version = maximum_version
    return client, server


@pytest.fixture(scope="session")
def engines(ca: CA, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    directory = str(tmp_path_factory.mktemp("openssl"))
    return {
        "native": Engine(
            "native",
            ClientConfig(trust=ca.trust),
            ServerConfig(credentials=ca.issue(SERVER_NAME)),
        ),
        "native-tls12": Engine(
            "native-tls12",
            ClientConfig(trust=ca.trust, versions=["TLSv1.2"]),
            ServerConfig(credentials=ca.issue(SERVER_NAME), versions=["TLSv1.2"]),
        ),
        "openssl": Engine(
            "openssl", *openssl_contexts(ca, directory, ssl.TLSVersion.MAXIMUM_SUPPORTED)
        ),
        "openssl-tls12": Engine(
            "openssl-tls12", *openssl_contexts(ca, directory, ssl.TLSVersion.TLSv1_2)
        ),
    }


@pytest.fixture(params=["native", "native-tls12", "openssl"])
def engine(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    """The native engine at each version, and OpenSSL."""
    return engines[request.param]


@pytest.fixture(params=["native", "native-tls12"])
def native(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    """The native engine at each version."""
    return engines[request.param]


@pytest.fixture
def native13(engines: dict[str, Engine]) -> Engine:
    """The native engine at TLS 1.3, for what only that version has."""
    return engines["native"]


@pytest.fixture
def native12(engines: dict[str, Engine]) -> Engine:
    """The native engine at TLS 1.2, for what only that version has."""
    return engines["native-tls12"]


@pytest.fixture(params=["TLSv1.3", "TLSv1.2"])
def version(request: pytest.FixtureRequest) -> str:
    """Each version, for the configurations of a test of its own."""
    return request.param


@pytest.fixture
def openssl(engines: dict[str, Engine]) -> Engine:
    return engines["openssl"]


@pytest.fixture
def each_version(version: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the handshakes of ``run_handshake`` at each version."""
    monkeypatch.setattr(hook_pairs, "versions", [version])
    return version


@pytest.fixture(params=[MEMORY, SOCKET], ids=lambda transports: transports.name)
def transports(request: pytest.FixtureRequest) -> Transports:
    return request.param


@pytest.fixture(params=[over_memory, over_sockets], ids=["memory", "socket"])
def connect(request: pytest.FixtureRequest) -> Connect:
    return request.param


@pytest.fixture(params=[False, True], ids=["plain", "async"])
def make_hook(request: pytest.FixtureRequest) -> MakeHook:
    return partial(Hook, asynchronous=request.param)
