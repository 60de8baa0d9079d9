"""Without its packages, a module of ``contrib`` names the extra to install."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import pytest
from processes import ROOT, run_program

CONTRIB = ROOT / "trio_tlsx" / "contrib"
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

#: Imports a module while the packages after it are missing, and prints the error.
PROGRAM = """
import importlib, sys
sys.modules.update(dict.fromkeys(sys.argv[2:]))
try:
    importlib.import_module(sys.argv[1])
except ImportError as error:
    print(type(error).__name__, error.name, error, sep="\\n")
"""


def imported_packages(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
    return found - sys.stdlib_module_names - {"trio", "cryptography"}


NEEDING = {path: found for path in CONTRIB.rglob("*.py") if (found := imported_packages(path))}


@pytest.mark.parametrize("path", NEEDING, ids=lambda path: path.stem)
async def test_missing_package_names_the_extra(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    shown = await run_program([sys.executable, "-c", PROGRAM, module, *NEEDING[path]])
    assert not shown.stderr
    kind, name, text = shown.stdout.decode().splitlines()
    assert kind == "ModuleNotFoundError"
    assert name.partition(".")[0] in NEEDING[path]
    [extra] = [extra for extra in EXTRAS if f"pip install 'trio-tlsx[{extra}]'" in text]
    assert text == f"the package {name} is not installed: pip install 'trio-tlsx[{extra}]'"
    assert extra in module or extra == "anyio"
