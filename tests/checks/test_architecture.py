"""The rules of the architecture: which folder may import which, and what no engine imports."""

from __future__ import annotations

import ast
import collections
import functools
import graphlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_pairs import established, read_all, send

import trio_tlsx

PACKAGE = Path(trio_tlsx.__file__).parent
TESTS = Path(__file__).parents[1]
MAX_LINES = 500  # what one reads in a sitting
MAX_FUNCTION_LINES = 50  # what fits on a screen, without the docstring

#: The folders and the modules beside them, from the bottom up. Each imports only what is below.
LAYERS = [
    {"errors", "clock", "arguments", "_version"},
    {"messages"},
    {"crypto"},
    {"record"},
    {"pki"},
    {"verification"},
    {"sessions"},
    {"config"},
    {"handshake"},
    {"engine"},
    {"driver"},
    {"io"},
    {"processes"},
    {"testing"},
    {"contrib"},
    {"cli"},
    {"__init__", "__main__"},
]
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}

#: Below ``io/`` nothing imports these, at any depth.
NOT_SANS_IO = {"trio", "socket", "select", "selectors", "asyncio", "threading"}

#: The modules that may import the stdlib's ``ssl``: the engine over it, the module that picks the
#: engine, and the contract and the stdlib's names, which have ``ssl.SSLObject`` in annotations.
USE_SSL = {
    "trio_tlsx.driver.ssl_compat",
    "trio_tlsx.engine.openssl",
    "trio_tlsx.engine.select",
    "trio_tlsx.engine.interface",
}
#: Inside a function it asks ``ssl`` where the platform keeps its CAs.
USE_SSL_LATE = {"trio_tlsx.pki.trust"}

#: The modules of ours that others import inside a function, so that a program that does not need
#: them starts without them. ``tests/checks/test_import.py`` counts what is left.
LATE_IMPORTS = {
    "trio_tlsx.cli": {"trio_tlsx.cli.commands"},  # says what to install if click is missing
    "trio_tlsx.cli.service": {"trio_tlsx.contrib.dns"},  # for --ech dns
    "trio_tlsx.contrib.networks": {"trio_tlsx.contrib.anyio_network"},  # on asyncio
    "trio_tlsx.engine.connection": {
        "trio_tlsx.handshake.client",  # for clients, which import it before they connect
        "trio_tlsx.handshake.early_data",  # for clients
        "trio_tlsx.handshake.server",  # for servers, whose listeners import it at creation
        "trio_tlsx.engine.post_handshake12",  # for TLS 1.2
    },
    "trio_tlsx.handshake.client": {"trio_tlsx.handshake.client12"},  # for TLS 1.2
    "trio_tlsx.handshake.server": {
        "trio_tlsx.handshake.server12",  # for TLS 1.2
        "trio_tlsx.handshake.server12_hello",  # for TLS 1.2
    },
    "trio_tlsx.record.message_rules12": {"trio_tlsx.messages.handshake12"},  # for a HelloRequest
    "trio_tlsx.engine.select": {"trio_tlsx.engine.openssl"},  # for an ssl.SSLContext
    "trio_tlsx.engine.ssl_object": {"trio_tlsx.engine.certificate_dict"},  # for getpeercert()
    "trio_tlsx.pki.trust": {"trio_tlsx.pki.openssl_store"},  # for verifier="openssl"
    "trio_tlsx.verification.verify": {
        "trio_tlsx.verification.builtin_limits",  # to explain why a chain is rejected
        "trio_tlsx.verification.candidate_paths",  # for long chains
        "trio_tlsx.verification.diagnosis",  # to explain why a chain is rejected
        "trio_tlsx.verification.openssl_verifier",  # for verifier="openssl"
    },
}


def module_name(path: Path) -> str:
    parts = ("trio_tlsx", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


@functools.cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for path in PACKAGE.rglob("*.py")}


def layer(module: str) -> str:
    """The folder that the module is in; a module at the top is a layer of its own."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def sans_io_modules() -> list[str]:
    return [name for name in modules() if LEVELS[layer(name)] < LEVELS["io"]]


@functools.cache
def imports(module: str) -> frozenset[str]:
    """The modules that this one imports, anywhere in it; those for type checkers too."""
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return frozenset(imported(ast.parse(path.read_text()), package))


def imported(node: ast.AST, package: str) -> Iterator[str]:
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


@functools.cache
def imported_on_import(module: str) -> frozenset[str]:
    """The modules that importing this one imports: those inside a function left out."""
    tree = ast.parse(modules()[module].read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [ast.Pass()]
    package = module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]
    return frozenset(imported(tree, package))


def test_every_module_is_in_a_layer() -> None:
    assert {layer(module) for module in modules()} <= set(LEVELS)


@pytest.mark.parametrize("module", modules())
def test_no_module_imports_upwards(module: str) -> None:
    here = LEVELS[layer(module)]
    upwards = {name for name in ours(module) if LEVELS[layer(name)] > here}
    beside = {
        name
        for name in ours(module)
        if LEVELS[layer(name)] == here and layer(name) != layer(module) and here > 0
    }
    assert not upwards
    assert not beside or layer(module) == "__main__"


def test_imports_point_one_way() -> None:
    sorter = graphlib.TopologicalSorter({module: ours(module) for module in modules()})
    assert set(sorter.static_order()) == set(modules())


@pytest.mark.parametrize("module", sans_io_modules())
def test_nothing_below_io_does_io(module: str) -> None:
    assert not needed(module) & NOT_SANS_IO
    assert "ssl" not in imported_on_import(module) or module in USE_SSL
    assert "ssl" not in imports(module) or module in USE_SSL | USE_SSL_LATE


def test_the_lists_of_exceptions_are_exact() -> None:
    """A module that no longer needs its exception loses it."""
    late = {m for m in sans_io_modules() if "ssl" in imports(m) - imported_on_import(m)}
    assert {m for m in sans_io_modules() if "ssl" in imported_on_import(m)} == USE_SSL
    assert late == USE_SSL_LATE


def test_the_list_of_late_imports_is_exact() -> None:
    late = {module: ours(module) - imported_on_import(module) for module in modules()}
    assert {module: names for module, names in late.items() if names} == LATE_IMPORTS


@pytest.mark.parametrize("module", modules())
def test_private_imports_of_cryptography(module: str) -> None:
    """``cryptography.hazmat.bindings`` is not public."""
    assert not [name for name in imports(module) if "hazmat.bindings" in name]


def modules_and_test_files() -> list[Path]:
    return [*modules().values(), *TESTS.rglob("*.py")]


@pytest.mark.parametrize(
    "path", modules_and_test_files(), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_modules_and_tests_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_no_two_test_modules_have_one_name() -> None:
    """pytest imports them by their names alone, and could not run the whole suite."""
    names = collections.Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert {name for name, count in names.items() if count > 1} == set()


def function_lengths(module: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(modules()[module].read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False) or ""
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield node.name, lines - (len(docstring.splitlines()) if docstring else 0)


@pytest.mark.parametrize("module", modules())
def test_functions_are_short(module: str) -> None:
    assert not {name: n for name, n in function_lengths(module) if n > MAX_FUNCTION_LINES}


@pytest.mark.parametrize("module", modules())
def test_nothing_hangs_on_an_assert(module: str) -> None:
    """``python -O`` drops them, and whatever they guard."""
    nodes = ast.walk(ast.parse(modules()[module].read_text()))
    assert not [node.lineno for node in nodes if isinstance(node, ast.Assert)]


def test_connection_needs_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("somebody wants a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    client, server = established()
    send(client, server, b"ping")
    assert read_all(server) == b"ping"


#: The same name in several modules, because it has the same meaning there.
SHARED_NAMES = {
    "Backend": "the network backend of httpcore, and that of httpcore2",
    "CHUNK": "how much is read at once",
    "RECEIVE_BYTES": "how much is received at once",
    "HAPPY_EYEBALLS_DELAY": "the default of trio, and that of anyio",
    "RefreshingStaple": "the same for trio and for anyio",
    "TLSListener": "a listener for trio, and one for anyio",
    "TLSStream": "a stream for trio, and one for anyio",
    "ClientHello": "a message, and what hooks are shown of it",
    "CertificateRequest": "a message, and what hooks are shown of it",
}


def public_names(module: str) -> Iterator[str]:
    """The classes, type aliases and constants that a module defines."""
    for node in ast.parse(modules()[module].read_text()).body:
        names: list[str] = []
        if isinstance(node, ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign) and "TypeVar(" not in ast.unparse(node.value):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        yield from (name for name in names if name[0].isupper())


def test_public_name_has_one_definition() -> None:
    """No two modules define a public constant or class of the same name."""
    definitions = collections.Counter(
        name for module in modules() for name in public_names(module)
    )
    assert {name for name, count in definitions.items() if count > 1} == set(SHARED_NAMES)
