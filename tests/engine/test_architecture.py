"""What may depend on what: the engine knows nothing of trio, sockets or the stdlib's ssl."""

from __future__ import annotations

import ast
import functools
import graphlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_pairs import established, read_all, send

import trio_tlsx

PACKAGE = Path(trio_tlsx.__file__).parent
MAX_LINES = 500  # what one reads in a sitting

#: The one engine that stands on the stdlib's; it moves bytes through BIOs all the same.
OPENSSL = "trio_tlsx.engine.openssl"
#: It names ``ssl.SSLObject`` in an annotation.
INTERFACE = "trio_tlsx.engine.interface"

#: What can be negotiated, as tables, and what these stand on.
TABLES = {
    "trio_tlsx.crypto.availability",
    "trio_tlsx.crypto.cipher_suites",
    "trio_tlsx.crypto.groups",
    "trio_tlsx.crypto.signatures",
    "trio_tlsx.messages.codec",
    "trio_tlsx.errors",
}
#: Below the handshake: nothing of it may know what a handshake is.
RECORD_LAYER = {
    "trio_tlsx.record.protection",
    "trio_tlsx.crypto.key_schedule",
    "trio_tlsx.record.buffers",
    "trio_tlsx.record.receive",
    "trio_tlsx.record.send",
}


def module_name(path: Path) -> str:
    parts = ("trio_tlsx", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


@functools.cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for path in PACKAGE.rglob("*.py")}


def engine_modules() -> list[str]:
    return [name for name in modules() if f"{name}.".startswith("trio_tlsx.engine.")]


@functools.cache
def imports(module: str) -> frozenset[str]:
    """The modules that this one needs when it runs; those for type checkers left out."""
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return frozenset(imported(ast.parse(path.read_text()), package))


def imported(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, node.module or ""]).strip(".") if node.level else node.module
        for alias in node.names:
            whole = f"{base}.{alias.name}"
            yield whole if whole in modules() else str(base)
    for child in ast.iter_child_nodes(node):
        yield from imported(child, package)


def ours(module: str) -> frozenset[str]:
    return frozenset(name for name in imports(module) if name in modules())


def needed(module: str) -> frozenset[str]:
    """All modules that this one needs, directly and through others of ours."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += imports(name) if name in modules() else []
    return frozenset(found)


@pytest.mark.parametrize("module", engine_modules())
def test_the_engine_is_sans_io(module: str) -> None:
    assert not needed(module) & {"trio", "socket", "select", "selectors", "asyncio", "threading"}
    # What it needs may know ssl: trust.py asks it where the platform keeps its CAs.
    assert "ssl" not in imports(module) or module in {OPENSSL, INTERFACE}


@pytest.mark.parametrize("module", engine_modules())
def test_the_engine_does_not_know_who_drives_it(module: str) -> None:
    drivers = {"stream", "transport", "listener", "turn", "testing", "cli"}
    found = {name.split(".")[1] for name in needed(module) if name.startswith("trio_tlsx.")}
    assert not found & drivers


def test_imports_point_one_way() -> None:
    sorter = graphlib.TopologicalSorter({module: ours(module) for module in modules()})
    assert set(sorter.static_order()) == set(modules())


def test_tables_need_only_tables() -> None:
    for module in TABLES:
        assert ours(module) <= TABLES, module
    for module in RECORD_LAYER:
        assert ours(module) <= TABLES | RECORD_LAYER, module


@pytest.mark.parametrize("module", modules())
def test_modules_are_short(module: str) -> None:
    source = modules()[module].read_text()
    theory = ast.get_docstring(ast.parse(source), clean=False) or ""
    assert len(source.splitlines()) - len(theory.splitlines()) <= MAX_LINES


@pytest.mark.parametrize("module", modules())
def test_nothing_hangs_on_an_assert(module: str) -> None:
    """``python -O`` drops them, and whatever they guard."""
    nodes = ast.walk(ast.parse(modules()[module].read_text()))
    assert not [node.lineno for node in nodes if isinstance(node, ast.Assert)]


def test_a_connection_needs_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("somebody wants a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    client, server = established()
    send(client, server, b"ping")
    assert read_all(server) == b"ping"
