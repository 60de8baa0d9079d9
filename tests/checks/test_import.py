"""The modules that ``import trio_tlsx`` imports, and those that the use of a name imports."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import trio_tlsx

SOURCE = Path(trio_tlsx.__file__)

#: What an ordinary client or server uses.
ORDINARY = "from trio_tlsx import ClientConfig, ServerConfig, TLSStream, serve_tls_over_tcp"

#: What such a program does not need before something unusual happens.
RARELY_NEEDED = {
    "cryptography.x509.ocsp",
    "trio_tlsx.engine.certificate_dict",
    "trio_tlsx.engine.openssl",
    "trio_tlsx.driver.stapling",
    "trio_tlsx.io.stapling",
    "trio_tlsx.pki.openssl_store",
    "trio_tlsx.pki.pinning",
    "trio_tlsx.pki.reloading",
    "trio_tlsx.pki.revocation",
    "trio_tlsx.verification.builtin_limits",
    "trio_tlsx.verification.candidate_paths",
    "trio_tlsx.verification.certificate_faults",
    "trio_tlsx.verification.diagnosis",
    "trio_tlsx.verification.openssl_verifier",
}

CLIENTS_ONLY = {
    "trio_tlsx.handshake.client",
    "trio_tlsx.handshake.client13",
    "trio_tlsx.handshake.client13_hello",
    "trio_tlsx.handshake.client_hello",
    "trio_tlsx.handshake.resumption_client",
}
SERVERS_ONLY = {
    "trio_tlsx.handshake.server",
    "trio_tlsx.handshake.server13",
    "trio_tlsx.handshake.server13_hello",
}


def loaded_by(statement: str) -> set[str]:
    """The modules that a new process has loaded after this statement."""
    return set(run(f"import sys; {statement}; print(*sys.modules)").split())


def run(program: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parents[1])}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_importing_the_package_imports_no_module_of_it() -> None:
    loaded = loaded_by("import trio_tlsx")
    ours = {name for name in loaded if name.startswith("trio_tlsx")}
    assert ours == {"trio_tlsx", "trio_tlsx._version"}
    assert "cryptography" not in loaded


def test_ordinary_names_do_not_import_what_is_rarely_needed() -> None:
    loaded = loaded_by(ORDINARY)
    assert "trio_tlsx.engine.connection" in loaded
    assert not loaded & (RARELY_NEEDED | CLIENTS_ONLY | SERVERS_ONLY)


def test_a_client_does_not_import_the_servers_half() -> None:
    statement = "from trio_tlsx import ClientConfig, Connection"
    loaded = loaded_by(f"{statement}; Connection.client(ClientConfig(), 'a.example')")
    assert loaded >= CLIENTS_ONLY
    assert not loaded & SERVERS_ONLY


def test_a_server_does_not_import_the_clients_half() -> None:
    statement = "from trio_tlsx import Connection, ExternalPSK, ServerConfig"
    config = "ServerConfig(psks=[ExternalPSK(b'id', bytes(32))])"
    loaded = loaded_by(f"{statement}; Connection.server({config})")
    assert loaded >= SERVERS_ONLY
    assert not loaded & CLIENTS_ONLY


def test_every_public_name_can_be_imported() -> None:
    imported = run("from trio_tlsx import *; print(*globals())").split()
    assert set(trio_tlsx.__all__) <= set(imported)
    for name in trio_tlsx.__all__:
        assert getattr(trio_tlsx, name) is not None
    assert set(trio_tlsx.__all__) <= set(dir(trio_tlsx))


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'trio_tlsx' has no attribute 'TLSStreams'"):
        _ = trio_tlsx.TLSStreams


def test_type_checkers_and_the_interpreter_find_the_same_names() -> None:
    tree = ast.parse(SOURCE.read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    for_checkers = {
        alias.name: "." * node.level + (node.module or "")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert for_checkers == trio_tlsx._MODULES  # pyright: ignore[reportPrivateUsage]
    assert {*for_checkers, "__version__"} == set(trio_tlsx.__all__)
