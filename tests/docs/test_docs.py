"""The files, names, options and sessions in the documentation exist."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import textwrap
from pathlib import Path
from runpy import run_path

import pytest
from processes import CLI, ROOT, run_program

import trio_tlsx
from trio_tlsx import ClientConfig
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.crypto.signatures import CERTIFICATE_VERIFY_SCHEMES

DOTTED_NAME = re.compile(r"`~?(trio_tlsx(?:\.\w+)+)`")
REPOSITORY_PATH = re.compile(r"`((?:docs|tests|trio_tlsx)/[\w./]+)`")
NAMES_IN_FILE = re.compile(r"((?:`[\w.]+`(?:, )?)+) in `([\w/]+\.py)`")
ALGORITHM = re.compile(r"^\| `(\w+)`.*? \| (?:0x(\w{4}) \| )?(yes|) ?\|", re.MULTILINE)
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INCLUDED = re.compile(r"{literalinclude} (\S+)\n:language: python\n:pyobject: (\S+)")
PACKAGE_PATH = re.compile(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+(?:\.py|/))`")
NOX_COMMAND = re.compile(r"nox -s ((?:[a-z_]+ ?)+)")
OPTION = re.compile(r"--[a-z][a-z-]+")

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def resolve(name: str) -> object:
    """Import the longest module there is, and look the rest up in it."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[end:]:
            found = getattr(found, attribute)
        return found
    raise LookupError(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_and_paths_exist(page: Path) -> None:
    text = page.read_text()
    assert [path for path in REPOSITORY_PATH.findall(text) if not (ROOT / path).exists()] == []
    for name in DOTTED_NAME.findall(text):
        resolve(name)


def included(example: str, name: str) -> str:
    """A function or a method of an example."""
    source = (ROOT / "docs" / example).read_text()
    found: ast.AST = ast.parse(source)
    for part in name.split("."):
        [found] = (n for n in ast.iter_child_nodes(found) if getattr(n, "name", "") == part)
    return textwrap.dedent(ast.get_source_segment(source, found, padded=True) or "")


def test_each_hook_is_shown_in_ten_lines() -> None:
    page = (ROOT / "docs" / "hooks.md").read_text()
    shown = PYTHON_BLOCK.findall(page)
    shown += [included(*place) for place in INCLUDED.findall(page)]
    assert len(shown) > 12
    for source in shown:
        lines = ast.unparse(ast.parse(source)).splitlines()  # without comments
        assert len(lines) - source.count('"""') // 2 <= 10, source


@functools.cache
def texts_of_the_code() -> str:
    """Every string of the package in a line of its own, with … where a value is inserted."""
    texts: list[str] = []
    for path in (ROOT / "trio_tlsx").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            if isinstance(node, ast.JoinedStr):
                parts = (str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values)
                texts.append("".join(parts))
    return "\n".join(" ".join(text.split()) for text in texts)


def quoted_texts(page: str) -> list[str]:
    text = re.sub(
        r"^```.*?^```$|`[^`]*`", "", (ROOT / "docs" / page).read_text(), flags=re.M | re.S
    )
    quotes = (" ".join(quote.split()) for quote in re.findall(r'"([^"]+)"', text))
    return [quote for quote in quotes if len(quote.split()) > 2]


QUOTING_PAGES = ("troubleshooting.md", "tls12.md", "tutorial.md")


@pytest.mark.parametrize(
    "quote", [quote for page in QUOTING_PAGES for quote in quoted_texts(page)]
)
def test_the_quoted_errors_exist(quote: str) -> None:
    pattern = ".*".join(map(re.escape, quote.split("…")))
    assert re.search(pattern, texts_of_the_code())


@pytest.mark.parametrize("name", ["architecture.md", "design.md"])
def test_the_maps_of_the_code_name_files_that_exist(name: str) -> None:
    paths = PACKAGE_PATH.findall((ROOT / "docs" / name).read_text())
    assert len(paths) > 10
    places = (ROOT / "trio_tlsx", ROOT)
    assert [p for p in paths if not any((place / p).exists() for place in places)] == []


def test_the_diagram_is_current_and_has_every_folder() -> None:
    picture = ROOT / "docs" / "_static" / "architecture.svg"
    script = run_path(str(ROOT / "docs" / "architecture_diagram.py"))
    assert picture.read_text() == script["diagram"]()
    drawn = [name for cells, _ in script["LAYERS"] for name, _ in cells]
    folders = {f"{path.parent.name}/" for path in (ROOT / "trio_tlsx").glob("*/__init__.py")}
    assert {name for name in drawn if name.endswith("/")} == folders


def test_the_contract_is_fulfilled_where_the_page_says() -> None:
    text = (ROOT / "docs" / "contract.md").read_text()
    places = NAMES_IN_FILE.findall(text)
    assert len(places) > 10
    for names, file in places:
        module = "trio_tlsx." + file.removesuffix(".py").replace("/", ".")
        for name in re.findall(r"[\w.]+", names):
            resolve(f"{module}.{name}")


def test_the_reference_has_every_public_name() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    assert [name for name in trio_tlsx.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_the_tables_have_every_algorithm() -> None:
    text = (ROOT / "docs" / "algorithms.md").read_text()
    told = {name: (code, default == "yes") for name, code, default in ALGORITHM.findall(text)}
    there = {suite.name: ("", True) for suite in CIPHER_SUITES.values()}
    for group in GROUPS.values():
        there[group.name] = (f"{group.code:04X}", group.name in ClientConfig.groups)
    for scheme in CERTIFICATE_VERIFY_SCHEMES:
        is_default = scheme.name in ClientConfig.signature_schemes
        there[scheme.name] = (f"{scheme:04X}", is_default)
    assert told == there


@pytest.mark.parametrize("command", ["demo", "connect", "check", "serve"])
async def test_the_page_has_every_option(command: str) -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    _, _, section = page.partition(f"## `trio-tlsx {command}")
    section = section.partition("\n## ")[0]
    shown = (await run_program([*CLI, command, "--help"])).stdout.decode()
    options = set(OPTION.findall(shown)) - {"--help"}
    assert options
    assert [option for option in options if option not in section] == []


def test_the_pages_name_nox_sessions_that_exist() -> None:
    commands = [command for page in PAGES for command in NOX_COMMAND.findall(page.read_text())]
    source = (ROOT / "noxfile.py").read_text()
    sessions = set(re.findall(r"^def (\w+)\(session", source, re.MULTILINE))
    assert {name for command in commands for name in command.split()} == sessions


def test_pre_commit_runs_what_the_lint_session_runs() -> None:
    hooks = re.findall(r"entry: (.+)", (ROOT / ".pre-commit-config.yaml").read_text())
    source = (ROOT / "noxfile.py").read_text()
    lint = source.partition("def lint")[2].partition("\n\n\n")[0]
    runs = re.findall(r"session\.run\((.+)\)", lint)
    assert hooks == [" ".join(re.findall(r'"([^"]+)"', run)) for run in runs]
